//! Between multiaddrs and socket addresses.

use std::net::{IpAddr, SocketAddr};

use bowline_identity::{Multiaddr, address::split_peer_id};
use multiaddr::Protocol;

/// The socket address of an IP address with a TCP port, with or without `/p2p`; `None` for anything else.
pub(crate) fn socket_addr(addr: &Multiaddr) -> Option<SocketAddr> {
    let (bare, _) = split_peer_id(addr);
    let mut parts = bare.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    let Protocol::Tcp(port) = parts.next()? else {
        return None;
    };
    parts.next().is_none().then_some(SocketAddr::new(ip, port))
}

/// As [`socket_addr`], without the addresses at which nobody can be: port 0 and unspecified ones.
pub(crate) fn dialable(addr: &Multiaddr) -> Option<SocketAddr> {
    socket_addr(addr).filter(|addr| addr.port() != 0 && !addr.ip().is_unspecified())
}

/// `addr` as a multiaddr.
pub(crate) fn multiaddr(addr: SocketAddr) -> Multiaddr {
    Multiaddr::from(addr.ip()).with(Protocol::Tcp(addr.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<SocketAddr> {
        socket_addr(&text.parse().unwrap())
    }

    #[test]
    fn an_ip_with_a_tcp_port_is_a_socket_address_and_back() {
        for (text, expected) in [
            ("/ip4/192.0.2.1/tcp/4001", "192.0.2.1:4001"),
            ("/ip6/2001:db8::1/tcp/4001", "[2001:db8::1]:4001"),
            ("/ip4/0.0.0.0/tcp/0", "0.0.0.0:0"),
        ] {
            let addr: SocketAddr = expected.parse().unwrap();
            assert_eq!(parse(text), Some(addr));
            assert_eq!(multiaddr(addr).to_string(), text);
        }
    }

    #[test]
    fn the_peer_id_does_not_matter() {
        let with_peer = "/ip4/192.0.2.1/tcp/1/p2p/12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB";
        assert_eq!(parse(with_peer), parse("/ip4/192.0.2.1/tcp/1"));
    }

    #[test]
    fn everything_else_is_not_ours() {
        for text in [
            "/ip4/192.0.2.1",
            "/tcp/1",
            "/ip4/192.0.2.1/udp/1",
            "/ip4/192.0.2.1/udp/1/quic-v1",
            "/ip4/192.0.2.1/tcp/1/ws",
            "/ip4/192.0.2.1/tcp/1/tls/ws",
            "/dns4/example.com/tcp/1",
            "/memory/1",
            "/ip4/192.0.2.1/tcp/1/p2p/12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB/p2p-circuit",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(socket_addr(&Multiaddr::empty()), None);
    }

    #[test]
    fn nobody_is_at_port_zero_or_at_an_unspecified_address() {
        for text in ["/ip4/192.0.2.1/tcp/0", "/ip4/0.0.0.0/tcp/1", "/ip6/::/tcp/1"] {
            assert_eq!(dialable(&text.parse().unwrap()), None, "{text}");
        }
    }
}
