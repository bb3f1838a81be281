//! Content over connections that the program has no command for: served where we dialed, fetched where we were dialed.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use bowline_bitswap::Sources;
use bowline_block::Cid;
use bowline_blockstore::{OpenOptions, Repository};
use bowline_exchange::{
    Exchange, ExchangeConfig,
    files::{self, GetOptions, Source},
};
use bowline_identity::{Keypair, Multiaddr, address};
use bowline_swarm::{Event, Host};
use serde_json::json;

use crate::report;

/// Dials a node and serves it a store, until killed.
pub(crate) async fn serve_dialed(store: &Path, target: &Multiaddr) -> Result<()> {
    let repository = Repository::open(store, OpenOptions::default())?;
    let host = Host::builder(Keypair::generate()).start().await?;
    let _exchange = Exchange::start(&host, repository.blocks(), ExchangeConfig::default())?;
    let connection = host.connect(target).await?;
    report(&json!({"event": "connected", "peer": connection.peer().to_string()}))?;
    tokio::select! {
        reason = connection.closed() => anyhow::bail!("the connection ended: {reason}"),
        () = terminated() => {}
    }
    host.shutdown(Duration::from_secs(1)).await;
    Ok(())
}

/// Waits for a node that dials, and fetches from it.
pub(crate) async fn get_from_dialer(store: &Path, out: &PathBuf, cid: Cid) -> Result<()> {
    let repository = Repository::open(store, OpenOptions::default())?;
    let host = Host::builder(Keypair::generate()).start().await?;
    let exchange = Exchange::start(&host, repository.blocks(), ExchangeConfig::default())?;
    let mut events = host.events();
    for addr in host.listen("/ip4/127.0.0.1/tcp/0".parse()?).await? {
        let addr = address::with_peer_id(addr, host.peer_id());
        report(&json!({"event": "listening", "addr": addr.to_string()}))?;
    }
    while !matches!(events.next().await.context("the host stopped")?, Ok(Event::Connected { .. })) {}
    let source = Source::network(&exchange, Sources::Any, Some(repository.blocks()));
    match files::get(&source, cid, out, &GetOptions::default()).await {
        Ok(got) => report(&json!({"cid": got.cid.to_string(), "bytes": got.bytes}))?,
        Err(error) => report(&json!({"error": error.to_string()}))?,
    }
    terminated().await;
    Ok(())
}

async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}
