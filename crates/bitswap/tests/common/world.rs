//! A small world on virtual time: one fetcher, several peers behind links with delay and bandwidth.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use bowline_bitswap::{
    Entry, Event, FetchId, Fetcher, FetcherConfig, Message, Output, Receipt, ServerConfig, Sources, Token,
    UnverifiedBlock, Version, WantType,
};
use bowline_block::{Cid, Multihash, VerifiedBlock, codec};
use bowline_identity::PeerId;
use bytes::Bytes;

use super::{Caller, V12, base, ms, over_the_wire, peer, presences};

/// How a peer behaves.
pub(crate) enum Kind {
    /// Our own server.
    Honest(Box<Caller>),
    /// Sends other bytes than those asked for.
    Liar,
    /// Reads and says nothing.
    Silent,
    /// Keeps a list of 1,024 wants and silently drops what exceeds it.
    Forgetful(Model),
}

/// A server of another implementation, as far as its wantlist matters.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) store: BTreeMap<Multihash, Bytes>,
    /// beetswap frees a place in its list only by a full list; boxo also when the block is sent.
    pub(crate) frees_when_sent: bool,
    places: BTreeSet<Multihash>,
}

pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) delay: Duration,
    pub(crate) bytes_per_second: u64,
    /// When the link has carried what is on it.
    free_at: Instant,
    /// When the connection breaks.
    pub(crate) breaks_at: Option<Instant>,
    /// Bytes of wantlists that the fetcher sent here.
    pub(crate) control_bytes: usize,
}

enum Arrival {
    AtPeer(Message),
    AtUs(Message),
    Accepted(Token),
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) start: Instant,
    pub(crate) fetcher: Fetcher,
    pub(crate) fetch: FetchId,
    pub(crate) nodes: BTreeMap<PeerId, Node>,
    arrivals: BTreeMap<(Instant, u64), (PeerId, Arrival)>,
    next: u64,
    pub(crate) got: BTreeSet<Cid>,
    pub(crate) missing: BTreeSet<Cid>,
    pub(crate) stalled: usize,
    /// The longest time between two blocks.
    pub(crate) longest_pause: Duration,
    last_block: Instant,
}

/// An honest peer with these blocks.
pub(crate) fn honest(us: PeerId, now: Instant, blocks: &[VerifiedBlock]) -> Kind {
    let mut caller = Caller::new(ServerConfig::default());
    caller.now = now;
    caller.server.handle_connected(now, us);
    caller.stuck.insert(us);
    for block in blocks {
        caller.put(block);
    }
    Kind::Honest(Box::new(caller))
}

pub(crate) fn us() -> PeerId {
    peer(0)
}

impl World {
    pub(crate) fn new() -> Self {
        let now = base();
        let mut fetcher = Fetcher::new(FetcherConfig::default());
        let fetch = fetcher.start(now, Sources::Any);
        Self {
            now,
            start: now,
            fetcher,
            fetch,
            nodes: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            next: 0,
            got: BTreeSet::new(),
            missing: BTreeSet::new(),
            stalled: 0,
            longest_pause: Duration::ZERO,
            last_block: now,
        }
    }

    pub(crate) fn connect(&mut self, id: PeerId, kind: Kind, delay: u64, bytes_per_second: u64) {
        let node = Node {
            kind,
            delay: ms(delay),
            bytes_per_second,
            free_at: self.now,
            breaks_at: None,
            control_bytes: 0,
        };
        self.nodes.insert(id, node);
        self.fetcher.handle_connected(self.now, id, V12);
    }

    pub(crate) fn honest(&mut self, id: PeerId, blocks: &[VerifiedBlock], delay: u64, bytes_per_second: u64) {
        self.connect(id, honest(us(), self.now, blocks), delay, bytes_per_second);
    }

