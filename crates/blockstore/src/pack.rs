//! Blocks in packs: files to which records are appended, and an index that says where each block is.
//!
//! A block is written to the disk once. Writing to an embedded database costs twice that, whichever of the
//! two usual designs it has (`docs/decisions/0003-embedded-store.md` has the numbers), and the speed of a
//! disk is the speed of an import.
//!
//! ```text
//!   put_many   append records ── flush the pack ── tell the index (not flushed) ── return
//!              what is held already is compared, and appended again where it is damaged
//!   get        ask the index ── read the pack at that offset, no lock held
//!   delete     append delete marks ── flush ── tell the index
//!   open       read the packs from where the index was last flushed
//!   compact    copy what is held out of packs with dead bytes, remove them
//! ```

mod compact;
mod index;
mod log;
mod record;
mod recovery;
mod scan;
mod segments;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bowline_block::{Multihash, VerifiedBlock};
use bytes::Bytes;

use self::index::{Change, Index};
use self::log::Log;
use self::record::{Kind, Record};
use self::segments::Segments;
use crate::{BlockStore, Durability, OpenOptions, PutReport, StoreError, Usage};

/// The blocks of a repository.
#[derive(Debug)]
pub(crate) struct PackStore {
    log: Log,
    index: Index,
    /// Writers of blocks share this; whoever removes or moves blocks has it alone, so that the order of
    /// records in the packs is the order in which the index learnt of them.
    gate: RwLock<()>,
    /// Why the index lacks blocks that are in the packs, while it does. Nothing is written then, or the index
    /// would be taken for complete.
    behind: Mutex<Option<StoreError>>,
    durability: Durability,
    verify_reads: bool,
    /// Keeps the folder locked as long as anybody uses the blocks.
    _lock: Arc<File>,
}

/// A place between two records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    segment: u32,
    offset: u64,
}

/// Where the data of a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Location {
    segment: u32,
    offset: u64,
    len: u32,
}

/// A block that is to be written.
#[derive(Clone, Copy, Debug)]
struct Missing<'a> {
    block: &'a VerifiedBlock,
    /// Where the index says that it is, and it is not.
    damaged: Option<Location>,
}

impl Missing<'_> {
    /// What the index is to learn of the new copy.
    fn stored_at(&self, to: Location) -> Change {
        let hash = *self.block.hash();
        match self.damaged {
            None => Change::Add(hash, to),
            Some(from) => Change::Move { hash, from, to },
        }
    }
}

/// How often a reader looks again when the pack that it was sent to has just been compacted away.
const LOOK_AGAIN: usize = 3;

