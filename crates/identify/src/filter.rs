//! Which addresses are worth sending and keeping, by where both ends are.

use std::collections::BTreeSet;

use bowline_identity::{Multiaddr, PeerId, address};
use multiaddr::Protocol;

use crate::{MAX_ADDRESS_LEN, MAX_ADDRESSES, info::Skipped};

/// From how far away an address can be reached; the order is from near to far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Only from this machine: loopback, in-process.
    Machine,
    /// From the same network: private and link-local addresses.
    Network,
    /// From everywhere, as far as the address tells. Names count as public.
    Public,
}

impl Reach {
    /// The reach of `addr`; `None` for an unspecified address, which nobody can reach.
    #[must_use]
    pub fn of(addr: &Multiaddr) -> Option<Self> {
        if address::is_unspecified(addr) {
            None
        } else if address::is_loopback(addr) || is_localhost(addr) {
            Some(Self::Machine)
        } else if address::is_private(addr) {
            Some(Self::Network)
        } else {
            Some(Self::Public)
        }
    }

    /// Whether an address of reach `self`, sent by a peer at `remote`, can be of use here.
    ///
    /// A peer out in the internet has no business naming our network or our loopback interface.
    fn is_plausible_from(self, remote: Self) -> bool {
        self >= remote
    }

    /// Whether an address of reach `self` may be told to a peer at `remote`.
    fn may_be_told_to(self, remote: Self) -> bool {
        self > Self::Machine || remote == Self::Machine
    }
}

fn is_localhost(addr: &Multiaddr) -> bool {
    match addr.iter().next() {
        Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)) => {
            name == "localhost" || name.ends_with(".localhost")
        }
        _ => false,
    }
}

/// Where a remote is whose socket address is `addr`; an odd one is treated as a stranger.
fn remote_reach(addr: &Multiaddr) -> Reach {
    Reach::of(addr).unwrap_or(Reach::Public)
}

/// Our addresses in the order in which they are worth a place in the message to `remote`, without those
/// that are of no use there.
pub(crate) fn to_send(addrs: &[Multiaddr], own: PeerId, remote: &Multiaddr) -> Vec<Multiaddr> {
    let remote = remote_reach(remote);
    let mut ranked = Vec::new();
    let mut seen = BTreeSet::new();
    for addr in addrs {
        // spec: multiaddr/identify-has-p2p (no deployed peer sends the suffix)
        let (bare, peer) = address::split_peer_id(addr);
        let Some(reach) = Reach::of(&bare) else { continue };
        let foreign = peer.is_some_and(|peer| peer != own);
        let sendable = !bare.is_empty() && bare.len() <= MAX_ADDRESS_LEN && reach.may_be_told_to(remote);
        if !foreign && sendable && seen.insert(bare.to_vec()) {
            ranked.push((std::cmp::Reverse(reach), !is_tcp(&bare), bare));
        }
    }
    // A stable sort: among equals the caller's order stands.
    ranked.sort_by_key(|(reach, not_tcp, _)| (*reach, *not_tcp));
    ranked.into_iter().map(|(_, _, bare)| bare).take(MAX_ADDRESSES).collect()
}

fn is_tcp(addr: &Multiaddr) -> bool {
    matches!(addr.iter().nth(1), Some(Protocol::Tcp(_)))
}

/// Takes the addresses that a peer sent, one by one, and keeps those that may be dialed.
#[derive(Debug)]
pub(crate) struct Keeper<'a> {
    peer: PeerId,
    remote: Reach,
    kept: Vec<Multiaddr>,
    skipped: &'a mut Skipped,
}

impl<'a> Keeper<'a> {
    pub(crate) fn new(peer: PeerId, remote_addr: &Multiaddr, skipped: &'a mut Skipped) -> Self {
        Self { peer, remote: remote_reach(remote_addr), kept: Vec::new(), skipped }
    }

    /// Judges one address in binary form.
    pub(crate) fn offer_bytes(&mut self, bytes: &[u8]) {
        // spec: multiaddr/garbage-tolerated, multiaddr/unknown-protocol
        match parse(bytes) {
            Some(addr) => self.offer(&addr),
            None => self.skipped.addresses_malformed += 1,
        }
    }

    /// Judges one address.
    pub(crate) fn offer(&mut self, addr: &Multiaddr) {
        let (bare, suffix) = address::split_peer_id(addr);
        let reach = Reach::of(&bare).filter(|reach| reach.is_plausible_from(self.remote));
        if bare.is_empty() || bare.len() > MAX_ADDRESS_LEN {
            self.skipped.addresses_malformed += 1;
        } else if suffix.is_some_and(|peer| peer != self.peer) {
            self.skipped.addresses_foreign += 1;
        } else if reach.is_none() {
            self.skipped.addresses_unreachable += 1;
        } else if self.kept.contains(&bare) {
            // Said twice is said once.
        } else if self.kept.len() >= MAX_ADDRESSES {
            self.skipped.addresses_over_limit += 1;
        } else {
            self.kept.push(bare);
        }
    }

    pub(crate) fn into_kept(self) -> Vec<Multiaddr> {
        self.kept
    }
}

/// Reads an address, `None` for garbage, for an overlong one and for nothing at all.
pub(crate) fn parse(bytes: &[u8]) -> Option<Multiaddr> {
    if bytes.is_empty() || bytes.len() > MAX_ADDRESS_LEN {
        return None;
    }
    Multiaddr::try_from(bytes.to_vec()).ok()
}
