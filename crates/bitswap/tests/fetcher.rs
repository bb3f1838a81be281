//! The fetcher, as a transcript of what it says to peers and hears from them.
#![allow(clippy::too_many_lines, reason = "transcripts")]

mod common;

use std::{collections::BTreeSet, time::Instant};

use bowline_bitswap::{
    Entry, Event, FetchId, Fetcher, FetcherConfig, Message, MissingReason, Receipt, Refusal, Sources,
    Version, Want, WantType,
};
use bowline_block::{Cid, HashAlgorithm, VerifiedBlock, codec};
use bowline_identity::PeerId;
use common::*;

/// A fetcher at a time.
struct Us {
    now: Instant,
    fetcher: Fetcher,
    fetch: FetchId,
}

impl Us {
    fn new(peers: &[PeerId]) -> Self {
        Self::with(FetcherConfig::default(), Sources::Any, peers)
    }

    fn with(config: FetcherConfig, sources: Sources, peers: &[PeerId]) -> Self {
        let now = base();
        let mut fetcher = Fetcher::new(config);
        for peer in peers {
            fetcher.handle_connected(now, *peer, V12);
        }
        let fetch = fetcher.start(now, sources);
        Self { now, fetcher, fetch }
    }

    fn want(&mut self, block: &VerifiedBlock) {
        self.fetcher.want(self.now, self.fetch, *block.cid());
    }

    /// What is said to a peer now, as it reads it.
    fn says(&mut self, peer: PeerId) -> Message {
        let message = self.fetcher.poll_wants(self.now, peer).unwrap_or_default();
        over_the_wire(&message, V12)
    }

    fn says_nothing(&mut self, peer: PeerId) -> bool {
        self.fetcher.poll_wants(self.now, peer).is_none()
    }

    /// The CIDs of the want-blocks and want-haves, and of the cancels, that are sent to a peer now.
    fn lines(&mut self, peer: PeerId) -> (Vec<Cid>, Vec<Cid>, Vec<Cid>) {
        let mut lines = (Vec::new(), Vec::new(), Vec::new());
        for entry in self.says(peer).wantlist {
            match entry {
                Entry::Want(Want { cid, kind: WantType::Block, .. }) => lines.0.push(cid),
                Entry::Want(Want { cid, kind: WantType::Have, .. }) => lines.1.push(cid),
                Entry::Cancel(cid) => lines.2.push(cid),
            }
        }
        lines
    }

    fn asks_for(&mut self, peer: PeerId) -> Vec<Cid> {
        self.lines(peer).0
    }

    fn hears(&mut self, peer: PeerId, presence: bowline_bitswap::Presence) {
        self.fetcher.handle_message(self.now, peer, &presences([presence]));
    }

    fn gets(&mut self, peer: PeerId, block: &VerifiedBlock) -> Receipt {
        self.fetcher.handle_block(self.now, peer, block.clone())
    }

    fn advance(&mut self, millis: u64) {
        self.now += ms(millis);
        self.fetcher.handle_timeout(self.now);
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.fetcher.poll_event()).collect()
    }

    fn missing(&mut self) -> Option<(MissingReason, Vec<(PeerId, Refusal)>)> {
        let events = self.events();
        let [Event::Missing { reason, answers, .. }] = &events[..] else {
            return None;
        };
        Some((*reason, answers.clone()))
    }

    /// Nothing is open anywhere.
    fn is_quiet(&self, peers: &[PeerId]) -> bool {
        let at = |peer| self.fetcher.peer(peer).map_or((0, 0), |p| (p.open_wants, p.outstanding_bytes));
        self.fetcher.poll_timeout().is_none() && peers.iter().all(|peer| at(peer) == (0, 0))
    }
}

#[test]
fn with_one_peer_the_block_is_asked_for_at_once() {
    let (bob, block) = (peer(2), block(1));
    let mut us = Us::new(&[bob]);
    us.want(&block);
    assert_eq!(us.fetcher.ready_peers().collect::<Vec<_>>(), [bob]);
    let [Entry::Want(want)] = us.says(bob).wantlist[..] else { panic!() };
    assert_eq!((want.cid, want.kind, want.send_dont_have), (*block.cid(), WantType::Block, true));
    assert_eq!(us.gets(bob, &block), Receipt::Wanted);
    let expected = Event::Block { fetches: vec![us.fetch], block, peer: Some(bob) };
    assert_eq!(us.events(), [expected]);
    assert!(us.says_nothing(bob), "the deliverer needs no cancel");
    assert!(us.is_quiet(&[bob]));
}

