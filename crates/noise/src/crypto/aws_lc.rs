//! X25519 by AWS-LC: half the time, for a build that takes C and assembly.

use std::sync::Arc;

use aws_lc_rs::{
    agreement::{self, PrivateKey, UnparsedPublicKey, X25519},
    error::Unspecified,
};
use zeroize::Zeroizing;

use super::KEY_LEN;

/// A secret key of the curve with its public half, which costs a multiplication to find.
#[derive(Clone)]
pub(crate) struct KeyPair {
    secret: Zeroizing<[u8; KEY_LEN]>,
    public: [u8; KEY_LEN],
    key: Arc<PrivateKey>,
}

impl KeyPair {
    pub(crate) fn new(secret: [u8; KEY_LEN]) -> Self {
        let secret = Zeroizing::new(secret);
        let key = PrivateKey::from_private_key(&X25519, &*secret).expect("any 32 bytes are a secret");
        let computed = key.compute_public_key().expect("every secret has a public half");
        let public = *computed.as_ref().first_chunk().expect("a public key has 32 bytes");
        Self { secret, public, key: Arc::new(key) }
    }

    pub(crate) fn secret(&self) -> &[u8; KEY_LEN] {
        &self.secret
    }

    pub(crate) fn public(&self) -> &[u8; KEY_LEN] {
        &self.public
    }

    /// What both sides get; `None` when the other key is of small order, which AWS-LC refuses.
    pub(crate) fn agree(&self, public: &[u8; KEY_LEN]) -> Option<Zeroizing<[u8; KEY_LEN]>> {
        let peer = UnparsedPublicKey::new(&X25519, public);
        let agreed = agreement::agree(&self.key, peer, Unspecified, |shared| {
            let shared = shared.first_chunk().ok_or(Unspecified)?;
            Ok(Zeroizing::new(*shared))
        });
        agreed.ok()
    }
}
