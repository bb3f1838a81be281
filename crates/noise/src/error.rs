//! What ends a handshake.

use bowline_identity::{KeyError, PeerId, SignatureError};
use bowline_wire::protobuf::CheckError;

use crate::{MAX_HANDSHAKE_MESSAGE, MAX_MUXERS, exchange::ExchangeError};

/// Why a handshake failed. In every case but [`WrongPeer`](Self::WrongPeer) the peer broke the rules, or somebody on
/// the way changed its bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// A message is longer than any that is read.
    #[error("handshake message of {len} bytes exceeds the limit of {MAX_HANDSHAKE_MESSAGE}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// A message is too short, does not authenticate, or uses a weak key.
    #[error("handshake message {message}: {problem}")]
    Message {
        /// Which of the three messages: the one that was read or, with a weak key, the one that it kept us from
        /// writing.
        message: u8,
        /// What is wrong with it.
        problem: ExchangeError,
    },
    /// The payload is no protobuf message, or holds too much.
    #[error("handshake payload: {0}")]
    Payload(#[from] CheckError),
    /// The payload is no protobuf message.
    #[error("handshake payload is malformed")]
    Malformed,
    /// The payload has no identity key.
    #[error("handshake payload has no identity key")]
    NoKey,
    /// The identity key is unusable.
    #[error("identity key: {0}")]
    Key(#[from] KeyError),
    /// The peer does not prove that it holds its identity key.
    #[error("identity signature: {0}")]
    Signature(#[from] SignatureError),
    /// Somebody else answered at this address.
    #[error("expected {expected}, and {actual} answered")]
    WrongPeer {
        /// The peer that was asked for.
        expected: PeerId,
        /// The peer that is there.
        actual: PeerId,
    },
    /// Both sides list muxers and none is on both lists.
    #[error("the peer speaks none of our muxers")]
    NoCommonMuxer,
    /// The peer lists more muxers than there are.
    #[error("handshake payload lists more than {MAX_MUXERS} muxers")]
    TooManyMuxers,
}
