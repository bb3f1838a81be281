//! The block type and the ways to make one.

use std::fmt;

use bytes::Bytes;

use crate::{Cid, HashAlgorithm, HashError, MAX_BLOCK, Multihash, Prefix, PrefixError};

/// Bytes together with the CID that they hash to.
///
/// Holding one is the proof: no constructor takes a CID on trust. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedBlock {
    cid: Cid,
    data: Bytes,
}

/// Why bytes did not become a block. Whoever supplied them is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The data is longer than a block may be.
    #[error("block of {len} bytes is larger than {MAX_BLOCK}")]
    TooLarge {
        /// The length of the data in bytes.
        len: usize,
    },
    /// The prefix in front of the block cannot be read.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// The hash is not allowed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The data does not hash to the digest of the CID.
    #[error("data does not match {cid}")]
    Mismatch {
        /// The CID that was claimed.
        cid: Cid,
    },
}

impl VerifiedBlock {
    /// Hashes `data` and names it by a CIDv1.
    ///
    /// # Errors
    ///
    /// When the data is larger than [`MAX_BLOCK`], or too long for the identity hash.
    pub fn new(codec: u64, algorithm: HashAlgorithm, data: Bytes) -> Result<Self, BlockError> {
        check_size(&data)?;
        let cid = Cid::new_v1(codec, algorithm.hash(&data)?);
        Ok(Self { cid, data })
    }

    /// Hashes `data` by SHA2-256 and names it by a CIDv1.
    ///
    /// # Errors
    ///
    /// When the data is larger than [`MAX_BLOCK`].
    pub fn sha2_256(codec: u64, data: Bytes) -> Result<Self, BlockError> {
        Self::new(codec, HashAlgorithm::Sha2_256, data)
    }

    /// Hashes a DAG-PB node by SHA2-256 and names it by a CIDv0 (`Qm…`).
    ///
    /// # Errors
    ///
    /// When the data is larger than [`MAX_BLOCK`].
    pub fn v0(data: Bytes) -> Result<Self, BlockError> {
        check_size(&data)?;
        let hash = HashAlgorithm::Sha2_256.hash(&data)?;
        let cid = Cid::new_v0(hash).expect("32 bytes of SHA2-256 make a CIDv0");
        Ok(Self { cid, data })
    }

    /// Checks that `data` is what `cid` names.
    ///
    /// # Errors
    ///
    /// When the data is too large, the hash is not allowed, or the digests differ.
    pub fn verify(cid: Cid, data: Bytes) -> Result<Self, BlockError> {
        check_size(&data)?;
        let claimed = cid.hash();
        let algorithm = HashAlgorithm::of(claimed)?;
        match algorithm.hash_truncated(&data, u64::from(claimed.size())) {
            Ok(actual) if actual == *claimed => Ok(Self { cid, data }),
            Ok(_) | Err(HashError::IdentityLength { .. }) => Err(BlockError::Mismatch { cid }),
            Err(error) => Err(error.into()),
        }
    }

    /// Hashes `data` as the prefix in a Bitswap message says and names it by the result.
    ///
    /// # Errors
    ///
    /// When the data is too large, or the prefix or its hash is not acceptable. Only this block is bad;
    /// the rest of its message is not.
    pub fn from_prefix(prefix: &[u8], data: Bytes) -> Result<Self, BlockError> {
        check_size(&data)?;
        let cid = Prefix::parse(prefix)?.cid(&data)?;
        Ok(Self { cid, data })
    }

    /// The same block under another CID of the same multihash, such as the CIDv0 of a CIDv1.
    ///
    /// # Errors
    ///
    /// [`BlockError::Mismatch`] when `cid` has another multihash.
    pub fn with_cid(self, cid: Cid) -> Result<Self, BlockError> {
        if cid.hash() != self.cid.hash() {
            return Err(BlockError::Mismatch { cid });
        }
        Ok(Self { cid, data: self.data })
    }

    /// A block of which this crate knows without hashing that the CID names the data.
    pub(crate) fn known(cid: Cid, data: Bytes) -> Self {
        Self { cid, data }
    }

    /// The CID that the data hashes to.
    pub fn cid(&self) -> &Cid {
        &self.cid
    }

    /// The multihash of the CID, by which stores and want-lists know the block.
    pub fn hash(&self) -> &Multihash {
        self.cid.hash()
    }

    /// The bytes of the block.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// The bytes of the block, without their proof.
    pub fn into_data(self) -> Bytes {
        self.data
    }

    /// How many bytes the block holds.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether the block holds no bytes. Such blocks exist: the empty file is one.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }
}

impl fmt::Debug for VerifiedBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifiedBlock({}, {} bytes)", self.cid, self.data.len())
    }
}

fn check_size(data: &Bytes) -> Result<(), BlockError> {
    if data.len() > MAX_BLOCK {
        return Err(BlockError::TooLarge { len: data.len() });
    }
    Ok(())
}
