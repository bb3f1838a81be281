//! What one side encodes the other reads; and what a peer can do wrong.
#![allow(clippy::too_many_lines, reason = "transcripts")]

use bowline_identify::{
    Encoded, Info, KeyStatus, Local, MAX_ADDRESSES, MAX_MESSAGE, MAX_PROTOCOLS, MAX_SENT, MAX_TOTAL,
    MAX_VERSION_LEN, ReceiveError, Receiver, Records, Skipped,
};
use bowline_identity::{Keypair, Multiaddr, PeerId, PeerRecord, address};
use bowline_wire::{FrameError, encode_frame, varint};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

const PUBLIC: &str = "/ip4/203.0.113.1/tcp/50000";
const PRIVATE: &str = "/ip4/192.168.7.7/tcp/50000";
const LOOPBACK: &str = "/ip4/127.0.0.1/tcp/50000";

fn keypair() -> Keypair {
    Keypair::from_ed25519_seed([1; 32])
}

fn other() -> Keypair {
    Keypair::from_ed25519_seed([2; 32])
}

fn addr(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

fn local<'a>(keypair: &'a Keypair, remote: &str) -> Local<'a> {
    Local {
        keypair,
        protocol_version: "ipfs/0.1.0",
        agent_version: "test/1",
        protocols: vec!["/a/1", "/b/1"],
        listen_addrs: vec![addr("/ip4/198.51.100.7/tcp/4001")],
        remote_addr: addr(remote),
        record_seq: None,
    }
}

/// A message written field by field, legal or not.
#[derive(Default, Clone)]
struct Raw(BytesMut);

impl Raw {
    fn field(mut self, number: u8, value: impl AsRef<[u8]>) -> Self {
        self.0.extend_from_slice(&[number << 3 | 2]);
        encode_frame(value.as_ref(), &mut self.0);
        self
    }

    fn addr(self, text: &str) -> Self {
        self.field(2, addr(text).to_vec())
    }

    fn protocol(self, id: &str) -> Self {
        self.field(3, id)
    }

    fn framed(&self) -> Bytes {
        let mut wire = BytesMut::new();
        encode_frame(&self.0, &mut wire);
        wire.freeze()
    }

    fn received_from(&self, remote: &str) -> Info {
        let mut receiver = Receiver::new(keypair().peer_id(), &addr(remote));
        receiver.handle_input(self.framed()).unwrap();
        receiver.finish().unwrap()
    }
}

fn receive(wire: impl IntoIterator<Item = Bytes>) -> Result<Info, ReceiveError> {
    let mut receiver = Receiver::new(keypair().peer_id(), &addr(PUBLIC));
    for bytes in wire {
        receiver.handle_input(bytes)?;
    }
    receiver.finish()
}

fn texts(addrs: &[Multiaddr]) -> Vec<String> {
    addrs.iter().map(Multiaddr::to_string).collect()
}

// ── sending ──────────────────────────────────────────────────────────────────────────────────────

fn encode(local: &Local<'_>) -> Encoded {
    bowline_identify::encode(local, &mut Records::default())
}

/// A record that is signed anew for every peer would cost each connection a signature.
#[test]
fn a_record_is_signed_once_until_the_addresses_change() {
    let (keypair, mut records) = (keypair(), Records::default());
    let mut told = |seq, addr: &str| {
        let listen_addrs = vec![addr.parse().unwrap()];
        let local = Local { listen_addrs, record_seq: Some(seq), ..local(&keypair, PUBLIC) };
        let info = receive([bowline_identify::encode(&local, &mut records).bytes]).unwrap();
        info.record.expect("a record").seq
    };
    let (here, there) = ("/ip4/198.51.100.7/tcp/4001", "/ip4/198.51.100.8/tcp/4001");
    assert_eq!([told(10, here), told(11, here), told(12, there)], [10, 10, 12]);
    assert_eq!(told(5, here), 13, "newer than the last, whatever the clock says");
}

