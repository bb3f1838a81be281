//! Blocks between two exchanges, over real sockets.
#![allow(clippy::disallowed_methods, reason = "transcripts that spawn their peers")]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bowline_bitswap::{Entry, MAX_MESSAGE, Message, MissingReason, Sources, Version};
use bowline_block::{Cid, VerifiedBlock, codec};
use bowline_blockstore::MemoryStore;
use bowline_exchange::{Exchange, ExchangeConfig, Fetch, FetchEvent};
use bowline_identity::{Keypair, PeerId};
use bowline_swarm::{ACCEPT_QUEUE, Config, Host, Kind, OpenOptions, ProtocolId};
use bowline_wire::FrameDecoder;
use tokio::time::timeout;

/// The patience of a test.
const LONG: Duration = Duration::from_secs(10);

async fn exchange() -> Exchange {
    let host = Host::builder(Keypair::generate()).listen("/ip4/127.0.0.1/tcp/0".parse().unwrap());
    let host = host.start().await.unwrap();
    Exchange::start(&host, Arc::new(MemoryStore::new()), ExchangeConfig::default()).unwrap()
}

async fn connect(from: &Exchange, to: &Exchange) -> PeerId {
    let peer = to.host().peer_id();
    let addrs = to.host().listen_addrs().borrow().clone();
    from.host().connect((peer, addrs)).await.unwrap();
    peer
}

fn block(n: u32, len: usize) -> VerifiedBlock {
    let data: Vec<u8> = n.to_be_bytes().into_iter().cycle().take(len).collect();
    VerifiedBlock::sha2_256(codec::RAW, data.into()).unwrap()
}

fn only(peer: PeerId) -> Sources {
    Sources::Only(BTreeSet::from([peer]))
}

/// The next event that is not about waiting for a peer.
async fn next(fetch: &mut Fetch) -> FetchEvent {
    loop {
        let event = timeout(LONG, fetch.next()).await.unwrap();
        if event != FetchEvent::Stalled {
            return event;
        }
    }
}

#[tokio::test]
async fn a_hundred_blocks_of_256_kib_cross() {
    let (server, client) = (exchange().await, exchange().await);
    let blocks: Vec<_> = (0..100).map(|n| block(n, 256 * 1024)).collect();
    server.store().put_many(&blocks).unwrap();
    let peer = connect(&client, &server).await;
    let mut fetch = client.fetch(only(peer));
    fetch.want_all(blocks.iter().map(|block| (*block.cid(), None)));
    let mut missing: BTreeSet<Cid> = blocks.iter().map(|block| *block.cid()).collect();
    while !missing.is_empty() {
        match next(&mut fetch).await {
            FetchEvent::Block { block, peer: from } => {
                assert_eq!(from, Some(peer));
                assert!(missing.remove(block.cid()));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(client.stats().fetcher.duplicate_blocks, 0);
}

#[tokio::test]
async fn a_block_that_nobody_has_is_reported_missing_at_once() {
    let (server, client) = (exchange().await, exchange().await);
    let peer = connect(&client, &server).await;
    let mut fetch = client.fetch(only(peer));
    let absent = block(1, 10);
    fetch.want(*absent.cid(), None);
    let event = next(&mut fetch).await;
    assert!(
        matches!(event, FetchEvent::Missing { cid, reason: MissingReason::DontHave, .. } if cid == *absent.cid()),
        "{event:?}"
    );
}

#[tokio::test]
async fn a_block_that_comes_later_is_sent_to_who_waits_for_it() {
    let (server, client) = (exchange().await, exchange().await);
    let peer = connect(&client, &server).await;
    let late = block(2, 2000);
    let mut fetch = client.fetch(only(peer));
    server.store().put(&late).unwrap();
    server.announce(std::slice::from_ref(&late));
    fetch.want(*late.cid(), None);
    assert!(matches!(next(&mut fetch).await, FetchEvent::Block { block, .. } if block == late));
}

#[tokio::test]
async fn a_peer_without_bitswap_is_no_source() {
    let client = exchange().await;
    let other = Host::builder(Keypair::generate()).listen("/ip4/127.0.0.1/tcp/0".parse().unwrap());
    let other = other.start().await.unwrap();
    let addrs = other.listen_addrs().borrow().clone();
    client.host().connect((other.peer_id(), addrs)).await.unwrap();
    let mut fetch = client.fetch(only(other.peer_id()));
    fetch.want(*block(3, 10).cid(), None);
    let event = next(&mut fetch).await;
    assert!(matches!(event, FetchEvent::Missing { reason: MissingReason::Refused, .. }), "{event:?}");
}

#[tokio::test]
async fn a_peer_that_was_too_busy_for_a_stream_is_asked_again() {
    let config = Config { negotiation_timeout: Duration::from_millis(200), ..Config::default() };
    let host =
        Host::builder(Keypair::generate()).config(config).listen("/ip4/127.0.0.1/tcp/0".parse().unwrap());
    let (host, client) = (host.start().await.unwrap(), exchange().await);
    // Nobody takes the streams, so that after these the negotiation of further ones runs into its time.
    let mut incoming = Version::ALL
        .map(|version| host.accept_as(ProtocolId::from_static(version.protocol()), Kind::Service).unwrap());
    let (peer, addrs) = (host.peer_id(), host.listen_addrs().borrow().clone());
    client.host().connect((peer, addrs)).await.unwrap();
    let options = OpenOptions { await_agreement: true, ..OpenOptions::default() };
    let all = || Version::ALL.map(|version| ProtocolId::from_static(version.protocol())).to_vec();
    let mut streams = Vec::new();
    for _ in 0..ACCEPT_QUEUE {
        streams.push(client.host().open_stream_with(peer, all(), &options).await.unwrap());
    }
    let late = block(4, 2000);
    let mut fetch = client.fetch(only(peer));
    fetch.want(*late.cid(), None);
    // The fetch opens its stream beside the first of these at the latest: when the second has failed, so has it.
    for _ in 0..2 {
        client.host().open_stream_with(peer, all(), &options).await.unwrap_err();
    }
    assert!(!matches!(fetch.try_next(), Some(FetchEvent::Missing { .. })), "it may still come");
    for _ in 0..ACCEPT_QUEUE {
        incoming[0].next().await.unwrap();
    }
    let mut stream = timeout(LONG, incoming[0].next()).await.unwrap().unwrap();
    let mut frames = FrameDecoder::new(MAX_MESSAGE);
    let body = loop {
        frames.push(timeout(LONG, stream.read_chunk(usize::MAX)).await.unwrap().unwrap().unwrap());
        if let Some(body) = frames.next_frame().unwrap() {
            break body;
        }
    };
    let wantlist = Message::decode(body).unwrap().message.wantlist;
    assert!(matches!(wantlist[..], [Entry::Want(want)] if want.cid == *late.cid()), "{wantlist:?}");
}

#[tokio::test]
async fn empty_and_inlined_blocks_need_nobody() {
    let client = exchange().await;
    let mut fetch = client.fetch(Sources::Any);
    for cid in ["bafkqaaa", "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"] {
        fetch.want(cid.parse().unwrap(), None);
        assert!(
            matches!(next(&mut fetch).await, FetchEvent::Block { block, peer: None } if block.is_empty())
        );
    }
}
