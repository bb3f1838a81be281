//! One dial: its addresses, what is under way, and what failed.

use std::{collections::VecDeque, future::Future, pin::Pin, sync::Arc, time::Duration};

use bowline_identity::{Multiaddr, PeerId, address};
use bowline_transport::TransportError;
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{sync::mpsc, time::Instant};

use super::{
    Attempts,
    rank::{is_near, rank},
};
use crate::{
    AddrError, Attempt, Connection, DialError, Direction, Stage,
    establish::{self, Established},
    island::Island,
};

/// Addresses that are tried at the same time.
const MAX_CONCURRENT: usize = 8;

/// Addresses that one dial looks at in all.
const MAX_ADDRESSES: usize = 100;

/// A dial of one peer, or of one address whose peer is not known.
pub(super) struct Plan {
    island: Arc<Island>,
    expected: Option<PeerId>,
    seen: Vec<Multiaddr>,
    queue: VecDeque<Multiaddr>,
    running: FuturesUnordered<BoxFuture<'static, Step>>,
    dialing: usize,
    /// When the next address is tried beside those under way.
    next_at: Instant,
    brought: mpsc::Receiver<Multiaddr>,
    attempts: Attempts,
}

/// What one piece of work came to.
enum Step {
    Resolved(Multiaddr, Result<Vec<Multiaddr>, AddrError>),
    Dialed(Multiaddr, Box<Result<Established, AddrError>>),
}

impl Plan {
    pub(super) fn new(
        island: Arc<Island>,
        expected: Option<PeerId>,
        addrs: Vec<Multiaddr>,
        brought: mpsc::Receiver<Multiaddr>,
        attempts: Attempts,
    ) -> Self {
        let mut plan = Self {
            island,
            expected,
            seen: Vec::new(),
            queue: VecDeque::new(),
            running: FuturesUnordered::new(),
            dialing: 0,
            next_at: Instant::now(),
            brought,
            attempts,
        };
        plan.add(addrs);
        plan
    }

    /// Dials until one address has led to the peer or all have failed.
    pub(super) async fn run(mut self) -> Result<Connection, DialError> {
        loop {
            self.start_due();
            if self.running.is_empty() && self.queue.is_empty() {
                return self.failed();
            }
            let waiting = !self.queue.is_empty() && self.dialing < MAX_CONCURRENT;
            tokio::select! {
                biased;
                Some(step) = self.running.next() => {
                    if let Some(outcome) = self.finish(step) {
                        return outcome;
                    }
                }
                Some(addr) = self.brought.recv() => self.add(vec![addr]),
                () = tokio::time::sleep_until(self.next_at), if waiting => {}
            }
        }
    }

    /// Takes addresses in: names are resolved first, the rest is queued in order of rank.
    fn add(&mut self, addrs: Vec<Multiaddr>) {
        let mut fresh = Vec::new();
        for addr in addrs {
            let (addr, owner) = address::split_peer_id(&addr);
            if let (Some(expected), Some(actual)) = (self.expected, owner)
                && expected != actual
            {
                self.attempts.push(Attempt { addr, error: AddrError::OtherPeer { expected, actual } });
                continue;
            }
            if self.seen.contains(&addr) || self.seen.len() >= MAX_ADDRESSES {
                continue;
            }
            self.seen.push(addr.clone());
            if has_name(&addr) {
                self.resolve(addr);
            } else {
                fresh.push(addr);
            }
        }
        let waiting = self.queue.drain(..).chain(fresh).collect::<Vec<_>>();
        self.queue = rank(waiting).into();
    }

    fn resolve(&mut self, addr: Multiaddr) {
        let Some(transport) = self.island.transport_for(&addr) else {
            let error = AddrError::Transport { stage: Stage::Resolve, source: TransportError::Unsupported };
            self.attempts.push(Attempt { addr, error });
            return;
        };
        let after = self.island.config.address_timeout;
        self.running.push(Box::pin(async move {
            let resolved = within(after, Stage::Resolve, transport.resolve(&addr)).await;
            Step::Resolved(addr, resolved)
        }));
    }

    /// Begins every address whose turn it is.
    fn start_due(&mut self) {
        while self.dialing < MAX_CONCURRENT && (self.dialing == 0 || Instant::now() >= self.next_at) {
            let Some(addr) = self.queue.pop_front() else {
                return;
            };
            let config = &self.island.config;
            let stagger = if is_near(&addr) { config.private_dial_stagger } else { config.dial_stagger };
            self.next_at = Instant::now() + stagger;
            self.dialing += 1;
            let dial = dial(Arc::clone(&self.island), addr.clone(), self.expected);
            self.running.push(Box::pin(async move { Step::Dialed(addr, Box::new(dial.await)) }));
        }
    }

    /// Takes in what a piece of work came to; gives the outcome when it decides the dial.
    fn finish(&mut self, step: Step) -> Option<Result<Connection, DialError>> {
        match step {
            Step::Resolved(_, Ok(addrs)) => self.add(addrs),
            Step::Resolved(addr, Err(error)) => self.attempts.push(Attempt { addr, error }),
            Step::Dialed(addr, result) => {
                self.dialing -= 1;
                match *result {
                    Ok(established) => return Some(self.won(established)),
                    Err(error) => {
                        self.attempts.push(Attempt { addr, error });
                        // A failure makes room for the next address at once.
                        self.next_at = Instant::now();
                    }
                }
            }
        }
        None
    }

    fn won(&self, established: Established) -> Result<Connection, DialError> {
        if established.peer == self.island.local_peer {
            return Err(DialError::SelfDial);
        }
        establish::register(&self.island, established, Direction::Outbound)
            .map_err(|limit| DialError::Limit { limit })
    }

    fn failed(&self) -> Result<Connection, DialError> {
        // The peer may have dialed us meanwhile.
        if let Some(entry) = self.expected.and_then(|peer| self.island.connections.best(peer)) {
            return Ok(Connection { entry });
        }
        Err(DialError::All { attempts: self.attempts.take() })
    }
}

/// Dials one address and upgrades the link, within the address's time.
fn dial(
    island: Arc<Island>,
    addr: Multiaddr,
    expected: Option<PeerId>,
) -> impl Future<Output = Result<Established, AddrError>> + Send {
    let config = &island.config;
    let after = if is_near(&addr) { config.private_address_timeout } else { config.address_timeout };
    async move {
        let unsupported = AddrError::Transport { stage: Stage::Connect, source: TransportError::Unsupported };
        let transport = island.transport_for(&addr).ok_or(unsupported)?;
        let begun = Instant::now();
        let connected = within(after, Stage::Connect, transport.dial(&addr)).await?;
        let left = after.saturating_sub(begun.elapsed());
        establish::upgrade(&island, connected, Direction::Outbound, expected, left).await
    }
}

/// Runs a call on a transport within its time.
async fn within<T>(
    after: Duration,
    stage: Stage,
    call: Pin<Box<dyn Future<Output = Result<T, TransportError>> + Send + '_>>,
) -> Result<T, AddrError> {
    match tokio::time::timeout(after, call).await {
        Ok(result) => result.map_err(|source| AddrError::Transport { stage, source }),
        Err(_) => Err(AddrError::TimedOut { stage, after }),
    }
}

/// Whether an address has a name that must be resolved before it is dialed.
fn has_name(addr: &Multiaddr) -> bool {
    addr.protocol_stack().any(|name| name.starts_with("dns"))
}
