//! How many times bytes cross the path before an answer is there, counted in virtual time on a path of 100 ms.
#![allow(clippy::disallowed_methods, reason = "transcripts that spawn their peers")]

mod common;

use std::{sync::Arc, time::Duration};

use bowline_identity::{Keypair, Multiaddr};
use bowline_swarm::{Host, Stream};
use bowline_transport::{
    BoxFuture, Connected, Link, Listener, Socket, Transport, TransportError, memory::MemoryTransport,
};
use bytes::{Bytes, BytesMut};
use common::{ECHO, introduce, serve_echo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    sync::mpsc,
    time::Instant,
};

const ROUND_TRIP: Duration = Duration::from_millis(100);
/// What the two ends' tasks may add; virtual time only moves when all of them wait.
const SLACK: Duration = Duration::from_millis(2);

/// An in-memory network on which every byte takes half a round trip, and a dial one for the handshake of TCP.
#[derive(Debug)]
struct Distant(MemoryTransport);

impl Transport for Distant {
    fn can_dial(&self, addr: &Multiaddr) -> bool {
        self.0.can_dial(addr)
    }

    fn can_listen(&self, addr: &Multiaddr) -> bool {
        self.0.can_listen(addr)
    }

    fn resolve<'a>(&'a self, addr: &'a Multiaddr) -> BoxFuture<'a, Result<Vec<Multiaddr>, TransportError>> {
        self.0.resolve(addr)
    }

    fn dial<'a>(&'a self, addr: &'a Multiaddr) -> BoxFuture<'a, Result<Connected, TransportError>> {
        Box::pin(async move {
            tokio::time::sleep(ROUND_TRIP).await;
            let connected = self.0.dial(addr).await?;
            let Link::Socket(far) = connected.link else { panic!("a network of sockets") };
            Ok(Connected { link: Link::Socket(delayed(far)), ..connected })
        })
    }

    fn listen<'a>(&'a self, addr: &'a Multiaddr) -> BoxFuture<'a, Result<Box<dyn Listener>, TransportError>> {
        self.0.listen(addr)
    }
}

/// The near end of a path to `far`.
fn delayed(far: Socket) -> Socket {
    let (near, inner) = duplex(1 << 20);
    let (from_near, to_near) = tokio::io::split(inner);
    let (from_far, to_far) = (far.reader, far.writer);
    tokio::task::spawn(carry(from_near, to_far));
    tokio::task::spawn(carry(from_far, to_near));
    Socket::from_stream(near)
}

/// Carries bytes to the other side, each half a round trip after it came.
async fn carry(
    mut from: impl tokio::io::AsyncRead + Send + Unpin + 'static,
    mut to: impl tokio::io::AsyncWrite + Send + Unpin + 'static,
) {
    let (sender, mut under_way) = mpsc::channel::<(Instant, Bytes)>(1024);
    tokio::task::spawn(async move {
        while let Some((due, bytes)) = under_way.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ended = to.shutdown().await;
    });
    let mut bytes = BytesMut::new();
    while let Ok(1..) = from.read_buf(&mut bytes).await {
        let due = Instant::now() + ROUND_TRIP / 2;
        if sender.send((due, bytes.split().freeze())).await.is_err() {
            return;
        }
    }
}

async fn hosts() -> (Host, Host) {
    let network = MemoryTransport::sockets();
    let listener = Host::builder(Keypair::from_ed25519_seed([1; 32])).replay_seed([1; 32]);
    let listener = listener.transports(vec![Arc::new(network.clone())]).listen("/memory/1".parse().unwrap());
    let dialer = Host::builder(Keypair::from_ed25519_seed([2; 32])).replay_seed([2; 32]);
    let dialer = dialer.transports(vec![Arc::new(Distant(network))]);
    let (listener, dialer) = (listener.start().await.unwrap(), dialer.start().await.unwrap());
    introduce(&dialer, &listener);
    serve_echo(&listener);
    (listener, dialer)
}

/// Sends a byte and waits for it to come back.
async fn echo(stream: &mut Stream) {
    stream.write_all(b"x").await.unwrap();
    assert_eq!(stream.read_chunk(1).await.unwrap().unwrap(), "x");
}

#[track_caller]
fn assert_round_trips(started: Instant, expected: u32) {
    let took = started.elapsed();
    let whole = ROUND_TRIP * expected;
    assert!((whole..whole + SLACK).contains(&took), "{took:?} instead of {expected} round trips");
}

#[tokio::test(start_paused = true)]
async fn a_cold_dial_to_the_first_answer_takes_three_round_trips_with_that_of_tcp() {
    let (listener, dialer) = hosts().await;
    let started = Instant::now();
    let mut stream = dialer.open_stream(listener.peer_id(), ECHO).await.unwrap();
    echo(&mut stream).await;
    assert_round_trips(started, 3);
}

#[tokio::test(start_paused = true)]
async fn a_further_stream_to_its_first_answer_takes_one_round_trip() {
    let (listener, dialer) = hosts().await;
    dialer.connect(listener.peer_id()).await.unwrap();
    // Whether identify has run makes no difference.
    for _ in 0..3 {
        let started = Instant::now();
        let mut stream = dialer.open_stream(listener.peer_id(), ECHO).await.unwrap();
        assert_eq!(started.elapsed(), Duration::ZERO, "opening waits for nothing");
        echo(&mut stream).await;
        assert_round_trips(started, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_takes_one_round_trip() {
    let (listener, dialer) = hosts().await;
    dialer.connect(listener.peer_id()).await.unwrap();
    let mut pinger = dialer.pinger(listener.peer_id()).await.unwrap();
    for _ in 0..3 {
        let rtt = pinger.ping().await.unwrap();
        assert!((ROUND_TRIP..ROUND_TRIP + SLACK).contains(&rtt), "{rtt:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_its_peer_never_ends_is_given_up_in_its_time_though_nothing_else_happens() {
    let (listener, dialer) = hosts().await;
    let mut held = listener.accept(common::SINK).unwrap();
    let connection = dialer.connect(listener.peer_id()).await.unwrap();
    let mut stream = dialer.open_stream(listener.peer_id(), common::SINK).await.unwrap();
    stream.negotiated().await.unwrap();
    stream.finish().await.unwrap();
    let _held = held.next().await.unwrap();
    // Everything is sent, and the driver waits for the next ping, half a minute away.
    tokio::time::sleep(Duration::from_secs(2)).await;
    drop(stream);
    assert_eq!(connection.stats().streams, 1, "the peer may still end it");
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(connection.stats().streams, 0);
}
