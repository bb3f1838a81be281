//! One fetch, as whoever needs blocks sees it.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use bowline_bitswap::{FetchId, FetchStats, FetchedPeer, MissingReason, Refusal, Sources};
use bowline_block::{Cid, VerifiedBlock};
use bowline_identity::PeerId;
use tokio::sync::Notify;

use super::{Exchange, now};

/// What a fetch has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchEvent {
    /// A wanted block is there.
    Block {
        /// The block, under the CID by which it was wanted.
        block: VerifiedBlock,
        /// Who sent it; `None` for a block that its CID alone names.
        peer: Option<PeerId>,
    },
    /// No peer is left that could supply the block.
    Missing {
        /// The CID by which it was wanted.
        cid: Cid,
        /// What the last hope failed on.
        reason: MissingReason,
        /// What each peer said, or failed to.
        answers: Vec<(PeerId, Refusal)>,
    },
    /// There is no peer to ask; wants wait for one.
    Stalled,
}

/// Events that wait for the owner of a fetch. Their number is bounded by that of its wants.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    events: Mutex<VecDeque<FetchEvent>>,
    arrived: Notify,
}

impl Mailbox {
    pub(super) fn put(&self, event: FetchEvent) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
        self.arrived.notify_one();
    }

    fn take(&self) -> Option<FetchEvent> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// A set of wants that belong together. Dropping it gives up what is still wanted.
pub struct Fetch {
    exchange: Exchange,
    id: FetchId,
    mailbox: Arc<Mailbox>,
}

impl Fetch {
    pub(super) fn start(exchange: Exchange, sources: Sources) -> Self {
        let mailbox = Arc::<Mailbox>::default();
        let (id, actions) = exchange.core.decide(|machines| {
            let peers: Vec<_> = match &sources {
                Sources::Any => machines.connected.iter().copied().collect(),
                Sources::Only(peers) => peers.iter().copied().collect(),
            };
            let id = machines.fetcher.start(now(), sources);
            machines.mailboxes.insert(id, Arc::clone(&mailbox));
            let actions: Vec<_> = peers.into_iter().filter_map(|peer| machines.open_wants(peer)).collect();
            (id, actions)
        });
        actions.into_iter().for_each(|action| exchange.core.act(action));
        Self { exchange, id, mailbox }
    }

    /// Wants a block; `size` is its length in bytes where the link to it tells. One [`FetchEvent::Block`] or
    /// [`FetchEvent::Missing`] follows.
    pub fn want(&self, cid: Cid, size: Option<u64>) {
        self.want_all([(cid, size)]);
    }

    /// Wants several blocks, in order of importance.
    pub fn want_all(&self, cids: impl IntoIterator<Item = (Cid, Option<u64>)>) {
        self.exchange.core.decide(|machines| {
            for (cid, size) in cids {
                match size {
                    Some(size) => machines.fetcher.want_with_size(now(), self.id, cid, size),
                    None => machines.fetcher.want(now(), self.id, cid),
                }
            }
        });
    }

    /// Gives a want up.
    pub fn cancel(&self, cid: &Cid) {
        self.exchange.core.decide(|machines| machines.fetcher.cancel(now(), self.id, cid));
    }

    /// Lets a fetch of [`Sources::Only`] ask one more peer.
    pub fn add_source(&self, peer: PeerId) {
        let action = self.exchange.core.decide(|machines| {
            machines.fetcher.add_source(now(), self.id, peer);
            machines.open_wants(peer)
        });
        action.into_iter().for_each(|action| self.exchange.core.act(action));
    }

    /// Stops hoping for a peer.
    pub fn remove_source(&self, peer: &PeerId) {
        self.exchange.core.decide(|machines| machines.fetcher.remove_source(now(), self.id, peer));
    }

    /// Waits for the next event.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a dropped future loses no event.
    pub async fn next(&mut self) -> FetchEvent {
        loop {
            let arrived = self.mailbox.arrived.notified();
            if let Some(event) = self.mailbox.take() {
                return event;
            }
            arrived.await;
        }
    }

    /// Takes an event that is there already.
    #[must_use]
    pub fn try_next(&mut self) -> Option<FetchEvent> {
        self.mailbox.take()
    }

    /// What the fetch has got so far.
    #[must_use]
    pub fn stats(&self) -> FetchStats {
        self.exchange.core.lock().fetcher.fetch(self.id).unwrap_or_default()
    }

    /// What is known of a peer as a source of blocks.
    #[must_use]
    pub fn peer(&self, peer: &PeerId) -> Option<FetchedPeer> {
        self.exchange.core.lock().fetcher.peer(peer)
    }

    /// The exchange that carries the fetch.
    #[must_use]
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.exchange.core.decide(|machines| {
            machines.mailboxes.remove(&self.id);
            machines.fetcher.end(now(), self.id);
        });
    }
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch").field("id", &self.id).finish_non_exhaustive()
    }
}
