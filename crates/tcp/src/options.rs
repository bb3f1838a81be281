//! What can be set on sockets.

use std::time::Duration;

/// Socket options. Every combination is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpOptions {
    /// Sends small segments at once instead of waiting for an acknowledgement. Default on: the muxer
    /// above gathers what belongs together.
    pub nodelay: bool,
    /// Probes a silent connection after this time, so that the operating system notices a dead peer
    /// even when nothing is sent. Default 30 s; `None` leaves probing off.
    pub keepalive: Option<Duration>,
    /// Bytes that may wait unsent in the kernel (`TCP_NOTSENT_LOWAT`) at first. Default 16 KiB: what waits in the
    /// kernel cannot be overtaken by a window update or a small request, and costs memory per connection. Whoever
    /// writes raises it on a fast path, see [`SocketWrite::limit_unsent`](bowline_transport::SocketWrite).
    /// `None` leaves the system's default, which is no bound. Ignored where the system knows no such option.
    pub notsent_lowat: Option<u32>,
    /// Dials from the port of a listener (`SO_REUSEPORT`), so that what a peer observes is an address at
    /// which we can be reached. Default off: two connections between the same two ports exclude each
    /// other, also for a while after the first has ended. Without effect except on Unix.
    pub port_reuse: bool,
    /// Connections that the kernel holds until they are accepted. Default 1,024; the system may lower it.
    pub backlog: u32,
    /// How long one dial may take. Default 5 s.
    pub connect_timeout: Duration,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            nodelay: true,
            keepalive: Some(Duration::from_secs(30)),
            notsent_lowat: Some(16 * 1024),
            port_reuse: false,
            backlog: 1024,
            connect_timeout: Duration::from_secs(5),
        }
    }
}
