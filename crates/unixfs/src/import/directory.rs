//! Directories and symbolic links become blocks.

use std::collections::BTreeMap;
use std::collections::btree_map;

use bowline_block::{Cid, VerifiedBlock};
use bytes::Bytes;

use crate::config::ImportConfig;
use crate::dag_pb::{MAX_LINKS, PbLink, PbNode};
use crate::data::{Kind, UnixFs};
use crate::hamt::{Fanout, MURMUR3_X64_64, Trail, WRITE_FANOUT, hash_name};
use crate::name::{Name, NameError};
use crate::node::MAX_TARGET_LEN;

/// Collects the entries of a directory and makes its blocks.
///
/// Entries come in any order. A directory beyond the [`Sharding`](crate::Sharding) threshold becomes a tree
/// of shards, others one block.
#[derive(Clone, Debug)]
pub struct DirectoryBuilder {
    config: ImportConfig,
    entries: BTreeMap<Name, Target>,
    /// Names and CIDs together, in bytes.
    names_and_cids: usize,
    /// All links as they are in one block, in bytes.
    links_len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Target {
    cid: Cid,
    tsize: u64,
}

/// What a directory or symbolic link became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedNode {
    /// The root block.
    pub cid: Cid,
    /// The length of the node's own blocks and of everything below them, in bytes: the Tsize of a link to it.
    pub dag_size: u64,
    /// The node's own blocks, root last. Never empty.
    pub blocks: Vec<VerifiedBlock>,
}

/// Why an entry or a symbolic link was not taken. The caller is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The name could lead out of its directory.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The directory has an entry of this name.
    #[error("directory has two entries named {name}")]
    Duplicate {
        /// The name.
        name: Name,
    },
    /// Two names have the same hash, which takes years of computing to find.
    #[error("names in a sharded directory have the same hash")]
    HashCollision,
    /// The target of a symbolic link is longer than [`MAX_TARGET_LEN`].
    #[error("symbolic link with a target of {len} bytes")]
    LongTarget {
        /// Its length in bytes.
        len: usize,
    },
}

impl DirectoryBuilder {
    /// A directory without entries.
    pub fn new(config: ImportConfig) -> Self {
        Self { config, entries: BTreeMap::new(), names_and_cids: 0, links_len: 0 }
    }

    /// Adds an entry.
    ///
    /// `tsize` is the length in bytes of all blocks of the entry: [`ImportedFile::dag_size`](crate::ImportedFile)
    /// or [`ImportedNode::dag_size`].
    ///
    /// # Errors
    ///
    /// When the name is unsafe or taken.
    pub fn add(&mut self, name: impl Into<Bytes>, cid: Cid, tsize: u64) -> Result<(), BuildError> {
        let target = Target { cid, tsize };
        match self.entries.entry(Name::new(name)?) {
            btree_map::Entry::Occupied(entry) => Err(BuildError::Duplicate { name: entry.key().clone() }),
            btree_map::Entry::Vacant(entry) => {
                self.names_and_cids += entry.key().as_bytes().len() + cid.encoded_len();
                self.links_len += target.link(entry.key().bytes().clone()).encoded_len();
                entry.insert(target);
                Ok(())
            }
        }
    }

    /// How many entries the directory has.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the directory has no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Makes the blocks.
    ///
    /// # Errors
    ///
    /// When two names of a sharded directory have the same hash.
    pub fn finish(self) -> Result<ImportedNode, BuildError> {
        let data = UnixFs::new(Kind::Directory).encode();
        let block_size =
            self.links_len + PbNode { links: Vec::new(), data: Some(data.clone()) }.encoded_len();
        let mut blocks = Vec::new();
        let root = if self.config.shards(self.names_and_cids, block_size) || self.entries.len() > MAX_LINKS {
            self.shards(&mut blocks)?
        } else {
            let links = self.entries.into_iter();
            let links = links.map(|(name, target)| target.link(name.bytes().clone())).collect();
            finish_node(&self.config, links, data, &mut blocks)
        };
        Ok(ImportedNode { cid: root.cid, dag_size: root.tsize, blocks })
    }

    fn shards(&self, blocks: &mut Vec<VerifiedBlock>) -> Result<Target, BuildError> {
        let entries = self.entries.iter();
        let mut hashed: Vec<Hashed<'_>> =
            entries.map(|(name, target)| (hash_name(name.as_bytes()), name, target)).collect();
        // By hash, entries of one slot are side by side on every level.
        hashed.sort_unstable_by_key(|(hash, ..)| *hash);
        let fanout = Fanout::new(WRITE_FANOUT).expect("256 slots are acceptable");
        shard(&self.config, fanout, Trail::default(), &hashed, blocks)
    }
}

type Hashed<'a> = (u64, &'a Name, &'a Target);

