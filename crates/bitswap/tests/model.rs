//! Random operations against small models: nothing wanted is forgotten, and nothing is left behind.
#![allow(clippy::too_many_lines, reason = "one match over all operations")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use bowline_bitswap::{
    Entry, Event, FetchId, Fetcher, FetcherConfig, Message, Output, PresenceType, Server, ServerConfig,
    Sources, Token, Version, Want, WantType,
};
use bowline_block::{Cid, Multihash, VerifiedBlock};
use bowline_identity::PeerId;
use common::*;
use proptest::prelude::*;

const PEERS: u8 = 3;
const BLOCKS: u32 = 6;

/// Sizes on both sides of every bound that matters.
fn nth(number: u32) -> VerifiedBlock {
    let sizes = [10, 1024, 1025, 5000, 300 * KIB, 2 * MIB];
    sized(number, sizes[number as usize % sizes.len()])
}

fn version(number: u8) -> Version {
    Version::ALL[usize::from(number) % 4]
}

#[derive(Clone, Debug)]
enum FetchOp {
    Connect(u8, u8),
    Disconnect(u8),
    Refuse(u8),
    Want(u8, u32, bool),
    Cancel(u8, u32),
    End(u8),
    Block(u8, u32),
    Bad(u8),
    Presence(u8, u32, bool),
    Reset(u8),
    Send(u8),
    Advance(u64),
}

fn fetch_op() -> impl Strategy<Value = FetchOp> {
    let (peer, block, fetch) = (0..PEERS, 0..BLOCKS, 0..2u8);
    prop_oneof![
        3 => (peer.clone(), any::<u8>()).prop_map(|(p, v)| FetchOp::Connect(p, v)),
        1 => peer.clone().prop_map(FetchOp::Disconnect),
        1 => peer.clone().prop_map(FetchOp::Refuse),
        6 => (fetch.clone(), block.clone(), any::<bool>()).prop_map(|(f, b, s)| FetchOp::Want(f, b, s)),
        2 => (fetch.clone(), block.clone()).prop_map(|(f, b)| FetchOp::Cancel(f, b)),
        1 => fetch.prop_map(FetchOp::End),
        3 => (peer.clone(), block.clone()).prop_map(|(p, b)| FetchOp::Block(p, b)),
        1 => peer.clone().prop_map(FetchOp::Bad),
        6 => (peer.clone(), block, any::<bool>()).prop_map(|(p, b, h)| FetchOp::Presence(p, b, h)),
        1 => peer.clone().prop_map(FetchOp::Reset),
        8 => peer.prop_map(FetchOp::Send),
        4 => prop_oneof![0..100u64, 900..1100u64, 5000..40_000u64].prop_map(FetchOp::Advance),
    ]
}

/// What the fetcher must still do, by fetch.
#[derive(Default)]
struct Open(BTreeMap<FetchId, BTreeSet<Cid>>);

impl Open {
    /// Every event must be about something open, and ends it.
    fn apply(&mut self, fetcher: &mut Fetcher) {
        while let Some(event) = fetcher.poll_event() {
            let (fetches, cid) = match event {
                Event::Block { fetches, block, .. } => (fetches, *block.cid()),
                Event::Missing { fetches, cid, .. } => (fetches, cid),
                Event::Stalled { fetch } => {
                    assert!(!self.0[&fetch].is_empty(), "a fetch without wants cannot stall");
                    continue;
                }
            };
            assert!(!fetches.is_empty());
            for fetch in fetches {
                assert!(self.0.get_mut(&fetch).is_some_and(|open| open.remove(&cid)), "{cid} was not open");
            }
        }
    }

