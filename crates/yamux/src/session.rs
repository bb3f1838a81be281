//! The session: commands and queries. Input, output and the fate of streams have files of their own.

mod input;
mod lifecycle;
mod output;

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    CloseReason, Config, Event, OpenError, Party, Read, ReadError, Role, StreamId, WriteError,
    chunks::{Chunks, Spare},
    code,
    control::ControlQueue,
    flow::{Budget, Path},
    limits::{COPY_BELOW, INITIAL_WINDOW, Meters},
    ping::{Due, Pinger},
    scheduler::Scheduler,
    stream::{Handle, Opening, Receiving, Sending},
    table::Table,
};
use input::Parser;

/// A Yamux session: one end of a connection with many streams.
///
/// See the [crate] for the contract. All methods are total: for a stream that does not exist they return an
/// error or do nothing.
pub struct Session {
    config: Config,
    ending: Ending,
    table: Table,
    parser: Parser,
    control: ControlQueue,
    scheduler: Scheduler,
    events: VecDeque<Event>,
    pinger: Pinger,
    meters: Meters,
    memory: Memory,
    /// Streams that were finished and released, by when to look after them.
    detached: BTreeSet<(Instant, StreamId)>,
    traffic: Traffic,
    spare: Spare,
}

/// How far the session is from its end.
#[derive(Debug, Default)]
struct Ending {
    /// What the peer said.
    peer: Option<u32>,
    /// Why it is over.
    reason: Option<CloseReason>,
    /// The go-away that has to be sent.
    farewell: Option<u32>,
    /// `Event::Closed` is still to come, when the farewell has left.
    announce: bool,
}

/// What received bytes cost.
#[derive(Debug)]
struct Memory {
    budget: Budget,
    unread: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Traffic {
    bytes_in: u64,
    bytes_out: u64,
}

impl Traffic {
    fn total(self) -> u64 {
        self.bytes_in.wrapping_add(self.bytes_out)
    }
}

/// Numbers about a session, as of now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The smallest round-trip time of the last minute.
    pub rtt: Option<Duration>,
    /// The round-trip time measured last.
    pub latest_rtt: Option<Duration>,
    /// Streams that are open, or closed and not released yet.
    pub streams: usize,
    /// Those that the peer opened.
    pub inbound: usize,
    /// Payload bytes received on streams.
    pub bytes_in: u64,
    /// Payload bytes that streams accepted for sending.
    pub bytes_out: u64,
    /// Bytes received and not read yet.
    pub unread_bytes: usize,
    /// Bytes accepted for sending and not sent yet.
    pub queued_bytes: usize,
    /// Bytes of window that streams hold beyond what the specification gives each.
    pub grown_bytes: u64,
}

/// Numbers about one stream, as of now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamStats {
    /// The window that the peer gets on the stream, in bytes; it tunes itself.
    pub receive_window: u32,
    /// What the peer lets us send at once, in bytes.
    pub send_window: u32,
    /// Bytes received and not read yet.
    pub unread_bytes: usize,
    /// Bytes accepted for sending and not sent yet.
    pub queued_bytes: usize,
}

impl Session {
    /// A session at one end of a connection on which nothing was sent yet. A first ping is due at once.
    #[must_use]
    pub fn new(now: Instant, role: Role, config: Config) -> Self {
        let mut session = Self {
            ending: Ending::default(),
            table: Table::new(role),
            parser: Parser::default(),
            control: ControlQueue::default(),
            scheduler: Scheduler::default(),
            events: VecDeque::new(),
            pinger: Pinger::new(now, &config),
            meters: Meters::new(now),
            memory: Memory { budget: Budget::new(config.growth_budget_bytes), unread: 0 },
            detached: BTreeSet::new(),
            traffic: Traffic::default(),
            spare: Spare::default(),
            config,
        };
        // Without a round-trip time no window grows.
        session.poll_ping(now);
        session
    }

    /// Tells a round-trip time that was measured before the session began, as by a handshake over the same path.
    pub fn record_round_trip(&mut self, now: Instant, sample: Duration) {
        self.pinger.record(now, sample);
    }

