//! Where blocks come from: a store first, then peers.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use bowline_bitswap::Sources;
use bowline_block::{Cid, VerifiedBlock};
use bowline_blockstore::{BlockStore, StoreError};
use bowline_identity::PeerId;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesOrdered};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{GetError, OnProgress, Progress};
use crate::{Exchange, Fetch, FetchEvent, OffLoad};

/// Blocks are stored in batches of about this many bytes, each synced once.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// How long a block may be on its way from the last peer's connection through the hashing, once that peer is gone.
const AFTERMATH: Duration = Duration::from_millis(500);

/// Batches that are being stored at the same time; then the fetch waits. Two hide copying behind syncing.
const MAX_BATCHES: usize = 2;

/// Where blocks come from.
#[derive(Clone)]
pub struct Source {
    store: Option<Arc<dyn BlockStore>>,
    network: Option<(Exchange, Sources)>,
    /// Cancelled when no peer is left who could send more.
    gone: CancellationToken,
    off_load: OffLoad,
}

impl Source {
    /// Blocks of a store, and no others.
    #[must_use]
    pub fn local(store: Arc<dyn BlockStore>, off_load: OffLoad) -> Self {
        Self { store: Some(store), network: None, gone: CancellationToken::new(), off_load }
    }

    /// Blocks of peers. With `keep`, blocks that are there are not fetched, and those that come are kept.
    #[must_use]
    pub fn network(exchange: &Exchange, sources: Sources, keep: Option<Arc<dyn BlockStore>>) -> Self {
        let network = Some((exchange.clone(), sources));
        Self { store: keep, network, gone: CancellationToken::new(), off_load: exchange.off_load() }
    }

    /// With `gone` cancelled, no peer is left who could send more: the work goes on with what had arrived, however
    /// long its disk or its reader takes, and fails with [`GetError::TimedOut`] as soon as it waits for another block.
    #[must_use]
    pub fn until(self, gone: CancellationToken) -> Self {
        Self { gone, ..self }
    }

    pub(super) fn off_load(&self) -> OffLoad {
        self.off_load
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("network", &self.network).finish_non_exhaustive()
    }
}

/// How to get content.
#[derive(Clone)]
pub struct GetOptions {
    /// How long to wait without a new block. Default 30 s.
    pub timeout: Duration,
    /// Whether [`get`](super::get) returns only when what it wrote outlives a loss of power: files and folders are
    /// synced. Default: yes. Without, getting many small files is faster.
    pub durable: bool,
    /// Is told how far it has come.
    pub on_progress: Option<OnProgress>,
}

impl Default for GetOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), durable: true, on_progress: None }
    }
}

impl fmt::Debug for GetOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut options = f.debug_struct("GetOptions");
        options.field("timeout", &self.timeout).field("durable", &self.durable).finish_non_exhaustive()
    }
}

/// Feeds one walk with blocks.
pub(super) struct Feeder {
    source: Source,
    fetch: Option<Fetch>,
    timeout: Duration,
    /// Wants that the fetch has not answered.
    awaited: BTreeSet<Cid>,
    /// Why the walk cannot go on, once it has had the blocks that are there. Only the first such error is told.
    lacking: Option<GetError>,
    keeper: Option<Keeper>,
    pub(super) peers: BTreeSet<PeerId>,
    pub(super) progress: Progress,
    on_progress: Option<OnProgress>,
    duplicates_before: (u64, u64),
}

impl Feeder {
    pub(super) fn new(source: &Source, options: &GetOptions) -> Self {
        let fetch = source.network.as_ref().map(|(exchange, sources)| exchange.fetch(sources.clone()));
        let exchange = source.network.as_ref().map(|(exchange, _)| exchange.clone());
        let keeper = exchange.and_then(|exchange| Some(Keeper::new(source.store.clone()?, exchange)));
        let mut feeder = Self {
            source: source.clone(),
            fetch,
            timeout: options.timeout,
            awaited: BTreeSet::new(),
            lacking: None,
            keeper,
            peers: BTreeSet::new(),
            progress: Progress::default(),
            on_progress: options.on_progress.clone(),
            duplicates_before: (0, 0),
        };
        feeder.duplicates_before = feeder.duplicates_now();
        feeder
    }

