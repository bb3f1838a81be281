//! Content-addressed blocks that only hashing can make.
//!
//! A content identifier (CID) promises that some bytes hash to some digest. Nothing that arrives from a
//! peer keeps that promise until the bytes have been hashed here, so the type that says "these bytes
//! belong to this CID" has no other way in:
//!
//! ```text
//!   own data ───────────── VerifiedBlock::new ─────┐
//!   CID + bytes (disk) ─── VerifiedBlock::verify ──┤  hash   ┌───────────────┐
//!                                                  ├────────>│ VerifiedBlock │──> store, peer, reader
//!   prefix + bytes ─────── ::from_prefix ──────────┤         └───────────────┘
//!   (Bitswap)                                      │
//!   CID alone ──────────── local (identity, empty) ┘
//! ```
//!
//! Which hashes are believed is decided in one place, [`HashAlgorithm`], and follows the policy of boxo's
//! `verifcid`, so that a block that Kubo would refuse is refused here too, each with its own error and
//! without touching the blocks that came beside it.
//!
//! ```
//! use bowline_block::{Cid, VerifiedBlock, codec};
//! use bytes::Bytes;
//!
//! let block = VerifiedBlock::sha2_256(codec::RAW, Bytes::from_static(b"hello"))?;
//! assert_eq!(block.cid().to_string(), "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq");
//!
//! // A peer sends the prefix and the bytes; the CID is what they hash to, never what the peer says.
//! let received = VerifiedBlock::from_prefix(&[0x01, 0x55, 0x12, 0x20], Bytes::from_static(b"hello"))?;
//! assert_eq!(received, block);
//!
//! let forged = VerifiedBlock::verify(*block.cid(), Bytes::from_static(b"hullo"));
//! assert!(forged.is_err());
//! # Ok::<(), bowline_block::BlockError>(())
//! ```

mod block;
mod hash;
mod local;
mod prefix;

pub use block::{BlockError, VerifiedBlock};
pub use cid::{Cid, Version};
pub use hash::{Blake2bLen, Blake2sLen, HashAlgorithm, HashError, MAX_DIGEST_LEN, MIN_DIGEST_LEN};
pub use local::local;
pub use prefix::{Prefix, PrefixError};

/// A hash code and a digest of at most [`MAX_DIGEST_LEN`] bytes: the multihash inside a [`Cid`].
pub type Multihash = multihash::Multihash<MAX_DIGEST_LEN>;

/// The most bytes that a block may hold, 2 MiB: what Bitswap peers exchange.
pub const MAX_BLOCK: usize = 2 * 1024 * 1024;

/// The most bytes that a binary CID may take when a peer sends it.
///
/// boxo ignores want-list entries above this: a digest of 128 bytes and 40 bytes for everything before it.
pub const MAX_CID_LEN: usize = 168;

/// Codes for what a block's bytes mean, from the multicodec table.
pub mod codec {
    /// Bytes without structure.
    pub const RAW: u64 = 0x55;
    /// A node of files and directories.
    pub const DAG_PB: u64 = 0x70;
    /// CBOR with links.
    pub const DAG_CBOR: u64 = 0x71;
}
