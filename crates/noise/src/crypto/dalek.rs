//! X25519 by `x25519-dalek`: Rust alone.

use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::KEY_LEN;

/// A secret key of the curve with its public half, which costs a multiplication to find.
#[derive(Clone)]
pub(crate) struct KeyPair {
    secret: StaticSecret,
    public: PublicKey,
}

impl KeyPair {
    pub(crate) fn new(secret: [u8; KEY_LEN]) -> Self {
        let secret = StaticSecret::from(secret);
        let public = PublicKey::from(&secret);
        Self { secret, public }
    }

    pub(crate) fn secret(&self) -> &[u8; KEY_LEN] {
        self.secret.as_bytes()
    }

    pub(crate) fn public(&self) -> &[u8; KEY_LEN] {
        self.public.as_bytes()
    }

    /// What both sides get; `None` when the other key is of small order.
    pub(crate) fn agree(&self, public: &[u8; KEY_LEN]) -> Option<Zeroizing<[u8; KEY_LEN]>> {
        let shared = self.secret.diffie_hellman(&PublicKey::from(*public));
        shared.was_contributory().then(|| Zeroizing::new(shared.to_bytes()))
    }
}
