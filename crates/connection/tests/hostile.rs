//! Peers that break the rules of an upgrade.

#![allow(clippy::too_many_lines, reason = "transcripts")]

mod common;

use bowline_connection::{ConnectionError, Secured, Stage, Upgrade, UpgradeError};
use bowline_multistream::{MAX_TOTAL, NegotiationError};
use bowline_noise::{CipherError, Handshake, HandshakeError, Identity, LENGTH_PREFIX, MAX_HANDSHAKE_MESSAGE};
use bytes::BytesMut;
use common::{
    HEADER, Puppet, YAMUX, alice, bob, carol, config, dialer, flight, listener, messages, received, start,
    texts,
};
use proptest::prelude::*;

/// A yamux ping request: what a client may send first.
const PING: [u8; 12] = [0, 2, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4];

/// A frame of data that opens stream 1.
const DATA: &[u8] = b"\0\0\0\x01\0\0\0\x01\0\0\0\x05hello";

fn open_dialer() -> Upgrade {
    Upgrade::dialer(start(), &config(&alice(), false), None, [0x1e; 32])
}

// spec: conn/security-first, conn/no-plaintext, mss/simopen-na
#[test]
fn nothing_but_noise_is_spoken_in_the_clear() {
    let now = start();
    let mut at_listener = listener(now, true);
    let proposals = [
        HEADER,
        YAMUX,
        "/plaintext/2.0.0",
        "/plaintext/1.0.0",
        "/secio/1.0.0",
        "/tls/1.0.0",
        "/libp2p/simultaneous-connect",
    ];
    at_listener.handle_input(now, &mut messages(&proposals)).unwrap();
    assert_eq!(texts(&flight(&mut at_listener)), [HEADER, "na", "na", "na", "na", "na", "na"]);
    at_listener.handle_input(now, &mut messages(&["/noise"])).unwrap();
    assert_eq!(texts(&flight(&mut at_listener)), ["/noise"]);
}

// spec: conn/peer-id-checked
#[test]
fn a_wrong_peer_is_named_and_sees_nothing_but_the_first_flight() {
    let now = start();
    let expected = carol().peer_id();
    let mut at_dialer = Upgrade::dialer(now, &config(&alice(), true), Some(expected), [0x1e; 32]);
    let mut at_listener = listener(now, true);
    let mut first = flight(&mut at_dialer);
    assert_eq!(first.len(), messages(&[HEADER, "/noise"]).len() + 34);
    at_listener.handle_input(now, &mut first).unwrap();
    let error = at_dialer.handle_input(now, &mut flight(&mut at_listener)).unwrap_err();
    assert_eq!(error, UpgradeError::WrongPeer { expected, actual: bob().peer_id() });
    assert_eq!(error.stage(), Stage::Handshake);
    assert!(flight(&mut at_dialer).is_empty(), "message 3 was never made");
    assert!(at_dialer.poll_upgraded(now).is_none());
}

// spec: mss/wrong-header, mss/no-header, mss/no-newline, conn/handshake-failure-aborts
#[test]
fn garbage_at_each_stage_of_a_listener_ends_it_with_that_stage() {
    let now = start();
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x07/noise\n", b"\x16\x03\x01\x02\x00\x01\x00", b"\x00"]
    {
        let mut upgrade = listener(now, true);
        let mut input = BytesMut::from(garbage);
        // The first byte of each is the length of a message: all of it must be there to be judged.
        input.resize(100, 0);
        let error = upgrade.handle_input(now, &mut input).unwrap_err();
        assert_eq!(error.stage(), Stage::SecuritySelect, "{garbage:?}");
        assert!(matches!(error, UpgradeError::Negotiation { .. }));
        assert!(flight(&mut upgrade).is_empty());
    }
    for garbage in [
        &b"\0\0"[..],
        b"\0\x05hello",
        b"\xff\xff",
        b"\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ] {
        let mut upgrade = listener(now, true);
        let mut input = messages(&[HEADER, "/noise"]);
        input.extend_from_slice(garbage);
        let error = upgrade.handle_input(now, &mut input).unwrap_err();
        assert!(matches!(error, UpgradeError::Handshake(_)), "{garbage:?}: {error}");
        assert_eq!(texts(&flight(&mut upgrade)), [HEADER, "/noise"], "no message 2, and no other security");
        let again = upgrade.handle_input(now, &mut messages(&["/tls/1.0.0"]));
        assert_eq!(again, Err(error), "the error stays");
    }
    let mut upgrade = listener(now, true);
    let (mut puppet, mut third) = Puppet::dial(now, &mut upgrade, &[]);
    third.extend_from_slice(&puppet.seal(&[b"\x07/yamux\n"]));
    let error = upgrade.handle_input(now, &mut third).unwrap_err();
    let source = NegotiationError::WrongHeader;
    assert_eq!(error, UpgradeError::Negotiation { stage: Stage::MuxerSelect, source });
}

