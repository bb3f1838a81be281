//! TCP for the swarm: dialing, listening, and the names in front of both.
//!
//! ```text
//!  /dnsaddr/… ──TXT──┐
//!  /dns4/…/tcp/n ──A─┴─> resolve ──> /ip4/…/tcp/n ──> dial ───> Connected { link, both addresses }
//!
//!  /ip4/0.0.0.0/tcp/0 ─────────────> listen ──> addresses(): real port, every interface
//!                                       └─────> accept(): survives a lack of descriptors
//! ```
//!
//! ```
//! use bowline_tcp::TcpTransport;
//! use bowline_transport::Transport;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tcp = TcpTransport::default();
//! let mut listener = tcp.listen(&"/ip4/127.0.0.1/tcp/0".parse()?).await?;
//! let address = listener.addresses()[0].clone();
//! let (dialed, accepted) = tokio::try_join!(tcp.dial(&address), listener.accept())?;
//! assert_eq!(dialed.local_addr, accepted.remote_addr);
//! # Ok(())
//! # }
//! ```
//!
//! An address here is an IPv4 or IPv6 address with a TCP port and nothing behind it but an optional
//! `/p2p`; whatever else the registry knows about is `Unsupported`. IPv6 sockets carry IPv6 only, so
//! that one address means one socket on every operating system.

mod address;
mod listener;
mod options;
pub mod resolve;
mod socket;
mod writer;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, PoisonError},
};

use bowline_identity::Multiaddr;
use bowline_transport::{BoxFuture, Connected, Link, Listener, Socket, Transport, TransportError};
use tokio::{net::TcpStream, time::timeout};

use listener::{ListenAddrs, TcpListener};
pub use options::TcpOptions;
use resolve::Resolver;
use writer::TcpWriter;

/// Dials and listens on `/ip4` and `/ip6` addresses with `/tcp`, and on names that lead to them.
///
/// A clone shares its listeners' addresses, which port reuse dials from, and its resolver.
#[derive(Debug, Clone)]
pub struct TcpTransport {
    options: TcpOptions,
    resolver: Option<Arc<dyn Resolver>>,
    listening: ListenAddrs,
}

impl Default for TcpTransport {
    /// Default options; names through the system's name servers where the feature `dns` is on.
    fn default() -> Self {
        Self::new(TcpOptions::default())
    }
}

impl TcpTransport {
    /// A transport with `options`; names as in [`default`](Self::default).
    #[must_use]
    pub fn new(options: TcpOptions) -> Self {
        #[cfg(feature = "dns")]
        let resolver = Some(Arc::new(resolve::DnsResolver::system()) as Arc<dyn Resolver>);
        #[cfg(not(feature = "dns"))]
        let resolver = None;
        Self { options, resolver, listening: Arc::default() }
    }

    /// A transport that looks names up through `resolver`, or with `None` takes no names.
    #[must_use]
    pub fn with_resolver(options: TcpOptions, resolver: Option<Arc<dyn Resolver>>) -> Self {
        Self { options, resolver, listening: Arc::default() }
    }

    /// The address of a listener of ours that a dial to `remote` may leave from.
    fn reusable_port(&self, remote: SocketAddr) -> Option<SocketAddr> {
        if !self.options.port_reuse {
            return None;
        }
        let listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |local: &&SocketAddr| {
            local.is_ipv4() == remote.is_ipv4()
                && (local.ip().is_unspecified() || local.ip().is_loopback() == remote.ip().is_loopback())
        };
        listening.iter().find(fits).copied()
    }

    async fn connect(&self, remote: SocketAddr) -> Result<TcpStream, TransportError> {
        let connecting = async {
            if let Some(local) = self.reusable_port(remote) {
                match socket::connect(&self.options, remote, Some(local)).await {
                    // The pair of addresses is taken, by a connection that lives or has just ended:
                    // an ephemeral port is better than none.
                    Err(TransportError::AddressInUse | TransportError::Unreachable) => {}
                    outcome => return outcome,
                }
            }
            socket::connect(&self.options, remote, None).await
        };
        timeout(self.options.connect_timeout, connecting).await.map_err(|_| TransportError::TimedOut)?
    }
}

impl Transport for TcpTransport {
    fn can_dial(&self, addr: &Multiaddr) -> bool {
        address::dialable(addr).is_some() || (self.resolver.is_some() && resolve::is_name(addr))
    }

    fn can_listen(&self, addr: &Multiaddr) -> bool {
        address::socket_addr(addr).is_some()
    }

    fn resolve<'a>(&'a self, addr: &'a Multiaddr) -> BoxFuture<'a, Result<Vec<Multiaddr>, TransportError>> {
        Box::pin(async move {
            if address::dialable(addr).is_some() {
                return Ok(vec![addr.clone()]);
            }
            match &self.resolver {
                Some(resolver) => resolve::resolve(resolver.as_ref(), addr).await,
                None => Err(TransportError::Unsupported),
            }
        })
    }

    /// Connects within [`TcpOptions::connect_timeout`]. Cancel-safe: a dropped future closes its socket.
    fn dial<'a>(&'a self, addr: &'a Multiaddr) -> BoxFuture<'a, Result<Connected, TransportError>> {
        Box::pin(async move {
            let remote = address::dialable(addr).ok_or(TransportError::Unsupported)?;
            let stream = self.connect(remote).await?;
            Ok(connected(stream, remote, &self.options)?)
        })
    }

    fn listen<'a>(&'a self, addr: &'a Multiaddr) -> BoxFuture<'a, Result<Box<dyn Listener>, TransportError>> {
        Box::pin(async move {
            let addr = address::socket_addr(addr).ok_or(TransportError::Unsupported)?;
            let listener = TcpListener::bind(addr, &self.options, Arc::clone(&self.listening))?;
            Ok(Box::new(listener) as Box<dyn Listener>)
        })
    }
}

/// A connected stream with the addresses of its ends.
fn connected(stream: TcpStream, remote: SocketAddr, options: &TcpOptions) -> io::Result<Connected> {
    let local = stream.local_addr()?;
    let (reader, half) = stream.into_split();
    let writer = TcpWriter { half, limited: options.notsent_lowat.is_some() };
    Ok(Connected {
        link: Link::Socket(Socket::new(reader, writer)),
        local_addr: address::multiaddr(local),
        remote_addr: address::multiaddr(remote),
    })
}
