//! Names in addresses: `/dns`, `/dns4`, `/dns6` and `/dnsaddr`.
//!
//! ```text
//!  /dnsaddr/example.com/p2p/Qm… ──TXT _dnsaddr.example.com──> "dnsaddr=/dns4/a.example.com/tcp/1/p2p/Qm…"
//!                                                             "dnsaddr=/dnsaddr/more.example.com/p2p/Qm…"
//!  /dns4/a.example.com/tcp/1/p2p/Qm… ──A──> /ip4/192.0.2.1/tcp/1/p2p/Qm…
//! ```
//!
//! Names come from strangers and lead to names that strangers choose, so both the depth and the number of
//! addresses are bounded, and with them the number of lookups.

#[cfg(feature = "dns")]
mod dns;

use std::{borrow::Cow, fmt::Debug, net::IpAddr};

use bowline_identity::{Multiaddr, PeerId, address::split_peer_id};
use bowline_transport::{BoxFuture, TransportError};
use futures_util::{StreamExt, stream};
use multiaddr::Protocol;

use crate::address;
#[cfg(feature = "dns")]
pub use dns::DnsResolver;

/// How many `/dnsaddr` may lead to one another.
pub const MAX_DEPTH: usize = 4;

/// Addresses, results and names still to look up, that one address may lead to.
pub const MAX_ADDRESSES: usize = 100;

/// Lookups under way at once for one address.
pub const MAX_CONCURRENT_LOOKUPS: usize = 8;

/// Looks names up. The seam between the rules for addresses and whoever knows the names.
pub trait Resolver: Send + Sync + Debug + 'static {
    /// The IP addresses of `name`, of both versions. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`TransportError::Resolve`] when there is no such name, or nobody to ask.
    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, TransportError>>;

    /// The TXT records of `name`, the strings of each one joined. Cancel-safe.
    ///
    /// # Errors
    ///
    /// As [`addresses`](Self::addresses).
    fn texts<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, TransportError>>;
}

