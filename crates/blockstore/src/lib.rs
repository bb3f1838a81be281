//! Stores of blocks: the trait, memory, and a repository on disk.
//!
//! ```text
//!                   trait BlockStore   (synchronous, batched, keyed by multihash)
//!                    │             │
//!              MemoryStore     Repository ─── one folder, one process
//!                                  │
//!        version · lock · key · meta.redb (roots, values) · blocks/
//!                                                             │
//!                     index.redb   multihash → (pack, offset, length)
//!                     00000001.pack  00000002.pack …   records, only ever appended
//! ```
//!
//! Blocks are keyed by multihash, not by CID: what was added as `bafy…` is also found as `Qm…`.
//!
//! The trait is synchronous because disks are: a caller that must not wait calls it from a thread of its
//! own. Batches matter, because durability costs one flush however many blocks it covers.
//!
//! ```
//! use bowline_block::{VerifiedBlock, codec};
//! use bowline_blockstore::{BlockStore, OpenOptions, Repository};
//! use bytes::Bytes;
//!
//! # let temporary = tempfile::tempdir().unwrap();
//! # let folder = temporary.path().join("repository");
//! let repository = Repository::open(&folder, OpenOptions::default())?;
//! let blocks = repository.blocks();
//!
//! let block = VerifiedBlock::sha2_256(codec::RAW, Bytes::from_static(b"hello")).unwrap();
//! let report = blocks.put(&block)?;
//! assert_eq!((report.new_blocks, report.new_bytes), (1, 5));
//! assert_eq!(blocks.get(block.hash())?.as_deref(), Some(&b"hello"[..]));
//!
//! // One process at a time; the lock dies with its owner.
//! assert!(Repository::open(&folder, OpenOptions::default()).is_err());
//! # Ok::<(), bowline_blockstore::StoreError>(())
//! ```

mod database;
mod error;
mod memory;
mod pack;
mod repository;
mod store;

pub use error::StoreError;
pub use memory::MemoryStore;
pub use repository::{Durability, MAX_KEY_LEN, MAX_NAME_LEN, MAX_VALUE_LEN, OpenOptions, Repository, Root};
pub use store::{BlockStore, PutReport, Usage};
