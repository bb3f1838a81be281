//! How files and directories become blocks.

use bowline_block::{HashAlgorithm, MAX_BLOCK, MAX_DIGEST_LEN, VerifiedBlock, Version, codec};
use bytes::Bytes;

const KIB: usize = 1024;

/// A set of import settings that others use too, so that equal content gets equal CIDs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// What `ipfs add` does: CIDv0, chunks of 256 KiB in DAG-PB leaves, 174 links per node
    /// (`unixfs-v0-2015`).
    V0,
    /// What `ipfs add --cid-version=1` does: CIDv1, chunks of 256 KiB in raw leaves, 174 links per node.
    #[default]
    V1,
    /// The profile `unixfs-v1-2025`: CIDv1, chunks of 1 MiB in raw leaves, 1024 links per node.
    V1_2025,
}

/// How files and directories become blocks. Every combination of values is valid.
///
/// All of it changes the CID of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportConfig {
    /// The length of the pieces that a file is cut into.
    pub chunk_size: ChunkSize,
    /// The most links of a file's inner node.
    pub max_links: MaxLinks,
    /// Whether the pieces are blocks as they are, or wrapped in DAG-PB nodes, which costs a copy.
    pub raw_leaves: bool,
    /// The version of CIDs.
    ///
    /// Only DAG-PB nodes by SHA2-256 can have version 0; everything else gets version 1 all the same.
    pub cid_version: Version,
    /// The hash that names the blocks.
    ///
    /// [`HashAlgorithm::Identity`] holds only blocks of up to 64 bytes; longer ones are named by SHA2-256.
    pub hash: HashAlgorithm,
    /// Blocks of up to this many bytes are put into their CID instead of being hashed; at most 64. Off: 0.
    pub inline_up_to: usize,
    /// When a directory is spread over several blocks.
    pub sharding: Sharding,
}

/// When a directory is spread over several blocks by the hashes of its names.
///
/// Whatever the rule, a directory that does not fit one block is spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharding {
    /// When its names and CIDs together are longer than this many bytes.
    NamesAndCids(usize),
    /// When its block would be longer than this many bytes.
    BlockSize(usize),
}

/// The length of the pieces that a file is cut into: 1 byte to [`ChunkSize::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkSize(usize);

/// The most links of a file's inner node: 2 to [`MaxLinks::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaxLinks(usize);

/// A setting that lies outside its range. Whoever configured it is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} of {value} is not between {min} and {max}")]
pub struct RangeError {
    name: &'static str,
    value: usize,
    min: usize,
    max: usize,
}

impl ChunkSize {
    /// The longest chunk: a block less 256 bytes for the node around it, as Kubo has it.
    pub const MAX: usize = MAX_BLOCK - 256;
    /// 256 KiB.
    pub const KIB_256: Self = Self(256 * KIB);
    /// 1 MiB.
    pub const MIB_1: Self = Self(1024 * KIB);

    /// A chunk of this many bytes.
    ///
    /// # Errors
    ///
    /// When it is zero or above [`MAX`](Self::MAX).
    pub fn new(bytes: usize) -> Result<Self, RangeError> {
        check("chunk size", bytes, 1, Self::MAX).map(Self)
    }

    /// The length in bytes.
    pub fn bytes(self) -> usize {
        self.0
    }
}

impl MaxLinks {
    /// The most links with which a node surely fits a block, whatever the hash.
    pub const MAX: usize = 16 * KIB;
    /// 174: the 8 KiB that a node once had, by 47 bytes of link.
    pub const KUBO: Self = Self(174);
    /// 1024.
    pub const WIDE: Self = Self(1024);

    /// Nodes of this many links.
    ///
    /// # Errors
    ///
    /// When it is below two, which would never end, or above [`MAX`](Self::MAX).
    pub fn new(links: usize) -> Result<Self, RangeError> {
        check("links per node", links, 2, Self::MAX).map(Self)
    }

    /// The number of links.
    pub fn count(self) -> usize {
        self.0
    }
}

fn check(name: &'static str, value: usize, min: usize, max: usize) -> Result<usize, RangeError> {
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    Err(RangeError { name, value, min, max })
}

