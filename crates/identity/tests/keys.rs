//! Keys and peer ids against the specification's vectors, and against keys that OpenSSL made.

#![allow(clippy::too_many_lines, reason = "transcripts")]

mod common;

use bowline_identity::{KeyError, KeyType, Keypair, MAX_KEY, MAX_PRIVATE_KEY, PeerId, PublicKey};
use common::{bytes, is_compiled, key_message, key_type, keypairs, text, vectors};
use proptest::prelude::*;

#[test]
fn the_specifications_private_keys_give_its_public_keys_and_their_ids() {
    for vector in vectors("peer-ids", "keys") {
        let (private, public) = (bytes(&vector, "private"), bytes(&vector, "public"));
        let key_type = key_type(&vector);
        if !is_compiled(key_type) {
            assert_eq!(PublicKey::from_protobuf(&public), Err(KeyError::NotCompiled(key_type)));
            assert_eq!(Keypair::from_protobuf(&private).unwrap_err(), KeyError::NotCompiled(key_type));
            continue;
        }
        let keypair = Keypair::from_protobuf(&private).unwrap();
        assert_eq!(keypair.public().key_type(), key_type);
        assert_eq!(*keypair.to_protobuf(), private, "{key_type} is saved as it was");
        assert_eq!(keypair.public().to_protobuf(), public);
        assert_eq!(PublicKey::from_protobuf(&public).as_ref(), Ok(keypair.public()));
        assert_eq!(keypair.peer_id().to_bytes(), bytes(&vector, "multihash"));
        assert_eq!(keypair.peer_id().to_string(), text(&vector, "base58"));
    }
}

#[test]
fn every_text_form_of_an_id_is_parsed_and_base58_is_shown() {
    for vector in [vectors("peer-ids", "keys"), vectors("peer-ids", "ids")].concat() {
        let peer = PeerId::from_bytes(&bytes(&vector, "multihash")).unwrap();
        for form in ["base58", "base32", "base36"] {
            assert_eq!(text(&vector, form).parse(), Ok(peer), "{form}");
        }
        assert_eq!(peer.to_string(), text(&vector, "base58"));
        assert_eq!(format!("{peer:?}"), format!("PeerId({})", text(&vector, "base58")));
        assert_eq!(peer.to_cid_string(), text(&vector, "base32"));
        assert_eq!(peer.to_base36_string(), text(&vector, "base36"));
        if let Some(written) = vector["text"].as_str() {
            assert_eq!(written.parse(), Ok(peer));
        }
    }
}

#[test]
fn keys_and_signatures_of_openssl_get_the_verdict_of_their_vector() {
    for vector in vectors("signatures", "vectors") {
        let (id, verdict, key_type) = (text(&vector, "id"), text(&vector, "verdict"), key_type(&vector));
        let key = PublicKey::from_protobuf(&bytes(&vector, "public"));
        let key = match (key, verdict) {
            (key, _) if !is_compiled(key_type) => {
                assert_eq!(key, Err(KeyError::NotCompiled(key_type)), "{id}");
                continue;
            }
            (key, "rsa-size") => {
                assert!(matches!(key, Err(KeyError::RsaSize { bits: 1024 | 2047 })), "{id}");
                continue;
            }
            (key, "unsupported-curve") => {
                assert_eq!(key, Err(KeyError::UnsupportedCurve), "{id}");
                continue;
            }
            (key, "accept" | "accept-but-not-emit") => key.unwrap(),
            (_, other) => panic!("{id} has no verdict {other}"),
        };
        let (message, signature) = (bytes(&vector, "message"), bytes(&vector, "signature"));
        assert_eq!(key.verify(&message, &signature), Ok(()), "{id}");
        assert!(key.verify(b"another message", &signature).is_err(), "{id}");
        assert_eq!(key.to_protobuf(), bytes(&vector, "canonical"), "{id}");
        assert_eq!(key.peer_id().to_string(), text(&vector, "base58"), "{id}");
    }
}

#[cfg(feature = "rsa")]
#[test]
fn rsa_private_keys_sign_up_to_4096_bits() {
    for vector in vectors("signatures", "vectors") {
        let Some(private) = vector["private"].as_str() else {
            continue;
        };
        let keypair = Keypair::from_protobuf(&hex::decode(private).unwrap());
        match text(&vector, "id") {
            "peerid/reject-weak-rsa-1024" => {
                assert_eq!(keypair.unwrap_err(), KeyError::RsaSize { bits: 1024 });
            }
            "peerid/reject-weak-rsa-2047" => {
                assert_eq!(keypair.unwrap_err(), KeyError::RsaSize { bits: 2047 });
            }
            "peerid/accept-rsa-8192" => {
                assert_eq!(keypair.unwrap_err(), KeyError::RsaSigningSize { bits: 8192 });
            }
            _ => {
                let keypair = keypair.unwrap();
                assert_eq!(keypair.public().to_protobuf(), bytes(&vector, "public"));
                // PKCS #1 v1.5 is deterministic, so both implementations make the same signature.
                assert_eq!(keypair.sign(&bytes(&vector, "message")), bytes(&vector, "signature"));
            }
        }
    }
}