    pub(crate) fn want_all(&mut self, blocks: &[VerifiedBlock]) {
        for block in blocks {
            self.fetcher.want_with_size(self.now, self.fetch, *block.cid(), block.len() as u64);
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// Runs until `wanted` wants have ended, or for at most `limit` of virtual time.
    pub(crate) fn run(&mut self, wanted: usize, limit: Duration) {
        self.flush();
        while self.got.len() + self.missing.len() < wanted {
            let Some(next) = self.next_time() else { return };
            if next > self.start + limit {
                return;
            }
            self.now = self.now.max(next);
            self.step();
            self.flush();
        }
    }

    fn next_time(&self) -> Option<Instant> {
        let arrival = self.arrivals.keys().next().map(|(at, _)| *at);
        let breaks = self.nodes.values().filter_map(|node| node.breaks_at).min();
        let servers = self.nodes.values().filter_map(|node| match &node.kind {
            Kind::Honest(caller) => caller.server.poll_timeout(),
            Kind::Liar | Kind::Silent | Kind::Forgetful(_) => None,
        });
        [arrival, breaks, self.fetcher.poll_timeout(), servers.min()].into_iter().flatten().min()
    }

    fn step(&mut self) {
        let broken = self.nodes.iter().filter(|(_, node)| node.breaks_at.is_some_and(|at| at <= self.now));
        let broken: Vec<_> = broken.map(|(id, _)| *id).collect();
        for id in broken {
            self.nodes.remove(&id);
            self.arrivals.retain(|_, (peer, _)| *peer != id);
            self.fetcher.handle_disconnected(self.now, id);
        }
        self.fetcher.handle_timeout(self.now);
        while let Some(entry) = self.arrivals.first_entry()
            && entry.key().0 <= self.now
        {
            let (id, arrival) = entry.remove();
            match arrival {
                Arrival::AtPeer(message) => self.at_peer(id, &message),
                Arrival::AtUs(message) => self.at_us(id, message),
                Arrival::Accepted(token) => {
                    if let Some(Node { kind: Kind::Honest(caller), .. }) = self.nodes.get_mut(&id) {
                        caller.server.handle_sent(self.now, token);
                    }
                }
            }
            self.serve(id);
        }
        let ids: Vec<_> = self.nodes.keys().copied().collect();
        for id in ids {
            self.serve(id);
        }
    }

    /// Lets an honest server do what it can.
    fn serve(&mut self, id: PeerId) {
        let now = self.now;
        let mut sent = Vec::new();
        let Some(Node { kind: Kind::Honest(caller), .. }) = self.nodes.get_mut(&id) else {
            return;
        };
        caller.now = now;
        caller.server.handle_timeout(now);
        while let Some(output) = caller.server.poll_output(now) {
            match output {
                Output::Send { token, message, .. } => sent.push((token, message)),
                other => {
                    caller.step(other);
                }
            }
        }
        for (token, message) in sent {
            let accepted = self.reply(id, message);
            self.schedule(accepted, id, Arrival::Accepted(token));
        }
    }

    /// Puts a message on the link to us; returns when the link has taken it.
    fn reply(&mut self, id: PeerId, message: Message) -> Instant {
        let node = self.nodes.get_mut(&id).unwrap();
        let len = message.encoded_len(V12) as u64;
        let transfer = Duration::from_micros(len * 1_000_000 / node.bytes_per_second);
        node.free_at = node.free_at.max(self.now) + transfer;
        let (accepted, arrives) = (node.free_at, node.free_at + node.delay);
        self.schedule(arrives, id, Arrival::AtUs(message));
        accepted
    }

    fn schedule(&mut self, at: Instant, id: PeerId, arrival: Arrival) {
        self.arrivals.insert((at, self.next), (id, arrival));
        self.next += 1;
    }

    fn at_peer(&mut self, id: PeerId, message: &Message) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let replies = match &mut node.kind {
            Kind::Honest(caller) => {
                caller.server.handle_message(us(), Version::V1_2_0, message);
                return;
            }
            Kind::Silent => return,
            Kind::Liar => lies(message),
            Kind::Forgetful(model) => model.answer(message),
        };
        for message in replies {
            self.reply(id, message);
        }
    }

    fn at_us(&mut self, id: PeerId, message: Message) {
        let message = over_the_wire(&message, V12);
        self.fetcher.handle_message(self.now, id, &message);
        for block in message.blocks {
            match block.verify() {
                Ok(block) => {
                    if self.fetcher.handle_block(self.now, id, block) == Receipt::Wanted {
                        self.longest_pause = self.longest_pause.max(self.now - self.last_block);
                        self.last_block = self.now;
                    }
                }
                Err(_) => self.fetcher.handle_bad_block(self.now, id),
            }
        }
    }

    /// Takes the fetcher's events and puts its wantlists on the links.
    fn flush(&mut self) {
        while let Some(event) = self.fetcher.poll_event() {
            match event {
                Event::Block { block, .. } => assert!(self.got.insert(*block.cid()), "delivered twice"),
                Event::Missing { cid, .. } => assert!(self.missing.insert(cid), "missing twice"),
                Event::Stalled { .. } => self.stalled += 1,
            }
        }
        let ready: Vec<_> = self.fetcher.ready_peers().collect();
        for id in ready {
            while let Some(message) = self.fetcher.poll_wants(self.now, id) {
                let node = self.nodes.get_mut(&id).unwrap();
                node.control_bytes += message.encoded_len(V12);
                let at = self.now + node.delay;
                self.schedule(at, id, Arrival::AtPeer(over_the_wire(&message, V12)));
            }
        }
    }
}

/// Well-formed blocks of other bytes, one per want-block.
fn lies(message: &Message) -> Vec<Message> {
    let wants = message.wantlist.iter().filter_map(|entry| match entry {
        Entry::Want(want) if want.kind == WantType::Block => Some(want.cid),
        Entry::Want(_) | Entry::Cancel(_) => None,
    });
    let lie = |cid: Cid| {
        let data = Bytes::from([b"lie", &cid.to_bytes()[..]].concat());
        let lie = VerifiedBlock::sha2_256(codec::RAW, data).unwrap();
        let blocks = vec![UnverifiedBlock::new(lie.cid(), lie.data().clone())];
        Message { blocks, ..Message::default() }
    };
    wants.map(lie).collect()
}

impl Model {
    pub(crate) fn new(frees_when_sent: bool, blocks: &[VerifiedBlock]) -> Self {
        let store = blocks.iter().map(|block| (*block.hash(), block.data().clone())).collect();
        Self { store, frees_when_sent, places: BTreeSet::new() }
    }

    fn answer(&mut self, message: &Message) -> Vec<Message> {
        if message.full {
            self.places.clear();
        }
        let mut replies = Vec::new();
        for entry in &message.wantlist {
            let Entry::Want(want) = entry else { continue };
            let hash = *want.cid.hash();
            if self.places.len() >= 1024 && !self.places.contains(&hash) {
                continue;
            }
            self.places.insert(hash);
            if let Some(data) = self.store.get(&hash) {
                let blocks = vec![UnverifiedBlock::new(&want.cid, data.clone())];
                replies.push(Message { blocks, ..Message::default() });
                if self.frees_when_sent {
                    self.places.remove(&hash);
                }
            } else if want.send_dont_have {
                replies.push(presences([super::dont_have(&want.cid)]));
            }
        }
        replies
    }
}