#[test]
fn earlier_wants_have_higher_priorities() {
    let bob = peer(2);
    let mut us = Us::new(&[bob]);
    for number in 0..4 {
        us.want(&block(number));
    }
    let wantlist = us.says(bob).wantlist;
    let priorities = wantlist.iter().map(|entry| match entry {
        Entry::Want(want) => want.priority,
        Entry::Cancel(_) => panic!(),
    });
    let priorities: Vec<_> = priorities.collect();
    assert_eq!(priorities.len(), 4);
    assert!(priorities.is_sorted_by(|a, b| a > b), "{priorities:?}");
}

#[test]
fn cancels_go_out_with_the_next_wants_and_before_them() {
    let (bob, first, second) = (peer(2), block(1), block(2));
    let mut us = Us::new(&[bob]);
    us.want(&first);
    us.says(bob);
    us.fetcher.cancel(us.now, us.fetch, first.cid());
    us.want(&second);
    let wantlist = us.says(bob).wantlist;
    assert_eq!(wantlist[0], Entry::Cancel(*first.cid()));
    assert_eq!(wantlist[1].cid(), second.cid());
    assert_eq!(us.gets(bob, &first), Receipt::Duplicate, "it was on its way");
}

#[test]
fn a_want_that_was_never_sent_is_cancelled_in_silence() {
    let (bob, block) = (peer(2), block(1));
    let mut us = Us::new(&[bob]);
    us.want(&block);
    us.fetcher.cancel(us.now, us.fetch, block.cid());
    assert!(us.says_nothing(bob));
    assert!(us.is_quiet(&[bob]));
}

#[test]
fn identity_and_empty_blocks_never_reach_the_network() {
    let bob = peer(2);
    let mut us = Us::new(&[bob]);
    let cids = [
        "bafkqaaa",
        "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
        "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354",
        "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH",
    ];
    for text in cids {
        let cid = Cid::try_from(text).unwrap();
        us.fetcher.want(us.now, us.fetch, cid);
        let events = us.events();
        assert!(matches!(&events[..], [Event::Block { block, peer: None, .. }] if *block.cid() == cid));
    }
    assert!(us.says_nothing(bob));
}

#[test]
fn two_forms_of_a_block_are_one_want_and_both_are_delivered() {
    let bob = peer(2);
    let v0 = VerifiedBlock::v0(bytes::Bytes::from_static(b"node")).unwrap();
    let v1 = v0.clone().with_cid(Cid::new_v1(codec::DAG_PB, *v0.hash())).unwrap();
    let mut us = Us::new(&[bob]);
    let other = us.fetcher.start(us.now, Sources::Any);
    us.want(&v0);
    us.fetcher.want(us.now, other, *v1.cid());
    us.fetcher.want(us.now, other, *v0.cid());
    assert_eq!(us.asks_for(bob), [*v0.cid()]);
    us.gets(bob, &v1);
    let fetch = us.fetch;
    let of = |fetches, block: &VerifiedBlock| Event::Block { fetches, block: block.clone(), peer: Some(bob) };
    assert_eq!(us.events(), [of(vec![fetch, other], &v0), of(vec![other], &v1)]);
}

#[test]
fn after_dont_have_the_other_peer_is_asked() {
    let (bob, carol, block) = (peer(2), peer(3), block(1));
    let mut us = Us::new(&[bob, carol]);
    us.want(&block);
    let (first, second) = if us.says_nothing(bob) { (carol, bob) } else { (bob, carol) };
    us.says(first);
    us.hears(first, dont_have(block.cid()));
    assert_eq!(us.asks_for(second), [*block.cid()]);
    us.hears(second, dont_have(block.cid()));
    let (reason, answers) = us.missing().unwrap();
    assert_eq!(reason, MissingReason::DontHave);
    assert_eq!(answers.len(), 2);
    assert!(us.is_quiet(&[bob, carol]));
}

