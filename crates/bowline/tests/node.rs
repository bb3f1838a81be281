//! Nodes over loopback.

use std::{path::Path, time::Duration};

use bowline::{GetError, Keypair, Multiaddr, Node, Profile};
use tokio::task::JoinSet;

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
