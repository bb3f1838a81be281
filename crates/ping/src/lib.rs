//! The ping protocol, `/ipfs/ping/1.0.0`, as two small machines.
//!
//! ```text
//!  Initiator                          Responder
//!     | ping(now)                        |
//!     |── 32 bytes ─────────────────────>| collects 32 bytes, in any split
//!     |<───────────────── same 32 bytes ─|
//!     | Pong { rtt }                     |
//!     |── 32 other bytes ───────────────>|
//!     |             …                    |
//!     |── FIN ──────────────────────────>|
//!     |<─────────────────────────── FIN ─|
//! ```
//!
//! The machines own no stream and no clock: bytes and `now` go in, bytes and round-trip times come
//! out. Time is measured from the moment [`Initiator::poll_transmit`] hands a payload out to the
//! moment its last byte is back, so whatever the caller's own queues cost is part of the result.
//!
//! ```
//! # #[allow(clippy::disallowed_methods, reason = "an example reads the clock once")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::{Duration, Instant};
//! use bowline_ping::{Initiator, Responder};
//!
//! let sent = Instant::now();
//! let mut initiator = Initiator::new([7; 32]);
//! let mut responder = Responder::new(sent);
//!
//! initiator.ping()?;
//! let mut request = initiator.poll_transmit(sent).expect("a ping was just asked for");
//! responder.handle_input(sent, &mut request);
//! let echo = responder.poll_transmit().expect("32 bytes are one whole payload");
//!
//! initiator.handle_input(sent + Duration::from_micros(850), &echo)?;
//! assert_eq!(initiator.poll_pong().expect("the echo was complete").rtt, Duration::from_micros(850));
//! # Ok(())
//! # }
//! ```
//!
//! A ping stream measures latency on demand. Whether a connection is alive is the muxer's question,
//! so a ping stream must neither keep a connection open nor count as use of it.
//!
//! Specification: libp2p/specs, `ping/ping.md`.

mod initiator;
mod responder;

use std::time::Duration;

pub use initiator::{Initiator, PingError, Pong, StartError};
pub use responder::{Responder, ResponderError};

/// The protocol id that is negotiated on a ping stream.
pub const PROTOCOL: &str = "/ipfs/ping/1.0.0";

/// Bytes in one ping.
pub const PAYLOAD_LEN: usize = 32;

/// Ping streams that a node serves for one peer; a further one is reset, the older ones live on.
///
/// The specification asks a listener to accept at most two.
pub const MAX_INBOUND_STREAMS: usize = 2;

/// Ping streams that a node opens to one peer.
pub const MAX_OUTBOUND_STREAMS: usize = 1;

/// Pings that may be asked for and not yet collected as [`Pong`]s.
pub const MAX_OUTSTANDING: usize = 64;

/// Bytes that a [`Responder`] holds: what it takes from a peer that sends without reading.
pub const MAX_BUFFERED: usize = 16 * 1024;

/// How long the initiator waits for one echo. The same as in go-libp2p.
pub const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the responder keeps a stream on which no payload completes.
///
/// Deployed initiators that reuse their stream ping every 5 to 15 seconds.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
