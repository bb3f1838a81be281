//! The server, as a transcript of what a peer says and hears.
#![allow(clippy::too_many_lines, reason = "transcripts")]

mod common;

use bowline_bitswap::{Entry, Message, Output, ServerConfig, Version, Want, WantType};
use bowline_block::{Cid, VerifiedBlock, codec};
use common::*;

#[test]
fn a_wanted_block_is_sent() {
    let (alice, block) = (peer(1), block(1));
    let mut bob = Caller::with_peer(alice);
    bob.put(&block);
    let reply = bob.answer(alice, &wants([wanted(&block)]));
    assert_eq!(cids(&reply), [*block.cid()]);
    assert!(reply.presences.is_empty());
    assert_eq!(bob.server.peer(&alice).unwrap().wants, 0);
}

#[test]
fn each_form_of_a_cid_gets_its_own_answer() {
    let alice = peer(1);
    let v0 = VerifiedBlock::v0(bytes::Bytes::from_static(b"node")).unwrap();
    let v1 = v0.clone().with_cid(Cid::new_v1(codec::DAG_PB, *v0.hash())).unwrap();
    let mut bob = Caller::with_peer(alice);
    bob.put(&v0);
    let reply = bob.answer(alice, &wants([wanted(&v0), wanted(&v1)]));
    let mut answered = cids(&reply);
    answered.sort();
    let mut asked = vec![*v0.cid(), *v1.cid()];
    asked.sort();
    assert_eq!(answered, asked);
    assert_eq!(bob.loads.len(), 1, "one block is read once");
}

#[test]
fn want_have_gets_the_block_up_to_1024_bytes_and_have_above() {
    let alice = peer(1);
    let (small, large) = (sized(1, 1024), sized(2, 1025));
    let mut bob = Caller::with_peer(alice);
    bob.put(&small);
    bob.put(&large);
    assert_eq!(cids(&bob.answer(alice, &wants([want_have(&small)]))), [*small.cid()]);
    let reply = bob.answer(alice, &wants([want_have(&large)]));
    assert_eq!(reply.presences, [have(large.cid())]);
    assert!(reply.blocks.is_empty());
    assert_eq!(bob.server.peer(&alice).unwrap().wants, 0, "HAVE satisfies a want-have");
}

#[test]
fn dont_have_is_said_only_if_asked_for() {
    let (alice, absent) = (peer(1), block(1));
    let mut bob = Caller::with_peer(alice);
    for kind in [WantType::Block, WantType::Have] {
        let want = Want { kind, ..wanted(&absent) };
        let silent = Want { send_dont_have: false, ..want };
        assert_eq!(bob.answer(alice, &wants([want])).presences, [dont_have(absent.cid())]);
        assert!(bob.receive(alice, &cancel(&absent)).is_empty());
        assert!(bob.receive(alice, &wants([silent])).is_empty(), "{kind:?}");
        assert!(bob.receive(alice, &cancel(&absent)).is_empty());
    }
}

#[test]
fn a_want_outlives_dont_have_and_is_served_when_the_block_arrives() {
    let (alice, late, asked) = (peer(1), block(1), block(2));
    let mut bob = Caller::with_peer(alice);
    let reply = bob.answer(alice, &wants([wanted(&late), want_have(&asked)]));
    assert_eq!(reply.presences.len(), 2);
    bob.put(&late);
    let sent = bob.run();
    assert_eq!(cids(&sent[0].1), [*late.cid()]);
    bob.put(&asked);
    assert_eq!(bob.run()[0].1.presences, [have(asked.cid())]);
    assert_eq!(bob.server.peer(&alice).unwrap().wants, 0);
}

#[test]
fn a_block_that_arrives_during_its_lookup_is_sent_once() {
    let (alice, block) = (peer(1), block(1));
    let mut bob = Caller::with_peer(alice);
    bob.server.handle_message(alice, V12, &wants([wanted(&block)]));
    let Some(Output::Lookup { peer, hashes }) = bob.server.poll_output(bob.now) else { panic!() };
    bob.put(&block);
    bob.server.handle_lookup(peer, &[(hashes[0], None)]);
    let sent = bob.run();
    assert_eq!(sent.len(), 1);
    assert_eq!(cids(&sent[0].1), [*block.cid()]);
}