#[test]
fn what_is_encoded_is_read_back_with_a_certified_record() {
    let keypair = keypair();
    let encoded = encode(&Local { record_seq: Some(9), ..local(&keypair, PUBLIC) });
    assert_eq!((encoded.dropped_addresses, encoded.dropped_protocols), (0, 0));
    let info = receive([encoded.bytes]).unwrap();
    assert_eq!(info.key, KeyStatus::Matches);
    assert_eq!(info.protocols, ["/a/1", "/b/1"]);
    assert_eq!(texts(&info.listen_addrs), ["/ip4/198.51.100.7/tcp/4001"]);
    assert_eq!(info.observed_addr, Some(addr(PUBLIC)));
    let record = info.record.unwrap();
    assert_eq!((record.seq, record.addresses), (9, info.listen_addrs));
    assert_eq!(info.skipped, Skipped::default());
}

#[test]
fn loopback_goes_to_loopback_peers_only_and_unspecified_to_nobody() {
    let keypair = keypair();
    let listen = [LOOPBACK, "/ip6/::1/tcp/1", PRIVATE, "/ip4/198.51.100.7/tcp/1", "/ip4/0.0.0.0/tcp/1"];
    let sent_to = |remote: &str| {
        let listen_addrs = listen.iter().map(|text| addr(text)).collect();
        let encoded = encode(&Local { listen_addrs, ..local(&keypair, remote) });
        let mut receiver = Receiver::new(keypair.peer_id(), &addr(LOOPBACK));
        receiver.handle_input(encoded.bytes).unwrap();
        texts(&receiver.finish().unwrap().listen_addrs)
    };
    let beyond_loopback = ["/ip4/198.51.100.7/tcp/1", PRIVATE];
    assert_eq!(sent_to(PUBLIC), beyond_loopback);
    assert_eq!(sent_to(PRIVATE), beyond_loopback);
    assert_eq!(sent_to(LOOPBACK), ["/ip4/198.51.100.7/tcp/1", PRIVATE, LOOPBACK, "/ip6/::1/tcp/1"]);
}

#[test]
fn the_own_peer_id_is_stripped_and_repetition_dropped() {
    let keypair = keypair();
    let bare = addr("/ip4/198.51.100.7/tcp/4001");
    let listen_addrs = vec![
        address::with_peer_id(bare.clone(), keypair.peer_id()),
        bare.clone(),
        address::with_peer_id(addr("/ip4/198.51.100.8/tcp/4001"), other().peer_id()),
    ];
    let encoded = encode(&Local { listen_addrs, ..local(&keypair, PUBLIC) });
    assert_eq!(receive([encoded.bytes]).unwrap().listen_addrs, [bare]);
}

#[test]
fn addresses_are_dropped_to_fit_private_before_public_and_others_before_tcp() {
    let keypair = keypair();
    let long_name = "n".repeat(200);
    let mut listen_addrs = vec![addr(PRIVATE)];
    listen_addrs.extend((0..30).map(|i| addr(&format!("/dns4/{i}.{long_name}/udp/1/quic-v1"))));
    listen_addrs.push(addr("/ip4/198.51.100.7/tcp/1"));
    let encoded = encode(&Local { listen_addrs, record_seq: Some(1), ..local(&keypair, PUBLIC) });
    assert!(
        encoded.bytes.len() <= MAX_SENT && encoded.bytes.len() > MAX_SENT - 500,
        "{}",
        encoded.bytes.len()
    );
    assert!(encoded.dropped_addresses > 0);

    let info = receive([encoded.bytes]).unwrap();
    assert_eq!(info.listen_addrs[0], addr("/ip4/198.51.100.7/tcp/1"), "public TCP comes first");
    assert!(!info.listen_addrs.contains(&addr(PRIVATE)), "the private one went first");
    assert_eq!(info.record.unwrap().addresses, info.listen_addrs);
    assert_eq!(info.listen_addrs.len() + encoded.dropped_addresses, MAX_ADDRESSES);
}

#[test]
fn protocols_that_find_no_room_are_counted() {
    let keypair = keypair();
    let ids: Vec<String> = (0..300).map(|i| format!("/protocol/with/a/long/name/{i}")).collect();
    let mut protocols: Vec<&str> = ids.iter().map(String::as_str).collect();
    let overlong = "x".repeat(256);
    protocols.push(&overlong);
    let encoded = encode(&Local { protocols, ..local(&keypair, PUBLIC) });
    assert!(encoded.bytes.len() <= MAX_SENT);
    let kept = receive([encoded.bytes]).unwrap().protocols;
    assert_eq!(kept.len() + encoded.dropped_protocols, 301);
    assert_eq!(kept[..], ids[..kept.len()]);
}

