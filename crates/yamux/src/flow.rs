//! How much a peer may send on a stream: the window, and how it tunes itself.
//!
//! ```text
//!  ├──────── buffered ────────┼──────────── outstanding ─────────────┼────── need ──────┤
//!  received, not yet read      credit given, not yet received          to be given
//!  ├─────────────────────────────────── target ───────────────────────────────────────┤
//! ```
//!
//! * **Credit follows the reader.** What is read is given back as credit once a quarter of the target (at most
//!   1 MiB) has come together. Half a target would hold a stream at half its window per round trip.
//! * **Credit counts when it leaves.** Until then it is set aside and not the peer's to use: a peer that does not
//!   read cannot be owed more than a window.
//! * **Growth is judged per epoch**, half a target read. Over a path with the round-trip time `RTT` a stream
//!   that its window holds back reads half a window every `RTT / 2`; a window of four times what the path
//!   holds is read by halves in `2 RTT`. So an epoch shorter than `2 RTT` doubles the target. While at least half
//!   of the budget is free, one shorter than `5/4 RTT` quadruples it, and one shorter than `RTT / 4` multiplies it
//!   by 16: the burst shows a path that holds more than two windows, and 16 are at most eight times what it
//!   holds. That brings a cold stream to 16 MiB in two round trips.
//! * **The round-trip time is the smallest of a minute** (`rtt.rs`), so that pings that wait behind our own bulk do not
//!   blow windows up; and a slow reader never grows, since only reading counts.
//! * **Growth is taken from the connection's budget before it is announced**, and returned when the stream
//!   ends or shrinks. What a peer was given cannot be taken back, so a target that had no fast epoch for ten
//!   seconds is halved by giving less; its budget comes back as the peer uses the credit up.

use std::time::{Duration, Instant};

use crate::limits::INITIAL_WINDOW;

/// Credit is given once this much has come together, however large the window; in bytes.
const MAX_CREDIT_STEP: u32 = 1024 * 1024;

/// Without a fast epoch for so long, a target is halved.
const SHRINK_AFTER: Duration = Duration::from_secs(10);

/// Round trips shorter than this count as this long: below it, the two ends' own scheduling decides how long a
/// window takes, and a window for the wire alone would run dry.
const MIN_ROUND_TRIP: Duration = Duration::from_micros(500);

/// What all windows of a connection may hold beyond what the specification gives each, in bytes.
#[derive(Debug)]
pub(crate) struct Budget {
    free: u64,
    total: u64,
}

impl Budget {
    pub(crate) fn new(total: u64) -> Self {
        Self { free: total, total }
    }

    fn take(&mut self, bytes: u32) -> bool {
        let left = self.free.checked_sub(u64::from(bytes));
        self.free = left.unwrap_or(self.free);
        left.is_some()
    }

    fn give_back(&mut self, bytes: u32) {
        self.free += u64::from(bytes);
        debug_assert!(self.free <= self.total, "more came back than was taken");
    }

    fn is_half_free(&self) -> bool {
        self.free >= self.total / 2
    }

    /// Bytes that windows hold of it now.
    pub(crate) fn taken(&self) -> u64 {
        self.total - self.free
    }
}

/// What a window needs to know about its connection.
#[derive(Debug)]
pub(crate) struct Path<'a> {
    pub(crate) budget: &'a mut Budget,
    pub(crate) min_rtt: Option<Duration>,
    pub(crate) ceiling: u32,
}

/// The receive window of one stream.
#[derive(Debug)]
pub(crate) struct ReceiveWindow {
    target: u32,
    /// Credit that is the peer's and was not used; what was not announced yet is part of it.
    outstanding: u32,
    /// Credit that the next window update announces.
    unannounced: u32,
    /// Bytes that arrived, or were announced by a header, and were not read.
    buffered: u32,
    /// What is set aside for the stream: never less than the target or than what the peer holds.
    reserved: u32,
    /// Bytes read in this epoch.
    epoch_bytes: u32,
    epoch_start: Instant,
    /// The end of the last fast epoch.
    last_fast: Instant,
}