#[test]
fn a_repeated_want_is_answered_again_but_once_per_message() {
    let (alice, absent, present) = (peer(1), block(1), block(2));
    let mut bob = Caller::with_peer(alice);
    bob.put(&present);
    for _ in 0..3 {
        let reply = bob.answer(alice, &wants([wanted(&absent), wanted(&absent)]));
        assert_eq!(reply.presences, [dont_have(absent.cid())]);
        let reply = bob.answer(alice, &wants([wanted(&present), wanted(&present)]));
        assert_eq!(cids(&reply), [*present.cid()]);
    }
}

#[test]
fn higher_priorities_are_served_first_within_and_across_messages() {
    let alice = peer(1);
    let mut bob = Caller::with_peer(alice);
    let blocks: Vec<_> = (0..4).map(block).collect();
    for block in &blocks {
        bob.put(block);
    }
    let with = |index: usize, priority| Want { priority, ..wanted(&blocks[index]) };
    bob.server.handle_message(alice, V12, &wants([with(0, 1), with(1, 100)]));
    bob.server.handle_message(alice, V12, &wants([with(2, 50), with(3, i32::MIN)]));
    let served: Vec<_> = bob.run().iter().flat_map(|(_, message)| cids(message)).collect();
    assert_eq!(served, [1, 2, 0, 3].map(|index: usize| *blocks[index].cid()));
}

#[test]
fn a_cancelled_want_is_not_served_later() {
    let (alice, late) = (peer(1), block(1));
    let mut bob = Caller::with_peer(alice);
    bob.answer(alice, &wants([wanted(&late)]));
    assert!(bob.receive(alice, &cancel(&late)).is_empty());
    bob.put(&late);
    assert!(bob.run().is_empty());
    assert_eq!(bob.server.stats().cancels, 1);
}

#[test]
fn a_cancel_removes_what_is_queued_and_what_is_read() {
    let (alice, first, second) = (peer(1), block(1), block(2));
    let mut bob = Caller::with_peer(alice);
    bob.put(&first);
    bob.put(&second);
    bob.server.handle_message(alice, V12, &wants([wanted(&first), wanted(&second)]));
    let load = loop {
        match bob.server.poll_output(bob.now) {
            Some(Output::Load { token, hashes }) => break (token, hashes),
            Some(other) => assert_eq!(bob.step(other), None),
            None => panic!("nothing is loaded"),
        }
    };
    bob.server.handle_message(alice, V12, &cancel(&first));
    assert_eq!(bob.step(Output::Load { token: load.0, hashes: load.1 }), None);
    bob.server.handle_message(alice, V12, &cancel(&second));
    assert!(bob.run().is_empty());
    assert_eq!(bob.server.peer(&alice).unwrap().outstanding_bytes, 0);
}

#[test]
fn want_and_cancel_in_one_message_are_a_cancel_in_either_order() {
    let (alice, block) = (peer(1), block(1));
    let mut bob = Caller::with_peer(alice);
    bob.put(&block);
    let (want, cancel) = (Entry::Want(wanted(&block)), Entry::Cancel(*block.cid()));
    for wantlist in [vec![want, cancel], vec![cancel, want]] {
        assert!(bob.receive(alice, &Message { wantlist, ..Message::default() }).is_empty());
    }
}

#[test]
fn want_block_beats_want_have_and_asking_for_dont_have_stays_asked() {
    let (alice, block, absent) = (peer(1), block(1), block(2));
    let mut bob = Caller::with_peer(alice);
    bob.put(&block);
    for pair in [[wanted(&block), want_have(&block)], [want_have(&block), wanted(&block)]] {
        let reply = bob.answer(alice, &wants(pair));
        assert_eq!(cids(&reply), [*block.cid()]);
        assert!(reply.presences.is_empty(), "a block takes the place of HAVE");
    }
    let silent = Want { send_dont_have: false, ..wanted(&absent) };
    assert_eq!(bob.answer(alice, &wants([silent, wanted(&absent)])).presences.len(), 1);
    assert_eq!(bob.answer(alice, &wants([silent])).presences.len(), 1);
}

