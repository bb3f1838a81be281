//! The rules for names, with a resolver that knows a handful of them.
#![allow(clippy::too_many_lines, reason = "transcripts")]

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bowline_identity::{Keypair, Multiaddr};
use bowline_tcp::{
    TcpOptions, TcpTransport,
    resolve::{MAX_ADDRESSES, MAX_DEPTH, Resolver},
};
use bowline_transport::{BoxFuture, Transport, TransportError};

#[derive(Debug, Default)]
struct Names {
    ips: BTreeMap<String, Vec<IpAddr>>,
    texts: BTreeMap<String, Vec<String>>,
    lookups: AtomicUsize,
}

impl Names {
    fn host(mut self, name: &str, ips: &[&str]) -> Self {
        self.ips.insert(name.to_owned(), ips.iter().map(|ip| ip.parse().unwrap()).collect());
        self
    }

    fn link(mut self, name: &str, records: impl IntoIterator<Item = String>) -> Self {
        self.texts.insert(format!("_dnsaddr.{name}"), records.into_iter().collect());
        self
    }
}

fn unknown(name: &str) -> TransportError {
    TransportError::Resolve { name: name.to_owned(), reason: "no such name".to_owned() }
}

impl Resolver for Names {
    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, TransportError>> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move { self.ips.get(name).cloned().ok_or_else(|| unknown(name)) })
    }

    fn texts<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, TransportError>> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move { self.texts.get(name).cloned().ok_or_else(|| unknown(name)) })
    }
}

async fn resolve(names: Names, text: &str) -> Result<Vec<String>, TransportError> {
    resolve_counting(names, text).await.0
}

async fn resolve_counting(names: Names, text: &str) -> (Result<Vec<String>, TransportError>, usize) {
    let names = Arc::new(names);
    let tcp =
        TcpTransport::with_resolver(TcpOptions::default(), Some(Arc::clone(&names) as Arc<dyn Resolver>));
    let addr: Multiaddr = text.parse().unwrap();
    let found = tcp.resolve(&addr).await.map(|addrs| addrs.iter().map(Multiaddr::to_string).collect());
    (found, names.lookups.load(Ordering::Relaxed))
}

fn peer(seed: u8) -> String {
    Keypair::from_ed25519_seed([seed; 32]).peer_id().to_string()
}

fn record(addr: impl std::fmt::Display) -> String {
    format!("dnsaddr={addr}")
}

#[tokio::test]
async fn a_host_resolves_by_ip_version() {
    let names = || Names::default().host("a.example", &["192.0.2.1", "2001:db8::1", "192.0.2.2"]);
    let four = ["/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.2/tcp/1"];
    assert_eq!(resolve(names(), "/dns4/a.example/tcp/1").await.unwrap(), four);
    assert_eq!(resolve(names(), "/dns6/a.example/tcp/1").await.unwrap(), ["/ip6/2001:db8::1/tcp/1"]);
    assert_eq!(resolve(names(), "/dns/a.example/tcp/1").await.unwrap().len(), 3);
}

#[tokio::test]
async fn the_peer_id_behind_a_host_stays() {
    let names = Names::default().host("a.example", &["192.0.2.1"]);
    let found = resolve(names, &format!("/dns4/a.example/tcp/1/p2p/{}", peer(1))).await.unwrap();
    assert_eq!(found, [format!("/ip4/192.0.2.1/tcp/1/p2p/{}", peer(1))]);
}

#[tokio::test]
async fn a_failed_name_is_named() {
    assert_eq!(resolve(Names::default(), "/dns4/a.example/tcp/1").await, Err(unknown("a.example")));
    let linked = resolve(Names::default(), "/dnsaddr/a.example").await;
    assert_eq!(linked, Err(unknown("_dnsaddr.a.example")));
    let no_ipv6 = resolve(Names::default().host("a.example", &["192.0.2.1"]), "/dns6/a.example/tcp/1").await;
    assert!(matches!(no_ipv6, Err(TransportError::Resolve { name, .. }) if name == "a.example"));
}

#[tokio::test]
async fn a_link_gives_what_matches_the_peer_and_what_is_tcp() {
    let names = Names::default().link(
        "a.example",
        [
            record(format!("/ip4/192.0.2.1/tcp/1/p2p/{}", peer(1))),
            record(format!("/ip4/192.0.2.2/tcp/1/p2p/{}", peer(2))),
            record("/ip4/192.0.2.3/tcp/1"),
            record(format!("/ip4/192.0.2.4/udp/1/quic-v1/p2p/{}", peer(1))),
            record(format!("/ip4/192.0.2.5/tcp/1/ws/p2p/{}", peer(1))),
            record("garbage"),
            format!("/ip4/192.0.2.6/tcp/1/p2p/{}", peer(1)),
            "v=spf1 -all".to_owned(),
            record(format!("/ip4/192.0.2.1/tcp/1/p2p/{}", peer(1))),
        ],
    );
    let found = resolve(names, &format!("/dnsaddr/a.example/p2p/{}", peer(1))).await.unwrap();
    assert_eq!(found, [format!("/ip4/192.0.2.1/tcp/1/p2p/{}", peer(1))]);
}

