//! The asynchronous side of content: Bitswap on a host, and files in and out of it.
//!
//! ```text
//!            Exchange (one per host)                        files
//!  Host ──┬─ want streams  <── Fetcher <── wants ──────┐   get, cat, ls: reader machine ── Fetch
//!         ├─ reply streams <── Server ──> off-load ──> store <── add: chunk, hash, put
//!         └─ inbound streams ──> decode ──> off-load: hash ──> Fetcher
//! ```
//!
//! The machines of `bowline-bitswap` decide; this crate moves their messages over streams, and sends hashing
//! and store calls through one seam, [`OffLoad`], so that the network tasks never wait for either.

pub mod files;
mod off_load;
mod service;

pub use off_load::OffLoad;
pub use service::{Exchange, ExchangeConfig, ExchangeStats, Fetch, FetchEvent};
