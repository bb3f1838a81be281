//! Files and trees between exchanges over real sockets, with peers that miss blocks or lie about them.
#![allow(clippy::disallowed_methods, reason = "transcripts that make and read files")]

use std::{collections::BTreeSet, fs, ops::ControlFlow, path::Path, sync::Arc, time::Duration};

use bowline_bitswap::Sources;
use bowline_block::{Cid, Multihash, VerifiedBlock};
use bowline_blockstore::{BlockStore, MemoryStore, PutReport, StoreError, Usage};
use bowline_exchange::{
    Exchange, ExchangeConfig, OffLoad,
    files::{AddOptions, GetError, GetOptions, Source, add, get},
};
use bowline_identity::{Keypair, PeerId};
use bowline_swarm::Host;
use bytes::Bytes;

const MIB: usize = 1024 * 1024;
const LEAF: usize = MIB / 4;

async fn exchange(store: Arc<dyn BlockStore>) -> Exchange {
    let host = Host::builder(Keypair::generate()).listen("/ip4/127.0.0.1/tcp/0".parse().unwrap());
    Exchange::start(&host.start().await.unwrap(), store, ExchangeConfig::default()).unwrap()
}

async fn connect(from: &Exchange, to: &Exchange) -> PeerId {
    let peer = to.host().peer_id();
    let addrs = to.host().listen_addrs().borrow().clone();
    from.host().connect((peer, addrs)).await.unwrap();
    peer
}

/// Bytes without a pattern that repeats, so that every block is another.
fn content(len: usize) -> Vec<u8> {
    (0..len as u64 / 8).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect()
}

async fn added(store: &Arc<dyn BlockStore>, dir: &Path, bytes: &[u8]) -> Cid {
    let path = dir.join("original");
    fs::write(&path, bytes).unwrap();
    add(store, &path, &AddOptions::default()).await.unwrap().cid
}

fn memory() -> Arc<dyn BlockStore> {
    Arc::new(MemoryStore::new())
}

