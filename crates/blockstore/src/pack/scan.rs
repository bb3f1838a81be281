//! Reading a pack from one end to the other.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bowline_block::Multihash;
use bytes::Bytes;

use super::Location;
use super::record::{Head, Kind, MAX_HEAD_LEN, PACK_MAGIC, PACK_START, matches};

/// Walks over the records of a pack.
#[derive(Debug)]
pub(super) struct Scan {
    file: Arc<File>,
    segment: u32,
    offset: u64,
    file_len: u64,
    good_end: u64,
}

/// A record that a scan found.
#[derive(Debug)]
pub(super) enum Found {
    /// A block whose data matches its multihash.
    Block { hash: Multihash, location: Location, data: Bytes },
    /// A block whose data does not.
    Damaged { hash: Multihash, location: Location },
    /// A delete mark.
    Deleted(Multihash),
}

impl Scan {
    /// Begins at `offset`, which must be the start of a record or the end of the pack.
    pub(super) fn new(file: Arc<File>, segment: u32, offset: u64) -> io::Result<Self> {
        let file_len = file.metadata()?.len();
        Ok(Self { file, segment, offset, file_len, good_end: offset })
    }

    /// Begins at the first record; `None` where the file does not begin as a pack does.
    pub(super) fn whole(file: Arc<File>, segment: u32) -> io::Result<Option<Self>> {
        let mut magic = [0; PACK_MAGIC.len()];
        let scan = Self::new(file, segment, PACK_START)?;
        if scan.file_len < PACK_START {
            return Ok(None);
        }
        scan.file.read_exact_at(&mut magic, 0)?;
        Ok((magic == PACK_MAGIC).then_some(scan))
    }

    /// The next record, or `None` where no whole record follows.
    pub(super) fn next(&mut self) -> io::Result<Option<Found>> {
        let mut start = [0; MAX_HEAD_LEN];
        let left = self.file_len.saturating_sub(self.offset);
        let readable = usize::try_from(left).unwrap_or(MAX_HEAD_LEN).min(MAX_HEAD_LEN);
        let start = start.get_mut(..readable).unwrap_or_default();
        self.file.read_exact_at(start, self.offset)?;
        let Some(head) = Head::parse(start) else {
            return Ok(None);
        };
        let end = self.offset + head.len + u64::from(head.data_len);
        if end > self.file_len {
            return Ok(None);
        }
        let location = Location { segment: self.segment, offset: self.offset + head.len, len: head.data_len };
        let found = match head.kind {
            Kind::DeleteMark => Found::Deleted(head.hash),
            Kind::Block => self.block(head.hash, location)?,
        };
        self.offset = end;
        if !matches!(found, Found::Damaged { .. }) {
            self.good_end = end;
        }
        Ok(Some(found))
    }

    fn block(&self, hash: Multihash, location: Location) -> io::Result<Found> {
        let mut data = vec![0; location.len as usize];
        self.file.read_exact_at(&mut data, location.offset)?;
        if !matches(&hash, &data) {
            return Ok(Found::Damaged { hash, location });
        }
        Ok(Found::Block { hash, location, data: data.into() })
    }

    /// Where the last good record ends.
    pub(super) fn good_end(&self) -> u64 {
        self.good_end
    }

    /// Whether the scan stopped before the end of the file.
    pub(super) fn stopped_early(&self) -> bool {
        self.offset < self.file_len
    }
}
