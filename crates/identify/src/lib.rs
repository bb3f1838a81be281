//! identify and identify/push: what two peers tell each other about themselves.
//!
//! ```text
//!  /ipfs/id/1.0.0                              /ipfs/id/push/1.0.0
//!
//!  asker                 answerer              teller                 listener
//!    | (opens, FIN)         |                    | [length][Identify]     |
//!    |─────────────────────>|                    |───────────────────────>|
//!    |   [length][Identify] |                    | FIN                    |
//!    |<─────────────────────|                    |───────────────────────>|
//!    |                  FIN |                    |                    FIN |
//!    |<─────────────────────|                    |<───────────────────────|
//! ```
//!
//! [`encode`] makes the one message that this side sends, on both protocols: always the full message,
//! because deployed peers replace everything they knew when a push arrives. [`Receiver`] reads what the
//! other side sends, in any split and over several messages, and gives an [`Info`] whose every field is
//! bounded, checked, and filtered by where the peer is.
//!
//! ```
//! use bowline_identify::{Local, Receiver, Records, encode};
//! use bowline_identity::Keypair;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let keypair = Keypair::from_ed25519_seed([7; 32]);
//! let local = Local {
//!     keypair: &keypair,
//!     protocol_version: "ipfs/0.1.0",
//!     agent_version: "example/1.0.0",
//!     protocols: vec!["/ipfs/id/1.0.0", "/ipfs/ping/1.0.0"],
//!     listen_addrs: vec!["/ip4/198.51.100.7/tcp/4001".parse()?],
//!     remote_addr: "/ip4/192.0.2.9/tcp/50123".parse()?,
//!     record_seq: Some(1),
//! };
//! let encoded = encode(&local, &mut Records::default());
//!
//! // At the other end, which sees the sender at 198.51.100.7:
//! let mut receiver = Receiver::new(keypair.peer_id(), &"/ip4/198.51.100.7/tcp/4001".parse()?);
//! receiver.handle_input(encoded.bytes)?;
//! let info = receiver.finish()?;
//! assert_eq!(info.agent.as_deref(), Some("example/1.0.0"));
//! assert_eq!(info.observed_addr, Some("/ip4/192.0.2.9/tcp/50123".parse()?));
//! assert!(info.record.is_some());
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here waits for anything: a stream to a peer is opened without knowing what identify will say.
//!
//! Specification: libp2p/specs, `identify/README.md`; the record: RFC 0002 and 0003.

mod filter;
mod generated {
    pub(crate) mod identify;
}
mod info;
mod local;
mod receiver;

use std::time::Duration;

pub use filter::Reach;
pub use info::{Info, KeyStatus, Skipped};
pub use local::{Encoded, Local, Records, encode};
pub use receiver::{ReceiveError, Receiver};

/// The protocol on which the opener asks and the listener answers.
pub const PROTOCOL: &str = "/ipfs/id/1.0.0";

/// The protocol on which the opener tells what changed.
pub const PUSH_PROTOCOL: &str = "/ipfs/id/push/1.0.0";

/// How long one exchange may take, in each direction; the clock is the caller's.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// Inbound identify streams that are served to one peer at once; a further one is reset.
pub const MAX_INBOUND_STREAMS: usize = 4;

/// The largest message that is sent, in bytes with its length prefix.
///
/// Deployed readers stop at 4,096 bytes and at the first message.
pub const MAX_SENT: usize = 4096;

/// The largest message that is read, in bytes without its prefix.
pub const MAX_MESSAGE: usize = 8 * 1024;

/// Messages that are read and merged; go-libp2p sends the signed record as a message of its own.
pub const MAX_MESSAGES: usize = 10;

/// Bytes that are read in all, prefixes included.
pub const MAX_TOTAL: usize = 16 * 1024;

/// Protocols kept of a peer; the list is then marked as partial.
///
/// The same constant wherever protocols are kept, so that no list is complete here and lost there.
pub const MAX_PROTOCOLS: usize = 256;

/// The longest protocol id kept or sent, in bytes.
pub const MAX_PROTOCOL_LEN: usize = 255;

/// Addresses kept or sent.
pub const MAX_ADDRESSES: usize = 32;

/// The longest address kept or sent, in bytes of its binary form.
///
/// A relayed WebTransport address with two certificate hashes has about 200.
pub const MAX_ADDRESS_LEN: usize = 256;

/// The longest agent or protocol version kept or sent, in bytes; longer ones are cut.
pub const MAX_VERSION_LEN: usize = 128;
