//! One fetch, and the memory of what was fetched.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Instant,
};

use bowline_block::{Cid, Multihash};
use bowline_identity::PeerId;

use super::{FetchStats, Sources};

/// How many blocks are remembered as wanted once. Beyond it a very late duplicate counts as unwanted.
const REMEMBERED: usize = 16 * 1024;

#[derive(Debug)]
pub(crate) struct Fetch {
    pub(crate) sources: Sources,
    /// Wrong blocks by peer.
    lies: BTreeMap<PeerId, u32>,
    /// What it wants; a CID per form.
    pub(crate) wants: BTreeSet<Cid>,
    pub(crate) last_progress: Instant,
    /// Whether the caller knows that there is no peer to ask.
    pub(crate) stalled: bool,
    pub(crate) stats: FetchStats,
}

impl Fetch {
    pub(crate) fn new(now: Instant, sources: Sources) -> Self {
        Self {
            sources,
            lies: BTreeMap::new(),
            wants: BTreeSet::new(),
            last_progress: now,
            stalled: false,
            stats: FetchStats::default(),
        }
    }

    /// Whether the peer is one of its sources, honest or not.
    pub(crate) fn has_source(&self, peer: &PeerId) -> bool {
        match &self.sources {
            Sources::Any => true,
            Sources::Only(peers) => peers.contains(peer),
        }
    }

    /// Whether the peer may be asked.
    pub(crate) fn allows(&self, peer: &PeerId, max_lies: u32) -> bool {
        self.has_source(peer) && self.lies.get(peer).is_none_or(|lies| *lies < max_lies)
    }

    /// Counts a wrong block. A peer that reconnects is remembered for as long as the fetch lasts.
    pub(crate) fn lied(&mut self, peer: PeerId) {
        let lies = self.lies.entry(peer).or_default();
        *lies = lies.saturating_add(1);
    }
}

/// The blocks that were wanted last: what arrives for them is a duplicate, not a lie.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    known: BTreeSet<Multihash>,
    order: VecDeque<Multihash>,
}

impl Recent {
    pub(crate) fn insert(&mut self, hash: Multihash) {
        if !self.known.insert(hash) {
            return;
        }
        self.order.push_back(hash);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    pub(crate) fn contains(&self, hash: &Multihash) -> bool {
        self.known.contains(hash)
    }
}
