//! Listening sockets and the accept loop that survives.

mod backoff;

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use bowline_identity::Multiaddr;
use bowline_transport::{BoxFuture, Connected, Listener, TransportError};
use socket2::SockRef;
use tokio::{
    net,
    time::{Instant, sleep_until},
};

use crate::{TcpOptions, address, connected, socket};
use backoff::{Backoff, Verdict};

/// The addresses that the listeners of one transport are bound to.
pub(crate) type ListenAddrs = Arc<Mutex<BTreeSet<SocketAddr>>>;

/// One listening socket.
#[derive(Debug)]
pub(crate) struct TcpListener {
    socket: net::TcpListener,
    local: SocketAddr,
    options: TcpOptions,
    listening: ListenAddrs,
    backoff: Backoff,
    /// No accept before this: kept here so that a dropped `accept` future does not cut the wait short.
    paused_until: Option<Instant>,
}

impl TcpListener {
    /// Listens on `addr`. Must be called on a tokio runtime.
    pub(crate) fn bind(
        addr: SocketAddr,
        options: &TcpOptions,
        listening: ListenAddrs,
    ) -> Result<Self, TransportError> {
        let socket = socket::listen(options, addr)?;
        let local = socket.local_addr()?;
        listening.lock().unwrap_or_else(PoisonError::into_inner).insert(local);
        let options = options.clone();
        Ok(Self { socket, local, options, listening, backoff: Backoff::default(), paused_until: None })
    }

    async fn accept_one(&mut self) -> Result<Connected, TransportError> {
        loop {
            if let Some(until) = self.paused_until {
                sleep_until(until).await;
                self.paused_until = None;
            }
            match self.socket.accept().await.and_then(|accepted| self.prepare(accepted)) {
                Ok(connected) => {
                    self.backoff.succeeded();
                    return Ok(connected);
                }
                Err(error) => self.handle_error(error)?,
            }
        }
    }

    fn prepare(&self, accepted: (net::TcpStream, SocketAddr)) -> io::Result<Connected> {
        let (stream, remote) = accepted;
        let configured = socket::configure(&SockRef::from(&stream), &self.options);
        // A connection that was aborted before it was accepted refuses options; it is over, not the listener.
        configured
            .and_then(|()| connected(stream, remote, &self.options))
            .map_err(|error| io::Error::new(io::ErrorKind::ConnectionAborted, error))
    }

    fn handle_error(&mut self, error: io::Error) -> Result<(), TransportError> {
        let now = Instant::now();
        match self.backoff.failed(error.kind(), now) {
            Verdict::Again => {}
            Verdict::Pause { delay, report } => {
                self.paused_until = Some(now + delay);
                if let Some(failures) = report {
                    tracing::warn!(local = %self.local, %error, failures, ?delay, "cannot accept connections; will try again");
                }
            }
            Verdict::GiveUp => return Err(error.into()),
        }
        Ok(())
    }
}

impl Listener for TcpListener {
    /// The bound address; for an unspecified one that of each interface of the same IP version, asked of
    /// the system at each call. Link-local IPv6 addresses are left out: they mean nothing without a zone.
    fn addresses(&self) -> Vec<Multiaddr> {
        let reachable = if self.local.ip().is_unspecified() {
            interface_ips(self.local.is_ipv4())
        } else {
            BTreeSet::from([self.local.ip()])
        };
        reachable.into_iter().map(|ip| address::multiaddr(SocketAddr::new(ip, self.local.port()))).collect()
    }

    /// Waits for the next connection. Cancel-safe.
    ///
    /// Short of descriptors or memory it waits, from 5 ms to 1 s, tries again, and reports that through
    /// `tracing` as a warning at most once in 10 s.
    fn accept(&mut self) -> BoxFuture<'_, Result<Connected, TransportError>> {
        Box::pin(self.accept_one())
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.local);
    }
}

/// The addresses of this machine of one IP version.
fn interface_ips(v4: bool) -> BTreeSet<IpAddr> {
    match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces
            .into_iter()
            .map(|interface| interface.ip())
            .filter(|ip| ip.is_ipv4() == v4 && !is_link_local_v6(ip))
            .collect(),
        Err(error) => {
            // The machine itself can reach the listener in any case.
            tracing::warn!(%error, "cannot list the network interfaces");
            BTreeSet::from([if v4 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() }])
        }
    }
}

fn is_link_local_v6(ip: &IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}