/// Makes a shard of these entries, and its child shards first.
fn shard(
    config: &ImportConfig,
    fanout: Fanout,
    trail: Trail,
    entries: &[Hashed<'_>],
    blocks: &mut Vec<VerifiedBlock>,
) -> Result<Target, BuildError> {
    let slot_of = |entry: &Hashed<'_>| trail.slot(fanout, entry.0);
    let mut links = Vec::new();
    let mut bitmap = vec![0u8; fanout.slots() as usize / 8];
    for group in entries.chunk_by(|a, b| slot_of(a) == slot_of(b)) {
        let [first, rest @ ..] = group else { continue };
        let slot = slot_of(first).ok_or(BuildError::HashCollision)?;
        set_bit(&mut bitmap, slot);
        let mut name = fanout.prefix(slot).into_bytes();
        let target = if rest.is_empty() {
            name.extend_from_slice(first.1.as_bytes());
            *first.2
        } else {
            let below = trail.descend(fanout, slot).ok_or(BuildError::HashCollision)?;
            shard(config, fanout, below, group, blocks)?
        };
        links.push(target.link(name.into()));
    }
    let used = bitmap.iter().position(|byte| *byte != 0).unwrap_or(bitmap.len());
    let message = UnixFs {
        data: bitmap.split_off(used).into(),
        hash_type: Some(MURMUR3_X64_64),
        fanout: Some(u64::from(fanout.slots())),
        ..UnixFs::new(Kind::Shard)
    };
    Ok(finish_node(config, links, message.encode(), blocks))
}

/// Sets a bit of a big-endian bitmap: slot 0 is the lowest bit of the last byte.
fn set_bit(bitmap: &mut [u8], slot: u32) {
    if let Some(byte) = bitmap.iter_mut().rev().nth(slot as usize / 8) {
        *byte |= 1 << (slot % 8);
    }
}

/// Makes the block of a node and what a link to it says.
fn finish_node(
    config: &ImportConfig,
    links: Vec<PbLink>,
    data: Bytes,
    blocks: &mut Vec<VerifiedBlock>,
) -> Target {
    let below = links.iter().filter_map(|link| link.tsize).fold(0, u64::saturating_add);
    let node = PbNode { links, data: Some(data) };
    let block = config.node_block(node.encode());
    let target = Target { cid: *block.cid(), tsize: below.saturating_add(block.len() as u64) };
    blocks.push(block);
    target
}

impl Target {
    fn link(&self, name: Bytes) -> PbLink {
        PbLink { cid: self.cid, name: Some(name), tsize: Some(self.tsize) }
    }
}

/// Makes a symbolic link. The target is kept as it is and may lead anywhere.
///
/// # Errors
///
/// When the target is longer than [`MAX_TARGET_LEN`].
pub fn symlink(config: &ImportConfig, target: impl Into<Bytes>) -> Result<ImportedNode, BuildError> {
    let data = target.into();
    if data.len() > MAX_TARGET_LEN {
        return Err(BuildError::LongTarget { len: data.len() });
    }
    let message = UnixFs { data, ..UnixFs::new(Kind::Symlink) };
    let mut blocks = Vec::new();
    let node = finish_node(config, Vec::new(), message.encode(), &mut blocks);
    Ok(ImportedNode { cid: node.cid, dag_size: node.tsize, blocks })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sharding;

    fn target() -> Cid {
        *symlink(&ImportConfig::default(), "x").unwrap().blocks[0].cid()
    }

    #[test]
    fn unsafe_and_taken_names_are_refused_and_the_rest_stays() {
        let mut builder = DirectoryBuilder::new(ImportConfig::default());
        builder.add("a", target(), 1).unwrap();
        assert_eq!(builder.add("..", target(), 1), Err(BuildError::Name(NameError::DotDot)));
        let name = Name::new("a").unwrap();
        assert_eq!(builder.add("a", target(), 2), Err(BuildError::Duplicate { name }));
        assert_eq!(builder.len(), 1);
    }

    #[test]
    fn the_threshold_itself_is_not_beyond_it() {
        let entry = 1 + target().encoded_len();
        let kind = |threshold, count: u8| {
            let sharding = Sharding::NamesAndCids(threshold);
            let mut builder = DirectoryBuilder::new(ImportConfig { sharding, ..ImportConfig::default() });
            for name in 0..count {
                builder.add(vec![b'a' + name], target(), 1).unwrap();
            }
            let directory = builder.finish().unwrap();
            crate::Node::parse(directory.blocks.last().unwrap()).unwrap().kind()
        };
        assert_eq!(kind(2 * entry, 2), Kind::Directory);
        assert_eq!(kind(2 * entry - 1, 2), Kind::Shard);
        assert_eq!(kind(0, 0), Kind::Directory);
    }

    #[test]
    fn long_symlink_targets_are_refused() {
        let config = ImportConfig::default();
        assert!(symlink(&config, vec![b'a'; MAX_TARGET_LEN]).is_ok());
        let len = MAX_TARGET_LEN + 1;
        assert_eq!(symlink(&config, vec![b'a'; len]), Err(BuildError::LongTarget { len }));
    }
}