impl PackStore {
    /// Opens the folder `blocks` of the repository `folder`, which `lock` keeps locked.
    pub(crate) fn open(folder: &Path, options: &OpenOptions, lock: Arc<File>) -> Result<Self, StoreError> {
        let blocks = folder.join("blocks");
        std::fs::create_dir_all(&blocks).map_err(|error| StoreError::io(folder, &blocks, &error))?;
        let index_path = blocks.join("index.redb");
        if options.rebuild_index {
            match std::fs::remove_file(&index_path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::io(folder, &index_path, &error));
                }
                _ => {}
            }
        }
        let index = Index::open(folder, index_path, options.index_cache_bytes)?;
        let segments = Segments::new(folder, blocks);
        let end = recovery::catch_up(&segments, &index)?;
        let log = Log::open(segments, options.segment_bytes, end)?;
        Ok(Self {
            log,
            index,
            gate: RwLock::new(()),
            behind: Mutex::default(),
            durability: options.durability,
            verify_reads: options.verify_reads,
            _lock: lock,
        })
    }

    /// Lets several write blocks at once, with an index that is complete.
    fn shared(&self) -> Result<RwLockReadGuard<'_, ()>, StoreError> {
        loop {
            let guard = self.gate.read().unwrap_or_else(PoisonError::into_inner);
            // Both only get worse while anybody is inside the gate, and then the index refuses to write.
            if self.index.is_open() && lock(&self.behind).is_none() {
                return Ok(guard);
            }
            drop(guard);
            drop(self.alone()?);
        }
    }

    /// Lets one remove or move blocks, with an index that is complete.
    fn alone(&self) -> Result<RwLockWriteGuard<'_, ()>, StoreError> {
        let guard = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        self.reopen_index()?;
        let mut behind = lock(&self.behind);
        if behind.is_some() {
            self.catch_up()?;
            *behind = None;
        }
        drop(behind);
        Ok(guard)
    }

    /// Asks the index, and once more when a failed write, as on a full disk, has closed it.
    fn look<T>(&self, ask: impl Fn(&Index) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match ask(&self.index) {
            Err(_) if !self.index.is_open() => {
                let guard = self.gate.write().unwrap_or_else(PoisonError::into_inner);
                self.reopen_index()?;
                drop(guard);
                ask(&self.index)
            }
            answer => answer,
        }
    }

    fn find(&self, hash: &Multihash) -> Result<Option<Location>, StoreError> {
        let location = self.look(|index| index.find(hash))?;
        if location.is_none() {
            self.complete()?;
        }
        Ok(location)
    }

    /// Opens the index again if it is closed. Where there is no room to complete it, what it has is served.
    fn reopen_index(&self) -> Result<(), StoreError> {
        if self.index.is_open() {
            return Ok(());
        }
        self.index.reopen()?;
        let mut behind = lock(&self.behind);
        if behind.is_none() {
            *behind = self.catch_up().err();
        }
        Ok(())
    }

    fn catch_up(&self) -> Result<(), StoreError> {
        let Err(error) = recovery::catch_up(&self.log.segments, &self.index) else {
            return Ok(());
        };
        self.index.reopen()?;
        Err(error)
    }

    /// Says whether "not in the index" means "not held".
    fn complete(&self) -> Result<(), StoreError> {
        lock(&self.behind).clone().map_or(Ok(()), Err)
    }

    /// The blocks of `blocks` that are not held intact, each once, with where their damaged data is.
    fn missing<'a>(&self, blocks: &'a [VerifiedBlock]) -> Result<Vec<Missing<'a>>, StoreError> {
        let found = self.index.find_many(blocks.iter().map(VerifiedBlock::hash))?;
        let mut seen = BTreeSet::new();
        let each = blocks.iter().zip(found).filter(|(block, _)| seen.insert(block.hash()));
        let missing = each.filter(|(block, found)| !found.is_some_and(|place| self.is_intact(block, place)));
        Ok(missing.map(|(block, damaged)| Missing { block, damaged }).collect())
    }

    /// Whether the data at `location` is that of the block. Comparing needs no hashing, as the block is verified.
    fn is_intact(&self, block: &VerifiedBlock, location: Location) -> bool {
        let held = self.read_unverified(location);
        let intact = held.is_ok_and(|held| held == *block.data());
        if !intact {
            warn_damaged(&self.log.segments.path(location.segment), block.hash());
        }
        intact
    }

    fn read_unverified(&self, location: Location) -> io::Result<Vec<u8>> {
        let file = self.log.segments.read(location.segment)?;
        let mut data = vec![0; location.len as usize];
        file.read_exact_at(&mut data, location.offset)?;
        Ok(data)
    }

    fn read(&self, hash: &Multihash, location: Location) -> io::Result<Bytes> {
        let data = self.read_unverified(location)?;
        if self.verify_reads && !record::matches(hash, &data) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(data.into())
    }

    fn read_error(&self, hash: &Multihash, location: Location, error: &io::Error) -> StoreError {
        let (block, path) = (Box::new(*hash), self.log.segments.path(location.segment));
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                StoreError::CorruptBlock { block, path }
            }
            kind => StoreError::Unreadable { block, path, kind, message: error.to_string() },
        }
    }
}

impl BlockStore for PackStore {
    fn get(&self, hash: &Multihash) -> Result<Option<Bytes>, StoreError> {
        let mut attempts = LOOK_AGAIN;
        loop {
            let Some(location) = self.find(hash)? else {
                return Ok(None);
            };
            match self.read(hash, location) {
                Ok(data) => return Ok(Some(data)),
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempts > 0 => attempts -= 1,
                Err(error) => return Err(self.read_error(hash, location, &error)),
            }
        }
    }

