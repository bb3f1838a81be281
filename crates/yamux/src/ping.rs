//! When to ping, and what an answer or its absence means.

use std::time::{Duration, Instant};

use crate::{Config, rtt::RoundTrips};

/// Payload that may move during a ping that still tells the length of the path, in bytes.
const QUIET: u64 = 64 * 1024;

/// Pings of ours: the round-trip time, and whether the peer is still there.
#[derive(Debug)]
pub(crate) struct Pinger {
    next: Instant,
    /// Pings made so far; the next one's value.
    count: u32,
    flight: Option<Flight>,
    heard: Instant,
    round_trips: RoundTrips,
    interval: Duration,
    timeout: Duration,
}

/// A ping that is not answered.
#[derive(Debug)]
struct Flight {
    value: u32,
    /// Since when we wait: made, then sent.
    since: Instant,
    sent: bool,
    /// Payload bytes of the session, both ways, when it was sent.
    traffic: u64,
    /// Whether silence until the timeout ends the session.
    watched: bool,
}

/// What time has brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Ping { value: u32 },
    PeerIsGone,
}

impl Pinger {
    pub(crate) fn new(now: Instant, config: &Config) -> Self {
        Self {
            next: now,
            count: 0,
            flight: None,
            heard: now,
            round_trips: RoundTrips::default(),
            interval: config.ping_interval(),
            timeout: config.ping_timeout(),
        }
    }

    pub(crate) fn poll(&mut self, now: Instant) -> Due {
        if let Some(flight) = &mut self.flight
            && flight.watched
            && now >= flight.since + self.timeout
        {
            if self.heard <= flight.since {
                return Due::PeerIsGone;
            }
            flight.watched = false;
        }
        if now < self.next {
            return Due::Nothing;
        }
        self.next = now + self.interval;
        if self.flight.as_ref().is_some_and(|flight| flight.watched || !flight.sent) {
            return Due::Nothing;
        }
        let value = self.count;
        self.count = self.count.wrapping_add(1);
        // The first ping goes out while the peer may still be busy with the handshake.
        self.flight = Some(Flight { value, since: now, sent: false, traffic: 0, watched: value > 0 });
        Due::Ping { value }
    }

    /// The ping leaves, when so much payload has been moved by the session.
    pub(crate) fn sent(&mut self, now: Instant, traffic: u64) {
        if let Some(flight) = &mut self.flight {
            flight.traffic = traffic;
            flight.since = now;
            flight.sent = true;
        }
    }

    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    // spec: yamux/ping-unsolicited-ack: what answers no ping of ours is ignored.
    pub(crate) fn pong(&mut self, now: Instant, value: u32, traffic: u64) {
        let answered = self.flight.take_if(|flight| flight.sent && flight.value == value);
        if let Some(flight) = answered {
            let under_load = traffic.saturating_sub(flight.traffic) > QUIET;
            let sample = now.saturating_duration_since(flight.since);
            self.round_trips.record(now, sample, under_load);
        }
    }

    /// A round trip that no ping of ours measured.
    pub(crate) fn record(&mut self, now: Instant, sample: Duration) {
        self.round_trips.record(now, sample, false);
    }

    pub(crate) fn deadline(&self) -> Instant {
        match &self.flight {
            Some(flight) if flight.watched => self.next.min(flight.since + self.timeout),
            Some(_) | None => self.next,
        }
    }

    pub(crate) fn round_trips(&self) -> &RoundTrips {
        &self.round_trips
    }
}