#[test]
fn garbage_at_each_stage_of_a_dialer_ends_it_with_that_stage() {
    let now = start();
    for (garbage, stage) in [
        (&b"HTTP/1.1 400 Bad Request\r\n"[..], Stage::SecuritySelect),
        (b"\x13/multistream/1.0.0\n\x07/noise \n", Stage::SecuritySelect),
        (b"\x13/multistream/1.0.0\n\x07/noise\n\0\0", Stage::Handshake),
        (b"\x13/multistream/1.0.0\n\x07/noise\n\xff\xff", Stage::Handshake),
    ] {
        let mut upgrade = dialer(now, true);
        let first = flight(&mut upgrade);
        let mut input = BytesMut::from(garbage);
        input.resize(100, 0);
        let error = upgrade.handle_input(now, &mut input).unwrap_err();
        assert_eq!(error.stage(), stage, "{garbage:?}: {error}");
        assert!(flight(&mut upgrade).is_empty(), "{first:?}");
    }
}

// spec: mss/initiator-next-after-na
#[test]
fn a_peer_without_noise_is_refused_with_what_was_offered() {
    let now = start();
    let mut upgrade = dialer(now, true);
    let error = upgrade.handle_input(now, &mut messages(&[HEADER, "na"])).unwrap_err();
    let source = NegotiationError::Refused { offered: vec![bowline_connection::NOISE] };
    assert_eq!(error, UpgradeError::Negotiation { stage: Stage::SecuritySelect, source });
}

// spec: noise/tampered-msg3
#[test]
fn a_message_3_with_any_byte_changed_ends_the_upgrade() {
    let now = start();
    let mut reference = listener(now, true);
    let (_, third) = Puppet::dial(now, &mut reference, &[YAMUX]);
    for position in (2..third.len()).step_by(7) {
        let mut upgrade = listener(now, true);
        let _puppet = Puppet::dial(now, &mut upgrade, &[YAMUX]);
        let mut changed = third.clone();
        changed[position] ^= 1;
        let error = upgrade.handle_input(now, &mut changed).unwrap_err();
        assert!(matches!(error, UpgradeError::Handshake(HandshakeError::Message { message: 3, .. })));
        assert!(flight(&mut upgrade).is_empty(), "byte {position}");
        assert!(upgrade.poll_upgraded(now).is_none());
    }
}

// spec: inline/no-overlap-fails
#[test]
fn a_peer_with_other_muxers_only_is_refused_in_both_roles() {
    let now = start();
    let no_common = UpgradeError::Handshake(HandshakeError::NoCommonMuxer);
    let mut at_listener = listener(now, true);
    let mut hello = Handshake::initiator(&Identity::new(&carol(), [7; 32]), None, &["/mplex/6.7.0"], [8; 32]);
    let mut wire = messages(&[HEADER, "/noise"]);
    assert!(hello.poll_transmit(&mut wire));
    at_listener.handle_input(now, &mut wire).unwrap();
    let mut answer = flight(&mut at_listener).split_off(messages(&[HEADER, "/noise"]).len());
    assert_eq!(hello.handle_input(&mut answer).unwrap_err(), HandshakeError::NoCommonMuxer);

    let mut at_dialer = Upgrade::dialer(now, &config(&alice(), true), None, [0x1e; 32]);
    let mut first = flight(&mut at_dialer).split_off(messages(&[HEADER, "/noise"]).len());
    let mut responder =
        Handshake::responder(&Identity::new(&carol(), [7; 32]), None, &["/mplex/6.7.0"], [8; 32]);
    responder.handle_input(&mut first).unwrap();
    let mut wire = messages(&[HEADER, "/noise"]);
    assert!(responder.poll_transmit(&mut wire));
    assert_eq!(at_dialer.handle_input(now, &mut wire), Err(no_common));
    assert!(flight(&mut at_dialer).is_empty(), "no message 3, and no negotiation instead");
}

// spec: inline/no-partial-bytes, noise/coalesced
#[test]
fn frames_that_come_with_message_3_are_not_lost() {
    let now = start();
    let mut upgrade = listener(now, true);
    let (mut puppet, mut third) = Puppet::dial(now, &mut upgrade, &[YAMUX]);
    third.extend_from_slice(&puppet.seal(&[&PING, DATA]));
    upgrade.handle_input(now, &mut third).unwrap();
    assert!(!third.is_empty(), "ciphertext behind the handshake is left to the caller");
    let mut secured = Secured::from(upgrade.poll_upgraded(now).unwrap());
    secured.handle_ciphertext(now, &mut third).unwrap();
    assert_eq!(received(now, &mut secured).as_deref(), Some(&b"hello"[..]));
}