#[test]
fn after_dont_have_many_peers_are_asked_for_word_and_one_for_the_block() {
    let peers: Vec<_> = (2..8).map(peer).collect();
    let block = block(1);
    let mut us = Us::new(&peers);
    us.want(&block);
    let first = us.fetcher.ready_peers().next().unwrap();
    assert_eq!(us.fetcher.ready_peers().count(), 1, "one peer is asked for the block");
    us.says(first);
    us.hears(first, dont_have(block.cid()));
    let probed: Vec<_> = us.fetcher.ready_peers().collect();
    assert_eq!(probed.len(), 5);
    for peer in &probed {
        assert_eq!(us.lines(*peer).1, [*block.cid()], "want-have");
    }
    us.hears(probed[0], dont_have(block.cid()));
    us.hears(probed[2], have(block.cid()));
    us.hears(probed[3], have(block.cid()));
    assert_eq!(us.asks_for(probed[2]), [*block.cid()]);
    assert!(us.says_nothing(probed[3]), "one holder is enough");
    us.gets(probed[2], &block);
    assert_eq!(us.lines(probed[4]).2, [*block.cid()], "who has not answered gets a cancel");
    assert!(us.is_quiet(&peers));
}

#[test]
fn a_holder_that_lost_the_block_is_replaced_by_the_next() {
    let peers: Vec<_> = (2..5).map(peer).collect();
    let block = block(1);
    let mut us = Us::new(&peers);
    us.want(&block);
    let first = us.fetcher.ready_peers().next().unwrap();
    us.says(first);
    us.hears(first, dont_have(block.cid()));
    let others: Vec<_> = us.fetcher.ready_peers().collect();
    for peer in &others {
        us.says(*peer);
        us.hears(*peer, have(block.cid()));
    }
    let holder = us.fetcher.ready_peers().next().unwrap();
    us.says(holder);
    us.hears(holder, dont_have(block.cid()));
    let next = us.fetcher.ready_peers().next().unwrap();
    assert_ne!(next, holder);
    assert_eq!(us.asks_for(next), [*block.cid()]);
}

#[test]
fn unwanted_blocks_and_duplicates_are_dropped_and_counted() {
    let (bob, carol, wanted, never) = (peer(2), peer(3), block(1), block(2));
    let mut us = Us::new(&[bob, carol]);
    us.want(&wanted);
    assert_eq!(us.gets(carol, &never), Receipt::Unwanted);
    assert_eq!(us.gets(carol, &wanted), Receipt::Wanted, "also from a peer that was not asked");
    assert_eq!(us.gets(bob, &wanted), Receipt::Duplicate);
    let stats = us.fetcher.stats();
    assert_eq!((stats.blocks, stats.bytes), (1, 2000));
    assert_eq!((stats.duplicate_blocks, stats.duplicate_bytes), (1, 2000));
    assert_eq!((stats.unwanted_blocks, stats.unwanted_bytes), (1, 2000));
    assert_eq!(us.events().len(), 1);
}

#[test]
fn a_block_in_answer_to_a_want_have_is_taken() {
    let peers: Vec<_> = (2..5).map(peer).collect();
    let block = block(1);
    let mut us = Us::new(&peers);
    us.want(&block);
    let first = us.fetcher.ready_peers().next().unwrap();
    us.says(first);
    us.hears(first, dont_have(block.cid()));
    let probed = us.fetcher.ready_peers().next().unwrap();
    us.says(probed);
    assert_eq!(us.gets(probed, &block), Receipt::Wanted);
}

#[test]
fn a_wrong_block_moves_the_want_to_another_peer() {
    let (bob, carol, block) = (peer(2), peer(3), block(1));
    let mut us = Us::new(&[bob, carol]);
    us.want(&block);
    let (liar, honest) = if us.says_nothing(bob) { (carol, bob) } else { (bob, carol) };
    us.says(liar);
    assert_eq!(us.gets(liar, &sized(99, 2000)), Receipt::Unwanted);
    assert_eq!(us.asks_for(honest), [*block.cid()]);
    us.gets(honest, &block);
    assert_eq!(us.events().len(), 1);
    assert_eq!(us.fetcher.peer(&liar).unwrap().bad_blocks, 1);
}

