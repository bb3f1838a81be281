//! The machine that turns the bytes of a file into blocks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bowline_block::{Cid, VerifiedBlock};
use bytes::Bytes;

use super::chunker::Chunker;
use super::layout::{Child, Layout};
use crate::config::ImportConfig;
use crate::dag_pb::PbNode;
use crate::data::{Kind, UnixFs};

/// Turns the bytes of a file into blocks.
///
/// ```text
///   push ──> chunks ──poll_leaf──> Leaf ··hash, on any thread··> HashedLeaf ──supply──> layout
///                                                                                         │
///   store <──────────────────────────── poll_block: leaves at once, nodes when full ──────┘
/// ```
///
/// Hashing is nearly all of the work, so it is the caller's: [`Leaf::hash`] runs wherever the caller likes,
/// and the results come back in any order. With one thread, [`hash_leaves`](Self::hash_leaves) does it here.
///
/// Between two `push`es, drain `poll_leaf` and `poll_block`. Then the machine holds less than one chunk of
/// input and, for each level of the tree, less than `max_links` links, however long the file is; and one
/// link for each leaf that came back before an earlier one, of which the caller decides how many.
#[derive(Debug)]
pub struct FileImporter {
    config: ImportConfig,
    chunker: Chunker,
    input_ended: bool,
    /// The index of the next leaf to hand out.
    next_leaf: u64,
    /// Leaves that are being hashed.
    in_flight: BTreeSet<u64>,
    /// Leaves that came back before an earlier one.
    early: BTreeMap<u64, Child>,
    layout: Layout,
    blocks: VecDeque<VerifiedBlock>,
    result: Option<ImportedFile>,
}

/// A piece of a file that is to be hashed.
#[derive(Debug)]
pub struct Leaf {
    config: ImportConfig,
    index: u64,
    content: Bytes,
}

/// The block of a leaf. Only [`Leaf::hash`] makes one.
#[derive(Debug)]
pub struct HashedLeaf {
    index: u64,
    size: u64,
    block: VerifiedBlock,
}

/// What a file became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportedFile {
    /// The root block.
    pub cid: Cid,
    /// The length of the content in bytes.
    pub file_size: u64,
    /// The length of all blocks in bytes, equal ones counted each time: the Tsize of a link to the file.
    pub dag_size: u64,
    /// How many leaves the file has.
    pub leaves: u64,
}

/// A leaf that the importer did not hand out, or has already. The caller is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("leaf {index} is not being hashed for this file")]
pub struct UnknownLeaf {
    index: u64,
}

impl Leaf {
    /// Which leaf of the file this is, from zero.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The content, a slice of the input where one input covered it.
    pub fn content(&self) -> &Bytes {
        &self.content
    }

    /// Encodes and hashes the leaf. This is the expensive step.
    pub fn hash(self) -> HashedLeaf {
        let size = self.content.len() as u64;
        let block = if self.config.raw_leaves {
            self.config.raw_block(self.content)
        } else {
            self.config.node_block(dag_pb_leaf(self.content))
        };
        HashedLeaf { index: self.index, size, block }
    }
}

impl HashedLeaf {
    /// Which leaf of the file this is, from zero.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The block that the leaf became.
    pub fn block(&self) -> &VerifiedBlock {
        &self.block
    }
}

fn dag_pb_leaf(content: Bytes) -> Bytes {
    let message = UnixFs { file_size: Some(content.len() as u64), data: content, ..UnixFs::new(Kind::File) };
    let node = PbNode { links: Vec::new(), data: Some(message.encode()) };
    node.encode()
}

impl FileImporter {
    /// An importer of one file.
    pub fn new(config: ImportConfig) -> Self {
        Self {
            config,
            chunker: Chunker::new(config.chunk_size),
            input_ended: false,
            next_leaf: 0,
            in_flight: BTreeSet::new(),
            early: BTreeMap::new(),
            layout: Layout::default(),
            blocks: VecDeque::new(),
            result: None,
        }
    }

    /// Adds the next bytes of the file, in any split. After [`finish`](Self::finish) they are ignored.
    pub fn push(&mut self, bytes: Bytes) {
        if !self.input_ended {
            self.chunker.push(bytes);
        }
    }

    /// Says that nothing follows.
    pub fn finish(&mut self) {
        self.input_ended = true;
    }

    /// The next leaf to hash and [`supply`](Self::supply).
    #[must_use]
    pub fn poll_leaf(&mut self) -> Option<Leaf> {
        let content = if !self.input_ended {
            self.chunker.next_chunk()?
        } else if self.next_leaf == 0 {
            // An empty file is one empty leaf.
            self.chunker.next_chunk_at_end().unwrap_or_default()
        } else {
            self.chunker.next_chunk_at_end()?
        };
        let index = self.next_leaf;
        self.next_leaf += 1;
        self.in_flight.insert(index);
        Some(Leaf { config: self.config, index, content })
    }

    /// Takes back a leaf, in any order.
    ///
    /// # Errors
    ///
    /// When the leaf is not one that this importer is waiting for; the importer goes on as before.
    pub fn supply(&mut self, leaf: HashedLeaf) -> Result<(), UnknownLeaf> {
        let HashedLeaf { index, size, block } = leaf;
        if !self.in_flight.remove(&index) {
            return Err(UnknownLeaf { index });
        }
        let child = Child { cid: *block.cid(), size, tsize: block.len() as u64 };
        self.blocks.push_back(block);
        self.early.insert(index, child);
        self.place_leaves();
        Ok(())
    }

