//! A peer that stops reading while it is sent to: the connection ends all the same, and the peer can be dialed anew.
#![allow(clippy::disallowed_methods, reason = "transcripts that spawn their peers")]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bowline_identity::{Keypair, Multiaddr};
use bowline_swarm::{Connection, Host, Stream};
use bowline_transport::{
    BoxFuture, CloseReason, Connected, Link, Listener, Socket, Transport, TransportError,
    memory::MemoryTransport,
};
use bytes::Bytes;
use common::{SINK, introduce};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    time::{Instant, timeout},
};

/// An in-memory network that can be frozen: then links carry nothing any more, and do not end.
#[derive(Clone, Debug)]
struct Freezing {
    network: MemoryTransport,
    frozen: Arc<AtomicBool>,
}

impl Transport for Freezing {
    fn can_dial(&self, addr: &Multiaddr) -> bool {
        self.network.can_dial(addr)
    }

    fn can_listen(&self, addr: &Multiaddr) -> bool {
        self.network.can_listen(addr)
    }

    fn resolve<'a>(&'a self, addr: &'a Multiaddr) -> BoxFuture<'a, Result<Vec<Multiaddr>, TransportError>> {
        self.network.resolve(addr)
    }

    fn dial<'a>(&'a self, addr: &'a Multiaddr) -> BoxFuture<'a, Result<Connected, TransportError>> {
        Box::pin(async move {
            let connected = self.network.dial(addr).await?;
            let Link::Socket(far) = connected.link else { panic!("a network of sockets") };
            let (near, inner) = duplex(64 * 1024);
            let (from_near, to_near) = tokio::io::split(inner);
            let (from_far, to_far) = (far.reader, far.writer);
            tokio::task::spawn(carry(from_near, to_far, Arc::clone(&self.frozen)));
            tokio::task::spawn(carry(from_far, to_near, Arc::clone(&self.frozen)));
            Ok(Connected { link: Link::Socket(Socket::from_stream(near)), ..connected })
        })
    }

    fn listen<'a>(&'a self, addr: &'a Multiaddr) -> BoxFuture<'a, Result<Box<dyn Listener>, TransportError>> {
        self.network.listen(addr)
    }
}

async fn carry(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    frozen: Arc<AtomicBool>,
) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(len @ 1..) = from.read(&mut bytes).await {
        if frozen.load(Ordering::SeqCst) {
            // Both ends stay open, and nothing moves.
            std::future::pending::<()>().await;
        }
        if to.write_all(&bytes[..len]).await.is_err() {
            return;
        }
    }
}

/// Two connected hosts, a stream of the dialer that has written until nothing more was taken, and the switch.
async fn blocked() -> (Host, Host, Connection, Stream, Arc<AtomicBool>) {
    let network = MemoryTransport::sockets();
    let frozen = Arc::new(AtomicBool::new(false));
    let listener = Host::builder(Keypair::from_ed25519_seed([1; 32])).replay_seed([1; 32]);
    let listener = listener.transports(vec![Arc::new(network.clone())]).listen("/memory/1".parse().unwrap());
    let dialer = Host::builder(Keypair::from_ed25519_seed([2; 32])).replay_seed([2; 32]);
    let transport = Freezing { network, frozen: Arc::clone(&frozen) };
    let dialer = dialer.transports(vec![Arc::new(transport)]);
    let (listener, dialer) = (listener.start().await.unwrap(), dialer.start().await.unwrap());
    introduce(&dialer, &listener);
    let mut incoming = listener.accept(SINK).unwrap();
    tokio::task::spawn(async move {
        let mut kept = Vec::new();
        while let Some(stream) = incoming.next().await {
            kept.push(stream);
        }
    });
    let connection = dialer.connect(listener.peer_id()).await.unwrap();
    let mut stream = dialer.open_stream(listener.peer_id(), SINK).await.unwrap();
    stream.negotiated().await.unwrap();
    frozen.store(true, Ordering::SeqCst);
    let piece = Bytes::from(vec![0; 64 * 1024]);
    while timeout(Duration::from_millis(10), stream.write_chunk(piece.clone())).await.is_ok() {}
    (listener, dialer, connection, stream, frozen)
}

/// A new connection to the same peer, which is reachable again.
async fn dials_anew(dialer: &Host, old: &Connection, frozen: &AtomicBool) {
    frozen.store(false, Ordering::SeqCst);
    let new = dialer.connect(old.peer()).await.unwrap();
    assert_ne!(new.id(), old.id());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_and_says_nothing_is_given_up() {
    let (_listener, dialer, connection, _stream, frozen) = blocked().await;
    let reason = timeout(Duration::from_secs(60), connection.closed()).await.expect("within a minute");
    assert_eq!(reason, CloseReason::KeepAliveTimeout);
    dials_anew(&dialer, &connection, &frozen).await;
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_a_peer_that_takes_nothing() {
    let (_listener, dialer, connection, _stream, frozen) = blocked().await;
    let started = Instant::now();
    connection.close(7);
    assert_eq!(connection.close_reason(), Some(CloseReason::Local { code: 7 }));
    assert_eq!(connection.closed().await, CloseReason::Local { code: 7 });
    assert!(started.elapsed() <= Duration::from_secs(2), "{:?}", started.elapsed());
    dials_anew(&dialer, &connection, &frozen).await;
}
