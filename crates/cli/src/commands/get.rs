//! `get`: files and directories from peers.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use bowline::{Cid, GetError, GetOptions, Got, Node};
use serde_json::json;

use crate::{
    args::FromArg,
    failure::Failure,
    output::Output,
    progress::Bar,
    session::{Connecting, GRACE, dialing_key, open_store, raise_file_limit},
};

/// How long the other peers get to connect once one has.
const HEAD_START: Duration = Duration::from_millis(500);

pub(crate) async fn run(
    cid: Cid,
    from: FromArg,
    path: PathBuf,
    store: Option<PathBuf>,
    output: Output,
) -> Result<(), Failure> {
    raise_file_limit();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent.filter(|parent| !parent.is_dir()) {
        return Err(Failure::with_hint(
            format!("{} is no directory", parent.display()),
            "make the directory first, or name another place with -o",
        ));
    }
    let temporary = store.is_none();
    let folder = store.unwrap_or_else(|| beside(&path));
    let key = dialing_key(from.key.as_deref())?;
    let node = Node::builder().repository(open_store(&folder)?).keypair(key).start().await?;
    let fetched = fetch(&node, cid, &from, &path).await;
    node.shutdown(GRACE).await;
    drop(node);
    if temporary && (fetched.is_ok() || is_empty(&folder)) {
        std::fs::remove_dir_all(&folder).map_err(|error| Failure::io(&folder, &error))?;
    }
    print(&fetched?, &path, output)
}

/// The folder that keeps blocks until the output is whole.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".blocks");
    path.with_file_name(name)
}

/// Whether a store has no block, so that nothing is lost with it.
fn is_empty(folder: &Path) -> bool {
    open_store(folder)
        .is_ok_and(|repository| repository.blocks().usage().is_ok_and(|usage| usage.blocks == 0))
}

async fn fetch(node: &Node, cid: Cid, from: &FromArg, path: &Path) -> Result<Got, Failure> {
    let mut connecting = Connecting::new(node, &from.from, from.timeout);
    connecting.one_more().await?;
    // The others may be as near.
    let _others = tokio::time::timeout(HEAD_START, async {
        while connecting.one_more().await? {}
        Ok::<_, Failure>(())
    })
    .await;
    let bar = Bar::new("getting");
    let options = GetOptions { timeout: from.timeout, on_progress: bar.on_progress() };
    loop {
        // Peers that come later are asked too: every connected peer is a source.
        let got = node.get_with(cid, path, &options).await;
        match got {
            // What those who are connected lack, one who is not yet may have.
            Err(GetError::Missing { .. }) if connecting.one_more().await? => {}
            got => return Ok(got?),
        }
    }
}

fn print(got: &Got, path: &Path, output: Output) -> Result<(), Failure> {
    let peers: Vec<_> = got.peers.iter().map(ToString::to_string).collect();
    let value = json!({
        "cid": got.cid.to_string(),
        "bytes": got.bytes,
        "seconds": got.seconds,
        "blocks": got.blocks,
        "duplicate_blocks": got.duplicate_blocks,
        "duplicate_bytes": got.duplicate_bytes,
        "peers": peers,
    });
    let mib = got.bytes as f64 / f64::from(1 << 20);
    let rate = mib / got.seconds.max(1e-9);
    let text = format!("{}  {mib:.1} MiB in {:.2} s ({rate:.0} MiB/s)", path.display(), got.seconds);
    output.print(text, &value)
}
