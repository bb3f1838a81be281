//! The UnixFS message in the data field of a DAG-PB node.
//!
//! Specification: ipfs/specs, UnixFS.

use bytes::Bytes;
use prost::Message;

use crate::dag_pb::MAX_LINKS;
use crate::generated::unixfs as wire;
use crate::proto::{Fields, Value};

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A leaf of a file, as trickle layouts write it.
    Raw,
    /// A directory in one block.
    Directory,
    /// A file, or a part of one.
    File,
    /// Obsolete, and written by nobody.
    Metadata,
    /// A symbolic link.
    Symlink,
    /// A directory, or a part of one, spread over blocks by the hashes of its names.
    Shard,
}

/// Permissions and time of a file or directory, where its writer kept them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Metadata {
    /// POSIX permission bits, with set-user-id and sticky; higher bits are kept as written.
    pub mode: Option<u32>,
    /// When the content was last modified.
    pub modified: Option<Modified>,
}

/// A time since 1970, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Modified {
    /// Whole seconds; negative before 1970.
    pub seconds: i64,
    /// Nanoseconds after them, below 1,000,000,000.
    pub nanoseconds: u32,
}

/// The UnixFS message of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixFs {
    /// What the node is.
    pub kind: Kind,
    /// Content of a file, target of a symbolic link, or bitmap of a shard. Written only when not empty.
    pub data: Bytes,
    /// The length of the file's content below this node, in bytes.
    pub file_size: Option<u64>,
    /// The content length below each link of a file, in bytes.
    pub block_sizes: Vec<u64>,
    /// The hash that spreads names over shards, a multicodec code.
    pub hash_type: Option<u64>,
    /// How many slots each shard has.
    pub fanout: Option<u64>,
    /// Permissions and time.
    pub metadata: Metadata,
}

/// Why bytes are not a UnixFS message. Whoever wrote the block is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnixFsError {
    /// Not protobuf, or a field of another type.
    #[error("not a UnixFS message")]
    Malformed,
    /// A type that UnixFS does not define.
    #[error("unknown UnixFS type {value}")]
    UnknownType {
        /// The number of the type.
        value: i32,
    },
    /// More block sizes than a node may have links.
    #[error("more than {MAX_LINKS} block sizes")]
    TooManyBlockSizes,
    /// Nanoseconds of a second that ends earlier.
    #[error("{nanoseconds} nanoseconds are not part of a second")]
    BadTime {
        /// The nanoseconds as written.
        nanoseconds: u32,
    },
}

const BLOCK_SIZES: u64 = 4;

impl UnixFs {
    /// A message of this kind with nothing else in it.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            data: Bytes::new(),
            file_size: None,
            block_sizes: Vec::new(),
            hash_type: None,
            fanout: None,
            metadata: Metadata::default(),
        }
    }

    /// Decodes a message. Its data is a slice of `bytes`.
    ///
    /// # Errors
    ///
    /// When the bytes are not a UnixFS message, or one with more than [`MAX_LINKS`] block sizes; these are
    /// counted before any memory is set aside for them.
    pub fn decode(bytes: &Bytes) -> Result<Self, UnixFsError> {
        check_block_sizes(bytes)?;
        let message = wire::Data::decode(bytes.clone()).map_err(|_| UnixFsError::Malformed)?;
        Ok(Self {
            kind: Kind::from_wire(message.r#type)?,
            data: message.data.unwrap_or_default(),
            file_size: message.filesize,
            block_sizes: message.blocksizes,
            hash_type: message.hash_type,
            fanout: message.fanout,
            metadata: Metadata {
                mode: message.mode,
                modified: message.mtime.map(Modified::from_wire).transpose()?,
            },
        })
    }

    /// The bytes of the message.
    pub fn encode(&self) -> Bytes {
        let message = wire::Data {
            r#type: self.kind.to_wire() as i32,
            data: Some(self.data.clone()).filter(|data| !data.is_empty()),
            filesize: self.file_size,
            blocksizes: self.block_sizes.clone(),
            hash_type: self.hash_type,
            fanout: self.fanout,
            mode: self.metadata.mode,
            mtime: self.metadata.modified.map(Modified::to_wire),
        };
        message.encode_to_vec().into()
    }
}

impl Kind {
    fn from_wire(value: i32) -> Result<Self, UnixFsError> {
        use wire::data::DataType;
        match DataType::try_from(value) {
            Ok(DataType::Raw) => Ok(Self::Raw),
            Ok(DataType::Directory) => Ok(Self::Directory),
            Ok(DataType::File) => Ok(Self::File),
            Ok(DataType::Metadata) => Ok(Self::Metadata),
            Ok(DataType::Symlink) => Ok(Self::Symlink),
            Ok(DataType::HamtShard) => Ok(Self::Shard),
            Err(_) => Err(UnixFsError::UnknownType { value }),
        }
    }

