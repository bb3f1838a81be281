//! identify, ping and perf between two hosts.
#![allow(clippy::disallowed_methods, reason = "transcripts that spawn their peers")]

mod common;

use std::time::Duration;

use bowline_identity::Keypair;
use bowline_swarm::{Config, Event, Host, OpenError, PerfError, ProtocolId};
use common::{ECHO, introduce, tcp_pair};

#[tokio::test]
async fn peers_learn_about_each_other_when_they_connect() {
    let (listener, dialer) = tcp_pair().await;
    dialer.connect(listener.peer_id()).await.unwrap();
    let info = dialer.identify(listener.peer_id()).await.unwrap();
    assert_eq!(info.peer, listener.peer_id());
    assert!(info.agent.as_deref().unwrap().starts_with("bowline/"));
    assert_eq!(info.listen_addrs, *listener.listen_addrs().borrow());
    assert!(info.protocols.iter().any(|protocol| protocol == "/ipfs/ping/1.0.0"));
    assert!(info.record.is_some());
}

#[tokio::test]
async fn a_new_protocol_is_pushed_to_who_is_connected() {
    let (listener, dialer) = tcp_pair().await;
    dialer.connect(listener.peer_id()).await.unwrap();
    dialer.identify(listener.peer_id()).await.unwrap();
    listener.identify(dialer.peer_id()).await.unwrap();
    let mut events = dialer.events();
    let _incoming = listener.accept(ECHO).unwrap();
    loop {
        if let Some(Ok(Event::Identified { info, .. })) = events.next().await {
            assert!(info.protocols.iter().any(|protocol| protocol == ECHO.as_str()));
            let held = dialer.connection(listener.peer_id()).unwrap().info().unwrap();
            assert_eq!(held.protocols, info.protocols, "whoever hears of it finds it there");
            return;
        }
    }
}

#[tokio::test]
async fn a_ping_takes_some_microseconds() {
    let (listener, dialer) = tcp_pair().await;
    let mut pinger = dialer.pinger(listener.peer_id()).await.unwrap();
    for _ in 0..10 {
        let rtt = pinger.ping().await.unwrap();
        assert!(rtt > Duration::ZERO && rtt < Duration::from_secs(5), "{rtt:?}");
    }
    pinger.finish().await;
}

#[tokio::test]
async fn perf_is_served_only_when_asked() {
    let (listener, dialer) = tcp_pair().await;
    let refused = dialer.perf(listener.peer_id(), 10, 10).await.unwrap_err();
    assert!(
        matches!(refused, PerfError::Stream(_) | PerfError::Open(OpenError::Refused { .. })),
        "{refused}"
    );

    let config = Config { serve_perf: true, ..Config::default() };
    let server =
        Host::builder(Keypair::generate()).config(config).listen("/ip4/127.0.0.1/tcp/0".parse().unwrap());
    let server = server.start().await.unwrap();
    introduce(&dialer, &server);
    let report = dialer.perf(server.peer_id(), 1_000_000, 2_000_001).await.unwrap();
    assert_eq!((report.uploaded, report.downloaded), (1_000_000, 2_000_001));
}

#[tokio::test]
async fn a_protocol_is_served_once_and_is_free_again_when_dropped() {
    let (listener, _dialer) = tcp_pair().await;
    let incoming = listener.accept(ECHO).unwrap();
    assert!(listener.accept(ECHO).is_err());
    assert!(listener.accept(ProtocolId::from_static("/ipfs/ping/1.0.0")).is_err());
    drop(incoming);
    assert!(listener.accept(ECHO).is_ok());
}
