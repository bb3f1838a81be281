//! Appending to packs, and making what was appended durable.
//!
//! Threads append one after the other and flush together: whoever finds no flush running flushes for
//! everybody who appended before it, while others go on appending.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::record::{PACK_START, Record};
use super::segments::{Segments, start_of};
use super::{Location, Position, lock};
use crate::{Durability, StoreError};

/// The end of the last pack, where everything is appended.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) segments: Segments,
    segment_bytes: u64,
    writer: Mutex<Writer>,
    flushed: Mutex<Flushed>,
    flush_ended: Condvar,
}

#[derive(Debug)]
struct Writer {
    file: Arc<File>,
    end: Position,
    /// Starts of the batches whose blocks the index does not know yet.
    in_flight: BTreeSet<Position>,
    /// What the next opening would have to scan, in bytes.
    unindexed: u64,
    /// Records not yet handed to the file, to save system calls on small blocks.
    buffer: Vec<u8>,
    /// Set for good by a failure after which nothing is known about the file.
    broken: Option<StoreError>,
}

#[derive(Debug)]
struct Flushed {
    up_to: Position,
    running: bool,
    failed: Option<StoreError>,
}

/// Blocks that are in the log and not yet in the index.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    log: &'a Log,
    start: Position,
    end: Position,
    /// Where the data of each record is, in their order.
    pub(super) locations: Vec<Location>,
    /// Whether the index should be made durable together with this batch.
    checkpoint_due: bool,
}

/// Data of at least this size goes to the file without being copied.
const WRITE_DIRECTLY: usize = 64 * 1024;
/// Small records are gathered up to about this size.
const GATHER: usize = 1024 * 1024;
/// The index is made durable when a crash would leave this much to be scanned, which takes less than a second.
/// Each time costs about four flushes, some hundredths of a second.
const CHECKPOINT_EVERY: u64 = 256 * 1024 * 1024;
/// What a record costs to scan besides its bytes, counted in bytes.
const SCAN_COST: u64 = 4096;

impl Log {
    /// Continues after the last good record, or makes the first pack.
    pub(super) fn open(
        segments: Segments,
        segment_bytes: u64,
        end: Option<Position>,
    ) -> Result<Self, StoreError> {
        let (file, end) = match end {
            Some(end) if end.offset >= PACK_START => (segments.continue_at(end)?, end),
            // The pack did not get as far as its first bytes.
            Some(end) => (segments.create(end.segment)?, start_of(end.segment)),
            None => (segments.create(1)?, start_of(1)),
        };
        let writer =
            Writer { file, end, in_flight: BTreeSet::new(), unindexed: 0, buffer: Vec::new(), broken: None };
        let flushed = Flushed { up_to: end, running: false, failed: None };
        Ok(Self {
            segments,
            segment_bytes,
            writer: Mutex::new(writer),
            flushed: Mutex::new(flushed),
            flush_ended: Condvar::new(),
        })
    }

    /// Where the next record goes.
    pub(super) fn end(&self) -> Position {
        lock(&self.writer).end
    }

