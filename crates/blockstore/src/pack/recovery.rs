//! Teaching the index what the packs hold and it does not know.
//!
//! A block counts as stored once it is flushed to a pack; the index follows without flushing. After a crash
//! the packs are read from where the index was last durable:
//!
//! ```text
//!   00000007.pack   ██████████████████▓▓▓▓▓▓▓▓▓▓▓▓▒▒▒
//!                                     ^           ^  ^
//!                    index knows this │ read again│  └ torn: cut off
//! ```

use super::index::{Change, Index};
use super::record::PACK_START;
use super::scan::{Found, Scan};
use super::segments::{Segments, start_of};
use super::{Position, warn_damaged};
use crate::StoreError;

/// Steps taken by the index in one transaction.
const BATCH: usize = 4096;

/// Brings the index up to date, and returns where the last good record ends; `None` without any pack.
pub(super) fn catch_up(segments: &Segments, index: &Index) -> Result<Option<Position>, StoreError> {
    let known = index.position()?;
    let packs = segments.list()?;
    let from = known.unwrap_or_default();
    if known.is_some() && !packs.contains(&from.segment) {
        return Err(segments.corrupt(from.segment, "the pack is missing"));
    }
    let mut end = None;
    for segment in packs.iter().copied().filter(|segment| *segment >= from.segment) {
        let last = packs.last() == Some(&segment);
        let start = if segment == from.segment { from } else { start_of(segment) };
        end = Some(read_pack(segments, index, start, last)?);
    }
    if let Some(end) = end.filter(|end| known != Some(*end) && end.offset >= PACK_START) {
        index.apply(&[], Some(end))?;
    }
    Ok(end)
}

/// Reads one pack from `start` on and returns where its last good record ends.
fn read_pack(
    segments: &Segments,
    index: &Index,
    start: Position,
    last: bool,
) -> Result<Position, StoreError> {
    let segment = start.segment;
    let io = |error: std::io::Error| segments.error(segment, &error);
    let file = segments.read(segment).map_err(io)?;
    let len = file.metadata().map_err(io)?.len();
    if len < start.offset {
        // Only a pack that was just begun may be shorter than its first bytes.
        if last && start.offset == PACK_START {
            return Ok(Position { segment, offset: 0 });
        }
        return Err(segments.corrupt(segment, "it is shorter than its index says"));
    }
    let Some(mut scan) = Scan::whole(file.clone(), segment).map_err(io)? else {
        return Err(segments.corrupt(segment, "it does not begin as a pack does"));
    };
    if start.offset > PACK_START {
        scan = Scan::new(file.clone(), segment, start.offset).map_err(io)?;
    }
    let mut changes = Vec::new();
    while let Some(found) = scan.next().map_err(io)? {
        match found {
            Found::Block { hash, location, .. } => changes.push(Change::Set(hash, location)),
            Found::Deleted(hash) => changes.push(Change::Remove(hash)),
            Found::Damaged { hash, .. } => warn_damaged(&segments.path(segment), &hash),
        }
        if changes.len() >= BATCH {
            index.apply(&changes, None)?;
            changes.clear();
        }
    }
    if scan.good_end() > start.offset {
        // Found in the page cache is not yet on the disk.
        file.sync_data().map_err(io)?;
        index.apply(&changes, None)?;
    }
    if scan.stopped_early() || scan.good_end() < len {
        let torn = len - scan.good_end();
        tracing::warn!(pack = %segments.path(segment).display(), torn, "pack ends in an unfinished record");
    }
    Ok(Position { segment, offset: scan.good_end() })
}