#[test]
fn a_sole_liar_is_asked_again_and_then_excluded() {
    let (bob, block) = (peer(2), block(1));
    let mut us = Us::new(&[bob]);
    us.want(&block);
    for _ in 0..3 {
        assert_eq!(us.asks_for(bob), [*block.cid()]);
        us.fetcher.handle_bad_block(us.now, bob);
    }
    assert_eq!(us.missing(), Some((MissingReason::Lied, vec![(bob, Refusal::Lied)])));
    us.want(&sized(2, 10));
    assert!(us.missing().is_some(), "no hope for later wants either");
    let other = us.fetcher.start(us.now, Sources::Any);
    us.fetcher.want(us.now, other, *block.cid());
    assert_eq!(us.asks_for(bob), [*block.cid()], "another fetch makes its own experience");
}

#[test]
fn an_excluded_liar_loses_all_its_wants() {
    let (bob, carol) = (peer(2), peer(3));
    let mut us = Us::new(&[bob]);
    for number in 0..8 {
        us.fetcher.want_with_size(us.now, us.fetch, *block(number).cid(), 2000);
    }
    us.says(bob);
    us.fetcher.handle_connected(us.now, carol, V12);
    for _ in 0..3 {
        us.fetcher.handle_bad_block(us.now, bob);
    }
    assert_eq!(us.asks_for(carol).len(), 8);
    assert_eq!(us.lines(bob).2.len(), 5, "cancelled, but for the three it answered in its way");
    assert!(us.events().is_empty());
}

#[test]
fn a_silent_peer_is_hedged_after_a_second_and_the_loser_cancelled() {
    let (bob, carol, block) = (peer(2), peer(3), block(1));
    let mut us = Us::new(&[bob, carol]);
    us.want(&block);
    let (silent, other) = if us.says_nothing(bob) { (carol, bob) } else { (bob, carol) };
    us.says(silent);
    us.advance(999);
    assert!(us.says_nothing(other));
    us.advance(1);
    assert_eq!(us.asks_for(other), [*block.cid()]);
    assert!(us.says_nothing(silent), "nothing is repeated yet");
    us.gets(other, &block);
    assert_eq!(us.lines(silent).2, [*block.cid()]);
    assert_eq!(us.fetcher.stats().hedges, 1);
    assert!(us.is_quiet(&[bob, carol]));
}

#[test]
fn a_peer_that_talks_without_answering_is_as_late_as_a_silent_one() {
    let (bob, carol, block) = (peer(2), peer(3), block(1));
    let mut us = Us::new(&[bob]);
    us.want(&block);
    us.says(bob);
    us.fetcher.handle_connected(us.now, carol, V12);
    for _ in 0..10 {
        us.advance(100);
        us.fetcher.handle_message(us.now, bob, &Message::default());
        us.hears(bob, have(sized(7, 10).cid()));
    }
    assert_eq!(us.asks_for(carol), [*block.cid()]);
}

#[test]
fn presences_that_overtake_blocks_make_no_block_late() {
    let peers: Vec<_> = (2..5).map(peer).collect();
    let mut us = Us::new(&peers[..1]);
    let bob = peers[0];
    let blocks: Vec<_> = (0..4).map(|number| sized(number, 256 * KIB)).collect();
    for block in &blocks {
        us.want(block);
    }
    us.says(bob);
    us.advance(900);
    us.hears(bob, dont_have(blocks[3].cid()));
    us.advance(200);
    assert_eq!(us.fetcher.stats().timeouts, 0);
}

#[test]
fn a_sole_silent_peer_is_asked_again_and_then_given_up() {
    let (bob, block) = (peer(2), block(1));
    let mut us = Us::new(&[bob]);
    us.want(&block);
    let start = us.now;
    let mut sent = Vec::new();
    let mut missing = None;
    while missing.is_none() {
        if let Some(message) = us.fetcher.poll_wants(us.now, bob) {
            assert_eq!(message.wantlist.len(), 1);
            sent.push((us.now - start).as_secs());
        }
        us.now = us.fetcher.poll_timeout().unwrap();
        us.fetcher.handle_timeout(us.now);
        missing = us.missing();
    }
    assert_eq!(sent, [0, 6, 16]);
    assert_eq!((us.now - start).as_secs(), 36);
    assert_eq!(missing, Some((MissingReason::NoAnswer, vec![(bob, Refusal::NoAnswer)])));
}

