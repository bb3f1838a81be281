//! `bowline demo`

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use bowline::{GetOptions, Got, Node, Profile};
use serde_json::json;

use crate::{
    arguments,
    failure::Failure,
    network::{GRACE, raise_file_limit},
    output::{self, Output, note},
    progress::Bar,
};

/// Show it all at work: two nodes on this machine, one adds a file, the other fetches and verifies it.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The size of the file in mebibytes.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    mib: u32,
    /// Where to put the file, its copy and both stores; four times the file's size. All of it is removed again.
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
}

/// Bytes that are made, and compared, at a time.
const PIECE: usize = 1 << 20;

pub(crate) async fn run(options: Options, output: Output) -> Result<(), Failure> {
    raise_file_limit();
    let folder = tempfile::Builder::new().prefix("bowline-demo-").tempdir_in(&options.dir);
    let folder = folder.map_err(|error| no_room(&options.dir, &error))?;
    let (original, copy) = (folder.path().join("original"), folder.path().join("copy"));
    note(format_args!("making a file of {} MiB with random content", options.mib));
    make(&original, options.mib).map_err(|error| no_room(&options.dir, &error))?;

    let ada =
        Node::builder().store(folder.path().join("ada")).listen(arguments::address("/ip4/127.0.0.1/tcp/0")?);
    let ada = ada.start().await?;
    let addrs = ada.addrs();
    note(format_args!("Ada is {} and listens on {}", ada.peer_id(), addrs[0]));
    let bar = Bar::new("adding".to_owned());
    let added = ada.add_with(&original, Profile::V1, Some(bar.on_progress())).await?;
    drop(bar);
    note(format_args!("Ada added it: {} in {}", added.cid, output::count(added.blocks, "block")));

    let bob = Node::builder().store(folder.path().join("bob")).start().await?;
    note(format_args!("Bob is {} and knows Ada's address and the CID", bob.peer_id()));
    let bar = Bar::new("getting".to_owned());
    // The copy is compared and thrown away.
    let progress =
        GetOptions { on_progress: Some(bar.on_progress()), durable: false, ..GetOptions::default() };
    let got = bob.get_with(added.cid, addrs, &copy, &progress).await?;
    drop(bar);
    let verified =
        same(&original, &copy).map_err(|error| Failure::new(format!("cannot compare the files: {error}")))?;
    bob.shutdown(GRACE).await;
    ada.shutdown(GRACE).await;

    report(&got, verified, output)
}

fn report(got: &Got, verified: bool, output: Output) -> Result<(), Failure> {
    let speed = output::mib_per_s(got.bytes, got.seconds);
    let object =
        json!({"bytes": got.bytes, "seconds": got.seconds, "mib_per_s": speed, "verified": verified});
    let verdict =
        if verified { "verified: the copy is the original" } else { "the copy is NOT the original" };
    let text = format!(
        "Bob fetched {} in {:.2} s, {speed:.0} MiB/s; {verdict}",
        output::bytes(got.bytes),
        got.seconds
    );
    output.line(text, &object)?;
    if verified {
        Ok(())
    } else {
        Err(Failure::new("the copy differs from the original").hint("please report this"))
    }
}

fn no_room(dir: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot write to {}: {error}", dir.display()))
        .hint("name a folder with more room with --dir DIR, or take a smaller file with --mib 16")
}

/// Fills a file with numbers that look random, no two blocks alike.
fn make(path: &Path, mib: u32) -> io::Result<()> {
    let mut file = File::create(path)?;
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..mib {
        let mut piece = Vec::with_capacity(PIECE);
        while piece.len() < PIECE {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            piece.extend_from_slice(&state.to_le_bytes());
        }
        file.write_all(&piece)?;
    }
    Ok(())
}

/// Whether two files have the same content.
fn same(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    loop {
        left.clear();
        right.clear();
        (&mut one).take(PIECE as u64).read_to_end(&mut left)?;
        (&mut other).take(PIECE as u64).read_to_end(&mut right)?;
        if left != right {
            return Ok(false);
        }
        if left.is_empty() {
            return Ok(true);
        }
    }
}
