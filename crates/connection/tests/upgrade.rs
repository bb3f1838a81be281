//! Upgrades of honest peers.

#![allow(clippy::too_many_lines, reason = "transcripts")]

mod common;

use std::time::{Duration, Instant};

use bowline_connection::{Secured, Stage, UPGRADE_TIMEOUT, Upgrade, UpgradeConfig, UpgradeError};
use bytes::BytesMut;
use common::{
    HEADER, YAMUX, alice, bob, config, connect, dialer, flight, listener, messages, received, records, send,
    start, texts,
};
use proptest::prelude::*;

/// The lengths of the records or handshake messages in `bytes`.
fn record_lens(mut bytes: &[u8]) -> Vec<usize> {
    let mut lens = Vec::new();
    while let Some(prefix) = bytes.first_chunk::<2>() {
        lens.push(usize::from(u16::from_be_bytes(*prefix)));
        bytes = &bytes[2 + lens[lens.len() - 1]..];
    }
    lens
}

// spec: mss/pipelined-payload, noise/msg1-has-no-payload
#[test]
fn the_first_flight_of_a_dialer_is_header_proposal_and_message_1() {
    let first = flight(&mut dialer(start(), true));
    let (select, message) = first.split_at(first.len() - 34);
    assert_eq!(texts(select), [HEADER, "/noise"]);
    assert_eq!(record_lens(message), [32]);
}

/// Each side measures what it waited for the other's part of the handshake. What comes for the muxer right behind it
/// answers nothing, and does not count.
#[test]
fn the_handshake_tells_the_length_of_the_path() {
    for inlined in [true, false] {
        let half = Duration::from_millis(50);
        let begin = start();
        let at = |halves: u32| begin + halves * half;
        let (mut at_dialer, mut at_listener) = (dialer(at(0), inlined), listener(at(0), inlined));
        at_listener.handle_input(at(1), &mut flight(&mut at_dialer)).unwrap();
        at_dialer.handle_input(at(2), &mut flight(&mut at_listener)).unwrap();
        let mut last = flight(&mut at_dialer);
        // Message 3 is 2 + 32 + 16 + payload long; the rest, if any, is for the muxer and comes on its own.
        let message_3 = 2 + usize::from(u16::from_be_bytes([last[0], last[1]]));
        let mut muxer = last.split_off(message_3);
        at_listener.handle_input(at(3), &mut last).unwrap();
        while !muxer.is_empty() {
            let record = 2 + usize::from(u16::from_be_bytes([muxer[0], muxer[1]]));
            at_listener.handle_input(at(3), &mut muxer.split_to(record)).unwrap();
            let _answer = flight(&mut at_listener);
        }
        for mut upgrade in [at_dialer, at_listener] {
            let upgraded = upgrade.poll_upgraded(at(3)).expect("both are done");
            assert_eq!(upgraded.session.stats().rtt, Some(2 * half), "inlined: {inlined}");
        }
    }
}

/// A fresh connection, counted: the dialer's second flight brings its first application byte, one and a half round
/// trips after its first, and the answer is there half a round trip later.
#[test]
fn the_first_application_byte_arrives_with_the_second_flight_of_the_dialer() {
    for (dialer_inlines, listener_inlines) in [(true, true), (true, false), (false, true), (false, false)] {
        let now = start();
        let (mut at_dialer, mut at_listener) = (dialer(now, dialer_inlines), listener(now, listener_inlines));

        let mut first = flight(&mut at_dialer);
        at_listener.handle_input(now, &mut first).unwrap();
        let mut answer = flight(&mut at_listener);
        at_dialer.handle_input(now, &mut answer).unwrap();
        let mut second = flight(&mut at_dialer);
        let mut at_dialer = Secured::from(at_dialer.poll_upgraded(now).expect("one round trip is enough"));
        send(now, &mut at_dialer, b"first byte");
        second.extend_from_slice(&records(now, &mut at_dialer));

        at_listener.handle_input(now, &mut second).unwrap();
        let mut answer = flight(&mut at_listener);
        let mut at_listener = Secured::from(at_listener.poll_upgraded(now).expect("two flights are enough"));
        at_listener.handle_ciphertext(now, &mut second).unwrap();
        assert_eq!(received(now, &mut at_listener).as_deref(), Some(&b"first byte"[..]));

        send(now, &mut at_listener, b"answer");
        answer.extend_from_slice(&records(now, &mut at_listener));
        at_dialer.handle_ciphertext(now, &mut answer).unwrap();
        assert_eq!(received(now, &mut at_dialer).as_deref(), Some(&b"answer"[..]));
    }
}

