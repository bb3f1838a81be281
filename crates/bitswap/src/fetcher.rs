//! Getting blocks from peers.
//!
//! ```text
//!  want ──> plan: which peer, block or word of it ──> outbox ──poll_wants──> wantlist
//!             ^                                                                │
//!             │  DONT_HAVE, silence, a wrong block, a lost peer                v
//!             └────────────────────────────────────────────── presences and hashed blocks
//!                                                                              │
//!  Event::Block, Event::Missing, Event::Stalled  <─────────────────────────────┘
//! ```
//!
//! A block is asked of one peer: the one that would deliver it first by what has been measured, within a
//! window of bytes that grows as the peer delivers. When that peer lacks the block, the others are asked
//! whether they have it; when it is silent, one other is asked for it. Every want ends in exactly one
//! [`Event::Block`] or [`Event::Missing`] unless it is cancelled.
//!
//! The fetcher hashes nothing. Received blocks are verified elsewhere and handed in as
//! [`VerifiedBlock`]s; what does not verify is reported by [`Fetcher::handle_bad_block`].
//!
//! Source: bitswap-protocol §1.2.0 Interaction.

mod fetch;
mod outbox;
mod pace;
mod peer;
mod plan;
mod timers;
mod types;
mod want;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use bowline_block::{Cid, MAX_BLOCK, Multihash, VerifiedBlock, local};
use bowline_identity::PeerId;

pub use self::types::{
    Event, FetchId, FetchStats, FetchedPeer, FetcherConfig, FetcherStats, MAX_WANTS_PER_PEER, MissingReason,
    Receipt, Refusal, Sources,
};
use self::{
    fetch::{Fetch, Recent},
    outbox::Cancel,
    peer::Peer,
    want::Wanted,
};
use crate::{Message, Presence, PresenceType, Version};

/// The fetching half of Bitswap, for all fetches and peers.
///
/// Any call order is legal. After each input, drain [`poll_event`](Self::poll_event) and, for each of
/// [`ready_peers`](Self::ready_peers) whose want stream can take a message,
/// [`poll_wants`](Self::poll_wants). Wants that no peer has been asked for yet wait here: the caller bounds
/// how many it makes.
#[derive(Debug)]
pub struct Fetcher {
    config: FetcherConfig,
    fetches: BTreeMap<FetchId, Fetch>,
    /// By multihash: `Qm…` and `bafy…` of one block are one want.
    wants: BTreeMap<Multihash, Wanted>,
    peers: BTreeMap<PeerId, Peer>,
    /// Wants that wait for a peer with room, the oldest first.
    unplaced: BTreeMap<u64, Multihash>,
    timers: BTreeSet<(Instant, Multihash, PeerId)>,
    recent: Recent,
    events: VecDeque<Event>,
    stats: FetcherStats,
    next_fetch: u64,
    next_order: u64,
    /// A moving average, for blocks whose size nobody told.
    block_size: u64,
}

impl Fetcher {
    /// Makes a fetcher without peers.
    #[must_use]
    pub fn new(config: FetcherConfig) -> Self {
        Self {
            config,
            fetches: BTreeMap::new(),
            wants: BTreeMap::new(),
            peers: BTreeMap::new(),
            unplaced: BTreeMap::new(),
            timers: BTreeSet::new(),
            recent: Recent::default(),
            events: VecDeque::new(),
            stats: FetcherStats::default(),
            next_fetch: 0,
            next_order: 1,
            block_size: config.expected_block_bytes,
        }
    }

    /// Starts a fetch without wants.
    pub fn start(&mut self, now: Instant, sources: Sources) -> FetchId {
        let id = FetchId(self.next_fetch);
        self.next_fetch += 1;
        self.fetches.insert(id, Fetch::new(now, sources));
        id
    }