impl Profile {
    /// The settings of the profile.
    pub fn config(self) -> ImportConfig {
        let v1 = ImportConfig {
            chunk_size: ChunkSize::KIB_256,
            max_links: MaxLinks::KUBO,
            raw_leaves: true,
            cid_version: Version::V1,
            hash: HashAlgorithm::Sha2_256,
            inline_up_to: 0,
            sharding: Sharding::NamesAndCids(256 * KIB),
        };
        match self {
            Self::V0 => ImportConfig { raw_leaves: false, cid_version: Version::V0, ..v1 },
            Self::V1 => v1,
            Self::V1_2025 => ImportConfig {
                chunk_size: ChunkSize::MIB_1,
                max_links: MaxLinks::WIDE,
                sharding: Sharding::BlockSize(256 * KIB),
                ..v1
            },
        }
    }
}

impl Default for ImportConfig {
    /// The settings of [`Profile::V1`].
    fn default() -> Self {
        Profile::default().config()
    }
}

impl From<Profile> for ImportConfig {
    fn from(profile: Profile) -> Self {
        profile.config()
    }
}

impl ImportConfig {
    /// Names a raw block as these settings say.
    pub(crate) fn raw_block(&self, data: Bytes) -> VerifiedBlock {
        self.block(codec::RAW, data)
    }

    /// Names a DAG-PB node as these settings say.
    pub(crate) fn node_block(&self, data: Bytes) -> VerifiedBlock {
        self.block(codec::DAG_PB, data)
    }

    /// # Panics
    ///
    /// When `data` is longer than a block: chunk size, fan-out and sharding keep every caller below it.
    fn block(&self, codec: u64, data: Bytes) -> VerifiedBlock {
        let inlined = self.inline_up_to.min(MAX_DIGEST_LEN);
        let hash = if inlined > 0 && data.len() <= inlined {
            HashAlgorithm::Identity
        } else if self.hash == HashAlgorithm::Identity && data.len() > MAX_DIGEST_LEN {
            HashAlgorithm::Sha2_256
        } else {
            self.hash
        };
        let block = if self.has_v0(codec, hash) {
            VerifiedBlock::v0(data)
        } else {
            VerifiedBlock::new(codec, hash, data)
        };
        block.expect("imported blocks are shorter than MAX_BLOCK, and inlined ones than MAX_DIGEST_LEN")
    }

    fn has_v0(&self, codec: u64, hash: HashAlgorithm) -> bool {
        self.cid_version == Version::V0 && codec == codec::DAG_PB && hash == HashAlgorithm::Sha2_256
    }

    /// Whether a directory of these sizes in bytes is to be spread over several blocks.
    pub(crate) fn shards(&self, names_and_cids: usize, block_size: usize) -> bool {
        let beyond = match self.sharding {
            Sharding::NamesAndCids(threshold) => names_and_cids > threshold,
            Sharding::BlockSize(threshold) => block_size > threshold,
        };
        beyond || block_size > MAX_BLOCK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_refused_with_their_range() {
        assert!(ChunkSize::new(1).is_ok() && ChunkSize::new(ChunkSize::MAX).is_ok());
        assert!(ChunkSize::new(0).is_err());
        assert_eq!(
            ChunkSize::new(ChunkSize::MAX + 1).unwrap_err().to_string(),
            "chunk size of 2096897 is not between 1 and 2096896"
        );
        assert!(MaxLinks::new(2).is_ok() && MaxLinks::new(MaxLinks::MAX).is_ok());
        assert!(MaxLinks::new(1).is_err() && MaxLinks::new(MaxLinks::MAX + 1).is_err());
    }

    #[test]
    fn only_sha2_256_nodes_have_version_zero() {
        let config = Profile::V0.config();
        assert_eq!(config.node_block(Bytes::new()).cid().version(), Version::V0);
        assert_eq!(config.raw_block(Bytes::new()).cid().version(), Version::V1);
        let config = ImportConfig { hash: HashAlgorithm::Sha2_512, ..config };
        assert_eq!(config.node_block(Bytes::new()).cid().version(), Version::V1);
    }

    #[test]
    fn identity_holds_64_bytes_and_longer_blocks_are_hashed() {
        let by_hash = ImportConfig { hash: HashAlgorithm::Identity, ..ImportConfig::default() };
        let by_length = ImportConfig { inline_up_to: usize::MAX, ..ImportConfig::default() };
        for config in [by_hash, by_length] {
            let code = |len: usize| config.raw_block(vec![1; len].into()).cid().hash().code();
            assert_eq!(code(64), HashAlgorithm::Identity.code());
            assert_eq!(code(65), HashAlgorithm::Sha2_256.code());
        }
    }
}
