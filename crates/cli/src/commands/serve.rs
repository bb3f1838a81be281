//! `serve`: the store to the network.

use std::path::PathBuf;

use bowline::{AddOptions, Config, Multiaddr, Node, Profile, address};
use serde_json::json;

use super::add;
use crate::{
    failure::Failure,
    output::Output,
    progress::Bar,
    session::{GRACE, interrupted, interruptible, open_store, raise_file_limit, store_folder, unix_seconds},
};

/// Where a node listens when it is not told.
const DEFAULT_LISTEN: [&str; 2] = ["/ip4/0.0.0.0/tcp/4001", "/ip6/::/tcp/4001"];

/// What `serve` was asked for.
pub(crate) struct Settings {
    pub(crate) folder: Option<PathBuf>,
    pub(crate) listen: Vec<Multiaddr>,
    pub(crate) perf: bool,
    pub(crate) profile: Profile,
    pub(crate) paths: Vec<PathBuf>,
}

pub(crate) async fn run(settings: Settings, output: Output) -> Result<(), Failure> {
    raise_file_limit();
    let repository = open_store(&store_folder(settings.folder)?)?;
    let config = Config { serve_perf: settings.perf, ..Config::default() };
    let node = Node::builder().repository(repository).config(config).start().await?;
    interruptible(add_paths(&node, &settings.paths, settings.profile, output)).await?;
    listen(&node, settings.listen, output).await?;
    interrupted().await;
    output.note("stopping");
    node.shutdown(GRACE).await;
    Ok(())
}

async fn add_paths(node: &Node, paths: &[PathBuf], profile: Profile, output: Output) -> Result<(), Failure> {
    for path in paths {
        let bar = Bar::new(&format!("adding {}", path.display()));
        let options = AddOptions { profile, on_progress: bar.on_progress(), ..AddOptions::default() };
        let added = node.add_with(path, options).await?;
        if let Some(repository) = node.repository() {
            repository.add_root(&added.cid, unix_seconds(), &added.name)?;
        }
        drop(bar);
        add::print(&added, output)?;
    }
    Ok(())
}

/// Listens, and prints one line for each address.
async fn listen(node: &Node, addrs: Vec<Multiaddr>, output: Output) -> Result<(), Failure> {
    let hint = "name another address with --listen, such as /ip4/127.0.0.1/tcp/0";
    if addrs.is_empty() {
        let mut failed = None;
        for addr in DEFAULT_LISTEN {
            let addr = addr.parse().map_err(|error| Failure::with_hint(error, hint))?;
            // A machine without one of the two families still serves the other.
            failed = node.host().listen(addr).await.err().or(failed);
        }
        if let Some(error) = failed.filter(|_| node.listen_addrs().is_empty()) {
            return Err(Failure::with_hint(error, hint));
        }
    }
    for addr in addrs {
        let (addr, _) = address::split_peer_id(&addr);
        node.host().listen(addr).await.map_err(|error| Failure::with_hint(error, hint))?;
    }
    for addr in node.listen_addrs() {
        let addr = address::with_peer_id(addr, node.peer_id());
        let value = json!({ "event": "listening", "addr": addr.to_string() });
        output.print(format_args!("listening on {addr}"), &value)?;
    }
    Ok(())
}