    /// Lets a fetch of [`Sources::Only`] ask one more peer. Without effect on [`Sources::Any`].
    pub fn add_source(&mut self, now: Instant, fetch: FetchId, peer: PeerId) {
        if let Some(Sources::Only(peers)) = self.fetches.get_mut(&fetch).map(|fetch| &mut fetch.sources) {
            peers.insert(peer);
            self.settle_unawaited(now);
        }
    }

    /// Stops a fetch of [`Sources::Only`] from hoping for a peer, such as one that cannot be dialed.
    /// What was asked of it already may still be answered.
    pub fn remove_source(&mut self, now: Instant, fetch: FetchId, peer: &PeerId) {
        if let Some(Sources::Only(peers)) = self.fetches.get_mut(&fetch).map(|fetch| &mut fetch.sources) {
            peers.remove(peer);
            self.settle_unawaited(now);
        }
    }

    /// Wants a block.
    ///
    /// A CID that names its own block (identity, the well-known empty ones) is answered at once and never
    /// sent to anybody. Wanting the same CID again while it is open changes nothing.
    pub fn want(&mut self, now: Instant, fetch: FetchId, cid: Cid) {
        self.add_want(now, fetch, cid, None);
    }

    /// Wants a block whose length in bytes is known, for example from the link to it.
    pub fn want_with_size(&mut self, now: Instant, fetch: FetchId, cid: Cid, size: u64) {
        self.add_want(now, fetch, cid, Some(size));
    }

    /// Gives a want up. No event follows for it.
    pub fn cancel(&mut self, now: Instant, fetch: FetchId, cid: &Cid) {
        let Some(found) = self.fetches.get_mut(&fetch) else {
            return;
        };
        if found.wants.remove(cid) {
            self.unsubscribe(fetch, cid);
            self.place(now);
        }
    }

    /// Ends a fetch and gives up all that it still wants.
    pub fn end(&mut self, now: Instant, fetch: FetchId) {
        let Some(ended) = self.fetches.remove(&fetch) else {
            return;
        };
        for cid in &ended.wants {
            self.unsubscribe(fetch, cid);
        }
        self.place(now);
    }

    /// A peer can be asked, and its want stream speaks `version`. Called again when another version turns
    /// out to be negotiated.
    pub fn handle_connected(&mut self, now: Instant, peer: PeerId, version: Version) {
        let known = self.peers.entry(peer).or_insert_with(|| Peer::new(None, &self.config));
        let before = known.version.replace(version);
        if before.is_some_and(Version::has_presences) && !version.has_presences() {
            self.drop_probes(peer);
        }
        for fetch in self.fetches.values_mut() {
            fetch.stalled &= !fetch.has_source(&peer);
        }
        self.settle_unawaited(now);
    }

    /// The last connection to a peer is gone. What it owed is asked of others, and of itself if it returns.
    pub fn handle_disconnected(&mut self, now: Instant, peer: PeerId) {
        self.forget(&peer);
        self.settle_unawaited(now);
    }

    /// A peer does not speak Bitswap, or cannot be reached: fetches stop hoping for it. Holds until
    /// [`handle_connected`](Self::handle_connected) or [`handle_disconnected`](Self::handle_disconnected).
    pub fn handle_refused(&mut self, now: Instant, peer: PeerId) {
        self.forget(&peer);
        self.peers.insert(peer, Peer::new(None, &self.config));
        self.settle_unawaited(now);
    }

