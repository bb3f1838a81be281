//! Where each block is.

use std::ops::Bound;
use std::path::{Path, PathBuf};

use bowline_block::Multihash;
use redb::{ReadableTable, ReadableTableMetadata, Table, TableDefinition};

use super::record::{MAX_HASH_LEN, record_len};
use super::{Location, Position};
use crate::database::{Commit, Database};
use crate::{PutReport, StoreError, Usage};

/// Segment, offset of the data, length of the data.
type Place = (u32, u64, u32);

const BLOCKS: TableDefinition<'_, &[u8], Place> = TableDefinition::new("blocks");
const STATE: TableDefinition<'_, &str, u64> = TableDefinition::new("state");

/// Everything in the packs before this segment and offset is in the index.
const SEGMENT: &str = "segment";
const OFFSET: &str = "offset";
/// Bytes of data in all blocks.
const BYTES: &str = "bytes";

/// Blocks read in one transaction by [`Index::page`].
const PAGE: usize = 1024;

/// The map from multihash to place, in a database of its own.
///
/// It is made durable only now and then: the packs hold everything that is needed to catch up.
#[derive(Debug)]
pub(super) struct Index {
    database: Database,
}

/// One step that the index takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// A block was written; one that is there already stays where it is.
    Add(Multihash, Location),
    /// A block was found in a pack while catching up.
    Set(Multihash, Location),
    /// A block was copied elsewhere, or written anew because it was damaged; nothing happens unless it still is where
    /// it was before.
    Move { hash: Multihash, from: Location, to: Location },
    /// A block is no longer held.
    Remove(Multihash),
}

/// What changes amounted to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Changed {
    pub(super) added: PutReport,
    pub(super) removed: usize,
    removed_bytes: u64,
}

impl Index {
    pub(super) fn open(folder: &Path, path: PathBuf, cache_bytes: usize) -> Result<Self, StoreError> {
        let index = Self { database: Database::open(folder, path, cache_bytes)? };
        index.create_tables()?;
        Ok(index)
    }

    pub(super) fn is_open(&self) -> bool {
        self.database.is_open()
    }

    /// Opens the database again after a failure. It then lacks what was not durable.
    pub(super) fn reopen(&self) -> Result<(), StoreError> {
        self.database.reopen()
    }

    fn create_tables(&self) -> Result<(), StoreError> {
        let ready = self.database.read(|read| match read.open_table(STATE) {
            Ok(_) => Ok(true),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(false),
            Err(error) => Err(error.into()),
        })?;
        if ready {
            return Ok(());
        }
        self.database.write(Commit::Durably, |write| {
            write.open_table(BLOCKS)?;
            write.open_table(STATE)?;
            Ok(())
        })
    }

    pub(super) fn find(&self, hash: &Multihash) -> Result<Option<Location>, StoreError> {
        let key = Key::of(hash);
        self.database.read(|read| {
            let blocks = read.open_table(BLOCKS)?;
            Ok(blocks.get(key.bytes())?.map(|place| Location::from(place.value())))
        })
    }