#[test]
fn long_versions_are_cut_between_characters() {
    let keypair = keypair();
    let agent = "é".repeat(100);
    let encoded = encode(&Local { agent_version: &agent, ..local(&keypair, PUBLIC) });
    assert_eq!(receive([encoded.bytes]).unwrap().agent.unwrap().len(), MAX_VERSION_LEN);
}

// ── receiving ────────────────────────────────────────────────────────────────────────────────────

#[test]
fn several_messages_are_merged_up_to_the_limit() {
    let parts: Vec<Bytes> = (0..10).map(|i| Raw::default().protocol(&format!("/{i}")).framed()).collect();
    let info = receive(parts.clone()).unwrap();
    assert_eq!(info.protocols.len(), 10);

    let eleven = parts.into_iter().chain([Raw::default().framed()]);
    assert_eq!(receive(eleven), Err(ReceiveError::TooManyMessages));
}

#[test]
fn of_a_single_field_the_last_message_counts() {
    let first = Raw::default().field(6, "one").field(5, "v").framed();
    let second = Raw::default().field(6, "two").framed();
    let info = receive([first, second]).unwrap();
    assert_eq!((info.agent.as_deref(), info.protocol_version.as_deref()), (Some("two"), Some("v")));
}

#[test]
fn a_message_is_limited_and_so_is_the_sum() {
    let filler = |len: usize| Raw::default().field(15, vec![0; len - 3]).framed();
    assert!(receive([filler(MAX_MESSAGE)]).is_ok());
    let refused = FrameError::TooLarge { len: MAX_MESSAGE as u64 + 1, max: MAX_MESSAGE };
    assert_eq!(receive([filler(MAX_MESSAGE + 1)]), Err(ReceiveError::Frame(refused)));
    assert!(receive([filler(MAX_MESSAGE - 2), filler(MAX_MESSAGE - 2)]).is_ok());
    let three = [filler(MAX_TOTAL / 3), filler(MAX_TOTAL / 3), filler(MAX_TOTAL / 3)];
    assert_eq!(receive(three), Err(ReceiveError::TooManyBytes));
}

#[test]
fn a_huge_announced_length_is_refused_on_its_prefix() {
    let mut announced = BytesMut::new();
    varint::encode(1 << 35, &mut announced);
    let error = FrameError::TooLarge { len: 1 << 35, max: MAX_MESSAGE };
    assert_eq!(receive([announced.freeze()]), Err(ReceiveError::Frame(error)));
}

#[test]
fn a_length_that_is_not_minimal_is_refused() {
    assert!(matches!(receive([Bytes::from_static(&[0x85, 0x00])]), Err(ReceiveError::Frame(_))));
}

#[test]
fn ending_inside_a_message_is_an_error_at_every_length() {
    let wire = encode(&local(&keypair(), PUBLIC)).bytes;
    for len in 0..wire.len() {
        let expected = if len == 0 { ReceiveError::Empty } else { ReceiveError::Truncated };
        assert_eq!(receive([wire.slice(..len)]), Err(expected));
    }
    assert!(receive([wire]).is_ok());
}

#[test]
fn garbage_is_an_error_that_stays() {
    let mut receiver = Receiver::new(keypair().peer_id(), &addr(PUBLIC));
    let malformed = receiver.handle_input(Bytes::from_static(&[2, 0xff, 0xff])).unwrap_err();
    assert!(matches!(malformed, ReceiveError::Malformed { .. }));
    assert_eq!(receiver.handle_input(Raw::default().framed()), Err(malformed.clone()));
    assert_eq!(receiver.finish(), Err(malformed));
}

#[test]
fn an_empty_message_and_unknown_fields_are_legal() {
    let info = Raw::default().field(7, "?").field(15, "?").received_from(PUBLIC);
    assert_eq!((info.key, info.protocols.len(), info.agent), (KeyStatus::Absent, 0, None));
    assert_eq!(info.skipped, Skipped::default());
}