#[test]
fn a_want_have_that_becomes_a_want_block_under_way_gets_both() {
    let (alice, block) = (peer(1), block(1));
    let mut bob = Caller::with_peer(alice);
    bob.put(&block);
    bob.stuck.insert(alice);
    assert_eq!(bob.answer(alice, &wants([want_have(&block)])).presences, [have(block.cid())]);
    assert!(bob.receive(alice, &wants([wanted(&block)])).is_empty());
    let (_, token) = bob.unconfirmed.remove(0);
    bob.server.handle_sent(bob.now, token);
    assert_eq!(cids(&bob.run()[0].1), [*block.cid()]);
}

#[test]
fn a_full_list_replaces_what_was_wanted_and_queued() {
    let (alice, old, kept, new) = (peer(1), block(1), block(2), block(3));
    let mut bob = Caller::with_peer(alice);
    bob.answer(alice, &wants([wanted(&old), wanted(&kept)]));
    let full = Message { full: true, ..wants([wanted(&kept), wanted(&new)]) };
    bob.receive(alice, &full);
    assert_eq!(bob.server.peer(&alice).unwrap().wants, 2);
    for block in [&old, &kept, &new] {
        bob.put(block);
    }
    let mut served: Vec<_> = bob.run().iter().flat_map(|(_, message)| cids(message)).collect();
    served.sort();
    let mut expected = vec![*kept.cid(), *new.cid()];
    expected.sort();
    assert_eq!(served, expected);
}

#[test]
fn an_empty_full_list_clears_the_list_and_the_queue() {
    let (alice, queued, absent) = (peer(1), block(1), block(2));
    let mut bob = Caller::with_peer(alice);
    bob.put(&queued);
    bob.server.handle_message(alice, V12, &wants([wanted(&queued), wanted(&absent)]));
    while !matches!(bob.server.peer(&alice).unwrap().queued_bytes, 2000) {
        let output = bob.server.poll_output(bob.now).unwrap();
        bob.step(output);
    }
    assert!(bob.receive(alice, &Message { full: true, ..Message::default() }).is_empty());
    let ledger = bob.server.peer(&alice).unwrap();
    assert_eq!((ledger.wants, ledger.queued_bytes), (0, 0));
    bob.put(&absent);
    assert!(bob.run().is_empty());
}

#[test]
fn a_list_that_is_not_full_adds() {
    let (alice, first, second) = (peer(1), block(1), block(2));
    let mut bob = Caller::with_peer(alice);
    bob.receive(alice, &wants([wanted(&first)]));
    bob.receive(alice, &wants([wanted(&second)]));
    bob.receive(alice, &Message::default());
    assert_eq!(bob.server.peer(&alice).unwrap().wants, 2);
}

#[test]
fn identity_and_empty_blocks_are_served_without_a_store() {
    let alice = peer(1);
    let mut bob = Caller::with_peer(alice);
    let identity = Cid::try_from("bafkqaaa").unwrap();
    let empty = Cid::try_from("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku").unwrap();
    let empty_directory = Cid::try_from("QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn").unwrap();
    for cid in [identity, empty, empty_directory] {
        for kind in [WantType::Block, WantType::Have] {
            let want = Want { cid, priority: 1, kind, send_dont_have: true };
            assert_eq!(cids(&bob.answer(alice, &wants([want]))), [cid]);
        }
    }
    assert!(bob.lookups.is_empty() && bob.loads.is_empty());
}

