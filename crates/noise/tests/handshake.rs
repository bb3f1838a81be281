//! Honest peers, over every split of the bytes.

mod common;

use bowline_identity::Keypair;
use bowline_noise::{Established, Handshake, Identity, MuxerChoice};
use bytes::BytesMut;
use common::{MPLEX, YAMUX, alice, bob, connect, identity, initiator, pair, transmit};
use proptest::prelude::*;

fn inlined(muxer: &str) -> MuxerChoice {
    MuxerChoice::Inlined(muxer.to_owned())
}

/// Feeds `bytes` in pieces; the result, and what is left of the input.
fn feed(handshake: &mut Handshake, bytes: &[u8], cuts: &[usize]) -> (Option<Established>, BytesMut) {
    let (mut input, mut established, mut rest) = (BytesMut::new(), None, bytes);
    for cut in cuts.iter().chain([&usize::MAX]) {
        let (piece, later) = rest.split_at((*cut).min(rest.len()));
        input.extend_from_slice(piece);
        rest = later;
        established = established.or(handshake.handle_input(&mut input).unwrap());
    }
    (established, input)
}

// spec: noise/responder-happy, noise/initiator-happy, noise/msg2-payload, noise/msg3-payload
#[test]
fn two_peers_prove_themselves_to_each_other() {
    let (at_dialer, at_listener) = connect(&[YAMUX], &[YAMUX]);
    assert_eq!(at_dialer.peer.peer_id(), bob().peer_id());
    assert_eq!(at_dialer.peer.public_key(), bob().public());
    assert_eq!(at_listener.peer.peer_id(), alice().peer_id());
    assert_eq!(at_dialer.handshake_hash, at_listener.handshake_hash);
}

// spec: noise/msg1-has-no-payload
#[test]
fn message_1_is_a_key_and_nothing_else() {
    assert_eq!(transmit(&mut initiator(&[YAMUX])).len(), 2 + 32);
}

// spec: noise/ephemeral-fresh, noise/static-lifetime
#[test]
fn the_seed_alone_makes_the_ephemeral_key_and_the_identity_keeps_its_static_key() {
    let identity = identity(&alice());
    let first = |seed| transmit(&mut Handshake::initiator(&identity, None, &[], [seed; 32]));
    assert_eq!(first(1), first(1));
    assert_ne!(first(1), first(2));
    assert_eq!(identity.clone().peer_id(), alice().peer_id());
}

// spec: inline/initiator-preference, inline/single-choice
#[test]
fn the_first_entry_of_the_initiator_wins_whatever_the_responder_prefers() {
    for (initiators, responders, muxer) in [
        (&[YAMUX, MPLEX][..], &[MPLEX, YAMUX][..], inlined(YAMUX)),
        (&[MPLEX, YAMUX], &[YAMUX, MPLEX], inlined(MPLEX)),
        (&["/x/1", YAMUX], &[YAMUX], inlined(YAMUX)),
        (&[YAMUX], &[MPLEX, YAMUX], inlined(YAMUX)),
        (&[YAMUX], &[], MuxerChoice::Negotiate),
        (&[], &[YAMUX], MuxerChoice::Negotiate),
        (&[], &[], MuxerChoice::Negotiate),
    ] {
        let (at_dialer, at_listener) = connect(initiators, responders);
        assert_eq!(at_dialer.muxer, muxer);
        assert_eq!(at_listener.muxer, muxer);
    }
}

#[test]
fn a_finished_handshake_takes_no_more_input() {
    let (mut dialer, mut listener) = pair(&[], &[]);
    listener.handle_input(&mut transmit(&mut dialer)).unwrap();
    dialer.handle_input(&mut transmit(&mut listener)).unwrap();
    let mut input = BytesMut::from(&b"\xff\xff records"[..]);
    assert!(dialer.handle_input(&mut input).unwrap().is_none());
    assert_eq!(&input[..], b"\xff\xff records");
}

#[test]
fn an_identity_of_another_key_type_proves_itself() {
    let mut secp256k1 = vec![0x08, 2, 0x12, 32];
    secp256k1.extend_from_slice(&[0x11; 32]);
    let secp256k1 = Keypair::from_protobuf(&secp256k1).unwrap();
    let mut dialer =
        Handshake::initiator(&Identity::new(&secp256k1, [1; 32]), Some(bob().peer_id()), &[], [2; 32]);
    let mut listener = common::responder(&[]);
    listener.handle_input(&mut transmit(&mut dialer)).unwrap();
    dialer.handle_input(&mut transmit(&mut listener)).unwrap().unwrap();
    let established = listener.handle_input(&mut transmit(&mut dialer)).unwrap().unwrap();
    assert_eq!(established.peer.peer_id(), secp256k1.peer_id());
}

#[test]
fn debug_output_shows_no_keys() {
    let (mut dialer, _) = pair(&[YAMUX], &[]);
    let (at_dialer, _) = connect(&[], &[]);
    transmit(&mut dialer);
    let shown = format!("{dialer:?} {at_dialer:?} {:?}", identity(&alice()));
    assert!(shown.contains("Handshake { state: \"AwaitReply\", .. }"));
    assert!(shown.contains("Sealer { counter: 0, .. }") && shown.contains("Opener { counter: 0, .. }"));
    assert!(shown.contains("Shared { peer_id: ") && !shown.contains("secret"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    // spec: noise/coalesced, noise/one-byte-messages, inline/no-partial-bytes
    #[test]
    fn any_split_of_the_bytes_gives_the_same_connection(
        cuts in proptest::collection::vec(0_usize..40, 0..12),
        early in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let (mut dialer, mut listener) = pair(&[YAMUX], &[YAMUX]);
        let (none, left) = feed(&mut listener, &transmit(&mut dialer), &cuts);
        prop_assert!(none.is_none() && left.is_empty());
        let (at_dialer, left) = feed(&mut dialer, &transmit(&mut listener), &cuts);
        prop_assert!(left.is_empty());
        let mut wire = transmit(&mut dialer);
        let mut at_dialer = at_dialer.unwrap();
        at_dialer.sealer.seal(&early, &mut wire).unwrap();
        let (at_listener, mut left) = feed(&mut listener, &wire, &cuts);
        let plaintext = at_listener.unwrap().opener.open(&mut left).unwrap().unwrap();
        prop_assert_eq!(&plaintext[..], &early[..]);
        prop_assert!(left.is_empty());
    }

    #[test]
    fn no_bytes_of_a_peer_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), second in any::<bool>()) {
        let (mut dialer, mut listener) = pair(&[YAMUX], &[YAMUX]);
        let mut first = transmit(&mut dialer);
        if second {
            listener.handle_input(&mut first).unwrap();
        }
        for mut handshake in [dialer, listener] {
            let mut input = BytesMut::from(&bytes[..]);
            prop_assert!(!matches!(handshake.handle_input(&mut input), Ok(Some(_))));
        }
    }
}
