//! Links and pairs.
#![allow(clippy::too_many_lines, reason = "transcripts")]

use std::time::{Duration, Instant};

use bowline_sim::{
    Arrival, Clock, Fault, FaultKind, Link, LinkConfig, Node, Outcome, Pair, Rng, Split, earliest,
};
use bytes::Bytes;
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);

/// Everything that arrives until nothing is under way, with the times.
fn drain(link: &mut Link, clock: &mut Clock) -> Vec<(Duration, Arrival)> {
    let mut arrivals = Vec::new();
    while let Some(due) = link.poll_timeout() {
        clock.advance_to(due);
        while let Some(arrival) = link.poll_arrival(clock.now()) {
            arrivals.push((clock.elapsed(), arrival));
        }
    }
    arrivals
}

fn sent(config: LinkConfig, bytes: &'static [u8]) -> Vec<Arrival> {
    let mut clock = Clock::new();
    let mut link = Link::new(config, 1);
    link.send(clock.now(), Bytes::from_static(bytes));
    link.finish(clock.now());
    drain(&mut link, &mut clock).into_iter().map(|(_, arrival)| arrival).collect()
}

fn data(bytes: &'static [u8]) -> Arrival {
    Arrival::Data(Bytes::from_static(bytes))
}

#[test]
fn bytes_arrive_after_the_latency_and_at_the_bandwidth() {
    let mut clock = Clock::new();
    let config = LinkConfig { latency: 100 * MS, bandwidth: Some(1000), ..LinkConfig::default() };
    let mut link = Link::new(config, 1);
    link.send(clock.now(), Bytes::from_static(b"12345"));
    link.send(clock.now(), Bytes::from_static(b"67890"));
    link.finish(clock.now());
    assert_eq!(link.bytes_under_way(), 10);
    let arrivals = drain(&mut link, &mut clock);
    let expected = [(105 * MS, data(b"12345")), (110 * MS, data(b"67890")), (110 * MS, Arrival::End)];
    assert_eq!(arrivals, expected);
    assert_eq!(link.bytes_under_way(), 0);
}

#[test]
fn a_wire_that_was_idle_owes_nothing() {
    let mut clock = Clock::new();
    let mut link = Link::new(LinkConfig { bandwidth: Some(1000), ..LinkConfig::default() }, 1);
    link.send(clock.now(), Bytes::from_static(b"a"));
    clock.advance(Duration::from_secs(1));
    link.send(clock.now(), Bytes::from_static(b"b"));
    assert_eq!(drain(&mut link, &mut clock).last().unwrap().0, 1001 * MS);
}

#[test]
fn splits_are_as_asked() {
    let config = |split| LinkConfig { split, ..LinkConfig::default() };
    assert_eq!(sent(config(Split::Bytewise), b"abc"), [data(b"a"), data(b"b"), data(b"c"), Arrival::End]);
    assert_eq!(sent(config(Split::Whole), b"abc"), [data(b"abc"), Arrival::End]);
    let pieces = sent(config(Split::Random(4)), &[7; 1000]);
    assert!(pieces.len() > 250 && pieces.len() < 1000, "{} pieces", pieces.len());
}

#[test]
fn each_fault_happens_at_its_byte() {
    let config = |kind| LinkConfig { fault: Some(Fault { at: 2, kind }), ..LinkConfig::default() };
    assert_eq!(sent(config(FaultKind::Truncate), b"abcd"), [data(b"ab"), Arrival::End]);
    assert_eq!(sent(config(FaultKind::Reset), b"abcd"), [data(b"ab"), Arrival::Reset]);
    assert_eq!(sent(config(FaultKind::Stall), b"abcd"), [data(b"ab")]);
    assert_eq!(sent(config(FaultKind::Corrupt(1)), b"abcd"), [data(b"abbd"), Arrival::End]);
    assert_eq!(sent(config(FaultKind::Reset), b"ab"), [data(b"ab"), Arrival::End], "not reached");
}

#[test]
fn a_fault_counts_bytes_over_all_sends() {
    let clock = Clock::new();
    let fault = Some(Fault { at: 3, kind: FaultKind::Reset });
    let mut link = Link::new(LinkConfig { fault, ..LinkConfig::default() }, 1);
    for piece in [b"ab", b"cd", b"ef"] {
        link.send(clock.now(), Bytes::from_static(piece));
    }
    let arrivals: Vec<_> = std::iter::from_fn(|| link.poll_arrival(clock.now())).collect();
    assert_eq!(arrivals, [data(b"ab"), data(b"c"), Arrival::Reset]);
}

#[test]
fn a_lower_latency_does_not_reorder() {
    let mut clock = Clock::new();
    let mut link = Link::new(LinkConfig { latency: 100 * MS, ..LinkConfig::default() }, 1);
    link.send(clock.now(), Bytes::from_static(b"slow"));
    link.set_config(LinkConfig::default());
    link.send(clock.now(), Bytes::from_static(b"fast"));
    assert_eq!(drain(&mut link, &mut clock), [(100 * MS, data(b"slow")), (100 * MS, data(b"fast"))]);
}

