//! Writing messages in the form of the negotiated version.

use bowline_wire::varint;
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message as _;

use super::{Entry, Message, PresenceType, UnverifiedBlock, Want, WantType};
use crate::{Version, generated::bitswap as wire};

/// Block data from this size on travels as a chunk of its own instead of being copied.
const COPY_BELOW: usize = 4 * 1024;

/// Protobuf keys of the fields written here, all length-delimited.
const BLOCKS_KEY: u8 = 0x12;
const PAYLOAD_KEY: u8 = 0x1a;
const PREFIX_KEY: u8 = 0x0a;
const DATA_KEY: u8 = 0x12;

impl Message {
    /// Encodes the message with its length prefix, in the form of `version`.
    ///
    /// Before 1.2.0 presences and pending bytes are left out; before 1.1.0 the blocks are bare. Want types
    /// are written as they are: peers of an older version read a want-have as a want-block.
    #[must_use]
    pub fn encode_frame(&self, version: Version) -> Bytes {
        let chunks = self.encode_chunks(version);
        match <[Bytes; 1]>::try_from(chunks) {
            Ok([frame]) => frame,
            Err(chunks) => chunks.concat().into(),
        }
    }

    /// Encodes like [`encode_frame`](Self::encode_frame), but hands large blocks through uncopied.
    ///
    /// The chunks, written one after the other, are the frame.
    #[must_use]
    pub fn encode_chunks(&self, version: Version) -> Vec<Bytes> {
        let head = self.head();
        let tail = self.tail(version);
        let blocks = self.blocks.iter().map(|block| BlockField::of(block, version));
        let blocks: Vec<_> = blocks.collect();
        let len = head.encoded_len() + tail.encoded_len() + blocks.iter().map(BlockField::len).sum::<usize>();

        let mut out = Chunks::default();
        varint::encode(len as u64, &mut out.open);
        out.message(&head);
        for field in &blocks {
            field.write(&mut out);
        }
        out.message(&tail);
        out.finish()
    }

    /// The length in bytes of the body that [`encode_frame`](Self::encode_frame) writes.
    #[must_use]
    pub fn encoded_len(&self, version: Version) -> usize {
        let blocks = self.blocks.iter().map(|block| BlockField::of(block, version).len());
        self.head().encoded_len() + self.tail(version).encoded_len() + blocks.sum::<usize>()
    }

    /// Everything before the blocks. The wantlist is written even when empty (`0a 00`): boxo before 0.33
    /// crashes on its absence and older Rust peers refuse the message.
    fn head(&self) -> wire::Message {
        wire::Message {
            wantlist: Some(wire::message::Wantlist {
                entries: self.wantlist.iter().map(entry).collect(),
                full: self.full,
            }),
            ..wire::Message::default()
        }
    }

    /// Everything after the blocks.
    fn tail(&self, version: Version) -> wire::Message {
        // spec: bitswap/v110-no-presence
        if !version.has_presences() {
            return wire::Message::default();
        }
        let presences = self.presences.iter().map(|presence| wire::message::BlockPresence {
            cid: presence.cid.to_bytes().into(),
            r#type: match presence.kind {
                PresenceType::Have => wire::message::BlockPresenceType::Have,
                PresenceType::DontHave => wire::message::BlockPresenceType::DontHave,
            }
            .into(),
        });
        wire::Message {
            block_presences: presences.collect(),
            pending_bytes: i32::try_from(self.pending_bytes).unwrap_or(i32::MAX),
            ..wire::Message::default()
        }
    }
}

fn entry(entry: &Entry) -> wire::message::wantlist::Entry {
    match entry {
        Entry::Cancel(cid) => wire::message::wantlist::Entry {
            block: cid.to_bytes().into(),
            cancel: true,
            ..Default::default()
        },
        Entry::Want(Want { cid, priority, kind, send_dont_have }) => wire::message::wantlist::Entry {
            block: cid.to_bytes().into(),
            priority: *priority,
            cancel: false,
            want_type: match kind {
                WantType::Block => wire::message::wantlist::WantType::Block,
                WantType::Have => wire::message::wantlist::WantType::Have,
            }
            .into(),
            send_dont_have: *send_dont_have,
        },
    }
}

/// A block in one of its two forms. Written here and not by prost so that the data is not copied.
enum BlockField<'a> {
    Bare(&'a Bytes),
    // spec: bitswap/payload-prefix
    WithPrefix { prefix: Bytes, data: &'a Bytes },
}

impl<'a> BlockField<'a> {
    fn of(block: &'a UnverifiedBlock, version: Version) -> Self {
        if version.has_prefixes() {
            Self::WithPrefix { prefix: block.prefix.encode(), data: &block.data }
        } else {
            Self::Bare(&block.data)
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Bare(data) => field_len(data.len()),
            Self::WithPrefix { .. } => field_len(self.body_len()),
        }
    }

    /// The length of the nested message. Fields with their default value are left out, as in all of proto3.
    fn body_len(&self) -> usize {
        match self {
            Self::Bare(data) => data.len(),
            Self::WithPrefix { prefix, data } => {
                let data_len = if data.is_empty() { 0 } else { field_len(data.len()) };
                field_len(prefix.len()) + data_len
            }
        }
    }

    fn write(&self, out: &mut Chunks) {
        match self {
            Self::Bare(data) => {
                out.open_field(BLOCKS_KEY, data.len());
                out.data(data);
            }
            Self::WithPrefix { prefix, data } => {
                out.open_field(PAYLOAD_KEY, self.body_len());
                out.open_field(PREFIX_KEY, prefix.len());
                out.open.put_slice(prefix);
                if !data.is_empty() {
                    out.open_field(DATA_KEY, data.len());
                    out.data(data);
                }
            }
        }
    }
}

/// The length of a field with a one-byte key.
fn field_len(body: usize) -> usize {
    1 + varint::encoded_len(body as u64) + body
}

/// The frame as it grows: finished chunks, and the small fields since the last large one.
#[derive(Default)]
struct Chunks {
    done: Vec<Bytes>,
    open: BytesMut,
}

impl Chunks {
    fn message(&mut self, message: &wire::Message) {
        self.open.reserve(message.encoded_len());
        message.encode_raw(&mut self.open);
    }

    fn open_field(&mut self, key: u8, len: usize) {
        self.open.put_u8(key);
        varint::encode(len as u64, &mut self.open);
    }

    fn data(&mut self, data: &Bytes) {
        if data.len() < COPY_BELOW {
            self.open.extend_from_slice(data);
        } else {
            self.done.push(self.open.split().freeze());
            self.done.push(data.clone());
        }
    }

    fn finish(mut self) -> Vec<Bytes> {
        if !self.open.is_empty() {
            self.done.push(self.open.freeze());
        }
        self.done
    }
}