#[test]
fn a_reply_stream_of_1_1_0_carries_blocks_for_haves_and_no_dont_haves() {
    let (alice, block, absent) = (peer(1), block(1), block(2));
    let mut bob = Caller::with_peer(alice);
    bob.version = Version::V1_1_0;
    bob.put(&block);
    // Before the stream is open its version is not known.
    let reply = bob.answer(alice, &wants([want_have(&block), wanted(&absent)]));
    assert_eq!(cids(&reply), [*block.cid()]);
    // Now it is.
    let reply = bob.answer(alice, &wants([want_have(&block), wanted(&absent)]));
    assert_eq!(cids(&reply), [*block.cid()]);
    assert_eq!(reply.pending_bytes, 0);
    assert!(bob.receive(alice, &wants([wanted(&absent)])).is_empty());
    bob.put(&absent);
    assert_eq!(cids(&bob.run()[0].1), [*absent.cid()], "the want was kept");
}

#[test]
fn a_want_on_a_1_1_0_stream_has_no_type_and_asks_for_no_dont_have() {
    let (alice, block, absent) = (peer(1), block(1), block(2));
    let mut bob = Caller::with_peer(alice);
    bob.put(&block);
    let message = wants([want_have(&block), want_have(&absent)]);
    bob.server.handle_message(alice, Version::V1_1_0, &message);
    let sent = bob.run();
    assert_eq!(sent.len(), 1);
    assert_eq!(cids(&sent[0].1), [*block.cid()]);
}

#[test]
fn five_thousand_wants_keep_1024_and_refuse_the_rest_aloud() {
    let alice = peer(1);
    let mut bob = Caller::with_peer(alice);
    let absent: Vec<_> = (0..5000).map(block).collect();
    let sent = bob.receive(alice, &wants(absent.iter().map(wanted)));
    let answers: usize = sent.iter().map(|(_, message)| message.presences.len()).sum();
    assert_eq!(answers, 5000);
    assert_eq!(bob.server.peer(&alice).unwrap().wants, 1024);
    assert_eq!(bob.server.stats().refused_wants, 5000 - 1024);
    assert_eq!(bob.server.stats().silent_refusals, 0);
    let silent = absent.iter().map(|block| Want { send_dont_have: false, ..wanted(block) });
    bob.receive(alice, &wants(silent));
    assert_eq!(bob.server.stats().silent_refusals, 5000 - 1024);
}

#[test]
fn what_waits_for_a_peer_without_a_stream_is_bounded() {
    let alice = peer(1);
    let mut bob = Caller::with_peer(alice);
    for round in 0..3 {
        let absent = (0..10_000).map(|number| block(round * 10_000 + number));
        let message = wants(absent.map(|block| wanted(&block)));
        bob.server.handle_message(alice, V12, &message);
    }
    let stats = bob.server.stats();
    assert_eq!(stats.refused_wants, 30_000 - 1024);
    assert_eq!(stats.silent_refusals, stats.refused_wants - 16 * 1024);
}

#[test]
fn eight_mebibytes_are_split_into_messages_below_the_limit() {
    let alice = peer(1);
    let mut bob = Caller::with_peer(alice);
    let blocks: Vec<_> = (0..8).map(|number| sized(number, MIB)).collect();
    for block in &blocks {
        bob.put(block);
    }
    let sent = bob.receive(alice, &wants(blocks.iter().map(wanted)));
    let lens: Vec<_> = sent.iter().map(|(_, message)| message.encoded_len(V12)).collect();
    assert!(lens.iter().all(|len| *len <= 2 * MIB), "{lens:?}");
    assert_eq!(sent.iter().flat_map(|(_, message)| cids(message)).count(), 8);
    let pending: Vec<_> = sent.iter().map(|(_, message)| message.pending_bytes as usize / MIB).collect();
    assert!(pending.is_sorted_by(|a, b| a > b) && pending[7] == 0, "{pending:?}");
}

#[test]
fn small_blocks_share_a_message_and_two_mebibytes_fit() {
    let alice = peer(1);
    let mut bob = Caller::with_peer(alice);
    let small: Vec<_> = (0..100).map(block).collect();
    let largest = sized(1000, 2 * MIB);
    for block in small.iter().chain([&largest]) {
        bob.put(block);
    }
    let sent = bob.receive(alice, &wants(small.iter().map(wanted)));
    assert_eq!(sent.len(), 1, "100 blocks of 2,000 bytes are below a quarter of a mebibyte");
    assert_eq!(cids(&bob.answer(alice, &wants([wanted(&largest)]))), [*largest.cid()]);
}