    /// Appends records, at least one. Nothing of them stays in the log when that fails.
    pub(super) fn append(&self, records: &[Record<'_>]) -> Result<Batch<'_>, StoreError> {
        let mut writer = lock(&self.writer);
        if let Some(error) = &writer.broken {
            return Err(error.clone());
        }
        let start = writer.end;
        let locations = match self.write_records(&mut writer, records) {
            Ok(locations) => locations,
            Err(error) => {
                self.rewind(&mut writer, start);
                return Err(error);
            }
        };
        writer.in_flight.insert(start);
        writer.unindexed += records.iter().map(|record| record.len() + SCAN_COST).sum::<u64>();
        let checkpoint_due = writer.unindexed >= CHECKPOINT_EVERY;
        if checkpoint_due {
            writer.unindexed = 0;
        }
        Ok(Batch { log: self, start, end: writer.end, locations, checkpoint_due })
    }

    fn write_records(
        &self,
        writer: &mut Writer,
        records: &[Record<'_>],
    ) -> Result<Vec<Location>, StoreError> {
        let mut locations = Vec::with_capacity(records.len());
        for record in records {
            let next = writer.end.offset + writer.buffer.len() as u64;
            if next > PACK_START && next + record.len() > self.segment_bytes {
                self.write_buffer(writer)?;
                self.roll(writer)?;
            }
            record.encode_head(&mut writer.buffer);
            let offset = writer.end.offset + writer.buffer.len() as u64;
            let len = u32::try_from(record.data.len()).expect("a block has at most 2 MiB");
            locations.push(Location { segment: writer.end.segment, offset, len });
            if record.data.len() >= WRITE_DIRECTLY {
                self.write_buffer(writer)?;
                self.write(writer, record.data)?;
            } else {
                writer.buffer.extend_from_slice(record.data);
            }
            if writer.buffer.len() >= GATHER {
                self.write_buffer(writer)?;
            }
        }
        self.write_buffer(writer)?;
        Ok(locations)
    }

    fn write_buffer(&self, writer: &mut Writer) -> Result<(), StoreError> {
        let mut buffer = std::mem::take(&mut writer.buffer);
        let result = self.write(writer, &buffer);
        buffer.clear();
        writer.buffer = buffer;
        result
    }

    fn write(&self, writer: &mut Writer, bytes: &[u8]) -> Result<(), StoreError> {
        let written = writer.file.write_all_at(bytes, writer.end.offset);
        written.map_err(|error| self.segments.error(writer.end.segment, &error))?;
        writer.end.offset += bytes.len() as u64;
        Ok(())
    }

    /// Cuts a failed batch off again.
    fn rewind(&self, writer: &mut Writer, start: Position) {
        writer.buffer.clear();
        writer.end = start.max(start_of(writer.end.segment));
        if let Err(error) = writer.file.set_len(writer.end.offset) {
            writer.broken = Some(self.segments.error(writer.end.segment, &error));
        }
    }

    /// Begins the next pack, unless the last one is empty.
    pub(super) fn begin_segment(&self) -> Result<(), StoreError> {
        let mut writer = lock(&self.writer);
        if writer.end.offset == PACK_START { Ok(()) } else { self.roll(&mut writer) }
    }

    fn roll(&self, writer: &mut Writer) -> Result<(), StoreError> {
        if let Err(error) = writer.file.sync_data() {
            return Err(self.flush_failed(writer, &error));
        }
        let next = writer.end.segment.checked_add(1).map(start_of);
        let next =
            next.ok_or_else(|| self.segments.corrupt(writer.end.segment, "no later pack can exist"))?;
        writer.file = self.segments.create(next.segment)?;
        writer.end = next;
        let mut flushed = lock(&self.flushed);
        flushed.up_to = flushed.up_to.max(next);
        Ok(())
    }

    /// Returns once everything before `position` is durable.
    pub(super) fn flush(&self, position: Position) -> Result<(), StoreError> {
        let mut flushed = lock(&self.flushed);
        loop {
            if let Some(error) = &flushed.failed {
                return Err(error.clone());
            }
            if flushed.up_to >= position {
                return Ok(());
            }
            if flushed.running {
                flushed = self.flush_ended.wait(flushed).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            flushed.running = true;
            drop(flushed);
            let result = self.flush_now();
            flushed = lock(&self.flushed);
            flushed.running = false;
            match result {
                Ok(up_to) => flushed.up_to = flushed.up_to.max(up_to),
                Err(error) => flushed.failed = Some(error),
            }
            self.flush_ended.notify_all();
        }
    }

    fn flush_now(&self) -> Result<Position, StoreError> {
        let (file, end) = {
            let writer = lock(&self.writer);
            if let Some(error) = &writer.broken {
                return Err(error.clone());
            }
            (Arc::clone(&writer.file), writer.end)
        };
        match file.sync_data() {
            Ok(()) => Ok(end),
            Err(error) => Err(self.flush_failed(&mut lock(&self.writer), &error)),
        }
    }

    /// After a failed flush nobody knows what is on the disk, and a second flush may claim success although
    /// the pages were dropped. Nothing is written until the repository is opened again.
    fn flush_failed(&self, writer: &mut Writer, error: &std::io::Error) -> StoreError {
        let error = self.segments.error(writer.end.segment, error);
        writer.broken = Some(error.clone());
        error
    }
}

impl Batch<'_> {
    /// Flushes what must be durable before the index may learn of the batch.
    ///
    /// Returns the position that the index is then to remember durably, when it is time for that.
    pub(super) fn settle(&self, durability: Durability) -> Result<Option<Position>, StoreError> {
        if durability == Durability::Synced {
            self.log.flush(self.end)?;
        }
        if !self.checkpoint_due {
            return Ok(None);
        }
        let position = self.indexed_up_to();
        self.log.flush(position)?;
        Ok(Some(position))
    }

    /// Up to where the index will know everything once it knows this batch.
    fn indexed_up_to(&self) -> Position {
        let writer = lock(&self.log.writer);
        let others = writer.in_flight.iter().find(|start| **start != self.start);
        others.copied().unwrap_or(writer.end)
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        lock(&self.log.writer).in_flight.remove(&self.start);
    }
}
