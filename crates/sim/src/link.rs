//! One direction of a byte stream, with delay, a bandwidth, pieces of chance size, and one fault.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};

use crate::Rng;

/// How a link behaves. The default is perfect: no delay, no limit, nothing split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkConfig {
    /// From the departure of a piece to its arrival.
    pub latency: Duration,
    /// Bytes per second; `None` is no limit.
    pub bandwidth: Option<u64>,
    /// In which pieces bytes arrive.
    pub split: Split,
    /// What goes wrong.
    pub fault: Option<Fault>,
}

/// In which pieces bytes arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Split {
    /// As they were sent.
    #[default]
    Whole,
    /// One by one.
    Bytewise,
    /// In pieces of chance size, from 1 byte to so many.
    Random(usize),
}

/// One thing that goes wrong, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The number of the byte at which it happens, counted from 0 over the life of the link. The bytes
    /// before it arrive.
    pub at: u64,
    /// What happens.
    pub kind: FaultKind,
}

/// What can happen to a byte stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The stream ends here as if the sender had finished.
    Truncate,
    /// This byte arrives with these bits flipped.
    Corrupt(u8),
    /// Nothing arrives from here on, and no end either.
    Stall,
    /// The stream breaks here.
    Reset,
}

/// What comes out of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// Bytes; never none.
    Data(Bytes),
    /// The sender finished.
    End,
    /// The stream broke.
    Reset,
}

/// One direction of a byte stream. Order is kept, and without a fault every byte arrives.
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
    rng: Rng,
    under_way: VecDeque<(Instant, Arrival)>,
    bytes_under_way: usize,
    /// When the last piece has left the sender.
    busy_until: Option<Instant>,
    sent: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The sender finished, or a fault ended the stream: what is sent from now on is lost.
    Closed,
}

impl Link {
    /// A link whose pieces depend on `seed`.
    #[must_use]
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        Self {
            config,
            rng: Rng::new(seed),
            under_way: VecDeque::new(),
            bytes_under_way: 0,
            busy_until: None,
            sent: 0,
            state: State::Open,
        }
    }

    /// Sends bytes at `now`. Bytes after the end, or after a fault that ends the stream, are lost.
    pub fn send(&mut self, now: Instant, bytes: Bytes) {
        if self.state == State::Closed || bytes.is_empty() {
            return;
        }
        let start = self.sent;
        let end = start + bytes.len() as u64;
        let fault = self.config.fault.filter(|fault| (start..end).contains(&fault.at));
        let Some(fault) = fault else {
            return self.enqueue(now, bytes);
        };
        let before = usize::try_from(fault.at - start).unwrap_or(usize::MAX);
        if let FaultKind::Corrupt(bits) = fault.kind {
            let mut damaged = BytesMut::from(bytes);
            damaged[before] ^= bits;
            return self.enqueue(now, damaged.freeze());
        }
        self.enqueue(now, bytes.slice(..before));
        self.state = State::Closed;
        match fault.kind {
            FaultKind::Truncate => self.push(now, 0, Arrival::End),
            FaultKind::Reset => self.push(now, 0, Arrival::Reset),
            FaultKind::Stall | FaultKind::Corrupt(_) => {}
        }
    }

    /// The sender finishes at `now`; the end arrives after all bytes.
    pub fn finish(&mut self, now: Instant) {
        if self.state == State::Open {
            self.state = State::Closed;
            self.push(now, 0, Arrival::End);
        }
    }

    /// The sender breaks the stream at `now`; what is under way still arrives.
    pub fn reset(&mut self, now: Instant) {
        if self.state == State::Open {
            self.state = State::Closed;
            self.push(now, 0, Arrival::Reset);
        }
    }

    /// What has arrived by `now`, one piece per call.
    #[must_use]
    pub fn poll_arrival(&mut self, now: Instant) -> Option<Arrival> {
        let (_, arrival) = self.under_way.pop_front_if(|(due, _)| *due <= now)?;
        if let Arrival::Data(bytes) = &arrival {
            self.bytes_under_way -= bytes.len();
        }
        Some(arrival)
    }

    /// When the next piece arrives.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.under_way.front().map(|(due, _)| *due)
    }

    /// Bytes that were sent and have not been taken out.
    #[must_use]
    pub fn bytes_under_way(&self) -> usize {
        self.bytes_under_way
    }

    /// Changes the behaviour for what is sent from now on.
    pub fn set_config(&mut self, config: LinkConfig) {
        self.config = config;
    }

    fn enqueue(&mut self, now: Instant, mut bytes: Bytes) {
        self.sent += bytes.len() as u64;
        self.bytes_under_way += bytes.len();
        while !bytes.is_empty() {
            let len = match self.config.split {
                Split::Whole => bytes.len(),
                Split::Bytewise => 1,
                Split::Random(max) => self.rng.length(max).min(bytes.len()),
            };
            let piece = bytes.split_to(len);
            self.push(now, len, Arrival::Data(piece));
        }
    }

    /// Puts a piece under way that occupies the wire for `len` bytes.
    fn push(&mut self, now: Instant, len: usize, arrival: Arrival) {
        let free = self.busy_until.map_or(now, |busy| busy.max(now));
        let departed = free + self.time_on_wire(len);
        self.busy_until = Some(departed);
        // A latency that was lowered meanwhile must not let this piece overtake an earlier one.
        let earlier = self.under_way.back().map_or(departed, |(due, _)| *due);
        self.under_way.push_back(((departed + self.config.latency).max(earlier), arrival));
    }

    fn time_on_wire(&self, len: usize) -> Duration {
        let Some(bandwidth) = self.config.bandwidth else {
            return Duration::ZERO;
        };
        let nanoseconds = len as u128 * 1_000_000_000 / u128::from(bandwidth.max(1));
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}
