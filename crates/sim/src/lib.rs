//! A network in virtual time, for tests of the protocol cores.
//!
//! ```text
//!            ┌──────────── Pair ────────────┐
//!  left ────>│ Link: latency, bandwidth,    │────> right
//!   Node     │ split, one fault at byte n   │      Node
//!       <────│ Link                         │<────
//!            └──── Clock: jumps to the ─────┘
//!                  earliest deadline
//! ```
//!
//! Nothing waits: [`Pair::step`] moves the bytes that are due, or else jumps the clock to the earliest of
//! all deadlines, so that hours pass in milliseconds. Chance comes from one seed through [`Rng`]; equal seeds
//! give equal runs on every machine. A [`Link`] and a [`Clock`] are usable without a `Pair`.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use bowline_sim::{Arrival, Clock, Link, LinkConfig};
//!
//! let mut clock = Clock::new();
//! let config = LinkConfig { latency: Duration::from_millis(50), ..LinkConfig::default() };
//! let mut link = Link::new(config, 7);
//! link.send(clock.now(), "hello".into());
//! assert_eq!(link.poll_arrival(clock.now()), None);
//! clock.advance_to(link.poll_timeout().expect("bytes are under way"));
//! assert_eq!(link.poll_arrival(clock.now()), Some(Arrival::Data("hello".into())));
//! assert_eq!(clock.elapsed(), Duration::from_millis(50));
//! ```

mod link;
mod pair;
mod rng;

use std::time::{Duration, Instant};

pub use link::{Arrival, Fault, FaultKind, Link, LinkConfig, Split};
pub use pair::{Node, Outcome, Pair};
pub use rng::Rng;

/// Virtual time. It starts at an arbitrary instant and moves only when it is told to.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    now: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock that has not moved yet.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "a base for virtual time; only differences to it count")]
    pub fn new() -> Self {
        let start = Instant::now();
        Self { start, now: start }
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// How far the clock has moved.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.now.duration_since(self.start)
    }

    /// Moves the clock by `duration`.
    pub fn advance(&mut self, duration: Duration) {
        self.now += duration;
    }

    /// Moves the clock to `instant`; never backwards.
    pub fn advance_to(&mut self, instant: Instant) {
        self.now = self.now.max(instant);
    }
}

/// The earliest of several deadlines, each of which may be missing.
#[must_use]
pub fn earliest(deadlines: impl IntoIterator<Item = Option<Instant>>) -> Option<Instant> {
    deadlines.into_iter().flatten().min()
}
