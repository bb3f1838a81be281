//! Who a peer is: keys, peer ids, signed envelopes and peer records.
//!
//! ```text
//!  Keypair ── public() ──> PublicKey ── peer_id() ──> PeerId  "12D3KooW…"
//!     │                        │
//!     └── sign ──> signature ──┴── verify ──> proof that the holder of the key said it
//!
//!  PeerRecord { peer_id, seq, addresses } ── seal(keypair) ──> SignedEnvelope ── open ──> PeerRecord
//! ```
//!
//! ```
//! use bowline_identity::{Keypair, PeerId};
//!
//! let keypair = Keypair::from_ed25519_seed([7; 32]);
//! let signature = keypair.sign(b"hello");
//! assert!(keypair.public().verify(b"hello", &signature).is_ok());
//!
//! let peer: PeerId = keypair.peer_id().to_string().parse()?;
//! assert_eq!(peer, keypair.peer_id());
//! # Ok::<(), bowline_identity::PeerIdError>(())
//! ```
//!
//! Ed25519 is always there; the other curves and RSA are the default features `secp256k1`, `ecdsa` and `rsa`.
//! Nothing here shows the types of another libp2p implementation.
//!
//! Specification: libp2p/specs, `peer-ids/peer-ids.md`, RFC 0002 and RFC 0003.

pub mod address;
mod ed25519;
pub mod entropy;
mod envelope;
mod generated {
    pub(crate) mod envelope;
    pub(crate) mod keys;
    pub(crate) mod peer_record;
}
pub mod key_file;
mod keypair;
mod peer_id;
mod public_key;
mod record;
#[cfg(feature = "rsa")]
mod rsa;

pub use envelope::{EnvelopeError, MAX_ENVELOPE, SignedEnvelope};
pub use keypair::{Keypair, MAX_PRIVATE_KEY};
pub use multiaddr::Multiaddr;
pub use peer_id::{MAX_INLINE_KEY, MAX_PEER_ID_TEXT, PeerId, PeerIdError};
pub use public_key::{
    KeyError, KeyType, MAX_KEY, PublicKey, RSA_MAX_BITS, RSA_MAX_SIGNING_BITS, RSA_MIN_BITS, SignatureError,
};
pub use record::{MAX_RECORD_ADDRESSES, PeerRecord, RecordError};
