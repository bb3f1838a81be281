//! `bowline serve`

use std::{path::PathBuf, time::Duration};

use bowline::{
    Multiaddr, Node,
    identity::address,
    swarm::{Config, Host},
};
use serde_json::json;

use super::add;
use crate::{
    arguments::{self, ProfileName, StoreOption},
    failure::Failure,
    network::raise_file_limit,
    output::{self, Output, note, printable},
    signals::{stop, unless_stopped},
};

/// How long peers may take to end what they are doing when the server stops.
const GRACE: Duration = Duration::from_secs(5);

/// Serve a store to peers until stopped with Ctrl-C or SIGTERM.
///
/// Files and directories that are named are added first.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    store: StoreOption,
    /// An address to listen on; may be repeated. Default: every interface, TCP port 4001.
    #[arg(long, value_name = "MULTIADDR")]
    listen: Vec<String>,
    /// How files become blocks; it decides the CID.
    #[arg(long, value_enum, default_value_t = ProfileName::V1)]
    profile: ProfileName,
    /// Let peers measure speed with `bowline perf`. It lets any of them use up bandwidth.
    #[arg(long)]
    perf: bool,
    /// Files and directories to add first.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub(crate) async fn run(options: Options, output: Output) -> Result<(), Failure> {
    raise_file_limit();
    let listen = arguments::addresses(&options.listen)?;
    let config = Config { serve_perf: options.perf, ..Config::default() };
    let start = async {
        let node = Node::builder().store(options.store.folder()?).config(config).start().await?;
        for path in &options.paths {
            let added = add::one(&node, path, options.profile).await?;
            let object = json!({"event": "added", "cid": added.cid.to_string(), "name": added.name, "bytes": added.bytes});
            output.line(format_args!("{} {}", added.cid, printable(&added.name)), &object)?;
        }
        Ok(node)
    };
    let node = unless_stopped(start).await?;
    // From here on a signal is the way to stop, so it is waited for before anybody is told that this runs.
    let stopped = stop();
    tokio::pin!(stopped);
    tokio::select! {
        biased;
        early = &mut stopped => return early,
        listening = announce(&node, listen, output) => listening?,
    }
    stopped.await?;
    let report = node.shutdown(GRACE).await;
    let object = json!({"event": "stopped", "streams_cut": report.streams_cut});
    output.summary("stopped", &object)
}

/// Listens, and prints each address.
async fn announce(node: &Node, listen: Vec<Multiaddr>, output: Output) -> Result<(), Failure> {
    let addrs = if listen.is_empty() {
        listen_everywhere(node.host()).await?
    } else {
        let mut addrs = Vec::new();
        for addr in listen {
            // An address that others dial is taken as well as one to bind to.
            let (addr, _) = address::split_peer_id(&addr);
            addrs.extend(node.host().listen(addr).await?);
        }
        addrs
    };
    for addr in addrs {
        let addr = address::with_peer_id(addr, node.peer_id());
        output.line(
            format_args!("listening on {addr}"),
            &json!({"event": "listening", "addr": addr.to_string()}),
        )?;
    }
    let usage = node.store().usage()?;
    let blocks = output::count(usage.blocks, "block");
    note(format_args!("serving {blocks} ({}); Ctrl-C stops", output::bytes(usage.bytes)));
    Ok(())
}

/// Listens on every interface. A machine may lack one of the two versions of IP.
async fn listen_everywhere(host: &Host) -> Result<Vec<Multiaddr>, Failure> {
    let mut addrs = host.listen(arguments::address("/ip4/0.0.0.0/tcp/4001")?).await?;
    match host.listen(arguments::address("/ip6/::/tcp/4001")?).await {
        Ok(more) => addrs.extend(more),
        Err(error) => note(format_args!("not over IPv6: {error}")),
    }
    Ok(addrs)
}