/// What stands in a folder.
fn names(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The block of the file that begins at an offset.
fn block_at(offset: usize, store: &dyn BlockStore, bytes: &[u8]) -> Multihash {
    let leaf = &bytes[offset..offset + LEAF];
    let block = VerifiedBlock::sha2_256(bowline_block::codec::RAW, Bytes::copy_from_slice(leaf)).unwrap();
    assert!(store.has(block.hash()).unwrap(), "leaves are a quarter of a MiB");
    *block.hash()
}

/// A store with one block that is not what it should be.
struct Liar {
    honest: Arc<dyn BlockStore>,
    about: Multihash,
}

impl BlockStore for Liar {
    fn get(&self, hash: &Multihash) -> Result<Option<Bytes>, StoreError> {
        let data = self.honest.get(hash)?;
        if *hash != self.about {
            return Ok(data);
        }
        Ok(data.map(|data| data.iter().map(|byte| byte ^ 1).collect()))
    }

    fn size(&self, hash: &Multihash) -> Result<Option<usize>, StoreError> {
        self.honest.size(hash)
    }

    fn put_many(&self, blocks: &[VerifiedBlock]) -> Result<PutReport, StoreError> {
        self.honest.put_many(blocks)
    }

    fn delete_many(&self, hashes: &[Multihash]) -> Result<usize, StoreError> {
        self.honest.delete_many(hashes)
    }

    fn for_each(
        &self,
        visit: &mut dyn FnMut(&Multihash, usize) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.honest.for_each(visit)
    }

    fn usage(&self) -> Result<Usage, StoreError> {
        self.honest.usage()
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.honest.sync()
    }

    fn compact(&self) -> Result<u64, StoreError> {
        self.honest.compact()
    }
}

#[tokio::test]
async fn a_file_of_nine_mebibytes_crosses_and_nothing_else_is_left() {
    let (dir, store) = (tempfile::tempdir().unwrap(), memory());
    let bytes = content(9 * MIB);
    let cid = added(&store, dir.path(), &bytes).await;
    let (server, client) = (exchange(store).await, exchange(memory()).await);
    let source = Source::network(&client, Sources::Only([connect(&client, &server).await].into()), None);
    let out = dir.path().join("copy");
    let got = get(&source, cid, &out, &GetOptions::default()).await.unwrap();
    assert_eq!((got.bytes, got.duplicate_blocks), (bytes.len() as u64, 0));
    assert_eq!(fs::read(&out).unwrap(), bytes);
    assert_eq!(names(dir.path()), ["copy", "original"].map(String::from).into());
}

#[tokio::test]
async fn a_block_that_is_missing_half_way_is_named_and_no_file_stands_under_the_final_name() {
    let (dir, store) = (tempfile::tempdir().unwrap(), memory());
    let bytes = content(9 * MIB);
    let cid = added(&store, dir.path(), &bytes).await;
    let lost = block_at(4 * MIB, &*store, &bytes);
    store.delete_many(&[lost]).unwrap();
    let (server, client) = (exchange(store).await, exchange(memory()).await);
    let peer = connect(&client, &server).await;
    let source = Source::network(&client, Sources::Only([peer].into()), Some(memory()));
    let failed = get(&source, cid, &dir.path().join("copy"), &GetOptions::default()).await;
    let Err(GetError::Missing { cid: named, answers, .. }) = failed else { panic!("{failed:?}") };
    assert_eq!(*named.hash(), lost);
    assert_eq!(answers.iter().map(|(peer, _)| *peer).collect::<Vec<_>>(), [peer]);
    assert_eq!(names(dir.path()), ["original".to_owned()].into());
}

#[tokio::test]
async fn what_came_before_a_missing_block_is_kept_and_the_next_get_goes_on_from_there() {
    let (dir, store) = (tempfile::tempdir().unwrap(), memory());
    let bytes = content(40 * MIB);
    let cid = added(&store, dir.path(), &bytes).await;
    let lost = block_at(38 * MIB, &*store, &bytes);
    let data = store.get(&lost).unwrap().unwrap();
    store.delete_many(&[lost]).unwrap();
    let (server, client) = (exchange(Arc::clone(&store)).await, exchange(memory()).await);
    let (peer, kept) = (connect(&client, &server).await, memory());
    let source = Source::network(&client, Sources::Only([peer].into()), Some(Arc::clone(&kept)));
    let out = dir.path().join("copy");
    get(&source, cid, &out, &GetOptions::default()).await.unwrap_err();
    store.put(&VerifiedBlock::sha2_256(bowline_block::codec::RAW, data).unwrap()).unwrap();
    get(&source, cid, &out, &GetOptions::default()).await.unwrap();
    assert_eq!(fs::read(&out).unwrap(), bytes);
    // Over both gets, each leaf and the root came once: nothing that had come was wanted again.
    assert_eq!(client.stats().fetcher.blocks, 40 * MIB as u64 / LEAF as u64 + 1);
}

#[tokio::test]
async fn a_lie_about_a_block_is_dropped_and_the_block_fetched_elsewhere() {
    let (dir, store) = (tempfile::tempdir().unwrap(), memory());
    let bytes = content(9 * MIB);
    let cid = added(&store, dir.path(), &bytes).await;
    let about = block_at(4 * MIB, &*store, &bytes);
    let liar = exchange(Arc::new(Liar { honest: Arc::clone(&store), about })).await;
    let (honest, client) = (exchange(store).await, exchange(memory()).await);
    let peers = BTreeSet::from([connect(&client, &liar).await, connect(&client, &honest).await]);
    let source = Source::network(&client, Sources::Only(peers), None);
    let out = dir.path().join("copy");
    get(&source, cid, &out, &GetOptions::default()).await.unwrap();
    assert_eq!(fs::read(&out).unwrap(), bytes);
}

#[tokio::test]
async fn when_only_liars_have_a_block_it_is_an_error_and_no_file() {
    let (dir, store) = (tempfile::tempdir().unwrap(), memory());
    let bytes = content(9 * MIB);
    let cid = added(&store, dir.path(), &bytes).await;
    let about = block_at(4 * MIB, &*store, &bytes);
    let (liar, client) = (exchange(Arc::new(Liar { honest: store, about })).await, exchange(memory()).await);
    let peer = connect(&client, &liar).await;
    let source = Source::network(&client, Sources::Only([peer].into()), None);
    let options = GetOptions { timeout: Duration::from_secs(3), ..GetOptions::default() };
    let failed = get(&source, cid, &dir.path().join("copy"), &options).await.unwrap_err();
    assert!(
        failed.to_string().contains(&Cid::new_v1(bowline_block::codec::RAW, about).to_string()),
        "{failed}"
    );
    assert_eq!(names(dir.path()), ["original".to_owned()].into());
}

#[tokio::test]
async fn a_get_that_is_dropped_leaves_nothing() {
    let (dir, store) = (tempfile::tempdir().unwrap(), memory());
    let cid = added(&store, dir.path(), &content(9 * MIB)).await;
    let (server, client) = (exchange(store).await, exchange(memory()).await);
    let source = Source::network(&client, Sources::Only([connect(&client, &server).await].into()), None);
    let out = dir.path().join("copy");
    let options = GetOptions::default();
    let getting = get(&source, cid, &out, &options);
    // It has begun, and is dropped at its first wait.
    assert!(tokio::time::timeout(Duration::ZERO, getting).await.is_err());
    let local = Source::local(memory(), OffLoad::default());
    get(&local, cid, &out, &options).await.unwrap_err();
    assert_eq!(names(dir.path()), ["original".to_owned()].into());
}