    /// Gets some of what is needed: what the store has at once, else whatever comes next from peers. Never nothing.
    ///
    /// `needs` are new; what earlier calls asked for is still on its way.
    pub(super) async fn feed(
        &mut self,
        needs: Vec<(Cid, Option<u64>)>,
    ) -> Result<Vec<VerifiedBlock>, GetError> {
        if !needs.is_empty() {
            let stored = self.take_stored(needs).await?;
            if !stored.is_empty() {
                self.arrived(&stored);
                return Ok(stored);
            }
        }
        match self.lacking.take() {
            Some(error) => Err(error),
            None => self.take_fetched().await,
        }
    }

    /// Takes blocks from the store, and asks peers for the rest.
    async fn take_stored(&mut self, needs: Vec<(Cid, Option<u64>)>) -> Result<Vec<VerifiedBlock>, GetError> {
        let looked = match &self.source.store {
            None => Looked { absent: needs, ..Looked::default() },
            Some(store) => {
                let store = Arc::clone(store);
                self.source.off_load.run(move || look_up(&*store, needs)).await?
            }
        };
        if let Some(fetch) = &self.fetch {
            self.awaited.extend(looked.absent.iter().map(|(cid, _)| *cid));
            fetch.want_all(looked.absent);
        } else if self.lacking.is_none() {
            let absent = looked.absent.first().map(|(cid, _)| GetError::NotStored { cid: *cid });
            self.lacking = looked.damaged.or(absent);
        }
        Ok(looked.stored)
    }

    /// Waits for blocks from peers, and takes all that are there.
    async fn take_fetched(&mut self) -> Result<Vec<VerifiedBlock>, GetError> {
        // Only waiting for blocks counts, not the time that a slow disk or reader took before.
        let begun = Instant::now();
        let mut blocks = Vec::new();
        while blocks.is_empty() && self.lacking.is_none() {
            let mut event = Some(self.next_event(begun).await?);
            while let Some(next) = event.take() {
                match next {
                    FetchEvent::Block { block, peer } => {
                        self.awaited.remove(block.cid());
                        self.peers.extend(peer);
                        blocks.push(block);
                    }
                    // Blocks that came before it, or right behind it, are kept and shown all the same.
                    FetchEvent::Missing { cid, reason, answers } => {
                        self.lacking.get_or_insert(GetError::Missing { cid, reason, answers });
                    }
                    FetchEvent::Stalled => {}
                }
                event = self.fetch.as_mut().and_then(Fetch::try_next);
            }
        }
        if blocks.is_empty() {
            return Err(self.lacking.take().unwrap_or(GetError::Stuck));
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.keep(&blocks).await?;
        }
        self.arrived(&blocks);
        Ok(blocks)
    }

    /// Waits for what the fetch says next, since `begun` at most for as long as was asked for, and with no peer left
    /// only for what is being hashed.
    async fn next_event(&mut self, begun: Instant) -> Result<FetchEvent, GetError> {
        let (Some(fetch), Some(cid)) = (&mut self.fetch, self.awaited.first().copied()) else {
            return Err(GetError::Stuck);
        };
        let (mut deadline, mut is_gone) = (begun + self.timeout, false);
        loop {
            tokio::select! {
                biased;
                event = fetch.next() => return Ok(event),
                () = sleep_until(deadline) => return Err(GetError::TimedOut { after: deadline - begun, cid }),
                () = self.source.gone.cancelled(), if !is_gone => {
                    (deadline, is_gone) = (deadline.min(Instant::now() + AFTERMATH), true);
                }
            }
        }
    }

    fn arrived(&mut self, blocks: &[VerifiedBlock]) {
        self.progress.blocks += blocks.len() as u64;
    }

    /// Tells how far it has come.
    pub(super) fn report(&self) {
        if let Some(on_progress) = &self.on_progress {
            on_progress(self.progress);
        }
    }

