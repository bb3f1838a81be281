//! Dialing and listening over real sockets on loopback, on ports that the system chooses.
#![allow(clippy::too_many_lines, reason = "transcripts")]

use std::{collections::BTreeSet, net::Ipv6Addr, sync::Arc, task::Poll, time::Duration};

use bowline_identity::{Keypair, Multiaddr, address::with_peer_id};
use bowline_tcp::{TcpOptions, TcpTransport};
use bowline_transport::{Connected, Link, Listener, Transport, TransportError};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const ANY_PORT_V4: &str = "/ip4/127.0.0.1/tcp/0";

fn addr(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

fn port(addr: &Multiaddr) -> u16 {
    addr.to_string().rsplit('/').next().unwrap().parse().unwrap()
}

async fn listen(tcp: &TcpTransport, at: &str) -> (Box<dyn Listener>, Multiaddr) {
    let listener = tcp.listen(&addr(at)).await.unwrap();
    let bound = listener.addresses().first().unwrap().clone();
    (listener, bound)
}

async fn pair(tcp: &TcpTransport, listener: &mut dyn Listener, at: &Multiaddr) -> (Connected, Connected) {
    tokio::try_join!(tcp.dial(at), listener.accept()).unwrap()
}

fn socket(connected: Connected) -> bowline_transport::Socket {
    match connected.link {
        Link::Socket(socket) => socket,
        Link::Muxed { .. } => panic!("TCP gives sockets"),
    }
}

/// Whether this machine has IPv6 on loopback; containers often have not.
async fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_ok()
}

/// An address of loopback on which nobody listens.
async fn closed_port() -> Multiaddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    addr(&format!("/ip4/127.0.0.1/tcp/{}", listener.local_addr().unwrap().port()))
}

async fn exchange(tcp: &TcpTransport, at: &str) {
    let (mut listener, bound) = listen(tcp, at).await;
    assert_ne!(port(&bound), 0, "port 0 reports the real port");
    let (dialed, accepted) = pair(tcp, &mut *listener, &bound).await;
    assert_eq!(dialed.remote_addr, bound);
    assert_eq!(accepted.local_addr, bound);
    assert_eq!(dialed.local_addr, accepted.remote_addr);

    let (mut dialer, mut acceptor) = (socket(dialed), socket(accepted));
    dialer.write_all(b"question").await.unwrap();
    dialer.shutdown().await.unwrap();
    let mut question = Vec::new();
    acceptor.read_to_end(&mut question).await.unwrap();
    assert_eq!(question, b"question");
    acceptor.write_all(b"answer after the question's end").await.unwrap();
    drop(acceptor);
    let mut answer = Vec::new();
    dialer.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"answer after the question's end");
}

#[tokio::test]
async fn two_ends_exchange_bytes_over_ipv4() {
    exchange(&TcpTransport::default(), ANY_PORT_V4).await;
}

#[tokio::test]
async fn two_ends_exchange_bytes_over_ipv6() {
    if has_ipv6().await {
        exchange(&TcpTransport::default(), "/ip6/::1/tcp/0").await;
    }
}

#[tokio::test]
async fn a_dialed_address_may_carry_the_peer_and_the_result_does_not() {
    let tcp = TcpTransport::default();
    let (mut listener, bound) = listen(&tcp, ANY_PORT_V4).await;
    let with_peer = with_peer_id(bound.clone(), Keypair::from_ed25519_seed([1; 32]).peer_id());
    let (dialed, _accepted) = pair(&tcp, &mut *listener, &with_peer).await;
    assert_eq!(dialed.remote_addr, bound);
}

#[tokio::test]
async fn an_unspecified_address_expands_to_interface_addresses_that_answer() {
    let tcp = TcpTransport::default();
    let mut listener = tcp.listen(&addr("/ip4/0.0.0.0/tcp/0")).await.unwrap();
    let addresses = listener.addresses();
    let ports: BTreeSet<u16> = addresses.iter().map(port).collect();
    assert_eq!(ports.len(), 1);
    let loopback = addr(&format!("/ip4/127.0.0.1/tcp/{}", port(&addresses[0])));
    assert!(addresses.contains(&loopback), "{addresses:?}");
    for address in &addresses {
        assert!(!address.to_string().starts_with("/ip4/0.0.0.0"));
        let (dialed, _accepted) = pair(&tcp, &mut *listener, address).await;
        assert_eq!(&dialed.remote_addr, address);
    }
}

