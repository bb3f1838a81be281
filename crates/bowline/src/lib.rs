//! Bowline: an embeddable IPFS peer, and the libp2p stack that it stands on.
//!
//! ```text
//!   Node ── add, get, shutdown
//!    ├─ store      blocks in a folder (with the key of the node) or in memory
//!    ├─ exchange   Bitswap: serves the store, fetches from peers
//!    └─ host       TCP, Noise, Yamux, identify, ping; your own protocols
//! ```
//!
//! A node listens, dials, speaks a protocol of yours, and adds and fetches files:
//!
//! ```
//! use bowline::{Node, Profile, ProtocolId};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let (notes, copy) = (folder.path().join("notes.txt"), folder.path().join("copy.txt"));
//! # std::fs::write(&notes, "what a knot is for\n")?;
//! const GREET: ProtocolId = ProtocolId::from_static("/greet/1.0.0");
//! let ada = Node::builder().listen("/ip4/127.0.0.1/tcp/0".parse()?).start().await?;
//! let added = ada.add(&notes, Profile::V1).await?; // the CID that `ipfs add --cid-version=1` gives
//! let mut greetings = ada.host().accept(GREET)?;
//!
//! let bob = Node::builder().start().await?;
//! let got = bob.get(added.cid, ada.addrs(), &copy).await?; // dials, fetches, verifies every block
//! assert_eq!((got.bytes, got.peers), (19, vec![ada.peer_id()]));
//!
//! let mut stream = bob.host().open_stream(ada.peer_id(), GREET).await?;
//! stream.write_chunk("hello, Ada".into()).await?;
//! stream.finish().await?;
//! let mut heard = greetings.next().await.expect("the host runs");
//! assert_eq!(heard.read_to_end(100).await?, b"hello, Ada");
//! # assert_eq!(std::fs::read(&copy)?, std::fs::read(&notes)?);
//! # bob.shutdown(std::time::Duration::from_secs(1)).await;
//! # Ok(())
//! # }
//! ```
//!
//! Each part is usable alone, and most of them without sockets, tasks or a clock; they are re-exported here:
//! [`swarm`] (the host), [`exchange`] (Bitswap on a host, files), [`bitswap`], [`blockstore`], [`unixfs`],
//! [`block`] and [`identity`].
//!
//! Features, all on by default: `dns` resolves names in addresses; `secp256k1`, `ecdsa` and `rsa` are the kinds of
//! keys that peers may have besides Ed25519.

mod counted;
mod error;
mod from;
mod node;

pub use bowline_bitswap as bitswap;
pub use bowline_block as block;
pub use bowline_blockstore as blockstore;
pub use bowline_exchange as exchange;
pub use bowline_identity as identity;
pub use bowline_swarm as swarm;
pub use bowline_unixfs as unixfs;

pub use block::Cid;
pub use blockstore::{BlockStore, MemoryStore, Repository};
pub use error::{AddError, GetError, Lost, StartError};
pub use exchange::{
    Exchange,
    files::{Added, GetOptions, Got, Listed, OnProgress, Progress},
};
pub use identity::{Keypair, Multiaddr, PeerId};
pub use node::{Builder, Node};
pub use swarm::{Host, ProtocolId, ShutdownReport};
pub use unixfs::Profile;

/// The example of the project's README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
