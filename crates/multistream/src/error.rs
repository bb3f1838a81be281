//! What ends a negotiation without an agreement.

use bowline_wire::varint::VarintError;

use crate::{MAX_TOKEN, MAX_TOKENS, MAX_TOTAL, ProtocolId};

/// Why a negotiation failed. In every case but [`Refused`](Self::Refused) the peer broke the rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NegotiationError {
    /// The length of a token is no legal varint.
    #[error("token length: {0}")]
    Length(#[from] VarintError),
    /// A token is longer than any that is read.
    #[error("token of {len} bytes exceeds the limit of {MAX_TOKEN}")]
    TokenTooLong {
        /// The length that was announced, in bytes.
        len: u64,
    },
    /// A token is empty or does not end in a newline.
    #[error("token does not end in a newline")]
    NoNewline,
    /// A token is not UTF-8 or holds a newline in its midst.
    #[error("token is not a line of UTF-8 text")]
    NotText,
    /// The peer sent more tokens than a negotiation needs.
    #[error("negotiation exceeds the limit of {MAX_TOKENS} tokens")]
    TooManyTokens,
    /// The peer sent more bytes than a negotiation needs.
    #[error("negotiation exceeds the limit of {MAX_TOTAL} bytes")]
    TooManyBytes,
    /// The first token is not the header.
    #[error("the peer does not begin with /multistream/1.0.0")]
    WrongHeader,
    /// The listener answered with something else than the proposal or a refusal.
    #[error("the peer answered a proposal of {proposed} with something else")]
    UnexpectedAnswer {
        /// What was proposed.
        proposed: ProtocolId,
    },
    /// The listener speaks none of the protocols.
    #[error("the peer speaks none of the protocols offered")]
    Refused {
        /// What was offered, in order.
        offered: Vec<ProtocolId>,
    },
}
