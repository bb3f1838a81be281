//! The order in which addresses are tried.

use bowline_identity::{Multiaddr, address};

/// Sorts addresses for happy eyeballs: near ones first, and within each group the families in turn, IPv6 first,
/// so that one broken family costs one stagger. Equal addresses are tried once.
pub(super) fn rank(addrs: impl IntoIterator<Item = Multiaddr>) -> Vec<Multiaddr> {
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for addr in addrs {
        let group = if is_near(&addr) { &mut near } else { &mut far };
        if !group.contains(&addr) {
            group.push(addr);
        }
    }
    let mut ranked = alternate(near);
    ranked.append(&mut alternate(far));
    ranked
}

/// Whether an address is on this machine or in this network.
pub(super) fn is_near(addr: &Multiaddr) -> bool {
    address::is_loopback(addr) || address::is_private(addr)
}

fn alternate(addrs: Vec<Multiaddr>) -> Vec<Multiaddr> {
    let (six, four): (Vec<_>, Vec<_>) = addrs.into_iter().partition(is_ip6);
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    let mut ranked = Vec::new();
    loop {
        let pair = (six.next(), four.next());
        if pair == (None, None) {
            return ranked;
        }
        ranked.extend(pair.0);
        ranked.extend(pair.1);
    }
}

fn is_ip6(addr: &Multiaddr) -> bool {
    addr.protocol_stack().next().is_some_and(|name| name.starts_with("ip6"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(addrs: &[&str]) -> Vec<String> {
        rank(addrs.iter().map(|addr| addr.parse().unwrap())).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn near_addresses_come_first_and_families_alternate() {
        let order = ranked(&[
            "/ip4/198.51.100.1/tcp/1",
            "/ip4/198.51.100.2/tcp/1",
            "/ip6/2001:db9::1/tcp/1",
            "/ip4/192.168.0.1/tcp/1",
        ]);
        let expected = [
            "/ip4/192.168.0.1/tcp/1",
            "/ip6/2001:db9::1/tcp/1",
            "/ip4/198.51.100.1/tcp/1",
            "/ip4/198.51.100.2/tcp/1",
        ];
        assert_eq!(order, expected);
    }

    #[test]
    fn an_address_that_is_given_twice_is_tried_once() {
        assert_eq!(ranked(&["/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1"]).len(), 1);
    }
}
