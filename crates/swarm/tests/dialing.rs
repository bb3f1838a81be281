//! Dialing: who is reached, in what time, and what is said when nobody is.
#![allow(clippy::too_many_lines, clippy::disallowed_methods, reason = "transcripts that spawn their peers")]

mod common;

use std::time::{Duration, Instant};

use bowline_identity::{Keypair, Multiaddr, address};
use bowline_swarm::{AddrError, ConnectOptions, DialError, Host, TransportError, UpgradeError};
use common::{ECHO, serve_echo, tcp_pair};

fn silent_server() -> (tokio::net::TcpListener, Multiaddr) {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let port = socket.local_addr().unwrap().port();
    let addr = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
    (tokio::net::TcpListener::from_std(socket).unwrap(), addr)
}

/// An address at which nobody listens.
fn closed_port() -> Multiaddr {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()
}

#[tokio::test]
async fn a_wrong_peer_at_the_right_address_is_named_and_never_learns_who_asked() {
    let (listener, dialer) = tcp_pair().await;
    let mut events = listener.events();
    let asked = Keypair::generate().peer_id();
    let addr = listener.listen_addrs().borrow()[0].clone();
    let error = dialer.connect((asked, vec![addr])).await.unwrap_err();
    let DialError::All { attempts } = &error else { panic!("{error}") };
    let wrong = UpgradeError::WrongPeer { expected: asked, actual: listener.peer_id() };
    assert_eq!(attempts[0].error, AddrError::Upgrade(wrong));
    let text = error.to_string();
    assert!(text.contains(&asked.to_string()) && text.contains(&listener.peer_id().to_string()), "{text}");
    let failed = events.next().await.unwrap().unwrap();
    assert!(matches!(failed, bowline_swarm::Event::InboundFailed { .. }), "{failed:?}");
    assert!(listener.connections().is_empty());
}

#[tokio::test]
async fn every_failed_address_has_its_own_cause() {
    let (_listener, dialer) = tcp_pair().await;
    let peer = Keypair::generate().peer_id();
    let (refused, unspoken) = (closed_port(), "/ip4/127.0.0.1/udp/1/quic-v1".parse::<Multiaddr>().unwrap());
    let error = dialer.connect((peer, vec![refused.clone(), unspoken.clone()])).await.unwrap_err();
    let DialError::All { attempts } = error else { panic!("{error}") };
    let cause =
        |addr: &Multiaddr| attempts.iter().find(|attempt| attempt.addr == *addr).unwrap().error.clone();
    assert!(matches!(cause(&refused), AddrError::Transport { source: TransportError::Refused, .. }));
    assert!(matches!(cause(&unspoken), AddrError::Transport { source: TransportError::Unsupported, .. }));
}

