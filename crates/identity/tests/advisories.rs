//! Past defects of other stacks, by their advisory, that must not happen here.

#![allow(clippy::too_many_lines, reason = "transcripts")]

mod common;

use bowline_identity::{KeyError, KeyType, Keypair, PublicKey, SignatureError};
use common::{is_compiled, key_message, keypairs};

/// go-libp2p verified signatures of RSA keys of any size, and a large one took seconds of CPU before the peer was
/// known. A key object cannot be had of a key that is too large, so nothing can be computed with it.
#[test]
fn cve_2023_39533_huge_rsa_keys_are_refused_before_they_are_computed_with() {
    let parse = |bits| PublicKey::from_protobuf(&common::rsa_message(bits, &common::DER_NULL));
    if !is_compiled(KeyType::Rsa) {
        assert_eq!(parse(8192), Err(KeyError::NotCompiled(KeyType::Rsa)));
        return;
    }
    for bits in [2048, 4096, 8192] {
        assert_eq!(parse(bits).unwrap().key_type(), KeyType::Rsa, "{bits} bits");
    }
    for bits in [1024, 2040, 2047, 8193, 8200] {
        assert_eq!(parse(bits), Err(KeyError::RsaSize { bits }));
    }
    // From here on the message alone is too large, and is not even decoded.
    for bits in [16_384, 65_536, 500_000] {
        assert!(matches!(parse(bits), Err(KeyError::TooLarge { .. })), "{bits} bits");
    }
}

/// A large public exponent makes verifying slow as a large modulus does.
#[cfg(feature = "rsa")]
#[test]
fn cve_2023_39533_huge_exponents_are_refused_too() {
    let parse = |exponent: &[u8]| {
        PublicKey::from_protobuf(&common::rsa_message_with(2048, exponent, &common::DER_NULL))
    };
    for accepted in [&[3][..], &[1, 0, 1], &[1, 0xff, 0xff, 0xff, 0xff]] {
        assert!(parse(accepted).is_ok(), "{accepted:?}");
    }
    // Zero, one and an even number make no signatures; the others are longer than 33 bits.
    for refused in [&[0][..], &[1], &[1, 0, 0], &[3, 0, 0, 0, 1], &[0x7f; 256]] {
        assert_eq!(parse(refused), Err(KeyError::Invalid(KeyType::Rsa)), "{refused:?}");
    }
}

/// rust-libp2p's Ed25519 verification answered `true` to every signature.
#[test]
fn rustsec_2019_0004_a_signature_that_does_not_fit_is_refused() {
    let message = b"message";
    for keypair in keypairs() {
        let (key, key_type) = (keypair.public(), keypair.public().key_type());
        let signature = keypair.sign(message);
        assert_eq!(key.verify(message, &signature), Ok(()));
        for index in 0..signature.len() {
            let mut forged = signature.clone();
            forged[index] ^= 1;
            assert_eq!(key.verify(message, &forged), Err(SignatureError), "{key_type}, byte {index}");
        }
        for index in 0..message.len() {
            let mut other = *message;
            other[index] ^= 1;
            assert_eq!(key.verify(&other, &signature), Err(SignatureError), "{key_type}, byte {index}");
        }
        for len in 0..signature.len() {
            assert_eq!(
                key.verify(message, &signature[..len]),
                Err(SignatureError),
                "{key_type}, {len} bytes"
            );
        }
        let longer = [&signature[..], &[0]].concat();
        assert_eq!(key.verify(message, &longer), Err(SignatureError), "{key_type}");
        let zeros = vec![0; signature.len()];
        assert_eq!(key.verify(message, &zeros), Err(SignatureError), "{key_type}");
        let other = Keypair::from_ed25519_seed([9; 32]).sign(message);
        assert_eq!(key.verify(message, &other), Err(SignatureError), "{key_type}, another signer");
    }
}

/// ed25519-dalek 1 took the public key as an argument of signing; two signatures of a message under two public keys give
/// the private one away. Here a public half only ever comes from the private one, and a stored one that differs is
/// refused.
#[test]
fn rustsec_2022_0093_a_foreign_public_half_is_refused() {
    let (ours, other) = (Keypair::from_ed25519_seed([1; 32]), Keypair::from_ed25519_seed([2; 32]));
    let seed = [1; 32];
    let half = |keypair: &Keypair| keypair.public().to_protobuf()[4..].to_vec();
    let (right, wrong) = (half(&ours), half(&other));
    let parse = |parts: &[&[u8]]| Keypair::from_protobuf(&key_message(1, &parts.concat()));
    assert!(parse(&[&seed, &right]).is_ok());
    assert!(parse(&[&seed, &right, &right]).is_ok());
    assert_eq!(parse(&[&seed, &wrong]).unwrap_err(), KeyError::Mismatch);
    assert_eq!(parse(&[&seed, &right, &wrong]).unwrap_err(), KeyError::Mismatch);
    assert_eq!(parse(&[&seed, &wrong, &right]).unwrap_err(), KeyError::Mismatch);
    assert_eq!(parse(&[&seed, &wrong, &wrong]).unwrap_err(), KeyError::Mismatch, "equal is not enough");
}

#[cfg(feature = "ecdsa")]
#[test]
fn rustsec_2022_0093_a_foreign_public_half_of_a_p256_key_is_refused() {
    let private = common::bytes(&common::vectors("peer-ids", "keys")[0], "private");
    let foreign = common::vectors("signatures", "vectors");
    let foreign =
        foreign.iter().find(|vector| common::text(vector, "id") == "peerid/accept-ecdsa-p256").unwrap();
    let point = common::bytes(foreign, "public");
    let mut mixed = private.clone();
    let at = private.len() - 65;
    mixed[at..].copy_from_slice(&point[point.len() - 65..]);
    assert!(Keypair::from_protobuf(&private).is_ok());
    assert_eq!(Keypair::from_protobuf(&mixed).unwrap_err(), KeyError::Invalid(KeyType::Ecdsa));
}
