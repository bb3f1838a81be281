//! A private key with its public half.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use ed25519_dalek::{PUBLIC_KEY_LENGTH, Signer, SigningKey};
use prost::Message;
use zeroize::Zeroizing;

use crate::{
    KeyError, KeyType, PeerId, PublicKey, entropy,
    generated::keys::{KeyType as WireType, PrivateKey as WireKey},
    public_key::{ABSENT_TYPE, key_type},
};

/// The largest encoded private key that is looked at, in bytes: an RSA key of 8,192 bits has about 4,700.
pub const MAX_PRIVATE_KEY: usize = 8 * 1024;

/// A key with which a peer proves who it is. A cheap handle; the secret is wiped with the last clone, except for what
/// ring keeps of an RSA key.
///
/// Signing always uses the public half that belongs to the private one, so a signature cannot be made that gives
/// the private key away (RUSTSEC-2022-0093).
#[derive(Clone)]
pub struct Keypair {
    secret: Arc<Secret>,
    public: PublicKey,
}

enum Secret {
    Ed25519(Box<SigningKey>),
    #[cfg(feature = "secp256k1")]
    Secp256k1(k256::ecdsa::SigningKey),
    #[cfg(feature = "ecdsa")]
    Ecdsa(p256::ecdsa::SigningKey),
    #[cfg(feature = "rsa")]
    Rsa(Box<crate::rsa::SecretKey>),
}

impl Keypair {
    /// Makes a fresh Ed25519 key, with randomness from the operating system.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_ed25519_seed(entropy::seed())
    }

    /// Makes the Ed25519 key of a seed. Whoever knows the seed knows the key.
    #[must_use]
    pub fn from_ed25519_seed(seed: [u8; 32]) -> Self {
        Self::from_ed25519(SigningKey::from_bytes(&Zeroizing::new(seed)))
    }

    fn from_ed25519(key: SigningKey) -> Self {
        let public = PublicKey::from_ed25519(key.verifying_key());
        Self { secret: Arc::new(Secret::Ed25519(Box::new(key))), public }
    }

    /// Reads a private key in the form that Kubo and go-libp2p save.
    ///
    /// A public half that is stored with it must belong to it. RSA keys can have up to
    /// [`RSA_MAX_SIGNING_BITS`](crate::RSA_MAX_SIGNING_BITS) bits.
    ///
    /// # Errors
    ///
    /// When the bytes are no key, or one of a type that is switched off, or one whose halves do not match.
    pub fn from_protobuf(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() > MAX_PRIVATE_KEY {
            return Err(KeyError::TooLarge { len: bytes.len() });
        }
        let wire = decode(Zeroizing::new(bytes.to_vec()))?;
        match key_type(wire.r#type)? {
            WireType::Ed25519 => Self::parse_ed25519(&wire.data),
            #[cfg(feature = "secp256k1")]
            WireType::Secp256k1 => Self::parse_secp256k1(&wire.data),
            #[cfg(feature = "ecdsa")]
            WireType::Ecdsa => Self::parse_ecdsa(&wire.data),
            #[cfg(feature = "rsa")]
            WireType::Rsa => Self::parse_rsa(&wire.data),
            #[cfg(not(feature = "secp256k1"))]
            WireType::Secp256k1 => Err(KeyError::NotCompiled(KeyType::Secp256k1)),
            #[cfg(not(feature = "ecdsa"))]
            WireType::Ecdsa => Err(KeyError::NotCompiled(KeyType::Ecdsa)),
            #[cfg(not(feature = "rsa"))]
            WireType::Rsa => Err(KeyError::NotCompiled(KeyType::Rsa)),
        }
    }

    /// 64 bytes are the seed and the public key; 96 repeat the public key, and both copies must be right.
    // spec: peerid/ed25519-64-and-96
    fn parse_ed25519(data: &[u8]) -> Result<Self, KeyError> {
        let (seed, copies) = data.split_first_chunk().ok_or(KeyError::Invalid(KeyType::Ed25519))?;
        if copies.len() != PUBLIC_KEY_LENGTH && copies.len() != 2 * PUBLIC_KEY_LENGTH {
            return Err(KeyError::Invalid(KeyType::Ed25519));
        }
        let key = SigningKey::from_bytes(seed);
        if copies.chunks(PUBLIC_KEY_LENGTH).any(|copy| copy != key.verifying_key().as_bytes()) {
            return Err(KeyError::Mismatch);
        }
        Ok(Self::from_ed25519(key))
    }

    /// The scalar, 32 bytes.
    #[cfg(feature = "secp256k1")]
    fn parse_secp256k1(data: &[u8]) -> Result<Self, KeyError> {
        let key =
            k256::ecdsa::SigningKey::from_slice(data).map_err(|_| KeyError::Invalid(KeyType::Secp256k1))?;
        let public = PublicKey::from_secp256k1(*key.verifying_key());
        Ok(Self { secret: Arc::new(Secret::Secp256k1(key)), public })
    }

    /// An ECPrivateKey of SEC 1, which is what implementations write where the specification says PKIX.
    #[cfg(feature = "ecdsa")]
    fn parse_ecdsa(data: &[u8]) -> Result<Self, KeyError> {
        let key = p256::SecretKey::from_sec1_der(data).map_err(|_| KeyError::Invalid(KeyType::Ecdsa))?;
        let key = p256::ecdsa::SigningKey::from(key);
        let public = PublicKey::from_ecdsa(*key.verifying_key());
        Ok(Self { secret: Arc::new(Secret::Ecdsa(key)), public })
    }

    /// An RSAPrivateKey of PKCS #1.
    #[cfg(feature = "rsa")]
    fn parse_rsa(data: &[u8]) -> Result<Self, KeyError> {
        let (key, public) = crate::rsa::SecretKey::from_der(data)?;
        Ok(Self { secret: Arc::new(Secret::Rsa(Box::new(key))), public: PublicKey::from_rsa(public) })
    }

    /// The form that Kubo and go-libp2p save: a protobuf message, not encrypted.
    #[must_use]
    pub fn to_protobuf(&self) -> Zeroizing<Vec<u8>> {
        let (kind, data) = match &*self.secret {
            Secret::Ed25519(key) => (WireType::Ed25519, wiped(&*Zeroizing::new(key.to_keypair_bytes()))),
            #[cfg(feature = "secp256k1")]
            Secret::Secp256k1(key) => (WireType::Secp256k1, wiped(&Zeroizing::new(key.to_bytes()))),
            #[cfg(feature = "ecdsa")]
            Secret::Ecdsa(key) => (WireType::Ecdsa, wiped(&ecdsa_der(key))),
            #[cfg(feature = "rsa")]
            Secret::Rsa(key) => (WireType::Rsa, wiped(key.as_der())),
        };
        Zeroizing::new(WireKey { r#type: kind.into(), data }.encode_to_vec())
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The id of the peer that holds this key.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.public.peer_id()
    }

    /// Signs a message, always the same way: no randomness is drawn.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &*self.secret {
            Secret::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            #[cfg(feature = "secp256k1")]
            Secret::Secp256k1(key) => {
                let signature: k256::ecdsa::Signature = key.sign(message);
                signature.to_der().as_bytes().to_vec()
            }
            #[cfg(feature = "ecdsa")]
            Secret::Ecdsa(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_der().as_bytes().to_vec()
            }
            #[cfg(feature = "rsa")]
            Secret::Rsa(key) => key.sign(message),
        }
    }
}