#[tokio::test]
async fn a_silent_server_costs_its_deadline_and_no_more() {
    let (_listener, dialer) = tcp_pair().await;
    let (_silent, addr) = silent_server();
    let peer = Keypair::generate().peer_id();
    let timeout = Duration::from_millis(300);
    let options = ConnectOptions { timeout: Some(timeout), ..ConnectOptions::default() };
    let begun = Instant::now();
    let error = dialer.connect_with((peer, vec![addr]), &options).await.unwrap_err();
    assert!(matches!(error, DialError::TimedOut { after, .. } if after == timeout), "{error}");
    assert!(begun.elapsed() >= timeout && begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_dead_address_beside_a_good_one_costs_a_stagger() {
    // The best of three: a busy machine can take 300 ms for anything.
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let (listener, dialer) = tcp_pair().await;
        let (_silent, dead) = silent_server();
        let good = listener.listen_addrs().borrow()[0].clone();
        let begun = Instant::now();
        dialer.connect((listener.peer_id(), vec![dead, good])).await.unwrap();
        best = best.min(begun.elapsed());
    }
    assert!(best <= Duration::from_millis(300), "{best:?}");
}

#[tokio::test]
async fn callers_share_one_dial() {
    let (listener, dialer) = tcp_pair().await;
    let calls = (0..20).map(|_| dialer.connect(listener.peer_id()));
    let connections = futures_util::future::try_join_all(calls).await.unwrap();
    let first = connections[0].id();
    assert!(connections.iter().all(|connection| connection.id() == first));
    assert_eq!(dialer.connections().len(), 1);
}

#[tokio::test]
async fn an_address_without_a_peer_id_is_enough() {
    let (listener, dialer) = tcp_pair().await;
    let addr = listener.listen_addrs().borrow()[0].clone();
    let connection = dialer.connect(addr).await.unwrap();
    assert_eq!(connection.peer(), listener.peer_id());
}

#[tokio::test]
async fn an_address_of_another_peer_is_not_dialed() {
    let (listener, dialer) = tcp_pair().await;
    let addr = listener.listen_addrs().borrow()[0].clone();
    let asked = Keypair::generate().peer_id();
    let addr = address::with_peer_id(addr, listener.peer_id());
    let error = dialer.connect((asked, vec![addr])).await.unwrap_err();
    let other = AddrError::OtherPeer { expected: asked, actual: listener.peer_id() };
    assert!(matches!(&error, DialError::All { attempts } if attempts[0].error == other), "{error}");
}

#[tokio::test]
async fn a_host_does_not_dial_itself_and_says_when_it_knows_no_address() {
    let (listener, dialer) = tcp_pair().await;
    assert_eq!(listener.connect(listener.peer_id()).await.unwrap_err(), DialError::SelfDial);
    let peer = Keypair::generate().peer_id();
    assert_eq!(dialer.connect(peer).await.unwrap_err(), DialError::NoAddresses { peer });
    // Whoever answers at our own address is we ourselves.
    let own = listener.listen_addrs().borrow()[0].clone();
    assert_eq!(listener.connect(own).await.unwrap_err(), DialError::SelfDial);
}

#[tokio::test]
async fn shutdown_lets_streams_end_and_frees_the_port() {
    let (listener, dialer) = tcp_pair().await;
    serve_echo(&listener);
    let mut stream = dialer.open_stream(listener.peer_id(), ECHO).await.unwrap();
    stream.write_chunk("hello".into()).await.unwrap();
    stream.negotiated().await.unwrap();
    let addr = listener.listen_addrs().borrow()[0].clone();
    let ending = async {
        stream.finish().await.unwrap();
        stream.read_to_end(10).await
    };
    let (report, echoed) = tokio::join!(listener.shutdown(Duration::from_secs(5)), ending);
    assert_eq!(echoed.as_deref(), Ok(&b"hello"[..]));
    assert_eq!((report.streams_cut, report.connections_closed, report.complete), (0, 1, true));
    let again = Host::builder(Keypair::generate()).listen(addr).start().await;
    assert!(again.is_ok(), "{again:?}");
    assert!(matches!(listener.connect(dialer.peer_id()).await, Err(DialError::Shutdown)));
}

#[tokio::test]
async fn a_connection_that_was_closed_is_not_used_any_more() {
    let (listener, dialer) = tcp_pair().await;
    serve_echo(&listener);
    for _ in 0..20 {
        let connection = dialer.connect(listener.peer_id()).await.unwrap();
        let mut stream = dialer.open_stream(listener.peer_id(), ECHO).await.unwrap();
        assert_eq!(stream.connection_id(), connection.id());
        stream.finish().await.unwrap();
        assert_eq!(stream.read_to_end(1).await.unwrap(), []);
        connection.close(0);
        assert!(
            connection.close_reason().is_some(),
            "it is known at once, though the farewell takes a while"
        );
    }
}

#[tokio::test]
async fn only_the_given_addresses_are_dialed_when_that_is_asked_for() {
    let (listener, dialer) = tcp_pair().await;
    let dead = closed_port();
    let options = ConnectOptions { only_given: true, ..ConnectOptions::default() };
    let target = (listener.peer_id(), vec![dead.clone()]);
    let failed = dialer.connect_with(target.clone(), &options).await.unwrap_err();
    let DialError::All { attempts } = &failed else { panic!("{failed:?}") };
    assert_eq!(attempts.iter().map(|attempt| &attempt.addr).collect::<Vec<_>>(), [&dead]);
    dialer.connect(target).await.expect("an address that works is known");
}
