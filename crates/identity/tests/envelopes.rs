//! Signed envelopes and peer records, against vectors and against forgers.

#![allow(clippy::too_many_lines, reason = "transcripts")]

mod common;

use bowline_identity::{
    EnvelopeError, Keypair, MAX_ENVELOPE, MAX_RECORD_ADDRESSES, Multiaddr, PeerIdError, PeerRecord,
    RecordError, SignatureError, SignedEnvelope,
};
use bowline_wire::protobuf::CheckError;
use common::{bytes, keypairs, text, vectors};
use proptest::prelude::*;

const DOMAIN: &str = "libp2p-peer-record";
const PAYLOAD_TYPE: &[u8] = &[0x03, 0x01];

/// The key that the vectors are signed with.
fn keypair() -> Keypair {
    Keypair::from_ed25519_seed(std::array::from_fn(|index| u8::try_from(index).unwrap()))
}

fn record() -> PeerRecord {
    PeerRecord {
        peer_id: keypair().peer_id(),
        seq: 1_700_000_000,
        addresses: vec!["/ip4/192.0.2.1/tcp/4001".parse().unwrap()],
    }
}

/// An envelope in the deployed form around any payload.
fn sealed(payload: Vec<u8>) -> Vec<u8> {
    SignedEnvelope::seal(&keypair(), DOMAIN, PAYLOAD_TYPE, payload).to_protobuf()
}

/// A record with its fields as given.
fn record_message(peer_id: &[u8], address_fields: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x0a, u8::try_from(peer_id.len()).unwrap()];
    bytes.extend_from_slice(peer_id);
    bytes.extend([0x10, 1]);
    bytes.extend_from_slice(address_fields);
    bytes
}

#[test]
fn both_profiles_of_a_record_are_read_and_the_deployed_one_is_written() {
    for vector in vectors("envelopes", "vectors") {
        let envelope = bytes(&vector, "envelope");
        let (opened, signer) = PeerRecord::open(&envelope).unwrap();
        assert_eq!((&opened, &signer), (&record(), keypair().public()));

        let (domain, payload_type) = (text(&vector, "domain"), bytes(&vector, "payload_type"));
        let made = SignedEnvelope::seal(&keypair(), domain, &payload_type, bytes(&vector, "record"));
        assert_eq!(made.to_protobuf(), envelope, "byte for byte");
        let signature = &envelope[envelope.len() - 64..];
        assert_eq!(signer.verify(&bytes(&vector, "signed_bytes"), signature), Ok(()));
        if text(&vector, "profile") == "deployed" {
            assert_eq!(record().seal(&keypair()).to_protobuf(), envelope, "byte for byte");
        }
    }
}

#[test]
fn records_of_every_key_type_are_opened() {
    for keypair in keypairs() {
        let record = PeerRecord { peer_id: keypair.peer_id(), ..record() };
        let envelope = record.seal(&keypair).to_protobuf();
        assert_eq!(PeerRecord::open(&envelope), Ok((record, keypair.public().clone())));
    }
}

#[test]
fn every_flipped_bit_of_an_envelope_is_noticed() {
    let envelope = record().seal(&keypair()).to_protobuf();
    for index in 0..envelope.len() {
        for bit in 0..8 {
            let mut forged = envelope.clone();
            forged[index] ^= 1 << bit;
            assert!(PeerRecord::open(&forged).is_err(), "byte {index}, bit {bit}");
        }
    }
}

