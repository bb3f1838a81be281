//! From a raw byte stream to a secured, muxed connection, as one machine.
//!
//! ```text
//!  dialer                                                    listener
//!    |── /multistream, /noise, noise message 1 ───────────────>|  one flight
//!    |<──────────────── /multistream, /noise, noise message 2 ─|
//!    |── noise message 3 [muxer header, proposal] app frames ─>|  one flight; the bracket only without
//!    |<───────────────────────── [muxer header, echo] frames ──|  a muxer agreed on inside of Noise
//! ```
//!
//! So a dialer's first application bytes arrive with its second flight. [`Upgrade`] is handed bytes and the time and
//! ends in [`Upgraded`]: the verified peer, the two halves of the cipher, and the muxer's session.
//!
//! ```
//! # #[allow(clippy::disallowed_methods, reason = "an example reads the clock once")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Instant;
//! use bowline_connection::{Upgrade, UpgradeConfig};
//! use bowline_identity::Keypair;
//! use bowline_noise::Identity;
//! use bytes::BytesMut;
//!
//! let now = Instant::now();
//! let (alice, bob) = (Keypair::from_ed25519_seed([1; 32]), Keypair::from_ed25519_seed([2; 32]));
//! let (ours, theirs) =
//!     (UpgradeConfig::new(Identity::new(&alice, [3; 32])), UpgradeConfig::new(Identity::new(&bob, [4; 32])));
//! let mut dialer = Upgrade::dialer(now, &ours, Some(bob.peer_id()), [5; 32]);
//! let mut listener = Upgrade::listener(now, &theirs, [6; 32]);
//!
//! let (mut there, mut back) = (BytesMut::new(), BytesMut::new());
//! while dialer.poll_transmit(&mut there) {}
//! listener.handle_input(now, &mut there)?;
//! while listener.poll_transmit(&mut back) {}
//! dialer.handle_input(now, &mut back)?;
//! while dialer.poll_transmit(&mut there) {}
//! listener.handle_input(now, &mut there)?;
//!
//! assert_eq!(dialer.poll_upgraded(now).expect("after one round trip").peer.peer_id(), bob.peer_id());
//! assert_eq!(listener.poll_upgraded(now).expect("after two flights").peer.peer_id(), alice.peer_id());
//! # Ok(())
//! # }
//! ```
//!
//! Specification: libp2p/specs, `connections/README.md`, `connections/inlined-muxer-negotiation.md`.

mod error;
mod muxer;
mod observation;
mod secured;
mod tap;
mod upgrade;

pub use error::{Stage, UpgradeError};
pub use muxer::PendingMuxer;
pub use secured::{Cipher, ConnectionError, Secured};
pub use tap::{Direction, Layer, Tap};
pub use upgrade::{NOISE, UPGRADE_TIMEOUT, Upgrade, UpgradeConfig, Upgraded, YAMUX};
