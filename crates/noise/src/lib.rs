//! Noise as libp2p speaks it: the XX handshake that proves who the peer is, then a cipher for records.
//!
//! ```text
//!  initiator                                            responder
//!     |── 1: e ──────────────────────────────────────────>|
//!     |<───────── 2: e, ee, s, es, {key, signature, muxers}|
//!     |   checks the signature and the expected peer       |
//!     |── 3: s, se, {key, signature, muxers} ─────────────>|
//!     |<══════════════════ sealed records ═══════════════>|
//! ```
//!
//! The handshake is a machine that is handed bytes; its randomness is a seed. It ends in an [`Established`], whose
//! [`VerifiedPeer`] nothing but the signature check can make. snow runs the pattern; the transport keys are then
//! used directly, so that records are sealed and opened in place.
//!
//! ```
//! use bowline_identity::Keypair;
//! use bowline_noise::{Handshake, Identity, MuxerChoice};
//! use bytes::BytesMut;
//!
//! let (alice, bob) = (Keypair::from_ed25519_seed([1; 32]), Keypair::from_ed25519_seed([2; 32]));
//! let (a, b) = (Identity::new(&alice, [3; 32]), Identity::new(&bob, [4; 32]));
//! let muxers = ["/yamux/1.0.0"];
//! let mut dialer = Handshake::initiator(&a, Some(bob.peer_id()), &muxers, [5; 32]);
//! let mut listener = Handshake::responder(&b, None, &muxers, [6; 32]);
//!
//! let mut wire = BytesMut::new();
//! while dialer.poll_transmit(&mut wire) {}
//! assert!(listener.handle_input(&mut wire)?.is_none());
//! while listener.poll_transmit(&mut wire) {}
//! let mut at_dialer = dialer.handle_input(&mut wire)?.expect("message 2 is all that the dialer needs");
//! while dialer.poll_transmit(&mut wire) {}
//! let mut at_listener = listener.handle_input(&mut wire)?.expect("message 3 is the last");
//!
//! assert_eq!(at_listener.peer.peer_id(), alice.peer_id());
//! assert_eq!(at_dialer.muxer, MuxerChoice::Inlined("/yamux/1.0.0".into()));
//!
//! let start = at_dialer.sealer.begin(&mut wire);
//! wire.extend_from_slice(b"hello");
//! at_dialer.sealer.finish(&mut wire, start)?;
//! assert_eq!(at_listener.opener.open(&mut wire)?.as_deref(), Some(&b"hello"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! For those who test other implementations, [`exchange`] is the bare handshake with payloads of one's own.
//!
//! Specification: libp2p/specs, `noise/README.md`; the Noise Protocol Framework, revision 34.

mod cipher;
mod crypto;
mod error;
pub mod exchange;
mod generated {
    pub(crate) mod noise;
}
mod handshake;
mod identity;
mod payload;

pub use cipher::{
    CipherError, LENGTH_PREFIX, MAX_PLAINTEXT, MAX_RECORD, Opener, RecordStart, Sealer, TAG_LEN,
};
pub use crypto::derive_seed;
pub use error::HandshakeError;
pub use handshake::{Established, Handshake, MAX_HANDSHAKE_MESSAGE, MAX_HANDSHAKE_PAYLOAD, VerifiedPeer};
pub use identity::Identity;
pub use payload::{MAX_MUXERS, MuxerChoice};
