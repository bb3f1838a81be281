//! A store that forgets everything when it is dropped.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bowline_block::{Multihash, VerifiedBlock};
use bytes::Bytes;

use crate::{BlockStore, PutReport, StoreError, Usage};

/// Blocks in memory, with or without a cap on their bytes.
///
/// Batches are all or nothing: one that would pass the cap leaves the store as it was.
#[derive(Debug, Default)]
pub struct MemoryStore {
    held: RwLock<Held>,
    cap: Option<u64>,
}

#[derive(Debug, Default)]
struct Held {
    blocks: BTreeMap<Multihash, Bytes>,
    bytes: u64,
}

/// Blocks up to this size are copied, so that a crumb does not pin the buffer it arrived in.
const COPY_BELOW: usize = 16 * 1024;

impl MemoryStore {
    /// An empty store that holds what the memory of the machine allows.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store that holds at most `cap` bytes of block data.
    pub fn with_cap(cap: u64) -> Self {
        Self { cap: Some(cap), ..Self::default() }
    }

    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlockStore for MemoryStore {
    fn get(&self, hash: &Multihash) -> Result<Option<Bytes>, StoreError> {
        Ok(self.read().blocks.get(hash).cloned())
    }

    fn size(&self, hash: &Multihash) -> Result<Option<usize>, StoreError> {
        Ok(self.read().blocks.get(hash).map(Bytes::len))
    }

    fn put_many(&self, blocks: &[VerifiedBlock]) -> Result<PutReport, StoreError> {
        let mut held = self.write();
        let mut new = BTreeMap::new();
        for block in blocks.iter().filter(|block| !held.blocks.contains_key(block.hash())) {
            new.entry(*block.hash()).or_insert(block.data());
        }
        let new_bytes = new.values().map(|data| data.len() as u64).sum();
        let bytes = held.bytes.saturating_add(new_bytes);
        if let Some(cap) = self.cap.filter(|cap| bytes > *cap) {
            return Err(StoreError::CapReached { cap });
        }
        let new_blocks = new.len();
        held.bytes = bytes;
        held.blocks.extend(new.into_iter().map(|(hash, data)| (hash, owned(data))));
        Ok(PutReport { new_blocks, new_bytes })
    }

    fn delete_many(&self, hashes: &[Multihash]) -> Result<usize, StoreError> {
        let mut held = self.write();
        let mut removed = 0;
        for data in hashes.iter().filter_map(|hash| held.blocks.remove(hash)).collect::<Vec<_>>() {
            held.bytes = held.bytes.saturating_sub(data.len() as u64);
            removed += 1;
        }
        Ok(removed)
    }

    fn for_each(
        &self,
        visit: &mut dyn FnMut(&Multihash, usize) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut after = Bound::Unbounded;
        loop {
            // One step at a time, so that the visitor may call the store.
            let next = {
                let held = self.read();
                held.blocks.range((after, Bound::Unbounded)).next().map(|(hash, data)| (*hash, data.len()))
            };
            let Some((hash, size)) = next else { return Ok(()) };
            if visit(&hash, size).is_break() {
                return Ok(());
            }
            after = Bound::Excluded(hash);
        }
    }

    fn usage(&self) -> Result<Usage, StoreError> {
        let held = self.read();
        Ok(Usage { blocks: held.blocks.len() as u64, bytes: held.bytes })
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn compact(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

fn owned(data: &Bytes) -> Bytes {
    if data.len() <= COPY_BELOW { Bytes::copy_from_slice(data) } else { data.clone() }
}
