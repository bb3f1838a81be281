//! Who is connected, and where peers can be reached.

use std::{
    collections::BTreeMap,
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bowline_identify::Info;
use bowline_identity::{Multiaddr, PeerId, address};
use bowline_transport::{CloseReason, ConnectionStats, MuxedConnection};
use tokio::sync::watch;

use crate::{Direction, IdentifyError};

/// Addresses that are kept for one peer; the newest replace the oldest.
pub const MAX_ADDRESSES_PER_PEER: usize = 32;

/// Peers whose addresses are kept; above it, addresses of further peers are not learned from others.
pub const MAX_PEERS: usize = 10_000;

/// Names a connection within its host; later connections have larger ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// How a connection's identify exchange stands.
pub(crate) type Identified = Option<Result<Arc<Info>, IdentifyError>>;

/// One connection in the table.
pub(crate) struct Entry {
    pub(crate) id: ConnectionId,
    pub(crate) peer: PeerId,
    pub(crate) direction: Direction,
    pub(crate) local_addr: Multiaddr,
    pub(crate) remote_addr: Multiaddr,
    pub(crate) opened_at: Instant,
    pub(crate) muxed: Arc<dyn MuxedConnection>,
    pub(crate) identified: watch::Sender<Identified>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("id", &self.id).field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// A connection, as a handle that does not keep it open.
#[derive(Clone, Debug)]
pub struct Connection {
    pub(crate) entry: Arc<Entry>,
}

impl Connection {
    /// The connection's id.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.entry.id
    }

    /// The verified peer.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.entry.peer
    }

    /// Who dialed.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.entry.direction
    }

    /// Our end, as the transport sees it.
    #[must_use]
    pub fn local_addr(&self) -> &Multiaddr {
        &self.entry.local_addr
    }

    /// The peer's end, as the transport sees it.
    #[must_use]
    pub fn remote_addr(&self) -> &Multiaddr {
        &self.entry.remote_addr
    }

    /// How long the connection has been up.
    #[must_use]
    pub fn age(&self) -> Duration {
        crate::clock::now().saturating_duration_since(self.entry.opened_at)
    }

    /// The smallest round-trip time seen lately, when one was measured.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.stats().rtt
    }

    /// Numbers about the connection, as of now.
    #[must_use]
    pub fn stats(&self) -> ConnectionStats {
        self.entry.muxed.stats()
    }

    /// What the peer told about itself, if it has.
    #[must_use]
    pub fn info(&self) -> Option<Arc<Info>> {
        self.entry.identified.borrow().as_ref().and_then(|result| result.as_ref().ok().cloned())
    }

    /// Waits until the connection has ended, and says why.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn closed(&self) -> CloseReason {
        poll_fn(|cx| self.entry.muxed.poll_closed(cx)).await
    }

    /// Why the connection takes no more streams, if it does not: it has ended, or one side said that it will.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.entry.muxed.close_reason()
    }

    /// Ends the connection and all of its streams; the peer is told `code`.
    pub fn close(&self, code: u32) {
        self.entry.muxed.close(code);
    }
}

/// The table of connections.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    by_peer: BTreeMap<PeerId, Vec<Arc<Entry>>>,
    total: usize,
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection unless `limit` is reached.
    pub(crate) fn insert(&self, entry: Arc<Entry>, limit: usize) -> bool {
        let mut table = self.lock();
        if table.total >= limit {
            return false;
        }
        table.total += 1;
        table.by_peer.entry(entry.peer).or_default().push(entry);
        true
    }

    /// Removes a connection and says how many remain to its peer.
    pub(crate) fn remove(&self, entry: &Entry) -> usize {
        let mut table = self.lock();
        let Some(entries) = table.by_peer.get_mut(&entry.peer) else {
            return 0;
        };
        let before = entries.len();
        entries.retain(|other| other.id != entry.id);
        let (removed, remaining) = (before - entries.len(), entries.len());
        if entries.is_empty() {
            table.by_peer.remove(&entry.peer);
        }
        table.total -= removed;
        remaining
    }

    /// The newest connection to `peer` that has not ended.
    pub(crate) fn best(&self, peer: PeerId) -> Option<Arc<Entry>> {
        let table = self.lock();
        let entries = table.by_peer.get(&peer)?;
        entries.iter().rev().find(|entry| entry.muxed.close_reason().is_none()).cloned()
    }

    pub(crate) fn find(&self, peer: PeerId, id: ConnectionId) -> Option<Arc<Entry>> {
        let table = self.lock();
        table.by_peer.get(&peer)?.iter().find(|entry| entry.id == id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Entry>> {
        self.lock().by_peer.values().flatten().cloned().collect()
    }
}

/// Where peers can be reached, as far as the host was told.
#[derive(Debug, Default)]
pub(crate) struct AddressBook {
    book: Mutex<BTreeMap<PeerId, Vec<Multiaddr>>>,
}

impl AddressBook {
    /// Adds addresses of `peer`. A `/p2p` suffix is cut off; an address of another peer is left out.
    pub(crate) fn add(&self, peer: PeerId, addrs: impl IntoIterator<Item = Multiaddr>) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        if book.len() >= MAX_PEERS && !book.contains_key(&peer) {
            return;
        }
        let known = book.entry(peer).or_default();
        for addr in addrs {
            let (addr, owner) = address::split_peer_id(&addr);
            if owner.is_some_and(|owner| owner != peer) || addr.is_empty() {
                continue;
            }
            known.retain(|other| *other != addr);
            known.push(addr);
        }
        let excess = known.len().saturating_sub(MAX_ADDRESSES_PER_PEER);
        known.drain(..excess);
    }

    pub(crate) fn of(&self, peer: PeerId) -> Vec<Multiaddr> {
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.get(&peer).cloned().unwrap_or_default()
    }
}