/// Decodes a key message whose bytes, the key's among them, are wiped when the message is dropped.
fn decode(bytes: Zeroizing<Vec<u8>>) -> Result<WireKey, KeyError> {
    let mut wire = WireKey { r#type: ABSENT_TYPE, data: Bytes::new() };
    // The decoder takes slices of what it is given, so the secret is not copied.
    wire.merge(Bytes::from_owner(bytes)).map_err(|_| KeyError::Malformed)?;
    Ok(wire)
}

/// A copy of a secret that is wiped when it is dropped.
fn wiped(secret: &[u8]) -> Bytes {
    Bytes::from_owner(Zeroizing::new(secret.to_vec()))
}

#[cfg(feature = "ecdsa")]
fn ecdsa_der(key: &p256::ecdsa::SigningKey) -> Zeroizing<Vec<u8>> {
    p256::SecretKey::from(key).to_sec1_der().expect("a valid key has an encoding")
}

impl fmt::Debug for Keypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keypair").field("public", &self.public).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoded_secret_lies_in_the_memory_that_is_wiped() {
        let bytes = Keypair::from_ed25519_seed([1; 32]).to_protobuf();
        let memory = bytes.as_ptr_range();
        let wire = decode(bytes).unwrap();
        assert!(memory.contains(&wire.data.as_ptr()));
    }

    #[test]
    fn what_is_printed_of_a_key_holds_nothing_secret() {
        let keypair = Keypair::from_ed25519_seed([0x5a; 32]);
        let id = keypair.peer_id();
        assert_eq!(format!("{keypair:?}"), format!("Keypair {{ public: PublicKey(Ed25519, {id}), .. }}"));
    }

    #[test]
    fn generated_keys_differ() {
        assert_ne!(Keypair::generate().peer_id(), Keypair::generate().peer_id());
    }
}
