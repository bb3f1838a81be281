//! What a walker is waiting for.

use std::sync::Arc;

use bowline_block::{Cid, MAX_BLOCK, VerifiedBlock, codec};
use bytes::Bytes;

use super::event::FileId;
use crate::data::Kind;
use crate::hamt::{Fanout, Trail};
use crate::name::TreePath;
use crate::node::{DirectoryNode, Entry, FileNode, Node, NodeError, Part, ShardNode, Slot, SymlinkNode};

/// Where something is in the tree: the numbers of the links from the root to it.
///
/// Compared like words in a dictionary, positions are in the order in which a sequential reader comes to
/// them, whenever the nodes above them arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position(Vec<u32>);

impl Position {
    pub(super) fn child(&self, index: u32) -> Self {
        let mut numbers = Vec::with_capacity(self.0.len() + 1);
        numbers.extend_from_slice(&self.0);
        numbers.push(index);
        Self(numbers)
    }

    pub(super) fn depth(&self) -> usize {
        self.0.len()
    }
}

/// A block that is needed at one position.
#[derive(Clone, Debug)]
pub(super) struct Want {
    pub(super) cid: Cid,
    pub(super) role: Role,
    pub(super) schedule: Schedule,
}

/// What a block is to the tree.
#[derive(Clone, Debug)]
pub(super) enum Role {
    /// A file, directory or symbolic link.
    Entry { path: TreePath, tsize: u64 },
    /// A part of a file.
    Part { file: FileId, offset: u64, size: u64 },
    /// A child shard of a directory.
    Shard(ShardRole),
}

/// Where a child shard belongs.
#[derive(Clone, Debug)]
pub(super) struct ShardRole {
    /// The path of the directory.
    pub(super) path: TreePath,
    pub(super) fanout: Fanout,
    pub(super) trail: Trail,
}

/// How a block is scheduled, from what its parent says about it. A wrong guess costs time, nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Content, or a node so small that it may be: counted in the window by its declared size.
    Content,
    /// Surely an inner node, since no block holds as much content: a few are fetched ahead, so that there
    /// are always links to follow.
    Branch,
    /// A child shard: as many are fetched ahead as the window holds, since each leads only to a few entries.
    Shard,
    /// A node that had to be dropped for want of memory: fetched when it is next in order.
    Again,
}

/// The bytes of the window that are set aside for an inner node. One of 1024 links has 50 KB.
pub(super) const BRANCH_RESERVE: u64 = 64 * 1024;

/// The same for a child shard: with 256 links and names of ordinary length it has 16 KB.
const SHARD_RESERVE: u64 = 16 * 1024;

impl Want {
    pub(super) fn new(cid: Cid, role: Role, size: u64) -> Self {
        let schedule = Schedule::of(&cid, size, matches!(role, Role::Shard(_)));
        Self { cid, role, schedule }
    }

    /// A want for a block that is fetched only when it is next in order.
    pub(super) fn again(cid: Cid, role: Role) -> Self {
        let schedule = Schedule { class: Class::Again, reserved: BRANCH_RESERVE };
        Self { cid, role, schedule }
    }
}

/// When a block is fetched, and what it takes of the window until it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    pub(super) class: Class,
    /// Bytes of the window.
    pub(super) reserved: u64,
}

impl Schedule {
    /// For what is not fetched.
    pub(super) const NOTHING: Self = Self { class: Class::Content, reserved: 0 };

    /// The schedule of a block below which its parent says that there are `size` bytes.
    pub(super) fn of(cid: &Cid, size: u64, is_shard: bool) -> Self {
        let class = if is_shard {
            Class::Shard
        } else if size > MAX_BLOCK as u64 && cid.codec() != codec::RAW {
            Class::Branch
        } else {
            Class::Content
        };
        let reserved = match class {
            Class::Content => size.min(MAX_BLOCK as u64),
            Class::Shard => SHARD_RESERVE,
            Class::Branch | Class::Again => BRANCH_RESERVE,
        };
        Self { class, reserved }
    }
}

/// A node that has come, shared by all positions at which it stands.
#[derive(Clone, Debug)]
pub(super) enum Arrived {
    File(Arc<FileNode>),
    Directory(Arc<DirectoryNode>),
    Shard(Arc<ShardNode>),
    Symlink(SymlinkNode),
}

impl Arrived {
    pub(super) fn parse(block: &VerifiedBlock) -> Result<Self, NodeError> {
        Ok(match Node::parse(block)? {
            Node::File(file) => Self::File(Arc::new(unpinned(file, block.len()))),
            Node::Directory(directory) => Self::Directory(Arc::new(directory)),
            Node::Shard(shard) => Self::Shard(Arc::new(shard)),
            Node::Symlink(symlink) => Self::Symlink(symlink),
        })
    }

    /// How many bytes of content are in the block itself.
    pub(super) fn content_len(&self) -> u64 {
        match self {
            Self::File(file) => file.content.len() as u64,
            Self::Directory(_) | Self::Shard(_) | Self::Symlink(_) => 0,
        }
    }

    /// The memory that the node takes while its links are followed, in bytes.
    pub(super) fn charge(&self, block_len: usize) -> usize {
        match self {
            Self::File(file) if file.parts.is_empty() => 0,
            Self::File(file) => file.content.len() + file.parts.len() * size_of::<Part>(),
            // Their names are slices of the block.
            Self::Directory(directory) => block_len + directory.entries.len() * size_of::<Entry>(),
            Self::Shard(shard) => block_len + shard.slots.len() * size_of::<Slot>(),
            Self::Symlink(_) => 0,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::File(_) => Kind::File,
            Self::Directory(_) => Kind::Directory,
            Self::Shard(_) => Kind::Shard,
            Self::Symlink(_) => Kind::Symlink,
        }
    }
}

/// Content in an inner node would pin the whole block for as long as a consumer holds it.
fn unpinned(mut file: FileNode, block_len: usize) -> FileNode {
    if file.content.len() < block_len / 2 {
        file.content = Bytes::copy_from_slice(&file.content);
    }
    file
}