    /// Moves leaves into the tree as far as there is no gap.
    fn place_leaves(&mut self) {
        let first_missing = self.in_flight.first().copied().unwrap_or(self.next_leaf);
        while let Some(first) = self.early.first_entry() {
            if *first.key() > first_missing {
                break;
            }
            let child = first.remove();
            self.layout.add_leaf(&self.config, child, &mut self.blocks);
        }
    }

    /// Hashes every leaf that is ready, on this thread.
    pub fn hash_leaves(&mut self) {
        while let Some(leaf) = self.poll_leaf() {
            self.supply(leaf.hash()).expect("the leaf was handed out above");
        }
    }

    /// The next block to store: a leaf as soon as it is supplied, a node as soon as it is full.
    ///
    /// Equal content gives equal blocks, and they are given each time.
    #[must_use]
    pub fn poll_block(&mut self) -> Option<VerifiedBlock> {
        self.close();
        self.blocks.pop_front()
    }

    /// What the file became, once: after the last block.
    #[must_use]
    pub fn poll_finished(&mut self) -> Option<ImportedFile> {
        self.close();
        if self.blocks.is_empty() { self.result.take() } else { None }
    }

    /// Closes the tree when the last leaf is in it.
    fn close(&mut self) {
        let is_complete = self.input_ended
            && self.chunker.buffered() == 0
            && self.next_leaf > 0
            && self.in_flight.is_empty();
        if !is_complete {
            return;
        }
        // The layout yields its root once; from then on it has no levels.
        let mut layout = std::mem::take(&mut self.layout);
        if let Some(root) = layout.finish(&self.config, &mut self.blocks) {
            self.result = Some(ImportedFile {
                cid: root.cid,
                file_size: root.size,
                dag_size: root.tsize,
                leaves: self.next_leaf,
            });
        }
    }

    /// How many bytes of input wait to be cut. More than a chunk only when leaves were not polled.
    pub fn buffered(&self) -> usize {
        self.chunker.buffered()
    }

    /// How many leaves have been handed out and not supplied.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }
}

/// Imports a whole file that is in memory, on this thread.
///
/// Returns the blocks in the order in which [`FileImporter`] gives them, root last, and what they make.
pub fn import_bytes(config: ImportConfig, content: Bytes) -> (Vec<VerifiedBlock>, ImportedFile) {
    let mut importer = FileImporter::new(config);
    importer.push(content);
    importer.finish();
    importer.hash_leaves();
    let blocks = std::iter::from_fn(|| importer.poll_block()).collect();
    let file = importer.poll_finished().expect("all input is hashed and all blocks are taken");
    (blocks, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ChunkSize, MaxLinks};

    fn config() -> ImportConfig {
        ImportConfig {
            chunk_size: ChunkSize::new(4).unwrap(),
            max_links: MaxLinks::new(3).unwrap(),
            ..ImportConfig::default()
        }
    }

    #[test]
    fn leaves_come_back_in_any_order() {
        let content = Bytes::from((0..100).collect::<Vec<u8>>());
        let (_, expected) = import_bytes(config(), content.clone());

        let mut importer = FileImporter::new(config());
        importer.push(content);
        importer.finish();
        let mut leaves: Vec<Leaf> = std::iter::from_fn(|| importer.poll_leaf()).collect();
        assert_eq!(importer.in_flight(), 25);
        leaves.reverse();
        for leaf in leaves {
            assert_eq!(importer.poll_finished(), None);
            importer.supply(leaf.hash()).unwrap();
            assert!(importer.poll_block().is_some(), "a leaf is a block at once");
        }
        while importer.poll_block().is_some() {}
        assert_eq!(importer.poll_finished(), Some(expected));
        assert_eq!(importer.poll_finished(), None);
    }

    #[test]
    fn a_leaf_of_another_file_is_refused() {
        let mut other = FileImporter::new(config());
        other.finish();
        let leaf = other.poll_leaf().unwrap().hash();

        let mut importer = FileImporter::new(config());
        assert_eq!(importer.supply(leaf), Err(UnknownLeaf { index: 0 }));
    }

    #[test]
    fn the_result_waits_for_the_end_of_the_input_and_the_last_block() {
        let mut importer = FileImporter::new(config());
        importer.push(Bytes::from_static(b"abcd"));
        importer.hash_leaves();
        assert_eq!(importer.poll_finished(), None);
        importer.finish();
        assert_eq!(importer.poll_finished(), None, "the leaf has not been taken");
        assert!(importer.poll_block().is_some());
        assert_eq!(importer.poll_finished().unwrap().file_size, 4);
        importer.push(Bytes::from_static(b"efgh"));
        assert!(importer.poll_leaf().is_none());
    }

    #[test]
    fn memory_does_not_grow_with_the_file() {
        let mut importer = FileImporter::new(config());
        let mut most = 0;
        for _ in 0..3_000 {
            importer.push(Bytes::from_static(b"123456"));
            importer.hash_leaves();
            while importer.poll_block().is_some() {}
            most = most.max(importer.layout.held());
            assert!(importer.buffered() < 4);
            assert!(importer.early.is_empty());
        }
        // 4,500 leaves make a tree of eight levels with at most two waiting children each.
        assert!(most <= 8 * 2, "{most}");
    }
}
