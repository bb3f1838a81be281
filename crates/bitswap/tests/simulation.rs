//! Servers and a fetcher joined by links with delay and bandwidth, on virtual time.
#![allow(clippy::too_many_lines, reason = "transcripts")]

mod common;

use std::time::Duration;

use bowline_block::VerifiedBlock;
use common::{
    world::{Kind, Model, World},
    *,
};

/// 100 Mbit/s.
const FAST: u64 = 12_500_000;

fn blocks(count: u32, len: usize) -> Vec<VerifiedBlock> {
    (0..count).map(|number| sized(number, len)).collect()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn one_seed_fills_the_link_at_100_ms() {
    let blocks = blocks(256, 256 * KIB);
    let mut world = World::new();
    world.honest(peer(1), &blocks, 50, FAST);
    world.want_all(&blocks);
    world.run(blocks.len(), seconds(60));
    assert_eq!(world.got.len(), 256);
    let ideal = 64.0 * MIB as f64 / FAST as f64;
    let share = ideal / world.elapsed().as_secs_f64();
    assert!(share >= 0.8, "{share:.2} of the link");
    assert_eq!(world.fetcher.stats().duplicate_blocks, 0);
}

#[test]
fn twenty_thousand_small_blocks_cost_little_control() {
    let blocks = blocks(20_000, KIB);
    let mut world = World::new();
    world.honest(peer(1), &blocks, 1, FAST);
    for block in &blocks {
        world.fetcher.want(world.now, world.fetch, *block.cid());
    }
    world.run(blocks.len(), seconds(60));
    assert_eq!(world.got.len(), 20_000);
    assert!(world.nodes[&peer(1)].control_bytes <= 120 * 20_000);
    assert!(world.elapsed() < seconds(10), "{:?}", world.elapsed());
}

#[test]
fn four_unequal_seeds_add_up_with_few_duplicates() {
    let blocks = blocks(1024, 256 * KIB);
    let mut world = World::new();
    let rates = [12_500_000, 6_250_000, 3_125_000, 1_250_000];
    for (number, rate) in (1..).zip(rates) {
        world.honest(peer(number), &blocks, 10, rate);
    }
    world.want_all(&blocks);
    world.run(blocks.len(), seconds(120));
    assert_eq!(world.got.len(), 1024);
    let stats = world.fetcher.stats();
    let ideal = 256.0 * MIB as f64 / rates.iter().sum::<u64>() as f64;
    let share = ideal / world.elapsed().as_secs_f64();
    assert!(share >= 0.9, "{share:.2} of the links, {stats:?}");
    assert!(stats.duplicate_bytes * 20 <= stats.bytes, "{stats:?}");
}

#[test]
fn four_equal_seeds_are_faster_than_one() {
    let blocks = blocks(512, 256 * KIB);
    let time = |seeds| {
        let mut world = World::new();
        for number in 1..=seeds {
            world.honest(peer(number), &blocks, 10, FAST);
        }
        world.want_all(&blocks);
        world.run(blocks.len(), seconds(60));
        assert_eq!(world.got.len(), 512);
        assert_eq!(world.fetcher.stats().duplicate_blocks, 0);
        world.elapsed()
    };
    assert!(time(4) * 3 < time(1));
}

#[test]
fn every_block_on_one_of_eight_peers_is_found() {
    let blocks = blocks(200, 64 * KIB);
    let mut world = World::new();
    for number in 0..8 {
        let own: Vec<_> = blocks.iter().skip(usize::from(number)).step_by(8).cloned().collect();
        world.honest(peer(number + 1), &own, 10, FAST);
    }
    world.want_all(&blocks);
    world.run(blocks.len(), seconds(60));
    assert_eq!(world.got.len(), 200);
    assert!(world.elapsed() < seconds(3), "{:?}", world.elapsed());
    let stats = world.fetcher.stats();
    assert_eq!((stats.duplicate_blocks, stats.timeouts), (0, 0));
}

#[test]
fn a_liar_a_silent_peer_and_a_lost_one_cost_time_but_no_block() {
    let blocks = blocks(400, 256 * KIB);
    let mut world = World::new();
    world.honest(peer(1), &blocks, 20, FAST);
    world.connect(peer(2), Kind::Liar, 20, FAST);
    world.connect(peer(3), Kind::Silent, 20, FAST);
    world.honest(peer(4), &blocks, 20, FAST);
    world.nodes.get_mut(&peer(4)).unwrap().breaks_at = Some(world.now + seconds(2));
    world.want_all(&blocks);
    world.run(blocks.len(), seconds(60));
    let stats = world.fetcher.stats();
    assert_eq!(world.got.len(), 400, "{stats:?}");
    assert_eq!(stats.blocks, 400);
    assert!(world.elapsed() < seconds(12), "{:?} {stats:?}", world.elapsed());
    assert!(world.longest_pause < seconds(3), "{:?}", world.longest_pause);
    assert!(stats.duplicate_bytes * 20 <= stats.bytes, "{stats:?}");
    assert_eq!(world.fetcher.peer(&peer(2)).unwrap().blocks, 0);
}

#[test]
fn only_liars_and_silent_peers_end_in_missing() {
    let blocks = blocks(50, KIB);
    let mut world = World::new();
    world.connect(peer(1), Kind::Liar, 20, FAST);
    world.connect(peer(2), Kind::Silent, 20, FAST);
    world.want_all(&blocks);
    world.run(blocks.len(), seconds(120));
    assert_eq!(world.missing.len(), 50);
    for number in 1..=2 {
        assert_eq!(world.fetcher.peer(&peer(number)).unwrap().open_wants, 0);
    }
    assert_eq!(world.fetcher.poll_timeout(), None);
}

#[test]
fn a_seed_dies_half_way_and_a_second_takes_over() {
    let blocks = blocks(200, 256 * KIB);
    let mut world = World::new();
    world.honest(peer(1), &blocks, 20, FAST);
    world.nodes.get_mut(&peer(1)).unwrap().breaks_at = Some(world.now + seconds(2));
    world.want_all(&blocks);
    world.run(blocks.len(), seconds(10));
    assert!(world.stalled > 0 && world.got.len() < 200);
    world.honest(peer(2), &blocks, 20, FAST);
    world.start = world.now;
    world.run(blocks.len(), seconds(30));
    assert_eq!(world.got.len(), 200);
    let stats = world.fetcher.stats();
    assert!(stats.duplicate_bytes * 100 <= stats.bytes, "{stats:?}");
}

#[test]
fn a_server_that_frees_no_place_stalls_nobody_for_three_seconds() {
    let blocks = blocks(4096, 8 * KIB);
    let mut world = World::new();
    world.connect(peer(1), Kind::Forgetful(Model::new(false, &blocks)), 1, FAST);
    world.want_all(&blocks);
    world.run(blocks.len(), seconds(120));
    let stats = world.fetcher.stats();
    assert_eq!(world.got.len(), 4096, "{stats:?}");
    assert!(world.longest_pause < seconds(3), "{:?}", world.longest_pause);
    assert!(world.elapsed() < seconds(8), "{:?} {stats:?}", world.elapsed());
    assert!(stats.duplicate_bytes * 20 <= stats.bytes, "{stats:?}");
}

#[test]
fn a_server_with_1024_places_is_never_overrun() {
    let blocks = blocks(4096, 8 * KIB);
    let mut world = World::new();
    world.connect(peer(1), Kind::Forgetful(Model::new(true, &blocks)), 1, FAST);
    world.want_all(&blocks);
    world.run(blocks.len(), seconds(60));
    assert_eq!(world.got.len(), 4096);
    let stats = world.fetcher.stats();
    assert_eq!((stats.timeouts, stats.duplicate_blocks), (0, 0));
    assert!(world.elapsed() < seconds(4), "{:?}", world.elapsed());
}

#[test]
fn a_slow_single_seed_is_waited_for() {
    let blocks = blocks(16, 256 * KIB);
    let mut world = World::new();
    world.honest(peer(1), &blocks, 100, 100_000);
    world.want_all(&blocks);
    world.run(blocks.len(), seconds(120));
    let stats = world.fetcher.stats();
    assert_eq!(world.got.len(), 16, "{stats:?}");
    assert_eq!(stats.duplicate_blocks, 0, "{stats:?}");
}

#[test]
fn equal_inputs_give_equal_outputs() {
    let run = || {
        let blocks = blocks(100, 64 * KIB);
        let mut world = World::new();
        world.honest(peer(1), &blocks, 10, FAST);
        world.honest(peer(2), &blocks[..50], 30, FAST / 4);
        world.connect(peer(3), Kind::Silent, 5, FAST);
        world.want_all(&blocks);
        world.run(blocks.len(), seconds(60));
        (world.elapsed(), world.fetcher.stats())
    };
    assert_eq!(run(), run());
}
