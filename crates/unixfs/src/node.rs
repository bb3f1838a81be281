//! What one block of UnixFS says, checked.

use std::collections::BTreeSet;

use bowline_block::{Cid, VerifiedBlock, codec};
use bytes::Bytes;

use crate::dag_pb::{DagPbError, PbLink, PbNode};
use crate::data::{Kind, Metadata, UnixFs, UnixFsError};
use crate::hamt::{Fanout, MURMUR3_X64_64, Trail, hash_name};
use crate::name::{Name, NameError};

/// The most bytes that the target of a symbolic link may have: the longest path that Linux takes.
pub const MAX_TARGET_LEN: usize = 4096;

/// What one block is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A file, or a part of one.
    File(FileNode),
    /// A directory in one block.
    Directory(DirectoryNode),
    /// A directory, or a part of one, spread over blocks.
    Shard(ShardNode),
    /// A symbolic link.
    Symlink(SymlinkNode),
}

/// A file, or a part of one: bytes, then the content of the parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileNode {
    /// The content that is in this block, a slice of it.
    pub content: Bytes,
    /// The parts that follow it, in other blocks.
    pub parts: Vec<Part>,
    /// How many bytes of content the block and its parts have.
    pub size: u64,
    /// Permissions and time.
    pub metadata: Metadata,
}

/// A part of a file in another block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The block.
    pub cid: Cid,
    /// How many bytes of content are below it.
    pub size: u64,
}

/// A directory in one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryNode {
    /// The entries in the order of the block. No name occurs twice: the first one counts.
    pub entries: Vec<Entry>,
    /// Permissions and time.
    pub metadata: Metadata,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name, safe to join to a path.
    pub name: Name,
    /// The root block of the entry.
    pub cid: Cid,
    /// The length of all its blocks together, as the writer of the directory says. Zero when unknown.
    pub tsize: u64,
}

/// A directory, or a part of one, spread over blocks by the hashes of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardNode {
    /// How many slots the shard has.
    pub fanout: Fanout,
    /// The slots in use, in the order of the block.
    pub slots: Vec<Slot>,
    /// Permissions and time.
    pub metadata: Metadata,
}

/// A slot of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Which slot.
    pub index: u32,
    /// The entry's name, or `None` for a child shard.
    pub name: Option<Name>,
    /// The root block of the entry, or the child shard.
    pub cid: Cid,
    /// The length of all blocks below together, as the writer says. Zero when unknown.
    pub tsize: u64,
}

/// A symbolic link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymlinkNode {
    /// Where it points, as written: it may lead anywhere.
    pub target: Bytes,
    /// Permissions and time.
    pub metadata: Metadata,
}

/// A block that is not a sound node of UnixFS. Whoever wrote it is at fault, not the peer that sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cid}: {problem}")]
pub struct NodeError {
    cid: Box<Cid>,
    problem: Problem,
}

