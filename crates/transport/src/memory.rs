//! Links that never leave the process, for tests and simulations.
//!
//! One [`MemoryTransport`] is one network: its clones reach each other at `/memory/<number>` addresses.

mod connection;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use bowline_identity::{Multiaddr, PeerId};
use tokio::sync::mpsc;

use crate::{BoxFuture, Connected, Link, Listener, Socket, Transport, TransportError};

pub use connection::MemoryConnection;

/// Links that were dialed and not accepted yet, per listener.
const BACKLOG: usize = 64;

/// Bytes in flight in each direction of an in-memory socket.
const SOCKET_BUFFER: usize = 256 * 1024;

/// An in-memory network of `/memory/<number>` addresses.
#[derive(Clone)]
pub struct MemoryTransport {
    network: Arc<Mutex<Network>>,
    /// Who we are, when this transport gives muxed links; `None` gives raw sockets.
    peer: Option<PeerId>,
}

#[derive(Default)]
struct Network {
    listeners: BTreeMap<u64, Listening>,
    next_port: u64,
}

#[derive(Clone)]
struct Listening {
    sender: mpsc::Sender<Connected>,
    peer: Option<PeerId>,
}

impl MemoryTransport {
    /// Makes a network whose links are raw sockets: the swarm runs the whole upgrade over them.
    #[must_use]
    pub fn sockets() -> Self {
        Self { network: Arc::default(), peer: None }
    }

    /// Makes a network whose links are muxed connections, and joins it as `peer`.
    #[must_use]
    pub fn muxed(peer: PeerId) -> Self {
        Self { network: Arc::default(), peer: Some(peer) }
    }

    /// Joins the network of `self` as another peer.
    #[must_use]
    pub fn join(&self, peer: PeerId) -> Self {
        Self { network: Arc::clone(&self.network), peer: self.peer.map(|_| peer) }
    }

    fn port(addr: &Multiaddr) -> Option<u64> {
        let text = addr.to_string();
        text.strip_prefix("/memory/")?.parse().ok()
    }

    fn address(port: u64) -> Multiaddr {
        format!("/memory/{port}").parse().unwrap_or_else(|_| Multiaddr::empty())
    }

    fn connect(&self, port: u64) -> Result<Connected, TransportError> {
        let mut network = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        let listening = network.listeners.get(&port).cloned().ok_or(TransportError::Refused)?;
        let local = Self::address(network.free_port());
        let remote = Self::address(port);
        let (here, there) = links(self.peer, listening.peer);
        let inbound = Connected { link: there, local_addr: remote.clone(), remote_addr: local.clone() };
        listening.sender.try_send(inbound).map_err(|_| TransportError::Refused)?;
        Ok(Connected { link: here, local_addr: local, remote_addr: remote })
    }
}

/// The two ends of a new link: muxed where both peers are known, else a raw socket.
fn links(dialer: Option<PeerId>, listener: Option<PeerId>) -> (Link, Link) {
    if let (Some(dialer), Some(listener)) = (dialer, listener) {
        let (here, there) = MemoryConnection::pair();
        return (
            Link::Muxed { peer: listener, connection: Arc::new(here) },
            Link::Muxed { peer: dialer, connection: Arc::new(there) },
        );
    }
    let (here, there) = tokio::io::duplex(SOCKET_BUFFER);
    (Link::Socket(Socket::from_stream(here)), Link::Socket(Socket::from_stream(there)))
}

impl Network {
    fn free_port(&mut self) -> u64 {
        loop {
            self.next_port += 1;
            let port = (1 << 32) + self.next_port;
            if !self.listeners.contains_key(&port) {
                return port;
            }
        }
    }
}

impl fmt::Debug for MemoryTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTransport").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Transport for MemoryTransport {
    fn can_dial(&self, addr: &Multiaddr) -> bool {
        Self::port(addr).is_some()
    }

    fn can_listen(&self, addr: &Multiaddr) -> bool {
        Self::port(addr).is_some()
    }

    fn resolve<'a>(&'a self, addr: &'a Multiaddr) -> BoxFuture<'a, Result<Vec<Multiaddr>, TransportError>> {
        Box::pin(async move { Ok(vec![addr.clone()]) })
    }

    fn dial<'a>(&'a self, addr: &'a Multiaddr) -> BoxFuture<'a, Result<Connected, TransportError>> {
        Box::pin(async move { self.connect(Self::port(addr).ok_or(TransportError::Unsupported)?) })
    }

    fn listen<'a>(&'a self, addr: &'a Multiaddr) -> BoxFuture<'a, Result<Box<dyn Listener>, TransportError>> {
        Box::pin(async move {
            let asked = Self::port(addr).ok_or(TransportError::Unsupported)?;
            let mut network = self.network.lock().unwrap_or_else(PoisonError::into_inner);
            let port = if asked == 0 { network.free_port() } else { asked };
            if network.listeners.contains_key(&port) {
                return Err(TransportError::AddressInUse);
            }
            let (sender, inbound) = mpsc::channel(BACKLOG);
            network.listeners.insert(port, Listening { sender, peer: self.peer });
            let listener = MemoryListener { port, inbound, network: Arc::clone(&self.network) };
            Ok(Box::new(listener) as Box<dyn Listener>)
        })
    }
}

/// A listener on one `/memory` address.
struct MemoryListener {
    port: u64,
    inbound: mpsc::Receiver<Connected>,
    network: Arc<Mutex<Network>>,
}

impl fmt::Debug for MemoryListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryListener").field("port", &self.port).finish_non_exhaustive()
    }
}

impl Listener for MemoryListener {
    fn addresses(&self) -> Vec<Multiaddr> {
        vec![MemoryTransport::address(self.port)]
    }

    fn accept(&mut self) -> BoxFuture<'_, Result<Connected, TransportError>> {
        Box::pin(async move { self.inbound.recv().await.ok_or(TransportError::Unreachable) })
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        let mut network = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        network.listeners.remove(&self.port);
    }
}
