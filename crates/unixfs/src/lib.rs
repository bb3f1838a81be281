//! UnixFS: files and directories as blocks, and back.
//!
//! Everything here is bytes in, bytes out: no file system, no network, no store, no thread.
//!
//! ```text
//!   bytes ──> FileImporter ───┐                            ┌──> Reader ──> bytes
//!             leaves, nodes   ├──> VerifiedBlock ··> CID ··┤
//!   names ──> DirectoryBuilder┘                            ├──> Walker ──> files, directories, links
//!             nodes, shards                                └──> Lookup ──> one entry
//! ```
//!
//! # Writing
//!
//! A [`Profile`] names the settings that others use, so that equal content gets the CID that Kubo gives it.
//! [`FileImporter`] cuts, lets the caller hash on as many threads as it likes, and builds the balanced tree
//! while the file is still coming in; [`DirectoryBuilder`] makes directories, sharded when they are large.
//!
//! # Reading
//!
//! [`Reader`] and [`Walker`] say which blocks they need, in the order in which they will be useful and no
//! further ahead than their window; blocks come back in any order. Content comes out in order, or as it
//! arrives with its offsets. What a stranger wrote is checked as it comes: sizes must add up, names cannot
//! lead out of their directory, and memory is bounded whatever the blocks claim.
//!
//! ```
//! use std::collections::BTreeMap;
//! use bowline_unixfs::{Output, Profile, ReadConfig, Reader, import_bytes};
//! use bytes::Bytes;
//!
//! // One mebibyte becomes four leaves, here all equal, and a node above them.
//! let content = Bytes::from(vec![0; 1024 * 1024]);
//! let (blocks, file) = import_bytes(Profile::V1.config(), content.clone());
//! assert_eq!(file.cid.to_string(), "bafybeiggzq4ryi7hscq5hzvzcnk4urnxt3asp37dhgvnjilf7exskximla");
//! let store: BTreeMap<_, _> = blocks.into_iter().map(|block| (*block.cid(), block)).collect();
//!
//! let mut reader = Reader::new(file.cid, ReadConfig::default());
//! let mut read = Vec::new();
//! while !reader.is_finished() {
//!     while let Some(cid) = reader.poll_need() {
//!         reader.supply(&store[&cid]);
//!     }
//!     while let Some(output) = reader.poll_output() {
//!         match output? {
//!             Output::Data { bytes, .. } => read.extend_from_slice(&bytes),
//!             Output::End => assert_eq!(read, content),
//!         }
//!     }
//! }
//! # Ok::<(), bowline_unixfs::ReadError>(())
//! ```
//!
//! Specification: ipfs/specs, UnixFS; ipld.io, DAG-PB.

mod config;
pub mod dag_pb;
pub mod data;
mod generated;
mod hamt;
mod import;
mod name;
mod node;
mod proto;
mod read;

pub use config::{ChunkSize, ImportConfig, MaxLinks, Profile, RangeError, Sharding};
pub use data::{Kind, Metadata, Modified};
pub use hamt::Fanout;
pub use import::directory::{BuildError, DirectoryBuilder, ImportedNode, symlink};
pub use import::file::{FileImporter, HashedLeaf, ImportedFile, Leaf, UnknownLeaf, import_bytes};
pub use name::{MAX_NAME_LEN, MAX_PATH_LEN, Name, NameError, TreePath};
pub use node::{
    DirectoryNode, Entry, FileNode, MAX_TARGET_LEN, Node, NodeError, Part, Problem, ShardNode, Slot,
    SymlinkNode,
};
pub use read::{Event, FileId, Lookup, Order, Output, ReadConfig, ReadError, Reader, Step, Supplied, Walker};