    fn to_wire(self) -> wire::data::DataType {
        use wire::data::DataType;
        match self {
            Self::Raw => DataType::Raw,
            Self::Directory => DataType::Directory,
            Self::File => DataType::File,
            Self::Metadata => DataType::Metadata,
            Self::Symlink => DataType::Symlink,
            Self::Shard => DataType::HamtShard,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Raw => "raw leaf",
            Self::Directory => "directory",
            Self::File => "file",
            Self::Metadata => "metadata",
            Self::Symlink => "symbolic link",
            Self::Shard => "directory shard",
        })
    }
}

impl Modified {
    fn from_wire(time: wire::UnixTime) -> Result<Self, UnixFsError> {
        let nanoseconds = time.fractional_nanoseconds.unwrap_or(0);
        if nanoseconds >= 1_000_000_000 {
            return Err(UnixFsError::BadTime { nanoseconds });
        }
        Ok(Self { seconds: time.seconds, nanoseconds })
    }

    fn to_wire(self) -> wire::UnixTime {
        wire::UnixTime {
            seconds: self.seconds,
            fractional_nanoseconds: Some(self.nanoseconds).filter(|nanoseconds| *nanoseconds != 0),
        }
    }
}

/// Counts block sizes, which a writer may also have packed: one byte each decodes into eight.
fn check_block_sizes(bytes: &[u8]) -> Result<(), UnixFsError> {
    let mut fields = Fields::new(bytes);
    let mut count = 0;
    while let Some((number, value)) = fields.next_field().map_err(|_| UnixFsError::Malformed)? {
        count += match value {
            Value::Varint(_) if number == BLOCK_SIZES => 1,
            // Every varint ends in a byte below 0x80.
            Value::Bytes(packed) if number == BLOCK_SIZES => packed.iter().filter(|b| **b < 0x80).count(),
            _ => 0,
        };
        if count > MAX_LINKS {
            return Err(UnixFsError::TooManyBlockSizes);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(hex: &str) -> Result<UnixFs, UnixFsError> {
        UnixFs::decode(&hex::decode(hex).unwrap().into())
    }

    #[test]
    fn messages_encode_to_the_bytes_that_kubo_writes() {
        let file = |data: &'static [u8]| UnixFs {
            data: Bytes::from_static(data),
            file_size: Some(data.len() as u64),
            ..UnixFs::new(Kind::File)
        };
        let parent =
            UnixFs { file_size: Some(262_145), block_sizes: vec![262_144, 1], ..UnixFs::new(Kind::File) };
        let shard = UnixFs {
            data: Bytes::from_static(&[1, 0]),
            hash_type: Some(0x22),
            fanout: Some(256),
            ..UnixFs::new(Kind::Shard)
        };
        let link = UnixFs { data: Bytes::from_static(b"foo"), ..UnixFs::new(Kind::Symlink) };
        for (message, bytes) in [
            (file(b""), "08021800"),
            (file(b"abc"), "080212036162631803"),
            (parent, "0802188180102080801020 01".replace(' ', "").as_str()),
            (UnixFs::new(Kind::Directory), "0801"),
            (link, "08041203666f6f"),
            (shard, "0805120201002822308002"),
        ] {
            assert_eq!(hex::encode(message.encode()), bytes);
            assert_eq!(decode(bytes), Ok(message));
        }
    }

    #[test]
    fn mode_and_time_are_exposed_and_kept() {
        let bytes = "0802180038a403420d08f2ee9e95061 5ffc99a3b".replace(' ', "");
        let bytes = bytes.replace("420d", "420b");
        let message = decode(&bytes).unwrap();
        assert_eq!(message.metadata.mode, Some(0o644));
        let modified = Modified { seconds: 1_655_158_642, nanoseconds: 999_999_999 };
        assert_eq!(message.metadata.modified, Some(modified));
        assert_eq!(hex::encode(message.encode()), bytes);
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(decode(""), Ok(UnixFs::new(Kind::Raw)));
        assert_eq!(decode("0806"), Err(UnixFsError::UnknownType { value: 6 }));
        assert_eq!(decode("0a00"), Err(UnixFsError::Malformed));
        assert_eq!(decode("080212ff"), Err(UnixFsError::Malformed));
        assert_eq!(
            decode("08024207080115 00ca9a3b".replace(' ', "").as_str()),
            Err(UnixFsError::BadTime { nanoseconds: 1_000_000_000 })
        );
    }

    #[test]
    fn block_sizes_are_counted_before_they_are_decoded() {
        let unpacked = [&[0x08, 0x02][..], &[0x20, 0x01].repeat(MAX_LINKS)].concat();
        let decoded = UnixFs::decode(&Bytes::from(unpacked.clone())).unwrap();
        assert_eq!(decoded.block_sizes.len(), MAX_LINKS);
        let one_more = [&unpacked[..], &[0x20, 0x01]].concat();
        assert_eq!(UnixFs::decode(&one_more.into()), Err(UnixFsError::TooManyBlockSizes));

        let len = MAX_LINKS + 1;
        let mut packed = vec![0x08, 0x02, 0x22];
        bowline_wire::varint::encode(len as u64, &mut packed);
        packed.resize(packed.len() + len, 0x01);
        assert_eq!(UnixFs::decode(&packed.into()), Err(UnixFsError::TooManyBlockSizes));
    }
}
