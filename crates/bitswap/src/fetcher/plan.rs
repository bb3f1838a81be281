//! Which peer is asked for a block next.

use std::time::{Duration, Instant};

use bowline_block::Multihash;
use bowline_identity::PeerId;

use super::{
    Event, Fetcher, MissingReason, Refusal, Sources,
    outbox::Cancel,
    peer::Peer,
    want::{Ask, OpenAsk, Wanted},
};
use crate::WantType;

/// How many waiting wants are looked at when a peer has room. Bounds the work per received block.
const SCAN: usize = 256;

/// How much of what was received may be asked for twice: one part in so many.
const HEDGE_SHARE: u64 = 20;

/// What may be asked for twice in any case.
const HEDGE_FLOOR: u64 = 2 * 1024 * 1024;

/// A peer that has answered this recently is slow rather than gone.
const ALIVE: Duration = Duration::from_secs(2);

/// What to do about one want.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    /// Nothing: an answer is due.
    Await,
    /// Nothing until a peer has room.
    Wait,
    /// Ask this peer for the block.
    Block(PeerId),
    /// The same, although another peer still owes it, and may deliver it too if it is alive.
    Hedge { peer: PeerId, alive: bool },
    /// Ask these peers whether they have it.
    Probe(Vec<PeerId>),
    /// Nobody is there to be asked.
    Stall,
    /// Nobody is left to be asked.
    Missing(MissingReason),
}

