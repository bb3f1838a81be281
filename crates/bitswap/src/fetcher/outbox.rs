//! Making asks, closing them, and putting them into messages.

use std::time::Instant;

use bowline_block::Multihash;
use bowline_identity::PeerId;

use super::{
    Fetcher,
    peer::{Outbox, Peer},
    want::{Ask, OpenAsk},
};
use crate::{Entry, Message, Want, WantType};

/// How many wants and cancels go into one message. boxo considers the first 1,024 entries.
const ENTRIES_PER_MESSAGE: usize = 1000;

/// What a peer is told when an ask for a block is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cancel {
    /// Nothing: the peer has answered for good.
    Not,
    /// That it may forget the want, with the next message.
    Lazy,
    /// That it must not send the block, at once.
    Urgent,
}

impl Fetcher {
    /// The next wantlist for a peer, if one is due: cancels first, then wants.
    ///
    /// Handing it out counts as sending it. If it could not be written, call
    /// [`handle_stream_reset`](Self::handle_stream_reset).
    #[must_use]
    pub fn poll_wants(&mut self, now: Instant, peer: PeerId) -> Option<Message> {
        let known = self.peers.get_mut(&peer)?;
        known.version?;
        if !known.outbox.is_due() {
            return None;
        }
        if known.outbox.full || known.slots.wants_full(known.outbox.wants.len()) {
            known.queue_all_open();
            known.outbox.full = true;
        }
        let full = std::mem::take(&mut known.outbox.full);
        let mut wantlist = known.outbox.take_cancels(full);
        let cancels = wantlist.len();
        self.stats.cancels_sent += cancels as u64;
        while wantlist.len() < ENTRIES_PER_MESSAGE {
            let Some(known) = self.peers.get_mut(&peer) else {
                break;
            };
            let Some((_, hash)) = known.outbox.wants.pop_first() else {
                break;
            };
            wantlist.extend(self.sent(now, peer, hash).map(Entry::Want));
        }
        if let Some(known) = self.peers.get_mut(&peer) {
            known.slots.sent(wantlist.len() - cancels, full);
        }
        if wantlist.is_empty() && !full {
            return None;
        }
        self.stats.messages_sent += 1;
        Some(Message { wantlist, full, ..Message::default() })
    }

    /// Turns a queued ask into a line of a wantlist and starts its clock.
    fn sent(&mut self, now: Instant, peer: PeerId, hash: Multihash) -> Option<Want> {
        let config = self.config;
        let known = self.peers.get_mut(&peer)?;
        let want = self.wants.get_mut(&hash)?;
        let (cid, priority) = (want.cid, priority(want.order));
        let open = want.open_mut(&peer)?;
        open.sent = true;
        open.since = now;
        self.timers.remove(&(open.deadline, hash, peer));
        if !open.is_late() {
            open.deadline = now + known.pace.timeout(known.outstanding, &config);
        }
        self.timers.insert((open.deadline, hash, peer));
        match open.kind {
            WantType::Block => self.stats.wants_sent += 1,
            WantType::Have => self.stats.want_haves_sent += 1,
        }
        let send_dont_have = known.can_probe();
        Some(Want { cid, priority, kind: open.kind, send_dont_have })
    }

    /// Asks a peer for a block or for word of it.
    pub(super) fn ask(&mut self, now: Instant, peer: PeerId, hash: Multihash, kind: WantType) {
        let expected = self.block_size;
        let Some(want) = self.wants.get_mut(&hash) else {
            return;
        };
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        let order = self.next_order;
        self.next_order += 1;
        let bytes = match kind {
            WantType::Block => want.size.unwrap_or(expected),
            WantType::Have => 0,
        };
        let alone = known.open.is_empty();
        known.outstanding += bytes;
        known.open.insert(order, hash);
        known.outbox.wants.insert(order, hash);
        // The peer may still have the want from before: wanting it again beats the cancel.
        known.outbox.cancels.remove(&hash);
        let deadline = now + known.pace.timeout(known.outstanding, &self.config);
        self.timers.insert((deadline, hash, peer));
        let open = OpenAsk { kind, order, bytes, since: now, deadline, sent: false, attempts: 0, alone };
        want.asks.insert(peer, Ask::Open(open));
    }

    /// Takes an ask back, if one is open. The record in the want is the caller's to replace.
    pub(super) fn close(&mut self, peer: PeerId, hash: Multihash, cancel: Cancel) {
        let Some(want) = self.wants.get(&hash) else { return };
        let (Some(open), cid) = (want.open(&peer).copied(), want.cid) else {
            return;
        };
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        self.timers.remove(&(open.deadline, hash, peer));
        known.open.remove(&open.order);
        known.outbox.wants.remove(&open.order);
        known.outstanding = known.outstanding.saturating_sub(open.bytes);
        if open.sent && cancel != Cancel::Not {
            known.outbox.cancels.insert(hash, cid);
            known.outbox.urgent |= cancel == Cancel::Urgent;
        }
    }

    /// Queues everything that is open at a peer once more.
    pub(super) fn resend_open(&mut self, now: Instant, peer: PeerId) {
        let config = self.config;
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        known.queue_all_open();
        let timeout = known.pace.timeout(known.outstanding, &config);
        for hash in known.open.values() {
            let Some(open) = self.wants.get_mut(hash).and_then(|want| want.open_mut(&peer)) else {
                continue;
            };
            self.stats.resends += u64::from(open.sent);
            open.since = now;
            self.timers.remove(&(open.deadline, *hash, peer));
            if !open.is_late() {
                open.deadline = now + timeout;
            }
            self.timers.insert((open.deadline, *hash, peer));
        }
    }
}

impl Peer {
    /// Puts all open asks back into the outbox.
    fn queue_all_open(&mut self) {
        self.outbox.wants.extend(self.open.iter().map(|(order, hash)| (*order, *hash)));
    }
}

impl Outbox {
    /// The cancels for the next message. A full list cancels all that it does not name.
    fn take_cancels(&mut self, full: bool) -> Vec<Entry> {
        if full {
            self.cancels.clear();
        }
        let mut cancels = Vec::new();
        while cancels.len() < ENTRIES_PER_MESSAGE
            && let Some((_, cid)) = self.cancels.pop_first()
        {
            cancels.push(Entry::Cancel(cid));
        }
        self.urgent &= !self.cancels.is_empty();
        cancels
    }
}

/// Earlier wants first, counting down from the highest priority as all implementations do.
fn priority(order: u64) -> i32 {
    i32::try_from(order).map_or(1, |order| i32::MAX - order.min(i32::MAX - 1))
}
