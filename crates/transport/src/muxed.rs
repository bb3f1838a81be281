//! The one view that the swarm has of a connection.

use std::{
    fmt,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;

use crate::{CloseReason, StreamError};

/// Names a stream within its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// A secured connection that carries many streams.
///
/// All methods are safe to call from several tasks. Each stream has one reader and one writer at a time:
/// only the last waker of each is kept. Everything a method commits is committed when it returns, so a
/// future built on it may be dropped at any await.
pub trait MuxedConnection: Send + Sync + fmt::Debug + 'static {
    /// Opens a stream; pending while the peer owes acknowledgements for too many.
    fn poll_open(&self, cx: &mut Context<'_>) -> Poll<Result<StreamId, CloseReason>>;

    /// Takes the next stream that the peer opened. One task at a time may wait.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<StreamId, CloseReason>>;

    /// Reads at most `max` bytes; `Ok(None)` is the clean end. Everything that arrived before a lost
    /// connection is delivered before the error.
    fn poll_read(
        &self,
        cx: &mut Context<'_>,
        id: StreamId,
        max: usize,
    ) -> Poll<Result<Option<Bytes>, StreamError>>;

    /// Takes a prefix of `data`, without copying it where that pays, and says how much.
    fn poll_write(
        &self,
        cx: &mut Context<'_>,
        id: StreamId,
        data: &mut Bytes,
    ) -> Poll<Result<usize, StreamError>>;

    /// Takes a copy of a prefix of `data`, and says how long it is.
    fn poll_write_slice(
        &self,
        cx: &mut Context<'_>,
        id: StreamId,
        data: &[u8],
    ) -> Poll<Result<usize, StreamError>> {
        self.poll_write(cx, id, &mut Bytes::copy_from_slice(data))
    }

    /// Ends our direction; everything written before is delivered first.
    ///
    /// # Errors
    ///
    /// When the stream or the connection ended before.
    fn finish(&self, id: StreamId) -> Result<(), StreamError>;

    /// Ends both directions at once with `code`. Does nothing on a stream that ended.
    fn reset(&self, id: StreamId, code: u32);

    /// Gives the stream back. Finished: what was written is still delivered. Not finished: reset with code 0.
    fn release(&self, id: StreamId);

    /// Ends the connection with `code`; what streams have queued is not waited for.
    fn close(&self, code: u32);

    /// Waits until the connection has ended.
    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<CloseReason>;

    /// Why the connection takes no more streams, if it does not: it has ended, or one side said that it will.
    fn close_reason(&self) -> Option<CloseReason>;

    /// Numbers about the connection, as of now.
    fn stats(&self) -> ConnectionStats;
}

/// Numbers about one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionStats {
    /// The smallest round-trip time seen lately, when one was measured.
    pub rtt: Option<Duration>,
    /// Streams that are open in either direction.
    pub streams: usize,
    /// Payload bytes received on streams.
    pub bytes_received: u64,
    /// Payload bytes accepted for sending on streams.
    pub bytes_sent: u64,
    /// Bytes that streams accepted and the transport has not taken yet.
    pub bytes_queued: usize,
}
