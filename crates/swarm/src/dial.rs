//! Dials: one per peer however many callers wait, every address in turn, the first success wins.
//!
//! ```text
//!  connect ─┐                       ┌─ resolve names
//!  connect ─┼─ join ─> one Plan ────┼─ rank; next address after a stagger, or at once on failure
//!  open    ─┘   (ends with the      └─ first upgraded link wins, the rest is dropped
//!               last waiter)
//! ```

mod plan;
mod rank;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bowline_identity::{Multiaddr, PeerId, address};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use tokio::sync::mpsc;

use crate::{Attempt, Connection, DialError, error::MAX_ATTEMPTS, island::Island};
use plan::Plan;

/// Addresses that joiners bring to a running dial and that it has not looked at yet.
const MAX_BROUGHT: usize = 64;

/// Whom to connect to, and where.
///
/// It is made from a peer id (its known addresses are used), from an address (with or without `/p2p`), or from a
/// peer id with addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub(crate) peer: Option<PeerId>,
    pub(crate) addrs: Vec<Multiaddr>,
}

impl From<PeerId> for Target {
    fn from(peer: PeerId) -> Self {
        Self { peer: Some(peer), addrs: Vec::new() }
    }
}

impl From<Multiaddr> for Target {
    fn from(addr: Multiaddr) -> Self {
        Self { peer: address::peer_id(&addr), addrs: vec![addr] }
    }
}

impl From<&Multiaddr> for Target {
    fn from(addr: &Multiaddr) -> Self {
        Self::from(addr.clone())
    }
}

impl From<(PeerId, Vec<Multiaddr>)> for Target {
    fn from((peer, addrs): (PeerId, Vec<Multiaddr>)) -> Self {
        Self { peer: Some(peer), addrs }
    }
}

/// How to connect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectOptions {
    /// The time for the whole dial; `None` takes [`Config::dial_timeout`](crate::Config::dial_timeout).
    pub timeout: Option<Duration>,
    /// Dial even when a connection to the peer is open.
    pub force_new: bool,
    /// Dial the addresses that were given and no others that are known of the peer. A dial to the peer that is
    /// running already is joined all the same.
    pub only_given: bool,
}

/// The dials that are running, by peer.
#[derive(Default)]
pub(crate) struct Dials {
    active: Mutex<BTreeMap<PeerId, Active>>,
}

type Outcome = Result<Connection, DialError>;

/// A running dial. It ends with its last waiter, since only waiters hold it strongly.
struct Active {
    outcome: WeakShared<BoxFuture<'static, Outcome>>,
    brought: mpsc::Sender<Multiaddr>,
    attempts: Attempts,
}

/// What a waiter holds of a running dial.
struct Joined {
    outcome: Shared<BoxFuture<'static, Outcome>>,
    attempts: Attempts,
}

/// The failures of a dial so far, readable by waiters whose time is up.
#[derive(Clone, Default)]
pub(crate) struct Attempts {
    list: Arc<Mutex<Vec<Attempt>>>,
}

impl Attempts {
    fn push(&self, attempt: Attempt) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if list.len() < MAX_ATTEMPTS {
            list.push(attempt);
        }
    }

    fn take(&self) -> Vec<Attempt> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Dials {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PeerId, Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the dial to `peer` that is running, or begins one.
    fn join(&self, island: &Arc<Island>, peer: PeerId, addrs: Vec<Multiaddr>) -> Joined {
        let mut active = self.lock();
        if let Some(running) = active.get(&peer)
            && let Some(outcome) = running.outcome.upgrade()
            && outcome.peek().is_none()
        {
            for addr in addrs {
                // A full queue holds more addresses than a dial should try.
                let _full = running.brought.try_send(addr);
            }
            return Joined { outcome, attempts: running.attempts.clone() };
        }
        let attempts = Attempts::default();
        let (brought, receiver) = mpsc::channel(MAX_BROUGHT);
        let plan = Plan::new(Arc::clone(island), Some(peer), addrs, receiver, attempts.clone());
        let outcome = plan.run().boxed().shared();
        active.retain(|_, dial| dial.outcome.upgrade().is_some());
        if let Some(weak) = outcome.downgrade() {
            active.insert(peer, Active { outcome: weak, brought, attempts: attempts.clone() });
        }
        Joined { outcome, attempts }
    }
}

/// Connects to `target`, or gives the connection that is open.
pub(crate) async fn connect(island: &Arc<Island>, target: Target, options: &ConnectOptions) -> Outcome {
    if island.closing.is_cancelled() {
        return Err(DialError::Shutdown);
    }
    if target.peer == Some(island.local_peer) {
        return Err(DialError::SelfDial);
    }
    if let Some(peer) = target.peer {
        island.addresses.add(peer, target.addrs.iter().cloned());
        if let Some(entry) = island.connections.best(peer).filter(|_| !options.force_new) {
            return Ok(Connection { entry });
        }
    }
    let timeout = options.timeout.unwrap_or(island.config.dial_timeout);
    let (outcome, attempts) = begin(island, target, options)?;
    match tokio::time::timeout(timeout, island.closing.run_until_cancelled(outcome)).await {
        Ok(Some(outcome)) => outcome,
        Ok(None) => Err(DialError::Shutdown),
        Err(_) => Err(DialError::TimedOut { after: timeout, attempts: attempts.take() }),
    }
}

fn begin(
    island: &Arc<Island>,
    target: Target,
    options: &ConnectOptions,
) -> Result<(BoxFuture<'static, Outcome>, Attempts), DialError> {
    let Some(peer) = target.peer else {
        // Without a peer id there is nobody to join; whoever answers is the peer.
        let attempts = Attempts::default();
        let (_, receiver) = mpsc::channel(1);
        let plan = Plan::new(Arc::clone(island), None, target.addrs, receiver, attempts.clone());
        return Ok((plan.run().boxed(), attempts));
    };
    let mut addrs = target.addrs;
    let known = if options.only_given { Vec::new() } else { island.addresses.of(peer) };
    for known in known {
        if !addrs.iter().any(|addr| address::split_peer_id(addr).0 == known) {
            addrs.push(known);
        }
    }
    if addrs.is_empty() {
        return Err(DialError::NoAddresses { peer });
    }
    let joined = island.dials.join(island, peer, addrs);
    Ok((joined.outcome.boxed(), joined.attempts))
}