/// The peers that a want may go to, by what they said about it.
#[derive(Default)]
struct Choice<'a> {
    holders: Vec<(PeerId, &'a Peer)>,
    unasked: Vec<(PeerId, &'a Peer)>,
    liars: Vec<(PeerId, &'a Peer)>,
    probing: bool,
    late: bool,
    /// A late peer answered something a moment ago.
    late_alive: bool,
    refused: bool,
    usable: bool,
}

impl Fetcher {
    /// Finds peers for the wants that wait for one.
    pub(super) fn place(&mut self, now: Instant) {
        let mut from = 0;
        for _ in 0..SCAN {
            if !self.peers.values().any(|peer| peer.has_room(self.block_size, &self.config)) {
                return;
            }
            let Some((order, hash)) = self.unplaced.range(from..).next() else {
                return;
            };
            from = order + 1;
            self.settle(now, *hash);
        }
    }

    /// Decides anew about every want that nobody owes an answer for. After peers came or went.
    pub(super) fn settle_unawaited(&mut self, now: Instant) {
        let mut open: Vec<_> = self.wants.iter().filter(|(_, want)| !want.is_awaited()).collect();
        open.sort_by_key(|(_, want)| want.order);
        let open: Vec<_> = open.into_iter().map(|(hash, _)| *hash).collect();
        for hash in open {
            self.settle(now, hash);
        }
    }

    /// Decides what to do about a want, and does it.
    pub(super) fn settle(&mut self, now: Instant, hash: Multihash) {
        let Some(want) = self.wants.get(&hash) else { return };
        let order = want.order;
        let plan = self.plan(now, want);
        if matches!(plan, Plan::Wait | Plan::Stall) {
            self.unplaced.insert(order, hash);
        } else {
            self.unplaced.remove(&order);
        }
        match plan {
            Plan::Await | Plan::Wait => {}
            Plan::Block(peer) => self.ask(now, peer, hash, WantType::Block),
            Plan::Hedge { peer, alive } => {
                self.stats.hedges += 1;
                if alive {
                    self.stats.hedged_bytes += self.expected_size(hash);
                }
                self.ask(now, peer, hash, WantType::Block);
            }
            Plan::Probe(peers) => {
                for peer in peers {
                    self.ask(now, peer, hash, WantType::Have);
                }
            }
            Plan::Stall => self.stall(hash),
            Plan::Missing(reason) => self.give_up(hash, reason),
        }
    }

    fn plan(&self, now: Instant, want: &Wanted) -> Plan {
        if want.asks.values().any(is_awaited_block) {
            return Plan::Await;
        }
        let choice = self.choose_from(now, want);
        let bytes = want.size.unwrap_or(self.block_size);
        if !choice.usable {
            return self.without_peers(want);
        }
        if !choice.holders.is_empty() {
            return self.block_from(&choice, &choice.holders, bytes);
        }
        if choice.probing {
            return Plan::Await;
        }
        if !choice.unasked.is_empty() {
            // spec: bitswap/client-dont-have — ask around once somebody lacks it or is silent.
            let probes = self.probes(&choice);
            if (choice.refused || choice.late) && probes.len() > 1 {
                return Plan::Probe(probes);
            }
            return self.block_from(&choice, &choice.unasked, bytes);
        }
        if choice.late {
            return Plan::Await;
        }
        if !choice.liars.is_empty() {
            return self.block_from(&choice, &choice.liars, bytes);
        }
        if self.awaits_source(want) {
            return Plan::Stall;
        }
        Plan::Missing(why_missing(want))
    }

    /// Sorts the peers that the want's fetches allow.
    fn choose_from(&self, now: Instant, want: &Wanted) -> Choice<'_> {
        let mut choice = Choice::default();
        for (id, peer) in &self.peers {
            if peer.version.is_none() || !self.may_ask(want, id) {
                continue;
            }
            choice.usable = true;
            match want.asks.get(id) {
                None if peer.can_serve(&want.cid) => choice.unasked.push((*id, peer)),
                None => choice.refused = true,
                Some(Ask::Holder) => choice.holders.push((*id, peer)),
                Some(Ask::Open(open)) if open.is_late() => {
                    choice.late = true;
                    choice.late_alive |= peer.last_answer.is_some_and(|answer| now < answer + ALIVE);
                }
                Some(Ask::Open(_)) => choice.probing = true,
                Some(Ask::No(Refusal::Lied)) => choice.liars.push((*id, peer)),
                Some(Ask::No(Refusal::DontHave | Refusal::NoAnswer)) => choice.refused = true,
            }
        }
        choice
    }

    /// The block from the peer that would deliver it first.
    fn block_from(&self, choice: &Choice<'_>, peers: &[(PeerId, &Peer)], bytes: u64) -> Plan {
        let with_room = peers.iter().filter(|(_, peer)| peer.has_room(bytes, &self.config));
        let Some((best, _)) = with_room.min_by_key(|(id, peer)| (peer.cost(bytes), *id)) else {
            return Plan::Wait;
        };
        if !choice.late {
            return Plan::Block(*best);
        }
        // A silent peer costs nothing twice; a slow one does.
        let spent = self.stats.hedged_bytes.saturating_add(bytes);
        if choice.late_alive && spent > self.stats.bytes / HEDGE_SHARE + HEDGE_FLOOR {
            return Plan::Wait;
        }
        Plan::Hedge { peer: *best, alive: choice.late_alive }
    }

    /// The peers to ask for word of the block, the fastest first.
    fn probes(&self, choice: &Choice<'_>) -> Vec<PeerId> {
        let able = |peer: &Peer| peer.can_probe() && peer.has_slot(&self.config);
        let mut peers: Vec<_> = choice.unasked.iter().filter(|(_, peer)| able(peer)).collect();
        peers.sort_by_key(|(id, peer)| (peer.cost(0), *id));
        peers.into_iter().take(self.config.probe_fanout).map(|(id, _)| *id).collect()
    }

    /// What to do when no peer may be asked: hope, unless only hopeless ones are there.
    fn without_peers(&self, want: &Wanted) -> Plan {
        if self.awaits_source(want) {
            return Plan::Stall;
        }
        let sources = || self.peers.iter().filter(|(id, _)| self.is_source(want, id));
        if sources().any(|(_, peer)| peer.version.is_some()) {
            return Plan::Missing(MissingReason::Lied);
        }
        let named_none = want.subscribers.iter().any(|(fetch, _)| {
            matches!(self.fetches.get(fetch).map(|f| &f.sources), Some(Sources::Only(p)) if p.is_empty())
        });
        if sources().next().is_some() || named_none {
            return Plan::Missing(MissingReason::Refused);
        }
        Plan::Stall
    }

    /// Whether a fetch names a peer that may still connect.
    fn awaits_source(&self, want: &Wanted) -> bool {
        want.subscribers.iter().any(|(fetch, _)| match self.fetches.get(fetch).map(|fetch| &fetch.sources) {
            Some(Sources::Only(peers)) => peers.iter().any(|peer| !self.peers.contains_key(peer)),
            Some(Sources::Any) | None => false,
        })
    }

    /// Whether any fetch that wants the block allows the peer.
    fn may_ask(&self, want: &Wanted, peer: &PeerId) -> bool {
        let fetches = want.subscribers.iter().filter_map(|(id, _)| self.fetches.get(id));
        fetches.into_iter().any(|fetch| fetch.allows(peer, self.config.max_lies))
    }

    fn is_source(&self, want: &Wanted, peer: &PeerId) -> bool {
        let fetches = want.subscribers.iter().filter_map(|(id, _)| self.fetches.get(id));
        fetches.into_iter().any(|fetch| fetch.has_source(peer))
    }

    fn expected_size(&self, hash: Multihash) -> u64 {
        self.wants.get(&hash).and_then(|want| want.size).unwrap_or(self.block_size)
    }

    /// Tells the fetches of a want, once, that there is nobody to ask.
    fn stall(&mut self, hash: Multihash) {
        let Some(want) = self.wants.get(&hash) else { return };
        for (id, _) in &want.subscribers {
            if let Some(fetch) = self.fetches.get_mut(id)
                && !std::mem::replace(&mut fetch.stalled, true)
            {
                self.events.push_back(Event::Stalled { fetch: *id });
            }
        }
    }

    fn give_up(&mut self, hash: Multihash, reason: MissingReason) {
        let Some(want) = self.take_want(&hash, None) else {
            return;
        };
        let answers = want.asks.iter().filter_map(|(peer, ask)| match ask {
            Ask::No(refusal) => Some((*peer, *refusal)),
            Ask::Open(_) | Ask::Holder => None,
        });
        let answers: Vec<_> = answers.collect();
        for (cid, fetches) in want.by_cid() {
            for id in &fetches {
                if let Some(fetch) = self.fetches.get_mut(id) {
                    fetch.wants.remove(&cid);
                }
            }
            self.events.push_back(Event::Missing { fetches, cid, reason, answers: answers.clone() });
        }
    }

    /// A peer said HAVE, asked or not.
    pub(super) fn handle_have(&mut self, now: Instant, peer: PeerId, hash: Multihash, ask: Option<Ask>) {
        match ask {
            // The block itself is still owed.
            Some(Ask::Open(OpenAsk { kind: WantType::Block, .. }) | Ask::Holder) => return,
            Some(Ask::Open(open)) => {
                self.close(peer, hash, Cancel::Not);
                self.answered(now, peer, &open);
            }
            None | Some(Ask::No(_)) => {}
        }
        if let Some(known) = self.peers.get_mut(&peer) {
            known.misses = 0;
        }
        self.record(now, peer, hash, Ask::Holder);
    }

    /// A peer said DONT_HAVE. Those never asked for are tolerated: some peers send them.
    pub(super) fn handle_dont_have(&mut self, now: Instant, peer: PeerId, hash: Multihash, ask: Option<Ask>) {
        match ask {
            Some(Ask::Open(open)) if open.sent => {
                // The server keeps the want; it need not.
                self.close(peer, hash, Cancel::Lazy);
                self.answered(now, peer, &open);
                if let Some(known) = self.peers.get_mut(&peer) {
                    known.misses = known.misses.saturating_add(1);
                }
            }
            Some(Ask::Holder) => {}
            // An answer to a want that was given up, or to none.
            Some(Ask::Open(_) | Ask::No(_)) | None => return,
        }
        self.record(now, peer, hash, Ask::No(Refusal::DontHave));
    }

    /// A peer sent something that it was not asked for, in the place of what it owes longest.
    pub(super) fn lied(&mut self, now: Instant, peer: PeerId) {
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        known.stats.bad_blocks += 1;
        let owed = known.open.values().copied().find(|hash| {
            let open = self.wants.get(hash).and_then(|want| want.open(&peer));
            open.is_some_and(|open| open.sent && open.kind == WantType::Block)
        });
        let Some(hash) = owed else { return };
        let Some(want) = self.wants.get(&hash) else { return };
        for (id, _) in &want.subscribers {
            if let Some(fetch) = self.fetches.get_mut(id) {
                fetch.lied(peer);
            }
        }
        self.close(peer, hash, Cancel::Not);
        self.record(now, peer, hash, Ask::No(Refusal::Lied));
        self.withdraw_from(now, peer);
        self.place(now);
    }

    /// Takes back what no fetch allows the peer to be asked for any more.
    fn withdraw_from(&mut self, now: Instant, peer: PeerId) {
        let Some(known) = self.peers.get(&peer) else {
            return;
        };
        let open: Vec<_> = known.open.values().copied().collect();
        for hash in open {
            let Some(want) = self.wants.get(&hash) else {
                continue;
            };
            if !self.may_ask(want, &peer) {
                self.close(peer, hash, Cancel::Urgent);
                self.record(now, peer, hash, Ask::No(Refusal::Lied));
            }
        }
    }

    /// Forgets the want-haves at a peer whose version has none.
    pub(super) fn drop_probes(&mut self, peer: PeerId) {
        let Some(known) = self.peers.get(&peer) else {
            return;
        };
        let open: Vec<_> = known.open.values().copied().collect();
        for hash in open {
            let kind = self.wants.get(&hash).and_then(|want| want.open(&peer)).map(|open| open.kind);
            if kind == Some(WantType::Have) {
                self.close(peer, hash, Cancel::Lazy);
                if let Some(want) = self.wants.get_mut(&hash) {
                    want.asks.remove(&peer);
                }
            }
        }
    }

    /// Notes what a peer is good for, and decides about the want anew.
    pub(super) fn record(&mut self, now: Instant, peer: PeerId, hash: Multihash, ask: Ask) {
        if let Some(want) = self.wants.get_mut(&hash) {
            want.asks.insert(peer, ask);
        }
        self.settle(now, hash);
    }

    fn answered(&mut self, now: Instant, peer: PeerId, open: &OpenAsk) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.answered(now, open);
        }
    }
}

impl Peer {
    /// An ask was answered, by whatever.
    pub(super) fn answered(&mut self, now: Instant, open: &OpenAsk) {
        self.last_answer = Some(now);
        if open.alone && open.sent && !open.is_late() {
            self.pace.answered_after(now.saturating_duration_since(open.since));
        }
    }
}

fn is_awaited_block(ask: &Ask) -> bool {
    matches!(ask, Ask::Open(open) if open.kind == WantType::Block && !open.is_late())
}

/// The reason that says most: a plain no before silence before lies.
fn why_missing(want: &Wanted) -> MissingReason {
    let said = |refusal| want.asks.values().any(|ask| matches!(ask, Ask::No(said) if *said == refusal));
    if said(Refusal::DontHave) {
        MissingReason::DontHave
    } else if said(Refusal::NoAnswer) {
        MissingReason::NoAnswer
    } else if said(Refusal::Lied) {
        MissingReason::Lied
    } else {
        MissingReason::Refused
    }
}