#[tokio::test]
async fn ipv4_and_ipv6_listen_on_one_port_side_by_side() {
    if !has_ipv6().await {
        return;
    }
    let tcp = TcpTransport::default();
    let six = tcp.listen(&addr("/ip6/::/tcp/0")).await.unwrap();
    let addresses = six.addresses();
    assert!(addresses.iter().all(|address| address.to_string().starts_with("/ip6/")), "{addresses:?}");
    let same_port = addr(&format!("/ip4/0.0.0.0/tcp/{}", port(&addresses[0])));
    // Another process may hold the port on IPv4; our own IPv6 socket must not.
    let four = tcp.listen(&same_port).await;
    assert!(matches!(four, Ok(_) | Err(TransportError::AddressInUse)));
    if four.is_ok() {
        let mapped = tcp.dial(&addr(&format!("/ip6/::ffff:127.0.0.1/tcp/{}", port(&addresses[0])))).await;
        assert!(mapped.is_err(), "an IPv6 socket carries no IPv4");
    }
}

#[tokio::test]
async fn several_listeners_work_side_by_side() {
    let tcp = TcpTransport::default();
    let (mut first, first_addr) = listen(&tcp, ANY_PORT_V4).await;
    let (mut second, second_addr) = listen(&tcp, ANY_PORT_V4).await;
    assert_ne!(first_addr, second_addr);
    let (at_second, _) = pair(&tcp, &mut *second, &second_addr).await;
    let (at_first, _) = pair(&tcp, &mut *first, &first_addr).await;
    assert_eq!((at_first.remote_addr, at_second.remote_addr), (first_addr, second_addr));
}

#[tokio::test]
async fn dropping_the_listener_frees_its_address_at_once() {
    let tcp = TcpTransport::default();
    let (mut listener, bound) = listen(&tcp, ANY_PORT_V4).await;
    let (dialed, accepted) = pair(&tcp, &mut *listener, &bound).await;
    // The listener's side closes first, so the old connection lingers on the port.
    drop(socket(accepted));
    drop(listener);
    let mut rest = Vec::new();
    socket(dialed).read_to_end(&mut rest).await.unwrap();
    let again = tcp.listen(&bound).await.unwrap();
    assert_eq!(again.addresses(), [bound]);
}

#[tokio::test]
async fn a_taken_address_is_reported_as_in_use() {
    let tcp = TcpTransport::default();
    let (_listener, bound) = listen(&tcp, ANY_PORT_V4).await;
    assert_eq!(tcp.listen(&bound).await.unwrap_err(), TransportError::AddressInUse);
}

#[tokio::test]
async fn an_address_that_is_not_ours_is_unreachable_to_listen_on() {
    let tcp = TcpTransport::default();
    let foreign = tcp.listen(&addr("/ip4/192.0.2.1/tcp/0")).await;
    assert_eq!(foreign.unwrap_err(), TransportError::Unreachable);
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let closed = closed_port().await;
    assert_eq!(TcpTransport::default().dial(&closed).await.unwrap_err(), TransportError::Refused);
}

#[tokio::test]
async fn what_is_not_tcp_is_unsupported() {
    let tcp = TcpTransport::with_resolver(TcpOptions::default(), None);
    for text in
        ["/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/127.0.0.1/tcp/1/ws", "/ip4/127.0.0.1/tcp/0", "/memory/1"]
    {
        assert!(!tcp.can_dial(&addr(text)), "{text}");
        assert_eq!(tcp.dial(&addr(text)).await.unwrap_err(), TransportError::Unsupported, "{text}");
    }
    for text in ["/ip4/127.0.0.1/udp/0", "/dns4/localhost/tcp/0", "/memory/1"] {
        assert!(!tcp.can_listen(&addr(text)), "{text}");
        assert_eq!(tcp.listen(&addr(text)).await.unwrap_err(), TransportError::Unsupported, "{text}");
    }
    assert!(!tcp.can_dial(&addr("/dns4/localhost/tcp/1")), "no resolver, no names");
    assert!(tcp.can_dial(&addr("/ip4/127.0.0.1/tcp/1")) && tcp.can_listen(&addr(ANY_PORT_V4)));
}