// spec: inline/used-when-both, inline/absent-fallback, inline/ignored-by-nonsupporter
#[test]
fn the_muxer_is_inlined_when_both_can_and_negotiated_otherwise() {
    let now = start();
    for (dialer_inlines, listener_inlines) in [(true, true), (true, false), (false, true), (false, false)] {
        let (mut at_dialer, mut at_listener) = (dialer(now, dialer_inlines), listener(now, listener_inlines));
        at_listener.handle_input(now, &mut flight(&mut at_dialer)).unwrap();
        at_dialer.handle_input(now, &mut flight(&mut at_listener)).unwrap();
        let mut second = flight(&mut at_dialer);
        let lens = record_lens(&second);
        at_listener.handle_input(now, &mut second).unwrap();
        let answer = flight(&mut at_listener);
        let (at_dialer, at_listener) =
            (at_dialer.poll_upgraded(now).unwrap(), at_listener.poll_upgraded(now).unwrap());
        let inlined = dialer_inlines && listener_inlines;
        assert_eq!((at_dialer.inlined, at_listener.inlined), (inlined, inlined));
        assert_eq!(at_dialer.pending_muxer.is_some(), !inlined);
        // go-libp2p fails on a message in two records or behind an empty one: each message is a record of its own.
        let (header, yamux) = (messages(&[HEADER]).len() + 16, messages(&[YAMUX]).len() + 16);
        let negotiation = if inlined { Vec::new() } else { vec![header, yamux] };
        assert_eq!(lens[1..], negotiation[..]);
        assert_eq!(record_lens(&answer), negotiation);
    }
}

#[test]
fn both_ends_know_each_other() {
    let (at_dialer, at_listener) = connect(start(), true, true);
    assert_eq!(at_dialer.peer.peer_id(), bob().peer_id());
    assert_eq!(at_listener.peer.peer_id(), alice().peer_id());
}

#[test]
fn equal_seeds_give_equal_bytes_and_other_seeds_others() {
    let now = start();
    let with = |seed| flight(&mut Upgrade::dialer(now, &config(&alice(), true), None, [seed; 32]));
    assert_eq!(with(1), with(1));
    assert_ne!(with(1), with(2));
}

// spec: mss/simultaneous-header
#[test]
fn a_listener_answers_a_header_before_the_proposal() {
    let now = start();
    let mut at_listener = listener(now, true);
    at_listener.handle_input(now, &mut messages(&[HEADER])).unwrap();
    assert_eq!(texts(&flight(&mut at_listener)), [HEADER]);
    at_listener.handle_input(now, &mut messages(&["/noise"])).unwrap();
    assert_eq!(texts(&flight(&mut at_listener)), ["/noise"]);
}

// spec: conn/upgrade-deadline, mss/idle-timeout
#[test]
fn the_upgrade_has_15_seconds_whatever_its_stage() {
    let now = start();
    let late = now + Duration::from_secs(15);
    assert_eq!(UPGRADE_TIMEOUT, Duration::from_secs(15));
    let silent = listener(now, true);
    let mut in_handshake = listener(now, true);
    in_handshake.handle_input(now, &mut flight(&mut dialer(now, true))).unwrap();
    let mut in_muxer = listener(now, false);
    let (_, mut third) = common::Puppet::dial(now, &mut in_muxer, &[]);
    in_muxer.handle_input(now, &mut third).unwrap();
    let unanswered = dialer(now, true);
    for (mut upgrade, stage) in [
        (silent, Stage::SecuritySelect),
        (in_handshake, Stage::Handshake),
        (in_muxer, Stage::MuxerSelect),
        (unanswered, Stage::SecuritySelect),
    ] {
        assert_eq!(upgrade.poll_timeout(), Some(late));
        assert_eq!(upgrade.handle_timeout(late - Duration::from_millis(1)), Ok(()), "early is no-op");
        let timed_out = UpgradeError::TimedOut { stage, after: UPGRADE_TIMEOUT };
        assert_eq!(upgrade.handle_timeout(late), Err(timed_out.clone()));
        assert_eq!(timed_out.stage(), stage);
        assert_eq!(upgrade.handle_timeout(late), Err(timed_out.clone()), "the error stays");
        assert_eq!(upgrade.handle_input(late, &mut BytesMut::new()), Err(timed_out));
        assert_eq!(upgrade.poll_timeout(), None);
        assert!(upgrade.poll_upgraded(late).is_none());
    }
}

// spec: mss/slowloris
#[test]
fn a_byte_every_second_does_not_move_the_deadline() {
    let begin = start();
    let mut at_listener = listener(begin, true);
    let mut first = flight(&mut dialer(begin, true));
    let (mut now, mut input) = (begin, BytesMut::new());
    let end = loop {
        input.extend_from_slice(&first.split_to(1));
        at_listener.handle_input(now, &mut input).unwrap();
        now += Duration::from_secs(1);
        if let Err(error) = at_listener.handle_timeout(now) {
            break error;
        }
    };
    assert_eq!(end, UpgradeError::TimedOut { stage: Stage::SecuritySelect, after: UPGRADE_TIMEOUT });
    assert_eq!(now - begin, UPGRADE_TIMEOUT);
}

