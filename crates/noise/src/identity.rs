//! Our side of the proof: a static key and the identity's signature over it.

use std::sync::Arc;

use bowline_identity::{Keypair, PeerId};

use crate::crypto::KeyPair;

/// What a static key is signed together with.
///
/// // spec: noise/msg2-payload, noise/msg3-payload
pub(crate) const SIGNATURE_DOMAIN: &[u8] = b"noise-libp2p-static-key:";

/// A static key with the identity's signature over it, made once and used for every handshake of the process.
///
/// The static key is not stored: a fresh one for each process is what the specification asks for. A cheap clone.
#[derive(Clone, Debug)]
pub struct Identity {
    shared: Arc<Shared>,
}

struct Shared {
    peer_id: PeerId,
    static_key: KeyPair,
    public_key: Vec<u8>,
    signature: Vec<u8>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("peer_id", &self.peer_id).finish_non_exhaustive()
    }
}

impl Identity {
    /// Makes the static key of `static_seed`, which must be secret and unpredictable, and signs it.
    #[must_use]
    pub fn new(keypair: &Keypair, static_seed: [u8; 32]) -> Self {
        let static_key = KeyPair::new(static_seed);
        let signature = keypair.sign(&signed_bytes(static_key.public()));
        let shared = Shared {
            peer_id: keypair.peer_id(),
            static_key,
            public_key: keypair.public().to_protobuf(),
            signature,
        };
        Self { shared: Arc::new(shared) }
    }

    /// The peer that this identity proves to be.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.shared.peer_id
    }

    pub(crate) fn static_key(&self) -> &KeyPair {
        &self.shared.static_key
    }

    pub(crate) fn public_key(&self) -> &[u8] {
        &self.shared.public_key
    }

    pub(crate) fn signature(&self) -> &[u8] {
        &self.shared.signature
    }
}

/// What an identity signs for a static key.
pub(crate) fn signed_bytes(static_key: &[u8]) -> Vec<u8> {
    [SIGNATURE_DOMAIN, static_key].concat()
}
