//! What a get has asked for and not got.

use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bowline_bitswap::Sources;
use bowline_block::{Cid, Multihash, VerifiedBlock, codec};
use bowline_blockstore::{BlockStore, PutReport, StoreError, Usage};
use bowline_exchange::Exchange;
use bytes::Bytes;

/// The store that a get keeps blocks in. It notes what it was asked for in vain, which is what the get then wants of
/// peers.
pub(crate) struct Asked {
    store: Arc<dyn BlockStore>,
    /// Asked for, and not stored since: what is on its way, and what has come and waits to be stored.
    absent: Mutex<BTreeSet<Multihash>>,
}

impl Asked {
    pub(crate) fn new(store: Arc<dyn BlockStore>) -> Arc<Self> {
        Arc::new(Self { store, absent: Mutex::default() })
    }

    /// Whether a fetch of the exchange still wants a block that was asked for in vain.
    pub(crate) fn is_wanted(&self, exchange: &Exchange) -> bool {
        let absent: Vec<_> =
            self.absent().iter().map(|hash| (Cid::new_v1(codec::RAW, *hash), None)).collect();
        // Without peers, a want is over at once unless it joins one that another fetch has open.
        let probe = exchange.fetch(Sources::Only(BTreeSet::new()));
        probe.want_all(absent);
        probe.stats().open_wants > 0
    }

    fn absent(&self) -> MutexGuard<'_, BTreeSet<Multihash>> {
        self.absent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlockStore for Asked {
    fn get(&self, hash: &Multihash) -> Result<Option<Bytes>, StoreError> {
        let found = self.store.get(hash);
        if matches!(found, Ok(None) | Err(StoreError::CorruptBlock { .. })) {
            self.absent().insert(*hash);
        }
        found
    }

    fn put_many(&self, blocks: &[VerifiedBlock]) -> Result<PutReport, StoreError> {
        let report = self.store.put_many(blocks)?;
        let mut absent = self.absent();
        for block in blocks {
            absent.remove(block.hash());
        }
        Ok(report)
    }

    fn size(&self, hash: &Multihash) -> Result<Option<usize>, StoreError> {
        self.store.size(hash)
    }

    fn sizes(&self, hashes: &[Multihash]) -> Result<Vec<Option<usize>>, StoreError> {
        self.store.sizes(hashes)
    }

    fn delete_many(&self, hashes: &[Multihash]) -> Result<usize, StoreError> {
        self.store.delete_many(hashes)
    }

    fn for_each(
        &self,
        visit: &mut dyn FnMut(&Multihash, usize) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.store.for_each(visit)
    }

    fn usage(&self) -> Result<Usage, StoreError> {
        self.store.usage()
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.store.sync()
    }

    fn compact(&self) -> Result<u64, StoreError> {
        self.store.compact()
    }
}