    /// Finds many blocks in one transaction, in their order.
    pub(super) fn find_many<'a>(
        &self,
        hashes: impl Iterator<Item = &'a Multihash>,
    ) -> Result<Vec<Option<Location>>, StoreError> {
        self.database.read(|read| {
            let blocks = read.open_table(BLOCKS)?;
            hashes
                .map(|hash| {
                    let place = blocks.get(Key::of(hash).bytes())?;
                    Ok(place.map(|place| Location::from(place.value())))
                })
                .collect()
        })
    }

    /// The next blocks after `after`, in the order of their keys.
    pub(super) fn page(&self, after: Option<&Multihash>) -> Result<Vec<(Multihash, Location)>, StoreError> {
        let after = after.map(Key::of);
        let from = after.as_ref().map_or(Bound::Unbounded, |key| Bound::Excluded(key.bytes()));
        self.database.read(|read| {
            let blocks = read.open_table(BLOCKS)?;
            let range = blocks.range::<&[u8]>((from, Bound::Unbounded))?;
            range
                .take(PAGE)
                .map(|entry| {
                    let (key, place) = entry?;
                    let hash = Multihash::from_bytes(key.value())
                        .map_err(|_| redb::Error::Corrupted("key is not a multihash".to_owned()))?;
                    Ok((hash, Location::from(place.value())))
                })
                .collect()
        })
    }

    /// Takes steps in one transaction; with a position, durably and remembering it.
    pub(super) fn apply(
        &self,
        changes: &[Change],
        checkpoint: Option<Position>,
    ) -> Result<Changed, StoreError> {
        let commit = if checkpoint.is_some() { Commit::Durably } else { Commit::Later };
        self.database.write(commit, |write| {
            let mut blocks = write.open_table(BLOCKS)?;
            let mut changed = Changed::default();
            for change in changes {
                take(&mut blocks, change, &mut changed)?;
            }
            let mut state = write.open_table(STATE)?;
            let bytes = state.get(BYTES)?.map_or(0, |bytes| bytes.value());
            let bytes = bytes.saturating_add(changed.added.new_bytes).saturating_sub(changed.removed_bytes);
            state.insert(BYTES, bytes)?;
            if let Some(position) = checkpoint {
                state.insert(SEGMENT, u64::from(position.segment))?;
                state.insert(OFFSET, position.offset)?;
            }
            Ok(changed)
        })
    }

    /// Up to where the index knew the packs when it was last made durable.
    pub(super) fn position(&self) -> Result<Option<Position>, StoreError> {
        self.database.read(|read| {
            let state = read.open_table(STATE)?;
            let (segment, offset) = (state.get(SEGMENT)?, state.get(OFFSET)?);
            let position = segment.zip(offset).and_then(|(segment, offset)| {
                let segment = u32::try_from(segment.value()).ok()?;
                Some(Position { segment, offset: offset.value() })
            });
            Ok(position)
        })
    }

    pub(super) fn usage(&self) -> Result<Usage, StoreError> {
        self.database.read(|read| {
            let blocks = read.open_table(BLOCKS)?.len()?;
            let bytes = read.open_table(STATE)?.get(BYTES)?.map_or(0, |bytes| bytes.value());
            Ok(Usage { blocks, bytes })
        })
    }

    /// How many bytes of each pack belong to blocks that are held.
    pub(super) fn live_bytes(&self) -> Result<std::collections::BTreeMap<u32, u64>, StoreError> {
        let mut live = std::collections::BTreeMap::new();
        let mut after = None;
        loop {
            let page = self.page(after.as_ref())?;
            let Some((last, _)) = page.last() else {
                return Ok(live);
            };
            after = Some(*last);
            for (hash, location) in &page {
                let bytes = live.entry(location.segment).or_insert(0_u64);
                *bytes = bytes.saturating_add(record_len(hash, u64::from(location.len)));
            }
        }
    }
}

fn take(
    blocks: &mut Table<'_, &'static [u8], Place>,
    change: &Change,
    changed: &mut Changed,
) -> Result<(), redb::Error> {
    match change {
        Change::Add(hash, location) => {
            let key = Key::of(hash);
            let before = blocks.insert(key.bytes(), location.place())?.map(|place| place.value());
            match before {
                None => changed.count(*location),
                // Another thread was first, which is rarer than looking before every insertion is dear.
                Some(place) => drop(blocks.insert(key.bytes(), place)?),
            }
        }
        Change::Set(hash, location) => {
            if blocks.insert(Key::of(hash).bytes(), location.place())?.is_none() {
                changed.count(*location);
            }
        }
        Change::Move { hash, from, to } => {
            let key = Key::of(hash);
            let here = blocks.get(key.bytes())?.is_some_and(|place| place.value() == from.place());
            if here {
                blocks.insert(key.bytes(), to.place())?;
            }
        }
        Change::Remove(hash) => {
            if let Some(place) = blocks.remove(Key::of(hash).bytes())? {
                changed.removed += 1;
                changed.removed_bytes += u64::from(Location::from(place.value()).len);
            }
        }
    }
    Ok(())
}

/// A multihash as the index orders it: its bytes, without an allocation each.
struct Key {
    bytes: [u8; MAX_HASH_LEN],
    len: usize,
}

impl Key {
    fn of(hash: &Multihash) -> Self {
        let mut bytes = [0; MAX_HASH_LEN];
        let mut out = &mut bytes[..];
        let len = hash.write(&mut out).expect("a multihash has at most MAX_HASH_LEN bytes");
        Self { bytes, len }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Changed {
    fn count(&mut self, location: Location) {
        self.added.new_blocks += 1;
        self.added.new_bytes += u64::from(location.len);
    }
}

impl Location {
    fn place(self) -> Place {
        (self.segment, self.offset, self.len)
    }
}

impl From<Place> for Location {
    fn from((segment, offset, len): Place) -> Self {
        Self { segment, offset, len }
    }
}
