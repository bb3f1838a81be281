//! What the transcripts share: a base for virtual time, peers, blocks, a store, and a server with its caller.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use bowline_bitswap::{
    Entry, Message, Output, Presence, PresenceType, Server, ServerConfig, Token, Version, Want, WantType,
};
use bowline_block::{Cid, Multihash, VerifiedBlock, codec};
use bowline_identity::{Keypair, PeerId};
use bytes::Bytes;

pub(crate) const V12: Version = Version::V1_2_0;
pub(crate) const KIB: usize = 1024;
pub(crate) const MIB: usize = 1024 * 1024;

#[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
pub(crate) fn base() -> Instant {
    Instant::now()
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn peer(number: u8) -> PeerId {
    Keypair::from_ed25519_seed([number; 32]).peer_id()
}

/// A raw block of `len` bytes that differs by `number`.
pub(crate) fn sized(number: u32, len: usize) -> VerifiedBlock {
    let mut data = vec![0; len.max(4)];
    data[..4].copy_from_slice(&number.to_be_bytes());
    VerifiedBlock::sha2_256(codec::RAW, data.into()).unwrap()
}

pub(crate) fn block(number: u32) -> VerifiedBlock {
    sized(number, 2000)
}

pub(crate) fn wanted(block: &VerifiedBlock) -> Want {
    Want { cid: *block.cid(), priority: 1, kind: WantType::Block, send_dont_have: true }
}

pub(crate) fn want_have(block: &VerifiedBlock) -> Want {
    Want { kind: WantType::Have, ..wanted(block) }
}

pub(crate) fn wants(wants: impl IntoIterator<Item = Want>) -> Message {
    Message { wantlist: wants.into_iter().map(Entry::Want).collect(), ..Message::default() }
}

pub(crate) fn cancel(block: &VerifiedBlock) -> Message {
    Message { wantlist: vec![Entry::Cancel(*block.cid())], ..Message::default() }
}

pub(crate) fn have(cid: &Cid) -> Presence {
    Presence { cid: *cid, kind: PresenceType::Have }
}

pub(crate) fn dont_have(cid: &Cid) -> Presence {
    Presence { cid: *cid, kind: PresenceType::DontHave }
}

pub(crate) fn presences(presences: impl IntoIterator<Item = Presence>) -> Message {
    Message { presences: presences.into_iter().collect(), ..Message::default() }
}

/// A message as the other side reads it, through the wire.
pub(crate) fn over_the_wire(message: &Message, version: Version) -> Message {
    let mut decoder = bowline_wire::FrameDecoder::new(bowline_bitswap::MAX_MESSAGE);
    decoder.push(message.encode_frame(version));
    Message::decode(decoder.next_frame().unwrap().unwrap()).unwrap().message
}

/// The CIDs of the blocks in a message, as a receiver computes them.
pub(crate) fn cids(message: &Message) -> Vec<Cid> {
    message.blocks.iter().map(|block| *block.clone().verify().unwrap().cid()).collect()
}

/// A [`Server`] with a caller that has a store and writes what it is told.
pub(crate) struct Caller {
    pub(crate) now: Instant,
    pub(crate) server: Server,
    pub(crate) store: BTreeMap<Multihash, Bytes>,
    /// The version that reply streams negotiate.
    pub(crate) version: Version,
    /// Peers whose muxer accepts nothing.
    pub(crate) stuck: BTreeSet<PeerId>,
    pub(crate) unconfirmed: Vec<(PeerId, Token)>,
    pub(crate) lookups: Vec<Multihash>,
    pub(crate) loads: Vec<Multihash>,
    pub(crate) resets: Vec<PeerId>,
    pub(crate) opened: usize,
}

impl Caller {
    pub(crate) fn new(config: ServerConfig) -> Self {
        Self {
            now: base(),
            server: Server::new(config),
            store: BTreeMap::new(),
            version: V12,
            stuck: BTreeSet::new(),
            unconfirmed: Vec::new(),
            lookups: Vec::new(),
            loads: Vec::new(),
            resets: Vec::new(),
            opened: 0,
        }
    }

    /// A server with one peer connected.
    pub(crate) fn with_peer(peer: PeerId) -> Self {
        let mut caller = Self::new(ServerConfig::default());
        caller.server.handle_connected(caller.now, peer);
        caller
    }

    pub(crate) fn put(&mut self, block: &VerifiedBlock) {
        self.store.insert(*block.hash(), block.data().clone());
        self.server.handle_new_blocks(&[(*block.hash(), block.len() as u64)]);
    }

    /// Hands a message in and returns what the server says to anybody.
    pub(crate) fn receive(&mut self, peer: PeerId, message: &Message) -> Vec<(PeerId, Message)> {
        self.server.handle_message(peer, V12, message);
        self.run()
    }

    /// Answers lookups and loads until the server has nothing more to do; returns what it sends.
    pub(crate) fn run(&mut self) -> Vec<(PeerId, Message)> {
        let mut sent = Vec::new();
        while let Some(output) = self.server.poll_output(self.now) {
            sent.extend(self.step(output));
        }
        sent
    }

    pub(crate) fn step(&mut self, output: Output) -> Option<(PeerId, Message)> {
        match output {
            Output::OpenReply { peer } => {
                self.opened += 1;
                self.server.handle_reply_open(self.now, peer, self.version);
            }
            Output::ResetReply { peer } => self.resets.push(peer),
            Output::Lookup { peer, hashes } => {
                self.lookups.extend(&hashes);
                let size = |hash| self.store.get(hash).map(|data: &Bytes| data.len() as u64);
                let sizes: Vec<_> = hashes.iter().map(|hash| (*hash, size(hash))).collect();
                self.server.handle_lookup(peer, &sizes);
            }
            Output::Load { token, hashes } => {
                self.loads.extend(&hashes);
                let load = |hash| (hash, self.store.get(&hash).cloned());
                let blocks: Vec<_> = hashes.into_iter().map(load).collect();
                self.server.handle_loaded(token, blocks);
            }
            Output::Send { peer, token, version, message } => {
                if self.stuck.contains(&peer) {
                    self.unconfirmed.push((peer, token));
                } else {
                    self.server.handle_sent(self.now, token);
                }
                return Some((peer, over_the_wire(&message, version)));
            }
        }
        None
    }

    /// The only message that was sent, to the only peer.
    pub(crate) fn answer(&mut self, peer: PeerId, message: &Message) -> Message {
        let mut sent = self.receive(peer, message);
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0).1
    }
}
