//! Peers that break the rules, in both roles.

#![allow(clippy::too_many_lines, reason = "transcripts")]

mod common;

use bowline_identity::{KeyError, Keypair, SignatureError};
use bowline_noise::{
    Established, Handshake, HandshakeError, MAX_HANDSHAKE_MESSAGE, MAX_HANDSHAKE_PAYLOAD, MuxerChoice,
    exchange::{Exchange, ExchangeError, Role, take_message},
};
use bytes::BytesMut;
use common::{
    Payload, YAMUX, alice, bob, bytes_field, carol, identity, initiator, pair, responder, signed_payload,
    transmit,
};

const STATIC: [u8; 32] = [0x51; 32];

/// The outcome of a handshake, and what our side sent in it.
struct Outcome {
    result: Result<Option<Established>, HandshakeError>,
    messages: Vec<BytesMut>,
}

/// A dishonest responder answers our initiator with `payload` in message 2.
fn answer(handshake: Handshake, payload: &[u8]) -> Outcome {
    let mut handshake = handshake;
    let mut messages = vec![transmit(&mut handshake)];
    let mut peer = Exchange::new(Role::Responder, STATIC, [0x52; 32]);
    peer.read(&take_message(&mut messages[0].clone()).unwrap()).unwrap();
    let mut wire = BytesMut::new();
    peer.write(payload, &mut wire).unwrap();
    let result = handshake.handle_input(&mut wire);
    messages.push(transmit(&mut handshake));
    Outcome { result, messages }
}

/// A dishonest initiator proves itself to our responder with `payload` in message 3.
fn prove(handshake: Handshake, payload: &[u8]) -> Outcome {
    let mut handshake = handshake;
    let mut peer = Exchange::new(Role::Initiator, STATIC, [0x53; 32]);
    let mut wire = BytesMut::new();
    peer.write(b"", &mut wire).unwrap();
    handshake.handle_input(&mut wire).unwrap();
    let mut messages = vec![transmit(&mut handshake)];
    peer.read(&take_message(&mut messages[0].clone()).unwrap()).unwrap();
    peer.write(payload, &mut wire).unwrap();
    let result = handshake.handle_input(&mut wire);
    messages.push(transmit(&mut handshake));
    Outcome { result, messages }
}

/// Both roles meet the payload; neither sends anything after it.
fn refused(payload: &[u8]) -> HandshakeError {
    let at_initiator = answer(initiator(&[YAMUX]), payload);
    let at_responder = prove(responder(&[YAMUX]), payload);
    let errors = [at_initiator.result.unwrap_err(), at_responder.result.unwrap_err()];
    assert_eq!(errors[0], errors[1]);
    assert_eq!(at_initiator.messages[0].len(), 34, "message 1 is one key");
    assert!(at_initiator.messages[1].is_empty(), "an initiator must not send message 3");
    assert!(at_responder.messages[1].is_empty());
    errors[0].clone()
}

fn accepted(payload: &[u8]) {
    assert!(answer(initiator(&[YAMUX]), payload).result.unwrap().is_some());
    assert!(prove(responder(&[YAMUX]), payload).result.unwrap().is_some());
}

// spec: noise/bad-signature
#[test]
fn a_signature_with_any_bit_flipped_is_refused() {
    let good = signed_payload(&bob(), &STATIC);
    accepted(&good.encode());
    for position in 0..64 {
        let mut signature = good.signature.clone().unwrap();
        signature[position] ^= 1;
        let payload = Payload { signature: Some(signature), ..good.clone() };
        assert_eq!(refused(&payload.encode()), HandshakeError::Signature(SignatureError), "byte {position}");
    }
}

// spec: noise/missing-signature, noise/missing-key, noise/empty-payload, noise/garbage-payload
#[test]
fn a_payload_without_its_parts_is_refused() {
    let good = signed_payload(&bob(), &STATIC);
    let unsigned = Payload { signature: None, ..good.clone() };
    assert_eq!(refused(&unsigned.encode()), HandshakeError::Signature(SignatureError));
    let keyless = Payload { key: None, ..good.clone() };
    assert_eq!(refused(&keyless.encode()), HandshakeError::NoKey);
    assert_eq!(refused(b""), HandshakeError::NoKey);
    assert!(matches!(refused(&[0xff; 40]), HandshakeError::Payload(_)));
    assert!(matches!(refused(b"\x08\x01"), HandshakeError::Malformed));
    let empty_key = Payload { key: Some(Vec::new()), ..good };
    assert!(matches!(refused(&empty_key.encode()), HandshakeError::Key(_)));
}

