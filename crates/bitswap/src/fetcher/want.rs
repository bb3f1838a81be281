//! One wanted block, and how far it has come at each peer.
//!
//! ```text
//!            ┌── want-have ──> Open(Have) ──HAVE──> Holder ──┐
//!  unasked ──┤                     │                          │ want-block
//!            └── want-block ───────┼──> Open(Block) <─────────┘
//!                                  v        │
//!                                 No <──────┘ DONT_HAVE, silence, a wrong block
//! ```

use std::{collections::BTreeMap, time::Instant};

use bowline_block::Cid;
use bowline_identity::PeerId;

use super::{FetchId, Refusal};
use crate::WantType;

#[derive(Debug)]
pub(crate) struct Wanted {
    /// The CID to ask for: every form has the same multihash, so the first will do.
    pub(crate) cid: Cid,
    /// The order in which blocks were wanted: earlier ones are fetched first.
    pub(crate) order: u64,
    /// The length of the block in bytes, where a link told it.
    pub(crate) size: Option<u64>,
    /// Who wants it, and under which CID.
    pub(crate) subscribers: Vec<(FetchId, Cid)>,
    pub(crate) asks: BTreeMap<PeerId, Ask>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask {
    /// Asked, and not answered yet.
    Open(OpenAsk),
    /// Said HAVE and was not asked for the block.
    Holder,
    /// Of no use for this block.
    No(Refusal),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenAsk {
    pub(crate) kind: WantType,
    /// The place among all asks, to tell whether a later one was answered first.
    pub(crate) order: u64,
    /// The bytes charged to the peer.
    pub(crate) bytes: u64,
    /// When it was made, or last sent.
    pub(crate) since: Instant,
    pub(crate) deadline: Instant,
    pub(crate) sent: bool,
    /// How often the deadline passed.
    pub(crate) attempts: u32,
    /// Whether nothing else was open at the peer, so that the answer tells the round trip.
    pub(crate) alone: bool,
}

impl OpenAsk {
    /// Whether the peer has let the deadline pass: others may be asked.
    pub(crate) fn is_late(&self) -> bool {
        self.attempts > 0
    }
}

impl Wanted {
    pub(crate) fn open(&self, peer: &PeerId) -> Option<&OpenAsk> {
        match self.asks.get(peer)? {
            Ask::Open(open) => Some(open),
            Ask::Holder | Ask::No(_) => None,
        }
    }

    pub(crate) fn open_mut(&mut self, peer: &PeerId) -> Option<&mut OpenAsk> {
        match self.asks.get_mut(peer)? {
            Ask::Open(open) => Some(open),
            Ask::Holder | Ask::No(_) => None,
        }
    }

    /// Whether some peer owes an answer and still has time.
    pub(crate) fn is_awaited(&self) -> bool {
        self.asks.values().any(|ask| matches!(ask, Ask::Open(open) if !open.is_late()))
    }

    /// The fetches that want the block, by the CID under which they do.
    pub(crate) fn by_cid(&self) -> Vec<(Cid, Vec<FetchId>)> {
        let mut groups: Vec<(Cid, Vec<FetchId>)> = Vec::new();
        for (fetch, cid) in &self.subscribers {
            match groups.iter_mut().find(|(known, _)| known == cid) {
                Some((_, fetches)) => fetches.push(*fetch),
                None => groups.push((*cid, vec![*fetch])),
            }
        }
        groups
    }
}
