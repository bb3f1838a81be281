//! Adding while peers wait for what is added, and to stores that fail.
#![allow(clippy::disallowed_methods, reason = "transcripts that make files")]

use std::{fs, ops::ControlFlow, path::Path, sync::Arc, time::Duration};

use bowline_bitswap::{Entry, MAX_MESSAGE, Message, Version, Want, WantType};
use bowline_block::{Cid, Multihash, VerifiedBlock};
use bowline_blockstore::{BlockStore, MemoryStore, PutReport, StoreError, Usage};
use bowline_exchange::{
    Exchange, ExchangeConfig,
    files::{AddOptions, add},
};
use bowline_identity::Keypair;
use bowline_swarm::{Host, Kind, OpenOptions, ProtocolId};
use bowline_wire::FrameDecoder;
use bytes::Bytes;
use tokio::time::timeout;

/// The patience of a test.
const LONG: Duration = Duration::from_secs(20);

async fn host() -> Host {
    let host = Host::builder(Keypair::generate()).listen("/ip4/127.0.0.1/tcp/0".parse().unwrap());
    host.start().await.unwrap()
}

fn small_file(dir: &Path) -> std::path::PathBuf {
    let path = dir.join("small");
    fs::write(&path, "awaited").unwrap();
    path
}

async fn cid_of(path: &Path) -> Cid {
    let elsewhere: Arc<dyn BlockStore> = Arc::new(MemoryStore::new());
    add(&elsewhere, path, &AddOptions::default()).await.unwrap().cid
}

#[tokio::test]
async fn a_peer_that_waits_for_a_block_gets_it_when_it_is_added() {
    let dir = tempfile::tempdir().unwrap();
    let path = small_file(dir.path());
    let cid = cid_of(&path).await;
    let store: Arc<dyn BlockStore> = Arc::new(MemoryStore::new());
    let (server, peer) = (host().await, host().await);
    let exchange = Exchange::start(&server, Arc::clone(&store), ExchangeConfig::default()).unwrap();
    let protocol = ProtocolId::from_static(Version::V1_2_0.protocol());
    let mut replies = peer.accept_as(protocol.clone(), Kind::Service).unwrap();
    let addrs = server.listen_addrs().borrow().clone();
    peer.connect((server.peer_id(), addrs)).await.unwrap();

    // The peer's want stands in the ledger, without an answer.
    let mut wants = peer.open_stream_with(server.peer_id(), protocol, &OpenOptions::default()).await.unwrap();
    let want = Want { cid, priority: 1, kind: WantType::Block, send_dont_have: false };
    let message = Message { wantlist: vec![Entry::Want(want)], ..Message::default() };
    wants.write_chunk(message.encode_frame(Version::V1_2_0)).await.unwrap();
    let listed = async {
        while exchange.stats().server.wants == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, listed).await.unwrap();

    let options = AddOptions { exchange: Some(exchange.clone()), ..AddOptions::default() };
    assert_eq!(add(&store, &path, &options).await.unwrap().cid, cid);

    let mut reply = timeout(LONG, replies.next()).await.unwrap().unwrap();
    let mut frames = FrameDecoder::new(MAX_MESSAGE);
    let block = loop {
        frames.push(timeout(LONG, reply.read_chunk(usize::MAX)).await.unwrap().unwrap().unwrap());
        if let Some(body) = frames.next_frame().unwrap() {
            break Message::decode(body).unwrap().message.blocks.remove(0);
        }
    };
    assert_eq!(block.verify().unwrap().data(), &Bytes::from_static(b"awaited"));
}

/// A store whose author has made a mistake.
struct Panicking;

impl BlockStore for Panicking {
    fn get(&self, _: &Multihash) -> Result<Option<Bytes>, StoreError> {
        Ok(None)
    }

    fn size(&self, _: &Multihash) -> Result<Option<usize>, StoreError> {
        Ok(None)
    }

    fn put_many(&self, _: &[VerifiedBlock]) -> Result<PutReport, StoreError> {
        panic!("a mistake")
    }

    fn delete_many(&self, _: &[Multihash]) -> Result<usize, StoreError> {
        Ok(0)
    }

    fn for_each(&self, _: &mut dyn FnMut(&Multihash, usize) -> ControlFlow<()>) -> Result<(), StoreError> {
        Ok(())
    }

    fn usage(&self) -> Result<Usage, StoreError> {
        Ok(Usage::default())
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn compact(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

#[tokio::test]
async fn a_store_that_panics_ends_the_add_of_a_large_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large");
    // More batches than there are writers and places in their queue.
    fs::File::create(&path).unwrap().set_len(64 * 1024 * 1024).unwrap();
    let adding = tokio::spawn(async move {
        let store: Arc<dyn BlockStore> = Arc::new(Panicking);
        add(&store, &path, &AddOptions::default()).await
    });
    let ended = timeout(LONG, adding).await.expect("it ends");
    assert!(ended.unwrap_err().is_panic());
}
