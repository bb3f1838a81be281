//! What a host can be told when it is built.

use std::time::Duration;

use bowline_yamux as yamux;

/// Settings of a host. Every combination is valid.
#[derive(Clone, Debug)]
pub struct Config {
    /// What identify tells peers about this program, such as `example/1.0.0`. Cut to 128 bytes.
    pub agent_version: String,
    /// What identify tells peers about the network. Informative; peers with another one are not refused.
    pub protocol_version: String,
    /// The time for a whole dial: names, every address, and the upgrade. Default 60 s.
    pub dial_timeout: Duration,
    /// The time for one public address, with its upgrade. Default 15 s.
    pub address_timeout: Duration,
    /// The time for one private or loopback address, with its upgrade. Default 5 s.
    pub private_address_timeout: Duration,
    /// How long a dial waits before it tries the next public address beside the first. Default 250 ms; a
    /// failure starts the next one at once.
    pub dial_stagger: Duration,
    /// The same for private and loopback addresses. Default 30 ms.
    pub private_dial_stagger: Duration,
    /// The time for the upgrade of an inbound link, from accept. Default 15 s.
    pub inbound_upgrade_timeout: Duration,
    /// The time for opening a stream on an open connection and, where the answer is waited for, for the
    /// negotiation. Default 10 s.
    pub open_timeout: Duration,
    /// The time in which a peer must say which protocol its stream is for. Default 10 s.
    pub negotiation_timeout: Duration,
    /// Inbound upgrades in progress; above it, new links wait unaccepted. Default 32.
    pub max_inbound_upgrades: usize,
    /// Connections in all, in both directions; above it, inbound links are closed and dials fail. Default 1,024.
    pub max_connections: usize,
    /// Inbound streams in negotiation per connection; while there are so many, further ones wait unacknowledged, and
    /// the peer's own backlog makes it wait. Default 256.
    pub max_negotiating_streams: usize,
    /// Whether `/perf/1.0.0` is served. It lets any peer use up bandwidth, so the default is no.
    pub serve_perf: bool,
    /// Settings of the muxer.
    pub yamux: yamux::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            agent_version: concat!("bowline/", env!("CARGO_PKG_VERSION")).to_owned(),
            protocol_version: "ipfs/0.1.0".to_owned(),
            dial_timeout: Duration::from_secs(60),
            address_timeout: Duration::from_secs(15),
            private_address_timeout: Duration::from_secs(5),
            dial_stagger: Duration::from_millis(250),
            private_dial_stagger: Duration::from_millis(30),
            inbound_upgrade_timeout: Duration::from_secs(15),
            open_timeout: Duration::from_secs(10),
            negotiation_timeout: Duration::from_secs(10),
            max_inbound_upgrades: 32,
            max_connections: 1024,
            max_negotiating_streams: 256,
            serve_perf: false,
            yamux: yamux::Config::default(),
        }
    }
}
