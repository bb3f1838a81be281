//! Nodes over loopback.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use bowline::{
    BlockStore, Cid, GetError, GetOptions, Host, Keypair, MemoryStore, Multiaddr, Node, Profile, ProtocolId,
    block::{Multihash, VerifiedBlock},
    blockstore::{PutReport, StoreError, Usage},
};
use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, DuplexStream},
    task::JoinSet,
};

async fn listening(store: &Path) -> Node {
    let loopback = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
    Node::builder().store(store).listen(loopback).start().await.unwrap()
}

#[tokio::test]
async fn a_store_keeps_the_key_the_blocks_and_the_roots() {
    let folder = tempfile::tempdir().unwrap();
    let (store, file, copy) =
        (folder.path().join("store"), folder.path().join("file"), folder.path().join("copy"));
    std::fs::write(&file, "kept").unwrap();
    let node = listening(&store).await;
    let (peer, added) = (node.peer_id(), node.add(&file, Profile::V1).await.unwrap());
    node.shutdown(Duration::ZERO).await;
    drop(node);

    let node = listening(&store).await;
    assert_eq!(node.peer_id(), peer);
    let roots = node.repository().unwrap().roots().unwrap();
    assert_eq!((roots.len(), roots[0].cid, roots[0].name.as_str()), (1, added.cid, "file"));
    // Without peers, the store is all there is.
    node.get(added.cid, [], &copy).await.unwrap();
    assert_eq!(std::fs::read_to_string(&copy).unwrap(), "kept");
}

#[tokio::test]
async fn what_one_node_adds_another_gets_in_a_task_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (file, copy) = (folder.path().join("file"), folder.path().join("copy"));
    std::fs::write(&file, vec![7; 3_000_000]).unwrap();
    let ada = listening(&folder.path().join("ada")).await;
    let added = ada.add(&file, Profile::V0).await.unwrap();
    let addrs = ada.addrs();
    let bob = Node::builder().start().await.unwrap();
    let mut tasks = JoinSet::new();
    let getting = (bob.clone(), copy.clone());
    tasks.spawn(async move { getting.0.get(added.cid, addrs, &getting.1).await });
    let got = tasks.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!((got.bytes, got.peers), (3_000_000, vec![ada.peer_id()]));
    assert_eq!(std::fs::read(&copy).unwrap(), vec![7; 3_000_000]);

    let mut content = Vec::new();
    let read = bob.cat(added.cid, [], &mut content, &bowline::GetOptions::default()).await.unwrap();
    assert_eq!((read, content.len()), (3_000_000, 3_000_000));
}

#[tokio::test]
async fn peers_that_cannot_be_reached_are_named_each_with_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    let ada = listening(&folder.path().join("ada")).await;
    std::fs::write(folder.path().join("file"), "x").unwrap();
    let added = ada.add(folder.path().join("file"), Profile::V1).await.unwrap();
    let other = Keypair::from_ed25519_seed([1; 32]).peer_id();
    let wrong = bowline::identity::address::with_peer_id(ada.addrs()[0].clone(), other);
    let nobody: Multiaddr = "/ip4/127.0.0.1/udp/1".parse().unwrap();
    let bob = Node::builder().start().await.unwrap();
    let out = folder.path().join("out");
    let Err(GetError::NoPeers { cid, lost }) = bob.get(added.cid, [wrong, nobody], &out).await else {
        panic!("it was got from nobody");
    };
    assert_eq!((cid, lost.len()), (added.cid, 2));
    let said = lost.iter().map(|(addr, why)| format!("{addr}: {why}\n")).collect::<String>();
    assert!(said.contains(&other.to_string()) && said.contains(&ada.peer_id().to_string()), "{said}");
    assert!(!out.exists());
}

/// A node with a file of three megabytes, which is twelve blocks.
async fn with_a_file(folder: &Path) -> (Node, Cid) {
    let file = folder.join("file");
    let mut content = vec![0; LEN];
    content.chunks_mut(262_144).zip(1..).for_each(|(chunk, number)| chunk.fill(number));
    std::fs::write(&file, content).unwrap();
    let node = listening(&folder.join("store")).await;
    let cid = node.add(&file, Profile::V1).await.unwrap().cid;
    (node, cid)
}

const LEN: usize = 3_000_000;
const BLOCKS: u64 = 13;

/// Lets `gone` go once every block of its file has come to `node`, and an hour pass after that.
async fn goes_when_all_has_come(gone: Node, node: &Node) {
    while node.exchange().stats().fetcher.blocks < BLOCKS {
        tokio::task::yield_now().await;
    }
    gone.shutdown(Duration::ZERO).await;
    while !node.host().connections().is_empty() {
        tokio::task::yield_now().await;
    }
    for _ in 0..60 {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(60)).await;
        tokio::time::resume();
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_has_come_is_read_to_its_end_by_a_slow_reader_when_the_peer_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (ada, cid) = with_a_file(folder.path()).await;
    let (addrs, bob) = (ada.addrs(), Node::builder().start().await.unwrap());
    let (mut reader, mut writer): (DuplexStream, _) = tokio::io::duplex(4096);
    let (mut tasks, reading) = (JoinSet::new(), bob.clone());
    tasks.spawn(async move { reading.cat(cid, addrs, &mut writer, &GetOptions::default()).await });
    goes_when_all_has_come(ada, &bob).await;
    let mut content = Vec::new();
    reader.read_to_end(&mut content).await.unwrap();
    assert_eq!(content.len(), LEN);
    assert_eq!(tasks.join_next().await.unwrap().unwrap().unwrap(), LEN as u64);
}

