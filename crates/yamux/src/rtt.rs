//! The smallest round-trip time of the last minute.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How long a sample counts.
const WINDOW: Duration = Duration::from_secs(60);

/// Round-trip times, of which the smallest within a minute counts: a ping that waited behind bulk says more
/// about the queue than about the path.
#[derive(Debug, Default)]
pub(crate) struct RoundTrips {
    /// Samples that may become the smallest: in order of time, and each larger than the one before.
    rising: VecDeque<(Instant, Duration)>,
    latest: Option<Duration>,
}

impl RoundTrips {
    pub(crate) fn record(&mut self, now: Instant, sample: Duration) {
        self.latest = Some(sample);
        while self.rising.pop_back_if(|(_, larger)| *larger >= sample).is_some() {}
        self.rising.push_back((now, sample));
        while self
            .rising
            .pop_front_if(|(taken, _)| now.saturating_duration_since(*taken) > WINDOW)
            .is_some()
        {}
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
            trips.record(
                start + Duration::from_secs(seconds),
                Duration::from_millis(milliseconds),
            );
            trips.min().expect("a sample").as_millis()
        };
        assert_eq!(record(0, 100), 100);
        assert_eq!(record(30, 70_000), 100, "a ping behind bulk");
        assert_eq!(record(60, 300), 100);
        assert_eq!(
            record(90, 400),
            300,
            "the first sample and the bulk are forgotten"
        );
        assert_eq!(record(120, 50), 50);
        assert_eq!(trips.rising.len(), 1);
        assert_eq!(trips.latest(), Some(Duration::from_millis(50)));
    }
}