#[test]
fn received_addresses_are_filtered_by_where_the_remote_is() {
    let raw = Raw::default()
        .addr("/ip4/198.51.100.7/tcp/1")
        .addr("/dns4/example.com/tcp/1")
        .addr(PRIVATE)
        .addr(LOOPBACK)
        .addr("/dns4/localhost/tcp/1")
        .addr("/ip4/0.0.0.0/tcp/1");
    let all =
        ["/ip4/198.51.100.7/tcp/1", "/dns4/example.com/tcp/1", PRIVATE, LOOPBACK, "/dns4/localhost/tcp/1"];
    for (remote, kept) in [(PUBLIC, 2), (PRIVATE, 3), (LOOPBACK, 5)] {
        let info = raw.received_from(remote);
        assert_eq!(texts(&info.listen_addrs), all[..kept], "from {remote}");
        assert_eq!(info.skipped.addresses_unreachable, 6 - kept);
    }
}

#[test]
fn garbage_addresses_are_skipped_one_by_one() {
    let keypair = keypair();
    let own = address::with_peer_id(addr("/ip4/198.51.100.8/tcp/1"), keypair.peer_id());
    let foreign = address::with_peer_id(addr("/ip4/198.51.100.9/tcp/1"), other().peer_id());
    let overlong = addr(&format!("/dns4/{}/tcp/1", "n".repeat(300)));
    let info = Raw::default()
        .addr("/ip4/198.51.100.7/tcp/1")
        .field(2, [0xff, 0xff, 0x03, 1])
        .field(2, [4, 1, 2])
        .field(2, [])
        .field(2, overlong.to_vec())
        .field(2, foreign.to_vec())
        .field(2, own.to_vec())
        .addr("/ip4/198.51.100.7/tcp/1")
        .received_from(PUBLIC);
    assert_eq!(texts(&info.listen_addrs), ["/ip4/198.51.100.7/tcp/1", "/ip4/198.51.100.8/tcp/1"]);
    assert_eq!((info.skipped.addresses_malformed, info.skipped.addresses_foreign), (4, 1));
}

#[test]
fn addresses_beyond_the_limit_are_counted() {
    let many = (0..500).fold(Raw::default(), |raw, port| raw.addr(&format!("/ip4/198.51.100.7/tcp/{port}")));
    let info = many.received_from(PUBLIC);
    assert_eq!(info.listen_addrs.len(), MAX_ADDRESSES);
    assert_eq!(info.skipped.addresses_over_limit, 500 - MAX_ADDRESSES);
}

#[test]
fn protocols_beyond_the_limit_mark_the_list_as_partial() {
    let list = |count: usize| (0..count).fold(Raw::default(), |raw, i| raw.protocol(&format!("/{i}")));
    let full = list(MAX_PROTOCOLS).received_from(PUBLIC);
    assert_eq!((full.protocols.len(), full.protocols_partial), (MAX_PROTOCOLS, false));
    assert_eq!((full.serves("/0"), full.serves("/x")), (Some(true), Some(false)));

    let over = list(MAX_PROTOCOLS + 1).received_from(PUBLIC);
    assert_eq!((over.protocols.len(), over.protocols_partial), (MAX_PROTOCOLS, true));
    assert_eq!(over.skipped.protocols_over_limit, 1);
    assert_eq!((over.serves("/0"), over.serves("/x")), (Some(true), None));
}

#[test]
fn four_thousand_empty_protocols_cost_nothing() {
    let info = (0..4000).fold(Raw::default(), |raw, _| raw.protocol("")).received_from(PUBLIC);
    assert_eq!((info.protocols.len(), info.skipped.protocols_malformed), (0, 4000));
}

#[test]
fn illegal_protocol_ids_are_skipped() {
    let info = Raw::default()
        .protocol("/ok")
        .protocol("/new\nline")
        .protocol(&"x".repeat(256))
        .protocol(&"x".repeat(255))
        .protocol("/ok")
        .received_from(PUBLIC);
    assert_eq!((info.protocols.len(), info.skipped.protocols_malformed), (2, 2));
    assert!(info.protocols_partial);
}