/// One address with a name in it, read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// `/dns*/name/tcp/port[/p2p/…]`
    Host { name: String, versions: Versions, rest: Multiaddr },
    /// `/dnsaddr/name[/p2p/…]`
    Link { name: String, peer: Option<PeerId> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Versions {
    Both,
    Four,
    Six,
}

impl Versions {
    fn include(self, ip: IpAddr) -> bool {
        match self {
            Self::Both => true,
            Self::Four => ip.is_ipv4(),
            Self::Six => ip.is_ipv6(),
        }
    }
}

/// Whether `addr` is a name that can lead to an address that this transport dials.
pub(crate) fn is_name(addr: &Multiaddr) -> bool {
    read(addr).is_some()
}

fn read(addr: &Multiaddr) -> Option<Name> {
    let (bare, peer) = split_peer_id(addr);
    let mut parts = bare.iter();
    let owned = |name: Cow<'_, str>| name.into_owned();
    let (name, versions) = match parts.next()? {
        Protocol::Dns(name) => (owned(name), Versions::Both),
        Protocol::Dns4(name) => (owned(name), Versions::Four),
        Protocol::Dns6(name) => (owned(name), Versions::Six),
        Protocol::Dnsaddr(name) => {
            return parts.next().is_none().then(|| Name::Link { name: owned(name), peer });
        }
        _ => return None,
    };
    let tcp_alone = matches!(parts.next()?, Protocol::Tcp(port) if port != 0) && parts.next().is_none();
    tcp_alone.then(|| Name::Host { name, versions, rest: addr.iter().skip(1).collect() })
}

/// Follows the names in `addr` to the addresses that this transport dials, without repetition.
///
/// Addresses of other transports that a name leads to are left out. When some names fail, those that do
/// not are the result.
///
/// # Errors
///
/// When nothing is found: the first failure, or that a bound was met, or that nothing is ours.
pub(crate) async fn resolve(
    resolver: &dyn Resolver,
    addr: &Multiaddr,
) -> Result<Vec<Multiaddr>, TransportError> {
    let first = read(addr).ok_or(TransportError::Unsupported)?;
    let mut search = Search::default();
    let mut level = vec![first];
    let mut depth = 0;
    while !level.is_empty() {
        search.drop_deep_links(&mut level, depth);
        search.visited.extend(level.iter().cloned());
        // `buffered` keeps the order, so equal answers give equal results.
        let lookups = stream::iter(level).map(|name| async move { look_up(resolver, &name).await });
        let answers: Vec<_> = lookups.buffered(MAX_CONCURRENT_LOOKUPS).collect().await;
        level = search.take_level(answers);
        depth += 1;
    }
    search.finish()
}

async fn look_up(resolver: &dyn Resolver, name: &Name) -> Result<Vec<Multiaddr>, TransportError> {
    match name {
        Name::Host { name, versions, rest } => {
            let ips = resolver.addresses(name).await?;
            let found: Vec<_> = ips.into_iter().filter(|ip| versions.include(*ip)).collect();
            if found.is_empty() {
                let reason = "the name has no address of this IP version".to_owned();
                return Err(TransportError::Resolve { name: name.clone(), reason });
            }
            Ok(found.into_iter().map(|ip| Multiaddr::from(ip).iter().chain(rest.iter()).collect()).collect())
        }
        Name::Link { name, peer } => {
            let texts = resolver.texts(&format!("_dnsaddr.{name}")).await?;
            let linked = texts.iter().filter_map(|text| text.strip_prefix("dnsaddr=")?.parse().ok());
            // A record for another peer on the same name is not for this dial.
            let wanted = |addr: &Multiaddr| peer.is_none() || split_peer_id(addr).1 == *peer;
            Ok(linked.filter(wanted).collect())
        }
    }
}

/// What one resolution has found so far.
#[derive(Debug, Default)]
struct Search {
    found: Vec<Multiaddr>,
    /// Names that were looked up: each once, whatever circles they lead in.
    visited: Vec<Name>,
    first_failure: Option<TransportError>,
}

impl Search {
    /// Takes the links out of a level that is reached by [`MAX_DEPTH`] links already.
    fn drop_deep_links(&mut self, level: &mut Vec<Name>, depth: usize) {
        let names = level.len();
        level.retain(|name| depth < MAX_DEPTH || matches!(name, Name::Host { .. }));
        if level.len() < names {
            self.fail(TransportError::ResolveLimit { what: "steps", limit: MAX_DEPTH });
        }
    }

    /// Sorts the answers of one level into results and the names of the next level.
    fn take_level(&mut self, answers: Vec<Result<Vec<Multiaddr>, TransportError>>) -> Vec<Name> {
        let mut next = Vec::new();
        for answer in answers {
            match answer {
                Ok(addrs) => addrs.into_iter().for_each(|addr| self.take(addr, &mut next)),
                Err(error) => self.fail(error),
            }
        }
        next
    }

    fn take(&mut self, addr: Multiaddr, next: &mut Vec<Name>) {
        let full = self.found.len() + self.visited.len() + next.len() > MAX_ADDRESSES;
        let limit = TransportError::ResolveLimit { what: "addresses", limit: MAX_ADDRESSES };
        if address::dialable(&addr).is_some() {
            match self.found.contains(&addr) {
                true => {}
                false if full => self.fail(limit),
                false => self.found.push(addr),
            }
        } else if let Some(name) = read(&addr) {
            match self.visited.contains(&name) || next.contains(&name) {
                true => {}
                false if full => self.fail(limit),
                false => next.push(name),
            }
        }
    }

    /// Remembers the first failure; the others are told to whoever traces.
    fn fail(&mut self, error: TransportError) {
        tracing::debug!(%error, "a name led nowhere");
        self.first_failure.get_or_insert(error);
    }

    fn finish(self) -> Result<Vec<Multiaddr>, TransportError> {
        if self.found.is_empty() {
            return Err(self.first_failure.unwrap_or(TransportError::Unsupported));
        }
        Ok(self.found)
    }
}