#[test]
fn a_slow_peer_that_delivers_is_not_hurried() {
    let (bob, carol) = (peer(2), peer(3));
    let mut us = Us::with(FetcherConfig::default(), Sources::Any, &[bob]);
    let blocks: Vec<_> = (0..4).map(|number| sized(number, 256 * KIB)).collect();
    for block in &blocks {
        us.want(block);
    }
    us.says(bob);
    us.fetcher.handle_connected(us.now, carol, V12);
    for block in &blocks {
        us.advance(900);
        us.gets(bob, block);
    }
    assert_eq!(us.fetcher.stats().timeouts, 0);
    assert_eq!(us.fetcher.stats().hedges, 0);
    assert!(us.says_nothing(carol));
}

#[test]
fn a_want_that_later_ones_overtook_is_late() {
    let (bob, carol) = (peer(2), peer(3));
    let mut us = Us::new(&[bob]);
    let (skipped, served) = (block(1), block(2));
    us.want(&skipped);
    us.want(&served);
    us.says(bob);
    us.fetcher.handle_connected(us.now, carol, V12);
    us.advance(900);
    us.gets(bob, &served);
    us.advance(100);
    assert_eq!(us.asks_for(carol), [*skipped.cid()]);
}

#[test]
fn hedges_against_a_slow_peer_stay_below_five_percent() {
    let (bob, carol) = (peer(2), peer(3));
    let mut us = Us::with(FetcherConfig::default(), Sources::Any, &[bob]);
    let size = MIB as u64;
    us.fetcher.handle_round_trip(bob, ms(10));
    let blocks: Vec<_> = (0..100).map(|number| sized(number, MIB)).collect();
    for block in &blocks {
        us.fetcher.want_with_size(us.now, us.fetch, *block.cid(), size);
    }
    us.fetcher.handle_connected(us.now, carol, V12);
    // Carol stays silent and Bob crawls: what Carol owes moves to Bob.
    for block in &blocks {
        us.advance(1500);
        us.says(bob);
        us.says(carol);
        us.fetcher.handle_message(us.now, bob, &Message::default());
        us.gets(bob, block);
        let stats = us.fetcher.stats();
        assert!(stats.hedged_bytes <= stats.bytes / 20 + 2 * size, "{stats:?}");
    }
    assert!(us.fetcher.stats().hedges > 0);
}

#[test]
fn after_a_stream_reset_what_is_open_is_sent_again() {
    let (bob, open, done) = (peer(2), block(1), block(2));
    let mut us = Us::new(&[bob]);
    us.want(&open);
    us.want(&done);
    assert_eq!(us.asks_for(bob).len(), 2);
    us.gets(bob, &done);
    us.fetcher.handle_stream_reset(us.now, bob);
    assert_eq!(us.asks_for(bob), [*open.cid()]);
    us.gets(bob, &open);
    us.fetcher.handle_stream_reset(us.now, bob);
    assert!(us.says_nothing(bob));
    assert_eq!(us.fetcher.stats().timeouts, 0, "no mark against the peer");
}

#[test]
fn ten_idle_resets_lose_no_want() {
    let (bob, block) = (peer(2), block(1));
    let mut us = Us::new(&[bob]);
    us.want(&block);
    us.says(bob);
    for _ in 0..10 {
        us.fetcher.handle_stream_reset(us.now, bob);
        us.fetcher.handle_stream_reset(us.now, bob);
        assert_eq!(us.asks_for(bob), [*block.cid()]);
    }
    assert_eq!(us.gets(bob, &block), Receipt::Wanted);
}

#[test]
fn what_a_lost_peer_owed_is_asked_of_another() {
    let (bob, carol, block) = (peer(2), peer(3), block(1));
    let mut us = Us::new(&[bob, carol]);
    us.want(&block);
    let (lost, other) = if us.says_nothing(bob) { (carol, bob) } else { (bob, carol) };
    us.says(lost);
    us.fetcher.handle_disconnected(us.now, lost);
    assert_eq!(us.asks_for(other), [*block.cid()]);
    us.fetcher.handle_disconnected(us.now, other);
    assert_eq!(us.events(), [Event::Stalled { fetch: us.fetch }]);
    us.fetcher.handle_connected(us.now, lost, V12);
    assert_eq!(us.asks_for(lost), [*block.cid()]);
    us.gets(lost, &block);
    assert_eq!(us.events().len(), 1);
}