#[cfg(feature = "rsa")]
#[test]
fn a_damaged_rsa_private_key_is_told_when_it_is_read() {
    let private = bytes(&vectors("peer-ids", "keys")[3], "private");
    for index in (4..private.len()).step_by(41) {
        let mut damaged = private.clone();
        damaged[index] ^= 0x10;
        // ring never uses the private exponent, so a flip within it may go unseen; what is read must then sign.
        if let Ok(keypair) = Keypair::from_protobuf(&damaged) {
            let signature = keypair.sign(b"message");
            assert_eq!(keypair.public().verify(b"message", &signature), Ok(()), "byte {index}");
        }
    }
}

#[test]
fn signatures_of_every_type_are_verified_and_repeatable() {
    for keypair in keypairs() {
        let key_type = keypair.public().key_type();
        for message in [&b""[..], b"m", &[7; 1000]] {
            let signature = keypair.sign(message);
            assert_eq!(keypair.public().verify(message, &signature), Ok(()), "{key_type}");
            assert_eq!(keypair.sign(message), signature, "{key_type} draws no randomness");
        }
    }
}

/// One key in encodings that a strict encoder would not make.
fn loose_encodings(canonical: &[u8]) -> Vec<Vec<u8>> {
    let (key_type, data) = canonical.split_at(2);
    vec![
        [&[0x08, key_type[1] | 0x80, 0x00], data].concat(),
        [data, key_type].concat(),
        [canonical, &[0x1a, 1, 0xff]].concat(),
        [canonical, &[0x20, 5]].concat(),
        [&[0x08, 3], canonical].concat(),
    ]
}

#[test]
fn a_key_in_another_encoding_has_the_id_of_the_canonical_one() {
    for keypair in keypairs() {
        let canonical = keypair.public().to_protobuf();
        for loose in loose_encodings(&canonical) {
            let key = PublicKey::from_protobuf(&loose).unwrap();
            assert_eq!(&key, keypair.public());
            assert_eq!(key.peer_id(), keypair.peer_id());
            assert_eq!(key.to_protobuf(), canonical);
        }
    }
}

#[cfg(feature = "secp256k1")]
#[test]
fn an_uncompressed_secp256k1_key_has_the_id_of_the_compressed_one() {
    let vectors = vectors("signatures", "vectors");
    let find = |id: &str| vectors.iter().find(|vector| text(vector, "id") == id).unwrap();
    let loose =
        PublicKey::from_protobuf(&bytes(find("peerid/accept-secp256k1-uncompressed"), "public")).unwrap();
    let canonical =
        PublicKey::from_protobuf(&bytes(find("peerid/accept-secp256k1-low-s"), "public")).unwrap();
    assert_eq!(loose, canonical);
    assert_eq!(loose.peer_id(), canonical.peer_id());
}

#[cfg(feature = "ecdsa")]
#[test]
fn a_compressed_p256_key_has_the_id_of_the_uncompressed_one() {
    let public = bytes(&vectors("peer-ids", "keys")[0], "public");
    let (head, point) = public.split_at(public.len() - 65);
    let parity = 2 + (point[64] & 1);
    let bit_string = common::der(0x03, &[&[0, parity], &point[1..33]].concat());
    let algorithm = &head[6..head.len() - 3];
    let compressed = key_message(3, &common::der(0x30, &[algorithm, &bit_string].concat()));
    let key = PublicKey::from_protobuf(&compressed).unwrap();
    assert_eq!(key.to_protobuf(), public);
}

#[cfg(feature = "rsa")]
#[test]
fn an_rsa_key_without_its_null_parameters_is_refused() {
    assert!(PublicKey::from_protobuf(&common::rsa_message(2048, &common::DER_NULL)).is_ok());
    let without = PublicKey::from_protobuf(&common::rsa_message(2048, &[]));
    assert_eq!(without, Err(KeyError::Invalid(KeyType::Rsa)));
}

#[test]
fn a_message_without_a_type_or_without_data_is_no_key() {
    for keypair in keypairs() {
        let (public, private) = (keypair.public().to_protobuf(), keypair.to_protobuf());
        assert_eq!(PublicKey::from_protobuf(&public[2..]), Err(KeyError::Malformed));
        assert_eq!(Keypair::from_protobuf(&private[2..]).unwrap_err(), KeyError::Malformed);
        let key_type = keypair.public().key_type();
        assert_eq!(PublicKey::from_protobuf(&public[..2]), Err(KeyError::Invalid(key_type)));
        assert_eq!(Keypair::from_protobuf(&private[..2]).unwrap_err(), KeyError::Invalid(key_type));
    }
    assert_eq!(PublicKey::from_protobuf(&[]), Err(KeyError::Malformed));
}

#[test]
fn an_unknown_key_type_is_refused() {
    let message = key_message(7, &[1; 32]);
    assert_eq!(PublicKey::from_protobuf(&message), Err(KeyError::UnknownType { value: 7 }));
    assert_eq!(Keypair::from_protobuf(&message).unwrap_err(), KeyError::UnknownType { value: 7 });
}