#[test]
fn any_timeout_can_be_configured() {
    let now = start();
    for timeout in [Duration::ZERO, Duration::MAX] {
        let config = UpgradeConfig { timeout, ..config(&bob(), true) };
        let mut upgrade = Upgrade::listener(now, &config, [1; 32]);
        assert_eq!(upgrade.handle_timeout(now).is_err(), timeout.is_zero());
    }
}

#[test]
fn a_finished_upgrade_has_no_deadline_and_takes_no_input() {
    let now = start();
    let (mut at_dialer, mut at_listener) = (dialer(now, true), listener(now, true));
    at_listener.handle_input(now, &mut flight(&mut at_dialer)).unwrap();
    at_dialer.handle_input(now, &mut flight(&mut at_listener)).unwrap();
    assert_eq!(at_dialer.poll_timeout(), None);
    assert_eq!(at_dialer.handle_timeout(now + UPGRADE_TIMEOUT), Ok(()));
    let mut records = BytesMut::from(&b"ciphertext"[..]);
    at_dialer.handle_input(now, &mut records).unwrap();
    assert_eq!(&records[..], b"ciphertext");
    assert!(at_dialer.poll_upgraded(now).is_some());
    assert!(at_dialer.poll_upgraded(now).is_none(), "once");
}

// spec: mss/eof-mid, noise/eof-in-frame
#[test]
fn the_end_of_the_link_names_the_stage_that_it_cut_short() {
    let now = start();
    let mut upgrade = dialer(now, true);
    assert_eq!(upgrade.handle_end(), UpgradeError::Ended { stage: Stage::SecuritySelect });
    let mut upgrade = listener(now, true);
    upgrade.handle_input(now, &mut flight(&mut dialer(now, true))).unwrap();
    assert_eq!(upgrade.handle_end(), UpgradeError::Ended { stage: Stage::Handshake });
    assert_eq!(upgrade.handle_input(now, &mut BytesMut::new()), Err(upgrade.handle_end()), "the error stays");
}

/// One direction of a link that delivers in pieces.
#[derive(Default)]
struct Pipe {
    in_flight: BytesMut,
    input: BytesMut,
}

impl Pipe {
    fn deliver(&mut self, len: usize) {
        let piece = self.in_flight.split_to(len.min(self.in_flight.len()));
        self.input.extend_from_slice(&piece);
    }
}

/// One end: an upgrade, then a connection that has something to say.
enum End {
    Upgrading(Box<Upgrade>),
    Connected(Box<Secured>),
}

impl End {
    fn turn(&mut self, now: Instant, arriving: &mut Pipe, leaving: &mut Pipe, text: &'static [u8]) {
        if let Self::Upgrading(upgrade) = self {
            upgrade.handle_input(now, &mut arriving.input).unwrap();
            leaving.in_flight.extend_from_slice(&flight(upgrade));
            if let Some(upgraded) = upgrade.poll_upgraded(now) {
                let mut secured = Secured::from(upgraded);
                send(now, &mut secured, text);
                *self = Self::Connected(Box::new(secured));
            }
        }
        if let Self::Connected(secured) = self {
            secured.handle_ciphertext(now, &mut arriving.input).unwrap();
            leaving.in_flight.extend_from_slice(&records(now, secured));
        }
    }

    fn into_received(self, now: Instant) -> Option<bytes::Bytes> {
        match self {
            Self::Upgrading(_) => None,
            Self::Connected(mut secured) => received(now, &mut secured),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    // spec: mss/bytewise, uvarint/split, noise/coalesced, inline/no-partial-bytes
    #[test]
    fn any_chunking_of_the_link_gives_the_same_connection(
        dialer_inlines in any::<bool>(),
        listener_inlines in any::<bool>(),
        pieces in proptest::collection::vec(prop_oneof![1_usize..4, 1_usize..80, 1_usize..600], 1..30),
    ) {
        let now = start();
        let mut at_dialer = End::Upgrading(Box::new(dialer(now, dialer_inlines)));
        let mut at_listener = End::Upgrading(Box::new(listener(now, listener_inlines)));
        let (mut there, mut back) = (Pipe::default(), Pipe::default());
        for piece in pieces.iter().cycle().take(4000) {
            at_dialer.turn(now, &mut back, &mut there, b"from the dialer");
            at_listener.turn(now, &mut there, &mut back, b"from the listener");
            there.deliver(*piece);
            back.deliver(*piece);
        }
        let at_dialer = at_dialer.into_received(now);
        prop_assert_eq!(at_dialer.as_deref(), Some(&b"from the listener"[..]));
        let at_listener = at_listener.into_received(now);
        prop_assert_eq!(at_listener.as_deref(), Some(&b"from the dialer"[..]));
    }
}
