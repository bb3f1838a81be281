//! The perf protocol, `/perf/1.0.0`, as two small machines.
//!
//! ```text
//!  Client                                  Server
//!     |── download size, u64 big endian ───>|
//!     |── upload bytes ────────────────────>| counts, keeps nothing
//!     |── FIN ─────────────────────────────>|
//!     |                                     | sends nothing before the client's FIN
//!     |<────────── exactly download bytes ──|
//!     |<────────────────────────────── FIN ─|
//! ```
//!
//! Neither machine stores or allocates for the bytes it moves: both hand out slices of one static
//! block of zeros and count what they receive. A transfer is cancelled by resetting the stream and
//! dropping the machine, so a download of `u64::MAX` bytes is as good as any other.
//!
//! ```
//! # #[allow(clippy::disallowed_methods, reason = "an example reads the clock once")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Instant;
//! use bowline_perf::{Client, Server, Transmit};
//!
//! let now = Instant::now();
//! let (mut client, mut server) = (Client::new(now, 3, 70_000), Server::new());
//! while let Some(transmit) = client.poll_transmit(now, usize::MAX) {
//!     match transmit {
//!         Transmit::Data(bytes) => server.handle_input(&bytes),
//!         Transmit::Finish => server.handle_end()?,
//!     }
//! }
//! assert_eq!(server.received(), 3);
//! while let Some(transmit) = server.poll_transmit(65_507) {
//!     match transmit {
//!         Transmit::Data(bytes) => client.handle_input(now, &bytes)?,
//!         Transmit::Finish => client.handle_end(now)?,
//!     }
//! }
//! assert_eq!(client.report().expect("the server finished").downloaded, 70_000);
//! # Ok(())
//! # }
//! ```
//!
//! The protocol lets a stranger spend a node's bandwidth, so a node serves it only when asked to.
//!
//! Specification: libp2p/specs, `perf/perf.md`.

mod client;
mod server;
mod zeros;

use bytes::Bytes;

pub use client::{Client, ClientError, Report};
pub use server::{Server, ServerError};
pub use zeros::ZERO_BLOCK_LEN;

/// The protocol id that is negotiated on a perf stream.
pub const PROTOCOL: &str = "/perf/1.0.0";

/// Bytes of the header that announces the download size.
pub const HEADER_LEN: usize = 8;

/// What a machine wants done to its stream next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transmit {
    /// Write these bytes, all of them, before the next one.
    Data(Bytes),
    /// Close the sending side.
    Finish,
}
