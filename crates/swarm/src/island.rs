//! What all tasks of one host share.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use bowline_connection::{Tap, UpgradeConfig};
use bowline_identify::Records;
use bowline_identity::{Keypair, Multiaddr, PeerId};
use bowline_transport::Transport;
use tokio::sync::{Semaphore, broadcast, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Config, Event, Kind,
    dial::Dials,
    peers::{AddressBook, Connections},
    protocols::Protocols,
};

/// Makes the observer of one connection; see [`Builder::tap`](crate::Builder::tap).
pub(crate) type TapFactory = Box<dyn Fn(&Multiaddr) -> Option<Box<dyn Tap>> + Send + Sync>;

/// The state of one host, shared by its handles and its tasks.
pub(crate) struct Island {
    pub(crate) config: Config,
    pub(crate) keypair: Keypair,
    pub(crate) local_peer: PeerId,
    pub(crate) upgrade: UpgradeConfig,
    pub(crate) transports: Vec<Arc<dyn Transport>>,
    pub(crate) protocols: Arc<Protocols>,
    pub(crate) connections: Connections,
    pub(crate) addresses: AddressBook,
    pub(crate) dials: Dials,
    pub(crate) listen_addrs: watch::Sender<Vec<Multiaddr>>,
    pub(crate) records: Mutex<Records>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) tasks: TaskTracker,
    /// Set when listeners and services stop and nothing new begins.
    pub(crate) closing: CancellationToken,
    /// Set when everything stops at once.
    pub(crate) stop: CancellationToken,
    pub(crate) application_streams: watch::Sender<usize>,
    pub(crate) inbound_upgrades: Arc<Semaphore>,
    pub(crate) tap: Option<TapFactory>,
    pub(crate) seeds: Seeds,
}

impl Island {
    /// Tells an event to whoever listens.
    pub(crate) fn emit(&self, event: Event) {
        // Nobody listening is no failure.
        let _receivers = self.events.send(event);
    }

    /// Runs `task` until it ends or the host stops at once.
    pub(crate) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }

    /// The transport that can dial `addr`.
    pub(crate) fn transport_for(&self, addr: &Multiaddr) -> Option<Arc<dyn Transport>> {
        self.transports.iter().find(|transport| transport.can_dial(addr)).cloned()
    }

    /// Counts a stream for as long as the permit lives.
    pub(crate) fn stream_permit(self: &Arc<Self>, kind: Kind) -> StreamPermit {
        if kind == Kind::Application {
            self.application_streams.send_modify(|count| *count += 1);
        }
        StreamPermit { counted: Arc::new(Counted { island: Arc::clone(self), kind }) }
    }
}

impl fmt::Debug for Island {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Island").field("local_peer", &self.local_peer).finish_non_exhaustive()
    }
}

/// Counts one stream; a clone goes with the task that sees it to its end.
#[derive(Clone)]
pub(crate) struct StreamPermit {
    counted: Arc<Counted>,
}

struct Counted {
    island: Arc<Island>,
    kind: Kind,
}

impl StreamPermit {
    /// Runs the rest of a stream's life after its handle is gone.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let permit = self.clone();
        self.counted.island.spawn(async move {
            task.await;
            drop(permit);
        });
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.kind == Kind::Application {
            self.island.application_streams.send_modify(|count| *count -= 1);
        }
    }
}

/// A source of handshake seeds, expanded from one seed so that a host can be replayed.
pub(crate) struct Seeds {
    seed: [u8; 32],
    replayed: bool,
    drawn: AtomicU64,
    connection_ids: AtomicU64,
}

impl Seeds {
    /// Draws every seed from the operating system.
    pub(crate) fn from_system() -> Self {
        Self { seed: [0; 32], replayed: false, drawn: AtomicU64::new(0), connection_ids: AtomicU64::new(0) }
    }

    /// Derives every seed from `seed`, for tests that replay.
    pub(crate) fn replayed(seed: [u8; 32]) -> Self {
        Self { seed, replayed: true, ..Self::from_system() }
    }

    pub(crate) fn next(&self) -> [u8; 32] {
        if !self.replayed {
            return bowline_identity::entropy::seed();
        }
        let count = self.drawn.fetch_add(1, Ordering::Relaxed);
        bowline_noise::derive_seed(&self.seed, count)
    }

    pub(crate) fn next_connection_id(&self) -> u64 {
        self.connection_ids.fetch_add(1, Ordering::Relaxed) + 1
    }
}
