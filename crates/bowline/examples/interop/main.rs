//! What the interop tests need and the `bowline` program has no command for. One JSON object a line.
//!
//! `listen` and `dial` take the same options and print the same lines as the rust-libp2p node in
//! `interop/peers/rust-libp2p`, so that the tests can put either program on either side.

mod content;
mod protocols;
mod script;

use std::{io::Write, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use bowline::Cid;
use bowline_identity::{Keypair, Multiaddr, address};
use bowline_swarm::{Config, Host};
use clap::{Parser, Subcommand};
use serde_json::{Value, json};

#[derive(Parser)]
#[command(about = "The library's side of the interop tests")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the stream protocols until killed.
    Listen {
        #[arg(default_value = "/ip4/127.0.0.1/tcp/0")]
        address: Multiaddr,
    },
    /// Run the checks against a node and exit.
    Dial {
        /// Must end in `/p2p/…`.
        address: Multiaddr,
        #[command(flatten)]
        plan: script::Plan,
    },
    /// Dial a peer, and serve a store to it until SIGTERM.
    ServeDialed {
        #[arg(long, value_name = "DIR")]
        store: PathBuf,
        address: Multiaddr,
    },
    /// Wait for a peer to dial, and get a CID from it.
    GetFromDialer {
        #[arg(long, value_name = "DIR")]
        store: PathBuf,
        #[arg(long)]
        out: PathBuf,
        cid: Cid,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match Args::parse().command {
        Command::Listen { address } => listen(address).await,
        Command::Dial { address, plan } => dial(address, plan).await,
        Command::ServeDialed { store, address } => content::serve_dialed(&store, address).await,
        Command::GetFromDialer { store, out, cid } => content::get_from_dialer(&store, cid, &out).await,
    }
}

async fn listen(listen: Multiaddr) -> Result<()> {
    let config = Config { serve_perf: true, ..Config::default() };
    let host = Host::builder(Keypair::generate()).config(config).start().await?;
    // Every protocol is served before the first peer can ask for it.
    let serving = protocols::serve(&host)?;
    for addr in host.listen(listen).await? {
        let addr = address::with_peer_id(addr, host.peer_id());
        report(&json!({"event": "listening", "addr": addr.to_string()}))?;
    }
    serving.await;
    Ok(())
}

async fn dial(target: Multiaddr, plan: script::Plan) -> Result<()> {
    let peer = address::peer_id(&target).context("the address must end in /p2p/…")?;
    let host = Host::builder(Keypair::generate()).start().await?;
    tokio::time::timeout(plan.deadline(), async {
        host.connect(&target).await?;
        script::run(&host, peer, &plan).await
    })
    .await
    .context("the script did not end in time")??;
    host.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

/// Prints one JSON object.
fn report(line: &Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