    /// Lets time pass: pings, the end of a peer that fell silent, detached streams without progress. Early or
    /// repeated calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.spare.release();
        if self.is_closed() {
            return;
        }
        self.poll_ping(now);
        self.expire_detached(now);
        debug_assert!(self.is_within_budget(), "streams hold more than was set aside for them");
    }

    /// The bound on what a peer can make us hold: what the specification gives each stream, and the budget.
    fn is_within_budget(&self) -> bool {
        let committed: u64 =
            self.table.iter().map(|(_, stream)| u64::from(stream.receive.window.committed())).sum();
        committed <= self.table.len() as u64 * u64::from(INITIAL_WINDOW) + self.memory.budget.taken()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.is_closed() {
            return None;
        }
        let ping = self.pinger.deadline();
        Some(self.detached.first().map_or(ping, |(due, _)| ping.min(*due)))
    }

    /// Opens a stream. Nothing is sent yet: the SYN rides on the first frame, when something is written, when
    /// a read finds nothing, or with a finish.
    ///
    /// # Errors
    ///
    /// [`OpenError::Backlog`] while the peer owes acknowledgements for 256 streams, or too many are open.
    pub fn open(&mut self, now: Instant) -> Result<StreamId, OpenError> {
        if let Some(reason) = &self.ending.reason {
            return Err(OpenError::Closed(reason.clone()));
        }
        // spec: yamux/goaway-0-no-new-streams
        if let Some(code) = self.ending.peer {
            return Err(OpenError::Closed(CloseReason::Remote { code }));
        }
        self.table.open(now, &self.config)
    }

    /// Queues a prefix of `data`, which is taken off it, and says how much. Large pieces are shared, small ones
    /// copied together. Less than everything means that the queue is full: [`Event::Writable`] follows.
    ///
    /// # Errors
    ///
    /// When the stream is finished, reset or unknown, or the session is over.
    pub fn write(&mut self, _now: Instant, id: StreamId, data: &mut Bytes) -> Result<usize, WriteError> {
        self.write_with(id, data.len(), |queue, _, taken| queue.push(data.split_to(taken), COPY_BELOW))
    }

    /// Queues a copy of a prefix of `data`, and says how long it is. Otherwise as [`write`](Self::write).
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_slice(&mut self, _now: Instant, id: StreamId, data: &[u8]) -> Result<usize, WriteError> {
        self.write_with(id, data.len(), |queue, spare, taken| queue.push_copy(&data[..taken], spare))
    }

    /// Lets `push` append as much of `len` bytes as there is room for.
    fn write_with(
        &mut self,
        id: StreamId,
        len: usize,
        push: impl FnOnce(&mut Chunks, &mut Spare, usize),
    ) -> Result<usize, WriteError> {
        let stream = self.table.get_mut(id).filter(|stream| stream.handle == Handle::Held);
        let stream = stream.ok_or(WriteError::UnknownStream)?;
        if let Some(error) = stream.write_error() {
            return Err(error);
        }
        if let Some(reason) = &self.ending.reason {
            return Err(WriteError::Closed(reason.clone()));
        }
        let taken = self.scheduler.room(stream).min(len);
        if taken > 0 {
            push(&mut stream.send.queue, &mut self.spare, taken);
        }
        stream.send.waiting.wanted = taken < len;
        stream.used |= taken > 0;
        self.traffic.bytes_out += taken as u64;
        self.settle(id);
        Ok(taken)
    }

    /// Takes at most `max` bytes of what has arrived, and gives the peer credit for them.
    ///
    /// # Errors
    ///
    /// When the stream was reset or is unknown, or the session is over and everything was read.
    pub fn read(&mut self, now: Instant, id: StreamId, max: usize) -> Result<Read, ReadError> {
        let stream = self.table.get_mut(id).filter(|stream| stream.handle == Handle::Held);
        let stream = stream.ok_or(ReadError::UnknownStream)?;
        let Some(data) = stream.pop_received(max) else {
            return self.read_nothing(id);
        };
        stream.used = true;
        self.memory.unread -= data.len();
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        if stream.receive.state == Receiving::Open && self.ending.reason.is_none() {
            let min_rtt = self.pinger.round_trips().min();
            let ceiling = self.config.window_ceiling();
            let path = &mut Path { budget: &mut self.memory.budget, min_rtt, ceiling };
            stream.receive.window.consume(now, length, path);
            if stream.wants_update() != stream.update_listed {
                self.settle(id);
            }
        } else {
            stream.receive.window.discard(length, &mut self.memory.budget);
        }
        Ok(Read::Data(data))
    }

    fn read_nothing(&mut self, id: StreamId) -> Result<Read, ReadError> {
        let Some(stream) = self.table.get_mut(id) else {
            return Err(ReadError::UnknownStream);
        };
        match (stream.receive.state, &self.ending.reason) {
            (Receiving::Finished, _) => Ok(Read::Finished),
            (Receiving::Reset { code, by }, _) => Err(ReadError::Reset { code, by }),
            (Receiving::Open, Some(reason)) => Err(ReadError::Closed(reason.clone())),
            (Receiving::Open, None) => {
                stream.receive.waiting.wanted = true;
                if matches!(stream.opening, Opening::SynUnsent { wanted: false }) {
                    // Who waits for the peer to speak first has to tell it that there is a stream.
                    stream.want_syn();
                    self.settle(id);
                }
                Ok(Read::Pending)
            }
        }
    }

    /// Ends our direction: the FIN follows everything that was written. Again does nothing.
    ///
    /// # Errors
    ///
    /// When the stream was reset or is unknown, or the session is over.
    pub fn finish(&mut self, _now: Instant, id: StreamId) -> Result<(), WriteError> {
        let stream = self.table.get_mut(id).filter(|stream| stream.handle == Handle::Held);
        let stream = stream.ok_or(WriteError::UnknownStream)?;
        match stream.send.state {
            Sending::Reset { code, by } => return Err(WriteError::Reset { code, by }),
            Sending::Finishing | Sending::Finished => return Ok(()),
            Sending::Open => {}
        }
        if let Some(reason) = &self.ending.reason {
            return Err(WriteError::Closed(reason.clone()));
        }
        stream.send.state = Sending::Finishing;
        stream.want_syn();
        self.settle(id);
        Ok(())
    }

    /// Ends both directions at once with a code of [`code::stream`]. What was queued or received and not read
    /// is dropped. Does nothing on a stream that ended.
    pub fn reset(&mut self, _now: Instant, id: StreamId, code: u32) {
        if self.table.get(id).is_some_and(|stream| stream.handle == Handle::Held && stream.is_live()) {
            self.abort(id, code);
        }
    }

    /// The owner gives the stream up. A stream that was not finished is reset with code 0. For one that was,
    /// data and FIN still go out; the peer's end is awaited for
    /// [`detach_timeout`](Config::detach_timeout) after the last progress, and if it sends more payload, an
    /// RST follows the FIN.
    pub fn release(&mut self, now: Instant, id: StreamId) {
        let Some(stream) = self.table.get_mut(id).filter(|stream| stream.handle == Handle::Held) else {
            return;
        };
        self.memory.unread -= stream.drop_received(&mut self.memory.budget);
        if stream.is_live() && stream.send.state != Sending::Open && self.ending.reason.is_none() {
            self.detach(now, id);
        } else {
            if stream.is_live() {
                self.abort(id, code::stream::NONE);
            }
            if let Some(stream) = self.table.get_mut(id) {
                stream.handle = Handle::Released;
            }
        }
        self.settle(id);
    }

    /// Ends the session with a code of [`code::connection`]. What streams have queued is dropped: whoever
    /// wants it delivered waits until nothing is [left to transmit](Self::has_transmit) first. What was
    /// received can still be read. Again does nothing.
    pub fn go_away(&mut self, _now: Instant, code: u32) {
        self.close(CloseReason::Local { code }, Some(code));
    }

    /// The next event.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            let event = self.events.pop_front()?;
            let concerns = match &event {
                Event::Incoming(id) => self.table.get_mut(*id).is_some_and(|stream| {
                    let new = stream.handle == Handle::Unannounced;
                    stream.handle = if new { Handle::Held } else { stream.handle };
                    new
                }),
                Event::Readable(id) => self.table.get_mut(*id).is_some_and(|stream| {
                    stream.receive.waiting.queued = false;
                    stream.handle == Handle::Held
                }),
                Event::Writable(id) => self.table.get_mut(*id).is_some_and(|stream| {
                    stream.send.waiting.queued = false;
                    stream.handle == Handle::Held
                }),
                Event::OpenAvailable | Event::GoAway { .. } | Event::Closed(_) => true,
            };
            if concerns {
                return Some(event);
            }
        }
    }

    /// Whether the peer has shown that it knows a stream of ours.
    #[must_use]
    pub fn stream_acknowledged(&self, id: StreamId) -> bool {
        let stream = self.table.get(id).filter(|stream| stream.origin == Party::Local);
        stream.is_some_and(|stream| stream.opening == Opening::Open)
    }

    /// Whether the session is over. A farewell may still be left to transmit.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.ending.reason.is_some()
    }

    /// Why the session is over, if it is.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.ending.reason.clone()
    }

    /// Numbers about the session. Cheap.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            rtt: self.pinger.round_trips().min(),
            latest_rtt: self.pinger.round_trips().latest(),
            streams: self.table.len(),
            inbound: self.table.inbound(),
            bytes_in: self.traffic.bytes_in,
            bytes_out: self.traffic.bytes_out,
            unread_bytes: self.memory.unread,
            queued_bytes: self.scheduler.queued(),
            grown_bytes: self.memory.budget.taken(),
        }
    }

    /// Numbers about one stream, as of now.
    #[must_use]
    pub fn stream_stats(&self, id: StreamId) -> Option<StreamStats> {
        let stream = self.table.get(id)?;
        Some(StreamStats {
            receive_window: stream.receive.window.target(),
            send_window: stream.send.window,
            unread_bytes: stream.receive.chunks.len(),
            queued_bytes: stream.send.queue.len(),
        })
    }

    fn poll_ping(&mut self, now: Instant) {
        match self.pinger.poll(now) {
            Due::Nothing => {}
            Due::Ping { value } => self.control.ping = Some(value),
            Due::PeerIsGone => {
                self.close(CloseReason::KeepAliveTimeout, Some(code::connection::INTERNAL_ERROR));
            }
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("stats", &self.stats())
            .field("ending", &self.ending)
            .finish_non_exhaustive()
    }
}