    fn size(&self, hash: &Multihash) -> Result<Option<usize>, StoreError> {
        Ok(self.find(hash)?.map(|location| location.len as usize))
    }

    fn sizes(&self, hashes: &[Multihash]) -> Result<Vec<Option<usize>>, StoreError> {
        let found = self.look(|index| index.find_many(hashes.iter()))?;
        if found.contains(&None) {
            self.complete()?;
        }
        Ok(found.into_iter().map(|location| location.map(|location| location.len as usize)).collect())
    }

    /// On return every block is held intact: blocks that are in the index are read and compared, and written anew
    /// where they are damaged or cannot be read.
    ///
    /// Always comparing was chosen over remembering which blocks were found damaged: the damage is mostly met by one
    /// process (`cat`, a server) and mended by another (`add`, `get`), which knows nothing of it. A block costs one
    /// read and no hashing then, which is less than making it did; blocks that are new cost nothing more.
    fn put_many(&self, blocks: &[VerifiedBlock]) -> Result<PutReport, StoreError> {
        let _shared = self.shared()?;
        let missing = self.missing(blocks)?;
        if missing.is_empty() {
            return Ok(PutReport::default());
        }
        let records: Vec<Record<'_>> = missing
            .iter()
            .map(|Missing { block, .. }| Record { kind: Kind::Block, hash: block.hash(), data: block.data() })
            .collect();
        let batch = self.log.append(&records)?;
        let checkpoint = batch.settle(self.durability)?;
        let places = missing.iter().zip(&batch.locations);
        let changes: Vec<Change> = places.map(|(missing, location)| missing.stored_at(*location)).collect();
        Ok(self.index.apply(&changes, checkpoint)?.added)
    }

    fn delete_many(&self, hashes: &[Multihash]) -> Result<usize, StoreError> {
        let _alone = self.alone()?;
        let found = self.index.find_many(hashes.iter())?;
        let held: Vec<&Multihash> =
            hashes.iter().zip(found).filter(|(_, found)| found.is_some()).map(|(hash, _)| hash).collect();
        if held.is_empty() {
            return Ok(0);
        }
        let marks: Vec<Record<'_>> =
            held.iter().map(|hash| Record { kind: Kind::DeleteMark, hash, data: &[] }).collect();
        let batch = self.log.append(&marks)?;
        let checkpoint = batch.settle(self.durability)?;
        let changes: Vec<Change> = held.into_iter().map(|hash| Change::Remove(*hash)).collect();
        Ok(self.index.apply(&changes, checkpoint)?.removed)
    }

    fn for_each(
        &self,
        visit: &mut dyn FnMut(&Multihash, usize) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = self.look(|index| index.page(after.as_ref()))?;
            self.complete()?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = Some(*last);
            for (hash, location) in &page {
                if visit(hash, location.len as usize).is_break() {
                    return Ok(());
                }
            }
        }
    }

    fn usage(&self) -> Result<Usage, StoreError> {
        let usage = self.look(Index::usage)?;
        self.complete().map(|()| usage)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.log.flush(self.log.end())
    }

    fn compact(&self) -> Result<u64, StoreError> {
        drop(self.alone()?);
        self.compact_packs()
    }
}

impl Drop for PackStore {
    /// Spares the next opening the reading of packs. Nothing is lost if it fails.
    fn drop(&mut self) {
        if !self.index.is_open() || self.complete().is_err() {
            return;
        }
        let end = self.log.end();
        let clean = self.index.position().is_ok_and(|position| position == Some(end));
        if !clean
            && let Err(error) = self.log.flush(end).and_then(|()| self.index.apply(&[], Some(end)).map(drop))
        {
            tracing::warn!(%error, "index of blocks could not be brought up to date on closing");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn warn_damaged(pack: &Path, hash: &Multihash) {
    let block = bowline_block::Cid::new_v1(bowline_block::codec::RAW, *hash);
    tracing::warn!(%block, pack = %pack.display(), "block in a pack is damaged");
}
