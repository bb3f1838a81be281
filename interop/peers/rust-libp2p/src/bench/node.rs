//! A node and what drives it.

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, identify,
    multiaddr::Protocol,
    noise,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};

use crate::{
    peer_of,
    streams::{self, Control},
};

/// Twice the default, so that streams which are just being closed leave room. More would cost window: each stream
/// that may exist has 256 KiB set aside from what the others can grow by.
const STREAMS_PER_CONNECTION: usize = 1024;

/// How far a connection has to be before [`Node::dial`] is done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// It carries streams.
    Connected,
    /// The other side has also told what it is.
    Identified,
}

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    identify: identify::Behaviour,
    streams: streams::Behaviour,
}

/// A swarm with an identity of its own. Nothing happens on it except while one of its methods runs.
pub(crate) struct Node {
    swarm: Swarm<Behaviour>,
    control: Control,
}

impl Node {
    pub(crate) fn new() -> Result<Self> {
        let (streams, control) = streams::new();
        let swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, || {
                let mut config = yamux::Config::default();
                config.set_max_num_streams(STREAMS_PER_CONNECTION);
                config
            })?
            .with_behaviour(|key| Behaviour {
                identify: identify::Behaviour::new(identify::Config::new(
                    "ipfs/0.1.0".to_owned(),
                    key.public(),
                )),
                streams,
            })?
            .build();
        Ok(Self { swarm, control })
    }

    /// Opens streams on the connection that was dialed last.
    pub(crate) fn control(&self) -> Control {
        self.control.clone()
    }

    /// Gives the first address that it then listens on, with the peer's name.
    pub(crate) async fn listen(&mut self, address: Multiaddr) -> Result<Multiaddr> {
        self.swarm.listen_on(address)?;
        loop {
            match self.swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { address, .. } => {
                    return Ok(address.with(Protocol::P2p(*self.swarm.local_peer_id())));
                }
                event => stopped_listening(event)?,
            }
        }
    }

    /// Serves what comes in, until the listener fails.
    pub(crate) async fn serve(&mut self) -> Error {
        loop {
            if let Err(error) = stopped_listening(self.swarm.select_next_some().await) {
                return error;
            }
        }
    }

    /// Connects to the peer that the address names.
    pub(crate) async fn dial(&mut self, to: &Multiaddr, until: Until) -> Result<()> {
        self.swarm.dial(to.clone())?;
        loop {
            match self.swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } if until == Until::Connected => return Ok(()),
                SwarmEvent::Behaviour(BehaviourEvent::Identify(event)) => match event {
                    identify::Event::Received { .. } if until == Until::Identified => return Ok(()),
                    identify::Event::Error { error, .. } if until == Until::Identified => {
                        bail!(Error::new(error).context("identify failed"));
                    }
                    _ => {}
                },
                SwarmEvent::OutgoingConnectionError { error, .. } => {
                    bail!(Error::new(error).context("dialing failed"));
                }
                event => lost(event)?,
            }
        }
    }

    /// Goes on while `work` is done.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            // Most wake-ups are for the work.
            biased;
            done = work => done,
            error = self.keep() => Err(error),
        }
    }

    /// Goes on until a connection is lost.
    pub(crate) async fn keep(&mut self) -> Error {
        loop {
            if let Err(error) = lost(self.swarm.select_next_some().await) {
                return error;
            }
        }
    }

    /// Ends the connection to a peer in order.
    pub(crate) async fn disconnect(&mut self, peer: PeerId) -> Result<()> {
        ensure!(self.swarm.disconnect_peer_id(peer).is_ok(), "the connection was closed too early");
        loop {
            if let SwarmEvent::ConnectionClosed { .. } = self.swarm.select_next_some().await {
                return Ok(());
            }
        }
    }
}

/// The peer and the address to dial it at.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) peer: PeerId,
    pub(crate) address: Multiaddr,
}

impl Server {
    pub(crate) fn at(address: Multiaddr) -> Result<Self> {
        Ok(Self { peer: peer_of(&address)?, address })
    }
}

fn stopped_listening(event: SwarmEvent<BehaviourEvent>) -> Result<()> {
    match event {
        SwarmEvent::ListenerClosed { reason, .. } => {
            reason.context("a listener failed")?;
            bail!("a listener was closed")
        }
        SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener has trouble"),
        SwarmEvent::IncomingConnectionError { error, .. } => {
            tracing::warn!(%error, "an incoming connection failed");
        }
        _ => {}
    }
    Ok(())
}

fn lost(event: SwarmEvent<BehaviourEvent>) -> Result<()> {
    match event {
        SwarmEvent::ConnectionClosed { cause: Some(cause), .. } => {
            Err(Error::new(cause).context("the connection was lost"))
        }
        SwarmEvent::ConnectionClosed { .. } => Err(anyhow!("the connection was closed")),
        _ => Ok(()),
    }
}