    /// Ends the fetch and waits until everything that came is kept, also what came after the walk had failed.
    pub(super) async fn finish(&mut self) -> Result<(), GetError> {
        let Some(keeper) = &mut self.keeper else { return Ok(()) };
        if let Some(mut fetch) = self.fetch.take() {
            let events = std::iter::from_fn(|| fetch.try_next());
            let blocks: Vec<_> = events
                .filter_map(|event| match event {
                    FetchEvent::Block { block, .. } => Some(block),
                    _ => None,
                })
                .collect();
            // It ends before the wait: nothing more comes that nobody would keep.
            drop(fetch);
            keeper.keep(&blocks).await?;
        }
        keeper.finish().await
    }

    /// Blocks and bytes that came twice since the walk began.
    pub(super) fn duplicates(&self) -> (u64, u64) {
        let (blocks, bytes) = self.duplicates_now();
        (blocks - self.duplicates_before.0, bytes - self.duplicates_before.1)
    }

    fn duplicates_now(&self) -> (u64, u64) {
        let network = self.source.network.as_ref();
        let stats = network.map(|(exchange, _)| exchange.stats().fetcher).unwrap_or_default();
        (stats.duplicate_blocks, stats.duplicate_bytes)
    }
}

/// What a store said to a list of needs.
#[derive(Default)]
struct Looked {
    stored: Vec<VerifiedBlock>,
    /// What it lacks, and what it has damaged.
    absent: Vec<(Cid, Option<u64>)>,
    /// What is wrong with the first damaged block.
    damaged: Option<GetError>,
}

/// Asks a store for what is needed. What it has is verified again: a damaged block is fetched like an absent one.
fn look_up(store: &dyn BlockStore, needs: Vec<(Cid, Option<u64>)>) -> Result<Looked, GetError> {
    let mut looked = Looked::default();
    for (cid, size) in needs {
        let damaged = match store.get(cid.hash()) {
            Ok(None) => None,
            Ok(Some(data)) => match VerifiedBlock::verify(cid, data) {
                Ok(block) => {
                    looked.stored.push(block);
                    continue;
                }
                Err(_) => Some(GetError::Damaged { cid }),
            },
            Err(error @ StoreError::CorruptBlock { .. }) => Some(error.into()),
            Err(error) => return Err(error.into()),
        };
        looked.absent.push((cid, size));
        looked.damaged = looked.damaged.or(damaged);
    }
    Ok(looked)
}

/// Keeps blocks in a store, in batches, while more are being fetched.
struct Keeper {
    store: Arc<dyn BlockStore>,
    exchange: Exchange,
    batch: Vec<VerifiedBlock>,
    batch_bytes: usize,
    storing: FuturesOrdered<BoxFuture<'static, Result<(), StoreError>>>,
}

impl Keeper {
    fn new(store: Arc<dyn BlockStore>, exchange: Exchange) -> Self {
        Self { store, exchange, batch: Vec::new(), batch_bytes: 0, storing: FuturesOrdered::new() }
    }

    async fn keep(&mut self, blocks: &[VerifiedBlock]) -> Result<(), GetError> {
        self.batch_bytes += blocks.iter().map(VerifiedBlock::len).sum::<usize>();
        self.batch.extend_from_slice(blocks);
        if self.batch_bytes >= BATCH_BYTES {
            self.store_batch();
        }
        while self.storing.len() > MAX_BATCHES {
            self.storing.next().await.transpose()?;
        }
        Ok(())
    }

    fn store_batch(&mut self) {
        let (batch, store, exchange) =
            (std::mem::take(&mut self.batch), Arc::clone(&self.store), self.exchange.clone());
        self.batch_bytes = 0;
        let stored = self.exchange.off_load().run(move || {
            store.put_many(&batch)?;
            exchange.announce(&batch);
            Ok(())
        });
        self.storing.push_back(stored.boxed());
    }

    async fn finish(&mut self) -> Result<(), GetError> {
        if !self.batch.is_empty() {
            self.store_batch();
        }
        while let Some(stored) = self.storing.next().await {
            stored?;
        }
        Ok(())
    }
}

impl Drop for Keeper {
    /// Keeps what came also when the walk was given up, as far as there is still a pool to do it.
    fn drop(&mut self) {
        if !self.batch.is_empty() && tokio::runtime::Handle::try_current().is_ok() {
            self.store_batch();
        }
    }
}
