//! What Bitswap sends in front of a block instead of its CID.

use bowline_wire::varint::{self, VarintError};
use bytes::{Bytes, BytesMut};
use cid::Version;

use crate::{Cid, HashAlgorithm, HashError, codec};

/// A CID without its digest: version, codec, hash and digest length.
///
/// ```text
///   uvarint(version) · uvarint(codec) · uvarint(hash code) · uvarint(digest length)
///
///   CIDv1 of raw bytes   01 55 12 20
///   CIDv0                00 70 12 20
/// ```
///
/// A receiver hashes the data by the prefix and so finds the CID itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    version: Version,
    codec: u64,
    hash_code: u64,
    hash_len: u64,
}

/// Why bytes are not a prefix. The sender is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrefixError {
    /// One of the four numbers is not a varint.
    #[error("CID prefix is malformed: {0}")]
    Varint(#[from] VarintError),
    /// The bytes end before the fourth number.
    #[error("CID prefix is cut short")]
    Truncated,
    /// Bytes follow the fourth number.
    #[error("CID prefix is followed by {extra} more bytes")]
    TrailingBytes {
        /// How many bytes follow.
        extra: usize,
    },
    /// Only versions 0 and 1 exist.
    #[error("CID version {version} does not exist")]
    Version {
        /// The version in the prefix.
        version: u64,
    },
    /// CIDv0 is DAG-PB by SHA2-256 with 32 bytes and nothing else.
    #[error("CIDv0 prefix does not say DAG-PB with a SHA2-256 digest of 32 bytes")]
    NotV0,
}

impl Prefix {
    /// The prefix of a CID.
    pub fn of(cid: &Cid) -> Self {
        Self {
            version: cid.version(),
            codec: cid.codec(),
            hash_code: cid.hash().code(),
            hash_len: u64::from(cid.hash().size()),
        }
    }

    /// Reads a prefix that a peer sent. The hash it names is judged when it is used.
    ///
    /// # Errors
    ///
    /// When the bytes are not exactly four varints that name a version of CIDs.
    pub fn parse(bytes: &[u8]) -> Result<Self, PrefixError> {
        let mut rest = bytes;
        let mut next = || {
            let (value, read) = varint::decode(rest)?.ok_or(PrefixError::Truncated)?;
            rest = rest.get(read..).unwrap_or_default();
            Ok::<u64, PrefixError>(value)
        };
        let (version, codec, hash_code, hash_len) = (next()?, next()?, next()?, next()?);
        if !rest.is_empty() {
            return Err(PrefixError::TrailingBytes { extra: rest.len() });
        }
        let version = match version {
            0 if (codec, hash_code, hash_len) != Self::V0 => return Err(PrefixError::NotV0),
            0 => Version::V0,
            1 => Version::V1,
            version => return Err(PrefixError::Version { version }),
        };
        Ok(Self { version, codec, hash_code, hash_len })
    }

    /// Codec, hash code and digest length of every CIDv0.
    const V0: (u64, u64, u64) = (codec::DAG_PB, 0x12, 32);

    /// The bytes to send.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(8);
        varint::encode(self.version.into(), &mut out);
        varint::encode(self.codec, &mut out);
        varint::encode(self.hash_code, &mut out);
        varint::encode(self.hash_len, &mut out);
        out.freeze()
    }

    /// The CID of `data` under this prefix.
    ///
    /// # Errors
    ///
    /// When the hash or the digest length is not allowed.
    pub fn cid(&self, data: &[u8]) -> Result<Cid, HashError> {
        let hash = HashAlgorithm::from_code(self.hash_code)?.hash_truncated(data, self.hash_len)?;
        Ok(Cid::new(self.version, self.codec, hash).expect("only a legal CIDv0 prefix can be made"))
    }

    /// The version of the CID.
    pub fn version(&self) -> Version {
        self.version
    }

    /// What the block's bytes mean, a multicodec code.
    pub fn codec(&self) -> u64 {
        self.codec
    }

    /// The multihash code, not yet judged.
    pub fn hash_code(&self) -> u64 {
        self.hash_code
    }

    /// The length of the digest in bytes, not yet judged.
    pub fn hash_len(&self) -> u64 {
        self.hash_len
    }
}
