//! Answering what peers want.
//!
//! ```text
//!  wantlist ──> Ledger ──Lookup──> caller: sizes ──> queue ──(turn)──Load──> caller: bytes
//!                  ^                                                            │
//!                  └──── put back ◄── failed ── caller writes ◄──Send── message ┘
//!                        gone     ◄── accepted ──┘
//! ```
//!
//! The server reads no store and writes no stream. It says what to look up, what to read and what to write,
//! in [`Output`]s, and is told how it went. Blocks are read only when their peer's turn has come, and a want
//! leaves the ledger only when the muxer has accepted the answer.
//!
//! Turns go round by bytes over the peers that can take more: one that accepts nothing keeps nobody waiting.
//! HAVE and DONT_HAVE go out in messages of their own, ahead of blocks.
//!
//! Source: bitswap-protocol §1.2.0 Interaction.

mod ledger;
mod partner;
mod schedule;
mod types;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Instant,
};

use bowline_block::{MAX_BLOCK, Multihash, local};
use bowline_identity::PeerId;
use bytes::Bytes;

pub use self::types::{MAX_OUTSTANDING_PER_PEER, Output, ServedPeer, ServerConfig, ServerStats, Token};
use self::{
    ledger::{Added, Terms, WantKey},
    partner::{Flight, Loaded, Partner, Reply, Stage},
};
use crate::{Entry, Message, Version, Want, WantType};

/// The serving half of Bitswap, for all peers.
///
/// Any call order is legal, and answers for tokens or peers that are gone are ignored. After each input,
/// drain [`poll_output`](Self::poll_output).
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    partners: BTreeMap<PeerId, Partner>,
    /// Which peers want a block, in any state.
    wanted_by: BTreeMap<Multihash, BTreeSet<PeerId>>,
    flights: BTreeMap<Token, Flight>,
    /// Reply streams to open and to reset.
    streams: VecDeque<Output>,
    /// Peers with a message to make.
    ready: VecDeque<PeerId>,
    /// Peers with blocks to look up.
    lookups: VecDeque<PeerId>,
    /// Peers with blocks to send, in the order of their turns.
    ring: VecDeque<PeerId>,
    /// Peers with a deadline.
    timed: BTreeSet<PeerId>,
    loads: usize,
    /// The sum of what is outstanding at all peers.
    outstanding: u64,
    next_token: u64,
    stats: ServerStats,
}

impl Server {
    /// Makes a server without peers.
    #[must_use]
    pub fn new(config: ServerConfig) -> Self {
        Self {
            config,
            partners: BTreeMap::new(),
            wanted_by: BTreeMap::new(),
            flights: BTreeMap::new(),
            streams: VecDeque::new(),
            ready: VecDeque::new(),
            lookups: VecDeque::new(),
            ring: VecDeque::new(),
            timed: BTreeSet::new(),
            loads: 0,
            outstanding: 0,
            next_token: 0,
            stats: ServerStats::default(),
        }
    }

    /// A peer is there: from now on its messages are served.
    pub fn handle_connected(&mut self, now: Instant, peer: PeerId) {
        self.partners.entry(peer).or_insert_with(|| Partner::new(now));
    }

    /// The last connection to a peer is gone, and with it everything known about the peer.
    ///
    /// Wants that arrive afterwards are ignored until [`handle_connected`](Self::handle_connected):
    /// a wantlist that outlives its connection is how CVE-2023-25568 filled memory.
    pub fn handle_disconnected(&mut self, peer: PeerId) {
        let Some(partner) = self.partners.remove(&peer) else {
            return;
        };
        for hash in partner.ledger.hashes() {
            self.unlist(peer, &hash);
        }
        for token in &partner.tokens {
            if let Some(flight) = self.flights.remove(token)
                && flight.stage == Stage::Loading
            {
                self.loads -= 1;
            }
        }
        self.outstanding = self.outstanding.saturating_sub(partner.outstanding);
        self.streams.retain(|output| {
            !matches!(output, Output::OpenReply { peer: p } | Output::ResetReply { peer: p } if *p == peer)
        });
        self.timed.remove(&peer);
        for queue in [&mut self.ready, &mut self.lookups, &mut self.ring] {
            queue.retain(|queued| *queued != peer);
        }
    }