// spec: noise/sig-by-other-key
#[test]
fn a_signature_by_another_key_is_refused() {
    let mallory = Keypair::from_ed25519_seed([0x66; 32]);
    let by_mallory = signed_payload(&mallory, &STATIC);
    let payload = Payload { key: Some(bob().public().to_protobuf()), ..by_mallory };
    assert_eq!(refused(&payload.encode()), HandshakeError::Signature(SignatureError));
}

// spec: noise/sig-wrong-domain
#[test]
fn a_signature_over_other_words_is_refused() {
    let public = common::static_public(&STATIC);
    let alone = public.to_vec();
    let other_words = [b"noise-libp2p-static-key;", &public[..]].concat();
    let text = [b"noise-libp2p-static-key:", hex::encode(public).as_bytes()].concat();
    for message in [alone, other_words, text] {
        let signature = bob().sign(&message);
        let payload = Payload { signature: Some(signature), ..signed_payload(&bob(), &STATIC) };
        assert_eq!(refused(&payload.encode()), HandshakeError::Signature(SignatureError));
    }
}

// spec: noise/sig-replay
#[test]
fn a_payload_of_another_session_is_refused() {
    let captured = signed_payload(&bob(), &[0x77; 32]);
    assert_eq!(refused(&captured.encode()), HandshakeError::Signature(SignatureError));
}

// spec: noise/early-data-discarded
#[test]
fn what_an_unverified_peer_lists_is_never_looked_at() {
    let good = signed_payload(&bob(), &STATIC);
    let payload = Payload { signature: Some(vec![0; 64]), muxers: vec!["/none/1".into()], ..good };
    assert_eq!(refused(&payload.encode()), HandshakeError::Signature(SignatureError));
}

#[test]
fn oversized_parts_are_refused() {
    let good = signed_payload(&bob(), &STATIC);
    let len = 2000;
    let payload = Payload { signature: Some(vec![0; len]), ..good.clone() };
    assert_eq!(refused(&payload.encode()), HandshakeError::Signature(SignatureError));
    let payload = Payload { key: Some(vec![0; 3000]), ..good.clone() };
    assert_eq!(refused(&payload.encode()), HandshakeError::Key(KeyError::TooLarge { len: 3000 }));
    let payload = Payload { muxers: vec!["/m".into(); 101], ..good };
    assert_eq!(refused(&payload.encode()), HandshakeError::TooManyMuxers);
}

// spec: noise/unknown-payload-fields, noise/payload-field-order, noise/ext-unknown-codepoint
#[test]
fn unknown_fields_and_any_order_are_fine() {
    let good = signed_payload(&bob(), &STATIC);
    let with = |extra: &[u8]| [&good.encode(), extra].concat();
    accepted(&with(b"\x1a\x04data"));
    accepted(&with(b"\x9a\x06\x02hi"));
    accepted(&with(b"\x22\x05\x82\x7d\x02hi"));
    accepted(&with(b"\x22\x04\x0a\x02\x12\x34"));
    let key_only = Payload { signature: None, ..good.clone() };
    let signature_only = Payload { key: None, ..good };
    accepted(&[signature_only.encode(), key_only.encode()].concat());
}

// spec: noise/large-handshake-payload
#[test]
fn a_payload_of_8_kib_passes_and_a_larger_message_is_refused_by_its_length_alone() {
    let mut payload = signed_payload(&bob(), &STATIC).encode();
    let filler = MAX_HANDSHAKE_PAYLOAD - payload.len() - 4;
    payload.extend_from_slice(&bytes_field(99, &vec![0; filler]));
    assert_eq!(payload.len(), MAX_HANDSHAKE_PAYLOAD);
    accepted(&payload);
    let len = MAX_HANDSHAKE_MESSAGE + 1;
    for mut handshake in [initiator(&[]), responder(&[])] {
        let mut input = BytesMut::from(&u16::try_from(len).unwrap().to_be_bytes()[..]);
        let refused = HandshakeError::TooLong { len };
        assert_eq!(handshake.handle_input(&mut input).unwrap_err(), refused);
        assert_eq!(handshake.handle_input(&mut input).unwrap_err(), refused, "the error stays");
    }
}

