//! The smallest round-trip time of the last minute.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How long a sample counts.
const WINDOW: Duration = Duration::from_secs(60);

/// Round-trip times, of which the smallest within a minute counts: a ping that waited behind bulk says more
/// about the queue than about the path.
///
/// Under a load that lasts longer than the minute all samples are such pings. A window that is sized by them
/// lengthens the queue that lengthens them, up to the limit. So a sample that was taken under load may lower the
/// smallest, but never makes it forgotten.
#[derive(Debug, Default)]
pub(crate) struct RoundTrips {
    /// Samples that may become the smallest: in order of time, and each larger than the one before.
    rising: VecDeque<(Instant, Duration)>,
    latest: Option<Duration>,
}

impl RoundTrips {
    pub(crate) fn record(&mut self, now: Instant, sample: Duration, under_load: bool) {
        self.latest = Some(sample);
        if under_load && self.min().is_some_and(|min| min <= sample) {
            return;
        }
        while self.rising.pop_back_if(|(_, larger)| *larger >= sample).is_some() {}
        self.rising.push_back((now, sample));
        while self.rising.pop_front_if(|(taken, _)| now.saturating_duration_since(*taken) > WINDOW).is_some()
        {
        }
    }

    /// The smallest sample. An old one counts until a newer one is there.
    pub(crate) fn min(&self) -> Option<Duration> {
        self.rising.front().map(|(_, sample)| *sample)
    }

    pub(crate) fn latest(&self) -> Option<Duration> {
        self.latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::base;

    #[test]
    fn the_smallest_sample_of_a_minute_counts() {
        let start = base();
        let mut trips = RoundTrips::default();
        let mut record = |seconds, milliseconds| {
            trips.record(start + Duration::from_secs(seconds), Duration::from_millis(milliseconds), false);
            trips.min().expect("a sample").as_millis()
        };
        assert_eq!(record(0, 100), 100);
        assert_eq!(record(30, 70_000), 100, "a ping behind bulk");
        assert_eq!(record(60, 300), 100);
        assert_eq!(record(90, 400), 300, "the first sample and the bulk are forgotten");
        assert_eq!(record(120, 50), 50);
        assert_eq!(trips.rising.len(), 1);
        assert_eq!(trips.latest(), Some(Duration::from_millis(50)));
    }

    #[test]
    fn a_load_longer_than_a_minute_does_not_raise_the_smallest() {
        let start = base();
        let mut trips = RoundTrips::default();
        trips.record(start, Duration::from_millis(100), false);
        for minute in 1..10 {
            trips.record(start + Duration::from_secs(60 * minute), Duration::from_secs(minute), true);
        }
        assert_eq!(trips.min(), Some(Duration::from_millis(100)));
        trips.record(start + Duration::from_secs(700), Duration::from_millis(90), true);
        assert_eq!(trips.min(), Some(Duration::from_millis(90)), "lower is always right");
        trips.record(start + Duration::from_secs(800), Duration::from_millis(300), false);
        assert_eq!(trips.min(), Some(Duration::from_millis(300)), "the path is longer now");
    }
}
