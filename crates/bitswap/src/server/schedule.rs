//! Whose turn it is.
//!
//! Deficit round robin by bytes: a peer at the front of the ring gains a quantum, reads from the store as
//! much as it has saved up, and goes to the back. A peer at its bound of outstanding bytes leaves the ring
//! until its muxer accepts something, so it costs the others nothing.
//!
//! A peer's own bound starts at a quantum and doubles with each message accepted, so one that never reads
//! holds one message. The bound of all peers together is shared by dynamic thresholds: a peer may hold a
//! quarter of what is still free, and always one block while it fits. Should stalled peers fill it all the
//! same, the stall timeout frees it.
//!
//! Sources: Shreedhar and Varghese, "Efficient Fair Queuing using Deficit Round Robin"; Choudhury and Hahne,
//! "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches".

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use bowline_block::MAX_BLOCK;
use bowline_identity::PeerId;

use super::{
    Output, Server, Token,
    ledger::WantKey,
    partner::{Flight, Loaded, Reply, Stage, hashes_to_load},
    types::MAX_OUTSTANDING_PER_PEER,
};
use crate::{Message, PresenceType, UnverifiedBlock};

/// What a peer gains per turn: one message of the default size.
const QUANTUM: u64 = 1024 * 1024;

/// The most that a peer may save up: the largest block.
const MAX_DEFICIT: u64 = MAX_BLOCK as u64;

/// A peer may hold one part in so many of what is free.
const FREE_SHARE: u64 = 4;

/// How many presences go into one message: about 200 KiB of them.
const PRESENCES_PER_MESSAGE: usize = 4096;

impl Server {
    /// What the caller is to do next; `None` when nothing is to be done until the next input.
    #[must_use]
    pub fn poll_output(&mut self, now: Instant) -> Option<Output> {
        if let Some(output) = self.streams.pop_front() {
            return Some(output);
        }
        if let Some(output) = self.poll_send(now) {
            return Some(output);
        }
        self.poll_lookup().or_else(|| self.poll_load(now))
    }

    /// Brings the queues up to date after something about a peer changed.
    pub(super) fn refresh(&mut self, peer: PeerId) {
        let max = self.peer_cap();
        let Some(partner) = self.partners.get_mut(&peer) else {
            return;
        };
        let cap = partner.window.min(max);
        if partner.reply == Reply::Closed && partner.has_answers() {
            partner.reply = Reply::Opening;
            self.streams.push_back(Output::OpenReply { peer });
        }
        let enter = |queue: &mut VecDeque<PeerId>, inside: &mut bool, enters: bool| {
            if enters && !*inside {
                *inside = true;
                queue.push_back(peer);
            }
        };
        let (ready, curious) = (partner.is_ready(), partner.is_curious());
        let sends = partner.version().is_some() && partner.ledger.has_blocks() && partner.outstanding < cap;
        enter(&mut self.ready, &mut partner.queued_in.ready, ready);
        enter(&mut self.lookups, &mut partner.queued_in.lookups, curious);
        enter(&mut self.ring, &mut partner.queued_in.ring, sends);
        if partner.deadline(self.config.stall_timeout).is_some() {
            self.timed.insert(peer);
        } else {
            self.timed.remove(&peer);
        }
    }

    fn peer_cap(&self) -> u64 {
        self.config.max_outstanding_per_peer_bytes.min(MAX_OUTSTANDING_PER_PEER)
    }

    fn poll_lookup(&mut self) -> Option<Output> {
        while let Some(peer) = self.lookups.pop_front() {
            let Some(partner) = self.partners.get_mut(&peer) else {
                continue;
            };
            partner.queued_in.lookups = false;
            let hashes = partner.ledger.take_lookup();
            if !hashes.is_empty() {
                partner.queued_in.looking = true;
                return Some(Output::Lookup { peer, hashes });
            }
        }
        None
    }

    fn poll_send(&mut self, now: Instant) -> Option<Output> {
        while let Some(peer) = self.ready.pop_front() {
            let Some(partner) = self.partners.get_mut(&peer) else {
                continue;
            };
            partner.queued_in.ready = false;
            if !partner.is_ready() {
                continue;
            }
            let output = self.presences_for(now, peer).or_else(|| self.blocks_for(now, peer));
            self.refresh(peer);
            if output.is_some() {
                return output;
            }
        }
        None
    }

    /// A message of presences alone: it is read as soon as it is there, not after a megabyte of blocks.
    fn presences_for(&mut self, now: Instant, peer: PeerId) -> Option<Output> {
        let token = self.new_token();
        let partner = self.partners.get_mut(&peer)?;
        let presences = partner.ledger.take_presences(PRESENCES_PER_MESSAGE, token);
        if presences.is_empty() {
            return None;
        }
        let of_kind = |kind| presences.iter().filter(move |p| p.kind == kind).map(|p| WantKey(p.cid));
        let keys: Vec<_> = of_kind(PresenceType::Have).collect();
        let dont_haves = of_kind(PresenceType::DontHave).collect();
        let stage = Stage::Sent { blocks: 0, haves: keys.len() as u64 };
        self.flights.insert(token, Flight { peer, stage, keys, dont_haves, bytes: 0 });
        partner.tokens.insert(token);
        self.hand_out(now, peer, token, Message { presences, ..Message::default() })
    }

