//! The host: it keeps connections to peers and carries streams over them.
//!
//! This is the one part of the stack that has tasks, sockets and a clock; everything below it is a machine
//! that is handed bytes and the time.
//!
//! ```text
//!   Host ── connect, open_stream, accept, events, shutdown        (clones are the same host)
//!    │
//!    ├─ dial      one per peer, every caller joins it; addresses raced, first success wins
//!    ├─ listen    accept loops, bounded handshakes
//!    ├─ services  identify, identify/push, ping, perf
//!    └─ connections ── one task each: socket, cipher ── Mutex<yamux session> ── Stream, Stream, …
//! ```
//!
//! ```
//! use bowline_identity::Keypair;
//! use bowline_swarm::{Host, ProtocolId};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! const GREET: ProtocolId = ProtocolId::from_static("/greet/1.0.0");
//!
//! let server = Host::builder(Keypair::generate()).listen("/ip4/127.0.0.1/tcp/0".parse()?).start().await?;
//! let mut incoming = server.accept(GREET)?;
//! tokio::task::LocalSet::new().run_until(async move {
//!     tokio::task::spawn_local(async move {
//!         while let Some(mut stream) = incoming.next().await {
//!             let name = stream.read_to_end(100).await.unwrap();
//!             stream.write_chunk([b"hello, ", &name[..]].concat().into()).await.unwrap();
//!             stream.finish().await.unwrap();
//!         }
//!     });
//!     let addrs = server.listen_addrs().borrow().clone();
//!
//!     let client = Host::builder(Keypair::generate()).start().await?;
//!     client.connect((server.peer_id(), addrs)).await?;
//!     let mut stream = client.open_stream(server.peer_id(), GREET).await?;
//!     stream.write_chunk("Ada".into()).await?;
//!     stream.finish().await?;
//!     assert_eq!(stream.read_to_end(100).await?, b"hello, Ada");
//!     Ok(())
//! }).await
//! # }
//! ```
//!
//! The rules that the API keeps: a reset is an error and never an end of file; what was written before
//! [`Stream::finish`] is delivered, also when the stream is dropped next; nothing waits for identify; every
//! queue is bounded; every future says whether it is cancel-safe.

mod clock;
mod config;
mod connection;
mod dial;
mod error;
mod establish;
mod event;
mod host;
mod inbound;
mod island;
mod listen;
mod outbound;
mod peers;
mod protocols;
mod services;
mod stream;

pub use bowline_connection::{Direction as TapDirection, Layer, Tap, UpgradeError};
pub use bowline_identify::Info;
pub use bowline_multistream::{NegotiationError, ProtocolId};
pub use bowline_perf::Report as PerfReport;
pub use bowline_transport::{CloseReason, ConnectionStats, Party, Transport, TransportError};
/// The codes that tell peers why a stream or a connection was ended.
pub use bowline_yamux::code;
pub use config::Config;
pub use dial::{ConnectOptions, Target};
pub use error::{
    AcceptError, AddrError, Attempt, DialError, IdentifyError, ListenError, MAX_ATTEMPTS, OpenError,
    PingError, Stage, StreamError,
};
pub use event::{Direction, Event, Events, Lagged};
pub use host::{Builder, Host, ShutdownReport, StartError};
pub use outbound::{OpenOptions, Protocols};
pub use peers::{Connection, ConnectionId, MAX_ADDRESSES_PER_PEER, MAX_PEERS};
pub use protocols::{ACCEPT_QUEUE, Incoming, Kind};
pub use services::{perf::PerfError, ping::Pinger};
pub use stream::Stream;
