//! What two Bitswap peers say to each other.
//!
//! ```text
//!  body ──> length and counts checked ──> protobuf ──> Message + what was dropped
//!  Message ──> the form of the negotiated version ──> frame
//! ```
//!
//! A decoded [`Message`] holds only legal values: a CID that does not parse, or a block whose hash function
//! is unknown, is dropped alone and counted in [`Dropped`]; its neighbours stay. Only bytes that are no
//! protobuf, or break a limit, fail the whole message, and with it the stream.

mod decode;
mod encode;

use bowline_block::{BlockError, Cid, Prefix, VerifiedBlock};
use bytes::Bytes;

pub use decode::{DecodeError, Decoded, Dropped};

/// The largest message body in bytes, without its length prefix.
///
/// Source: bitswap-protocol §Protocol Format.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// The largest block in bytes that fits a message of its own: CIDv1, SHA2-256, an empty wantlist.
///
/// Every peer must carry 2 MiB; up to this size all current ones do.
pub const MAX_BLOCK_IN_MESSAGE: usize = MAX_MESSAGE - 18;

/// The most wantlist entries in one message.
///
/// A full 4 MiB message of wants for SHA2-256 CIDs holds at most 110,376; the limit is there for empty
/// entries, which cost their sender two bytes and us fifty.
pub const MAX_ENTRIES: usize = 128 * 1024;

/// The most presences in one message; the same sum as [`MAX_ENTRIES`].
pub const MAX_PRESENCES: usize = 128 * 1024;

/// The most blocks in one message, of each form. A full message of them has blocks of 64 bytes.
pub const MAX_BLOCKS: usize = 64 * 1024;

/// One Bitswap message, of any version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// What the sender wants, and no longer wants, in the order of the wire.
    pub wantlist: Vec<Entry>,
    /// Whether the wantlist replaces what the sender asked for before. An empty full list clears it.
    pub full: bool,
    /// Blocks that the receiver asked for. Nobody has hashed them yet.
    pub blocks: Vec<UnverifiedBlock>,
    /// What the sender has and has not.
    pub presences: Vec<Presence>,
    /// Bytes of blocks that the sender still has queued for the receiver. Advisory; at most `i32::MAX` on
    /// the wire, and larger values are sent as that.
    pub pending_bytes: u32,
}

/// One line of a wantlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The sender wants this.
    Want(Want),
    /// The sender no longer wants this.
    Cancel(Cid),
}

/// A wish for a block or for word of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// The CID in the form in which the answer must name it.
    pub cid: Cid,
    /// Which want is served first: the highest.
    pub priority: i32,
    /// Whether the block or only word of it is wanted.
    pub kind: WantType,
    /// Whether the receiver shall say so when it lacks the block.
    pub send_dont_have: bool,
}

/// What a want asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WantType {
    /// The block.
    Block,
    /// HAVE, or the block if it is small.
    Have,
}

/// Word of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    /// The CID in the form in which it was asked for.
    pub cid: Cid,
    /// Whether the sender has it.
    pub kind: PresenceType,
}

/// Whether a peer has a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PresenceType {
    /// It has.
    Have,
    /// It has not.
    DontHave,
}

/// A block as it came from the wire: bytes, and how to make a CID of them.
///
/// The sender names no CID that could be trusted. [`verify`](Self::verify) hashes the bytes and tells which
/// block they are; callers do that away from the network task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedBlock {
    /// Version, codec and hash function of the CID.
    pub prefix: Prefix,
    /// The block's bytes.
    pub data: Bytes,
}

impl Message {
    /// Whether the message says nothing. Such messages are legal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.wantlist.is_empty() && !self.full && self.blocks.is_empty() && self.presences.is_empty()
    }
}

impl Entry {
    /// The CID that the entry is about.
    #[must_use]
    pub fn cid(&self) -> &Cid {
        match self {
            Self::Want(want) => &want.cid,
            Self::Cancel(cid) => cid,
        }
    }
}

impl UnverifiedBlock {
    /// Pairs the bytes of a stored block with the CID under which they were asked for.
    ///
    /// Nothing is hashed: the receiver does that.
    #[must_use]
    pub fn new(cid: &Cid, data: Bytes) -> Self {
        Self { prefix: Prefix::of(cid), data }
    }

    /// Hashes the bytes and finds out which block they are.
    ///
    /// # Errors
    ///
    /// When the prefix asks for what cannot be computed, such as a digest longer than the hash function's.
    pub fn verify(self) -> Result<VerifiedBlock, BlockError> {
        VerifiedBlock::from_prefix(&self.prefix.encode(), self.data)
    }
}
