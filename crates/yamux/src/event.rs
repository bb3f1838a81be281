//! What a session tells its owner.

use bytes::Bytes;

use crate::{CloseReason, StreamId};

/// Something happened. Drain with [`Session::poll_event`](crate::Session::poll_event).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The peer opened a stream. It belongs to the owner now, who must release it.
    Incoming(StreamId),
    /// A stream that had nothing to read has data, its end, or an error.
    Readable(StreamId),
    /// A stream whose queue was full has room again, or an error.
    Writable(StreamId),
    /// A stream can be opened again after [`OpenError::Backlog`](crate::OpenError::Backlog).
    OpenAvailable,
    /// The peer said go-away: no more streams are opened. After code 0 those that are open may go on for as long as
    /// the transport lives, and those of ours that it was not told of yet end with
    /// [`code::stream::SHUTDOWN`](crate::code::stream::SHUTDOWN). After any other code [`Closed`](Self::Closed)
    /// follows.
    GoAway {
        /// What it said.
        code: u32,
    },
    /// The session is over. What streams have received can still be read.
    Closed(CloseReason),
}

/// What a read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// Bytes; none only when the caller asked for none.
    Data(Bytes),
    /// Nothing now. [`Event::Readable`] follows.
    Pending,
    /// The clean end: the peer finished, and everything before was read.
    Finished,
}
