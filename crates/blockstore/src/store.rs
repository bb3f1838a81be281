//! What every store of blocks does.

use std::ops::ControlFlow;
use std::slice;

use bowline_block::{Multihash, VerifiedBlock};
use bytes::Bytes;

use crate::StoreError;

/// A store of blocks, keyed by multihash.
///
/// All methods may be called from several threads at once. They wait for the disk, so a caller on an
/// asynchronous runtime calls them from a blocking thread.
pub trait BlockStore: Send + Sync + 'static {
    /// The data of a block, or `None` where the store does not hold it.
    ///
    /// # Errors
    ///
    /// When the store cannot be read; [`StoreError::Unreadable`] and [`StoreError::CorruptBlock`] concern
    /// this block only.
    fn get(&self, hash: &Multihash) -> Result<Option<Bytes>, StoreError>;

    /// Whether the store holds a block. Never reads its data.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn has(&self, hash: &Multihash) -> Result<bool, StoreError> {
        Ok(self.size(hash)?.is_some())
    }

    /// How many bytes a block has, or `None` where the store does not hold it. Never reads its data.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn size(&self, hash: &Multihash) -> Result<Option<usize>, StoreError>;

    /// The sizes of many blocks, in their order; cheaper than as many calls of [`size`](Self::size).
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn sizes(&self, hashes: &[Multihash]) -> Result<Vec<Option<usize>>, StoreError> {
        hashes.iter().map(|hash| self.size(hash)).collect()
    }

    /// Stores blocks. Blocks that are held already take no more room.
    ///
    /// A [`Repository`](crate::Repository) reads those that it holds and writes them anew where they are damaged on
    /// the disk, so that storing a block again mends it. On return every block is as durable as the store makes it;
    /// see the store for what that means.
    ///
    /// # Errors
    ///
    /// When not all of the blocks could be stored. Those that were not held before may or may not be held
    /// after an error, each whole or not at all.
    fn put_many(&self, blocks: &[VerifiedBlock]) -> Result<PutReport, StoreError>;

    /// Stores one block. With many blocks, [`put_many`](Self::put_many) is much faster.
    ///
    /// # Errors
    ///
    /// As [`put_many`](Self::put_many).
    fn put(&self, block: &VerifiedBlock) -> Result<PutReport, StoreError> {
        self.put_many(slice::from_ref(block))
    }

    /// Removes blocks, and says how many of them were held.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    fn delete_many(&self, hashes: &[Multihash]) -> Result<usize, StoreError>;

    /// Removes one block, and says whether it was held.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    fn delete(&self, hash: &Multihash) -> Result<bool, StoreError> {
        Ok(self.delete_many(slice::from_ref(hash))? > 0)
    }

    /// Visits the multihash and size of every block, in the order of multihashes, until told to break.
    ///
    /// The visitor may call the store. Blocks that come or go during the visit may or may not be seen.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn for_each(&self, visit: &mut dyn FnMut(&Multihash, usize) -> ControlFlow<()>)
    -> Result<(), StoreError>;

    /// How much the store holds. Costs the same however much that is.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn usage(&self) -> Result<Usage, StoreError>;

    /// Makes everything durable that [`put_many`](Self::put_many) has returned for.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    fn sync(&self) -> Result<(), StoreError>;

    /// Gives the space of deleted blocks back to the file system, and says how many bytes that were.
    ///
    /// May take long; the store can be used meanwhile.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or written. What was compacted before the error stays so.
    fn compact(&self) -> Result<u64, StoreError>;
}

/// What a [`BlockStore::put_many`] added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PutReport {
    /// Blocks that were not held before. One that was written anew because it was damaged is none of them.
    pub new_blocks: usize,
    /// The bytes of data in those blocks.
    pub new_bytes: u64,
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The number of blocks.
    pub blocks: u64,
    /// The bytes of data in the blocks, without what the store needs for itself.
    pub bytes: u64,
}
