//! rust-libp2p as one side of a benchmark: TCP, Noise, Yamux, identify, and the protocols of `protocols.rs`.
//!
//! `bench-serve` serves until its stdin ends. `bench-run` prepares, says that it is ready, runs one job after
//! a line on stdin, prints what it measured and waits for the end of stdin. Standard output carries JSON, one
//! object a line.
//!
//! Configuration is rust-libp2p's default, except that connections are kept although they are idle, and that
//! more streams may be open.

#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock, and its tasks end with the program"
)]

mod arguments;
mod dials;
mod jobs;
mod lines;
mod node;
mod protocols;
mod requests;
mod streams;
mod transfers;

use std::{io, net::SocketAddr};

use anyhow::{Context, Result, bail};
use clap::Parser;
use libp2p::{Multiaddr, multiaddr::Protocol};

use crate::{
    arguments::{Arguments, Runtime, Side},
    node::Node,
};

fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(io::stderr)
        .init();
    match Arguments::parse().side {
        Side::BenchServe { listen, runtime } => block_on(runtime, serve(listen)),
        Side::BenchRun { to, runtime, job } => block_on(runtime, jobs::run(to, job)),
    }
}

/// Runs `work` as a task: the thread that starts a runtime is woken in a slower way than the tasks on it, and a
/// user's code runs in tasks.
fn block_on(runtime: Runtime, work: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
    let mut builder = match runtime {
        Runtime::Multi => tokio::runtime::Builder::new_multi_thread(),
        Runtime::OneThread => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = builder.enable_all().build()?;
    let result = runtime.block_on(async { tokio::spawn(work).await? });
    // After a failure a thread may still wait for stdin; nobody waits for that thread.
    runtime.shutdown_background();
    result
}

/// Serves the protocols of the benchmark until stdin ends.
async fn serve(listen: SocketAddr) -> Result<()> {
    let mut node = Node::new()?;
    let address = node.listen(Multiaddr::from(listen.ip()).with(Protocol::Tcp(listen.port()))).await?;
    lines::listening(&address)?;
    let ended = tokio::task::spawn_blocking(lines::until_stdin_ends);
    tokio::select! {
        ended = ended => ended?,
        error = node.serve() => bail!(error.context("the node stopped serving")),
    }
}

/// The peer that an address ends with.
fn peer_of(address: &Multiaddr) -> Result<libp2p::PeerId> {
    let peer = address.iter().last().and_then(|part| match part {
        Protocol::P2p(peer) => Some(peer),
        _ => None,
    });
    peer.context("the address must end in /p2p/…")
}
