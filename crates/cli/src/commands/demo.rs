//! `demo`: two peers in one process.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
    path::Path,
};

use bowline::{AddOptions, GetOptions, Node};
use serde_json::json;

use crate::{
    failure::Failure,
    output::Output,
    progress::Bar,
    session::{GRACE, raise_file_limit},
};

/// Bytes that are made and compared at a time.
const PIECE: usize = 1 << 20;

pub(crate) async fn run(mib: u64, output: Output) -> Result<(), Failure> {
    raise_file_limit();
    let folder = tempfile::tempdir().map_err(|error| Failure::failed(&error))?;
    let (original, copy) = (folder.path().join("original"), folder.path().join("copy"));
    make_file(&original, mib).map_err(|error| Failure::io(&original, &error))?;
    let listen = "/ip4/127.0.0.1/tcp/0".parse().map_err(|error| Failure::with_hint(error, "report this"))?;
    let alice = Node::builder().store(folder.path().join("alice")).listen(listen).start().await?;
    let bob = Node::builder().store(folder.path().join("bob")).start().await?;
    output.note(format_args!("two peers: {} and {}", alice.peer_id(), bob.peer_id()));

    let bar = Bar::new("adding");
    let options = AddOptions { on_progress: bar.on_progress(), ..AddOptions::default() };
    let added = alice.add_with(&original, options).await?;
    drop(bar);
    output.note(format_args!("the first added {mib} MiB as {}", added.cid));

    bob.host().connect((alice.peer_id(), alice.listen_addrs())).await?;
    let bar = Bar::new("fetching");
    let options = GetOptions { on_progress: bar.on_progress(), ..GetOptions::default() };
    let got = bob.get_with(added.cid, &copy, &options).await?;
    drop(bar);
    let verified = same(&original, &copy).map_err(|error| Failure::io(&copy, &error))?;
    alice.shutdown(GRACE).await;
    bob.shutdown(GRACE).await;
    if !verified {
        return Err(Failure::with_hint(
            "the copy differs from the original",
            "this is a bug: please report it",
        ));
    }
    let rate = mib as f64 / got.seconds.max(1e-9);
    let value =
        json!({ "bytes": got.bytes, "seconds": got.seconds, "mib_per_s": rate, "verified": verified });
    let text = format!(
        "the second fetched it over loopback TCP, Noise, Yamux and Bitswap in {:.2} s ({rate:.0} MiB/s), verified",
        got.seconds
    );
    output.print(text, &value)
}

/// Writes bytes that do not repeat: a small generator, for content and not for secrets.
fn make_file(path: &Path, mib: u64) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut piece = vec![0; PIECE];
    for _ in 0..mib {
        for word in piece.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&piece)?;
    }
    file.flush()
}

/// Whether two files have the same content.
fn same(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (BufReader::new(File::open(one)?), BufReader::new(File::open(other)?));
    let (mut left, mut right) = (vec![0; PIECE], vec![0; PIECE]);
    loop {
        let len = one.read(&mut left)?;
        if len == 0 {
            return Ok(other.read(&mut right)? == 0);
        }
        if other.read_exact(&mut right[..len]).is_err() || left[..len] != right[..len] {
            return Ok(false);
        }
    }
}