    /// A message of the blocks that were read first and are still wanted.
    fn blocks_for(&mut self, now: Instant, peer: PeerId) -> Option<Output> {
        loop {
            let partner = self.partners.get_mut(&peer)?;
            let Loaded { token, mut blocks } = partner.loaded.pop_front()?;
            blocks.retain(|(key, _)| partner.ledger.sending(key, token).is_some());
            if blocks.is_empty() {
                self.close_flight(token);
                continue;
            }
            self.charge(token, &blocks);
            let message = Message {
                blocks: blocks.into_iter().map(|(key, data)| UnverifiedBlock::new(&key.0, data)).collect(),
                ..Message::default()
            };
            return self.hand_out(now, peer, token, message);
        }
    }

    /// Charges what is sent instead of what was taken from the queue: some of it may have been cancelled.
    fn charge(&mut self, token: Token, blocks: &[(WantKey, bytes::Bytes)]) {
        let Some(flight) = self.flights.get_mut(&token) else {
            return;
        };
        let Some(partner) = self.partners.get_mut(&flight.peer) else {
            return;
        };
        let bytes = blocks.iter().map(|(_, data)| data.len() as u64).sum();
        partner.outstanding = partner.outstanding.saturating_sub(flight.bytes) + bytes;
        self.outstanding = self.outstanding.saturating_sub(flight.bytes) + bytes;
        flight.bytes = bytes;
        flight.keys = blocks.iter().map(|(key, _)| *key).collect();
        flight.stage = Stage::Sent { blocks: blocks.len() as u64, haves: 0 };
    }

    fn hand_out(&mut self, now: Instant, peer: PeerId, token: Token, mut message: Message) -> Option<Output> {
        let partner = self.partners.get_mut(&peer)?;
        let version = partner.version()?;
        if partner.unconfirmed == 0 {
            partner.last_progress = now;
        }
        partner.unconfirmed += 1;
        // spec: bitswap/pending-bytes
        message.pending_bytes = u32::try_from(partner.ledger.queued_bytes()).unwrap_or(u32::MAX);
        Some(Output::Send { peer, token, version, message })
    }

    fn poll_load(&mut self, now: Instant) -> Option<Output> {
        let mut passed_over = 0;
        while self.loads < self.config.max_loads && passed_over < self.ring.len() {
            let peer = self.ring.pop_front()?;
            match self.turn(peer) {
                Turn::Leave => {}
                Turn::PassOver => {
                    passed_over += 1;
                    self.ring.push_back(peer);
                }
                Turn::Save => {
                    passed_over = 0;
                    self.ring.push_back(peer);
                }
                Turn::Load(budget) => {
                    passed_over = 0;
                    if let Some(output) = self.load(now, peer, budget) {
                        return Some(output);
                    }
                }
            }
        }
        None
    }

    /// Decides about the peer at the front of the ring.
    fn turn(&mut self, peer: PeerId) -> Turn {
        let max = self.peer_cap();
        let free = self.config.max_outstanding_bytes.saturating_sub(self.outstanding);
        let Some(partner) = self.partners.get_mut(&peer) else {
            return Turn::Leave;
        };
        let next = partner.ledger.next_size();
        let (Some(next), Some(_)) = (next, partner.version()) else {
            partner.queued_in.ring = false;
            partner.deficit = 0;
            return Turn::Leave;
        };
        let cap = partner.window.min(max);
        if partner.outstanding >= cap {
            partner.queued_in.ring = false;
            return Turn::Leave;
        }
        let mut allowance = cap.min(free / FREE_SHARE).saturating_sub(partner.outstanding);
        if next > allowance {
            if partner.outstanding > 0 || next > free {
                return Turn::PassOver;
            }
            allowance = next;
        }
        partner.deficit = (partner.deficit + QUANTUM).min(MAX_DEFICIT);
        if next > partner.deficit {
            return Turn::Save;
        }
        Turn::Load(partner.deficit.min(allowance).min(self.config.message_target_bytes))
    }

    fn load(&mut self, now: Instant, peer: PeerId, budget: u64) -> Option<Output> {
        let token = self.new_token();
        let partner = self.partners.get_mut(&peer)?;
        let taken = partner.ledger.take_blocks(budget, token);
        let bytes: u64 = taken.iter().map(|(_, size)| size).sum();
        let keys: Vec<_> = taken.into_iter().map(|(key, _)| key).collect();
        partner.deficit = partner.deficit.saturating_sub(bytes);
        if partner.ledger.has_blocks() {
            self.ring.push_back(peer);
        } else {
            partner.queued_in.ring = false;
            partner.deficit = 0;
        }
        partner.outstanding += bytes;
        partner.tokens.insert(token);
        self.outstanding += bytes;
        let hashes = hashes_to_load(&keys);
        let dont_haves = Vec::new();
        let stage = if hashes.is_empty() { Stage::Loaded } else { Stage::Loading };
        self.flights.insert(token, Flight { peer, stage, keys, dont_haves, bytes });
        if hashes.is_empty() {
            self.loaded(token, &BTreeMap::new());
            self.refresh(peer);
            return self.poll_send(now);
        }
        self.loads += 1;
        Some(Output::Load { token, hashes })
    }

    fn new_token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }
}

enum Turn {
    /// Out of the ring: nothing to send, or at its own bound.
    Leave,
    /// Stays, but has its share of the bound of all peers.
    PassOver,
    /// Stays, and has saved up for its next block.
    Save,
    /// Reads blocks of so many bytes.
    Load(u64),
}
