//! The handle that applications hold.

use std::{sync::Arc, time::Duration};

use bowline_connection::{Tap, UpgradeConfig};
use bowline_identify::Info;
use bowline_identity::{Keypair, Multiaddr, PeerId};
use bowline_multistream::ProtocolId;
use bowline_perf::Report;
use bowline_transport::Transport;
use bowline_yamux::code;
use tokio::{
    sync::{Semaphore, broadcast, watch},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    AcceptError, Config, ConnectOptions, Connection, DialError, Events, IdentifyError, Incoming, Kind,
    ListenError, OpenError, OpenOptions, PerfError, PingError, Pinger, Stream, Target,
    dial::{self, Dials},
    event,
    island::{Island, Seeds, TapFactory},
    listen,
    outbound::{self, Protocols},
    peers::{AddressBook, Connections},
    protocols, services,
};

/// How long connections may take to say farewell in a shutdown, beyond the grace for streams.
const FAREWELL: Duration = Duration::from_secs(2);

/// A node of the network: it listens, dials, and speaks protocols.
///
/// A host is a cheap handle; clones are the same host. It owns its tasks, so there is nothing to poll. When the
/// last clone is dropped everything stops at once; [`shutdown`](Self::shutdown) stops in good order.
#[derive(Clone, Debug)]
pub struct Host {
    island: Arc<Island>,
    /// The last clone stops the host.
    _stop: Arc<StopOnDrop>,
}

#[derive(Debug)]
struct StopOnDrop {
    stop: CancellationToken,
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What is set before a host starts.
pub struct Builder {
    keypair: Keypair,
    config: Config,
    listen: Vec<Multiaddr>,
    transports: Option<Vec<Arc<dyn Transport>>>,
    tap: Option<TapFactory>,
    seed: Option<[u8; 32]>,
}

/// Why a host did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A protocol of the host itself is registered twice.
    #[error(transparent)]
    Protocol(#[from] AcceptError),
}

/// What a shutdown came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Application streams that had not ended when the grace was over, and were cut.
    pub streams_cut: usize,
    /// Connections that were closed.
    pub connections_closed: usize,
    /// Whether every task of the host has ended.
    pub complete: bool,
}

impl Builder {
    /// Sets what is configurable by numbers and texts.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Adds an address to listen on; port 0 takes a free one.
    #[must_use]
    pub fn listen(mut self, addr: Multiaddr) -> Self {
        self.listen.push(addr);
        self
    }

    /// Replaces the transports. The default is TCP.
    #[must_use]
    pub fn transports(mut self, transports: Vec<Arc<dyn Transport>>) -> Self {
        self.transports = Some(transports);
        self
    }

    /// Observes connections: `make` is asked once for each, with the peer's address.
    #[must_use]
    pub fn tap(mut self, make: impl Fn(&Multiaddr) -> Option<Box<dyn Tap>> + Send + Sync + 'static) -> Self {
        self.tap = Some(Box::new(make));
        self
    }

    /// Derives all randomness of handshakes from `seed`, so that a test can be replayed. **Never** for real use:
    /// whoever knows the seed reads everything.
    #[must_use]
    pub fn replay_seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Starts the host on the tokio runtime of the caller.
    ///
    /// # Errors
    ///
    /// When one of the addresses cannot be listened on; nothing is left running then.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn start(self) -> Result<Host, StartError> {
        let transports =
            self.transports.unwrap_or_else(|| vec![Arc::new(bowline_tcp::TcpTransport::default())]);
        let seeds = self.seed.map_or_else(Seeds::from_system, Seeds::replayed);
        let noise = bowline_noise::Identity::new(&self.keypair, seeds.next());
        let upgrade = UpgradeConfig { yamux: self.config.yamux.clone(), ..UpgradeConfig::new(noise) };
        let island = Arc::new(Island {
            local_peer: self.keypair.peer_id(),
            keypair: self.keypair,
            upgrade,
            transports,
            protocols: Arc::new(protocols::Protocols::new()),
            connections: Connections::default(),
            addresses: AddressBook::default(),
            dials: Dials::default(),
            listen_addrs: watch::Sender::new(Vec::new()),
            records: std::sync::Mutex::default(),
            events: broadcast::Sender::new(event::CAPACITY),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            stop: CancellationToken::new(),
            application_streams: watch::Sender::new(0),
            inbound_upgrades: Arc::new(Semaphore::new(self.config.max_inbound_upgrades)),
            tap: self.tap,
            seeds,
            config: self.config,
        });
        let stop = Arc::new(StopOnDrop { stop: island.stop.clone() });
        let host = Host { island, _stop: stop };
        services::start(&host.island)?;
        for addr in self.listen {
            host.listen(addr).await?;
        }
        Ok(host)
    }
}

