//! Bitswap: messages of all four protocol versions, and the two machines that exchange blocks.
//!
//! A [`Server`] answers what peers want and a [`Fetcher`] gets what we want. Neither opens a stream, reads a
//! store, hashes a block or looks at a clock: they take messages and the time, and give messages, events and
//! deadlines. Their caller connects them to the world:
//!
//! ```text
//!              want streams                                   reply streams
//!   peer ◄──────── wantlists ──────── Fetcher      Server ──────── blocks ──────► peer
//!   peer ──┬────── blocks ──> hash ────> │           ^ │
//!          │                             │           │ └──── lookups and loads ──► block store
//!          ├────── presences ──────────> │           │
//!          └────── wantlists ────────────┼───────────┘
//!                                        └──── events: block, missing, stalled ──► application
//! ```
//!
//! # Streams
//!
//! Wants go out on one long-lived stream per peer, replies on another that we open: boxo ignores answers
//! that come back on its own want stream. Any stream of any version may carry any part of a message. The
//! protocol ids are those of [`Version::ALL`].
//!
//! # Example
//!
//! Two machines exchange a block. The lines marked "store" and "hash" are the caller's.
//!
//! ```
//! use std::time::Instant;
//! use bowline_bitswap::{Event, Fetcher, FetcherConfig, Message, Output, Server, ServerConfig, Sources, Version};
//! use bowline_block::{VerifiedBlock, codec};
//! use bowline_identity::Keypair;
//! use bytes::Bytes;
//!
//! let now = Instant::now();
//! let version = Version::V1_2_0;
//! let alice = Keypair::from_ed25519_seed([1; 32]).peer_id();
//! let bob = Keypair::from_ed25519_seed([2; 32]).peer_id();
//! let stored = VerifiedBlock::sha2_256(codec::RAW, Bytes::from_static(b"hello world\n"))?;
//!
//! // Alice wants a block and asks Bob.
//! let mut fetcher = Fetcher::new(FetcherConfig::default());
//! fetcher.handle_connected(now, bob, version);
//! let fetch = fetcher.start(now, Sources::Any);
//! fetcher.want(now, fetch, *stored.cid());
//! let wantlist = fetcher.poll_wants(now, bob).expect("one want is due");
//!
//! // Bob answers, once he has a stream to do so.
//! let mut server = Server::new(ServerConfig::default());
//! server.handle_connected(now, alice);
//! server.handle_message(alice, version, &wantlist);
//! let mut replies = Vec::new();
//! while let Some(output) = server.poll_output(now) {
//!     match output {
//!         Output::Lookup { peer, hashes } => { // store
//!             let sizes: Vec<_> = hashes.into_iter().map(|hash| (hash, Some(12))).collect();
//!             server.handle_lookup(peer, &sizes);
//!         }
//!         Output::OpenReply { peer } => server.handle_reply_open(now, peer, version),
//!         Output::Load { token, hashes } => { // store
//!             let blocks = hashes.into_iter().map(|hash| (hash, Some(stored.data().clone())));
//!             server.handle_loaded(token, blocks.collect());
//!         }
//!         Output::Send { token, version, message, .. } => {
//!             replies.push(message.encode_frame(version));
//!             server.handle_sent(now, token);
//!         }
//!         Output::ResetReply { .. } => {}
//!     }
//! }
//!
//! // Alice hashes what came and gets her block.
//! let body = replies[0].slice(1..); // behind the length prefix, one byte here
//! for block in Message::decode(body)?.message.blocks {
//!     fetcher.handle_block(now, bob, block.verify()?); // hash
//! }
//! let event = fetcher.poll_event();
//! assert!(matches!(event, Some(Event::Block { block, .. }) if block == stored));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Source: ipfs/specs, bitswap-protocol.

mod fetcher;
mod generated {
    pub(crate) mod bitswap;
}
mod message;
mod server;
mod version;

pub use fetcher::{
    Event, FetchId, FetchStats, FetchedPeer, Fetcher, FetcherConfig, FetcherStats, MAX_WANTS_PER_PEER,
    MissingReason, Receipt, Refusal, Sources,
};
pub use message::{
    DecodeError, Decoded, Dropped, Entry, MAX_BLOCK_IN_MESSAGE, MAX_BLOCKS, MAX_ENTRIES, MAX_MESSAGE,
    MAX_PRESENCES, Message, Presence, PresenceType, UnverifiedBlock, Want, WantType,
};
pub use server::{MAX_OUTSTANDING_PER_PEER, Output, ServedPeer, Server, ServerConfig, ServerStats, Token};
pub use version::Version;