#[test]
fn every_truncation_of_an_envelope_is_noticed() {
    let envelope = record().seal(&keypair()).to_protobuf();
    for len in 0..envelope.len() {
        assert!(PeerRecord::open(&envelope[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn a_record_that_another_peer_signed_is_refused() {
    let other = Keypair::from_ed25519_seed([9; 32]);
    let envelope = record().seal(&other).to_protobuf();
    let error = RecordError::ForeignSigner { named: keypair().peer_id(), signer: other.peer_id() };
    assert_eq!(PeerRecord::open(&envelope), Err(error));
}

#[test]
fn an_envelope_for_another_purpose_is_refused() {
    let seal = |domain, payload_type: &[u8]| {
        SignedEnvelope::seal(&keypair(), domain, payload_type, vec![1]).to_protobuf()
    };
    let rfc_type = b"/libp2p/routing-state-record";
    let wrong_type = Err(EnvelopeError::PayloadType.into());
    let wrong_domain = Err(EnvelopeError::Signature(SignatureError).into());
    assert_eq!(PeerRecord::open(&seal(DOMAIN, &[0x81, 0x06])), wrong_type);
    assert_eq!(PeerRecord::open(&seal(DOMAIN, &[])), wrong_type);
    assert_eq!(PeerRecord::open(&seal(DOMAIN, rfc_type)), wrong_domain, "the two forms do not mix");
    assert_eq!(PeerRecord::open(&seal("libp2p-routing-state", PAYLOAD_TYPE)), wrong_domain);
    assert_eq!(PeerRecord::open(&seal("", PAYLOAD_TYPE)), wrong_domain);
}

#[test]
fn bytes_cannot_move_between_the_signed_parts() {
    let sealed = SignedEnvelope::seal(&keypair(), "ab", b"c", b"d".to_vec()).to_protobuf();
    assert!(SignedEnvelope::open(&sealed, &[("ab", b"c")]).is_ok());
    let moved = SignedEnvelope::open(&sealed, &[("a", b"c")]);
    assert_eq!(moved, Err(EnvelopeError::Signature(SignatureError)));
}

#[test]
fn an_envelope_with_a_field_twice_is_refused() {
    let envelope = record().seal(&keypair()).to_protobuf();
    for field in [1u8, 2, 3, 5] {
        let twice = [&envelope[..], &[field << 3 | 2, 1, 0]].concat();
        let path = PeerRecord::open(&twice).unwrap_err();
        assert!(matches!(
            path,
            RecordError::Envelope(EnvelopeError::Check(CheckError::TooMany { max: 1, .. }))
        ));
    }
    let unknown = [&envelope[..], &[4 << 3 | 2, 1, 0]].concat();
    assert!(PeerRecord::open(&unknown).is_ok(), "fields of a later version are left alone");
}

#[test]
fn an_envelope_is_read_up_to_its_limit_and_one_byte_more_is_not() {
    let overhead = sealed(vec![0; 8000]).len() - 8000;
    let envelope = |len: usize| {
        let purpose = (DOMAIN, PAYLOAD_TYPE);
        SignedEnvelope::open(&sealed(vec![0; len - overhead]), &[purpose])
    };
    assert!(envelope(MAX_ENVELOPE).is_ok());
    assert_eq!(envelope(MAX_ENVELOPE + 1), Err(EnvelopeError::TooLarge { len: MAX_ENVELOPE + 1 }));
}

#[test]
fn an_envelope_of_nobody_is_refused() {
    let error = PeerRecord::open(&[]).unwrap_err();
    assert_eq!(error, EnvelopeError::PayloadType.into());
    // A payload type and nothing else.
    let error = PeerRecord::open(&[0x12, 2, 3, 1]).unwrap_err();
    assert!(matches!(error, RecordError::Envelope(EnvelopeError::Key(_))), "{error:?}");
}

#[test]
fn a_record_has_at_most_128_addresses() {
    let with = |count| {
        let addresses = vec!["/ip4/192.0.2.1/tcp/4001".parse().unwrap(); count];
        PeerRecord::open(&PeerRecord { addresses, ..record() }.seal(&keypair()).to_protobuf())
    };
    assert_eq!(with(0).unwrap().0.addresses, []);
    assert_eq!(with(MAX_RECORD_ADDRESSES).unwrap().0.addresses.len(), MAX_RECORD_ADDRESSES);
    let path = &[3];
    let error = CheckError::TooMany { path, max: MAX_RECORD_ADDRESSES };
    assert_eq!(with(MAX_RECORD_ADDRESSES + 1), Err(RecordError::Check(error)));
}

#[test]
fn addresses_in_one_entry_are_counted_too() {
    let entry = [[0x0a, 0]; MAX_RECORD_ADDRESSES + 1].concat();
    let mut fields = vec![0x1a];
    bowline_wire::varint::encode(entry.len() as u64, &mut fields);
    fields.extend(entry);
    let error = PeerRecord::open(&sealed(record_message(&keypair().peer_id().to_bytes(), &fields)));
    let path = &[3, 1];
    assert_eq!(error, Err(RecordError::Check(CheckError::TooMany { path, max: MAX_RECORD_ADDRESSES })));
}

#[test]
fn addresses_that_cannot_be_parsed_are_left_out() {
    let good: Multiaddr = "/ip4/192.0.2.1/tcp/4001".parse().unwrap();
    let mut fields = Vec::new();
    // Garbage, nothing, an IPv4 address that is cut off, an unassigned protocol.
    for bytes in [&[0xff, 0xff, 0xff][..], &[], &[0x04, 127], &[0x81, 0xfe, 0xff, 0x01], good.as_ref()] {
        let len = u8::try_from(bytes.len()).unwrap();
        fields.extend([0x1a, len + 2, 0x0a, len]);
        fields.extend_from_slice(bytes);
    }
    fields.extend([0x1a, 0]);
    let (record, _) =
        PeerRecord::open(&sealed(record_message(&keypair().peer_id().to_bytes(), &fields))).unwrap();
    assert_eq!(record.addresses, [good]);
}

#[test]
fn a_record_that_names_no_peer_is_refused() {
    let nobody = PeerRecord::open(&sealed(record_message(&[], &[])));
    assert_eq!(nobody, Err(RecordError::PeerId(PeerIdError::Multihash)));
    let empty = PeerRecord::open(&sealed(Vec::new()));
    assert_eq!(empty, Err(RecordError::PeerId(PeerIdError::Multihash)));
    // Field 1 as a number.
    assert_eq!(PeerRecord::open(&sealed(vec![0x08, 1])), Err(RecordError::Malformed));
    let cut_off = PeerRecord::open(&sealed(vec![0x0a, 9, 1]));
    assert_eq!(cut_off, Err(RecordError::Check(CheckError::Truncated)));
}

proptest! {
    #[test]
    fn what_is_sealed_is_opened(seed: [u8; 32], seq: u64, ports in proptest::collection::vec(1u16.., 0..20)) {
        let keypair = Keypair::from_ed25519_seed(seed);
        let addresses = ports.iter().map(|port| format!("/ip6/2001:db8::1/tcp/{port}").parse().unwrap()).collect();
        let record = PeerRecord { peer_id: keypair.peer_id(), seq, addresses };
        let envelope = record.seal(&keypair).to_protobuf();
        prop_assert_eq!(PeerRecord::open(&envelope), Ok((record, keypair.public().clone())));
    }

    #[test]
    fn no_bytes_make_a_record_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _record = PeerRecord::open(&bytes);
        let _record = PeerRecord::open(&sealed(bytes));
    }
}
