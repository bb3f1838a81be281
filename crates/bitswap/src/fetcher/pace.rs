//! How fast a peer answers, and how much may be asked of it.

use std::time::{Duration, Instant};

use super::FetcherConfig;

/// Round trip assumed of a peer that has not answered yet.
const UNKNOWN_ROUND_TRIP: Duration = Duration::from_millis(50);

/// Bytes per second assumed of a peer that has not delivered yet.
const UNKNOWN_GOODPUT: u64 = 4 * 1024 * 1024;

/// The shortest time over which goodput is measured.
const MIN_EPOCH: Duration = Duration::from_millis(100);

/// The smallest window that timeouts leave.
const MIN_WINDOW: u64 = 256 * 1024;

/// How many seconds of a peer's goodput may be asked of it beyond one round trip. Keeps a slow peer from
/// holding more than it delivers in that time, while faster ones wait for it.
const MAX_BACKLOG: Duration = Duration::from_secs(2);

/// How long the window stays after it shrank.
const SHRINK_PAUSE: Duration = Duration::from_secs(1);

/// How many times longer than expected an answer may take.
const PATIENCE: u32 = 3;

/// What has been measured of one peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    round_trip: Option<Duration>,
    goodput: Option<u64>,
    /// Start of the running measurement and the bytes since.
    epoch: Option<(Instant, u64)>,
    window: u64,
    /// Bytes delivered since the window last grew.
    delivered: u64,
    /// When the window last shrank.
    shrunk: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(config: &FetcherConfig) -> Self {
        Self {
            round_trip: None,
            goodput: None,
            epoch: None,
            window: config.initial_window_bytes.min(config.max_window_bytes),
            delivered: 0,
            shrunk: None,
        }
    }

    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    pub(crate) fn goodput(&self) -> Option<u64> {
        self.goodput
    }

    /// An answer to a want in front of which nothing was queued. Follows drops at once and rises slowly,
    /// because a server's own delays are in it too.
    pub(crate) fn answered_after(&mut self, sample: Duration) {
        self.round_trip = Some(match self.round_trip {
            Some(known) if sample > known => known + (sample - known) / 8,
            _ => sample,
        });
    }

    /// Another layer measured the round trip.
    pub(crate) fn measured(&mut self, round_trip: Duration) {
        self.round_trip = Some(round_trip);
    }

    /// A block came in. `busy` says whether more are on their way.
    pub(crate) fn delivered(&mut self, now: Instant, bytes: u64, busy: bool, config: &FetcherConfig) {
        self.delivered += bytes;
        if self.delivered >= self.window {
            self.delivered = 0;
            self.window = self.window.saturating_mul(2).min(config.max_window_bytes);
        }
        match &mut self.epoch {
            // The first block of a burst only starts the clock: the wait for it is no transfer time.
            None => self.epoch = Some((now, 0)),
            Some((start, sum)) => {
                *sum += bytes;
                let elapsed = now.saturating_duration_since(*start);
                if elapsed >= MIN_EPOCH.max(self.round_trip.unwrap_or_default()) {
                    let sample = per_second(*sum, elapsed);
                    self.goodput = Some(self.goodput.map_or(sample, |known| known / 2 + sample / 2));
                    self.epoch = Some((now, 0));
                }
            }
        }
        if !busy {
            self.epoch = None;
        }
    }

    /// An answer did not come in time: ask for less. Many answers that are late together count once.
    pub(crate) fn timed_out(&mut self, now: Instant) {
        if self.shrunk.is_some_and(|shrunk| now < shrunk + SHRINK_PAUSE) {
            return;
        }
        self.shrunk = Some(now);
        self.window = (self.window / 2).max(MIN_WINDOW);
        self.delivered = 0;
    }

    /// How many bytes may be open at the peer.
    pub(crate) fn window(&self) -> u64 {
        let Some(goodput) = self.goodput else {
            return self.window;
        };
        let backlog = MAX_BACKLOG + self.round_trip.unwrap_or(UNKNOWN_ROUND_TRIP);
        let useful = u128::from(goodput) * backlog.as_millis() / 1000;
        self.window.min(u64::try_from(useful).unwrap_or(u64::MAX).max(MIN_WINDOW))
    }

    /// How long until `bytes` more have been delivered.
    pub(crate) fn expected(&self, bytes: u64) -> Duration {
        let goodput = self.goodput.unwrap_or(UNKNOWN_GOODPUT).max(1);
        let micros = u128::from(bytes) * 1_000_000 / u128::from(goodput);
        self.round_trip.unwrap_or(UNKNOWN_ROUND_TRIP)
            + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// How long to wait for the last of `bytes` before doing something about it.
    pub(crate) fn timeout(&self, bytes: u64, config: &FetcherConfig) -> Duration {
        if self.round_trip.is_none() && self.goodput.is_none() {
            return config.min_timeout;
        }
        self.expected(bytes).saturating_mul(PATIENCE).min(config.max_timeout).max(config.min_timeout)
    }
}

fn per_second(bytes: u64, elapsed: Duration) -> u64 {
    let rate = u128::from(bytes) * 1_000_000 / elapsed.as_micros().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
    fn base() -> Instant {
        Instant::now()
    }

    const KIB: u64 = 1024;

    #[test]
    fn the_window_doubles_with_each_window_delivered() {
        let config = FetcherConfig::default();
        let mut pace = Pace::new(&config);
        let mut now = base();
        assert_eq!(pace.window(), 1024 * KIB);
        for _ in 0..4 {
            now += Duration::from_millis(1);
            pace.delivered(now, 256 * KIB, true, &config);
        }
        assert_eq!(pace.window(), 2048 * KIB);
        pace.timed_out(now);
        pace.timed_out(now);
        assert_eq!(pace.window(), 1024 * KIB);
    }

    #[test]
    fn a_slow_peer_is_not_asked_for_more_than_seconds_of_its_goodput() {
        let config = FetcherConfig::default();
        let mut pace = Pace::new(&config);
        let mut now = base();
        for _ in 0..100 {
            now += Duration::from_millis(500);
            pace.delivered(now, 128 * KIB, true, &config);
        }
        assert_eq!(pace.goodput().map(|rate| rate / KIB), Some(256));
        assert!(pace.window() < 600 * KIB, "{}", pace.window());
    }

    #[test]
    fn a_timeout_grows_with_the_bytes_in_front() {
        let config = FetcherConfig::default();
        let mut pace = Pace::new(&config);
        assert_eq!(pace.timeout(u64::MAX, &config), config.min_timeout);
        pace.measured(Duration::from_millis(100));
        pace.goodput = Some(1024 * KIB);
        assert_eq!(pace.timeout(0, &config), config.min_timeout);
        assert_eq!(pace.timeout(1024 * KIB, &config), Duration::from_millis(3300));
        assert_eq!(pace.timeout(u64::MAX, &config), config.max_timeout);
    }
}
