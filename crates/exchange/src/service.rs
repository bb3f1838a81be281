//! Bitswap on a host.
//!
//! The two machines stand behind one lock, which is held for decisions only. Whatever a decision asks for —
//! a stream, a store call, a message — is done by a task outside of the lock, which reports back:
//!
//! ```text
//!   decide(|machines| …) ── lock, drain outputs, unlock ──> act: wake, spawn, deliver
//! ```

mod fetch;
mod inbound;
mod reply;
mod wants;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use bowline_bitswap::{
    self as bitswap, Fetcher, FetcherConfig, Message, Output, Server, ServerConfig, Token, Version,
};
use bowline_block::{Multihash, VerifiedBlock};
use bowline_blockstore::BlockStore;
use bowline_identity::PeerId;
use bowline_swarm::{AcceptError, Event, Host, Incoming, Kind, ProtocolId};
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::OffLoad;
use fetch::Mailbox;
pub use fetch::{Fetch, FetchEvent};

/// Settings of an [`Exchange`]. Every combination is valid.
#[derive(Clone, Debug, Default)]
pub struct ExchangeConfig {
    /// How to fetch.
    pub fetcher: FetcherConfig,
    /// How to serve.
    pub server: ServerConfig,
    /// Where hashing and store calls run.
    pub off_load: OffLoad,
}

/// What an exchange has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExchangeStats {
    /// As a client.
    pub fetcher: bitswap::FetcherStats,
    /// As a server.
    pub server: bitswap::ServerStats,
}

/// Bitswap on one host: it serves the blocks of a store and fetches blocks for whoever asks.
///
/// A cheap handle; clones are the same exchange. It stops with its last clone or with the host.
#[derive(Clone)]
pub struct Exchange {
    core: Arc<Core>,
    _stop: Arc<StopOnDrop>,
}

struct StopOnDrop(CancellationToken);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// What the tasks of one exchange share.
struct Core {
    host: Host,
    store: Arc<dyn BlockStore>,
    off_load: OffLoad,
    /// Tasks are spawned on it also from threads that are none of its own, such as those that store an add's blocks.
    runtime: Handle,
    machines: Mutex<Machines>,
    /// Wakes the task that watches the deadlines.
    clock: Notify,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// The two machines and the routes of what they give out.
struct Machines {
    server: Server,
    fetcher: Fetcher,
    mailboxes: BTreeMap<bitswap::FetchId, Arc<Mailbox>>,
    /// Peers with a connection.
    connected: BTreeSet<PeerId>,
    /// Peers whose want stream is open or being opened, with what wakes its task.
    want_streams: BTreeMap<PeerId, Arc<Notify>>,
    /// Peers that refused every version.
    refused: BTreeSet<PeerId>,
    /// Peers whose reply stream is open or being opened.
    replies: BTreeMap<PeerId, Reply>,
}

/// The way to the task that writes a reply stream.
struct Reply {
    queue: mpsc::Sender<(Token, Version, Message)>,
    cancel: CancellationToken,
}

/// What is to be done after a decision, outside of the lock.
enum Action {
    Lookup { peer: PeerId, hashes: Vec<Multihash> },
    Load { token: Token, hashes: Vec<Multihash> },
    OpenReply { peer: PeerId, queue: mpsc::Receiver<(Token, Version, Message)>, cancel: CancellationToken },
    OpenWants { peer: PeerId, due: Arc<Notify> },
}

/// Messages that wait for one reply stream's task; the server keeps at most eight outstanding.
const REPLY_QUEUE: usize = 8;

impl Exchange {
    /// Starts Bitswap on `host`, serving `store`.
    ///
    /// # Errors
    ///
    /// When something on the host serves Bitswap already.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn start(
        host: &Host,
        store: Arc<dyn BlockStore>,
        config: ExchangeConfig,
    ) -> Result<Self, AcceptError> {
        let mut incoming = Vec::new();
        for version in Version::ALL {
            let protocol = ProtocolId::from_static(version.protocol());
            incoming.push((version, host.accept_as(protocol, Kind::Service)?));
        }
        let events = host.events();
        let machines = Machines {
            server: Server::new(config.server),
            fetcher: Fetcher::new(config.fetcher),
            mailboxes: BTreeMap::new(),
            connected: BTreeSet::new(),
            want_streams: BTreeMap::new(),
            refused: BTreeSet::new(),
            replies: BTreeMap::new(),
        };
        let core = Arc::new(Core {
            host: host.clone(),
            store,
            off_load: config.off_load,
            runtime: Handle::current(),
            machines: Mutex::new(machines),
            clock: Notify::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        for (version, incoming) in incoming {
            core.spawn(accept(Arc::clone(&core), version, incoming));
        }
        core.spawn(watch_peers(Arc::clone(&core), events));
        core.spawn(watch_clock(Arc::clone(&core)));
        let stop = Arc::new(StopOnDrop(core.stop.clone()));
        Ok(Self { core, _stop: stop })
    }

    /// The host that carries the exchange.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.core.host
    }

    /// The store that is served.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn BlockStore> {
        &self.core.store
    }

