//! Both machines against each other and against peers that break the protocol.
#![allow(clippy::too_many_lines, reason = "transcripts")]

use std::time::{Duration, Instant};

use bowline_ping::{
    IDLE_TIMEOUT, Initiator, MAX_BUFFERED, MAX_OUTSTANDING, PAYLOAD_LEN, PING_TIMEOUT, PingError, Pong,
    Responder, ResponderError, StartError,
};
use bytes::Bytes;
use proptest::prelude::*;

#[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
fn start() -> Instant {
    Instant::now()
}

const MS: Duration = Duration::from_millis(1);

fn echo(responder: &mut Responder, now: Instant, bytes: &[u8]) -> Vec<u8> {
    let mut input = Bytes::copy_from_slice(bytes);
    let mut out = Vec::new();
    loop {
        responder.handle_input(now, &mut input);
        let Some(chunk) = responder.poll_transmit() else {
            return out;
        };
        out.extend_from_slice(&chunk);
    }
}

#[test]
fn a_ping_measures_the_round_trip_in_microseconds() {
    let t = start();
    let mut initiator = Initiator::new([1; 32]);
    let mut responder = Responder::new(t);

    initiator.ping().unwrap();
    let sent = initiator.poll_transmit(t).unwrap();
    assert_eq!(sent.len(), PAYLOAD_LEN);
    let back = echo(&mut responder, t, &sent);
    initiator.handle_input(t + Duration::from_micros(1234), &back).unwrap();

    assert_eq!(initiator.poll_pong(), Some(Pong { sequence: 0, rtt: Duration::from_micros(1234) }));
    assert_eq!(initiator.poll_pong(), None);
}

#[test]
fn ten_pings_in_sequence_use_one_stream_and_never_repeat_a_payload() {
    let mut t = start();
    let mut initiator = Initiator::new([2; 32]);
    let mut responder = Responder::new(t);
    let mut payloads = std::collections::BTreeSet::new();

    for sequence in 0..10 {
        initiator.ping().unwrap();
        let sent = initiator.poll_transmit(t).unwrap();
        let back = echo(&mut responder, t, &sent);
        payloads.insert(sent);
        t += 3 * MS;
        initiator.handle_input(t, &back).unwrap();
        assert_eq!(initiator.poll_pong(), Some(Pong { sequence, rtt: 3 * MS }));
    }
    assert_eq!(payloads.len(), 10);

    initiator.finish();
    assert!(initiator.is_finished());
    responder.handle_end().unwrap();
    assert!(responder.is_finished());
    initiator.handle_end().unwrap();
}

#[test]
fn pings_in_flight_are_matched_in_order_and_timed_one_by_one() {
    let t = start();
    let mut initiator = Initiator::new([3; 32]);
    let mut wire = Vec::new();
    for i in 0..3 {
        initiator.ping().unwrap();
        wire.extend_from_slice(&initiator.poll_transmit(t + i * MS).unwrap());
    }
    initiator.handle_input(t + 10 * MS, &wire).unwrap();
    let rtts: Vec<_> = std::iter::from_fn(|| initiator.poll_pong()).map(|pong| pong.rtt).collect();
    assert_eq!(rtts, [10 * MS, 9 * MS, 8 * MS]);
}

#[test]
fn the_clock_of_a_ping_starts_when_it_is_handed_out() {
    let t = start();
    let mut initiator = Initiator::new([4; 32]);
    initiator.ping().unwrap();
    assert_eq!(initiator.poll_timeout(), None);
    let sent = initiator.poll_transmit(t + 40 * MS).unwrap();
    assert_eq!(initiator.poll_timeout(), Some(t + 40 * MS + PING_TIMEOUT));
    initiator.handle_input(t + 41 * MS, &sent).unwrap();
    assert_eq!(initiator.poll_pong().unwrap().rtt, MS);
    assert_eq!(initiator.poll_timeout(), None);
}

