//! What ends an upgrade.

use std::{fmt, time::Duration};

use bowline_identity::PeerId;
use bowline_multistream::NegotiationError;
use bowline_noise::{CipherError, HandshakeError};
use bowline_yamux::SessionError;

/// How far an upgrade came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Agreeing on how to secure the link.
    SecuritySelect,
    /// Proving who is who.
    Handshake,
    /// Agreeing on the muxer.
    MuxerSelect,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecuritySelect => "agreeing on security",
            Self::Handshake => "the handshake",
            Self::MuxerSelect => "agreeing on a muxer",
        })
    }
}

/// Why an upgrade failed. The peer is at fault unless a variant says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// A negotiation failed; the peer may just speak nothing that we do.
    #[error("{stage}: {source}")]
    Negotiation {
        /// Which of the two.
        stage: Stage,
        /// What happened.
        source: NegotiationError,
    },
    /// The handshake failed.
    #[error("handshake: {0}")]
    Handshake(HandshakeError),
    /// Another peer than the one that was dialed answers at the address. Our identity was not sent.
    #[error("expected {expected}, and {actual} answers there")]
    WrongPeer {
        /// The peer that was dialed.
        expected: PeerId,
        /// The peer that is there.
        actual: PeerId,
    },
    /// A record did not open.
    #[error("record: {0}")]
    Record(#[from] CipherError),
    /// The muxer's first frames broke the protocol.
    #[error("muxer: {0}")]
    Session(SessionError),
    /// The peer was too slow.
    #[error("{stage} was not over after {after:?}")]
    TimedOut {
        /// What was going on.
        stage: Stage,
        /// The time for the whole upgrade.
        after: Duration,
    },
    /// The peer ended the link.
    #[error("the peer ended the link during {stage}")]
    Ended {
        /// What was going on.
        stage: Stage,
    },
}

impl UpgradeError {
    /// How far the upgrade came.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Self::Negotiation { stage, .. } | Self::TimedOut { stage, .. } | Self::Ended { stage } => *stage,
            Self::Handshake(_) | Self::WrongPeer { .. } => Stage::Handshake,
            Self::Record(_) | Self::Session(_) => Stage::MuxerSelect,
        }
    }
}

impl From<HandshakeError> for UpgradeError {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::WrongPeer { expected, actual } => Self::WrongPeer { expected, actual },
            error => Self::Handshake(error),
        }
    }
}
