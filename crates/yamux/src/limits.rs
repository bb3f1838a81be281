//! Every bound that a peer meets, and the meters for what it does too often.

use std::time::{Duration, Instant};

/// Credit of a new stream in each direction, in bytes. The specification fixes it.
// spec: yamux/initial-window
pub const INITIAL_WINDOW: u32 = 256 * 1024;

/// The most that [`Config::max_receive_window`](crate::Config::max_receive_window) can ask for, in bytes, so
/// that sums of windows stay far from 32 bits.
pub const MAX_WINDOW_CEILING: u32 = 1024 * 1024 * 1024;

/// The largest payload that we put into one frame: with its header it fills one Noise record.
pub const MAX_FRAME_PAYLOAD: usize = 65_507;

/// What a stream may send before the next gets its turn, when there are several, in bytes.
pub const QUANTUM: usize = 16 * 1024;

/// What a stream may have to send and still go ahead of those with more, in bytes. Less than the
/// [`QUANTUM`] that every writer may always queue, so that bulk never counts as short.
pub const SHORT_TURN: usize = 4 * 1024;

/// Bytes that one stream may queue for sending while the peer's window takes them: two full frames, which go out as two
/// records in one write. With one frame, writer and driver would take turns twice as often, which costs a tenth of the
/// throughput; a longer queue delays what other streams write and leaves the core's cache.
pub const MAX_STREAM_QUEUE: usize = 2 * MAX_FRAME_PAYLOAD;

/// Bytes that one stream may queue for sending when it has to wait for the peer's credit: one full frame.
pub const MAX_BLOCKED_QUEUE: usize = MAX_FRAME_PAYLOAD;

/// Bytes that all streams may queue while the peer's windows would take them. A stream with less than a
/// [`QUANTUM`] queued may always fill it up, so that busy neighbours cannot keep it from writing, and what the
/// peer gives no credit for does not count, so that a stalled stream does not stop the others.
pub const MAX_SESSION_QUEUE: usize = 256 * 1024;

/// Slices shorter than this are copied together, so that a crumb does not pin a large buffer; in bytes.
pub const COPY_BELOW: usize = 4 * 1024;

/// Unread bytes of a session that may be slices of what the transport read. Beyond, what arrives is copied: a slice
/// keeps the whole read in memory, which is free while readers keep up and many times the payload when they do not.
pub const MAX_SHARED_UNREAD: usize = 512 * 1024;

/// Our streams that the peer has not acknowledged. Peers reset or ignore more.
// spec: yamux/own-backlog
pub const MAX_UNACKNOWLEDGED: usize = 256;

/// Answers to pings that wait to be sent; after that the newest replaces the last.
pub const MAX_QUEUED_PONGS: usize = 64;

/// Refusals of streams that wait to be sent. A peer that opens streams beyond its limit without reading that
/// they were refused is not one to talk to.
pub const MAX_QUEUED_REFUSALS: usize = 256;

/// Pings that are answered at once; beyond, see [`PING_INTERVAL`].
pub const PING_BURST: u32 = 20;

/// The pace at which further pings are answered. Faster ones count as empty frames and are not.
pub const PING_INTERVAL: Duration = Duration::from_millis(100);

/// Frames that carry nothing and are tolerated at once: data without payload, updates without credit, both
/// without a flag, and pings that are too fast. Six megabytes of headers are a nuisance of some milliseconds;
/// conformance suites send 300,000.
pub const EMPTY_FRAME_BURST: u32 = 524_288;

/// The pace at which further empty frames are tolerated.
pub const EMPTY_FRAME_INTERVAL: Duration = Duration::from_millis(10);

/// Streams that the peer may open and reset at once, without a byte delivered in between.
pub const RAPID_RESET_BURST: u32 = 256;

/// The pace at which further rapid resets are tolerated: 100 in 10 s.
pub const RAPID_RESET_INTERVAL: Duration = Duration::from_millis(100);

/// Allows a burst, then one per interval.
#[derive(Debug)]
pub(crate) struct Meter {
    interval: Duration,
    burst: Duration,
    /// When the meter will be empty again; each use moves it by an interval.
    empty_at: Instant,
}

impl Meter {
    pub(crate) fn new(now: Instant, burst: u32, interval: Duration) -> Self {
        Self { interval, burst: interval.saturating_mul(burst), empty_at: now }
    }

    /// Whether one more is within the rate. One beyond it is not counted.
    pub(crate) fn allow(&mut self, now: Instant) -> bool {
        let used = self.empty_at.saturating_duration_since(now) + self.interval;
        if used > self.burst {
            return false;
        }
        self.empty_at = now + used;
        true
    }
}

/// The meters of a session.
#[derive(Debug)]
pub(crate) struct Meters {
    pub(crate) pings: Meter,
    pub(crate) empty_frames: Meter,
    pub(crate) rapid_resets: Meter,
}

impl Meters {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            pings: Meter::new(now, PING_BURST, PING_INTERVAL),
            empty_frames: Meter::new(now, EMPTY_FRAME_BURST, EMPTY_FRAME_INTERVAL),
            rapid_resets: Meter::new(now, RAPID_RESET_BURST, RAPID_RESET_INTERVAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::base;

    #[test]
    fn a_meter_allows_its_burst_and_then_its_pace() {
        let now = base();
        let mut meter = Meter::new(now, 3, Duration::from_millis(100));
        assert_eq!([(); 4].map(|()| meter.allow(now)), [true, true, true, false]);
        let later = now + Duration::from_millis(100);
        assert_eq!([(); 2].map(|()| meter.allow(later)), [true, false]);
        let rested = later + Duration::from_secs(10);
        assert_eq!([(); 4].map(|()| meter.allow(rested)), [true, true, true, false]);
    }
}
