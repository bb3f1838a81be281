//! What the swarm needs of a transport, and nothing more.
//!
//! A transport turns an address into a [`Link`]. There are two kinds: a raw byte stream, which the swarm
//! secures and muxes itself, and a connection that is secured and muxed already. TCP gives the first; a
//! transport such as QUIC gives the second, and so does the in-memory transport of [`memory`]. The swarm sees
//! both as one [`MuxedConnection`]:
//!
//! ```text
//!  Transport::dial(addr) ──> Link::Socket ──(upgrade: multistream, noise, yamux)──┐
//!                        └─> Link::Muxed ─────────────────────────────────────────┴─> dyn MuxedConnection
//! ```
//!
//! ```
//! use bowline_transport::{Link, Transport, memory::MemoryTransport};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let transport = MemoryTransport::sockets();
//! let mut listener = transport.listen(&"/memory/7".parse()?).await?;
//! let dialed = transport.dial(&"/memory/7".parse()?).await?;
//! let accepted = listener.accept().await?;
//! assert!(matches!((dialed.link, accepted.link), (Link::Socket(_), Link::Socket(_))));
//! # Ok(())
//! # }
//! ```

mod error;
pub mod memory;
mod muxed;
mod socket;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use bowline_identity::{Multiaddr, PeerId};

pub use error::{CloseReason, Party, StreamError, TransportError};
pub use muxed::{ConnectionStats, MuxedConnection, StreamId};
pub use socket::{Socket, SocketReader, SocketWrite, SocketWriter};

/// A boxed future, so that [`Transport`] and [`Listener`] are usable as trait objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a transport connects two ends with.
pub enum Link {
    /// A raw byte stream; the swarm runs the upgrade over it.
    Socket(Socket),
    /// A connection whose peer is verified and whose streams are muxed by the transport itself.
    Muxed {
        /// The verified peer at the other end.
        peer: PeerId,
        /// The connection.
        connection: Arc<dyn MuxedConnection>,
    },
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(_) => f.write_str("Socket"),
            Self::Muxed { peer, .. } => f.debug_struct("Muxed").field("peer", peer).finish_non_exhaustive(),
        }
    }
}

/// A link with the addresses of its two ends.
#[derive(Debug)]
pub struct Connected {
    /// The link.
    pub link: Link,
    /// Our end, as the transport sees it.
    pub local_addr: Multiaddr,
    /// The other end, as the transport sees it; never with `/p2p`.
    pub remote_addr: Multiaddr,
}

/// A way to reach peers.
///
/// All methods take addresses without a trailing `/p2p` component.
pub trait Transport: Send + Sync + fmt::Debug + 'static {
    /// Whether this transport can dial `addr`, before names in it are resolved.
    fn can_dial(&self, addr: &Multiaddr) -> bool;

    /// Whether this transport can listen on `addr`.
    fn can_listen(&self, addr: &Multiaddr) -> bool;

    /// Resolves the names in `addr` into addresses that [`dial`](Self::dial) takes.
    ///
    /// An address without names resolves to itself. A `/dnsaddr` may resolve to addresses with a `/p2p`
    /// suffix. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`TransportError::Resolve`] when a name does not resolve.
    fn resolve<'a>(&'a self, addr: &'a Multiaddr) -> BoxFuture<'a, Result<Vec<Multiaddr>, TransportError>>;

    /// Connects to `addr`. Dropping the future abandons the attempt. The deadline is the caller's.
    ///
    /// # Errors
    ///
    /// One typed cause, such as [`TransportError::Refused`].
    fn dial<'a>(&'a self, addr: &'a Multiaddr) -> BoxFuture<'a, Result<Connected, TransportError>>;

    /// Listens on `addr`.
    ///
    /// # Errors
    ///
    /// When the address is not of this transport, in use, or not allowed.
    fn listen<'a>(&'a self, addr: &'a Multiaddr) -> BoxFuture<'a, Result<Box<dyn Listener>, TransportError>>;
}

/// A listening socket. Dropping it frees the address.
pub trait Listener: Send + fmt::Debug + 'static {
    /// The addresses on which peers can reach this listener now: real ports, and for an unspecified address
    /// those of the interfaces.
    fn addresses(&self) -> Vec<Multiaddr>;

    /// Waits for the next inbound link. Cancel-safe: a dropped future loses no link.
    ///
    /// A listener survives what passes by itself, such as a lack of file descriptors; it waits and goes on.
    ///
    /// # Errors
    ///
    /// When the listener cannot go on; it gives no more links.
    fn accept(&mut self) -> BoxFuture<'_, Result<Connected, TransportError>>;
}
