//! What to do when accepting fails.

use std::{io::ErrorKind, time::Duration};

use tokio::time::Instant;

/// The first pause. Descriptors come back as connections end, which is often at once.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The shortest time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Judges failures to accept: which one ends the listener, and how long to wait after the others.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    /// The last pause of the running series of failures.
    pause: Option<Duration>,
    reported: Option<Instant>,
    /// Failures since the last report.
    unreported: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Accept again at once: only this connection failed.
    Again,
    /// Accept again after `delay`. With `report`, tell of so many failures.
    Pause { delay: Duration, report: Option<u64> },
    /// The listener is beyond help.
    GiveUp,
}

impl Backoff {
    pub(super) fn failed(&mut self, kind: ErrorKind, now: Instant) -> Verdict {
        match kind {
            // The peer left before it was accepted, or a signal came.
            ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted => {
                Verdict::Again
            }
            // The socket listens no longer.
            ErrorKind::InvalidInput => Verdict::GiveUp,
            // No descriptors, no memory, a firewall, a network that is down: all of it passes.
            _ => {
                let delay = self.pause.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
                self.pause = Some(delay);
                Verdict::Pause { delay, report: self.report(now) }
            }
        }
    }

    pub(super) fn succeeded(&mut self) {
        self.pause = None;
    }

    fn report(&mut self, now: Instant) -> Option<u64> {
        self.unreported += 1;
        let due = self.reported.is_none_or(|last| now.duration_since(last) >= REPORT_INTERVAL);
        due.then(|| {
            self.reported = Some(now);
            std::mem::take(&mut self.unreported)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        Instant::now()
    }

    fn delay(verdict: Verdict) -> Duration {
        match verdict {
            Verdict::Pause { delay, .. } => delay,
            other => panic!("expected a pause, got {other:?}"),
        }
    }

    #[test]
    fn pauses_double_up_to_a_second_and_start_over_after_a_success() {
        let mut backoff = Backoff::default();
        let mut pauses = (0..10).map(|_| delay(backoff.failed(ErrorKind::Other, start())).as_millis());
        assert_eq!(pauses.by_ref().collect::<Vec<_>>(), [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        backoff.succeeded();
        assert_eq!(delay(backoff.failed(ErrorKind::Other, start())), FIRST_PAUSE);
    }

    #[test]
    fn a_lost_connection_pauses_nothing() {
        let mut backoff = Backoff::default();
        for kind in [ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset, ErrorKind::Interrupted] {
            assert_eq!(backoff.failed(kind, start()), Verdict::Again);
        }
    }

    #[test]
    fn a_socket_that_does_not_listen_ends_the_listener() {
        assert_eq!(Backoff::default().failed(ErrorKind::InvalidInput, start()), Verdict::GiveUp);
    }

    #[test]
    fn failures_are_reported_once_per_interval_with_their_number() {
        let mut backoff = Backoff::default();
        let t = start();
        let mut report = |at| match backoff.failed(ErrorKind::Other, at) {
            Verdict::Pause { report, .. } => report,
            other => panic!("expected a pause, got {other:?}"),
        };
        assert_eq!(report(t), Some(1));
        assert_eq!(report(t), None);
        assert_eq!(report(t + REPORT_INTERVAL / 2), None);
        assert_eq!(report(t + REPORT_INTERVAL), Some(3));
    }
}
