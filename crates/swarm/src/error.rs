//! What can go wrong in a call on the host, by operation.

use std::{io, time::Duration};

use bowline_connection::UpgradeError;
use bowline_identity::{Multiaddr, PeerId};
use bowline_multistream::{NegotiationError, ProtocolId};
use bowline_transport::{CloseReason, Party, TransportError};

/// How far a dial of one address came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Looking up the names in the address.
    Resolve,
    /// Reaching the address.
    Connect,
    /// Securing and muxing the link.
    Upgrade,
}

/// Why one address did not lead to a connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddrError {
    /// The transport failed, while resolving or while connecting.
    #[error("{source}")]
    Transport {
        /// How far it came.
        stage: Stage,
        /// What the transport said.
        source: TransportError,
    },
    /// The link could not be secured or muxed; a wrong peer at the right address is found here.
    #[error(transparent)]
    Upgrade(UpgradeError),
    /// The address answered too slowly.
    #[error("no answer within {after:?}")]
    TimedOut {
        /// How far it came.
        stage: Stage,
        /// The time it was given.
        after: Duration,
    },
    /// The address names another peer than the one that was asked for.
    #[error("the address belongs to {actual}, not to {expected}")]
    OtherPeer {
        /// The peer that was asked for.
        expected: PeerId,
        /// The peer that the address names.
        actual: PeerId,
    },
    /// The address was not tried because another one succeeded or the time was up.
    #[error("not tried before the time was up")]
    NotTried,
}

impl AddrError {
    /// How far the dial came.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Self::Transport { stage, .. } | Self::TimedOut { stage, .. } => *stage,
            Self::Upgrade(_) => Stage::Upgrade,
            Self::OtherPeer { .. } => Stage::Resolve,
            Self::NotTried => Stage::Connect,
        }
    }

    /// Whether the same dial may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Transport { source, .. } => *source != TransportError::Unsupported,
            Self::Upgrade(error) => !matches!(error, UpgradeError::WrongPeer { .. }),
            Self::TimedOut { .. } | Self::NotTried => true,
            Self::OtherPeer { .. } => false,
        }
    }
}

/// One failed address of a dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The address that was tried, with names resolved.
    pub addr: Multiaddr,
    /// Why it failed.
    pub error: AddrError,
}

fn list(attempts: &[Attempt]) -> String {
    let lines: Vec<_> =
        attempts.iter().map(|attempt| format!("{}: {}", attempt.addr, attempt.error)).collect();
    lines.join("; ")
}

/// Why a peer could not be connected to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// No address of the peer is known.
    #[error("no address is known for {peer}")]
    NoAddresses {
        /// The peer.
        peer: PeerId,
    },
    /// The target is this host itself.
    #[error("a host does not dial itself")]
    SelfDial,
    /// Every address failed; each with its cause.
    #[error("every address failed: {}", list(.attempts))]
    All {
        /// What was tried, in the order of failure. At most [`MAX_ATTEMPTS`] are kept.
        attempts: Vec<Attempt>,
    },
    /// The time for the whole dial was up.
    #[error("no connection within {after:?}{}", if attempts.is_empty() { String::new() } else { format!(" ({})", list(.attempts)) })]
    TimedOut {
        /// The time it was given.
        after: Duration,
        /// What had failed by then.
        attempts: Vec<Attempt>,
    },
    /// The host holds as many connections as it may.
    #[error("the limit of {limit} connections is reached")]
    Limit {
        /// The limit.
        limit: usize,
    },
    /// The host is shutting down.
    #[error("the host is shutting down")]
    Shutdown,
}

/// The most failed addresses that a [`DialError`] lists.
pub const MAX_ATTEMPTS: usize = 16;

impl DialError {
    /// Whether the same dial may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::All { attempts } => attempts.iter().any(|attempt| attempt.error.is_retryable()),
            Self::TimedOut { .. } | Self::Limit { .. } => true,
            Self::NoAddresses { .. } | Self::SelfDial | Self::Shutdown => false,
        }
    }
}