// spec: noise/msg1-nonempty
#[test]
fn a_payload_in_message_1_is_ignored() {
    let mut handshake = responder(&[YAMUX]);
    let mut peer = Exchange::new(Role::Initiator, STATIC, [0x53; 32]);
    let mut wire = BytesMut::new();
    peer.write(b"hello", &mut wire).unwrap();
    handshake.handle_input(&mut wire).unwrap();
    let mut answer = transmit(&mut handshake);
    peer.read(&take_message(&mut answer).unwrap()).unwrap();
    peer.write(&signed_payload(&bob(), &STATIC).encode(), &mut wire).unwrap();
    assert!(handshake.handle_input(&mut wire).unwrap().is_some());
}

// spec: noise/msg1-short, noise/msg1-empty-frame
#[test]
fn a_message_1_of_less_than_a_key_is_refused() {
    for len in 0..32 {
        let mut handshake = responder(&[]);
        let mut wire = BytesMut::from(&[0, len][..]);
        wire.resize(2 + usize::from(len), 9);
        let problem = HandshakeError::Message { message: 1, problem: ExchangeError::TooShort };
        assert_eq!(handshake.handle_input(&mut wire).unwrap_err(), problem, "{len} bytes");
        assert!(transmit(&mut handshake).is_empty());
    }
}

// spec: noise/low-order-point
#[test]
fn an_ephemeral_key_of_small_order_is_refused_without_an_answer() {
    let mut one = [0; 32];
    one[0] = 1;
    for point in [[0; 32], one] {
        let mut handshake = responder(&[]);
        let mut wire = BytesMut::from(&[0, 32][..]);
        wire.extend_from_slice(&point);
        let weak = HandshakeError::Message { message: 2, problem: ExchangeError::WeakKey };
        assert_eq!(handshake.handle_input(&mut wire).unwrap_err(), weak);
        assert!(transmit(&mut handshake).is_empty());
        let mut handshake = initiator(&[]);
        transmit(&mut handshake);
        let mut wire = BytesMut::from(&[0, 200][..]);
        wire.extend_from_slice(&point);
        wire.resize(202, 0);
        let weak = HandshakeError::Message { message: 2, problem: ExchangeError::WeakKey };
        assert_eq!(handshake.handle_input(&mut wire).unwrap_err(), weak);
        assert!(transmit(&mut handshake).is_empty());
    }
}

// spec: noise/tampered-msg2
#[test]
fn message_2_with_any_byte_changed_is_refused_and_not_answered() {
    let (mut dialer, mut listener) = pair(&[YAMUX], &[YAMUX]);
    listener.handle_input(&mut transmit(&mut dialer)).unwrap();
    let message = transmit(&mut listener);
    for position in 2..message.len() {
        let mut dialer = initiator(&[YAMUX]);
        transmit(&mut dialer);
        let mut changed = message.clone();
        changed[position] ^= 0x10;
        let error = dialer.handle_input(&mut changed).unwrap_err();
        assert_eq!(
            error,
            HandshakeError::Message { message: 2, problem: ExchangeError::NotAuthentic },
            "byte {position}"
        );
        assert!(transmit(&mut dialer).is_empty());
    }
}

// spec: noise/tampered-msg3
#[test]
fn message_3_with_any_byte_changed_is_refused() {
    let (mut dialer, mut listener) = pair(&[YAMUX], &[YAMUX]);
    let first = transmit(&mut dialer);
    listener.handle_input(&mut first.clone()).unwrap();
    dialer.handle_input(&mut transmit(&mut listener)).unwrap();
    let third = transmit(&mut dialer);
    for position in 2..third.len() {
        let mut listener = responder(&[YAMUX]);
        listener.handle_input(&mut first.clone()).unwrap();
        let mut changed = third.clone();
        changed[position] ^= 0x01;
        let error = listener.handle_input(&mut changed).unwrap_err();
        assert_eq!(
            error,
            HandshakeError::Message { message: 3, problem: ExchangeError::NotAuthentic },
            "byte {position}"
        );
    }
}

#[test]
fn message_1_with_any_byte_changed_ends_at_message_2() {
    for position in 2..34 {
        let (mut dialer, mut listener) = pair(&[], &[]);
        let mut first = transmit(&mut dialer);
        first[position] ^= 0x08;
        listener.handle_input(&mut first).unwrap();
        assert!(dialer.handle_input(&mut transmit(&mut listener)).is_err(), "byte {position}");
        assert!(transmit(&mut dialer).is_empty());
    }
}

