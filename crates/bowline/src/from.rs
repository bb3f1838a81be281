//! Getting content from peers at given addresses.
//!
//! ```text
//!  addr ── connect ── until closed ─┐        first connected: the work begins
//!  addr ── connect ── until closed ─┼─ race ─┤ further ones join it; one that was late is asked what was missing
//!  addr ── connect ── fails ────────┘        └ all gone: over as soon as a block is needed that did not come
//! ```

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bowline_bitswap::Sources;
use bowline_block::Cid;
use bowline_exchange::files;
use bowline_identity::{Multiaddr, PeerId, address};
use bowline_swarm::Host;
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{GetError, Lost};

/// The peers at some addresses, as they come and go.
struct Peers<'a> {
    host: &'a Host,
    /// Those that are known by id, connected or not.
    known: Mutex<BTreeSet<PeerId>>,
    /// Addresses whose dial has not ended.
    dialing: AtomicUsize,
    /// How many have been connected.
    connected: AtomicUsize,
    changed: Notify,
}

impl<'a> Peers<'a> {
    fn new(host: &'a Host, from: &[Multiaddr]) -> Self {
        Self {
            host,
            known: Mutex::new(from.iter().filter_map(address::peer_id).collect()),
            dialing: AtomicUsize::new(from.len()),
            connected: AtomicUsize::new(0),
            changed: Notify::new(),
        }
    }

    /// Connects to every address, and waits until all have failed or gone.
    async fn all_lost(&self, from: Vec<Multiaddr>) -> Vec<(Multiaddr, Lost)> {
        from.into_iter().map(|addr| self.stay(addr)).collect::<FuturesUnordered<_>>().collect().await
    }

    /// Connects to an address and waits until the connection has ended.
    async fn stay(&self, addr: Multiaddr) -> (Multiaddr, Lost) {
        let connection = self.host.connect(&addr).await;
        if let Ok(connection) = &connection {
            self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(connection.peer());
            self.connected.fetch_add(1, Ordering::Relaxed);
        }
        self.dialing.fetch_sub(1, Ordering::Relaxed);
        self.changed.notify_waiters();
        let lost = match connection {
            Ok(connection) => Lost::Closed(connection.closed().await),
            Err(error) => Lost::Dial(error),
        };
        (addr, lost)
    }

    fn sources(&self) -> Sources {
        Sources::Only(self.known.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Waits until more than `connected` peers have been connected, or nobody is being dialed; says whether the first.
    async fn more_than(&self, connected: usize) -> bool {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.connected.load(Ordering::Relaxed) > connected {
                return true;
            }
            if self.dialing.load(Ordering::Relaxed) == 0 {
                return false;
            }
            changed.await;
        }
    }
}

/// Does `work` with the peers at `from` as sources, and again with those that came later when a block was missing.
///
/// The token is cancelled when all peers are gone: the work goes on with what had arrived, until it lacks a block.
pub(crate) async fn with_peers<T, W: Future<Output = Result<T, files::GetError>>>(
    host: &Host,
    cid: Cid,
    from: Vec<Multiaddr>,
    work: impl Fn(Sources, CancellationToken) -> W,
) -> Result<T, GetError> {
    let (peers, gone) = (Peers::new(host, &from), CancellationToken::new());
    let work = async {
        let mut tried = 0;
        loop {
            if !peers.more_than(tried).await {
                // Nobody to ask: the other future knows why.
                return std::future::pending().await;
            }
            tried = peers.connected.load(Ordering::Relaxed);
            match work(peers.sources(), gone.clone()).await {
                Err(files::GetError::Missing { .. }) if peers.more_than(tried).await => {}
                done => return done,
            }
        }
    };
    tokio::pin!(work);
    let lost = tokio::select! {
        biased;
        done = &mut work => return done.map_err(GetError::from),
        lost = peers.all_lost(from) => lost,
    };
    if peers.connected.load(Ordering::Relaxed) == 0 {
        return Err(GetError::NoPeers { cid, lost });
    }
    gone.cancel();
    match work.await {
        Err(files::GetError::Missing { .. } | files::GetError::TimedOut { .. }) => {
            Err(GetError::NoPeers { cid, lost })
        }
        done => Ok(done?),
    }
}
