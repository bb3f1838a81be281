//! Windows over paths with delay and bandwidth, in virtual time.

#[path = "common/path.rs"]
mod path;

use std::time::Duration;

use bowline_sim::Outcome;
use bowline_yamux::Config;
use path::{KIB, MIB, Path, Reader};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn sixteen_mebibytes_arrive_within_three_round_trips_over_a_cold_path_of_100_ms() {
    let mut path = Path::new(100 * MS, None, Config::default());
    path.send(16 * MIB);
    assert_eq!(path.run_until_received(16 * MIB, 10 * SECOND), Outcome::Done);
    let took = path.pair.clock.elapsed();
    // Half a round trip to arrive, one for each of two grants, and some scheduling of credit between.
    assert!(took <= 300 * MS, "{took:?}");
}

#[test]
fn a_warm_window_fills_the_path() {
    let mut path = Path::new(100 * MS, Some(100 * MIB as u64), Config::default());
    path.send(300 * MIB);
    assert_eq!(path.run_until_received(100 * MIB, 10 * SECOND), Outcome::Done);
    let start = path.pair.clock.elapsed();
    assert_eq!(path.run_until_received(200 * MIB, 10 * SECOND), Outcome::Done);
    let took = path.pair.clock.elapsed() - start;
    assert!(took < 1_050 * MS, "100 MiB at 100 MiB/s took {took:?}");
}

#[test]
fn without_tuning_a_stream_is_held_to_a_window_per_round_trip() {
    let mut config = Config::default();
    config.growth_budget_bytes = 0;
    let mut path = Path::new(100 * MS, None, config);
    path.send(2 * MIB);
    assert_eq!(path.run_until_received(2 * MIB, 10 * SECOND), Outcome::Done);
    let took = path.pair.clock.elapsed();
    assert!((700 * MS..1_200 * MS).contains(&took), "{took:?}");
}

#[test]
fn growth_stops_at_a_small_multiple_of_what_a_slow_reader_takes() {
    // 4 MiB/s over 100 ms: the path holds 400 KiB of what the reader takes.
    let mut path = Path::new(100 * MS, None, Config::default());
    path.pair.right.reader = Reader::Paced { bytes_per_ms: 4 * KIB + KIB / 10 };
    path.send(200 * MIB);
    path.run_for(30 * SECOND);
    let window = path.window();
    assert!((1 << 20..=4 << 20).contains(&window), "{window} is 2.5 to 10 times 400 KiB");
    let stats = path.pair.right.session.stats();
    assert!(stats.unread_bytes <= window as usize, "nothing beyond the window waits");
}

#[test]
fn a_reader_that_stops_gets_no_more_than_its_window() {
    let mut path = Path::new(100 * MS, None, Config::default());
    path.pair.right.reader = Reader::Stopped;
    path.send(64 * MIB);
    path.run_for(20 * SECOND);
    assert_eq!(path.pair.right.session.stats().unread_bytes, 256 * KIB);
    path.pair.right.reader = Reader::Greedy;
    assert_eq!(path.run_until_received(64 * MIB, 10 * SECOND), Outcome::Done, "and it goes on");
}

#[test]
fn a_queue_of_our_own_making_does_not_push_the_window_to_its_limit() {
    // 2 MiB/s over 40 ms holds 80 KiB. The link queues without limit, so whatever the window allows beyond that
    // delays every ping; four minutes of it outlast any sample taken before.
    let mut path = Path::new(40 * MS, Some(2 * MIB as u64), Config::default());
    path.run_for(SECOND);
    path.send(1_000 * MIB);
    path.run_for(240 * SECOND);
    let stats = path.pair.right.session.stats();
    assert!(stats.latest_rtt > Some(100 * MS), "the load shows in {:?}", stats.latest_rtt);
    assert!(stats.rtt < Some(41 * MS), "and does not count: {:?}", stats.rtt);
    assert!(path.window() <= 1 << 20, "{}", path.window());
}

#[test]
fn a_slow_link_ends_at_a_small_multiple_of_what_it_holds() {
    // 10 Mbit/s over 100 ms holds 125 kB. Cold, with a kernel that takes 128 KiB ahead of the wire.
    let mut path = Path::new(100 * MS, Some(1_250_000), Config::default());
    path.pair.left.wire = Some(1_250_000);
    path.send(1_000 * MIB);
    for _ in 0..12 {
        path.run_for(10 * SECOND);
        assert!(path.window() <= 9 * 125_000, "{}", path.window());
    }
    let stats = path.pair.right.session.stats();
    assert!(stats.bytes_in > 120 * 1_200_000, "and it fills the link: {}", stats.bytes_in);
}

#[test]
fn a_burst_that_the_path_cannot_keep_up_costs_window_for_half_a_minute() {
    // A shaper that lets the first 128 KiB through at once, and then 10 Mbit/s.
    let mut path = Path::new(100 * MS, None, Config::default());
    path.pair.left.wire = Some(1_250_000);
    path.send(1_000 * MIB);
    path.run_for(SECOND);
    assert_eq!(path.window(), 4 << 20, "the burst looked like a fast path");
    path.run_for(30 * SECOND);
    assert!(path.window() <= 9 * 125_000, "{}", path.window());
}