    /// A message came from a peer, on a stream of `version`. Only its wantlist matters here.
    pub fn handle_message(&mut self, peer: PeerId, version: Version, message: &Message) {
        if !self.partners.contains_key(&peer) {
            self.stats.strangers += 1;
            return;
        }
        self.stats.messages_received += 1;
        if message.wantlist.is_empty() && !message.full {
            return;
        }
        let cancelled = self.handle_removals(peer, message);
        // spec: bitswap/incremental
        for entry in &message.wantlist {
            if let Entry::Want(want) = entry
                && !cancelled.contains(&WantKey(want.cid))
            {
                self.add_want(peer, as_understood(*want, version));
            }
        }
        self.refresh(peer);
    }

    /// The store's answer to [`Output::Lookup`]: the size of each block, `None` where it is missing.
    ///
    /// A store that could not be asked answers `None`: the peer goes elsewhere, and asks again later.
    pub fn handle_lookup(&mut self, peer: PeerId, results: &[(Multihash, Option<u64>)]) {
        let Some(partner) = self.partners.get_mut(&peer) else {
            return;
        };
        partner.queued_in.looking = false;
        let terms = terms(&self.config, partner);
        for (hash, size) in results {
            partner.ledger.looked_up(hash, *size, terms);
        }
        self.refresh(peer);
    }

    /// Blocks came into the store, with their sizes in bytes: whoever waits for them is answered.
    ///
    /// Call it after the blocks can be read, so that none falls between a lookup and this.
    pub fn handle_new_blocks(&mut self, blocks: &[(Multihash, u64)]) {
        let mut touched = BTreeSet::new();
        for (hash, size) in blocks {
            for peer in self.wanted_by.get(hash).into_iter().flatten() {
                let Some(partner) = self.partners.get_mut(peer) else {
                    continue;
                };
                if *size <= MAX_BLOCK as u64 {
                    partner.ledger.arrived(hash, *size, terms(&self.config, partner));
                    touched.insert(*peer);
                }
            }
        }
        for peer in touched {
            self.refresh(peer);
        }
    }

    /// The blocks of an [`Output::Load`]; `None` where one is no longer there.
    pub fn handle_loaded(&mut self, token: Token, blocks: Vec<(Multihash, Option<Bytes>)>) {
        let Some(flight) = self.flights.get_mut(&token) else {
            return;
        };
        if flight.stage != Stage::Loading {
            return;
        }
        flight.stage = Stage::Loaded;
        self.loads -= 1;
        let peer = flight.peer;
        let blocks: BTreeMap<_, _> = blocks.into_iter().collect();
        self.loaded(token, &blocks);
        self.refresh(peer);
    }

    /// A reply stream to the peer is open, and this version was negotiated for it.
    ///
    /// There is one at a time. Callers that send each message on a stream of its own report the first and
    /// keep its version.
    pub fn handle_reply_open(&mut self, now: Instant, peer: PeerId, version: Version) {
        let Some(partner) = self.partners.get_mut(&peer) else {
            return;
        };
        partner.reply = Reply::Open(version);
        partner.last_progress = now;
        if !version.has_presences() {
            partner.ledger.drop_presences();
        }
        self.refresh(peer);
    }

    /// The reply stream could not be opened, was reset or closed: what was handed out and not yet reported
    /// as accepted is queued again.
    ///
    /// A stream is asked for again when there is something to say, after a pause that grows from 100 ms to
    /// 30 s unless the stream was merely idle. For a peer that does not speak Bitswap at all, call
    /// [`handle_disconnected`](Self::handle_disconnected).
    pub fn handle_reply_failed(&mut self, now: Instant, peer: PeerId) {
        let Some(partner) = self.partners.get_mut(&peer) else {
            return;
        };
        partner.failed(now);
        let tokens: Vec<_> = partner.tokens.iter().copied().collect();
        for token in tokens {
            let loading = self.flights.get(&token).is_none_or(|flight| flight.stage == Stage::Loading);
            if !loading {
                self.put_back(token);
            }
        }
        self.refresh(peer);
    }

    /// The muxer took some bytes of what is being written to the peer, but not yet a whole message.
    pub fn handle_progress(&mut self, now: Instant, peer: PeerId) {
        if let Some(partner) = self.partners.get_mut(&peer) {
            partner.progressed(now);
        }
    }

