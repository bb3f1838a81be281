//! What addresses say about peers and places, without showing foreign types.

use std::net::IpAddr;

use multiaddr::{Multiaddr, Protocol};

use crate::PeerId;

/// The peer that an address ends in, if it does.
#[must_use]
pub fn peer_id(addr: &Multiaddr) -> Option<PeerId> {
    match addr.iter().last() {
        Some(Protocol::P2p(peer)) => PeerId::from_bytes(&peer.to_bytes()).ok(),
        _ => None,
    }
}

/// The address with `/p2p/<peer>` at its end, in place of another peer that stood there.
#[must_use]
pub fn with_peer_id(addr: Multiaddr, peer: PeerId) -> Multiaddr {
    let mut addr = addr;
    if matches!(addr.iter().last(), Some(Protocol::P2p(_))) {
        addr.pop();
    }
    let peer = multiaddr::PeerId::from_bytes(&peer.to_bytes());
    addr.with(Protocol::P2p(peer.expect("multiaddr takes every identity and sha2-256 multihash that we do")))
}

/// The address without `/p2p` at its end, and the peer that stood there.
///
/// What is no peer id of ours, such as a cut-off hash, stays where it is: the rest would be dialed as anybody's.
#[must_use]
pub fn split_peer_id(addr: &Multiaddr) -> (Multiaddr, Option<PeerId>) {
    match peer_id(addr) {
        Some(peer) => {
            let mut addr = addr.clone();
            addr.pop();
            (addr, Some(peer))
        }
        None => (addr.clone(), None),
    }
}

/// The IP address that an address begins with, if it does.
#[must_use]
pub fn ip(addr: &Multiaddr) -> Option<IpAddr> {
    match addr.iter().find(|part| !matches!(part, Protocol::Ip6zone(_)))? {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(ip.to_canonical()),
        _ => None,
    }
}

/// Whether an address is on this machine: loopback, or in-memory.
#[must_use]
pub fn is_loopback(addr: &Multiaddr) -> bool {
    match addr.iter().next() {
        Some(Protocol::Memory(_) | Protocol::Unix(_)) => true,
        _ => ip(addr).is_some_and(|ip| ip.is_loopback()),
    }
}

/// Whether an address is of a private network: not this machine, and not routed in public.
#[must_use]
pub fn is_private(addr: &Multiaddr) -> bool {
    match ip(addr) {
        Some(IpAddr::V4(ip)) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_private() || ip.is_link_local() || shared
        }
        Some(IpAddr::V6(ip)) => ip.is_unique_local() || ip.is_unicast_link_local(),
        None => false,
    }
}

/// Whether an address stands for every interface, as a listener's may.
#[must_use]
pub fn is_unspecified(addr: &Multiaddr) -> bool {
    ip(addr).is_some_and(|ip| ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Keypair;

    fn addr(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_peer_id_is_put_on_and_taken_off() {
        let peer = Keypair::from_ed25519_seed([1; 32]).peer_id();
        let other = Keypair::from_ed25519_seed([2; 32]).peer_id();
        let bare = addr("/ip4/127.0.0.1/tcp/4001");
        let full = with_peer_id(bare.clone(), peer);
        assert_eq!(full, addr(&format!("/ip4/127.0.0.1/tcp/4001/p2p/{peer}")));
        assert_eq!(split_peer_id(&full), (bare.clone(), Some(peer)));
        assert_eq!(split_peer_id(&bare), (bare.clone(), None));
        assert_eq!(peer_id(&with_peer_id(full, other)), Some(other));
    }

    #[test]
    fn an_id_that_no_peer_can_have_stays_and_can_be_replaced() {
        let short = [&[0x04, 127, 0, 0, 1, 0x06, 0x0f, 0xa1, 0xa5, 0x03, 5, 0x12, 3][..], &[7; 3]].concat();
        let short = Multiaddr::try_from(short).unwrap();
        assert_eq!(split_peer_id(&short), (short.clone(), None));
        let peer = Keypair::from_ed25519_seed([1; 32]).peer_id();
        assert_eq!(with_peer_id(short, peer), with_peer_id(addr("/ip4/127.0.0.1/tcp/4001"), peer));
    }

    #[test]
    fn the_last_peer_of_a_relayed_address_is_the_one_it_leads_to() {
        let relay = Keypair::from_ed25519_seed([1; 32]).peer_id();
        let peer = Keypair::from_ed25519_seed([2; 32]).peer_id();
        let through = addr(&format!("/ip4/127.0.0.1/tcp/4001/p2p/{relay}/p2p-circuit"));
        assert_eq!(peer_id(&through), None);
        assert_eq!(peer_id(&with_peer_id(through, peer)), Some(peer));
    }

    #[test]
    fn places_are_told_apart() {
        let loopback = ["/ip4/127.0.0.9/tcp/1", "/ip6/::1/tcp/1", "/memory/1", "/ip6/::ffff:127.0.0.1/tcp/1"];
        let private = [
            "/ip4/10.1.2.3/tcp/1",
            "/ip4/192.168.1.1/tcp/1",
            "/ip4/100.64.0.1/tcp/1",
            "/ip6/fd00::1/tcp/1",
            "/ip6/fe80::1/tcp/1",
        ];
        let neither = [
            "/ip4/1.1.1.1/tcp/1",
            "/ip6/2001:4860::1/tcp/1",
            "/dns/example.com/tcp/1",
            "/ip4/100.128.0.1/tcp/1",
        ];
        for text in loopback {
            assert!(is_loopback(&addr(text)) && !is_private(&addr(text)), "{text}");
        }
        for text in private {
            assert!(is_private(&addr(text)) && !is_loopback(&addr(text)), "{text}");
        }
        for text in neither {
            assert!(!is_private(&addr(text)) && !is_loopback(&addr(text)), "{text}");
        }
        assert!(is_unspecified(&addr("/ip6/::/tcp/0")) && !is_unspecified(&addr("/ip6/::1/tcp/0")));
    }
}