#[test]
fn a_slow_link_that_queues_without_limit_does_not_reach_the_largest_window() {
    for idle in [SECOND, Duration::ZERO] {
        // Cold, all pongs stand behind bulk; the handshake has told the length of the path.
        let mut path = Path::new(100 * MS, Some(1_250_000), Config::default());
        path.run_for(idle);
        path.send(1_000 * MIB);
        for _ in 0..12 {
            path.run_for(10 * SECOND);
            assert!(path.window() <= 9 * 125_000, "{idle:?}: {}", path.window());
        }
    }
}

/// Eight bulk writers on a wire of 10 MiB/s and 100 ms that are busy for the whole test.
fn busy_path() -> Path {
    let mut config = Config::default();
    config.ping_interval = SECOND;
    let mut path = Path::new(100 * MS, None, config);
    path.pair.left.wire = Some(10 * MIB as u64);
    for _ in 0..8 {
        path.send(64 * MIB);
    }
    path.run_for(3 * SECOND);
    assert!(path.pair.left.session.stats().queued_bytes >= 128 * KIB, "the wire is what holds them back");
    path
}

#[test]
fn a_small_request_beside_eight_bulk_streams_is_answered_within_two_round_trips() {
    let mut path = busy_path();
    let request = path.send(KIB);
    let start = path.pair.clock.now();
    let arrived = |pair: &mut path::Peers| pair.right.received_on.get(&request) == Some(&KIB);
    assert_eq!(path.pair.run_until(SECOND, arrived), Outcome::Done);
    let there = path.pair.clock.now() - start;
    let back = 50 * MS;
    assert!(there + back <= 210 * MS, "{there:?} there");
}

#[test]
fn pings_pass_by_bulk_that_waits() {
    let mut path = busy_path();
    path.run_for(5 * SECOND);
    for peer in [&path.pair.left, &path.pair.right] {
        let latest = peer.session.stats().latest_rtt.expect("pings every second");
        assert!(latest <= 200 * MS, "{latest:?}");
    }
}

#[test]
fn bulk_writers_share_the_wire_evenly() {
    let path = busy_path();
    let shares = &path.pair.right.received_on;
    let (least, most) = (shares.values().min().expect("some"), shares.values().max().expect("some"));
    assert!(shares.len() == 8 && most - least <= most / 4, "{shares:?}");
}

#[test]
fn a_window_shrinks_when_the_stream_turns_quiet_and_its_budget_returns() {
    let mut path = Path::new(100 * MS, None, Config::default());
    path.send(32 * MIB);
    assert_eq!(path.run_until_received(32 * MIB, 10 * SECOND), Outcome::Done);
    assert_eq!(path.window(), 16 << 20);
    // A trickle, too slow to use the window.
    path.pair.right.reader = Reader::Paced { bytes_per_ms: KIB };
    path.send(100 * MIB);
    path.run_for(60 * SECOND);
    assert_eq!(path.window(), 256 << 10);
    assert!(path.pair.right.session.stats().grown_bytes < 16 << 20);
}

#[test]
fn the_budget_returns_when_streams_end() {
    let mut path = Path::new(100 * MS, None, Config::default());
    path.send(32 * MIB);
    assert_eq!(path.run_until_received(32 * MIB, 10 * SECOND), Outcome::Done);
    assert!(path.pair.right.session.stats().grown_bytes > 0);
    path.pair.left.finish();
    path.run_for(SECOND);
    assert_eq!(path.pair.right.session.stats().grown_bytes, 0);
}

#[test]
fn all_streams_together_stay_within_the_budget() {
    let mut config = Config::default();
    config.growth_budget_bytes = 4 << 20;
    let mut path = Path::new(100 * MS, None, config);
    for _ in 0..8 {
        path.send(8 * MIB);
    }
    while path.pair.clock.elapsed() < 3 * SECOND && path.pair.step() {
        assert!(path.pair.right.session.stats().grown_bytes <= 4 << 20);
    }
    assert_eq!(path.run_until_received(64 * MIB, 30 * SECOND), Outcome::Done);
}

#[test]
fn many_short_streams_share_the_budget_and_give_it_back() {
    let mut path = Path::new(100 * MS, None, Config::default());
    for _ in 0..200 {
        // Each is a burst that makes its window grow, as long as there is budget.
        path.send(200 * KIB);
    }
    while path.pair.right.received < 200 * 200 * KIB && path.pair.step() {
        assert!(path.pair.right.session.stats().grown_bytes <= 32 << 20);
    }
    assert!(path.pair.right.session.stats().grown_bytes > 0, "bursts do grow");
    assert!(path.pair.right.received_on.values().all(|bytes| *bytes == 200 * KIB), "and none starves");
    path.pair.left.finish();
    path.run_for(SECOND);
    assert_eq!(path.pair.right.session.stats().grown_bytes, 0);
}