    fn len(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn every_want_ends_in_one_event_or_a_cancel(ops in prop::collection::vec(fetch_op(), 0..120)) {
        let mut now = base();
        let mut fetcher = Fetcher::new(FetcherConfig::default());
        let mut open = Open::default();
        let mut fetches = [fetcher.start(now, Sources::Any), fetcher.start(now, Sources::Any)];
        for fetch in fetches {
            open.0.insert(fetch, BTreeSet::new());
        }
        for op in ops {
            match op {
                FetchOp::Connect(p, v) => fetcher.handle_connected(now, peer(p), version(v)),
                FetchOp::Disconnect(p) => fetcher.handle_disconnected(now, peer(p)),
                FetchOp::Refuse(p) => fetcher.handle_refused(now, peer(p)),
                FetchOp::Want(f, b, sized) => {
                    let (fetch, block) = (fetches[usize::from(f)], nth(b));
                    open.0.get_mut(&fetch).unwrap().insert(*block.cid());
                    if sized {
                        fetcher.want_with_size(now, fetch, *block.cid(), block.len() as u64);
                    } else {
                        fetcher.want(now, fetch, *block.cid());
                    }
                }
                FetchOp::Cancel(f, b) => {
                    let fetch = fetches[usize::from(f)];
                    open.0.get_mut(&fetch).unwrap().remove(nth(b).cid());
                    fetcher.cancel(now, fetch, nth(b).cid());
                }
                FetchOp::End(f) => {
                    let fetch = &mut fetches[usize::from(f)];
                    fetcher.end(now, *fetch);
                    open.0.remove(fetch);
                    *fetch = fetcher.start(now, Sources::Any);
                    open.0.insert(*fetch, BTreeSet::new());
                }
                FetchOp::Block(p, b) => {
                    fetcher.handle_block(now, peer(p), nth(b));
                }
                FetchOp::Bad(p) => fetcher.handle_bad_block(now, peer(p)),
                FetchOp::Presence(p, b, has) => {
                    let cid = *nth(b).cid();
                    let presence = if has { have(&cid) } else { dont_have(&cid) };
                    fetcher.handle_message(now, peer(p), &presences([presence]));
                }
                FetchOp::Reset(p) => fetcher.handle_stream_reset(now, peer(p)),
                FetchOp::Send(p) => {
                    if let Some(message) = fetcher.poll_wants(now, peer(p)) {
                        prop_assert!(!message.wantlist.is_empty() || message.full);
                        let mut seen_want = false;
                        for entry in &message.wantlist {
                            seen_want |= matches!(entry, Entry::Want(_));
                            prop_assert!(!seen_want || matches!(entry, Entry::Want(_)), "cancels go first");
                        }
                    }
                }
                FetchOp::Advance(millis) => {
                    now += ms(millis);
                    fetcher.handle_timeout(now);
                }
            }
            open.apply(&mut fetcher);
        }
        // A peer that has everything comes, and whoever is silent stays silent.
        let honest = peer(PEERS);
        fetcher.handle_connected(now, honest, V12);
        let end = now + ms(600_000);
        while open.len() > 0 {
            while let Some(message) = fetcher.poll_wants(now, honest) {
                now += ms(5);
                for entry in message.wantlist {
                    let Entry::Want(Want { cid, kind, .. }) = entry else { continue };
                    if kind == WantType::Have {
                        fetcher.handle_message(now, honest, &presences([have(&cid)]));
                    } else if let Some(block) = (0..BLOCKS).map(nth).find(|block| *block.cid() == cid) {
                        fetcher.handle_block(now, honest, block);
                    }
                }
            }
            for p in 0..PEERS {
                let _ = fetcher.poll_wants(now, peer(p));
            }
            open.apply(&mut fetcher);
            if open.len() > 0 {
                let next = fetcher.poll_timeout();
                prop_assert!(next.is_some_and(|next| next <= end), "{} wants are forgotten", open.len());
                now = now.max(next.unwrap());
                fetcher.handle_timeout(now);
                open.apply(&mut fetcher);
            }
        }
        // Nothing is left behind.
        prop_assert_eq!(fetcher.poll_timeout(), None);
        for p in 0..=PEERS {
            let left = fetcher.peer(&peer(p)).map(|peer| (peer.open_wants, peer.outstanding_bytes));
            prop_assert!(left.is_none_or(|left| left == (0, 0)));
        }
    }
}

#[derive(Clone, Debug)]
enum ServeOp {
    Connect(u8),
    Disconnect(u8),
    Wants(u8, Vec<(u32, i32, bool, bool)>, bool),
    Cancel(u8, u32),
    Put(u32),
    Delete(u32),
    Open(u8, u8),
    Fail(u8),
    Work,
    Lookup,
    Load,
    Confirm(prop::sample::Index),
    Advance(u64),
}

fn serve_op() -> impl Strategy<Value = ServeOp> {
    let (peer, block) = (0..PEERS, 0..BLOCKS);
    let wants = prop::collection::vec((block.clone(), -2..3i32, any::<bool>(), any::<bool>()), 0..5);
    prop_oneof![
        3 => peer.clone().prop_map(ServeOp::Connect),
        1 => peer.clone().prop_map(ServeOp::Disconnect),
        6 => (peer.clone(), wants, prop::bool::weighted(0.1)).prop_map(|(p, w, f)| ServeOp::Wants(p, w, f)),
        2 => (peer.clone(), block.clone()).prop_map(|(p, b)| ServeOp::Cancel(p, b)),
        3 => block.clone().prop_map(ServeOp::Put),
        1 => block.prop_map(ServeOp::Delete),
        2 => (peer.clone(), any::<u8>()).prop_map(|(p, v)| ServeOp::Open(p, v)),
        1 => peer.prop_map(ServeOp::Fail),
        10 => Just(ServeOp::Work),
        5 => Just(ServeOp::Lookup),
        5 => Just(ServeOp::Load),
        5 => any::<prop::sample::Index>().prop_map(ServeOp::Confirm),
        2 => (0..15_000u64).prop_map(ServeOp::Advance),
    ]
}

/// What each peer still wants, as the peer sees it.
#[derive(Default)]
struct Peers {
    wants: BTreeMap<PeerId, BTreeMap<Cid, WantType>>,
    lookups: Vec<(PeerId, Vec<Multihash>)>,
    loads: Vec<(Token, Vec<Multihash>)>,
    sent: Vec<(PeerId, Token, Message)>,
}

impl Peers {
    fn take(&mut self, output: Output) {
        match output {
            Output::OpenReply { .. } | Output::ResetReply { .. } => {}
            Output::Lookup { peer, hashes } => self.lookups.push((peer, hashes)),
            Output::Load { token, hashes } => self.loads.push((token, hashes)),
            Output::Send { peer, token, version, message } => {
                let message = over_the_wire(&message, version);
                assert!(message.encoded_len(version) <= bowline_bitswap::MAX_MESSAGE);
                self.sent.push((peer, token, message));
            }
        }
    }

