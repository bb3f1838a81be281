//! The one place where the handshake's primitives plug in: X25519, ChaCha20-Poly1305, SHA-256 and a seed.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use sha2::{Digest, Sha256};
use snow::{
    Error,
    params::{CipherChoice, DHChoice, HashChoice},
    resolvers::CryptoResolver,
    types::{Cipher, Dh, Hash, Random},
};
use zeroize::Zeroizing;

#[cfg(feature = "aws-lc")]
#[path = "crypto/aws_lc.rs"]
mod x25519;
#[cfg(not(feature = "aws-lc"))]
#[path = "crypto/dalek.rs"]
mod x25519;

pub(crate) use x25519::KeyPair;

/// Bytes of a Curve25519 key, secret or public.
pub(crate) const KEY_LEN: usize = 32;

/// Expands a seed into independent ones, by counting.
#[must_use]
pub fn derive_seed(seed: &[u8; 32], count: u64) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"bowline seed")
        .chain_update(seed)
        .chain_update(count.to_be_bytes())
        .finalize()
        .into()
}

/// The nonce of Noise's ChaChaPoly: four zero bytes, then the counter, little endian.
pub(crate) fn nonce(counter: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&counter.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// A key that seals and opens in place.
pub(crate) fn key(bytes: &[u8; 32]) -> LessSafeKey {
    let key = UnboundKey::new(&CHACHA20_POLY1305, bytes).expect("a ChaCha20 key has 32 bytes");
    LessSafeKey::new(key)
}

/// Gives snow its primitives; randomness comes from a seed.
pub(crate) struct Resolver {
    static_key: KeyPair,
    seed: Zeroizing<[u8; 32]>,
}

impl Resolver {
    pub(crate) fn new(static_key: &KeyPair, seed: [u8; 32]) -> Self {
        Self { static_key: static_key.clone(), seed: Zeroizing::new(seed) }
    }
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(SeededRandom { next: self.seed.clone(), drawn: 0 }))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519)
            .then(|| Box::new(X25519 { pair: self.static_key.clone() }) as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        matches!(choice, HashChoice::SHA256).then(|| Box::new(Sha256Hash::default()) as Box<dyn Hash>)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        matches!(choice, CipherChoice::ChaChaPoly)
            .then(|| Box::new(ChaChaPoly { key: None }) as Box<dyn Cipher>)
    }
}

/// The first 32 bytes are the seed itself, so that a test vector can fix the ephemeral key; later ones are derived.
struct SeededRandom {
    next: Zeroizing<[u8; 32]>,
    drawn: u64,
}

impl Random for SeededRandom {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        for chunk in dest.chunks_mut(32) {
            chunk.copy_from_slice(&self.next[..chunk.len()]);
            self.drawn += 1;
            *self.next = derive_seed(&self.next, self.drawn);
        }
        Ok(())
    }
}

/// Begins as our static key, so that setting that one costs no multiplication.
struct X25519 {
    pair: KeyPair,
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, secret: &[u8]) {
        if secret != self.pair.secret() {
            let mut bytes = Zeroizing::new([0; KEY_LEN]);
            bytes.copy_from_slice(secret);
            self.pair = KeyPair::new(*bytes);
        }
    }

    fn generate(&mut self, random: &mut dyn Random) -> Result<(), Error> {
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        random.try_fill_bytes(&mut *bytes)?;
        self.pair = KeyPair::new(*bytes);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        self.pair.public()
    }

    fn privkey(&self) -> &[u8] {
        self.pair.secret()
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let public = public.first_chunk().ok_or(Error::Dh)?;
        // spec: noise/low-order-point — such a key would make the secret independent of ours.
        let shared = self.pair.agree(public).ok_or(Error::Dh)?;
        out.first_chunk_mut::<KEY_LEN>().ok_or(Error::Dh)?.copy_from_slice(&*shared);
        Ok(())
    }
}

#[derive(Default)]
struct Sha256Hash {
    state: Sha256,
}

impl Hash for Sha256Hash {
    fn name(&self) -> &'static str {
        "SHA256"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.state = Sha256::new();
    }

    fn input(&mut self, data: &[u8]) {
        self.state.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        out[..32].copy_from_slice(&self.state.finalize_reset());
    }
}

/// The handshake's cipher. Records after it are sealed by [`Sealer`](crate::Sealer), without snow.
struct ChaChaPoly {
    key: Option<LessSafeKey>,
}

impl Cipher for ChaChaPoly {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, bytes: &[u8; 32]) {
        self.key = Some(key(bytes));
    }

    fn encrypt(&self, counter: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        let key = self.key.as_ref().expect("snow sets the key before it seals");
        let (text, rest) = out.split_at_mut(plaintext.len());
        text.copy_from_slice(plaintext);
        let tag = key.seal_in_place_separate_tag(nonce(counter), Aad::from(authtext), text);
        let tag = tag.expect("a handshake payload is far shorter than the cipher's limit");
        rest[..tag.as_ref().len()].copy_from_slice(tag.as_ref());
        plaintext.len() + tag.as_ref().len()
    }

    fn decrypt(
        &self,
        counter: u64,
        authtext: &[u8],
        ciphertext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let key = self.key.as_ref().ok_or(Error::Decrypt)?;
        let mut text = ciphertext.to_vec();
        let opened = key.open_in_place(nonce(counter), Aad::from(authtext), &mut text);
        let opened = opened.map_err(|_| Error::Decrypt)?;
        out.get_mut(..opened.len()).ok_or(Error::Decrypt)?.copy_from_slice(opened);
        Ok(opened.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The points whose multiples by any clamped secret are zero, and forms of them that are not reduced.
    #[test]
    fn every_point_of_small_order_is_refused() {
        let order_8 = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
        let order_8_other = "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157";
        let near_p = |low: u8| {
            let mut bytes = [0xff; KEY_LEN];
            (bytes[0], bytes[31]) = (low, 0x7f);
            hex::encode(bytes)
        };
        let one = format!("01{}", "00".repeat(31));
        let points = [hex::encode([0; KEY_LEN]), one, order_8.into(), order_8_other.into()];
        for point in points.into_iter().chain([near_p(0xec), near_p(0xed), near_p(0xee)]) {
            let key = X25519 { pair: KeyPair::new([7; KEY_LEN]) };
            let refused = key.dh(&hex::decode(&point).unwrap(), &mut [0; KEY_LEN]);
            assert_eq!(refused, Err(Error::Dh), "{point}");
        }
    }

    #[test]
    fn the_seed_is_the_first_secret_and_later_ones_differ() {
        let resolver = Resolver::new(&KeyPair::new([1; KEY_LEN]), [2; 32]);
        let mut random = resolver.resolve_rng().unwrap();
        let (mut first, mut second) = ([0; 32], [0; 32]);
        random.try_fill_bytes(&mut first).unwrap();
        random.try_fill_bytes(&mut second).unwrap();
        assert_eq!(first, [2; 32]);
        assert_ne!(second, first);
    }

    #[test]
    fn derived_seeds_repeat_and_differ() {
        assert_eq!(derive_seed(&[9; 32], 1), derive_seed(&[9; 32], 1));
        assert_ne!(derive_seed(&[9; 32], 1), derive_seed(&[9; 32], 2));
        assert_ne!(derive_seed(&[9; 32], 1), derive_seed(&[8; 32], 1));
    }
}