impl ReceiveWindow {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            target: INITIAL_WINDOW,
            outstanding: INITIAL_WINDOW,
            unannounced: 0,
            buffered: 0,
            reserved: INITIAL_WINDOW,
            epoch_bytes: 0,
            epoch_start: now,
            last_fast: now,
        }
    }

    /// A frame with `length` bytes was announced.
    ///
    /// # Errors
    ///
    /// With the credit there is, when that is less.
    pub(crate) fn receive(&mut self, length: u32) -> Result<(), u32> {
        // spec: yamux/window-exceeded, yamux/window-exceeded-syn, yamux/oversize-claim
        let announced = self.outstanding - self.unannounced;
        if length > announced {
            return Err(announced);
        }
        self.outstanding -= length;
        self.buffered += length;
        Ok(())
    }

    /// The owner read `length` bytes. The credit that comes of it is set aside in the same step: nothing can come
    /// between and lose it.
    pub(crate) fn consume(&mut self, now: Instant, length: u32, path: &mut Path<'_>) {
        debug_assert!(length <= self.buffered, "read what never arrived");
        self.buffered = self.buffered.saturating_sub(length);
        self.epoch_bytes = self.epoch_bytes.saturating_add(length);
        self.shrink_if_slow(now);
        if self.epoch_bytes >= self.target / 2 {
            self.end_epoch(now, path);
        }
        self.settle(path.budget);
        let need = self.target.saturating_sub(self.outstanding + self.buffered);
        if need < (self.target / 4).min(MAX_CREDIT_STEP) {
            return;
        }
        self.outstanding += need;
        self.unannounced += need;
        debug_assert!(self.outstanding + self.buffered <= self.reserved, "announced before it was reserved");
    }

    /// Credit that waits to be announced, in bytes.
    pub(crate) fn credit(&self) -> u32 {
        self.unannounced
    }

    /// Takes the credit for the update that announces it.
    pub(crate) fn take_credit(&mut self) -> u32 {
        std::mem::take(&mut self.unannounced)
    }

    /// Nobody will read any more: what was not announced is not given.
    pub(crate) fn withdraw(&mut self, budget: &mut Budget) {
        self.outstanding -= self.take_credit();
        self.settle(budget);
    }

    /// The peer will send no more: only what is buffered stays reserved.
    pub(crate) fn close(&mut self, budget: &mut Budget) {
        self.target = INITIAL_WINDOW;
        self.outstanding = 0;
        self.unannounced = 0;
        self.settle(budget);
    }

    /// Nothing will be read any more.
    pub(crate) fn release(&mut self, budget: &mut Budget) {
        self.buffered = 0;
        self.close(budget);
    }

    /// `length` bytes will never be read. No credit comes of it.
    pub(crate) fn discard(&mut self, length: u32, budget: &mut Budget) {
        self.buffered = self.buffered.saturating_sub(length);
        self.settle(budget);
    }

    fn end_epoch(&mut self, now: Instant, path: &mut Path<'_>) {
        let took = now.saturating_duration_since(self.epoch_start);
        self.epoch_bytes = 0;
        self.epoch_start = now;
        let Some(round_trip) = path.min_rtt.map(|rtt| rtt.max(MIN_ROUND_TRIP)) else {
            return;
        };
        if took >= round_trip * 2 {
            return;
        }
        self.last_fast = now;
        let ample = path.budget.is_half_free();
        let steps =
            [(ample && took < round_trip / 4, 16), (ample && took < round_trip * 5 / 4, 4), (true, 2)];
        // The budget may have room for a smaller step only.
        let _grown = steps.into_iter().any(|(fits, factor)| fits && self.grow(factor, path));
    }

    /// Multiplies the target, when the budget has what that takes.
    fn grow(&mut self, factor: u32, path: &mut Path<'_>) -> bool {
        let want = self.target.saturating_mul(factor).min(path.ceiling);
        let more = want.saturating_sub(self.reserved);
        let granted = path.budget.take(more);
        if granted {
            self.reserved += more;
            self.target = self.target.max(want);
        }
        granted
    }

    /// Halves the target for every ten seconds without a fast epoch.
    fn shrink_if_slow(&mut self, now: Instant) {
        while self.target > INITIAL_WINDOW && now.saturating_duration_since(self.last_fast) >= SHRINK_AFTER {
            self.target = (self.target / 2).max(INITIAL_WINDOW);
            self.last_fast += SHRINK_AFTER;
        }
    }

    /// Returns what neither the target nor the peer needs any more.
    fn settle(&mut self, budget: &mut Budget) {
        let needed = self.target.max(self.outstanding + self.buffered);
        budget.give_back(self.reserved - needed);
        self.reserved = needed;
    }

    /// What the peer may still make us hold: bytes under way or not read.
    pub(crate) fn committed(&self) -> u32 {
        self.outstanding + self.buffered
    }

    /// The window that the stream works towards, in bytes.
    pub(crate) fn target(&self) -> u32 {
        self.target
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::base;

    const KIB: u32 = 1024;
    const MIB: u32 = 1024 * 1024;
    const RTT: Duration = Duration::from_millis(100);

    struct Stream {
        now: Instant,
        window: ReceiveWindow,
        budget: Budget,
        min_rtt: Option<Duration>,
    }

    impl Stream {
        fn new() -> Self {
            let now = base();
            let budget = Budget::new(u64::from(32 * MIB));
            Self { now, window: ReceiveWindow::new(now), budget, min_rtt: Some(RTT) }
        }

        fn read(&mut self, length: u32) -> Option<u32> {
            self.window.receive(length).expect("within credit");
            let path = &mut Path { budget: &mut self.budget, min_rtt: self.min_rtt, ceiling: 16 * MIB };
            self.window.consume(self.now, length, path);
            Some(self.window.take_credit()).filter(|credit| *credit > 0)
        }

        /// Reads at a steady rate, in steps of a millisecond.
        fn read_steadily(&mut self, bytes_per_ms: u32, time: Duration) {
            let end = self.now + time;
            while self.now < end {
                self.now += Duration::from_millis(1);
                let _ = self.read(bytes_per_ms.min(self.window.outstanding));
            }
        }

        fn idle(&mut self, time: Duration) {
            self.now += time;
        }
    }

    #[test]
    fn credit_comes_back_by_quarters_of_the_target() {
        let mut stream = Stream { min_rtt: None, ..Stream::new() };
        assert_eq!(stream.read(64 * KIB - 1), None);
        assert_eq!(stream.read(1), Some(64 * KIB));
    }

    #[test]
    fn credit_steps_are_at_most_one_mebibyte() {
        let mut stream = Stream::new();
        stream.read_steadily(MIB, RTT * 5);
        assert_eq!(stream.window.target(), 16 * MIB);
        while stream.read(KIB).is_none() {}
        assert_eq!(stream.read(MIB - 1), None);
        assert!(stream.read(1).is_some());
    }

    #[test]
    fn without_a_round_trip_time_nothing_grows() {
        let mut stream = Stream { min_rtt: None, ..Stream::new() };
        stream.read_steadily(256 * KIB, Duration::from_secs(5));
        assert_eq!(stream.window.target(), 256 * KIB);
    }

    #[test]
    fn two_bursts_or_three_fast_epochs_reach_sixteen_mebibytes() {
        for (pause, expected) in [(Duration::ZERO, [4, 16, 16]), (RTT / 2, [1, 4, 16])] {
            let mut stream = Stream::new();
            let targets = [(); 3].map(|()| {
                stream.idle(pause);
                let _ = stream.read(stream.window.target() / 2);
                stream.window.target() / MIB
            });
            assert_eq!(targets, expected);
        }
        let mut stream = Stream::new();
        while stream.window.target() < 16 * MIB {
            let _ = stream.read(stream.window.target() / 2);
        }
        assert_eq!(stream.budget.taken(), u64::from(16 * MIB - 256 * KIB));
    }

    #[test]
    fn a_steady_reader_grows_to_a_small_multiple_of_what_the_path_holds() {
        for bytes_per_ms in [3 * KIB, 5 * KIB, 8 * KIB, 13 * KIB] {
            let mut stream = Stream::new();
            stream.read_steadily(bytes_per_ms, Duration::from_secs(60));
            let path_holds = bytes_per_ms * 100;
            let multiple = f64::from(stream.window.target()) / f64::from(path_holds);
            assert!((2.0..10.0).contains(&multiple), "{bytes_per_ms} B/ms: {multiple}");
        }
    }

    #[test]
    fn an_idle_stream_shrinks_and_its_budget_comes_back() {
        let mut stream = Stream::new();
        stream.read_steadily(MIB, RTT * 5);
        assert_eq!(stream.window.target(), 16 * MIB);
        stream.idle(Duration::from_secs(25));
        let _ = stream.read(1);
        assert_eq!(stream.window.target(), 4 * MIB);
        stream.idle(Duration::from_secs(60));
        assert_eq!(stream.read(1), None, "the peer holds more than the target: nothing is given");
        assert_eq!(stream.window.target(), 256 * KIB);
        let held = stream.window.outstanding;
        assert_eq!(stream.budget.taken(), u64::from(held - 256 * KIB), "what the peer holds stays reserved");
        stream.min_rtt = None;
        while stream.read(64 * KIB).is_none() {}
        assert_eq!(stream.budget.taken(), 0);
    }

    #[test]
    fn an_exhausted_budget_stops_growth_and_nothing_else() {
        let mut stream = Stream::new();
        stream.budget = Budget::new(u64::from(MIB));
        stream.read_steadily(256 * KIB, Duration::from_secs(2));
        assert_eq!(stream.window.target(), MIB);
        let mut stream = Stream { budget: Budget::new(0), ..Stream::new() };
        stream.read_steadily(256 * KIB, Duration::from_secs(2));
        assert_eq!(stream.window.target(), 256 * KIB);
    }

    #[test]
    fn a_budget_too_small_for_the_steep_step_still_allows_the_next() {
        let mut stream = Stream { budget: Budget::new(u64::from(600 * KIB)), ..Stream::new() };
        let _ = stream.read(128 * KIB);
        assert_eq!(stream.window.target(), 512 * KIB, "neither 4 MiB nor one have room");
        assert_eq!(stream.budget.taken(), u64::from(256 * KIB));
    }

    #[test]
    fn credit_that_was_not_announced_is_not_the_peers() {
        let mut stream = Stream { min_rtt: None, ..Stream::new() };
        stream.window.receive(256 * KIB).expect("within credit");
        let path = &mut Path { budget: &mut stream.budget, min_rtt: None, ceiling: MIB };
        stream.window.consume(stream.now, 256 * KIB, path);
        assert_eq!((stream.window.receive(1), stream.window.credit()), (Err(0), 256 * KIB));
        assert_eq!(stream.window.take_credit(), 256 * KIB);
        assert_eq!((stream.window.receive(256 * KIB), stream.window.credit()), (Ok(()), 0));
    }

    #[test]
    fn withdrawn_credit_returns_what_was_reserved_for_it() {
        let mut stream = Stream::new();
        stream.read_steadily(MIB, RTT * 5);
        let held = stream.window.outstanding;
        stream.window.receive(held).expect("within credit");
        let path = &mut Path { budget: &mut stream.budget, min_rtt: None, ceiling: 16 * MIB };
        stream.window.consume(stream.now, held, path);
        stream.window.withdraw(&mut stream.budget);
        assert_eq!((stream.window.committed(), stream.window.receive(1)), (0, Err(0)));
        stream.window.release(&mut stream.budget);
        assert_eq!(stream.budget.taken(), 0);
    }

    #[test]
    fn a_closed_window_keeps_only_what_is_buffered() {
        let mut stream = Stream::new();
        stream.read_steadily(MIB, RTT * 5);
        stream.window.receive(2 * MIB).expect("within credit");
        stream.window.close(&mut stream.budget);
        assert_eq!(stream.budget.taken(), u64::from(2 * MIB - 256 * KIB));
        stream.window.discard(2 * MIB, &mut stream.budget);
        assert_eq!(stream.budget.taken(), 0);
        assert_eq!(stream.window.receive(1), Err(0));
    }

    #[test]
    fn more_than_the_credit_is_an_error_and_changes_nothing() {
        let mut window = Stream::new().window;
        assert_eq!(window.receive(256 * KIB + 1), Err(256 * KIB));
        assert_eq!(window.receive(256 * KIB), Ok(()));
        assert_eq!(window.receive(1), Err(0));
    }
}