#[test]
fn a_key_that_is_cut_off_or_goes_on_is_refused() {
    for keypair in keypairs() {
        let (public, private) = (keypair.public().to_protobuf(), keypair.to_protobuf());
        for len in 0..public.len() {
            assert!(PublicKey::from_protobuf(&public[..len]).is_err(), "{len} bytes");
        }
        for len in 0..private.len() {
            assert!(Keypair::from_protobuf(&private[..len]).is_err(), "{len} bytes");
        }
    }
    for vector in vectors("peer-ids", "keys") {
        let public = bytes(&vector, "public");
        let key_type = public[1];
        let header = if key_type == 0 { 5 } else { 4 };
        let longer = key_message(key_type, &[&public[header..], &[0]].concat());
        assert!(PublicKey::from_protobuf(&longer).is_err(), "{}", text(&vector, "id"));
    }
}

#[test]
fn keys_that_are_larger_than_any_are_not_looked_at() {
    let public = key_message(1, &vec![0; MAX_KEY]);
    assert_eq!(PublicKey::from_protobuf(&public), Err(KeyError::TooLarge { len: public.len() }));
    let private = key_message(1, &vec![0; MAX_PRIVATE_KEY]);
    assert_eq!(Keypair::from_protobuf(&private).unwrap_err(), KeyError::TooLarge { len: private.len() });
}

#[test]
fn an_ed25519_key_of_small_order_is_refused() {
    let mut identity = [0; 32];
    identity[0] = 1;
    for point in [identity, [0; 32]] {
        let key = PublicKey::from_protobuf(&key_message(1, &point));
        assert_eq!(key, Err(KeyError::Invalid(KeyType::Ed25519)));
    }
}

#[test]
fn an_ed25519_private_key_of_96_bytes_is_read_and_saved_in_64() {
    let keypair = Keypair::from_ed25519_seed([1; 32]);
    let saved = keypair.to_protobuf();
    let public = &saved[36..];
    let long = key_message(1, &[&saved[4..], public].concat());
    assert_eq!(*Keypair::from_protobuf(&long).unwrap().to_protobuf(), *saved);
    for len in [0, 31, 32, 63, 65, 95, 97, 128] {
        let message = key_message(1, &[&saved[4..], public, &[0; 32]].concat()[..len]);
        assert_eq!(
            Keypair::from_protobuf(&message).unwrap_err(),
            KeyError::Invalid(KeyType::Ed25519),
            "{len} bytes"
        );
    }
}

#[test]
fn an_id_holds_the_key_whole_up_to_42_bytes() {
    for keypair in keypairs() {
        let inline = keypair.public().to_protobuf().len() <= 42;
        assert_eq!(keypair.peer_id().public_key().as_ref(), inline.then_some(keypair.public()));
    }
}

#[test]
fn a_flipped_bit_of_a_key_gives_no_second_id() {
    for keypair in keypairs().iter().filter(|keypair| keypair.public().key_type() != KeyType::Rsa) {
        let canonical = keypair.public().to_protobuf();
        for (index, bit) in (0..canonical.len()).flat_map(|index| (0..8).map(move |bit| (index, bit))) {
            let mut flipped = canonical.clone();
            flipped[index] ^= 1 << bit;
            let Ok(key) = PublicKey::from_protobuf(&flipped) else {
                continue;
            };
            assert_eq!(
                key.peer_id() == keypair.peer_id(),
                &key == keypair.public(),
                "byte {index}, bit {bit}"
            );
            assert_eq!(PublicKey::from_protobuf(&key.to_protobuf()), Ok(key));
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_key_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), key_type in 0u8..5) {
        let _key = PublicKey::from_protobuf(&bytes);
        let _key = PublicKey::from_protobuf(&key_message(key_type, &bytes));
        let _key = Keypair::from_protobuf(&key_message(key_type, &bytes));
        let _id = PeerId::from_bytes(&bytes);
    }

    #[test]
    fn an_id_survives_every_form(seed: [u8; 32]) {
        let peer = Keypair::from_ed25519_seed(seed).peer_id();
        prop_assert_eq!(PeerId::from_bytes(&peer.to_bytes()), Ok(peer));
        prop_assert_eq!(peer.to_string().parse(), Ok(peer));
        prop_assert_eq!(peer.to_cid_string().parse(), Ok(peer));
        prop_assert_eq!(peer.to_base36_string().parse(), Ok(peer));
    }

    #[test]
    fn no_text_makes_an_id_panic(text in ".{0,80}") {
        let _id = text.parse::<PeerId>();
    }

    #[test]
    fn an_id_goes_through_an_address(code in prop_oneof![Just(0u8), Just(0x12)], digest in proptest::collection::vec(any::<u8>(), 0..43)) {
        let digest = if code == 0x12 { vec![7; 32] } else { digest };
        let peer = PeerId::from_bytes(&[&[code, u8::try_from(digest.len()).unwrap()], &digest[..]].concat()).unwrap();
        let addr = bowline_identity::address::with_peer_id("/ip4/127.0.0.1/tcp/1".parse().unwrap(), peer);
        prop_assert_eq!(bowline_identity::address::peer_id(&addr), Some(peer));
    }
}