#[test]
fn presences_go_ahead_of_blocks() {
    let (alice, large, absent) = (peer(1), sized(1, 2 * MIB), block(2));
    let mut bob = Caller::with_peer(alice);
    bob.put(&large);
    bob.put(&sized(3, 2 * MIB));
    let sent = bob.receive(alice, &wants([wanted(&large), wanted(&sized(3, 2 * MIB)), wanted(&absent)]));
    assert_eq!(sent[0].1.presences, [dont_have(absent.cid())]);
    assert!(sent[0].1.blocks.is_empty());
    assert_eq!(sent.len(), 3);
}

#[test]
fn a_want_is_released_only_when_the_muxer_has_the_answer() {
    let (alice, block, absent) = (peer(1), block(1), block(2));
    let mut bob = Caller::with_peer(alice);
    bob.put(&block);
    bob.stuck.insert(alice);
    let sent = bob.receive(alice, &wants([wanted(&block), wanted(&absent)]));
    assert_eq!(sent.len(), 2);
    assert_eq!(bob.server.peer(&alice).unwrap().wants, 2);
    assert!(bob.receive(alice, &wants([wanted(&block)])).is_empty(), "it is on its way already");

    bob.server.handle_reply_failed(bob.now, alice);
    assert_eq!(bob.server.stats().put_back, 2);
    assert!(bob.run().is_empty(), "not before a pause");
    let retry = bob.server.poll_timeout().unwrap();
    assert_eq!(retry - bob.now, ms(100));
    for (_, token) in std::mem::take(&mut bob.unconfirmed) {
        bob.server.handle_sent(bob.now, token);
    }
    assert_eq!(bob.server.peer(&alice).unwrap().wants, 2, "a late report changes nothing");

    bob.stuck.clear();
    bob.now = retry;
    bob.server.handle_timeout(bob.now);
    let again = bob.run();
    assert_eq!(again[0].1.presences, [dont_have(absent.cid())]);
    assert_eq!(cids(&again[1].1), [*block.cid()]);
    assert_eq!(bob.server.peer(&alice).unwrap().wants, 1);
}

#[test]
fn the_pause_grows_with_each_failure_and_an_idle_reset_needs_none() {
    let (alice, block) = (peer(1), block(1));
    let mut bob = Caller::with_peer(alice);
    bob.put(&block);
    bob.stuck.insert(alice);
    let mut pauses = Vec::new();
    bob.receive(alice, &wants([wanted(&block)]));
    for _ in 0..12 {
        bob.server.handle_reply_failed(bob.now, alice);
        bob.server.handle_reply_failed(bob.now, alice);
        let retry = bob.server.poll_timeout().unwrap();
        pauses.push((retry - bob.now).as_millis());
        bob.now = retry;
        bob.server.handle_timeout(bob.now);
        assert_eq!(bob.run().len(), 1);
    }
    assert_eq!(pauses[..4], [100, 200, 400, 800]);
    assert_eq!(pauses[11], 30_000);

    let (_, token) = bob.unconfirmed.pop().unwrap();
    bob.server.handle_sent(bob.now, token);
    bob.server.handle_reply_failed(bob.now, alice);
    assert_eq!(bob.server.poll_timeout(), None);
    assert_eq!(bob.receive(alice, &wants([wanted(&block)])).len(), 1);
}

#[test]
fn a_stalled_reader_is_reset_after_ten_seconds_without_progress() {
    let (alice, block) = (peer(1), block(1));
    let mut bob = Caller::with_peer(alice);
    bob.put(&block);
    bob.stuck.insert(alice);
    bob.receive(alice, &wants([wanted(&block)]));
    bob.now += ms(9_999);
    bob.server.handle_progress(bob.now, alice);
    bob.now += ms(9_999);
    bob.server.handle_timeout(bob.now);
    assert!(bob.run().is_empty() && bob.resets.is_empty());
    bob.now += ms(1);
    bob.server.handle_timeout(bob.now);
    bob.run();
    assert_eq!(bob.resets, [alice]);
    let ledger = bob.server.peer(&alice).unwrap();
    assert_eq!((ledger.wants, ledger.outstanding_bytes), (1, 0));
}