/// A store in memory that takes blocks only once it is told to.
#[derive(Default)]
struct Slow {
    store: MemoryStore,
    takes: Mutex<bool>,
    told: Condvar,
}

impl BlockStore for Slow {
    fn get(&self, hash: &Multihash) -> Result<Option<Bytes>, StoreError> {
        self.store.get(hash)
    }
    fn size(&self, hash: &Multihash) -> Result<Option<usize>, StoreError> {
        self.store.size(hash)
    }
    fn put_many(&self, blocks: &[VerifiedBlock]) -> Result<PutReport, StoreError> {
        drop(self.told.wait_while(self.takes.lock().unwrap(), |takes| !*takes).unwrap());
        self.store.put_many(blocks)
    }
    fn delete_many(&self, hashes: &[Multihash]) -> Result<usize, StoreError> {
        self.store.delete_many(hashes)
    }
    fn for_each(
        &self,
        visit: &mut dyn FnMut(&Multihash, usize) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.store.for_each(visit)
    }
    fn usage(&self) -> Result<Usage, StoreError> {
        self.store.usage()
    }
    fn sync(&self) -> Result<(), StoreError> {
        self.store.sync()
    }
    fn compact(&self) -> Result<u64, StoreError> {
        self.store.compact()
    }
}

#[tokio::test]
async fn what_has_come_is_written_to_its_end_by_a_slow_disk_when_the_peer_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (ada, cid) = with_a_file(folder.path()).await;
    let slow = Arc::new(Slow::default());
    let store: Arc<dyn BlockStore> = slow.clone();
    let bob = Node::builder().blocks(store).start().await.unwrap();
    let (addrs, copy): (_, PathBuf) = (ada.addrs(), folder.path().join("copy"));
    let (mut tasks, getting) = (JoinSet::new(), (bob.clone(), copy.clone()));
    tasks.spawn(async move { getting.0.get(cid, addrs, &getting.1).await });
    goes_when_all_has_come(ada, &bob).await;
    assert!(tasks.try_join_next().is_none(), "it waits for the disk");
    *slow.takes.lock().unwrap() = true;
    slow.told.notify_all();
    assert_eq!(tasks.join_next().await.unwrap().unwrap().unwrap().bytes, LEN as u64);
    assert_eq!(std::fs::metadata(copy).unwrap().len(), LEN as u64);
}

#[tokio::test]
async fn when_the_last_peer_goes_and_blocks_are_lacking_it_is_over_long_before_the_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let cid: Cid = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e".parse().unwrap();
    let options = GetOptions { timeout: Duration::from_secs(3600), ..GetOptions::default() };
    let bob = Node::builder().start().await.unwrap();
    for command in ["get", "cat", "list"] {
        // It takes wants and answers none.
        let silent = Host::builder(Keypair::generate()).listen("/ip4/127.0.0.1/tcp/0".parse().unwrap());
        let silent = silent.start().await.unwrap();
        let addrs = silent.listen_addrs().borrow().clone();
        let mut wants = silent.accept(ProtocolId::from_static("/ipfs/bitswap/1.2.0")).unwrap();
        let (mut tasks, bob, options) = (JoinSet::new(), bob.clone(), options.clone());
        let out = folder.path().join("out");
        tasks.spawn(async move {
            match command {
                "get" => bob.get_with(cid, addrs, &out, &options).await.map(drop),
                "cat" => bob.cat(cid, addrs, &mut Vec::new(), &options).await.map(drop),
                _ => bob.list(cid, addrs, &options).await.map(drop),
            }
        });
        let _want = wants.next().await.unwrap();
        silent.shutdown(Duration::ZERO).await;
        let ended = tokio::time::timeout(Duration::from_secs(60), tasks.join_next()).await.expect(command);
        let ended = ended.unwrap().unwrap();
        assert!(matches!(ended, Err(GetError::NoPeers { .. })), "{command}: {ended:?}");
    }
}

#[tokio::test]
async fn entries_are_told_one_by_one_until_the_listener_has_enough() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    for name in ["a", "b", "c"] {
        std::fs::write(tree.join(name), name).unwrap();
    }
    let ada = listening(&folder.path().join("ada")).await;
    let cid = ada.add(&tree, Profile::V1).await.unwrap().cid;
    let bob = Node::builder().start().await.unwrap();
    for (node, from) in [(&ada, vec![]), (&bob, ada.addrs())] {
        let mut names = Vec::new();
        let two = |entry: bowline::Listed| {
            names.push(entry.name);
            if names.len() < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        node.list_each(cid, from, &GetOptions::default(), two).await.unwrap();
        assert_eq!(names, ["a", "b"]);
    }
}
