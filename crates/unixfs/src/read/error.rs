//! Why a tree cannot be read.

use bowline_block::Cid;

use crate::data::Kind;
use crate::name::MAX_PATH_LEN;
use crate::node::NodeError;

/// Why a tree cannot be read. Its writer is at fault, never the peer that sent the block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A block is not a sound node.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A block has another length than its parent says.
    #[error("{cid} holds {actual} bytes of a file where its parent says {declared}")]
    SizeMismatch {
        /// The block.
        cid: Cid,
        /// The content length that the parent declares, in bytes.
        declared: u64,
        /// The content length of the block and what is below it, in bytes.
        actual: u64,
    },
    /// A block is of a type that cannot stand where it stands.
    #[error("{cid} is a {actual} where a {expected} belongs")]
    WrongKind {
        /// The block.
        cid: Cid,
        /// What it should be.
        expected: Kind,
        /// What it is.
        actual: Kind,
    },
    /// A shard has another number of slots than its parent.
    #[error("{cid} has {actual} slots where its parent has {expected}")]
    FanoutChanged {
        /// The shard.
        cid: Cid,
        /// The parent's number of slots.
        expected: u32,
        /// The shard's number of slots.
        actual: u32,
    },
    /// The tree is deeper than allowed.
    #[error("{cid} is more than {max} links below the root")]
    TooDeep {
        /// The first block that is too deep.
        cid: Cid,
        /// The most links allowed.
        max: usize,
    },
    /// The tree has more links than allowed.
    #[error("more than {max} links before {cid}")]
    TooManyLinks {
        /// The first block that is too many.
        cid: Cid,
        /// The most links allowed.
        max: u64,
    },
    /// The nodes on the way to the next block take more memory than allowed.
    #[error("nodes down to {cid} take more than {max} bytes of memory")]
    NodesTooLarge {
        /// The node that is too much.
        cid: Cid,
        /// The most bytes allowed.
        max: usize,
    },
    /// The path of an entry is longer than [`MAX_PATH_LEN`].
    #[error("the path of {cid} is longer than {MAX_PATH_LEN} bytes")]
    LongPath {
        /// The entry's root block.
        cid: Cid,
    },
}
