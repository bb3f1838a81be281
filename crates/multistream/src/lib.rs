//! multistream-select 1.0: how two peers agree on the protocol that a stream speaks.
//!
//! ```text
//!  Dialer                                      Listener
//!    |── /multistream/1.0.0, /tls/1.0.0 ────────>|
//!    |<──────────────── /multistream/1.0.0, na ──|
//!    |── /noise ────────────────────────────────>|
//!    |<───────────────────────────────── /noise ─|   agreed
//! ```
//!
//! Both sides are machines: bytes go in, messages come out. A machine takes exactly its own bytes off the input, so
//! what follows the negotiation is left for the next layer. Time is the caller's.
//!
//! ```
//! use bowline_multistream::{Dialer, Listener, ProtocolId};
//! use bytes::BytesMut;
//!
//! let noise = ProtocolId::from_static("/noise");
//! let (mut dialer, mut listener) = (Dialer::new(vec![noise.clone()]), Listener::new());
//! let (mut there, mut back) = (BytesMut::new(), BytesMut::new());
//!
//! while let Some(message) = dialer.poll_message() {
//!     there.extend_from_slice(&message);
//! }
//! there.extend_from_slice(b"first bytes of noise"); // need not wait for the answer
//!
//! let proposal = listener.handle_input(&mut there, &|name| name == "/noise")?;
//! assert_eq!(proposal, Some(noise.clone()));
//! listener.accept();
//! while let Some(message) = listener.poll_message() {
//!     back.extend_from_slice(&message);
//! }
//! assert_eq!(&there[..], b"first bytes of noise");
//! assert_eq!(dialer.handle_input(&mut back)?, Some(noise));
//! # Ok::<(), bowline_multistream::NegotiationError>(())
//! ```
//!
//! **Optimism.** A dialer that offers one protocol may send its first bytes right behind the proposal. It is safe
//! wherever those bytes cannot be read as another proposal, that is, everywhere but in nested negotiations.
//!
//! Specification: libp2p/specs, `connections/README.md`; multiformats/multistream-select.

mod dialer;
mod error;
mod listener;
mod message;
mod protocol;

pub use dialer::Dialer;
pub use error::NegotiationError;
pub use listener::Listener;
pub use message::{MAX_TOKEN, MAX_TOKENS, MAX_TOTAL, Message};
pub use protocol::{MAX_PROTOCOL_ID, ProtocolId, ProtocolIdError};
