//! What can go wrong with files.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use bowline_bitswap::{MissingReason, Refusal};
use bowline_block::Cid;
use bowline_blockstore::StoreError;
use bowline_identity::PeerId;
use bowline_unixfs::{BuildError, ReadError};

/// Why a file or tree was not added. Blocks that were stored by then stay in the store.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// The file system refused.
    #[error("{path}: {message}", path = path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// The kind of error.
        kind: io::ErrorKind,
        /// What the operating system said.
        message: String,
    },
    /// The path is neither a file, a directory nor a symbolic link.
    #[error("{path} is neither a file, a directory nor a symbolic link", path = path.display())]
    Unsupported {
        /// The path.
        path: PathBuf,
    },
    /// A directory cannot be made of these entries.
    #[error("{path}: {source}", path = path.display())]
    Build {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: BuildError,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AddError {
    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        Self::Io { path: path.to_owned(), kind: error.kind(), message: error.to_string() }
    }
}

/// Why content was not got. Nothing stands under the final name then; blocks that were kept stay kept.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// Nobody who was asked has a block.
    #[error("block {cid} is not to be had: {}", refusals(*reason, answers))]
    Missing {
        /// The block.
        cid: Cid,
        /// What the last hope failed on.
        reason: MissingReason,
        /// What each peer said, or failed to.
        answers: Vec<(PeerId, Refusal)>,
    },
    /// A block is not in the store, and nobody was to be asked.
    #[error("block {cid} is not in the store")]
    NotStored {
        /// The block.
        cid: Cid,
    },
    /// A block in the store is not what its CID says, and nobody was to be asked for a better one.
    #[error("block {cid} is damaged in the store")]
    Damaged {
        /// The block.
        cid: Cid,
    },
    /// No new block came for too long.
    #[error("no new block within {after:?}; {cid} among others did not come")]
    TimedOut {
        /// How long nothing came.
        after: Duration,
        /// A block that is still missing.
        cid: Cid,
    },
    /// The tree is malformed, through the fault of whoever made it.
    #[error(transparent)]
    Tree(#[from] ReadError),
    /// The root is of a kind that this call does not read.
    #[error("{cid} is {what}")]
    WrongKind {
        /// The root.
        cid: Cid,
        /// What it is, and what was expected.
        what: &'static str,
    },
    /// There is something under the final name already that is not replaced.
    #[error("{path} exists already", path = path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// Another get is writing to the same place.
    #[error("another get is writing {path}", path = path.display())]
    Busy {
        /// The place.
        path: PathBuf,
    },
    /// The walk is not over and yet asks for no block: a fault of this program.
    #[error("the walk is not over and asks for no block; this is a fault of the program")]
    Stuck,
    /// The file system refused.
    #[error("{path}: {message}", path = path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// The kind of error.
        kind: io::ErrorKind,
        /// What the operating system said.
        message: String,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl GetError {
    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        Self::Io { path: path.to_owned(), kind: error.kind(), message: error.to_string() }
    }
}

fn refusals(reason: MissingReason, answers: &[(PeerId, Refusal)]) -> String {
    let said = |refusal: &Refusal| match refusal {
        Refusal::DontHave => "does not have it",
        Refusal::NoAnswer => "did not answer",
        Refusal::Lied => "sent something else",
        _ => "failed",
    };
    if answers.is_empty() {
        return match reason {
            MissingReason::Refused => "no peer that was asked speaks bitswap".to_owned(),
            _ => "no peer has it".to_owned(),
        };
    }
    let lines: Vec<_> = answers.iter().map(|(peer, refusal)| format!("{peer} {}", said(refusal))).collect();
    lines.join(", ")
}
