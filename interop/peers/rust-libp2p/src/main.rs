//! A rust-libp2p node that Bowline is tested against: TCP, Noise, Yamux, identify, ping, and the stream
//! protocols of `protocols.rs`. It speaks JSON on standard output, one object a line.
//!
//! `listen` serves until it is killed. `dial ADDR` runs a script of checks against a node and prints what
//! it saw; judging it is the caller's work.

mod protocols;
mod script;
mod streams;

use std::{io::Write, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder,
    core::upgrade::Version,
    identify,
    multiaddr::Protocol,
    noise, ping,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::protocols::Counts;

#[derive(Parser)]
#[command(about = "A rust-libp2p node that Bowline is tested against")]
struct Args {
    /// Send the first bytes of a stream together with its protocol's name.
    #[arg(long, global = true)]
    lazy: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until killed.
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
}

#[derive(NetworkBehaviour)]
struct Node {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    streams: streams::Behaviour,
}

/// What the script waits for.
#[derive(Clone, Debug)]
enum Seen {
    Connected(PeerId),
    Identified(PeerId, Box<identify::Info>),
    Pinged(PeerId, Duration),
    Failed(String),
    Disconnected(PeerId),
}

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let args = Args::parse();
    let counts = Arc::new(Counts::default());
    let (behaviour, control) = streams::new(Arc::clone(&counts));
    let mut swarm = swarm(behaviour, args.lazy)?;
    let (seen, receiver) = broadcast::channel(1024);
    match args.command {
        Command::Listen { address } => {
            swarm.listen_on(address)?;
            run(&mut swarm, &seen).await;
        }
        Command::Dial { address, plan } => {
            let peer = match address.iter().last() {
                Some(Protocol::P2p(peer)) => peer,
                _ => anyhow::bail!("the address must end in /p2p/…"),
            };
            swarm.dial(address)?;
            let script = tokio::time::timeout(plan.deadline(), script::run(peer, plan, control, receiver));
            tokio::select! {
                () = run(&mut swarm, &seen) => {}
                done = script => done.context("the script did not end in time")??,
            }
        }
    }
    Ok(())
}

fn swarm(streams: streams::Behaviour, lazy: bool) -> Result<Swarm<Node>> {
    Ok(SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|key| Node {
            identify: identify::Behaviour::new(
                identify::Config::new("ipfs/0.1.0".to_owned(), key.public())
                    .with_agent_version("bowline-interop/rust-libp2p-0.57.1".to_owned()),
            ),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_millis(200))),
            streams,
        })?
        .with_swarm_config(|config| {
            let config = config.with_idle_connection_timeout(Duration::from_secs(3600));
            if lazy { config.with_substream_upgrade_protocol_override(Version::V1Lazy) } else { config }
        })
        .build())
}

/// Drives the swarm for ever, and says what happens.
async fn run(swarm: &mut Swarm<Node>, seen: &broadcast::Sender<Seen>) {
    let local = *swarm.local_peer_id();
    while let Some(event) = swarm.next().await {
        let (line, event) = describe(local, event);
        if let Some(line) = line {
            report(&line);
        }
        if let Some(event) = event {
            // Nobody listens in `listen` mode.
            let _ = seen.send(event);
        }
    }
}

fn describe(local: PeerId, event: SwarmEvent<NodeEvent>) -> (Option<Value>, Option<Seen>) {
    match event {
        SwarmEvent::NewListenAddr { address, .. } => {
            let address = address.with(Protocol::P2p(local));
            (Some(json!({"event": "listening", "addr": address.to_string()})), None)
        }
        SwarmEvent::ConnectionEstablished { peer_id, .. } => {
            (Some(json!({"event": "connected", "peer": peer_id.to_string()})), Some(Seen::Connected(peer_id)))
        }
        SwarmEvent::ConnectionClosed { peer_id, cause, .. } => (
            Some(json!({"event": "disconnected", "peer": peer_id.to_string(),
                "cause": cause.map(|cause| cause.to_string())})),
            Some(Seen::Disconnected(peer_id)),
        ),
        SwarmEvent::OutgoingConnectionError { error, .. } => (
            Some(json!({"event": "dial-failed", "error": error.to_string()})),
            Some(Seen::Failed(error.to_string())),
        ),
        SwarmEvent::IncomingConnectionError { error, .. } => {
            (Some(json!({"event": "incoming-failed", "error": error.to_string()})), None)
        }
        SwarmEvent::Behaviour(NodeEvent::Identify(identify::Event::Received { peer_id, info, .. })) => {
            (Some(identified(peer_id, &info)), Some(Seen::Identified(peer_id, Box::new(info))))
        }
        SwarmEvent::Behaviour(NodeEvent::Ping(event)) => match event.result {
            Ok(time) => (None, Some(Seen::Pinged(event.peer, time))),
            Err(error) => (
                Some(json!({"event": "ping-failed", "error": error.to_string()})),
                Some(Seen::Failed(error.to_string())),
            ),
        },
        _ => (None, None),
    }
}

fn identified(peer: PeerId, info: &identify::Info) -> Value {
    json!({
        "event": "identified",
        "peer": peer.to_string(),
        "key": info.public_key.to_peer_id().to_string(),
        "agent": info.agent_version,
        "protocol_version": info.protocol_version,
        "protocols": info.protocols.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "listen_addrs": info.listen_addrs.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "observed_addr": info.observed_addr.to_string(),
        "signed_record": info.signed_peer_record.is_some(),
    })
}

/// Prints one JSON object; a caller that went away ends the program.
fn report(line: &Value) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        std::process::exit(1);
    }
}
