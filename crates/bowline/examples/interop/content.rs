//! Files over a connection that the other side of the transfer dialed.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use bowline::{Cid, Multiaddr, Node, swarm};
use bowline_identity::address;
use serde_json::json;

use crate::report;

const GRACE: Duration = Duration::from_secs(5);

/// Dials a peer and serves a store to it until SIGTERM.
pub(crate) async fn serve_dialed(store: &Path, target: Multiaddr) -> Result<()> {
    let node = Node::builder().store(store).start().await?;
    let connection = node.host().connect(&target).await?;
    report(&json!({"event": "connected", "peer": connection.peer().to_string()}))?;
    terminated().await?;
    node.shutdown(GRACE).await;
    Ok(())
}

/// Waits for a peer to dial, and gets a CID from it over that connection.
pub(crate) async fn get_from_dialer(store: &Path, cid: Cid, out: &Path) -> Result<()> {
    let node = Node::builder().store(store).start().await?;
    let mut events = node.host().events();
    for addr in node.host().listen("/ip4/127.0.0.1/tcp/0".parse()?).await? {
        let addr = address::with_peer_id(addr, node.peer_id());
        report(&json!({"event": "listening", "addr": addr.to_string()}))?;
    }
    let dialer = loop {
        let event = events.next().await.context("the host stopped")??;
        if let swarm::Event::Connected { peer, remote_addr, direction: swarm::Direction::Inbound, .. } = event
        {
            // The far end of an inbound connection is no place to dial: only that connection can serve.
            break address::with_peer_id(remote_addr, peer);
        }
    };
    match node.get(cid, [dialer], out).await {
        Ok(got) => report(&json!({"cid": got.cid.to_string(), "bytes": got.bytes}))?,
        Err(error) => report(&json!({"error": error.to_string()}))?,
    }
    node.shutdown(GRACE).await;
    Ok(())
}

#[cfg(unix)]
async fn terminated() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    signal(SignalKind::terminate())?.recv().await;
    Ok(())
}

#[cfg(not(unix))]
async fn terminated() -> Result<()> {
    Ok(tokio::signal::ctrl_c().await?)
}