#[test]
fn versions_are_cut_and_cannot_drive_a_terminal() {
    let info =
        Raw::default().field(6, format!("\x1b[2Jred{}", "é".repeat(200))).field(5, "").received_from(PUBLIC);
    let agent = info.agent.unwrap();
    assert!(agent.starts_with("[2Jred") && agent.len() <= MAX_VERSION_LEN);
    assert_eq!(info.protocol_version.as_deref(), Some(""));
}

#[test]
fn an_observed_address_may_be_empty_malformed_or_carry_a_peer_id() {
    let observed = |value: &[u8]| Raw::default().field(4, value).received_from(PUBLIC);
    assert_eq!(observed(&[]).observed_addr, None);
    assert_eq!(observed(&[]).skipped, Skipped::default());
    assert_eq!(observed(&[4, 1]).skipped.addresses_malformed, 1);
    let with_id = address::with_peer_id(addr(PUBLIC), other().peer_id());
    assert_eq!(observed(&with_id.to_vec()).observed_addr, Some(addr(PUBLIC)));
}

// ── keys and records ─────────────────────────────────────────────────────────────────────────────

fn sealed(signer: &Keypair, peer_id: PeerId, seq: u64, addrs: &[&str]) -> Vec<u8> {
    let addresses = addrs.iter().map(|text| addr(text)).collect();
    PeerRecord { peer_id, seq, addresses }.seal(signer).to_protobuf()
}

#[test]
fn another_peers_key_is_flagged_and_its_addresses_are_not_taken() {
    let keypair = keypair();
    let info = Raw::default()
        .field(1, other().public().to_protobuf())
        .addr("/ip4/198.51.100.7/tcp/1")
        .protocol("/a")
        .field(8, sealed(&keypair, keypair.peer_id(), 1, &["/ip4/198.51.100.8/tcp/1"]))
        .received_from(PUBLIC);
    assert_eq!((info.key, info.peer), (KeyStatus::Foreign, keypair.peer_id()));
    assert_eq!((info.listen_addrs.len(), info.record, info.skipped.record_refused), (0, None, true));
    assert_eq!(info.protocols, ["/a"]);
}

#[test]
fn a_key_that_is_no_key_is_flagged() {
    assert_eq!(Raw::default().field(1, [1, 2, 3]).received_from(PUBLIC).key, KeyStatus::Malformed);
    assert_eq!(Raw::default().field(1, []).received_from(PUBLIC).key, KeyStatus::Absent);
}

#[test]
fn a_record_that_fails_is_no_record_and_the_plain_addresses_count() {
    let (keypair, other) = (keypair(), other());
    let (ours, theirs) = (keypair.peer_id(), other.peer_id());
    let good = sealed(&keypair, ours, 1, &["/ip4/198.51.100.8/tcp/1"]);
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let refused = [
        flipped,
        b"garbage".to_vec(),
        sealed(&other, theirs, 1, &["/ip4/198.51.100.8/tcp/1"]),
        sealed(&other, ours, 1, &["/ip4/198.51.100.8/tcp/1"]),
        sealed(&keypair, theirs, 1, &["/ip4/198.51.100.8/tcp/1"]),
    ];
    let with = |envelope: &[u8]| {
        Raw::default().addr("/ip4/198.51.100.7/tcp/1").field(8, envelope).received_from(PUBLIC)
    };
    for envelope in &refused {
        let info = with(envelope);
        assert_eq!((info.record, info.skipped.record_refused), (None, true));
        assert_eq!(texts(&info.listen_addrs), ["/ip4/198.51.100.7/tcp/1"]);
    }
    let info = with(&good);
    assert_eq!(
        texts(&info.listen_addrs),
        ["/ip4/198.51.100.8/tcp/1"],
        "the record's addresses replace the plain ones"
    );
    assert_eq!((info.record.unwrap().seq, info.skipped.record_refused), (1, false));
    assert!(!with(&[]).skipped.record_refused);
}

#[test]
fn a_flipped_bit_anywhere_in_the_record_is_never_an_error() {
    let keypair = keypair();
    let good = sealed(&keypair, keypair.peer_id(), 1, &["/ip4/198.51.100.8/tcp/1"]);
    for bit in 0..good.len() * 8 {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Raw::default().field(8, flipped).received_from(PUBLIC).record, None, "bit {bit}");
    }
}