    /// The peer has read what was accepted.
    fn read(&mut self, peer: PeerId, message: &Message) {
        let Some(wants) = self.wants.get_mut(&peer) else {
            return;
        };
        for block in &message.blocks {
            // The form may be that of 1.0.0; the multihash tells.
            let hash = *block.clone().verify().unwrap().hash();
            wants.retain(|cid, _| *cid.hash() != hash);
        }
        for presence in &message.presences {
            if presence.kind == PresenceType::Have && wants.get(&presence.cid) == Some(&WantType::Have) {
                wants.remove(&presence.cid);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn every_want_is_served_once_its_block_is_there(ops in prop::collection::vec(serve_op(), 0..150)) {
        let mut now = base();
        let mut server = Server::new(ServerConfig::default());
        let mut peers = Peers::default();
        let mut store: BTreeMap<Multihash, VerifiedBlock> = BTreeMap::new();
        for op in ops {
            match op {
                ServeOp::Connect(p) => {
                    server.handle_connected(now, peer(p));
                    peers.wants.entry(peer(p)).or_default();
                }
                ServeOp::Disconnect(p) => {
                    server.handle_disconnected(peer(p));
                    peers.wants.remove(&peer(p));
                    peers.sent.retain(|(to, _, _)| *to != peer(p));
                }
                ServeOp::Wants(p, list, full) => {
                    let want = |&(b, priority, block, send_dont_have): &(u32, i32, bool, bool)| Want {
                        cid: *nth(b).cid(),
                        priority,
                        kind: if block { WantType::Block } else { WantType::Have },
                        send_dont_have,
                    };
                    let list: Vec<_> = list.iter().map(want).collect();
                    if let Some(known) = peers.wants.get_mut(&peer(p)) {
                        if full {
                            known.retain(|cid, _| list.iter().any(|want| want.cid == *cid));
                        }
                        for want in &list {
                            let kind = known.entry(want.cid).or_insert(want.kind);
                            *kind = (*kind).min(want.kind);
                        }
                    }
                    server.handle_message(peer(p), V12, &Message { full, ..wants(list) });
                }
                ServeOp::Cancel(p, b) => {
                    if let Some(known) = peers.wants.get_mut(&peer(p)) {
                        known.remove(nth(b).cid());
                    }
                    server.handle_message(peer(p), V12, &cancel(&nth(b)));
                }
                ServeOp::Put(b) => {
                    store.insert(*nth(b).hash(), nth(b));
                    server.handle_new_blocks(&[(*nth(b).hash(), nth(b).len() as u64)]);
                }
                ServeOp::Delete(b) => {
                    store.remove(nth(b).hash());
                }
                ServeOp::Open(p, v) => server.handle_reply_open(now, peer(p), version(v)),
                ServeOp::Fail(p) => {
                    server.handle_reply_failed(now, peer(p));
                    peers.sent.retain(|(to, _, _)| *to != peer(p));
                }
                ServeOp::Work => {
                    if let Some(output) = server.poll_output(now) {
                        if let Output::ResetReply { peer } = &output {
                            peers.sent.retain(|(to, _, _)| to != peer);
                        }
                        peers.take(output);
                    }
                }
                ServeOp::Lookup => {
                    if let Some((peer, hashes)) = peers.lookups.pop() {
                        let size = |hash| store.get(hash).map(|block: &VerifiedBlock| block.len() as u64);
                        let sizes: Vec<_> = hashes.iter().map(|hash| (*hash, size(hash))).collect();
                        server.handle_lookup(peer, &sizes);
                    }
                }
                ServeOp::Load => {
                    if let Some((token, hashes)) = peers.loads.pop() {
                        let data = |hash| store.get(hash).map(|block: &VerifiedBlock| block.data().clone());
                        server.handle_loaded(token, hashes.iter().map(|hash| (*hash, data(hash))).collect());
                    }
                }
                ServeOp::Confirm(index) => {
                    if !peers.sent.is_empty() {
                        let (to, token, message) = peers.sent.remove(index.index(peers.sent.len()));
                        let before = server.stats().messages_sent;
                        server.handle_sent(now, token);
                        if server.stats().messages_sent > before {
                            peers.read(to, &message);
                        }
                    }
                }
                ServeOp::Advance(millis) => {
                    now += ms(millis);
                    server.handle_timeout(now);
                }
            }
        }
        // Whatever was deleted stays away; the rest of the world works from now on.
        for block in store.values() {
            server.handle_new_blocks(&[(*block.hash(), block.len() as u64)]);
        }
        for _ in 0..100_000 {
            for (peer, hashes) in std::mem::take(&mut peers.lookups) {
                let size = |hash| store.get(hash).map(|block: &VerifiedBlock| block.len() as u64);
                let sizes: Vec<_> = hashes.iter().map(|hash| (*hash, size(hash))).collect();
                server.handle_lookup(peer, &sizes);
            }
            for (token, hashes) in std::mem::take(&mut peers.loads) {
                let data = |hash| store.get(hash).map(|block: &VerifiedBlock| block.data().clone());
                server.handle_loaded(token, hashes.iter().map(|hash| (*hash, data(hash))).collect());
            }
            for (to, token, message) in std::mem::take(&mut peers.sent) {
                server.handle_sent(now, token);
                peers.read(to, &message);
            }
            for p in 0..PEERS {
                server.handle_reply_open(now, peer(p), V12);
            }
            match server.poll_output(now) {
                Some(output) => peers.take(output),
                None if peers.lookups.is_empty() && peers.loads.is_empty() && peers.sent.is_empty() => break,
                None => {}
            }
        }
        for (peer, wants) in &peers.wants {
            let left: Vec<_> = wants.keys().filter(|cid| store.contains_key(cid.hash())).collect();
            prop_assert!(left.is_empty(), "forgotten: {left:?}");
            let ledger = server.peer(peer).unwrap();
            prop_assert_eq!(ledger.wants, wants.len());
            prop_assert_eq!((ledger.queued_bytes, ledger.outstanding_bytes), (0, 0));
        }
        for p in 0..PEERS {
            server.handle_disconnected(peer(p));
        }
        prop_assert_eq!(server.poll_timeout(), None);
        prop_assert_eq!(server.poll_output(now), None);
    }
}