/// What is wrong with a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Neither raw bytes nor DAG-PB.
    #[error("codec {codec:#x} is not part of UnixFS")]
    Codec {
        /// The multicodec code.
        codec: u64,
    },
    /// Not a DAG-PB node.
    #[error(transparent)]
    DagPb(#[from] DagPbError),
    /// A DAG-PB node without a UnixFS message.
    #[error("node has no data")]
    NoData,
    /// Not a UnixFS message.
    #[error(transparent)]
    UnixFs(#[from] UnixFsError),
    /// A type that nothing writes.
    #[error("nodes of type {kind} are not supported")]
    Unsupported {
        /// The type.
        kind: Kind,
    },
    /// Every link of a file has a size.
    #[error("{sizes} block sizes for {links} links")]
    LinkCount {
        /// How many links the node has.
        links: usize,
        /// How many sizes it has.
        sizes: usize,
    },
    /// The sizes do not add up.
    #[error("file size of {declared} where content and block sizes make {actual}")]
    FileSize {
        /// The size that the node declares, in bytes.
        declared: u64,
        /// Its content and block sizes together; `u64::MAX` when they exceed it.
        actual: u64,
    },
    /// A name that could lead out of its directory.
    #[error("entry {entry}: {reason}")]
    UnsafeName {
        /// Which link of the node, from zero.
        entry: usize,
        /// What is wrong with its name.
        reason: NameError,
    },
    /// The hash of the names is not murmur3-x64-64, or the fan-out not a power of two from 8 to 1024.
    #[error("shard with hash {hash_type:#x} and fan-out {fanout}")]
    ShardKind {
        /// The multicodec code of the hash.
        hash_type: u64,
        /// The number of slots.
        fanout: u64,
    },
    /// A link of a shard whose name does not start with a slot, or with one where it does not belong.
    #[error("entry {entry} is not in the slot of its name")]
    WrongSlot {
        /// Which link of the node, from zero.
        entry: usize,
    },
    /// A shard below the last bits of the hash.
    #[error("shards are nested deeper than the hash of a name")]
    ShardDepth,
    /// The target of a symbolic link is longer than [`MAX_TARGET_LEN`].
    #[error("symbolic link with a target of {len} bytes")]
    LongTarget {
        /// Its length in bytes.
        len: usize,
    },
}

impl NodeError {
    pub(crate) fn new(cid: &Cid, problem: impl Into<Problem>) -> Self {
        Self { cid: Box::new(*cid), problem: problem.into() }
    }

    /// The block that is at fault.
    pub fn cid(&self) -> &Cid {
        &self.cid
    }

    /// What is wrong with it.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl Node {
    /// Reads a block: raw bytes are a file, DAG-PB is what its UnixFS message says.
    ///
    /// # Errors
    ///
    /// When the block is not a sound node, such as a directory with a name that leads out of it.
    pub fn parse(block: &VerifiedBlock) -> Result<Self, NodeError> {
        parse(block).map_err(|problem| NodeError::new(block.cid(), problem))
    }

    /// What the node is, in UnixFS's words.
    pub fn kind(&self) -> Kind {
        match self {
            Self::File(_) => Kind::File,
            Self::Directory(_) => Kind::Directory,
            Self::Shard(_) => Kind::Shard,
            Self::Symlink(_) => Kind::Symlink,
        }
    }

    /// The number of bytes of a file, and `None` for anything else.
    pub fn file_size(&self) -> Option<u64> {
        match self {
            Self::File(file) => Some(file.size),
            Self::Directory(_) | Self::Shard(_) | Self::Symlink(_) => None,
        }
    }
}

fn parse(block: &VerifiedBlock) -> Result<Node, Problem> {
    match block.cid().codec() {
        codec::RAW => Ok(Node::File(FileNode {
            content: block.data().clone(),
            parts: Vec::new(),
            size: block.len() as u64,
            metadata: Metadata::default(),
        })),
        codec::DAG_PB => parse_dag_pb(PbNode::decode(block.data())?),
        codec => Err(Problem::Codec { codec }),
    }
}

fn parse_dag_pb(node: PbNode) -> Result<Node, Problem> {
    let message = UnixFs::decode(&node.data.ok_or(Problem::NoData)?)?;
    match message.kind {
        Kind::Raw | Kind::File => FileNode::new(node.links, message).map(Node::File),
        Kind::Directory => DirectoryNode::new(node.links, message).map(Node::Directory),
        Kind::Shard => ShardNode::new(node.links, message).map(Node::Shard),
        Kind::Symlink => SymlinkNode::new(message).map(Node::Symlink),
        kind @ Kind::Metadata => Err(Problem::Unsupported { kind }),
    }
}

impl FileNode {
    fn new(links: Vec<PbLink>, message: UnixFs) -> Result<Self, Problem> {
        let (links_len, sizes) = (links.len(), message.block_sizes.len());
        if links_len != sizes {
            return Err(Problem::LinkCount { links: links_len, sizes });
        }
        let content_len = message.data.len() as u64;
        let sum = message.block_sizes.iter().try_fold(content_len, |sum, size| sum.checked_add(*size));
        let declared = message.file_size.or(sum).unwrap_or(u64::MAX);
        let size = sum
            .filter(|sum| *sum == declared)
            .ok_or(Problem::FileSize { declared, actual: sum.unwrap_or(u64::MAX) })?;
        let parts = links.iter().zip(message.block_sizes);
        Ok(Self {
            content: message.data,
            parts: parts.map(|(link, size)| Part { cid: link.cid, size }).collect(),
            size,
            metadata: message.metadata,
        })
    }
}

impl DirectoryNode {
    fn new(links: Vec<PbLink>, message: UnixFs) -> Result<Self, Problem> {
        let mut seen = BTreeSet::new();
        let mut entries = Vec::with_capacity(links.len());
        for (index, link) in links.into_iter().enumerate() {
            let name = entry_name(index, link.name.unwrap_or_default())?;
            if seen.insert(name.clone()) {
                let tsize = link.tsize.unwrap_or(0);
                entries.push(Entry { name, cid: link.cid, tsize });
            }
        }
        Ok(Self { entries, metadata: message.metadata })
    }
}

impl ShardNode {
    fn new(links: Vec<PbLink>, message: UnixFs) -> Result<Self, Problem> {
        let (hash_type, fanout) = (message.hash_type.unwrap_or(0), message.fanout.unwrap_or(0));
        let fanout = Fanout::new(fanout)
            .filter(|_| hash_type == MURMUR3_X64_64)
            .ok_or(Problem::ShardKind { hash_type, fanout })?;
        let mut seen = BTreeSet::new();
        let mut slots = Vec::with_capacity(links.len());
        for (entry, link) in links.into_iter().enumerate() {
            let link_name = link.name.unwrap_or_default();
            let (index, start) = fanout.split_name(&link_name).ok_or(Problem::WrongSlot { entry })?;
            // One slot holds one entry or one child shard; the first counts, as with names.
            if !seen.insert(index) {
                continue;
            }
            let name = match link_name.slice(start..) {
                name if name.is_empty() => None,
                name => Some(entry_name(entry, name)?),
            };
            let tsize = link.tsize.unwrap_or(0);
            slots.push(Slot { index, name, cid: link.cid, tsize });
        }
        Ok(Self { fanout, slots, metadata: message.metadata })
    }

    /// Checks that every name is in the shard and slot of its hash.
    ///
    /// A name that hides in another shard could occur twice in one directory, with different contents for
    /// whoever looks it up and whoever lists the directory.
    pub(crate) fn check_slots(&self, cid: &Cid, trail: Trail) -> Result<(), NodeError> {
        for (entry, slot) in self.slots.iter().enumerate() {
            let below = trail
                .descend(self.fanout, slot.index)
                .ok_or_else(|| NodeError::new(cid, Problem::ShardDepth))?;
            let misplaced = |name: &Name| !below.leads_to(hash_name(name.as_bytes()));
            if slot.name.as_ref().is_some_and(misplaced) {
                return Err(NodeError::new(cid, Problem::WrongSlot { entry }));
            }
        }
        Ok(())
    }
}

impl SymlinkNode {
    fn new(message: UnixFs) -> Result<Self, Problem> {
        let len = message.data.len();
        if len > MAX_TARGET_LEN {
            return Err(Problem::LongTarget { len });
        }
        Ok(Self {
            // A target outlives the block that it is a slice of.
            target: Bytes::copy_from_slice(&message.data),
            metadata: message.metadata,
        })
    }
}

fn entry_name(entry: usize, name: Bytes) -> Result<Name, Problem> {
    Name::new(name).map_err(|reason| Problem::UnsafeName { entry, reason })
}