/// Linux answers no more connections than the backlog holds; the next dial hangs.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_dial_that_nobody_answers_ends_at_its_deadline() {
    let options = TcpOptions { connect_timeout: Duration::from_millis(50), ..TcpOptions::default() };
    let tcp = TcpTransport::new(TcpOptions { backlog: 1, ..options });
    let (_never_accepts, bound) = listen(&tcp, ANY_PORT_V4).await;
    let mut queued = Vec::new();
    let failure = loop {
        match tcp.dial(&bound).await {
            Ok(connected) => queued.push(connected),
            Err(error) => break error,
        }
        assert!(queued.len() < 16, "the backlog is full by now");
    };
    assert_eq!(failure, TransportError::TimedOut);
}

#[tokio::test]
async fn a_dropped_accept_loses_no_connection() {
    let tcp = TcpTransport::default();
    let (mut listener, bound) = listen(&tcp, ANY_PORT_V4).await;
    for _ in 0..20 {
        let mut dial = tcp.dial(&bound);
        let dialed_at_once = futures_util::poll!(&mut dial);
        // Polled once and dropped, while the connection comes in.
        let accepted_at_once = futures_util::poll!(listener.accept());
        let dialed = match dialed_at_once {
            Poll::Ready(dialed) => dialed.unwrap(),
            Poll::Pending => dial.await.unwrap(),
        };
        let accepted = match accepted_at_once {
            Poll::Ready(accepted) => accepted.unwrap(),
            Poll::Pending => listener.accept().await.unwrap(),
        };
        assert_eq!(accepted.remote_addr, dialed.local_addr);
    }
}

#[tokio::test]
async fn a_dropped_dial_closes_its_socket() {
    let tcp = TcpTransport::default();
    let (mut listener, bound) = listen(&tcp, ANY_PORT_V4).await;
    let mut dial = tcp.dial(&bound);
    let polled_once = futures_util::poll!(&mut dial).map(|outcome| outcome.unwrap());
    drop((polled_once, dial));
    let mut accepted = socket(listener.accept().await.unwrap());
    let mut rest = Vec::new();
    // End or reset, but not a connection that stays.
    let _end_or_reset = accepted.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_connection_that_is_gone_before_it_is_accepted_does_not_end_the_listener() {
    let tcp = TcpTransport::default();
    let (mut listener, bound) = listen(&tcp, ANY_PORT_V4).await;
    for _ in 0..50 {
        let raw = TcpStream::connect(("127.0.0.1", port(&bound))).await.unwrap();
        raw.set_zero_linger().unwrap();
    }
    // The listener gives the dead ones or drops them; the living one comes after them.
    let dialed = tcp.dial(&bound).await.unwrap();
    while listener.accept().await.unwrap().remote_addr != dialed.local_addr {}
}

#[cfg(unix)]
#[tokio::test]
async fn with_port_reuse_a_dial_leaves_from_the_listening_port() {
    let options = TcpOptions { port_reuse: true, ..TcpOptions::default() };
    let here = TcpTransport::new(options);
    let (_own, own_addr) = listen(&here, ANY_PORT_V4).await;
    let there = TcpTransport::default();
    let (mut listener, bound) = listen(&there, ANY_PORT_V4).await;

    let (dialed, accepted) = pair(&here, &mut *listener, &bound).await;
    assert_eq!(accepted.remote_addr, own_addr, "the peer observes where we listen");

    // The same pair of ports again: taken, so an ephemeral port serves.
    let (second, second_accepted) = pair(&here, &mut *listener, &bound).await;
    assert_ne!(second_accepted.remote_addr, own_addr);
    drop((dialed, second));
}

#[tokio::test]
async fn without_port_reuse_a_dial_leaves_from_a_port_of_its_own() {
    let tcp = TcpTransport::default();
    let (_own, own_addr) = listen(&tcp, ANY_PORT_V4).await;
    let (mut listener, bound) = listen(&tcp, ANY_PORT_V4).await;
    let (dialed, _accepted) = pair(&tcp, &mut *listener, &bound).await;
    assert_ne!(dialed.local_addr, own_addr);
}

#[tokio::test]
async fn the_transport_is_usable_as_a_trait_object() {
    let tcp: Arc<dyn Transport> = Arc::new(TcpTransport::default());
    let listener = tcp.listen(&addr(ANY_PORT_V4)).await.unwrap();
    assert_eq!(tcp.resolve(&listener.addresses()[0]).await.unwrap(), listener.addresses());
}