// spec: mss/no-byte-loss-after-select, mss/pipelined-payload
#[test]
fn frames_in_the_record_of_the_proposal_are_not_lost() {
    let now = start();
    let mut upgrade = listener(now, false);
    let (mut puppet, mut third) = Puppet::dial(now, &mut upgrade, &[]);
    let mut whole = messages(&[HEADER, YAMUX]);
    whole.extend_from_slice(&DATA[..9]);
    third.extend_from_slice(&puppet.seal(&[&whole, &DATA[9..]]));
    upgrade.handle_input(now, &mut third).unwrap();
    let answer = puppet.open(flight(&mut upgrade));
    assert_eq!(answer.len(), 2, "header and echo are a record each");
    assert_eq!(texts(&answer.concat()), [HEADER, YAMUX]);
    let mut secured = Secured::from(upgrade.poll_upgraded(now).unwrap());
    secured.handle_ciphertext(now, &mut third).unwrap();
    assert_eq!(received(now, &mut secured).as_deref(), Some(&b"hello"[..]));
}

// spec: noise/one-byte-messages, noise/empty-transport, mss/bytewise
#[test]
fn a_negotiation_in_records_of_one_byte_and_of_none_is_understood() {
    let now = start();
    let mut upgrade = listener(now, false);
    let (mut puppet, mut third) = Puppet::dial(now, &mut upgrade, &[]);
    for byte in messages(&[HEADER, YAMUX]) {
        third.extend_from_slice(&puppet.seal(&[b"", &[byte]]));
    }
    third.extend_from_slice(&puppet.seal(&[b"", DATA]));
    upgrade.handle_input(now, &mut third).unwrap();
    let mut secured = Secured::from(upgrade.poll_upgraded(now).unwrap());
    secured.handle_ciphertext(now, &mut third).unwrap();
    assert_eq!(received(now, &mut secured).as_deref(), Some(&b"hello"[..]));
}

// spec: mss/na-then-retry
#[test]
fn another_muxer_is_refused_and_yamux_is_taken() {
    let now = start();
    let mut upgrade = listener(now, false);
    let (mut puppet, mut third) = Puppet::dial(now, &mut upgrade, &[]);
    third.extend_from_slice(&puppet.seal(&[&messages(&[HEADER, "/mplex/6.7.0"])]));
    upgrade.handle_input(now, &mut third).unwrap();
    assert!(upgrade.poll_upgraded(now).is_none());
    upgrade.handle_input(now, &mut puppet.seal(&[&messages(&[YAMUX])])).unwrap();
    let answer = puppet.open(flight(&mut upgrade));
    assert_eq!(answer.len(), 3, "a record each");
    assert_eq!(texts(&answer.concat()), [HEADER, "na", YAMUX]);
    assert!(upgrade.poll_upgraded(now).is_some());
}

// spec: noise/tampered-transport, noise/replayed-transport, noise/short-frame
#[test]
fn a_bad_record_during_the_choice_of_the_muxer_ends_the_upgrade() {
    let now = start();
    let header = messages(&[HEADER]);
    let tampered = |puppet: &mut Puppet| {
        let mut record = puppet.seal(&[&header]);
        record[5] ^= 1;
        record
    };
    let replayed = |puppet: &mut Puppet| {
        let record = puppet.seal(&[b""]);
        BytesMut::from(&[&record[..], &record[..]].concat()[..])
    };
    let short = |_: &mut Puppet| BytesMut::from(&b"\0\0"[..]);
    let ends = |make: &dyn Fn(&mut Puppet) -> BytesMut| {
        let mut upgrade = listener(now, false);
        let (mut puppet, mut input) = Puppet::dial(now, &mut upgrade, &[]);
        input.extend_from_slice(&make(&mut puppet));
        let error = upgrade.handle_input(now, &mut input).unwrap_err();
        assert!(flight(&mut upgrade).is_empty(), "the proposal was not answered");
        error
    };
    assert_eq!(ends(&tampered), UpgradeError::Record(CipherError::NotAuthentic));
    assert_eq!(ends(&replayed), UpgradeError::Record(CipherError::NotAuthentic));
    assert_eq!(ends(&short), UpgradeError::Record(CipherError::TooShort { len: 0 }));
}

