//! Public keys of the four types, and their signatures.

use std::fmt;

use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use prost::Message;

use crate::{
    PeerId, ed25519,
    generated::keys::{KeyType as WireType, PublicKey as WireKey},
};

/// The largest encoded public key that is looked at, in bytes: an RSA key of 8,192 bits has about 1,070.
pub const MAX_KEY: usize = 2 * 1024;

/// The smallest RSA modulus that is accepted, in bits.
// spec: peerid/reject-weak-rsa
pub const RSA_MIN_BITS: usize = 2048;

/// The largest RSA modulus that is accepted, in bits: verifying larger ones is how CVE-2023-39533 burned CPU.
// spec: peerid/reject-huge-rsa
pub const RSA_MAX_BITS: usize = 8192;

/// The largest RSA modulus that can sign, in bits. Larger keys of others are verified, up to [`RSA_MAX_BITS`].
pub const RSA_MAX_SIGNING_BITS: usize = 4096;

/// Stands for a key type that was not in the message, which the decoder would take for zero, RSA.
pub(crate) const ABSENT_TYPE: i32 = i32::MIN;

/// The type of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyType {
    /// RSA with PKCS #1 v1.5 signatures over SHA-256.
    Rsa = 0,
    /// Ed25519, what every peer must support.
    Ed25519 = 1,
    /// secp256k1 with ECDSA over SHA-256.
    Secp256k1 = 2,
    /// NIST P-256 with ECDSA over SHA-256.
    Ecdsa = 3,
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa => "RSA",
            Self::Ed25519 => "Ed25519",
            Self::Secp256k1 => "secp256k1",
            Self::Ecdsa => "ECDSA",
        })
    }
}

/// Why bytes are no usable key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The encoding is larger than any key.
    #[error("key of {len} bytes is larger than any key")]
    TooLarge {
        /// Its length in bytes.
        len: usize,
    },
    /// The bytes are no key message.
    #[error("key is not the protobuf message that it should be")]
    Malformed,
    /// The key type is none of the four.
    #[error("key type {value} is unknown")]
    UnknownType {
        /// The value on the wire.
        value: i32,
    },
    /// The key type is known, and switched off in this build.
    #[error("{0} keys are switched off in this build")]
    NotCompiled(KeyType),
    /// The key's own bytes are not valid for its type.
    #[error("bytes are no valid {0} key")]
    Invalid(KeyType),
    /// The ECDSA key is on another curve than P-256.
    #[error("ECDSA key is not on the curve P-256")]
    UnsupportedCurve,
    /// The RSA modulus is too small to be safe or too large to be affordable.
    #[error("RSA modulus has {bits} bits, outside of {RSA_MIN_BITS} to {RSA_MAX_BITS}")]
    RsaSize {
        /// Its length in bits.
        bits: usize,
    },
    /// The RSA private key is of a size that is accepted from others and cannot sign here.
    #[error("RSA private key has {bits} bits, more than the {RSA_MAX_SIGNING_BITS} that can sign")]
    RsaSigningSize {
        /// The length of its modulus in bits.
        bits: usize,
    },
    /// The private key and the public key stored beside it do not belong together.
    #[error("private and public half do not belong together")]
    Mismatch,
}

/// A signature does not match its key and message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signature is invalid")]
pub struct SignatureError;

/// A public key, valid for its type.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    inner: Inner,
}

#[derive(Clone, PartialEq, Eq)]
enum Inner {
    Ed25519(VerifyingKey),
    #[cfg(feature = "secp256k1")]
    Secp256k1(k256::ecdsa::VerifyingKey),
    #[cfg(feature = "ecdsa")]
    Ecdsa(p256::ecdsa::VerifyingKey),
    #[cfg(feature = "rsa")]
    Rsa(crate::rsa::PublicKey),
}

impl PublicKey {
    pub(crate) fn from_ed25519(key: VerifyingKey) -> Self {
        Self { inner: Inner::Ed25519(key) }
    }

    #[cfg(feature = "secp256k1")]
    pub(crate) fn from_secp256k1(key: k256::ecdsa::VerifyingKey) -> Self {
        Self { inner: Inner::Secp256k1(key) }
    }

    #[cfg(feature = "ecdsa")]
    pub(crate) fn from_ecdsa(key: p256::ecdsa::VerifyingKey) -> Self {
        Self { inner: Inner::Ecdsa(key) }
    }

    #[cfg(feature = "rsa")]
    pub(crate) fn from_rsa(key: crate::rsa::PublicKey) -> Self {
        Self { inner: Inner::Rsa(key) }
    }

    /// The type of the key.
    #[must_use]
    pub fn key_type(&self) -> KeyType {
        match &self.inner {
            Inner::Ed25519(_) => KeyType::Ed25519,
            #[cfg(feature = "secp256k1")]
            Inner::Secp256k1(_) => KeyType::Secp256k1,
            #[cfg(feature = "ecdsa")]
            Inner::Ecdsa(_) => KeyType::Ecdsa,
            #[cfg(feature = "rsa")]
            Inner::Rsa(_) => KeyType::Rsa,
        }
    }