    /// Where hashing and store calls run.
    #[must_use]
    pub fn off_load(&self) -> OffLoad {
        self.core.off_load
    }

    /// Begins a fetch from `sources`, which should be connected, or be being connected.
    #[must_use]
    pub fn fetch(&self, sources: bitswap::Sources) -> Fetch {
        Fetch::start(self.clone(), sources)
    }

    /// Tells that blocks came into the store by another way than a fetch: peers that wait for them are served.
    ///
    /// Call it after the blocks can be read, from any thread.
    pub fn announce(&self, blocks: &[VerifiedBlock]) {
        // The clock that the machines are told the time by is the runtime's.
        let _entered = self.core.runtime.enter();
        let sizes: Vec<_> = blocks.iter().map(|block| (*block.hash(), block.len() as u64)).collect();
        self.core.decide(|machines| machines.server.handle_new_blocks(&sizes));
    }

    /// Stops, and waits until no task of it holds the host or the store any more.
    ///
    /// Fetches that are running come to nothing. A second call finds nothing to do.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: it stops all the same.
    pub async fn shutdown(&self) {
        self.core.stop.cancel();
        self.core.tasks.close();
        self.core.tasks.wait().await;
    }

    /// What has been done so far.
    #[must_use]
    pub fn stats(&self) -> ExchangeStats {
        let machines = self.core.lock();
        ExchangeStats { fetcher: machines.fetcher.stats(), server: machines.server.stats() }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("host", &self.core.host.peer_id()).finish_non_exhaustive()
    }
}

/// The time now, by tokio's clock.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Core {
    fn lock(&self) -> MutexGuard<'_, Machines> {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `task` until it ends or the exchange stops.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        let task = async move {
            stop.run_until_cancelled(task).await;
        };
        self.tasks.spawn_on(task, &self.runtime);
    }

    /// Lets the machines decide something, then does what they ask for.
    fn decide<T>(self: &Arc<Self>, decide: impl FnOnce(&mut Machines) -> T) -> T {
        let mut machines = self.lock();
        let before = machines.deadline();
        let result = decide(&mut machines);
        let actions = machines.drain(now());
        let earlier = machines.deadline() != before;
        drop(machines);
        if earlier {
            self.clock.notify_one();
        }
        for action in actions {
            self.act(action);
        }
        result
    }

    fn act(self: &Arc<Self>, action: Action) {
        let core = Arc::clone(self);
        match action {
            Action::Lookup { peer, hashes } => self.spawn(look_up(core, peer, hashes)),
            Action::Load { token, hashes } => self.spawn(load(core, token, hashes)),
            Action::OpenReply { peer, queue, cancel } => self.spawn(reply::write(core, peer, queue, cancel)),
            Action::OpenWants { peer, due } => self.spawn(wants::write(core, peer, due)),
        }
    }
}

impl Machines {
    fn deadline(&self) -> Option<Instant> {
        [self.server.poll_timeout(), self.fetcher.poll_timeout()].into_iter().flatten().min()
    }

    /// Takes everything that the machines give out and sorts it by what it needs.
    fn drain(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        while let Some(event) = self.fetcher.poll_event() {
            self.deliver(event);
        }
        while let Some(output) = self.server.poll_output(now) {
            actions.extend(self.route(now, output));
        }
        let due: Vec<_> = self.fetcher.ready_peers().collect();
        for peer in due {
            if let Some(stream) = self.want_streams.get(&peer) {
                stream.notify_one();
            } else if self.connected.contains(&peer) {
                actions.extend(self.open_wants(peer));
            }
        }
        actions
    }

    /// Does what the server asks for, or says what is to be done outside of the lock.
    fn route(&mut self, now: Instant, output: Output) -> Option<Action> {
        match output {
            Output::Lookup { peer, hashes } => return Some(Action::Lookup { peer, hashes }),
            Output::Load { token, hashes } => return Some(Action::Load { token, hashes }),
            Output::OpenReply { peer } => {
                let (sender, queue) = mpsc::channel(REPLY_QUEUE);
                let cancel = CancellationToken::new();
                let reply = Reply { queue: sender, cancel: cancel.clone() };
                if let Some(previous) = self.replies.insert(peer, reply) {
                    previous.cancel.cancel();
                }
                return Some(Action::OpenReply { peer, queue, cancel });
            }
            Output::ResetReply { peer } => {
                if let Some(reply) = self.replies.remove(&peer) {
                    reply.cancel.cancel();
                }
            }
            Output::Send { peer, token, version, message } => {
                let queue = self.replies.get(&peer).map(|reply| &reply.queue);
                let queued = queue.is_some_and(|queue| queue.try_send((token, version, message)).is_ok());
                if !queued {
                    self.server.handle_reply_failed(now, peer);
                }
            }
        }
        None
    }

