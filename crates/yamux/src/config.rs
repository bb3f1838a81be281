//! What an owner can choose. Every combination is valid.

use std::time::Duration;

use crate::limits::{INITIAL_WINDOW, MAX_WINDOW_CEILING};

/// Limits and times of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Streams of the peer at a time. One more is refused with an RST and the connection lives on. A stream
    /// counts until its owner has released it. Default 1,024, four backlogs; each may cost its 256 KiB of
    /// window, up to [`max_unread_bytes`](Self::max_unread_bytes) for all.
    pub max_inbound_streams: usize,
    /// Streams of ours at a time; then [`open`](crate::Session::open) has to wait. Default 2,048.
    pub max_outbound_streams: usize,
    /// The largest window that a stream may grow to, in bytes; at least 256 KiB, at most 1 GiB. Default
    /// 16 MiB: one stream then fills 1 Gbit/s at 130 ms.
    pub max_receive_window: u32,
    /// Bytes of window that all streams of the connection may hold beyond the 256 KiB that each has by the
    /// specification. Growth is taken from here before it is announced. Default 32 MiB.
    pub growth_budget_bytes: u64,
    /// Bytes received and not yet read, for all streams. Beyond it the stream with the most is reset. Up to
    /// [`MAX_SHARED_UNREAD`](crate::limits::MAX_SHARED_UNREAD) of them may keep the inputs that they were cut from;
    /// see [Memory](crate#memory). Default 32 MiB.
    pub max_unread_bytes: usize,
    /// Between pings, which measure the round-trip time and keep the connection alive. The first goes out at
    /// once. Default 30 s.
    pub ping_interval: Duration,
    /// How long a ping may stay unanswered while nothing else arrives; then the session is over. The first
    /// ping is exempt. Default 10 s.
    pub ping_timeout: Duration,
    /// How long a stream that was finished and released may go without progress. Then it is reset. Default
    /// 10 s.
    pub detach_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_inbound_streams: 1_024,
            max_outbound_streams: 2_048,
            max_receive_window: 16 * 1024 * 1024,
            growth_budget_bytes: 32 * 1024 * 1024,
            max_unread_bytes: 32 * 1024 * 1024,
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(10),
            detach_timeout: Duration::from_secs(10),
        }
    }
}

/// Stands for "never": a time that can be added to any instant.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Stands for "at once": a deadline has to move when it passes.
const AT_ONCE: Duration = Duration::from_millis(1);

impl Config {
    pub(crate) fn ping_interval(&self) -> Duration {
        self.ping_interval.clamp(AT_ONCE, NEVER)
    }

    pub(crate) fn ping_timeout(&self) -> Duration {
        self.ping_timeout.clamp(AT_ONCE, NEVER)
    }

    pub(crate) fn detach_timeout(&self) -> Duration {
        self.detach_timeout.clamp(AT_ONCE, NEVER)
    }

    pub(crate) fn window_ceiling(&self) -> u32 {
        self.max_receive_window.clamp(INITIAL_WINDOW, MAX_WINDOW_CEILING)
    }
}