#[test]
fn without_peers_a_fetch_stalls_and_says_so_once() {
    let mut us = Us::new(&[]);
    us.want(&block(1));
    us.want(&block(2));
    assert_eq!(us.events(), [Event::Stalled { fetch: us.fetch }]);
}

#[test]
fn a_peer_without_bitswap_ends_the_wants_that_hope_for_it() {
    let (bob, block) = (peer(2), block(1));
    let mut us = Us::new(&[bob]);
    us.want(&block);
    us.fetcher.handle_refused(us.now, bob);
    assert_eq!(us.missing(), Some((MissingReason::Refused, vec![])));
    assert!(us.fetcher.ready_peers().next().is_none());
}

#[test]
fn a_private_fetch_asks_nobody_else_and_waits_for_those_it_names() {
    let (bob, carol, dave, block) = (peer(2), peer(3), peer(4), block(1));
    let only = Sources::Only(BTreeSet::from([bob, carol]));
    let mut us = Us::with(FetcherConfig::default(), only, &[dave]);
    us.want(&block);
    assert!(us.says_nothing(dave));
    us.fetcher.handle_connected(us.now, bob, V12);
    assert_eq!(us.asks_for(bob), [*block.cid()]);
    us.hears(bob, dont_have(block.cid()));
    let stalled = Event::Stalled { fetch: us.fetch };
    assert_eq!(us.events(), [stalled.clone(), stalled], "Carol may still come");
    us.fetcher.remove_source(us.now, us.fetch, &carol);
    assert_eq!(us.missing().unwrap().0, MissingReason::DontHave);
    us.fetcher.add_source(us.now, us.fetch, dave);
    us.want(&block);
    assert!(us.says_nothing(bob) ^ us.says_nothing(dave));
}

#[test]
fn before_1_2_0_nobody_is_asked_for_word_and_silence_is_a_no() {
    let peers: Vec<_> = (2..6).map(peer).collect();
    let block = block(1);
    let mut us = Us::new(&[]);
    for peer in &peers {
        us.fetcher.handle_connected(us.now, *peer, Version::V1_1_0);
    }
    us.want(&block);
    let mut asked = 0;
    for second in 0..4 {
        for peer in &peers {
            for entry in us.says(*peer).wantlist {
                let Entry::Want(want) = entry else { panic!() };
                assert_eq!((want.kind, want.send_dont_have), (WantType::Block, false));
                asked += 1;
            }
        }
        assert_eq!(asked, second + 1, "one peer a second");
        us.advance(1000);
    }
}

#[test]
fn bare_blocks_are_not_asked_for_by_other_hashes() {
    let (old, new) = (peer(2), peer(3));
    let data = bytes::Bytes::from_static(b"data");
    let block = VerifiedBlock::new(codec::RAW, HashAlgorithm::Sha2_512, data).unwrap();
    let mut us = Us::new(&[]);
    us.fetcher.handle_connected(us.now, old, Version::V1_0_0);
    us.want(&block);
    assert_eq!(us.missing(), Some((MissingReason::Refused, vec![])));
    us.fetcher.handle_connected(us.now, new, V12);
    us.want(&block);
    assert_eq!(us.asks_for(new), [*block.cid()]);
}

#[test]
fn want_haves_are_taken_back_when_an_older_version_is_negotiated() {
    let peers: Vec<_> = (2..5).map(peer).collect();
    let block = block(1);
    let mut us = Us::new(&peers);
    us.want(&block);
    let first = us.fetcher.ready_peers().next().unwrap();
    us.says(first);
    us.hears(first, dont_have(block.cid()));
    let probed: Vec<_> = us.fetcher.ready_peers().collect();
    us.fetcher.handle_connected(us.now, probed[0], Version::V1_0_0);
    us.says(probed[1]);
    us.hears(probed[1], dont_have(block.cid()));
    assert_eq!(us.asks_for(probed[0]), [*block.cid()]);
}

