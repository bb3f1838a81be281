//! Observing what crosses a connection.

use std::time::Instant;

/// Which way bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From us to the peer.
    Sent,
    /// From the peer to us.
    Received,
}

/// What the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layer {
    /// Bytes as they cross the socket, in the pieces in which they crossed it.
    Socket,
    /// Messages of a negotiation in the clear, before the handshake.
    Negotiation,
    /// Messages of the handshake, each behind its length.
    Handshake,
    /// The plaintext of one record: negotiation messages first, then muxer frames, which
    /// `bowline_yamux::frame` takes apart.
    Record,
}

/// Observes one connection. It is called in place, by the task that moves the bytes, and should be quick.
///
/// Secrets are among what it sees: it is for traces and for tests.
pub trait Tap: Send {
    /// Bytes crossed a layer.
    fn observe(&mut self, now: Instant, direction: Direction, layer: Layer, bytes: &[u8]);
}