    /// The round trip to a peer, as another layer measured it.
    pub fn handle_round_trip(&mut self, peer: PeerId, round_trip: Duration) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.pace.measured(round_trip);
        }
    }

    /// A message came from a peer. Only its presences matter here; its blocks come by
    /// [`handle_block`](Self::handle_block) once they are hashed.
    pub fn handle_message(&mut self, now: Instant, peer: PeerId, message: &Message) {
        self.stats.messages_received += 1;
        if !self.peers.contains_key(&peer) {
            return;
        }
        for presence in &message.presences {
            self.handle_presence(now, peer, presence);
        }
        self.place(now);
    }

    /// A peer sent a block, and it has been hashed.
    ///
    /// // spec: bitswap/client-accepts-block, bitswap/unrequested-block
    pub fn handle_block(&mut self, now: Instant, peer: PeerId, block: VerifiedBlock) -> Receipt {
        let hash = *block.hash();
        let Some(want) = self.take_want(&hash, Some((now, peer, block.len() as u64))) else {
            return self.unexpected(now, peer, &hash, block.len() as u64);
        };
        self.stats.blocks += 1;
        self.stats.bytes += block.len() as u64;
        self.block_size = (self.block_size * 7 + block.len() as u64) / 8;
        self.deliver(now, &want, &block, Some(peer));
        self.place(now);
        Receipt::Wanted
    }

    /// A peer sent bytes that make no acceptable block: an unknown hash function, an impossible digest.
    ///
    /// It is taken for the answer to the oldest want-block open at the peer, which is asked of another
    /// peer, or of the same one when nobody else is left.
    ///
    /// // spec: bitswap/mismatched-block, bitswap/client-verifies
    pub fn handle_bad_block(&mut self, now: Instant, peer: PeerId) {
        self.stats.bad_blocks += 1;
        self.lied(now, peer);
    }

    /// The want stream to a peer was reset and will be replaced: what is open is sent again.
    ///
    /// Routine, and no mark against the peer: Helia resets a stream that was silent for ten seconds.
    pub fn handle_stream_reset(&mut self, now: Instant, peer: PeerId) {
        self.resend_open(now, peer);
    }

    /// What happened, in order; `None` when nothing more has.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The peers for which [`poll_wants`](Self::poll_wants) has a message.
    pub fn ready_peers(&self) -> impl Iterator<Item = PeerId> {
        self.peers
            .iter()
            .filter(|(_, peer)| peer.version.is_some() && peer.outbox.is_due())
            .map(|(id, _)| *id)
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _, _)| *at)
    }

    /// When a fetch last got a block, or was started; `None` when it has ended. Callers give up by this.
    #[must_use]
    pub fn last_progress(&self, fetch: FetchId) -> Option<Instant> {
        self.fetches.get(&fetch).map(|fetch| fetch.last_progress)
    }

    /// What a fetch has got; `None` when it has ended.
    #[must_use]
    pub fn fetch(&self, fetch: FetchId) -> Option<FetchStats> {
        let fetch = self.fetches.get(&fetch)?;
        Some(FetchStats { open_wants: fetch.wants.len(), ..fetch.stats })
    }

    /// What is known of a peer; `None` when it is not connected.
    #[must_use]
    pub fn peer(&self, peer: &PeerId) -> Option<FetchedPeer> {
        self.peers.get(peer).map(Peer::stats)
    }

    /// What has been done so far.
    #[must_use]
    pub fn stats(&self) -> FetcherStats {
        self.stats
    }

    fn add_want(&mut self, now: Instant, fetch: FetchId, cid: Cid, size: Option<u64>) {
        let Some(found) = self.fetches.get_mut(&fetch) else {
            return;
        };
        // spec: bitswap/identity-cid, bitswap/empty-block
        if let Some(block) = local(&cid) {
            found.last_progress = now;
            self.events.push_back(Event::Block { fetches: vec![fetch], block, peer: None });
            return;
        }
        if !found.wants.insert(cid) {
            return;
        }
        let order = self.next_order;
        let want = self.wants.entry(*cid.hash()).or_insert_with(|| Wanted {
            cid,
            order,
            size: None,
            subscribers: Vec::new(),
            asks: BTreeMap::new(),
        });
        self.next_order += 1;
        // A hint comes from a link, and so from a peer.
        want.size = want.size.or(size.map(|size| size.min(MAX_BLOCK as u64)));
        want.subscribers.push((fetch, cid));
        self.settle(now, *cid.hash());
    }

    fn forget(&mut self, peer: &PeerId) {
        if self.peers.remove(peer).is_none() {
            return;
        }
        self.timers.retain(|(_, _, timed)| timed != peer);
        for want in self.wants.values_mut() {
            want.asks.remove(peer);
        }
    }

    /// Removes one subscriber of a want, and the want with its last.
    fn unsubscribe(&mut self, fetch: FetchId, cid: &Cid) {
        let Some(want) = self.wants.get_mut(cid.hash()) else {
            return;
        };
        want.subscribers.retain(|subscriber| *subscriber != (fetch, *cid));
        if want.subscribers.is_empty() {
            self.take_want(cid.hash(), None);
        }
    }

    /// Ends a want: closes every ask for it, and cancels it at all peers but the one that delivered it.
    fn take_want(&mut self, hash: &Multihash, from: Option<(Instant, PeerId, u64)>) -> Option<Wanted> {
        let want = self.wants.get(hash)?;
        let (order, peers) = (want.order, want.asks.keys().copied().collect::<Vec<_>>());
        self.unplaced.remove(&order);
        if let Some((now, source, bytes)) = from {
            self.delivered(now, source, *hash, bytes);
        }
        let source = from.map(|(_, source, _)| source);
        for peer in peers.into_iter().filter(|peer| Some(*peer) != source) {
            // spec: bitswap/client-cancels
            self.close(peer, *hash, Cancel::Urgent);
        }
        self.recent.insert(*hash);
        self.wants.remove(hash)
    }

    /// Books a block that a peer was asked for.
    fn delivered(&mut self, now: Instant, peer: PeerId, hash: Multihash, bytes: u64) {
        let open = self.wants.get(&hash).and_then(|want| want.open(&peer)).copied();
        self.close(peer, hash, Cancel::Not);
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        known.stats.blocks += 1;
        known.stats.bytes += bytes;
        known.misses = 0;
        known.slots.delivered();
        known.pace.delivered(now, bytes, known.outstanding > 0, &self.config);
        if let Some(open) = open {
            known.newest_block = known.newest_block.max(open.order);
            known.answered(now, &open);
        }
    }

    fn deliver(&mut self, now: Instant, want: &Wanted, block: &VerifiedBlock, peer: Option<PeerId>) {
        for (cid, fetches) in want.by_cid() {
            for id in &fetches {
                let Some(fetch) = self.fetches.get_mut(id) else {
                    continue;
                };
                fetch.wants.remove(&cid);
                fetch.last_progress = now;
                fetch.stalled = false;
                fetch.stats.blocks += 1;
                fetch.stats.bytes += block.len() as u64;
            }
            if let Ok(block) = block.clone().with_cid(cid) {
                self.events.push_back(Event::Block { fetches, block, peer });
            }
        }
    }

    /// A block that no want is open for.
    fn unexpected(&mut self, now: Instant, peer: PeerId, hash: &Multihash, bytes: u64) -> Receipt {
        if self.recent.contains(hash) {
            self.stats.duplicate_blocks += 1;
            self.stats.duplicate_bytes += bytes;
            if let Some(known) = self.peers.get_mut(&peer) {
                known.stats.duplicate_blocks += 1;
            }
            return Receipt::Duplicate;
        }
        self.stats.unwanted_blocks += 1;
        self.stats.unwanted_bytes += bytes;
        self.lied(now, peer);
        Receipt::Unwanted
    }

    fn handle_presence(&mut self, now: Instant, peer: PeerId, presence: &Presence) {
        let hash = *presence.cid.hash();
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        match presence.kind {
            PresenceType::Have => {
                self.stats.haves += 1;
                known.stats.haves += 1;
            }
            PresenceType::DontHave => {
                self.stats.dont_haves += 1;
                known.stats.dont_haves += 1;
            }
        }
        let Some(ask) = self.wants.get(&hash).map(|want| want.asks.get(&peer).copied()) else {
            return;
        };
        match presence.kind {
            PresenceType::Have => self.handle_have(now, peer, hash, ask),
            PresenceType::DontHave => self.handle_dont_have(now, peer, hash, ask),
        }
    }
}
