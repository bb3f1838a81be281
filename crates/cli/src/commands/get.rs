//! `bowline get`

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Duration,
};

use bowline::{
    Cid, GetOptions, Got, Multiaddr, Node,
    block::HashAlgorithm,
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
    /// The name to write it under: of the file itself, or of the directory that is made for a directory, which must
    /// not exist. No slash at its end.
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
        GetOptions { timeout: self.timeout, on_progress: Some(bar.on_progress()), ..GetOptions::default() }
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
    let name = name_of(&options.out)?;
    let got = match &options.store {
        Some(store) => get(&options, cid, from, store, OpenOptions::default()).await?.got?,
        None => get_beside(&options, name, cid, from).await?,
    };
    report(&got, &options.out, output)
}

/// The name of what will stand at OUT, decided before anybody is asked. A directory that is there is not replaced, and
/// a path that names no place by itself (`new/`, `..`) would turn out wrong only when everything has come.
fn name_of(out: &Path) -> Result<&OsStr, Failure> {
    const NAME_IT: &str = "name the file or the new directory itself with -o";
    if out.is_dir() {
        let failure = Failure::new(format!("{} exists already and is a directory", out.display()));
        return Err(failure.hint(NAME_IT));
    }
    let name = out.file_name().filter(|name| out.as_os_str().as_bytes().ends_with(name.as_bytes()));
    let Some(name) = name else {
        let failure = Failure::usage(format!("{:?} does not end in a name", out.display().to_string()));
        return Err(failure.hint(format!("{NAME_IT}, without a slash at the end")));
    };
    match out.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) if !parent.is_dir() => Err(Failure::new(format!("{} is no folder", parent.display()))
            .hint("make it first, or name another place with -o")),
        _ => Ok(name),
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
    // Where the blocks stay, a loss of power costs no more than another `get` of the same store.
    let how = GetOptions { durable: options.store.is_none(), ..patience.options(&bar) };
    let got = node.get_with(cid, from, &options.out, &how).await;
    drop(bar);
    node.shutdown(GRACE).await;
    let store_is_empty = node.store().usage().is_ok_and(|usage| usage.blocks == 0);
    Ok(Ended { got: got.map_err(Failure::from), store_is_empty })
}

/// Gets with a store beside the place, which is gone when it is done or when nothing came.
async fn get_beside(options: &Options, name: &OsStr, cid: Cid, from: Vec<Multiaddr>) -> Result<Got, Failure> {
    let store = options.out.with_file_name(folder_name(name, &cid)?);
    // What a loss of power takes is fetched again.
    let open = OpenOptions { durability: Durability::Buffered, ..OpenOptions::default() };
    let ended = get(options, cid, from, &store, open).await?;
    if ended.got.is_ok() || ended.store_is_empty {
        remove(&store)?;
    }
    ended.got
}

/// The longest name of a file in bytes, on all file systems that matter.
const MAX_NAME: usize = 255;

/// The name of the folder beside OUT: another one for each OUT and CID, and always the same one for both, so that
/// what is half there is found again and never taken for the blocks of something else.
fn folder_name(name: &OsStr, cid: &Cid) -> Result<OsString, Failure> {
    let mut both = cid.to_bytes();
    both.extend_from_slice(name.as_bytes());
    let hash = HashAlgorithm::Sha2_256.hash(&both).map_err(|error| Failure::new(error.to_string()))?;
    let tag: String = hash.digest().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let tail = format!(".{tag}.bowline");
    // A long name is cut short; the tag tells it from others that begin alike.
    let mut end = name.len().min(MAX_NAME - 1 - tail.len());
    while end < name.len() && name.as_bytes().get(end).is_some_and(|byte| byte & 0xC0 == 0x80) {
        // Some file systems take no half characters.
        end -= 1;
    }
    let mut beside = OsString::from(".");
    beside.push(OsStr::from_bytes(name.as_bytes().get(..end).unwrap_or_default()));
    beside.push(tail);
    Ok(beside)
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