/// Why a stream could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The peer could not be connected to.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The peer speaks none of the protocols that were offered.
    #[error("the peer refused every protocol offered: {}", offered.iter().map(ProtocolId::as_str).collect::<Vec<_>>().join(", "))]
    Refused {
        /// What was offered, in order.
        offered: Vec<ProtocolId>,
    },
    /// The peer broke the rules of the negotiation.
    #[error("negotiation: {0}")]
    Negotiation(NegotiationError),
    /// No protocol was named.
    #[error("no protocol was offered")]
    NoProtocol,
    /// The stream was not agreed on in time.
    #[error("no stream within {after:?}")]
    TimedOut {
        /// The time it was given.
        after: Duration,
    },
    /// The stream ended while it was negotiated.
    #[error(transparent)]
    Stream(StreamError),
    /// Every connection to the peer ended while the stream was opened.
    #[error("the connection ended: {0}")]
    Connection(CloseReason),
}

impl OpenError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Dial(error) => error.is_retryable(),
            Self::Stream(_) | Self::TimedOut { .. } | Self::Connection(_) => true,
            Self::Refused { .. } | Self::Negotiation(_) | Self::NoProtocol => false,
        }
    }
}

/// Why an operation on a stream failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The stream was reset: what was in flight is lost, and nothing read so far may be taken for the whole.
    #[error("stream reset by {} (code {code:#x})", match by { Party::Local => "us", Party::Remote => "the peer" })]
    Reset {
        /// The code that came with the reset; zero where the peer gave none.
        code: u32,
        /// Who reset it.
        by: Party,
    },
    /// Our direction was finished already.
    #[error("stream is finished for writing")]
    Finished,
    /// The peer refused the protocol that the stream was opened with; nothing written was delivered.
    #[error("the peer refused {protocol}")]
    Refused {
        /// The protocol.
        protocol: ProtocolId,
    },
    /// The peer broke the rules of the negotiation; nothing written was delivered.
    #[error("negotiation: {0}")]
    Negotiation(NegotiationError),
    /// The stream holds more than the reader allowed.
    #[error("stream is longer than {limit} bytes")]
    TooLong {
        /// The limit that the reader gave.
        limit: usize,
    },
    /// The stream ended in the middle of what was being read.
    #[error("stream ended early")]
    UnexpectedEnd,
    /// The connection under the stream ended.
    #[error("the connection ended: {0}")]
    Connection(CloseReason),
}

impl From<bowline_transport::StreamError> for StreamError {
    fn from(error: bowline_transport::StreamError) -> Self {
        use bowline_transport::StreamError as Lower;
        match error {
            Lower::Reset { code, by } => Self::Reset { code, by },
            Lower::Connection(reason) => Self::Connection(reason),
            _ => Self::Finished,
        }
    }
}

impl From<StreamError> for io::Error {
    fn from(error: StreamError) -> Self {
        let kind = match &error {
            StreamError::Reset { .. } => io::ErrorKind::ConnectionReset,
            StreamError::Finished => io::ErrorKind::BrokenPipe,
            StreamError::Refused { .. } => io::ErrorKind::Unsupported,
            StreamError::Negotiation(_) | StreamError::TooLong { .. } => io::ErrorKind::InvalidData,
            StreamError::UnexpectedEnd => io::ErrorKind::UnexpectedEof,
            StreamError::Connection(_) => io::ErrorKind::ConnectionAborted,
        };
        Self::new(kind, error)
    }
}

/// Why the host cannot listen on an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot listen on {addr}: {source}")]
pub struct ListenError {
    /// The address.
    pub addr: Multiaddr,
    /// What the transport said.
    pub source: TransportError,
}

/// Why a protocol cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// Somebody on this host serves the protocol already.
    #[error("{protocol} is registered already")]
    AlreadyRegistered {
        /// The protocol.
        protocol: ProtocolId,
    },
    /// The text is no protocol id.
    #[error(transparent)]
    Protocol(#[from] bowline_multistream::ProtocolIdError),
}

/// Why a ping failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PingError {
    /// The stream for it could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The stream ended before the answer.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The peer answered with other bytes than it was sent.
    #[error("the peer answered with other bytes than it was sent")]
    Mismatch,
    /// No answer in time.
    #[error("no answer within {after:?}")]
    TimedOut {
        /// The time it was given.
        after: Duration,
    },
}

/// Why a peer could not be identified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentifyError {
    /// The peer is not connected.
    #[error("{peer} is not connected")]
    NotConnected {
        /// The peer.
        peer: PeerId,
    },
    /// The stream for it could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The stream ended early.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// What the peer sent is malformed or too long.
    #[error("the peer's message: {0}")]
    Message(#[from] bowline_identify::ReceiveError),
    /// No answer in time.
    #[error("no answer within {after:?}")]
    TimedOut {
        /// The time it was given.
        after: Duration,
    },
}
