//! What the host tells whoever listens.

use std::sync::Arc;

use bowline_identify::Info;
use bowline_identity::{Multiaddr, PeerId};
use bowline_transport::CloseReason;
use tokio::sync::broadcast;

use crate::{AddrError, ConnectionId};

/// Events that a slow reader may miss before it is told that it lagged.
pub(crate) const CAPACITY: usize = 256;

/// Something that happened on the host.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The host listens on an address, with its real port.
    Listening {
        /// The address, without `/p2p`.
        addr: Multiaddr,
    },
    /// A listener ended.
    ListenerClosed {
        /// One of its addresses.
        addr: Multiaddr,
        /// Why, or `None` when the host closed it.
        error: Option<bowline_transport::TransportError>,
    },
    /// A connection is up. It precedes every other event of the connection.
    Connected {
        /// The verified peer.
        peer: PeerId,
        /// The connection.
        connection: ConnectionId,
        /// Who dialed.
        direction: Direction,
        /// The peer's end.
        remote_addr: Multiaddr,
    },
    /// A connection ended.
    Disconnected {
        /// The peer.
        peer: PeerId,
        /// The connection.
        connection: ConnectionId,
        /// Why.
        reason: CloseReason,
        /// Connections to the peer that remain.
        remaining: usize,
    },
    /// A peer told about itself, when it connected or later.
    Identified {
        /// The peer.
        peer: PeerId,
        /// What it said.
        info: Arc<Info>,
    },
    /// An inbound link failed before it became a connection.
    InboundFailed {
        /// Where it came from.
        remote_addr: Multiaddr,
        /// Why.
        error: AddrError,
    },
}

/// Who opened a connection or a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// The peer did.
    Inbound,
    /// We did.
    Outbound,
}

/// A receiver of the host's events. It begins with the events after it was made.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
}

/// A reader was too slow and missed events; [`Host::connections`](crate::Host::connections) tells how things
/// stand now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{missed} events were missed")]
pub struct Lagged {
    /// How many.
    pub missed: u64,
}

impl Events {
    pub(crate) fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self { receiver }
    }

    /// Waits for the next event; `None` when the host has stopped.
    ///
    /// # Errors
    ///
    /// [`Lagged`] when events were missed; the next call goes on with the oldest event that is kept.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a dropped future loses no event.
    pub async fn next(&mut self) -> Option<Result<Event, Lagged>> {
        match self.receiver.recv().await {
            Ok(event) => Some(Ok(event)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Err(Lagged { missed })),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
