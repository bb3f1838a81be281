//! Giving the space of deleted blocks back.
//!
//! A pack with enough dead bytes is read through, what is still held is appended to the last pack, and the
//! file is removed.

use bowline_block::Multihash;
use bytes::Bytes;

use super::index::Change;
use super::record::{Kind, PACK_START, Record};
use super::scan::{Found, Scan};
use super::{Location, PackStore, warn_damaged};
use crate::{Durability, StoreError};

/// A pack is rewritten when at least one byte in this many is dead.
const DEAD_SHARE: u64 = 4;
/// Data moved in one step; writers wait for one step at most.
const STEP_BYTES: usize = 8 * 1024 * 1024;
/// Blocks moved in one step.
const STEP_BLOCKS: usize = 4096;

/// A block on its way to the last pack.
struct Moving {
    hash: Multihash,
    from: Location,
    data: Bytes,
}

impl PackStore {
    /// Rewrites the packs in which it is worth it, and returns how many bytes the packs shrank by.
    pub(super) fn compact_packs(&self) -> Result<u64, StoreError> {
        let before = self.pack_bytes()?;
        let live = self.index.live_bytes()?;
        for segment in self.log.segments.list()? {
            let held = live.get(&segment).copied().unwrap_or(0);
            let size = self.pack_len(segment)?.saturating_sub(PACK_START);
            let dead = size.saturating_sub(held);
            if dead == 0 || dead.saturating_mul(DEAD_SHARE) < size {
                continue;
            }
            if segment == self.log.end().segment {
                let _alone = self.alone()?;
                self.log.begin_segment()?;
            }
            self.empty_pack(segment)?;
        }
        Ok(before.saturating_sub(self.pack_bytes()?))
    }

    /// Moves what is held out of a pack and removes it.
    fn empty_pack(&self, segment: u32) -> Result<(), StoreError> {
        let segments = &self.log.segments;
        let io = |error: std::io::Error| segments.error(segment, &error);
        let file = segments.read(segment).map_err(io)?;
        let Some(mut scan) = Scan::whole(file, segment).map_err(io)? else {
            return Err(segments.corrupt(segment, "it does not begin as a pack does"));
        };
        let mut moving = Vec::new();
        let mut bytes = 0;
        while let Some(found) = scan.next().map_err(io)? {
            match found {
                Found::Block { hash, location: from, data } => {
                    bytes += data.len();
                    moving.push(Moving { hash, from, data });
                }
                Found::Damaged { hash, location } => self.forget_damaged(&hash, location)?,
                Found::Deleted(_) => {}
            }
            if bytes >= STEP_BYTES || moving.len() >= STEP_BLOCKS {
                self.move_blocks(&mut moving)?;
                bytes = 0;
            }
        }
        self.move_blocks(&mut moving)?;
        if scan.stopped_early() {
            return Err(segments.corrupt(segment, "a record cannot be read; it is kept as it is"));
        }
        let _alone = self.alone()?;
        let end = self.log.end();
        self.log.flush(end)?;
        self.index.apply(&[], Some(end))?;
        segments.remove(segment)
    }

    fn move_blocks(&self, moving: &mut Vec<Moving>) -> Result<(), StoreError> {
        let _alone = self.alone()?;
        let places = self.index.find_many(moving.iter().map(|block| &block.hash))?;
        let mut places = places.into_iter();
        moving.retain(|block| places.next().flatten() == Some(block.from));
        if moving.is_empty() {
            return Ok(());
        }
        let records: Vec<Record<'_>> = moving
            .iter()
            .map(|block| Record { kind: Kind::Block, hash: &block.hash, data: &block.data })
            .collect();
        let batch = self.log.append(&records)?;
        // The old copies go away, so the new ones must be durable whatever writers were promised.
        let checkpoint = batch.settle(Durability::Synced)?;
        let moves: Vec<Change> = moving
            .iter()
            .zip(&batch.locations)
            .map(|(block, to)| Change::Move { hash: block.hash, from: block.from, to: *to })
            .collect();
        self.index.apply(&moves, checkpoint)?;
        moving.clear();
        Ok(())
    }

    /// Lets go of a block whose data is lost anyway, so that it can be fetched again.
    fn forget_damaged(&self, hash: &Multihash, location: Location) -> Result<(), StoreError> {
        warn_damaged(&self.log.segments.path(location.segment), hash);
        let _alone = self.alone()?;
        if self.index.find(hash)? == Some(location) {
            self.index.apply(&[Change::Remove(*hash)], None)?;
        }
        Ok(())
    }

    fn pack_bytes(&self) -> Result<u64, StoreError> {
        self.log.segments.list()?.into_iter().map(|segment| self.pack_len(segment)).sum()
    }

    fn pack_len(&self, segment: u32) -> Result<u64, StoreError> {
        let metadata = std::fs::metadata(self.log.segments.path(segment));
        Ok(metadata.map_err(|error| self.log.segments.error(segment, &error))?.len())
    }
}
