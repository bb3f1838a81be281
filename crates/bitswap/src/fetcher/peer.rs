//! One peer that blocks are fetched from.

use std::{collections::BTreeMap, time::Instant};

use bowline_block::{Cid, Multihash};

use super::{FetchedPeer, FetcherConfig, MAX_WANTS_PER_PEER, pace::Pace};
use crate::Version;

/// How many wants a server may have seen since it last saw a full list before its silence is taken for a
/// list that fills up: beetswap keeps 1,024 and frees none of them otherwise.
const SUSPICIOUS_WANTS: usize = 900;

/// How many cancels for wants that a peer has refused anyway are saved up before they are sent alone.
const LAZY_CANCELS: usize = 64;

#[derive(Debug)]
pub(crate) struct Peer {
    /// The version of its want stream; `None` when it does not speak Bitswap.
    pub(crate) version: Option<Version>,
    pub(crate) outbox: Outbox,
    /// Open asks in the order in which they were made.
    pub(crate) open: BTreeMap<u64, Multihash>,
    /// Bytes of the blocks among them.
    pub(crate) outstanding: u64,
    pub(crate) pace: Pace,
    /// When it last answered something that it was asked.
    pub(crate) last_answer: Option<Instant>,
    /// The latest ask that it has answered by a block. Presences do not count: servers send them first.
    pub(crate) newest_block: u64,
    /// DONT_HAVE in a row.
    pub(crate) misses: u32,
    pub(crate) slots: Slots,
    pub(crate) stats: FetchedPeer,
}

/// What is to be said to a peer.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Asks that are not sent, by their order.
    pub(crate) wants: BTreeMap<u64, Multihash>,
    pub(crate) cancels: BTreeMap<Multihash, Cid>,
    /// Whether a cancel must not wait for the next want.
    pub(crate) urgent: bool,
    /// Whether the next message is a full list of all that is open.
    pub(crate) full: bool,
}

/// A guess at how full the peer's list of our wants is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slots {
    used: usize,
    /// A full list was sent because of silence.
    tried_full: bool,
    /// The full list brought the peer back: it frees its list in no other way.
    leaky: bool,
}

impl Peer {
    pub(crate) fn new(version: Option<Version>, config: &FetcherConfig) -> Self {
        Self {
            version,
            outbox: Outbox::default(),
            open: BTreeMap::new(),
            outstanding: 0,
            pace: Pace::new(config),
            last_answer: None,
            newest_block: 0,
            misses: 0,
            slots: Slots::default(),
            stats: FetchedPeer::default(),
        }
    }

    /// Whether the peer's version can carry the block in a way that we can verify.
    pub(crate) fn can_serve(&self, cid: &Cid) -> bool {
        const SHA2_256: u64 = 0x12;
        match self.version {
            Some(version) if version.has_prefixes() => true,
            // spec: bitswap/v100-cidv1 — bare blocks are taken for SHA2-256.
            Some(_) => cid.hash().code() == SHA2_256 && cid.hash().size() == 32,
            None => false,
        }
    }

    pub(crate) fn can_probe(&self) -> bool {
        self.version.is_some_and(Version::has_presences)
    }

    /// Whether one more want may be open.
    pub(crate) fn has_slot(&self, config: &FetcherConfig) -> bool {
        if self.version.is_none() {
            return false;
        }
        // A full list repeats what is open, and what is repeated may come twice: let it drain first.
        if self.slots.wants_full(self.outbox.wants.len() + 1) && self.outbox.wants.len() < self.open.len() {
            return false;
        }
        self.open.len() < config.max_wants_per_peer.clamp(1, MAX_WANTS_PER_PEER)
    }

    /// Whether a block of this size may be asked for now.
    pub(crate) fn has_room(&self, bytes: u64, config: &FetcherConfig) -> bool {
        self.has_slot(config)
            && (self.outstanding == 0 || self.outstanding.saturating_add(bytes) <= self.pace.window())
    }

    /// When a block of this size would be here, in microseconds; worse for a peer that keeps lacking things.
    pub(crate) fn cost(&self, bytes: u64) -> u128 {
        let expected = self.pace.expected(self.outstanding.saturating_add(bytes));
        expected.as_micros() * (1 + u128::from(self.misses.min(16)))
    }

    pub(crate) fn stats(&self) -> FetchedPeer {
        FetchedPeer {
            open_wants: self.open.len(),
            outstanding_bytes: self.outstanding,
            round_trip: self.pace.round_trip(),
            goodput: self.pace.goodput(),
            ..self.stats
        }
    }
}

impl Outbox {
    /// Whether a message is due.
    pub(crate) fn is_due(&self) -> bool {
        !self.wants.is_empty() || self.urgent || self.full || self.cancels.len() >= LAZY_CANCELS
    }
}

impl Slots {
    /// Whether `more` wants would make a full list advisable.
    pub(crate) fn wants_full(&self, more: usize) -> bool {
        self.leaky && self.used + more > SUSPICIOUS_WANTS
    }

    /// The peer is silent. Says whether its list may be full, once per full list.
    pub(crate) fn suspect(&mut self) -> bool {
        if self.used < SUSPICIOUS_WANTS {
            return false;
        }
        self.tried_full = true;
        true
    }

    pub(crate) fn sent(&mut self, wants: usize, full: bool) {
        self.used = if full { wants } else { self.used + wants };
    }

    /// The peer delivers.
    pub(crate) fn delivered(&mut self) {
        self.leaky |= self.tried_full;
        self.tried_full = false;
    }
}