// ── push ─────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_push_changes_what_it_says_and_nothing_else() {
    let mut info = receive([encode(&local(&keypair(), PUBLIC)).bytes]).unwrap();
    info.update(Raw::default().field(6, "new/2").received_from(PUBLIC));
    assert_eq!(info.agent.as_deref(), Some("new/2"));
    assert_eq!(info.protocols, ["/a/1", "/b/1"]);
    assert_eq!(texts(&info.listen_addrs), ["/ip4/198.51.100.7/tcp/4001"]);
    assert_eq!(info.observed_addr, Some(addr(PUBLIC)));

    info.update(Raw::default().protocol("/c").addr("/ip4/198.51.100.9/tcp/1").received_from(PUBLIC));
    assert_eq!(info.protocols, ["/c"]);
    assert_eq!(texts(&info.listen_addrs), ["/ip4/198.51.100.9/tcp/1"]);
    assert_eq!(info.agent.as_deref(), Some("new/2"));
}

#[test]
fn a_push_with_an_older_record_keeps_record_and_addresses() {
    let keypair = keypair();
    let ours = keypair.peer_id();
    let at = |seq, text| Raw::default().field(8, sealed(&keypair, ours, seq, &[text])).received_from(PUBLIC);
    let mut info = at(10, "/ip4/198.51.100.1/tcp/1");
    info.update(at(5, "/ip4/198.51.100.2/tcp/1"));
    assert_eq!(
        (info.record.as_ref().unwrap().seq, texts(&info.listen_addrs)),
        (10, vec!["/ip4/198.51.100.1/tcp/1".to_owned()])
    );
    info.update(at(11, "/ip4/198.51.100.3/tcp/1"));
    assert_eq!(
        (info.record.as_ref().unwrap().seq, texts(&info.listen_addrs)),
        (11, vec!["/ip4/198.51.100.3/tcp/1".to_owned()])
    );
}

#[test]
fn a_push_with_a_foreign_key_moves_no_address_and_one_of_another_peer_changes_nothing() {
    let mut info = receive([encode(&local(&keypair(), PUBLIC)).bytes]).unwrap();
    let addrs = info.listen_addrs.clone();
    let foreign = Raw::default().field(1, other().public().to_protobuf()).addr("/ip4/198.51.100.9/tcp/1");
    info.update(foreign.received_from(PUBLIC));
    assert_eq!((&info.listen_addrs, info.key), (&addrs, KeyStatus::Foreign));

    let before = info.clone();
    info.update(Info { peer: other().peer_id(), ..foreign.received_from(PUBLIC) });
    assert_eq!(info, before);
}

proptest! {
    #[test]
    fn any_split_reads_the_same(sizes in prop::collection::vec(1usize..60, 1..20)) {
        let keypair = keypair();
        let wire = encode(&Local { record_seq: Some(3), ..local(&keypair, PUBLIC) }).bytes;
        let whole = receive([wire.clone()]).unwrap();
        let mut rest = wire;
        let mut pieces = Vec::new();
        for size in sizes.iter().cycle() {
            if rest.is_empty() { break }
            pieces.push(rest.split_to((*size).min(rest.len())));
        }
        prop_assert_eq!(receive(pieces).unwrap(), whole);
    }

    #[test]
    fn no_bytes_panic_and_all_limits_hold(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(info) = receive([Raw(bytes[..].into()).framed()]) {
            prop_assert!(info.protocols.len() <= MAX_PROTOCOLS && info.listen_addrs.len() <= MAX_ADDRESSES);
        }
    }

    #[test]
    fn no_input_makes_a_message_too_large(
        names in prop::collection::vec(1usize..240, 0..60),
        ids in prop::collection::vec("[a-z]{1,255}", 0..60),
        record in any::<bool>(),
    ) {
        let keypair = keypair();
        let encoded = encode(&Local {
            listen_addrs: names.iter().map(|len| addr(&format!("/dns4/{}/tcp/1", "n".repeat(*len)))).collect(),
            protocols: ids.iter().map(String::as_str).collect(),
            record_seq: record.then_some(1),
            ..local(&keypair, PUBLIC)
        });
        prop_assert!(encoded.bytes.len() <= MAX_SENT);
        prop_assert!(receive([encoded.bytes]).is_ok());
    }
}