#[test]
fn messages_of_every_shorter_length_are_refused() {
    let (mut dialer, mut listener) = pair(&[YAMUX], &[YAMUX]);
    let first = transmit(&mut dialer);
    listener.handle_input(&mut first.clone()).unwrap();
    let mut second = transmit(&mut listener);
    for len in 0..second.len() - 2 {
        let mut dialer = initiator(&[YAMUX]);
        transmit(&mut dialer);
        let mut cut = BytesMut::from(&u16::try_from(len).unwrap().to_be_bytes()[..]);
        cut.extend_from_slice(&second[2..2 + len]);
        assert!(dialer.handle_input(&mut cut).is_err(), "{len} bytes");
    }
    dialer.handle_input(&mut second).unwrap();
    let third = transmit(&mut dialer);
    for len in 0..third.len() - 2 {
        let mut listener = responder(&[YAMUX]);
        listener.handle_input(&mut first.clone()).unwrap();
        let mut cut = BytesMut::from(&u16::try_from(len).unwrap().to_be_bytes()[..]);
        cut.extend_from_slice(&third[2..2 + len]);
        assert!(listener.handle_input(&mut cut).is_err(), "{len} bytes");
    }
}

#[test]
fn a_message_1_that_is_sent_again_is_no_message_3() {
    let (mut dialer, mut listener) = pair(&[], &[]);
    let mut first = transmit(&mut dialer);
    listener.handle_input(&mut first.clone()).unwrap();
    let error = listener.handle_input(&mut first).unwrap_err();
    assert_eq!(error, HandshakeError::Message { message: 3, problem: ExchangeError::TooShort });
}

// spec: conn/peer-id-checked
#[test]
fn a_wrong_peer_sees_nothing_but_message_1() {
    let mut dialer = Handshake::initiator(&identity(&alice()), Some(carol().peer_id()), &[YAMUX], [5; 32]);
    let mut listener = responder(&[YAMUX]);
    let mut sent = transmit(&mut dialer);
    let first = sent.clone();
    listener.handle_input(&mut first.clone()).unwrap();
    let error = dialer.handle_input(&mut transmit(&mut listener)).unwrap_err();
    let (expected, actual) = (carol().peer_id(), bob().peer_id());
    assert_eq!(error, HandshakeError::WrongPeer { expected, actual });
    sent.extend_from_slice(&transmit(&mut dialer));
    assert_eq!(sent, first, "nothing but message 1 was ever sent");
    assert_eq!(sent.len(), 34);
}

#[test]
fn a_responder_that_expects_a_peer_refuses_another() {
    let (mut dialer, _) = pair(&[], &[]);
    let mut listener = Handshake::responder(&identity(&bob()), Some(carol().peer_id()), &[], [6; 32]);
    listener.handle_input(&mut transmit(&mut dialer)).unwrap();
    dialer.handle_input(&mut transmit(&mut listener)).unwrap();
    let error = listener.handle_input(&mut transmit(&mut dialer)).unwrap_err();
    let (expected, actual) = (carol().peer_id(), alice().peer_id());
    assert_eq!(error, HandshakeError::WrongPeer { expected, actual });
}

// spec: inline/no-overlap-fails
#[test]
fn two_lists_without_a_common_muxer_fail_in_both_roles() {
    let payload = Payload { muxers: vec!["/conformance/1".into()], ..signed_payload(&bob(), &STATIC) };
    assert_eq!(refused(&payload.encode()), HandshakeError::NoCommonMuxer);
}

// spec: inline/unknown-entries-skipped, inline/empty-list, inline/absent-fallback
#[test]
fn unknown_muxers_are_skipped_and_an_empty_list_is_none() {
    let good = signed_payload(&bob(), &STATIC);
    let listed = Payload { muxers: vec!["/x/1".into(), YAMUX.into()], ..good.clone() };
    let empty = [&good.encode()[..], b"\x22\x00"].concat();
    for (payload, muxer) in [
        (listed.encode(), MuxerChoice::Inlined(YAMUX.into())),
        (empty, MuxerChoice::Negotiate),
        (good.encode(), MuxerChoice::Negotiate),
    ] {
        let at_initiator = answer(initiator(&[YAMUX]), &payload).result.unwrap().unwrap();
        let at_responder = prove(responder(&[YAMUX]), &payload).result.unwrap().unwrap();
        assert_eq!(at_initiator.muxer, muxer);
        assert_eq!(at_responder.muxer, muxer);
    }
}
