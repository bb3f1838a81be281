//! `bowline get`

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use bowline::{
    Cid, GetOptions, Got, Multiaddr, Node,
    blockstore::{Durability, OpenOptions},
    swarm::Config,
};
use serde_json::json;

use crate::{
    arguments::{self, KeyOption},
    failure::Failure,
    network::{GRACE, raise_file_limit},
    output::{self, Output},
    progress::Bar,
};

/// Get a file or directory from peers, and verify every block of it.
///
/// Nothing stands at OUT until it is whole. What has come is kept beside OUT, or in the store that --store names, so
/// that the same command goes on after an interruption.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// What to get.
    cid: String,
    #[command(flatten)]
    from: FromOption,
    /// Where to write it; a directory is made for a directory.
    #[arg(short = 'o', long = "output", value_name = "OUT")]
    out: PathBuf,
    /// Keep the blocks in this store instead of beside OUT.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

/// Whom to get it from, and how.
#[derive(clap::Args)]
pub(crate) struct FromOption {
    /// The address of a peer that has it; may be repeated, and then they share the work.
    #[arg(long, value_name = "MULTIADDR", required = true)]
    from: Vec<String>,
    #[command(flatten)]
    patience: Patience,
}

/// How long to wait, and as whom.
#[derive(clap::Args)]
pub(crate) struct Patience {
    /// How long to wait without a new block that is right.
    #[arg(long, default_value = "30s", value_parser = arguments::duration)]
    timeout: Duration,
    #[command(flatten)]
    pub(super) key: KeyOption,
}

impl Patience {
    pub(super) fn options(&self, bar: &Bar) -> GetOptions {
        GetOptions { timeout: self.timeout, on_progress: Some(bar.on_progress()) }
    }

    /// A host that gives up dialing when the time without a block is up.
    pub(super) fn config(&self) -> Config {
        let config = Config::default();
        let dial_timeout = self.timeout.min(config.dial_timeout);
        Config {
            dial_timeout,
            address_timeout: config.address_timeout.min(dial_timeout),
            private_address_timeout: config.private_address_timeout.min(dial_timeout),
            ..config
        }
    }
}

pub(crate) async fn run(options: Options, output: Output) -> Result<(), Failure> {
    raise_file_limit();
    let cid = arguments::cid(&options.cid)?;
    let from = arguments::addresses(&options.from.from)?;
    refuse_directory(&options.out)?;
    let got = match &options.store {
        Some(store) => get(&options, cid, from, store, OpenOptions::default()).await?.got?,
        None => get_beside(&options, cid, from).await?,
    };
    report(&got, &options.out, output)
}

/// Before anything is made: a directory at the place is not replaced.
fn refuse_directory(out: &Path) -> Result<(), Failure> {
    if out.is_dir() {
        let failure = Failure::new(format!("{} exists already and is a directory", out.display()));
        return Err(failure.hint("name the file or the new directory itself with -o"));
    }
    match out.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) if !parent.is_dir() => Err(Failure::new(format!("{} is no folder", parent.display()))
            .hint("make it first, or name another place with -o")),
        _ => Ok(()),
    }
}

/// What a get came to, and whether its store has nothing in it now.
struct Ended {
    got: Result<Got, Failure>,
    store_is_empty: bool,
}

async fn get(
    options: &Options,
    cid: Cid,
    from: Vec<Multiaddr>,
    store: &Path,
    open: OpenOptions,
) -> Result<Ended, Failure> {
    let patience = &options.from.patience;
    let node = Node::builder().store_with(store, open).keypair(patience.key.keypair()?);
    let node = node.config(patience.config()).start().await?;
    let bar = Bar::new("getting".to_owned());
    let got = node.get_with(cid, from, &options.out, &patience.options(&bar)).await;
    drop(bar);
    node.shutdown(GRACE).await;
    let store_is_empty = node.store().usage().is_ok_and(|usage| usage.blocks == 0);
    Ok(Ended { got: got.map_err(Failure::from), store_is_empty })
}

/// Gets with a store beside the place, which is gone when it is done or when nothing came.
async fn get_beside(options: &Options, cid: Cid, from: Vec<Multiaddr>) -> Result<Got, Failure> {
    let store = folder_beside(&options.out)?;
    // What a loss of power takes is fetched again.
    let open = OpenOptions { durability: Durability::Buffered, ..OpenOptions::default() };
    let ended = get(options, cid, from, &store, open).await?;
    if ended.got.is_ok() || ended.store_is_empty {
        remove(&store)?;
    }
    ended.got
}

fn folder_beside(out: &Path) -> Result<PathBuf, Failure> {
    let name = out.file_name().ok_or_else(|| {
        Failure::usage(format!("{} names no file", out.display())).hint("name the file to write with -o")
    })?;
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(".bowline");
    Ok(out.with_file_name(beside))
}

fn remove(store: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(store) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::new(format!("cannot remove {}: {error}", store.display())))
        }
        _ => Ok(()),
    }
}

fn report(got: &Got, out: &Path, output: Output) -> Result<(), Failure> {
    let peers: Vec<_> = got.peers.iter().map(ToString::to_string).collect();
    let object = json!({
        "cid": got.cid.to_string(),
        "bytes": got.bytes,
        "seconds": got.seconds,
        "blocks": got.blocks,
        "duplicate_blocks": got.duplicate_blocks,
        "duplicate_bytes": got.duplicate_bytes,
        "peers": peers,
    });
    let text = format!(
        "{}: {} in {:.1} s ({:.0} MiB/s), {} from {}",
        out.display(),
        output::bytes(got.bytes),
        got.seconds,
        output::mib_per_s(got.bytes, got.seconds),
        output::count(got.blocks, "block"),
        output::count(peers.len() as u64, "peer"),
    );
    output.summary(text, &object)
}
