//! Two sessions at the ends of a simulated path, one sending bulk and one reading it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use bowline_sim::{Arrival, Clock, LinkConfig, Node, Outcome, Pair, earliest};
use bowline_yamux::{Config, Event, Read, Role, Session, StreamId};
use bytes::{Bytes, BytesMut};

pub(crate) const KIB: usize = 1024;
pub(crate) const MIB: usize = 1024 * 1024;

/// What the kernel takes ahead of the wire.
const SEND_BUFFER: u64 = 128 * 1024;

const TICK: Duration = Duration::from_millis(1);

/// How an end reads.
pub(crate) enum Reader {
    /// Whatever is there, at once.
    Greedy,
    /// So much in every millisecond.
    Paced { bytes_per_ms: usize },
    /// Nothing.
    Stopped,
}

/// One end.
pub(crate) struct Peer {
    pub(crate) session: Session,
    pub(crate) reader: Reader,
    /// Streams with the bytes that are still to be written on them.
    sources: Vec<(StreamId, usize)>,
    streams: BTreeSet<StreamId>,
    pub(crate) received: usize,
    pub(crate) received_on: BTreeMap<StreamId, usize>,
    /// Bytes per second that the wire takes from us; `None` is no limit.
    pub(crate) wire: Option<u64>,
    /// When the wire will have sent all that it was given.
    wire_free: Instant,
    next_read: Instant,
    chunk: Bytes,
}

impl Peer {
    fn new(now: Instant, role: Role, config: Config, round_trip: Duration) -> Self {
        let mut session = Session::new(now, role, config);
        session.record_round_trip(now, round_trip);
        Self {
            session,
            reader: Reader::Greedy,
            sources: Vec::new(),
            streams: BTreeSet::new(),
            received: 0,
            received_on: BTreeMap::new(),
            wire: None,
            wire_free: now,
            next_read: now,
            chunk: Bytes::from(vec![0; 64 * KIB]),
        }
    }

    /// Finishes the streams that we write on.
    pub(crate) fn finish(&mut self) {
        for (id, _) in std::mem::take(&mut self.sources) {
            self.session.finish(Clock::new().now(), id).expect("open");
        }
    }

    fn write(&mut self, now: Instant) {
        for (id, left) in &mut self.sources {
            loop {
                let mut chunk = self.chunk.slice(..self.chunk.len().min(*left));
                let taken = self.session.write(now, *id, &mut chunk).expect("open");
                *left -= taken;
                if taken == 0 {
                    break;
                }
            }
        }
    }

    fn read(&mut self, now: Instant) {
        let mut left = match self.reader {
            Reader::Greedy => usize::MAX,
            Reader::Stopped => 0,
            Reader::Paced { .. } if now < self.next_read => 0,
            Reader::Paced { bytes_per_ms } => {
                self.next_read = now + TICK;
                bytes_per_ms
            }
        };
        for id in &self.streams {
            while left > 0
                && let Ok(Read::Data(data)) = self.session.read(now, *id, left)
            {
                left -= data.len();
                self.received += data.len();
                *self.received_on.entry(*id).or_default() += data.len();
            }
        }
    }

    fn work(&mut self, now: Instant) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Incoming(id) => drop(self.streams.insert(id)),
                Event::Closed(reason) => panic!("closed: {reason}"),
                _ => {}
            }
        }
        self.read(now);
        self.write(now);
    }
}

impl Node for Peer {
    fn handle_arrival(&mut self, now: Instant, arrival: Arrival) {
        let Arrival::Data(bytes) = arrival else { panic!("{arrival:?}") };
        self.session.handle_input(now, bytes).expect("a peer that keeps the rules");
        self.work(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.session.handle_timeout(now);
        self.work(now);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        self.work(now);
        if self.wire_room_at().is_some_and(|room_at| now < room_at) {
            return None;
        }
        let mut out = BytesMut::new();
        let appended = self.session.poll_transmit(now, &mut out, 65_519);
        if let Some(rate) = self.wire {
            self.wire_free = self.wire_free.max(now) + time_for(out.len() as u64, rate);
        }
        appended.then(|| out.freeze())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let paced = matches!(self.reader, Reader::Paced { .. }) && self.session.stats().unread_bytes > 0;
        let wire = self.wire_room_at().filter(|_| self.session.has_transmit());
        earliest([self.session.poll_timeout(), paced.then_some(self.next_read), wire])
    }
}

impl Peer {
    fn can_transmit(&self, now: Instant) -> bool {
        self.session.has_transmit() && self.wire_room_at().is_none_or(|room_at| now >= room_at)
    }

    /// When the send buffer takes more.
    fn wire_room_at(&self) -> Option<Instant> {
        self.wire.map(|rate| self.wire_free - time_for(SEND_BUFFER, rate))
    }
}

fn time_for(bytes: u64, rate: u64) -> Duration {
    Duration::from_nanos(bytes * 1_000_000_000 / rate)
}

/// Both ends and what is between them.
pub(crate) type Peers = Pair<Peer, Peer>;

/// A path from left to right.
pub(crate) struct Path {
    pub(crate) pair: Peers,
}

impl Path {
    /// Two ends that know the path's length from their handshake.
    pub(crate) fn new(round_trip: Duration, bandwidth: Option<u64>, config: Config) -> Self {
        let clock = Clock::new();
        let link = LinkConfig { latency: round_trip / 2, bandwidth, ..LinkConfig::default() };
        let left = Peer::new(clock.now(), Role::Client, config.clone(), round_trip);
        let right = Peer::new(clock.now(), Role::Server, config, round_trip);
        Self { pair: Pair::new(clock, left, right, link, 1) }
    }

    /// Sends bytes on the first stream, or on a new one where the last is still busy.
    pub(crate) fn send(&mut self, bytes: usize) -> StreamId {
        let left = &mut self.pair.left;
        if let Some((id, to_write)) = left.sources.last_mut().filter(|(_, to_write)| *to_write == 0) {
            *to_write = bytes;
            let id = *id;
            left.work(self.pair.clock.now());
            return id;
        }
        let id = left.session.open(self.pair.clock.now()).expect("room");
        left.sources.push((id, bytes));
        left.work(self.pair.clock.now());
        id
    }

    pub(crate) fn run_until_received(&mut self, bytes: usize, limit: Duration) -> Outcome {
        self.pair.run_until(limit, |pair| pair.right.received >= bytes)
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.pair.clock.now() + time;
        while earliest([self.pair.left.poll_timeout(), self.pair.right.poll_timeout()])
            .into_iter()
            .chain(
                [self.pair.rightward.poll_timeout(), self.pair.leftward.poll_timeout()].into_iter().flatten(),
            )
            .min()
            .is_some_and(|next| next <= end)
            || self.pair.left.can_transmit(self.pair.clock.now())
            || self.pair.right.can_transmit(self.pair.clock.now())
        {
            self.pair.step();
        }
        self.pair.clock.advance_to(end);
    }

    /// The largest window that the receiver gives on any stream.
    #[allow(dead_code, reason = "the table's")]
    pub(crate) fn largest_window(&self) -> u32 {
        let right = &self.pair.right;
        let windows = right.streams.iter().filter_map(|id| right.session.stream_stats(*id));
        windows.map(|stats| stats.receive_window).max().unwrap_or_default()
    }

    /// The window that the receiver gives on the first stream.
    pub(crate) fn window(&self) -> u32 {
        self.pair.right.session.stream_stats(StreamId::new(1)).expect("open").receive_window
    }
}
