//! When bytes that enter a slow path come out of it.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::compare::network::Rate;

/// Bytes that may wait for their turn on a path with a rate.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// One direction of a slow path: first a queue that drains at the rate, then the delay.
#[derive(Debug)]
pub(crate) struct Shaper {
    delay: Duration,
    rate: Option<Rate>,
    /// When the last byte that entered will have left the queue.
    free_at: Option<Instant>,
}

impl Shaper {
    /// An empty path.
    pub(crate) fn new(delay: Duration, rate: Option<Rate>) -> Self {
        Self { delay, rate, free_at: None }
    }

    /// Takes `bytes` in, and says when they come out.
    pub(crate) fn enter(&mut self, now: Instant, bytes: usize) -> Instant {
        let starts = self.free_at.map_or(now, |free| free.max(now));
        let left = starts + self.rate.map_or(Duration::ZERO, |rate| rate.time_for(bytes));
        self.free_at = Some(left);
        left + self.delay
    }

    /// How long it takes until the queue has room again; zero while it has.
    pub(crate) fn until_room(&self, now: Instant) -> Duration {
        let (Some(rate), Some(free)) = (self.rate, self.free_at) else { return Duration::ZERO };
        free.saturating_duration_since(now).saturating_sub(rate.time_for(QUEUE_BYTES))
    }
}

/// Waits until `due`, and not at all when it has passed: a timer would wait for its next millisecond.
pub(crate) async fn wait_until(due: Instant) {
    if due > Instant::now() {
        sleep_until(due).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(50);
    const MEGABIT: Rate = Rate { bits_per_second: 1_000_000 };

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_everything_is_just_late() {
        let mut shaper = Shaper::new(DELAY, None);
        let now = Instant::now();
        assert_eq!(shaper.enter(now, 1 << 30), now + DELAY);
        assert_eq!(shaper.enter(now, 1), now + DELAY);
        assert_eq!(shaper.until_room(now), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn with_a_rate_bytes_wait_for_those_before_them() {
        let mut shaper = Shaper::new(DELAY, Some(MEGABIT));
        let now = Instant::now();
        // 1,250 bytes are 10,000 bits: 10 ms.
        let step = Duration::from_millis(10);
        assert_eq!(shaper.enter(now, 1_250), now + step + DELAY);
        assert_eq!(shaper.enter(now, 1_250), now + 2 * step + DELAY);
        // Idle time is not saved up.
        let later = now + Duration::from_secs(5);
        assert_eq!(shaper.enter(later, 1_250), later + step + DELAY);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_says_when_it_has_room() {
        let mut shaper = Shaper::new(DELAY, Some(MEGABIT));
        let now = Instant::now();
        shaper.enter(now, QUEUE_BYTES);
        assert_eq!(shaper.until_room(now), Duration::ZERO);
        shaper.enter(now, 1_250);
        assert_eq!(shaper.until_room(now), Duration::from_millis(10));
        assert_eq!(shaper.until_room(now + Duration::from_millis(10)), Duration::ZERO);
    }
}