impl Host {
    /// Begins to build a host with the identity of `keypair`.
    #[must_use]
    pub fn builder(keypair: Keypair) -> Builder {
        let config = Config::default();
        Builder { keypair, config, listen: Vec::new(), transports: None, tap: None, seed: None }
    }

    /// The id of this host.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.island.local_peer
    }

    /// Begins to listen on `addr`, and gives the real addresses, without `/p2p`.
    ///
    /// # Errors
    ///
    /// When no transport listens on such addresses, or the operating system refuses.
    pub async fn listen(&self, addr: Multiaddr) -> Result<Vec<Multiaddr>, ListenError> {
        listen::listen(&self.island, addr).await
    }

    /// The addresses that the host listens on now, as a value to watch.
    #[must_use]
    pub fn listen_addrs(&self) -> watch::Receiver<Vec<Multiaddr>> {
        self.island.listen_addrs.subscribe()
    }

    /// Connects to `target`, or gives the connection that is open. Callers share one dial per peer.
    ///
    /// # Errors
    ///
    /// [`DialError`] with one cause per address.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: the dial ends with its last caller, and a dropped future leaves nothing behind.
    pub async fn connect(&self, target: impl Into<Target>) -> Result<Connection, DialError> {
        self.connect_with(target, &ConnectOptions::default()).await
    }

    /// Connects as [`connect`](Self::connect), with options.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_with(
        &self,
        target: impl Into<Target>,
        options: &ConnectOptions,
    ) -> Result<Connection, DialError> {
        dial::connect(&self.island, target.into(), options).await
    }

    /// Opens a stream to `peer`, dialing its known addresses when it is not connected.
    ///
    /// With one protocol the stream is usable at once, before the peer has agreed: see [`Stream`]. With several,
    /// the first that the peer speaks is taken.
    ///
    /// # Errors
    ///
    /// When the peer cannot be reached, refuses every protocol, or is too slow.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a dropped future leaves no half-open stream.
    pub async fn open_stream<P>(&self, peer: PeerId, protocols: P) -> Result<Stream, OpenError>
    where
        P: Into<Protocols>,
    {
        self.open_stream_with(peer, protocols, &OpenOptions::default()).await
    }

    /// Opens a stream as [`open_stream`](Self::open_stream), with options.
    ///
    /// # Errors
    ///
    /// As [`open_stream`](Self::open_stream).
    ///
    /// # Cancel safety
    ///
    /// As [`open_stream`](Self::open_stream).
    pub async fn open_stream_with<P>(
        &self,
        peer: PeerId,
        protocols: P,
        options: &OpenOptions,
    ) -> Result<Stream, OpenError>
    where
        P: Into<Protocols>,
    {
        outbound::open(&self.island, peer, protocols.into().0, options).await
    }

    /// Serves `protocol` as an application: shutdown waits for its streams. Dropping the result ends it.
    ///
    /// # Errors
    ///
    /// When the protocol is served already.
    pub fn accept(&self, protocol: ProtocolId) -> Result<Incoming, AcceptError> {
        self.accept_as(protocol, Kind::Application)
    }

    /// Serves `protocol` as `kind`.
    ///
    /// # Errors
    ///
    /// When the protocol is served already.
    pub fn accept_as(&self, protocol: ProtocolId, kind: Kind) -> Result<Incoming, AcceptError> {
        self.island.protocols.register(protocol, kind)
    }

    /// The events from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(self.island.events.subscribe())
    }

    /// The connections that are open now.
    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        self.island.connections.all().into_iter().map(|entry| Connection { entry }).collect()
    }

    /// The newest open connection to `peer`.
    #[must_use]
    pub fn connection(&self, peer: PeerId) -> Option<Connection> {
        self.island.connections.best(peer).map(|entry| Connection { entry })
    }

    /// Tells where `peer` can be reached.
    pub fn add_addresses(&self, peer: PeerId, addrs: impl IntoIterator<Item = Multiaddr>) {
        self.island.addresses.add(peer, addrs);
    }

    /// Where `peer` can be reached, as far as is known.
    #[must_use]
    pub fn addresses(&self, peer: PeerId) -> Vec<Multiaddr> {
        self.island.addresses.of(peer)
    }

    /// What a connected peer tells about itself; waits for the exchange that every connection begins with.
    ///
    /// # Errors
    ///
    /// When the peer is not connected, or did not answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn identify(&self, peer: PeerId) -> Result<Arc<Info>, IdentifyError> {
        let connection = self.connection(peer).ok_or(IdentifyError::NotConnected { peer })?;
        let mut identified = connection.entry.identified.subscribe();
        let outcome = tokio::select! {
            outcome = identified.wait_for(Option::is_some) => outcome.ok().and_then(|outcome| outcome.clone()),
            _ = connection.closed() => None,
        };
        outcome.unwrap_or(Err(IdentifyError::NotConnected { peer }))
    }

    /// Opens a stream for measuring round trips to `peer`.
    ///
    /// # Errors
    ///
    /// As [`open_stream`](Self::open_stream).
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn pinger(&self, peer: PeerId) -> Result<Pinger, PingError> {
        let options = OpenOptions { kind: Some(Kind::Service), ..OpenOptions::default() };
        let protocol = ProtocolId::from_static(bowline_ping::PROTOCOL);
        let stream = self.open_stream_with(peer, protocol, &options).await?;
        Ok(Pinger::new(stream, self.island.seeds.next()))
    }

    /// Measures one round trip to `peer`.
    ///
    /// # Errors
    ///
    /// When the peer cannot be reached, does not serve ping, or is late.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn ping(&self, peer: PeerId) -> Result<Duration, PingError> {
        let mut pinger = self.pinger(peer).await?;
        let rtt = pinger.ping().await?;
        pinger.finish().await;
        Ok(rtt)
    }

    /// Sends `upload` bytes to `peer` and fetches `download` bytes, by the perf protocol.
    ///
    /// # Errors
    ///
    /// When the peer cannot be reached or does not serve perf.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a dropped future resets the transfer.
    pub async fn perf(&self, peer: PeerId, upload: u64, download: u64) -> Result<Report, PerfError> {
        let stream = self.open_stream(peer, ProtocolId::from_static(bowline_perf::PROTOCOL)).await?;
        services::perf::measure(stream, upload, download).await
    }

    /// Stops in good order: listeners close, application streams get `grace` to end, connections say farewell.
    ///
    /// When it returns, the ports are free. A second call finds nothing to do.
    ///
    /// # Cancel safety
    ///
    /// Not cancel-safe: a dropped future leaves the host half stopped; dropping the host stops the rest.
    pub async fn shutdown(&self, grace: Duration) -> ShutdownReport {
        let island = &self.island;
        let deadline = Instant::now() + grace;
        island.closing.cancel();
        let mut streams = island.application_streams.subscribe();
        let ended = timeout_at(deadline, streams.wait_for(|count| *count == 0)).await.is_ok();
        let streams_cut = if ended { 0 } else { *island.application_streams.borrow() };
        self.flushed(deadline).await;
        let connections = island.connections.all();
        for entry in &connections {
            entry.muxed.close(code::connection::SHUTDOWN);
        }
        let gone = futures_util::future::join_all(
            connections.iter().map(|entry| async { Connection { entry: Arc::clone(entry) }.closed().await }),
        );
        // Whoever does not take the farewell in time is cut off below.
        let _farewells = timeout(FAREWELL, gone).await;
        island.stop.cancel();
        island.tasks.close();
        let complete = timeout(FAREWELL, island.tasks.wait()).await.is_ok();
        ShutdownReport { streams_cut, connections_closed: connections.len(), complete }
    }

    /// Waits until the connections have sent what finished streams left, or the deadline.
    async fn flushed(&self, deadline: Instant) {
        let empty =
            || self.island.connections.all().iter().all(|entry| entry.muxed.stats().bytes_queued == 0);
        while !empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
