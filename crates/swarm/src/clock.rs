//! The clocks of the island. The cores take time as an argument; here it is read.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The time now, as the cores take it: tokio's clock, so that paused time reaches them.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Nanoseconds since 1970, for the sequence numbers of peer records, which must grow over restarts.
#[expect(clippy::disallowed_methods, reason = "the one reader of wall-clock time")]
pub(crate) fn unix_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
