//! Reading messages of any version, bounded before anything is allocated.

use bowline_block::{Cid, HashAlgorithm, MAX_CID_LEN, Prefix};
use bowline_wire::protobuf::{self, CheckError, Limit};
use bytes::Bytes;
use prost::Message as _;

use super::{
    Entry, MAX_BLOCKS, MAX_ENTRIES, MAX_MESSAGE, MAX_PRESENCES, Message, Presence, PresenceType,
    UnverifiedBlock, Want, WantType,
};
use crate::generated::bitswap as wire;

const LIMITS: [Limit; 4] = [
    Limit { path: &[1, 1], max: MAX_ENTRIES },
    Limit { path: &[2], max: MAX_BLOCKS },
    Limit { path: &[3], max: MAX_BLOCKS },
    Limit { path: &[4], max: MAX_PRESENCES },
];

/// The prefix of a block in field 2: CIDv0, which is DAG-PB and SHA2-256 of 32 bytes.
///
/// // spec: bitswap/payload-prefix-v0
const V0_PREFIX: [u8; 4] = [0x00, 0x70, 0x12, 0x20];

/// A message, and how much of it was unusable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// What could be read.
    pub message: Message,
    /// What could not.
    pub dropped: Dropped,
}

/// Parts of a message that were dropped, one by one. The sender is at fault, or speaks something newer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Wantlist entries whose CID does not parse or is longer than [`MAX_CID_LEN`].
    pub entries: usize,
    /// Blocks whose prefix does not parse or names a hash function that is not allowed.
    pub blocks: usize,
    /// Presences whose CID does not parse, or of a kind that is unknown.
    pub presences: usize,
}

/// Why a message cannot be read. The sender is at fault; the stream is reset, the connection stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The body is longer than [`MAX_MESSAGE`].
    #[error("bitswap message of {len} bytes exceeds the limit of {MAX_MESSAGE}")]
    TooLarge {
        /// The length of the body in bytes.
        len: usize,
    },
    /// The body is no protobuf or holds more entries than allowed.
    #[error("bitswap message refused: {0}")]
    Refused(#[from] CheckError),
    /// The body is protobuf but not a Bitswap message.
    #[error("bitswap message is malformed: {reason}")]
    Malformed {
        /// What the protobuf decoder says.
        reason: String,
    },
}

impl Message {
    /// Decodes a message body, without its length prefix, whatever version was negotiated.
    ///
    /// Blocks are slices of `body`, not copies.
    ///
    /// # Errors
    ///
    /// When the body is too long, is not protobuf, or holds too many entries.
    pub fn decode(body: Bytes) -> Result<Decoded, DecodeError> {
        // spec: bitswap/reject-message-over-4MiB
        if body.len() > MAX_MESSAGE {
            return Err(DecodeError::TooLarge { len: body.len() });
        }
        protobuf::check(&body, &LIMITS)?;
        let raw =
            wire::Message::decode(body).map_err(|e| DecodeError::Malformed { reason: e.to_string() })?;
        Ok(Decoded::from_wire(raw))
    }
}

impl Decoded {
    fn from_wire(raw: wire::Message) -> Self {
        let mut dropped = Dropped::default();
        let wantlist = raw.wantlist.unwrap_or_default();
        let payload = raw.payload.into_iter().map(|block| (prefix(&block.prefix), block.data));
        let bare = raw.blocks.into_iter().map(|data| (prefix(&V0_PREFIX), data));
        let blocks =
            bare.chain(payload).map(|(prefix, data)| Some(UnverifiedBlock { prefix: prefix?, data }));
        let message = Message {
            full: wantlist.full,
            wantlist: keep(wantlist.entries.into_iter().map(|raw| entry(&raw)), &mut dropped.entries),
            blocks: keep(blocks, &mut dropped.blocks),
            presences: keep(raw.block_presences.iter().map(presence), &mut dropped.presences),
            pending_bytes: u32::try_from(raw.pending_bytes).unwrap_or(0),
        };
        Self { message, dropped }
    }
}

fn keep<T>(items: impl Iterator<Item = Option<T>>, dropped: &mut usize) -> Vec<T> {
    let mut kept = Vec::new();
    for item in items {
        match item {
            Some(item) => kept.push(item),
            None => *dropped += 1,
        }
    }
    kept
}

fn entry(raw: &wire::message::wantlist::Entry) -> Option<Entry> {
    let cid = cid(&raw.block)?;
    if raw.cancel {
        return Some(Entry::Cancel(cid));
    }
    // spec: bitswap/unknown-want-type — an unknown type asks for the block.
    let kind = match wire::message::wantlist::WantType::try_from(raw.want_type) {
        Ok(wire::message::wantlist::WantType::Have) => WantType::Have,
        Ok(wire::message::wantlist::WantType::Block) | Err(_) => WantType::Block,
    };
    Some(Entry::Want(Want { cid, priority: raw.priority, kind, send_dont_have: raw.send_dont_have }))
}

fn presence(raw: &wire::message::BlockPresence) -> Option<Presence> {
    let kind = match wire::message::BlockPresenceType::try_from(raw.r#type).ok()? {
        wire::message::BlockPresenceType::Have => PresenceType::Have,
        wire::message::BlockPresenceType::DontHave => PresenceType::DontHave,
    };
    Some(Presence { cid: cid(&raw.cid)?, kind })
}

/// Reads a binary CID that fills `bytes` exactly.
///
/// // spec: bitswap/bad-cid
fn cid(bytes: &[u8]) -> Option<Cid> {
    if bytes.len() > MAX_CID_LEN {
        return None;
    }
    let cid = Cid::try_from(bytes).ok()?;
    (cid.encoded_len() == bytes.len()).then_some(cid)
}

/// Reads a prefix whose hash function can be computed: an unknown one costs no work later.
fn prefix(bytes: &[u8]) -> Option<Prefix> {
    let prefix = Prefix::parse(bytes).ok()?;
    HashAlgorithm::from_code(prefix.hash_code()).ok()?;
    Some(prefix)
}
