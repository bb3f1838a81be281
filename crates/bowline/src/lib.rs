//! Bowline: a libp2p stack and an embeddable IPFS peer.
//!
//! ```text
//!  Node ── add, get ──> files and trees, by their CIDs
//!   ├── Host            connections, streams, your own protocols
//!   ├── Exchange        Bitswap: serves the store, fetches from peers
//!   └── store           in memory, or a repository on disk
//! ```
//!
//! Two peers in one process, a protocol of one's own and a file between them:
//!
//! ```
//! use bowline::{Multiaddr, Node, ProtocolId};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let loopback: Multiaddr = "/ip4/127.0.0.1/tcp/0".parse()?;
//! let alice = Node::builder().listen(loopback).start().await?;
//! let bob = Node::builder().start().await?;
//! bob.host().connect((alice.peer_id(), alice.listen_addrs())).await?;
//!
//! let mut incoming = alice.host().accept(ProtocolId::from_static("/greet/1"))?;
//! let mut stream = bob.host().open_stream(alice.peer_id(), ProtocolId::from_static("/greet/1")).await?;
//! stream.write_chunk("hello".into()).await?;
//! stream.finish().await?;
//! assert_eq!(incoming.next().await.unwrap().read_to_end(100).await?, b"hello");
//!
//! # let folder = tempfile::tempdir()?;
//! # let (file, copy) = (folder.path().join("file"), folder.path().join("copy"));
//! # std::fs::write(&file, b"some content")?;
//! let added = alice.add(&file).await?;
//! bob.get(added.cid, &copy).await?;
//! assert_eq!(std::fs::read(&copy)?, b"some content");
//! # Ok(())
//! # }
//! ```
//!
//! Every layer is a crate of its own and usable alone; see `docs/architecture.md`.

mod node;

pub use bowline_bitswap::Sources;
pub use bowline_block::{Cid, VerifiedBlock};
pub use bowline_blockstore::{BlockStore, MemoryStore, OpenOptions, Repository, Root, StoreError};
pub use bowline_exchange::{
    Exchange, ExchangeConfig, Fetch, FetchEvent, OffLoad,
    files::{
        self, AddError, AddOptions, Added, GetError, GetOptions, Got, Listed, OnProgress, Progress, Source,
    },
};
pub use bowline_identity::{KeyType, Keypair, Multiaddr, PeerId, PublicKey, address, key_file};
pub use bowline_swarm as swarm;
pub use bowline_swarm::{
    Config, DialError, Event, Host, Incoming, OpenError, ProtocolId, Stream, StreamError,
};
pub use files::Profile;
pub use node::{Builder, Node, StartError};