    /// Begins to open the want stream to a peer, unless one is there or the peer refused.
    fn open_wants(&mut self, peer: PeerId) -> Option<Action> {
        if !self.connected.contains(&peer)
            || self.refused.contains(&peer)
            || self.want_streams.contains_key(&peer)
        {
            return None;
        }
        let due = Arc::new(Notify::new());
        self.want_streams.insert(peer, Arc::clone(&due));
        Some(Action::OpenWants { peer, due })
    }

    /// Puts an event into the mailboxes of the fetches that it concerns.
    fn deliver(&mut self, event: bitswap::Event) {
        match event {
            bitswap::Event::Block { fetches, block, peer } => {
                for mailbox in fetches.iter().filter_map(|fetch| self.mailboxes.get(fetch)) {
                    mailbox.put(FetchEvent::Block { block: block.clone(), peer });
                }
            }
            bitswap::Event::Missing { fetches, cid, reason, answers } => {
                for mailbox in fetches.iter().filter_map(|fetch| self.mailboxes.get(fetch)) {
                    mailbox.put(FetchEvent::Missing { cid, reason, answers: answers.clone() });
                }
            }
            bitswap::Event::Stalled { fetch } => {
                if let Some(mailbox) = self.mailboxes.get(&fetch) {
                    mailbox.put(FetchEvent::Stalled);
                }
            }
        }
    }
}

/// Takes the streams that peers open to send us messages.
async fn accept(core: Arc<Core>, version: Version, mut incoming: Incoming) {
    while let Some(stream) = incoming.next().await {
        core.spawn(inbound::read(Arc::clone(&core), version, stream));
    }
}

/// Tells the machines who comes and goes.
async fn watch_peers(core: Arc<Core>, mut events: bowline_swarm::Events) {
    for connection in core.host.connections() {
        core.connected(connection.peer());
    }
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Connected { peer, .. }) => core.connected(peer),
            Ok(Event::Disconnected { peer, remaining: 0, .. }) => core.disconnected(peer),
            Ok(_) => {}
            Err(_) => core.resync(),
        }
    }
    core.stop.cancel();
}

impl Core {
    fn connected(self: &Arc<Self>, peer: PeerId) {
        let action = self.decide(|machines| {
            machines.connected.insert(peer);
            machines.server.handle_connected(now(), peer);
            // Whoever fetches may ask the newcomer.
            if machines.mailboxes.is_empty() { None } else { machines.open_wants(peer) }
        });
        action.into_iter().for_each(|action| self.act(action));
    }

    fn disconnected(self: &Arc<Self>, peer: PeerId) {
        self.decide(|machines| {
            machines.connected.remove(&peer);
            machines.refused.remove(&peer);
            machines.want_streams.remove(&peer);
            if let Some(reply) = machines.replies.remove(&peer) {
                reply.cancel.cancel();
            }
            machines.server.handle_disconnected(peer);
            machines.fetcher.handle_disconnected(now(), peer);
        });
    }

    /// Compares with how things stand, after events were missed.
    fn resync(self: &Arc<Self>) {
        let present: BTreeSet<_> =
            self.host.connections().iter().map(bowline_swarm::Connection::peer).collect();
        let known = self.lock().connected.clone();
        for gone in known.difference(&present) {
            self.disconnected(*gone);
        }
        for new in present.difference(&known) {
            self.connected(*new);
        }
    }
}

/// Lets time pass for the machines.
async fn watch_clock(core: Arc<Core>) {
    loop {
        let deadline = core.lock().deadline();
        let due = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = core.clock.notified() => {}
            () = due => core.decide(|machines| {
                machines.server.handle_timeout(now());
                machines.fetcher.handle_timeout(now());
            }),
        }
    }
}

/// Asks the store which blocks it has.
async fn look_up(core: Arc<Core>, peer: PeerId, hashes: Vec<Multihash>) {
    let store = Arc::clone(&core.store);
    let results = core.off_load.run(move || {
        let size = |hash: &Multihash| match store.size(hash) {
            Ok(size) => size.map(|size| size as u64),
            Err(error) => {
                tracing::warn!(%error, "the store cannot be asked");
                None
            }
        };
        hashes.into_iter().map(|hash| (hash, size(&hash))).collect::<Vec<_>>()
    });
    let results = results.await;
    core.decide(|machines| machines.server.handle_lookup(peer, &results));
}

/// Reads blocks whose turn has come.
async fn load(core: Arc<Core>, token: Token, hashes: Vec<Multihash>) {
    let store = Arc::clone(&core.store);
    let blocks = core.off_load.run(move || {
        let read = |hash: &Multihash| match store.get(hash) {
            Ok(data) => data,
            Err(error) => {
                tracing::warn!(%error, "a block cannot be read");
                None
            }
        };
        hashes.into_iter().map(|hash| (hash, read(&hash))).collect::<Vec<_>>()
    });
    let blocks = blocks.await;
    core.decide(|machines| machines.server.handle_loaded(token, blocks));
}
