//! Verifying Ed25519 signatures, strictly: what one provider accepts the other does.
//!
//! Strict means that keys and nonces of small order are refused: with such a key a signature says nothing about
//! the message, and every signature has one form only.

use ed25519_dalek::VerifyingKey;

use crate::SignatureError;

/// Checks a signature with `ed25519-dalek`.
#[cfg(not(feature = "aws-lc"))]
pub(crate) fn verify(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| SignatureError)?;
    key.verify_strict(message, &signature).map_err(|_| SignatureError)
}

/// Checks a signature with AWS-LC, which has to be told of small orders.
#[cfg(feature = "aws-lc")]
pub(crate) fn verify(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    // The first half of a signature is a point, as a key is.
    let nonce = signature.first_chunk().ok_or(SignatureError)?;
    let nonce = VerifyingKey::from_bytes(nonce).map_err(|_| SignatureError)?;
    if key.is_weak() || nonce.is_weak() {
        return Err(SignatureError);
    }
    let key = UnparsedPublicKey::new(&ED25519, key.as_bytes());
    key.verify(message, signature).map_err(|_| SignatureError)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;

    fn signed() -> (VerifyingKey, [u8; 64]) {
        let key = SigningKey::from_bytes(&[7; 32]);
        (key.verifying_key(), key.sign(b"message").to_bytes())
    }

    #[test]
    fn a_signature_is_for_one_message_and_in_one_form() {
        let (key, signature) = signed();
        assert_eq!(verify(&key, b"message", &signature), Ok(()));
        assert_eq!(verify(&key, b"other", &signature), Err(SignatureError));
        assert_eq!(verify(&key, b"message", &signature[..63]), Err(SignatureError));
        for position in 0..64 {
            let mut changed = signature;
            changed[position] ^= 1;
            assert_eq!(verify(&key, b"message", &changed), Err(SignatureError), "byte {position}");
        }
    }

    #[test]
    fn a_scalar_that_is_not_reduced_is_refused() {
        let (key, mut signature) = signed();
        // The order of the group, little endian.
        let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
        let mut carry = 0;
        for (byte, add) in signature[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            *byte = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        assert_eq!(verify(&key, b"message", &signature), Err(SignatureError));
    }

    /// With the neutral point as key and nonce and zero as scalar, every message would be signed.
    #[test]
    fn a_key_of_small_order_signs_nothing() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let key = VerifyingKey::from_bytes(&neutral).unwrap();
        let mut signature = [0; 64];
        signature[0] = 1;
        assert_eq!(verify(&key, b"any", &signature), Err(SignatureError));
    }
}