#[test]
fn a_dialer_reads_the_answer_to_its_muxer_before_any_frame() {
    let now = start();
    let mut upgrade = open_dialer();
    let (mut puppet, second) = Puppet::answer(now, &mut upgrade, &[]);
    let proposal = puppet.open(second);
    assert_eq!(proposal.len(), 2);
    assert_eq!(texts(&proposal.concat()), [HEADER, YAMUX]);
    let mut secured = Secured::from(upgrade.poll_upgraded(now).unwrap());
    assert!(secured.cipher.awaits_muxer());
    let mut input = BytesMut::new();
    for byte in messages(&[HEADER, YAMUX]) {
        input.extend_from_slice(&puppet.seal(&[b"", &[byte]]));
    }
    secured.handle_ciphertext(now, &mut input).unwrap();
    assert!(!secured.cipher.awaits_muxer());
    // A listener's streams have even ids.
    let frame = b"\0\0\0\x01\0\0\0\x02\0\0\0\x02hi";
    secured.handle_ciphertext(now, &mut puppet.seal(&[frame])).unwrap();
    assert_eq!(received(now, &mut secured).as_deref(), Some(&b"hi"[..]));
}

#[test]
fn frames_in_the_record_of_the_answer_are_not_lost() {
    let now = start();
    let mut upgrade = open_dialer();
    let (mut puppet, _) = Puppet::answer(now, &mut upgrade, &[]);
    let mut secured = Secured::from(upgrade.poll_upgraded(now).unwrap());
    let mut whole = messages(&[HEADER, YAMUX]);
    whole.extend_from_slice(b"\0\0\0\x01\0\0\0\x02\0\0\0\x02hi");
    secured.handle_ciphertext(now, &mut puppet.seal(&[&whole])).unwrap();
    assert_eq!(received(now, &mut secured).as_deref(), Some(&b"hi"[..]));
}

// spec: mss/initiator-wrong-echo, mss/initiator-junk-answer
#[test]
fn a_muxer_that_is_not_agreed_to_ends_the_connection() {
    let now = start();
    let refused = NegotiationError::Refused { offered: vec![bowline_connection::YAMUX] };
    let unexpected = NegotiationError::UnexpectedAnswer { proposed: bowline_connection::YAMUX };
    let frames_first = NegotiationError::NoNewline;
    for (plaintext, error) in [
        (messages(&[HEADER, "na"]), refused),
        (messages(&[HEADER, "/mplex/6.7.0"]), unexpected),
        (messages(&[YAMUX]), NegotiationError::WrongHeader),
        (BytesMut::from(&PING[..]), frames_first),
    ] {
        let mut upgrade = open_dialer();
        let (mut puppet, _) = Puppet::answer(now, &mut upgrade, &[]);
        let mut secured = Secured::from(upgrade.poll_upgraded(now).unwrap());
        let mut input = puppet.seal(&[&plaintext, DATA]);
        let ended = ConnectionError::Muxer(error);
        assert_eq!(secured.handle_ciphertext(now, &mut input), Err(ended.clone()));
        assert_eq!(secured.handle_ciphertext(now, &mut input), Err(ended), "no frame is accepted after it");
        assert_eq!(received(now, &mut secured), None);
    }
}

/// Feeds `next` until the listener gives up; how many bytes it read.
fn read_until_the_end(upgrade: &mut Upgrade, mut next: impl FnMut() -> Vec<u8>) -> usize {
    let now = start();
    let (mut input, mut fed) = (BytesMut::new(), 0);
    loop {
        let bytes = next();
        fed += bytes.len();
        assert!(fed < 1 << 20, "unbounded");
        input.extend_from_slice(&bytes);
        if upgrade.handle_input(now, &mut input).is_err() {
            return fed;
        }
    }
}

// spec: mss/na-limit, mss/limit, noise/large-handshake-payload
#[test]
fn what_an_unknown_peer_may_send_is_bounded() {
    let bound = MAX_TOTAL + 2 * (LENGTH_PREFIX + MAX_HANDSHAKE_MESSAGE);
    let mut unknown = listener(start(), true);
    let mut header = Some(messages(&[HEADER]).to_vec());
    let long = "x".repeat(1000);
    let fed =
        read_until_the_end(&mut unknown, || header.take().unwrap_or_else(|| messages(&[&long]).to_vec()));
    assert!(fed <= bound, "{fed}");
    let mut silent_in_handshake = listener(start(), true);
    let mut select = Some(messages(&[HEADER, "/noise"]).to_vec());
    let fed =
        read_until_the_end(&mut silent_in_handshake, || select.take().unwrap_or_else(|| vec![0x20; 100]));
    assert!(fed <= bound, "{fed}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_of_a_peer_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        select in any::<bool>(),
        dials in any::<bool>(),
    ) {
        let now = start();
        let mut upgrade = if dials { dialer(now, true) } else { listener(now, true) };
        let mut input = if select { messages(&[HEADER, "/noise"]) } else { BytesMut::new() };
        input.extend_from_slice(&bytes);
        let _outcome = upgrade.handle_input(now, &mut input);
        prop_assert!(upgrade.poll_upgraded(now).is_none());
        let _flight = flight(&mut upgrade);
    }
}