#[tokio::test]
async fn a_link_without_a_peer_gives_every_peer() {
    let records = [1, 2].map(|seed| record(format!("/ip4/192.0.2.{seed}/tcp/1/p2p/{}", peer(seed))));
    let found = resolve(Names::default().link("a.example", records), "/dnsaddr/a.example").await.unwrap();
    assert_eq!(found.len(), 2);
}

#[tokio::test]
async fn links_and_hosts_are_followed() {
    let names = Names::default()
        .link("a.example", [record("/dnsaddr/b.example"), record("/ip4/192.0.2.1/tcp/1")])
        .link("b.example", [record("/dns4/c.example/tcp/2"), record("/ip4/192.0.2.2/tcp/1")])
        .host("c.example", &["192.0.2.3"]);
    let found = resolve(names, "/dnsaddr/a.example").await.unwrap();
    assert_eq!(found, ["/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.2/tcp/1", "/ip4/192.0.2.3/tcp/2"]);
}

#[tokio::test]
async fn a_name_that_fails_beside_others_does_not_spoil_them() {
    let records = [record("/dns4/gone.example/tcp/1"), record("/ip4/192.0.2.1/tcp/1")];
    let found = resolve(Names::default().link("a.example", records), "/dnsaddr/a.example").await.unwrap();
    assert_eq!(found, ["/ip4/192.0.2.1/tcp/1"]);
}

#[tokio::test]
async fn only_foreign_transports_is_unsupported() {
    let names = Names::default().link("a.example", [record("/ip4/192.0.2.1/udp/1/quic-v1")]);
    assert_eq!(resolve(names, "/dnsaddr/a.example").await, Err(TransportError::Unsupported));
    assert_eq!(resolve(Names::default(), "/dns4/a/udp/1/quic-v1").await, Err(TransportError::Unsupported));
}

/// `0.example` links to `1.example` and so on; the last of `links` links to an address.
fn chain(links: usize) -> Names {
    (0..links)
        .fold(Names::default(), |names, i| {
            let next = if i + 1 == links {
                "/dns4/end.example/tcp/1".to_owned()
            } else {
                format!("/dnsaddr/{}.example", i + 1)
            };
            names.link(&format!("{i}.example"), [record(next)])
        })
        .host("end.example", &["192.0.2.1"])
}

#[tokio::test]
async fn links_are_followed_four_deep_and_not_five() {
    assert_eq!(resolve(chain(MAX_DEPTH), "/dnsaddr/0.example").await.unwrap(), ["/ip4/192.0.2.1/tcp/1"]);
    let (found, lookups) = resolve_counting(chain(MAX_DEPTH + 1), "/dnsaddr/0.example").await;
    assert_eq!(found, Err(TransportError::ResolveLimit { what: "steps", limit: MAX_DEPTH }));
    assert_eq!(lookups, MAX_DEPTH);
}

#[tokio::test]
async fn a_circle_is_walked_once() {
    let names = Names::default()
        .link("a.example", [record("/dnsaddr/b.example")])
        .link("b.example", [record("/dnsaddr/a.example"), record("/ip4/192.0.2.1/tcp/1")]);
    let (found, lookups) = resolve_counting(names, "/dnsaddr/a.example").await;
    assert_eq!((found.unwrap().len(), lookups), (1, 2));
}

#[tokio::test]
async fn results_and_lookups_are_bounded() {
    let many_ips = (0..1000).map(|i| record(format!("/ip4/10.0.{}.{}/tcp/1", i / 250, i % 250)));
    let found = resolve(Names::default().link("a.example", many_ips), "/dnsaddr/a.example").await.unwrap();
    assert_eq!(found.len(), MAX_ADDRESSES);

    let fan_out =
        |level: &str| (0..60).map(|i| record(format!("/dnsaddr/{level}{i}.example"))).collect::<Vec<_>>();
    let mut names = Names::default().link("a.example", fan_out("b"));
    for i in 0..60 {
        names = names.link(&format!("b{i}.example"), fan_out(&format!("c{i}-")));
    }
    let (found, lookups) = resolve_counting(names, "/dnsaddr/a.example").await;
    assert!(found.is_err());
    assert!(lookups <= MAX_ADDRESSES + 1, "{lookups} lookups");
}

#[tokio::test]
async fn names_need_a_resolver() {
    let tcp = TcpTransport::with_resolver(TcpOptions::default(), None);
    let addr = "/dns4/a.example/tcp/1".parse().unwrap();
    assert_eq!(tcp.resolve(&addr).await, Err(TransportError::Unsupported));
}
