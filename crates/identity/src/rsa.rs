//! RSA keys, as old peers still have them.

use pkcs1::{RsaPrivateKeyRef, RsaPublicKeyRef, der::Decode, der::asn1::UintRef};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey};
use spki::{
    AlgorithmIdentifierRef, ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{
        Encode,
        asn1::{AnyRef, BitStringRef},
    },
};
use zeroize::Zeroizing;

use crate::{KeyError, KeyType, RSA_MAX_BITS, RSA_MAX_SIGNING_BITS, RSA_MIN_BITS, SignatureError};

const RSA_ENCRYPTION: AlgorithmIdentifierRef<'static> = AlgorithmIdentifierRef {
    oid: ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1"),
    parameters: Some(AnyRef::NULL),
};

/// The largest public exponent in bits. It is what ring verifies with; keys in use have 65,537, which has 17.
const MAX_EXPONENT_BITS: usize = 33;

/// An RSA public key whose size is in bounds.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PublicKey {
    /// The whole SubjectPublicKeyInfo, as it is on the wire. DER has one form for each value, so a key has one.
    der: Vec<u8>,
    /// The RSAPublicKey within it, as the verifier takes it.
    key: Vec<u8>,
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo. The modulus is measured before anything is copied or computed with it.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| invalid())?;
        // RFC 3279 demands the NULL; without it one key would have two encodings, and two peer ids.
        if info.algorithm != RSA_ENCRYPTION {
            return Err(invalid());
        }
        let key = info.subject_public_key.as_bytes().ok_or_else(invalid)?;
        check_public(key)?;
        Ok(Self { der: der.to_vec(), key: key.to_vec() })
    }

    /// Makes the wire form from an RSAPublicKey.
    fn from_pkcs1(key: &[u8]) -> Result<Self, KeyError> {
        check_public(key)?;
        let info = SubjectPublicKeyInfoRef {
            algorithm: RSA_ENCRYPTION,
            subject_public_key: BitStringRef::from_bytes(key).map_err(|_| invalid())?,
        };
        Ok(Self { der: info.to_der().map_err(|_| invalid())?, key: key.to_vec() })
    }

    pub(crate) fn as_der(&self) -> &[u8] {
        &self.der
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.key)
            .verify(message, signature)
            .map_err(|_| SignatureError)
    }
}

/// An RSA private key.
///
/// The encoded form is wiped when it is dropped. What ring keeps beside it is ring's, which does not wipe it.
pub(crate) struct SecretKey {
    /// The RSAPrivateKey of PKCS #1, for saving.
    der: Zeroizing<Vec<u8>>,
    pair: RsaKeyPair,
}

impl SecretKey {
    /// Reads an RSAPrivateKey, with the public half that belongs to it.
    pub(crate) fn from_der(der: &[u8]) -> Result<(Self, PublicKey), KeyError> {
        let parsed = RsaPrivateKeyRef::from_der(der).map_err(|_| invalid())?;
        let bits = check_size(parsed.modulus)?;
        if bits > RSA_MAX_SIGNING_BITS {
            return Err(KeyError::RsaSigningSize { bits });
        }
        let pair = RsaKeyPair::from_der(der).map_err(|_| invalid())?;
        let public = PublicKey::from_pkcs1(pair.public().as_ref())?;
        let key = Self { der: Zeroizing::new(der.to_vec()), pair };
        // Numbers that do not fit together pass ring's checks and make signatures that fail. That is told now.
        let trial = key.try_sign(b"trial").ok_or(KeyError::Mismatch)?;
        public.verify(b"trial", &trial).map_err(|_| KeyError::Mismatch)?;
        Ok((key, public))
    }

    pub(crate) fn as_der(&self) -> &[u8] {
        &self.der
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.try_sign(message).expect("the key signed when it was read")
    }

    fn try_sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.pair.public().modulus_len()];
        // Asked for by the signature of the function; PKCS #1 v1.5 draws nothing from it.
        let unused = ring::rand::SystemRandom::new();
        self.pair.sign(&RSA_PKCS1_SHA256, &unused, message, &mut signature).ok()?;
        Some(signature)
    }
}

fn check_public(key: &[u8]) -> Result<(), KeyError> {
    let key = RsaPublicKeyRef::from_der(key).map_err(|_| invalid())?;
    check_size(key.modulus)?;
    check_exponent(key.public_exponent)
}

/// The length of a modulus in bits, where keys of that size are accepted.
// spec: peerid/reject-weak-rsa, peerid/reject-huge-rsa
fn check_size(modulus: UintRef<'_>) -> Result<usize, KeyError> {
    let bits = bit_length(modulus.as_bytes());
    if (RSA_MIN_BITS..=RSA_MAX_BITS).contains(&bits) { Ok(bits) } else { Err(KeyError::RsaSize { bits }) }
}

/// Exponents that a signature is raised to: odd, 3 or more, and short, or checking costs as much as signing.
fn check_exponent(exponent: UintRef<'_>) -> Result<(), KeyError> {
    let bytes = exponent.as_bytes();
    let odd = bytes.last().is_some_and(|byte| byte & 1 == 1);
    if odd && bytes != [1] && bit_length(bytes) <= MAX_EXPONENT_BITS { Ok(()) } else { Err(invalid()) }
}

/// The length in bits of a number without leading zero bytes.
fn bit_length(bytes: &[u8]) -> usize {
    bytes.len() * 8 - bytes.first().map_or(0, |byte| byte.leading_zeros() as usize)
}

fn invalid() -> KeyError {
    KeyError::Invalid(KeyType::Rsa)
}
