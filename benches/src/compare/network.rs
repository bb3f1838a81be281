//! What lies between the two sides of a run.

use std::{ffi::OsString, fmt, ops::Range, time::Duration};

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::compare::{link::Link, proxy::Proxy, rows::ROUND_TRIP};

/// The network that a row asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// As fast as the machine.
    Loopback,
    /// TCP ends at a proxy that delays: only what is above TCP sees the round trip.
    Proxy { rate: Option<Rate> },
    /// A delaying link, so that TCP sees the round trip too.
    Link { rate: Option<Rate> },
}

/// How fast a path carries each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) bits_per_second: u64,
}

impl Rate {
    /// How long the path is busy with so many bytes.
    pub(crate) fn time_for(self, bytes: usize) -> Duration {
        Duration::from_secs_f64(bytes as f64 * 8.0 / self.bits_per_second as f64)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bits_per_second / 1_000_000 {
            megabits if megabits >= 1_000 => write!(f, "{} Gbit/s", megabits / 1_000),
            megabits => write!(f, "{megabits} Mbit/s"),
        }
    }
}

/// What stands for the network in the slow rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Via {
    /// What each row asks for, with the proxy for all where there is no root.
    Auto,
    /// A link between two network namespaces for all of them. Needs root.
    Link,
    /// A delaying TCP proxy for all of them.
    Proxy,
}

impl Via {
    /// The network that stands for `path`.
    pub(crate) fn resolve(self, path: Path) -> Path {
        match (self, path) {
            (_, Path::Loopback) => Path::Loopback,
            (Self::Link, Path::Proxy { rate } | Path::Link { rate }) => Path::Link { rate },
            (Self::Proxy, Path::Proxy { rate } | Path::Link { rate }) => Path::Proxy { rate },
            (Self::Auto, Path::Link { rate }) if !Link::is_possible() => Path::Proxy { rate },
            (Self::Auto, path) => path,
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, rate) = match self {
            Self::Loopback => return f.write_str("loopback"),
            Self::Proxy { rate } => ("a delaying TCP proxy", rate),
            Self::Link { rate } => ("a TUN link between two network namespaces", rate),
        };
        write!(f, "{what}, {} ms", ROUND_TRIP.as_millis())?;
        rate.map_or(Ok(()), |rate| write!(f, ", {rate}"))
    }
}

/// A network that is up for one run, and gone when this is dropped.
pub(crate) enum Network {
    Loopback,
    Proxied { rate: Option<Rate>, proxy: Option<Proxy> },
    Linked(Link),
}

impl Network {
    /// A fresh one, so that no run meets what an earlier one left in queues or in the kernel's memory of peers.
    pub(crate) async fn set_up(path: Path) -> Result<Self> {
        Ok(match path {
            Path::Loopback => Self::Loopback,
            Path::Proxy { rate } => Self::Proxied { rate, proxy: None },
            Path::Link { rate } => Self::Linked(Link::set_up(ROUND_TRIP / 2, rate).await?),
        })
    }

    /// Where the server listens.
    pub(crate) fn listen(&self) -> String {
        match self {
            Self::Loopback | Self::Proxied { .. } => "127.0.0.1:0".to_owned(),
            Self::Linked(link) => format!("{}:0", link.server_address()),
        }
    }

    /// What the server's command begins with.
    pub(crate) fn server_prefix(&self) -> Vec<OsString> {
        match self {
            Self::Loopback | Self::Proxied { .. } => Vec::new(),
            Self::Linked(link) => link.server_prefix(),
        }
    }

    /// What the client's command begins with.
    pub(crate) fn client_prefix(&self) -> Vec<OsString> {
        match self {
            Self::Loopback | Self::Proxied { .. } => Vec::new(),
            Self::Linked(link) => link.client_prefix(),
        }
    }

    /// The address at which the client reaches a server that says it listens at `address`.
    pub(crate) async fn reach(&mut self, address: &str) -> Result<String> {
        match self {
            Self::Loopback | Self::Linked(_) => Ok(address.to_owned()),
            Self::Proxied { rate, proxy } => {
                let fresh = Proxy::start(port_of(address)?, ROUND_TRIP / 2, *rate).await?;
                let reached = with_port(address, fresh.port())?;
                *proxy = Some(fresh);
                Ok(reached)
            }
        }
    }
}

/// The TCP port in `/ip4/…/tcp/PORT/…` or `HOST:PORT`.
fn port_of(address: &str) -> Result<u16> {
    address[port_range(address)?].parse().with_context(|| format!("{address} has a TCP port"))
}

fn with_port(address: &str, port: u16) -> Result<String> {
    let mut replaced = address.to_owned();
    replaced.replace_range(port_range(address)?, &port.to_string());
    Ok(replaced)
}

/// Where the port stands in an address.
fn port_range(address: &str) -> Result<Range<usize>> {
    const PROTOCOL: &str = "/tcp/";
    let start = match address.find(PROTOCOL) {
        Some(at) => Some(at + PROTOCOL.len()),
        None => address.rfind(':').map(|at| at + 1),
    };
    let start = start.with_context(|| format!("{address} has a TCP port"))?;
    let end = address[start..].find('/').map_or(address.len(), |len| start + len);
    Ok(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_takes_the_place_of_the_server() {
        assert_eq!(
            with_port("/ip4/127.0.0.1/tcp/4001/p2p/12D3x", 9).unwrap(),
            "/ip4/127.0.0.1/tcp/9/p2p/12D3x"
        );
        assert_eq!(with_port("127.0.0.1:4001", 65_000).unwrap(), "127.0.0.1:65000");
        assert_eq!(port_of("/ip4/127.0.0.1/tcp/4001/p2p/12D3x").unwrap(), 4001);
        assert!(port_of("/ip4/127.0.0.1").is_err());
        assert!(port_of("127.0.0.1:x").is_err());
    }

    #[test]
    fn rates_say_how_long_bytes_take() {
        let gigabit = Rate { bits_per_second: 1_000_000_000 };
        assert_eq!(gigabit.time_for(1_500), Duration::from_micros(12));
        assert_eq!(gigabit.to_string(), "1 Gbit/s");
        assert_eq!(Rate { bits_per_second: 10_000_000 }.to_string(), "10 Mbit/s");
    }

    #[test]
    fn loopback_rows_stay_on_loopback() {
        let link = Path::Link { rate: None };
        assert_eq!(Via::Link.resolve(Path::Loopback), Path::Loopback);
        assert_eq!(Via::Proxy.resolve(link), Path::Proxy { rate: None });
        assert_eq!(Via::Link.resolve(Path::Proxy { rate: None }), link);
        assert_eq!(Via::Auto.resolve(Path::Proxy { rate: None }), Path::Proxy { rate: None });
    }
}