#[test]
fn the_earliest_deadline_wins() {
    let t = Clock::new().now();
    assert_eq!(earliest([None, Some(t + MS), Some(t), None]), Some(t));
    assert_eq!(earliest([None, None]), None);
}

/// Sends `left` numbered bytes, one every 10 ms, and echoes what it gets.
#[derive(Debug)]
struct Ticker {
    next: Option<Instant>,
    left: u8,
    out: Vec<Bytes>,
    got: Vec<(Instant, Arrival)>,
    echo: bool,
}

impl Ticker {
    fn new(now: Instant, left: u8) -> Self {
        Self { next: (left > 0).then_some(now), left, out: Vec::new(), got: Vec::new(), echo: left == 0 }
    }
}

impl Node for Ticker {
    fn handle_arrival(&mut self, now: Instant, arrival: Arrival) {
        if let Arrival::Data(bytes) = &arrival
            && self.echo
        {
            self.out.push(bytes.clone());
        }
        self.got.push((now, arrival));
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.next.is_some_and(|next| next <= now) {
            self.out.push(Bytes::copy_from_slice(&[self.left]));
            self.left -= 1;
            self.next = (self.left > 0).then_some(now + 10 * MS);
        }
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<Bytes> {
        (!self.out.is_empty()).then(|| self.out.remove(0))
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }
}

#[test]
fn a_pair_runs_on_virtual_time_until_nothing_is_left() {
    let clock = Clock::new();
    let (left, right) = (Ticker::new(clock.now(), 3), Ticker::new(clock.now(), 0));
    let config = LinkConfig { latency: 25 * MS, ..LinkConfig::default() };
    let mut pair = Pair::new(clock, left, right, config, 1);
    assert_eq!(pair.run_until(Duration::from_secs(3600), |_| false), Outcome::Idle);
    // The last byte leaves at 20 ms and is back a round trip later.
    assert_eq!(pair.clock.elapsed(), 70 * MS);
    assert_eq!((pair.left.got.len(), pair.right.got.len()), (3, 3));
}

#[test]
fn a_run_stops_at_its_condition_or_its_limit() {
    let clock = Clock::new();
    let (left, right) = (Ticker::new(clock.now(), 200), Ticker::new(clock.now(), 0));
    let mut pair = Pair::new(clock, left, right, LinkConfig::default(), 1);
    assert_eq!(pair.run_until(MS, |pair| pair.left.got.len() == 1), Outcome::Done);
    assert_eq!(pair.run_until(50 * MS, |_| false), Outcome::TimedOut);
    assert!(pair.left.left > 0);
}

#[test]
#[should_panic(expected = "stays after handle_timeout")]
fn a_deadline_that_never_moves_is_a_failure_and_not_a_hang() {
    #[derive(Debug)]
    struct Stuck(Instant);
    impl Node for Stuck {
        fn handle_arrival(&mut self, _: Instant, _: Arrival) {}
        fn handle_timeout(&mut self, _: Instant) {}
        fn poll_transmit(&mut self, _: Instant) -> Option<Bytes> {
            None
        }
        fn poll_timeout(&self) -> Option<Instant> {
            Some(self.0)
        }
    }
    let clock = Clock::new();
    let mut pair = Pair::new(clock, Stuck(clock.now()), Stuck(clock.now()), LinkConfig::default(), 1);
    pair.run_until(Duration::from_secs(1), |_| false);
}

proptest! {
    #[test]
    fn without_a_fault_every_byte_arrives_in_order_and_equal_seeds_are_equal(
        seed in any::<u64>(),
        sizes in prop::collection::vec(0usize..2000, 0..20),
        max in 1usize..300,
        bandwidth in prop::option::of(1u64..10_000_000),
    ) {
        let run = || {
            let mut clock = Clock::new();
            let config = LinkConfig { latency: 5 * MS, bandwidth, split: Split::Random(max), fault: None };
            let mut link = Link::new(config, seed);
            let mut rng = Rng::new(seed);
            let mut all = Vec::new();
            for size in &sizes {
                let mut bytes = vec![0; *size];
                rng.fill(&mut bytes);
                all.extend_from_slice(&bytes);
                link.send(clock.now(), bytes.into());
                clock.advance(MS);
            }
            link.finish(clock.now());
            (all, drain(&mut link, &mut clock))
        };
        let (all, arrivals) = run();
        prop_assert_eq!(&arrivals, &run().1);
        prop_assert_eq!(&arrivals.last().unwrap().1, &Arrival::End);
        let mut received = Vec::new();
        for (_, arrival) in &arrivals {
            if let Arrival::Data(bytes) = arrival {
                prop_assert!(!bytes.is_empty() && bytes.len() <= max);
                received.extend_from_slice(bytes);
            }
        }
        prop_assert_eq!(received, all);
    }
}