#[test]
fn a_peer_at_its_bound_does_not_hold_up_the_others() {
    let (stalled, healthy) = (peer(1), peer(2));
    let mut bob = Caller::with_peer(stalled);
    bob.server.handle_connected(bob.now, healthy);
    bob.stuck.insert(stalled);
    let blocks: Vec<_> = (0..32).map(|number| sized(number, MIB)).collect();
    for block in &blocks {
        bob.put(block);
    }
    let all = wants(blocks.iter().map(wanted));
    assert_eq!(bob.receive(stalled, &all).len(), 1, "it has accepted nothing yet");
    assert_eq!(bob.receive(healthy, &all).len(), 32);
    let mut outstanding = Vec::new();
    for _ in 0..5 {
        let (_, token) = bob.unconfirmed.remove(0);
        bob.server.handle_sent(bob.now, token);
        bob.run();
        outstanding.push(bob.server.peer(&stalled).unwrap().outstanding_bytes / MIB as u64);
    }
    assert_eq!(outstanding, [1, 1, 2, 4, 4], "each accepted message doubles the window up to the bound");
}

#[test]
fn a_hundred_stalled_peers_leave_room_for_a_healthy_one() {
    let mut bob = Caller::new(ServerConfig::default());
    let blocks: Vec<_> = (0..8).map(|number| sized(number, 256 * KIB)).collect();
    for block in &blocks {
        bob.put(block);
    }
    let all = wants(blocks.iter().map(wanted));
    for number in 0..100 {
        let stalled = peer(number);
        bob.stuck.insert(stalled);
        bob.server.handle_connected(bob.now, stalled);
        bob.receive(stalled, &all);
    }
    let held: u64 = (0..100).map(|n| bob.server.peer(&peer(n)).unwrap().outstanding_bytes).sum();
    assert!(held <= 64 * MIB as u64, "{held}");
    let healthy = peer(200);
    bob.server.handle_connected(bob.now, healthy);
    let sent = bob.receive(healthy, &all);
    assert_eq!(sent.iter().filter(|(to, _)| *to == healthy).flat_map(|(_, m)| &m.blocks).count(), 8);
}

#[test]
fn when_stalled_peers_hold_everything_the_stall_timeout_frees_it() {
    let mut bob = Caller::new(ServerConfig::default());
    let block = sized(1, MIB);
    bob.put(&block);
    for number in 0..80 {
        let stalled = peer(number);
        bob.stuck.insert(stalled);
        bob.server.handle_connected(bob.now, stalled);
        bob.receive(stalled, &wants([wanted(&block)]));
    }
    let healthy = peer(200);
    bob.server.handle_connected(bob.now, healthy);
    assert!(bob.receive(healthy, &wants([wanted(&block)])).is_empty());
    bob.now += ms(10_000);
    bob.server.handle_timeout(bob.now);
    let sent = bob.run();
    assert!(sent.iter().any(|(to, message)| *to == healthy && message.blocks.len() == 1));
    assert_eq!(bob.resets.len(), 64);
}

#[test]
fn turns_go_round_by_bytes() {
    let (small, large) = (peer(1), peer(2));
    let config = ServerConfig { max_loads: 1, ..ServerConfig::default() };
    let mut bob = Caller::new(config);
    let tiny: Vec<_> = (0..1000).map(|number| sized(number, 16 * KIB)).collect();
    let huge: Vec<_> = (1000..1016).map(|number| sized(number, 2 * MIB)).collect();
    for block in tiny.iter().chain(&huge) {
        bob.put(block);
    }
    for (who, blocks) in [(small, &tiny), (large, &huge)] {
        bob.server.handle_connected(bob.now, who);
        bob.server.handle_message(who, V12, &wants(blocks.iter().map(wanted)));
    }
    let mut bytes = [0usize; 2];
    while bytes.iter().sum::<usize>() < 16 * MIB {
        let output = bob.server.poll_output(bob.now).unwrap();
        if let Some((to, message)) = bob.step(output) {
            bytes[usize::from(to == large)] += message.encoded_len(V12);
            assert!(bytes[0].abs_diff(bytes[1]) <= 3 * MIB, "{bytes:?}");
        }
    }
}

