//! Yamux as a machine: many streams over one connection, with windows that tune themselves.
//!
//! ```text
//!            open, write, read, finish, reset, release
//!                  │                        ▲ events
//!  ┌───────────────▼────────────────────────┴──────────────┐
//!  │ Session    streams ── send queues ──> scheduler ──┐   │
//!  │               ▲                    control queue ─┤   │
//!  │               │ slices, no copies        pinger ──┤   │
//!  └───────────────┴───────────────────────────────────┼───┘
//!            handle_input(bytes)              poll_transmit(out)
//! ```
//!
//! A [`Session`] takes bytes and the time and gives bytes, [events](Event) and one deadline. It owns no socket,
//! task or clock. Any order of calls is legal, and equal inputs give equal outputs. The owner's duties:
//!
//! * hand over what arrived, in any pieces ([`Session::handle_input`]);
//! * send what [`Session::poll_transmit`] yields, until it yields nothing;
//! * drain [`Session::poll_event`];
//! * call [`Session::handle_timeout`] at [`Session::poll_timeout`] or later.
//!
//! ```
//! # #[allow(clippy::disallowed_methods, reason = "an example reads the clock once")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Instant;
//! use bowline_yamux::{Config, Event, Read, Role, Session};
//! use bytes::{Bytes, BytesMut};
//!
//! let now = Instant::now();
//! let mut client = Session::new(now, Role::Client, Config::default());
//! let mut server = Session::new(now, Role::Server, Config::default());
//!
//! let id = client.open(now)?;
//! client.write(now, id, &mut Bytes::from_static(b"hello"))?;
//! client.finish(now, id)?;
//!
//! let mut wire = BytesMut::new();
//! while client.poll_transmit(now, &mut wire, 65_519) {}
//! server.handle_input(now, wire.freeze())?;
//!
//! assert_eq!(server.poll_event(), Some(Event::Incoming(id)));
//! assert_eq!(server.read(now, id, 1024)?, Read::Data("hello".into()));
//! assert_eq!(server.read(now, id, 1024)?, Read::Finished);
//! # Ok(())
//! # }
//! ```
//!
//! What a peer can make a session hold is bounded: see [`limits`] and [`Config`]. What it can make it do is
//! metered. Whoever breaks a rule of the protocol ends the session, with a [`SessionError`] that names the rule;
//! whoever exceeds a limit loses the stream and keeps the session.
//!
//! # Memory
//!
//! What a session can be made to hold, whatever the peer does, with the defaults in brackets:
//!
//! ```text
//!   unread payload         max_unread_bytes                                                   [32 MiB]
//! + what its slices pin    MAX_SHARED_UNREAD / COPY_BELOW inputs of the transport's size      [32 MiB of 256 KiB reads]
//! + send queues            MAX_SESSION_QUEUE, and MAX_BLOCKED_QUEUE for each writer who waits
//!                          for credit                                                         [256 KiB + 64 KiB each]
//! + control                64 pongs, 256 refusals, one update and one RST for each stream     [some KiB]
//! + streams                max_inbound_streams + max_outbound_streams, about 300 B each       [1 MiB]
//! ```
//!
//! Credit is part of the first line: a peer may send what it was given, and loses the stream with the most unread
//! bytes when the sum exceeds the limit. `tests/memory.rs` reads the allocator while peers try.
//!
//! Specification: libp2p/specs, `yamux/README.md`; hashicorp/yamux, `spec.md`.

mod chunks;
pub mod code;
mod config;
mod control;
mod error;
mod event;
mod flow;
pub mod frame;
mod id;
pub mod limits;
mod ping;
mod rtt;
mod scheduler;
mod session;
mod stream;
mod table;

pub use config::Config;
pub use error::{CloseReason, Flood, OpenError, Party, ReadError, SessionError, WriteError};
pub use event::{Event, Read};
pub use id::{Role, StreamId};
pub use session::{Session, Stats, StreamStats};

#[cfg(test)]
mod tests {
    use std::time::Instant;

    #[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
    pub(crate) fn base() -> Instant {
        Instant::now()
    }
}
