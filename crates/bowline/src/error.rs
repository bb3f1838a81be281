//! What can go wrong with a node.

use bowline_blockstore::StoreError;
use bowline_exchange::files;
use bowline_identity::{Multiaddr, key_file::KeyFileError};
use bowline_swarm::{AcceptError, CloseReason, DialError};

/// Why a node did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key of the store cannot be read, or made.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The host does not start; mostly because an address is taken.
    #[error(transparent)]
    Host(#[from] bowline_swarm::StartError),
    /// Bitswap is served on the host already.
    #[error(transparent)]
    Exchange(#[from] AcceptError),
}

/// Why something was not added.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// A file cannot be read, or the store refused a block.
    #[error(transparent)]
    Files(#[from] files::AddError),
    /// The store did not take the root down.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why content was not got.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// None of the peers can be asked, or can be asked any more; each with its cause.
    #[error("no peer is left to ask for {cid}: {}", list(.lost))]
    NoPeers {
        /// What was to be got.
        cid: bowline_block::Cid,
        /// Why not, for each address in the order of failure.
        lost: Vec<(Multiaddr, Lost)>,
    },
    /// A block is not to be had, the tree is malformed, or the file system refused.
    #[error(transparent)]
    Files(#[from] files::GetError),
    /// The store did not take the root down.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a peer cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Lost {
    /// It could not be connected to.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection ended.
    #[error("{0}")]
    Closed(CloseReason),
}

fn list(lost: &[(Multiaddr, Lost)]) -> String {
    let lines: Vec<_> = lost.iter().map(|(addr, why)| format!("{addr}: {why}")).collect();
    lines.join("; ")
}