    /// Reads a key as peers send it. Encodings that are not canonical are read too; the peer id made from the key
    /// is that of the canonical one, so a key has one id however it was written.
    ///
    /// # Errors
    ///
    /// When the bytes are no key, or one that is too weak, too large, or switched off.
    // spec: peerid/key-wellformed, peerid/reject-unknown-type, peerid/key-nondeterministic-accept
    pub fn from_protobuf(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() > MAX_KEY {
            return Err(KeyError::TooLarge { len: bytes.len() });
        }
        let mut wire = WireKey { r#type: ABSENT_TYPE, data: Bytes::new() };
        wire.merge(bytes).map_err(|_| KeyError::Malformed)?;
        Ok(Self { inner: Inner::parse(key_type(wire.r#type)?, &wire.data)? })
    }

    /// The canonical encoding: the type, then the key's bytes, and nothing else.
    // spec: peerid/key-deterministic-emit
    #[must_use]
    pub fn to_protobuf(&self) -> Vec<u8> {
        let (kind, data) = match &self.inner {
            Inner::Ed25519(key) => (WireType::Ed25519, key.as_bytes().to_vec()),
            #[cfg(feature = "secp256k1")]
            Inner::Secp256k1(key) => (WireType::Secp256k1, key.to_sec1_point(true).as_bytes().to_vec()),
            #[cfg(feature = "ecdsa")]
            Inner::Ecdsa(key) => (WireType::Ecdsa, ecdsa_der(key)),
            #[cfg(feature = "rsa")]
            Inner::Rsa(key) => (WireType::Rsa, key.as_der().to_vec()),
        };
        WireKey { r#type: kind.into(), data: data.into() }.encode_to_vec()
    }

    /// Checks that the holder of this key signed `message`.
    ///
    /// # Errors
    ///
    /// [`SignatureError`] when it did not, and when the signature is malformed.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        match &self.inner {
            Inner::Ed25519(key) => ed25519::verify(key, message, signature),
            #[cfg(feature = "secp256k1")]
            Inner::Secp256k1(key) => {
                use k256::ecdsa::{Signature, signature::Verifier};
                let signature = Signature::from_der(signature).map_err(|_| SignatureError)?;
                // BIP 62 asks signers for a low S. Peers exist that sign with a high one, and all accept them.
                key.verify(message, &signature.normalize_s()).map_err(|_| SignatureError)
            }
            #[cfg(feature = "ecdsa")]
            Inner::Ecdsa(key) => {
                use p256::ecdsa::{Signature, signature::Verifier};
                let signature = Signature::from_der(signature).map_err(|_| SignatureError)?;
                key.verify(message, &signature).map_err(|_| SignatureError)
            }
            #[cfg(feature = "rsa")]
            Inner::Rsa(key) => key.verify(message, signature),
        }
    }

    /// The id of the peer that holds this key.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        PeerId::from_encoded_key(&self.to_protobuf())
    }
}

#[cfg(feature = "ecdsa")]
fn ecdsa_der(key: &p256::ecdsa::VerifyingKey) -> Vec<u8> {
    use p256::pkcs8::EncodePublicKey;
    key.to_public_key_der().expect("a valid point has an encoding").into_vec()
}

/// The type that a key message names.
pub(crate) fn key_type(value: i32) -> Result<WireType, KeyError> {
    if value == ABSENT_TYPE {
        return Err(KeyError::Malformed);
    }
    WireType::try_from(value).map_err(|_| KeyError::UnknownType { value })
}

impl Inner {
    fn parse(kind: WireType, data: &[u8]) -> Result<Self, KeyError> {
        match kind {
            WireType::Ed25519 => {
                let invalid = KeyError::Invalid(KeyType::Ed25519);
                let bytes = data.try_into().map_err(|_| invalid.clone())?;
                let key = VerifyingKey::from_bytes(bytes).map_err(|_| invalid.clone())?;
                // A key of small order makes signatures that fit any message.
                if key.is_weak() { Err(invalid) } else { Ok(Self::Ed25519(key)) }
            }
            #[cfg(feature = "secp256k1")]
            WireType::Secp256k1 => k256::ecdsa::VerifyingKey::from_sec1_bytes(data)
                .map(Self::Secp256k1)
                .map_err(|_| KeyError::Invalid(KeyType::Secp256k1)),
            #[cfg(feature = "ecdsa")]
            WireType::Ecdsa => {
                use p256::pkcs8::DecodePublicKey;
                use p256::pkcs8::spki::Error;
                match p256::ecdsa::VerifyingKey::from_public_key_der(data) {
                    Ok(key) => Ok(Self::Ecdsa(key)),
                    Err(Error::OidUnknown { .. }) => Err(KeyError::UnsupportedCurve),
                    Err(_) => Err(KeyError::Invalid(KeyType::Ecdsa)),
                }
            }
            #[cfg(feature = "rsa")]
            WireType::Rsa => crate::rsa::PublicKey::from_der(data).map(Self::Rsa),
            #[cfg(not(feature = "secp256k1"))]
            WireType::Secp256k1 => Err(KeyError::NotCompiled(KeyType::Secp256k1)),
            #[cfg(not(feature = "ecdsa"))]
            WireType::Ecdsa => Err(KeyError::NotCompiled(KeyType::Ecdsa)),
            #[cfg(not(feature = "rsa"))]
            WireType::Rsa => Err(KeyError::NotCompiled(KeyType::Rsa)),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {})", self.key_type(), self.peer_id())
    }
}