#[test]
fn a_disconnected_peer_leaves_nothing_behind() {
    let (alice, block, absent) = (peer(1), block(1), block(2));
    let mut bob = Caller::with_peer(alice);
    bob.put(&block);
    bob.server.handle_message(alice, V12, &wants([wanted(&block), wanted(&absent)]));
    let mut load = None;
    while load.is_none() {
        match bob.server.poll_output(bob.now).unwrap() {
            Output::Load { token, .. } => load = Some(token),
            other => {
                bob.step(other);
            }
        }
    }
    bob.server.handle_disconnected(alice);
    bob.server.handle_loaded(load.unwrap(), vec![(*block.hash(), Some(block.data().clone()))]);
    bob.server.handle_lookup(alice, &[(*absent.hash(), None)]);
    bob.server.handle_message(alice, V12, &wants([wanted(&block)]));
    bob.put(&absent);
    assert!(bob.run().is_empty());
    assert_eq!(bob.server.peer(&alice), None);
    assert_eq!(bob.server.poll_timeout(), None);
    assert_eq!(bob.server.stats().strangers, 1);

    bob.server.handle_connected(bob.now, alice);
    assert_eq!(bob.server.peer(&alice).unwrap().wants, 0);
    assert_eq!(bob.receive(alice, &wants([wanted(&block)])).len(), 1, "loads were not used up");
}

#[test]
fn a_block_deleted_before_it_is_read_becomes_dont_have_and_stays_wanted() {
    let (alice, block) = (peer(1), block(1));
    let mut bob = Caller::with_peer(alice);
    bob.put(&block);
    bob.server.handle_message(alice, V12, &wants([wanted(&block)]));
    let output = bob.server.poll_output(bob.now).unwrap();
    bob.step(output);
    bob.store.clear();
    let sent = bob.run();
    assert_eq!(sent[0].1.presences, [dont_have(block.cid())]);
    bob.put(&block);
    assert_eq!(cids(&bob.run()[0].1), [*block.cid()]);
}

#[test]
fn a_store_that_contradicts_itself_breaks_no_bound() {
    let (alice, block) = (peer(1), block(1));
    let mut bob = Caller::with_peer(alice);
    bob.server.handle_message(alice, V12, &wants([wanted(&block)]));
    let Some(Output::Lookup { .. }) = bob.server.poll_output(bob.now) else { panic!() };
    bob.server.handle_lookup(alice, &[(*block.hash(), Some(10))]);
    bob.store.insert(*block.hash(), block.data().clone());
    let sent = bob.run();
    assert_eq!(sent[0].1.presences, [dont_have(block.cid())]);
}

#[test]
fn a_flood_of_wants_is_looked_up_one_batch_at_a_time() {
    let alice = peer(1);
    let mut bob = Caller::with_peer(alice);
    bob.server.handle_message(alice, V12, &wants((0..10).map(|number| wanted(&block(number)))));
    let Some(Output::Lookup { hashes, .. }) = bob.server.poll_output(bob.now) else { panic!() };
    assert_eq!(hashes.len(), 10);
    bob.server.handle_message(alice, V12, &wants((10..20).map(|number| wanted(&block(number)))));
    assert_eq!(bob.server.poll_output(bob.now), None);
    let missing: Vec<_> = hashes.into_iter().map(|hash| (hash, None)).collect();
    bob.server.handle_lookup(alice, &missing);
    bob.run();
    assert_eq!(bob.lookups.len(), 10);
}
