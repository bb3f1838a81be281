//! What can go wrong, one enum per operation; and what the peer is told about it.

use crate::{StreamId, code::connection};

/// How the peer broke the session. The session is over; [`Session::poll_transmit`](crate::Session::poll_transmit)
/// still yields the farewell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// A frame of another protocol version.
    #[error("the peer sent a frame of version {version}")]
    Version {
        /// The version it claimed.
        version: u8,
    },
    /// A frame of no known type.
    #[error("the peer sent a frame of type {kind}")]
    Kind {
        /// The type it claimed.
        kind: u8,
    },
    /// A stream frame for stream 0.
    #[error("the peer sent a stream frame for stream 0")]
    StreamZero,
    /// A stream was opened with an id that is ours to open.
    #[error("the peer opened stream {id}, which is not its to open")]
    Parity {
        /// The id.
        id: StreamId,
    },
    /// A stream was opened that is open already.
    #[error("the peer opened stream {id} twice")]
    DuplicateSyn {
        /// The id.
        id: StreamId,
    },
    /// More payload than there was credit for.
    #[error("the peer sent {length} bytes on stream {id} with credit for {credit}")]
    WindowExceeded {
        /// The stream.
        id: StreamId,
        /// Body length of the frame.
        length: u32,
        /// Credit before the frame.
        credit: u32,
    },
    /// More credit than a window can hold.
    #[error("the peer gave more credit on stream {id} than a window can hold")]
    CreditOverflow {
        /// The stream.
        id: StreamId,
    },
    /// More of one thing than any peer needs.
    #[error("the peer sent too many {0}")]
    Flood(Flood),
}

/// What a flood is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flood {
    /// Frames that carry nothing.
    EmptyFrames,
    /// Streams that it opened and reset before anything was delivered.
    Resets,
    /// Streams that had to be refused while it did not read the refusals.
    Refusals,
}

impl std::fmt::Display for Flood {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::EmptyFrames => "frames that carry nothing",
            Self::Resets => "streams that it reset at once",
            Self::Refusals => "streams that had to be refused",
        })
    }
}

impl SessionError {
    /// The id of the conformance clause that the peer broke.
    #[must_use]
    pub const fn clause(&self) -> &'static str {
        match self {
            Self::Version { .. } => "yamux/bad-version",
            Self::Kind { .. } => "yamux/bad-type",
            Self::StreamZero => "yamux/id-zero-data",
            Self::Parity { .. } => "yamux/id-parity-violation",
            Self::DuplicateSyn { .. } => "yamux/dup-syn",
            Self::WindowExceeded { .. } => "yamux/window-exceeded",
            Self::CreditOverflow { .. } => "yamux/window-overflow",
            Self::Flood(Flood::EmptyFrames) => "yamux/only-data-counts",
            Self::Flood(Flood::Resets) => "yamux/stream-churn",
            Self::Flood(Flood::Refusals) => "yamux/backlog-overflow",
        }
    }

    /// What the peer is told: the code of the go-away.
    // spec: yamux/goaway-on-protocol-error
    #[must_use]
    pub const fn go_away_code(&self) -> u32 {
        match self {
            Self::Flood(_) => connection::RATE,
            Self::Version { .. }
            | Self::Kind { .. }
            | Self::StreamZero
            | Self::Parity { .. }
            | Self::DuplicateSyn { .. }
            | Self::WindowExceeded { .. }
            | Self::CreditOverflow { .. } => connection::PROTOCOL_ERROR,
        }
    }
}

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// We said go-away.
    #[error("closed by us (code {code:#x})")]
    Local {
        /// What we said.
        code: u32,
    },
    /// The peer said go-away.
    #[error("closed by the peer (code {code:#x})")]
    Remote {
        /// What it said.
        code: u32,
    },
    /// The peer broke the protocol.
    #[error(transparent)]
    Violation(#[from] SessionError),
    /// The peer was silent and left a ping unanswered.
    #[error("the peer stopped answering")]
    KeepAliveTimeout,
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// We did.
    Local,
    /// The peer did.
    Remote,
}

impl std::fmt::Display for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Local => "us",
            Self::Remote => "the peer",
        })
    }
}

/// Why a stream could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Too many streams are open or not acknowledged yet. Try again after
    /// [`Event::OpenAvailable`](crate::Event::OpenAvailable).
    #[error("too many streams are open or wait for the peer's acknowledgement")]
    Backlog,
    /// The session has used all of its stream ids.
    #[error("the session has used all of its stream ids")]
    Exhausted,
    /// The session is over, or the peer said that it ends.
    #[error("session is over: {0}")]
    Closed(CloseReason),
}

/// Why a read failed. A reset is an error, never an end of stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The stream was reset; what was in flight is lost in both directions.
    #[error("stream reset by {by} (code {code:#x})")]
    Reset {
        /// The code on the RST.
        code: u32,
        /// Who reset it.
        by: Party,
    },
    /// The session is over; everything that arrived before was read.
    #[error("session is over: {0}")]
    Closed(CloseReason),
    /// No such stream, or it was released.
    #[error("no such stream")]
    UnknownStream,
}

/// Why a write or a finish failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The stream was reset; what was in flight is lost.
    #[error("stream reset by {by} (code {code:#x})")]
    Reset {
        /// The code on the RST.
        code: u32,
        /// Who reset it.
        by: Party,
    },
    /// Our direction was finished before.
    #[error("stream is finished for writing")]
    Finished,
    /// The session is over.
    #[error("session is over: {0}")]
    Closed(CloseReason),
    /// No such stream, or it was released.
    #[error("no such stream")]
    UnknownStream,
}