    /// The muxer has accepted the whole message: the wants that it answers are satisfied.
    pub fn handle_sent(&mut self, now: Instant, token: Token) {
        let Some(Stage::Sent { blocks, haves }) = self.flights.get(&token).map(|flight| flight.stage) else {
            return;
        };
        let Some(flight) = self.close_flight(token) else {
            return;
        };
        let Some(partner) = self.partners.get_mut(&flight.peer) else {
            return;
        };
        partner.accepted(now, flight.bytes);
        for key in &flight.keys {
            partner.ledger.sent(*key, token);
        }
        partner.blocks_sent += blocks;
        partner.bytes_sent += flight.bytes;
        self.stats.messages_sent += 1;
        self.stats.blocks_sent += blocks;
        self.stats.bytes_sent += flight.bytes;
        self.stats.haves_sent += haves;
        self.stats.dont_haves_sent += flight.dont_haves.len() as u64;
        let gone = flight.keys.iter().map(WantKey::hash);
        let gone: Vec<_> = gone.filter(|hash| !partner.ledger.wants_hash(hash)).collect();
        for hash in gone {
            self.unlist(flight.peer, &hash);
        }
        self.refresh(flight.peer);
    }

    /// Lets time pass. Early or twice is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        let deadlines = self.timed.iter().filter_map(|peer| Some((*peer, self.deadline(peer)?)));
        let due: Vec<_> = deadlines.filter(|(_, at)| *at <= now).map(|(peer, _)| peer).collect();
        for peer in due {
            let Some(partner) = self.partners.get_mut(&peer) else {
                continue;
            };
            if matches!(partner.reply, Reply::Waiting(_)) {
                partner.reply = Reply::Closed;
                self.refresh(peer);
            } else {
                self.stats.stalls += 1;
                self.streams.push_back(Output::ResetReply { peer });
                self.handle_reply_failed(now, peer);
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timed.iter().filter_map(|peer| self.deadline(peer)).min()
    }

    fn deadline(&self, peer: &PeerId) -> Option<Instant> {
        self.partners.get(peer)?.deadline(self.config.stall_timeout)
    }

    /// What has been done so far.
    #[must_use]
    pub fn stats(&self) -> ServerStats {
        self.stats
    }

    /// The ledger of one peer, in numbers; `None` when it is not connected.
    #[must_use]
    pub fn peer(&self, peer: &PeerId) -> Option<ServedPeer> {
        let partner = self.partners.get(peer)?;
        Some(ServedPeer {
            wants: partner.ledger.len(),
            queued_bytes: partner.ledger.queued_bytes(),
            outstanding_bytes: partner.outstanding,
            blocks_sent: partner.blocks_sent,
            bytes_sent: partner.bytes_sent,
        })
    }

    /// Takes out what a message cancels or, being a full list, leaves out. Returns what it cancels: in one
    /// message a cancel beats a want for the same CID, wherever it stands.
    fn handle_removals(&mut self, peer: PeerId, message: &Message) -> BTreeSet<WantKey> {
        let mut cancelled = BTreeSet::new();
        let Some(partner) = self.partners.get_mut(&peer) else {
            return cancelled;
        };
        let mut touched = BTreeSet::new();
        if message.full {
            // spec: bitswap/full-replaces, bitswap/full-empty-clears
            touched = partner.ledger.hashes();
            let wants = message.wantlist.iter().filter(|entry| matches!(entry, Entry::Want(_)));
            partner.ledger.retain(&wants.map(|entry| WantKey(*entry.cid())).collect());
        }
        for entry in &message.wantlist {
            if let Entry::Cancel(cid) = entry {
                let key = WantKey(*cid);
                // spec: bitswap/cancel
                self.stats.cancels += u64::from(partner.ledger.cancel(key));
                touched.insert(key.hash());
                cancelled.insert(key);
            }
        }
        touched.retain(|hash| !partner.ledger.wants_hash(hash));
        for hash in touched {
            self.unlist(peer, &hash);
        }
        cancelled
    }

    fn add_want(&mut self, peer: PeerId, want: Want) {
        let Some(partner) = self.partners.get_mut(&peer) else {
            return;
        };
        let key = WantKey(want.cid);
        let terms = terms(&self.config, partner);
        self.stats.wants += 1;
        match partner.ledger.want(&want, self.config.max_wants_per_peer) {
            // spec: bitswap/wantlist-cap — refused aloud where possible, never taken in and forgotten.
            Added::Refused => {
                self.stats.refused_wants += 1;
                let said = want.send_dont_have && partner.ledger.say_dont_have(key, terms);
                self.stats.silent_refusals += u64::from(!said);
            }
            Added::New | Added::Merged => {
                self.wanted_by.entry(key.hash()).or_default().insert(peer);
                // spec: bitswap/identity-cid, bitswap/empty-block
                if let Some(block) = local(&want.cid) {
                    partner.ledger.looked_up(&key.hash(), Some(block.len() as u64), terms);
                }
            }
        }
    }

    /// Pairs what was read with the wants it is for.
    fn loaded(&mut self, token: Token, blocks: &BTreeMap<Multihash, Option<Bytes>>) {
        let Some(flight) = self.flights.get_mut(&token) else {
            return;
        };
        let Some(partner) = self.partners.get_mut(&flight.peer) else {
            return;
        };
        let terms = terms(&self.config, partner);
        let mut ready = Vec::new();
        for key in std::mem::take(&mut flight.keys) {
            let own = || local(&key.0).map(bowline_block::VerifiedBlock::into_data);
            let data = blocks.get(&key.hash()).cloned().flatten().or_else(own);
            match (partner.ledger.sending(&key, token), data) {
                // More than the lookup said would break the bounds of the message.
                (Some(size), Some(data)) if data.len() as u64 <= size => ready.push((key, data)),
                (Some(_), _) => partner.ledger.lost(key, token, terms),
                (None, _) => {}
            }
        }
        flight.keys = ready.iter().map(|(key, _)| *key).collect();
        if partner.version().is_none() || ready.is_empty() {
            self.put_back(token);
        } else {
            partner.loaded.push_back(Loaded { token, blocks: ready });
        }
    }

    /// Ends a load or message that came to nothing; its wants wait again.
    fn put_back(&mut self, token: Token) {
        let Some(flight) = self.close_flight(token) else {
            return;
        };
        let Some(partner) = self.partners.get_mut(&flight.peer) else {
            return;
        };
        let terms = terms(&self.config, partner);
        partner.loaded.retain(|loaded| loaded.token != token);
        for key in &flight.keys {
            partner.ledger.put_back(*key, token);
        }
        for key in &flight.dont_haves {
            partner.ledger.put_back_dont_have(*key, terms);
        }
        self.stats.put_back += (flight.keys.len() + flight.dont_haves.len()) as u64;
    }

    fn close_flight(&mut self, token: Token) -> Option<Flight> {
        let flight = self.flights.remove(&token)?;
        if let Some(partner) = self.partners.get_mut(&flight.peer) {
            partner.tokens.remove(&token);
            partner.outstanding = partner.outstanding.saturating_sub(flight.bytes);
            if matches!(flight.stage, Stage::Sent { .. }) {
                partner.unconfirmed -= 1;
            }
            self.outstanding = self.outstanding.saturating_sub(flight.bytes);
        }
        Some(flight)
    }

    fn unlist(&mut self, peer: PeerId, hash: &Multihash) {
        if let Some(peers) = self.wanted_by.get_mut(hash) {
            peers.remove(&peer);
            if peers.is_empty() {
                self.wanted_by.remove(hash);
            }
        }
    }
}

/// A want as the version of its stream means it: before 1.2.0 the fields for presences do not exist.
///
/// // spec: bitswap/v110-want-have-is-block
fn as_understood(want: Want, version: Version) -> Want {
    if version.has_presences() {
        return want;
    }
    Want { kind: WantType::Block, send_dont_have: false, ..want }
}

/// How a peer's wants are answered. While no reply stream is open its version is unknown and presences are
/// queued; an older version turns them into blocks once it is negotiated.
fn terms(config: &ServerConfig, partner: &Partner) -> Terms {
    Terms {
        have_replace_max: config.have_replace_max_bytes,
        presences: partner.version().is_none_or(Version::has_presences),
        max_presences: config.max_presences_per_peer,
    }
}