#[test]
fn a_flipped_bit_anywhere_in_the_echo_is_a_violation() {
    for bit in 0..PAYLOAD_LEN * 8 {
        let t = start();
        let mut initiator = Initiator::new([5; 32]);
        initiator.ping().unwrap();
        let mut back = initiator.poll_transmit(t).unwrap().to_vec();
        back[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(initiator.handle_input(t, &back), Err(PingError::WrongEcho));
        assert_eq!(initiator.poll_pong(), None);
        assert_eq!(initiator.ping(), Err(StartError::Failed(PingError::WrongEcho)));
        assert_eq!(initiator.handle_input(t, &[]), Err(PingError::WrongEcho));
        assert_eq!(initiator.poll_timeout(), None);
        assert!(!initiator.is_finished());
    }
}

#[test]
fn a_wrong_echo_is_noticed_at_its_first_wrong_byte() {
    let t = start();
    let mut initiator = Initiator::new([6; 32]);
    initiator.ping().unwrap();
    let first = initiator.poll_transmit(t).unwrap()[0];
    assert_eq!(initiator.handle_input(t, &[!first]), Err(PingError::WrongEcho));
}

#[test]
fn bytes_that_no_ping_asked_for_are_a_violation() {
    let t = start();
    assert_eq!(Initiator::new([0; 32]).handle_input(t, &[0]), Err(PingError::Unrequested));

    let mut queued_only = Initiator::new([0; 32]);
    queued_only.ping().unwrap();
    assert_eq!(queued_only.handle_input(t, &[0]), Err(PingError::Unrequested));

    let mut one_byte_more = Initiator::new([0; 32]);
    one_byte_more.ping().unwrap();
    let mut back = one_byte_more.poll_transmit(t).unwrap().to_vec();
    back.push(0);
    assert_eq!(one_byte_more.handle_input(t + MS, &back), Err(PingError::Unrequested));
    assert_eq!(one_byte_more.poll_pong().unwrap().rtt, MS, "the pong before the violation counts");
}

#[test]
fn a_silent_peer_fails_the_stream_at_the_deadline_and_not_before() {
    let t = start();
    let mut initiator = Initiator::new([8; 32]);
    initiator.ping().unwrap();
    let sent = initiator.poll_transmit(t).unwrap();
    initiator.handle_input(t, &sent[..31]).unwrap();
    let deadline = initiator.poll_timeout().unwrap();
    assert_eq!(initiator.handle_timeout(deadline - MS), Ok(()));
    assert_eq!(initiator.handle_timeout(deadline), Err(PingError::TimedOut));
}

#[test]
fn an_early_end_counts_the_unanswered_pings() {
    let t = start();
    let mut initiator = Initiator::new([9; 32]);
    initiator.ping().unwrap();
    initiator.ping().unwrap();
    let _sent = initiator.poll_transmit(t);
    assert_eq!(initiator.handle_end(), Err(PingError::Ended { waiting: 2 }));
}

#[test]
fn outstanding_pings_are_bounded() {
    let mut initiator = Initiator::new([10; 32]);
    for _ in 0..MAX_OUTSTANDING {
        initiator.ping().unwrap();
    }
    assert_eq!(initiator.ping(), Err(StartError::TooMany));
}

#[test]
fn finishing_still_sends_and_awaits_what_was_asked_for() {
    let t = start();
    let mut initiator = Initiator::new([11; 32]);
    initiator.ping().unwrap();
    initiator.finish();
    assert_eq!(initiator.ping(), Err(StartError::Finished));
    assert!(!initiator.is_finished());
    let sent = initiator.poll_transmit(t).unwrap();
    assert!(!initiator.is_finished());
    initiator.handle_input(t, &sent).unwrap();
    assert!(initiator.is_finished());
}

#[test]
fn the_responder_holds_31_bytes_and_echoes_at_the_32nd() {
    let t = start();
    let mut responder = Responder::new(t);
    assert_eq!(echo(&mut responder, t, &[7; 31]), []);
    assert_eq!(echo(&mut responder, t, &[8]), [[7; 31].as_slice(), &[8]].concat());
}

#[test]
fn pipelined_pings_are_all_echoed() {
    for len in [64, 320] {
        let t = start();
        let payload: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        assert_eq!(echo(&mut Responder::new(t), t, &payload), payload);
    }
}

#[test]
fn a_partial_payload_with_fin_is_an_error_after_the_whole_ones() {
    for received in 1..PAYLOAD_LEN {
        let t = start();
        let mut responder = Responder::new(t);
        let mut input = Bytes::from(vec![1; PAYLOAD_LEN + received]);
        responder.handle_input(t, &mut input);
        assert_eq!(responder.handle_end(), Err(ResponderError::Partial { received }));
        assert_eq!(responder.poll_transmit().unwrap().len(), PAYLOAD_LEN);
        assert!(responder.is_finished());
    }
}

#[test]
fn fin_with_the_last_payload_echoes_first_and_ends_then() {
    let t = start();
    let mut responder = Responder::new(t);
    responder.handle_input(t, &mut Bytes::from_static(&[9; PAYLOAD_LEN]));
    responder.handle_end().unwrap();
    assert!(!responder.is_finished());
    assert_eq!(responder.poll_transmit().unwrap(), [9; PAYLOAD_LEN].as_slice());
    assert!(responder.is_finished());
}

#[test]
fn the_responder_never_holds_more_than_its_bound() {
    let t = start();
    let mut responder = Responder::new(t);
    let mut input = Bytes::from(vec![0; MAX_BUFFERED + 1]);
    responder.handle_input(t, &mut input);
    assert_eq!(input.len(), 1);
    responder.handle_input(t, &mut input);
    assert_eq!(input.len(), 1, "full: the caller must send before it reads on");
    assert_eq!(responder.poll_transmit().unwrap().len(), MAX_BUFFERED);
    responder.handle_input(t, &mut input);
    assert_eq!(input.len(), 0);
}

#[test]
fn an_idle_stream_ends_and_a_dripping_one_too() {
    let t = start();
    let mut idle = Responder::new(t);
    assert_eq!(idle.handle_timeout(t + IDLE_TIMEOUT - MS), Ok(()));
    assert!(!idle.is_finished());
    assert_eq!(idle.handle_timeout(t + IDLE_TIMEOUT), Ok(()));
    assert!(idle.is_finished());
    assert_eq!(idle.poll_timeout(), None);

    let mut dripping = Responder::new(t);
    for i in 0..31 {
        dripping.handle_input(t + i * IDLE_TIMEOUT / 32, &mut Bytes::from_static(&[0]));
    }
    assert_eq!(dripping.handle_timeout(t + IDLE_TIMEOUT), Err(ResponderError::Partial { received: 31 }));

    let mut used = Responder::new(t);
    used.handle_input(t + 5 * MS, &mut Bytes::from_static(&[0; PAYLOAD_LEN]));
    assert_eq!(used.poll_timeout(), Some(t + 5 * MS + IDLE_TIMEOUT));
}

#[test]
fn bytes_after_the_end_are_dropped() {
    let t = start();
    let mut responder = Responder::new(t);
    responder.handle_end().unwrap();
    assert_eq!(echo(&mut responder, t, &[1; 64]), []);
}

proptest! {
    #[test]
    fn any_split_of_any_number_of_pings_is_measured(
        pings in 1..=MAX_OUTSTANDING,
        forward in prop::collection::vec(1usize..100, 1..40),
        back in prop::collection::vec(1usize..100, 1..40),
    ) {
        let t = start();
        let mut initiator = Initiator::new([42; 32]);
        let mut responder = Responder::new(t);
        let mut request = Vec::new();
        for _ in 0..pings {
            initiator.ping().unwrap();
        }
        while let Some(payload) = initiator.poll_transmit(t) {
            request.extend_from_slice(&payload);
        }
        let mut answer = Vec::new();
        for piece in split(&request, &forward) {
            answer.extend(echo(&mut responder, t, piece));
        }
        prop_assert_eq!(&answer, &request);
        for piece in split(&answer, &back) {
            initiator.handle_input(t + MS, piece).unwrap();
        }
        prop_assert_eq!(std::iter::from_fn(|| initiator.poll_pong()).count(), pings);
    }
}

fn split<'a>(mut bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at((*size).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}
