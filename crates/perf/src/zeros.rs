//! The one block of zeros that everything sent is a slice of.

use bytes::Bytes;

/// The largest piece that a machine hands out, in bytes: as much as a connection's send queue takes.
pub const ZERO_BLOCK_LEN: usize = 256 * 1024;

static ZEROS: [u8; ZERO_BLOCK_LEN] = [0; ZERO_BLOCK_LEN];

/// Takes a slice off `remaining`: at most `limit` bytes, `None` when one of both is 0.
pub(crate) fn take(remaining: &mut u64, limit: usize) -> Option<Bytes> {
    let wanted = usize::try_from(*remaining).unwrap_or(usize::MAX);
    let len = wanted.min(limit).min(ZERO_BLOCK_LEN);
    if len == 0 {
        return None;
    }
    *remaining -= len as u64;
    Some(Bytes::from_static(&ZEROS[..len]))
}