#[test]
fn bytes_in_flight_start_small_and_grow_as_they_are_delivered() {
    let bob = peer(2);
    let mut us = Us::new(&[bob]);
    let blocks: Vec<_> = (0..200).map(|number| sized(number, 256 * KIB)).collect();
    for block in &blocks {
        us.want(block);
    }
    let mut in_flight = Vec::new();
    let mut served = 0;
    while served < 150 {
        let asked = us.asks_for(bob).len();
        in_flight.push(us.fetcher.peer(&bob).unwrap().outstanding_bytes / MIB as u64);
        us.now += ms(100);
        for _ in 0..asked {
            us.now += ms(1);
            us.gets(bob, &blocks[served]);
            served += 1;
        }
    }
    assert_eq!(in_flight[0], 1);
    assert!(in_flight.iter().max() == Some(&16), "{in_flight:?}");
}

#[test]
fn never_more_than_a_thousand_wants_are_open_at_a_peer() {
    let bob = peer(2);
    let config = FetcherConfig { max_wants_per_peer: 5000, ..FetcherConfig::default() };
    let mut us = Us::with(config, Sources::Any, &[bob]);
    for number in 0..3000 {
        us.fetcher.want_with_size(us.now, us.fetch, *block(number).cid(), 100);
    }
    assert_eq!(us.fetcher.peer(&bob).unwrap().open_wants, 1000);
    let message = us.says(bob);
    assert_eq!(message.wantlist.len(), 1000);
    us.gets(bob, &block(0));
    assert_eq!(us.asks_for(bob), [*block(1000).cid()], "the window moves");
}

#[test]
fn equal_peers_share_the_blocks() {
    let peers: Vec<_> = (2..6).map(peer).collect();
    let mut us = Us::new(&peers);
    for number in 0..16 {
        us.want(&sized(number, 256 * KIB));
    }
    for peer in &peers {
        assert_eq!(us.asks_for(*peer).len(), 4);
    }
}

#[test]
fn an_ended_fetch_cancels_what_only_it_wanted() {
    let (bob, own, shared) = (peer(2), block(1), block(2));
    let mut us = Us::new(&[bob]);
    let other = us.fetcher.start(us.now, Sources::Any);
    us.want(&own);
    us.want(&shared);
    us.fetcher.want(us.now, other, *shared.cid());
    us.says(bob);
    us.fetcher.end(us.now, us.fetch);
    assert_eq!(us.lines(bob).2, [*own.cid()]);
    us.gets(bob, &shared);
    let expected = Event::Block { fetches: vec![other], block: shared, peer: Some(bob) };
    assert_eq!(us.events(), [expected]);
    assert_eq!(us.fetcher.last_progress(us.fetch), None);
}

#[test]
fn progress_is_told_per_fetch() {
    let (bob, block) = (peer(2), block(1));
    let mut us = Us::new(&[bob]);
    let start = us.now;
    us.want(&block);
    us.advance(500);
    assert_eq!(us.fetcher.last_progress(us.fetch), Some(start));
    us.gets(bob, &block);
    assert_eq!(us.fetcher.last_progress(us.fetch), Some(us.now));
    let stats = us.fetcher.fetch(us.fetch).unwrap();
    assert_eq!((stats.blocks, stats.bytes, stats.open_wants), (1, 2000, 0));
}

#[test]
fn a_size_hint_of_any_value_is_harmless() {
    let bob = peer(2);
    let mut us = Us::new(&[bob]);
    for number in 0..3 {
        us.fetcher.want_with_size(us.now, us.fetch, *block(number).cid(), u64::MAX);
    }
    assert_eq!(us.asks_for(bob), [*block(0).cid()]);
    us.gets(bob, &block(0));
    assert_eq!(us.asks_for(bob), [*block(1).cid()]);
}

#[test]
fn presences_that_nobody_asked_for_change_nothing() {
    let (bob, stranger, block) = (peer(2), peer(9), block(1));
    let mut us = Us::new(&[bob]);
    us.hears(bob, dont_have(block.cid()));
    us.hears(stranger, have(block.cid()));
    us.want(&block);
    us.hears(bob, dont_have(block.cid()));
    assert!(us.events().is_empty(), "a no from before the want was sent is no answer to it");
    assert_eq!(us.asks_for(bob), [*block.cid()]);
}
