//! The part of a connection that streams touch: a yamux session behind one short lock.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Instant,
};

use bowline_transport::{CloseReason, ConnectionStats, MuxedConnection, Party, StreamError, StreamId};
use bowline_yamux as yamux;
use bytes::{Bytes, BytesMut};

use super::outbound::{Outbound, SENDS_PER_TURN};
use crate::clock::now;

/// A yamux session that streams and one driver share.
#[derive(Clone)]
pub(crate) struct SessionConnection {
    shared: Arc<Mutex<Shared>>,
}

pub(super) struct Shared {
    pub(super) session: yamux::Session,
    pub(super) waiting: Waiting,
    /// Why the connection ended; nothing changes after it is set.
    pub(super) closed: Option<CloseReason>,
    /// We asked for the end with this code.
    pub(super) closing: Option<u32>,
    /// The peer said that it would end, with this code.
    farewell: Option<u32>,
    /// When the driver will let the session see the clock next.
    armed: Option<Instant>,
    /// The sending half, while nobody sends.
    pub(super) outbound: Option<Box<Outbound>>,
    /// How often streams may still send by themselves; nothing for a connection that is observed, whose observer the
    /// driver has.
    pub(super) sends_left: u8,
    pub(super) sends_per_turn: u8,
}

/// Who waits for what.
#[derive(Default)]
pub(super) struct Waiting {
    readers: BTreeMap<yamux::StreamId, Waker>,
    writers: BTreeMap<yamux::StreamId, Waker>,
    incoming: VecDeque<yamux::StreamId>,
    acceptor: Option<Waker>,
    openers: Vec<Waker>,
    closers: Vec<Waker>,
    pub(super) driver: Option<Waker>,
    /// The driver, while a stream has the sending half.
    pub(super) sender: Option<Waker>,
    /// The driver, while its socket takes nothing: only the end of the session concerns it then.
    blocked_driver: Option<Waker>,
}

/// What the driver finds when it looks for something to send.
pub(crate) enum Transmit {
    /// Frames were appended.
    Frames,
    /// Nothing to send now.
    Idle,
    /// Nothing to send, and nothing will follow: say farewell to the socket.
    Ended,
}

impl SessionConnection {
    /// A connection that sends through `outbound`; on one that is `observed`, streams do not send by themselves.
    pub(super) fn new(session: yamux::Session, outbound: Outbound, observed: bool) -> Self {
        let shared = Shared {
            session,
            waiting: Waiting::default(),
            closed: None,
            closing: None,
            farewell: None,
            armed: None,
            outbound: Some(Box::new(outbound)),
            sends_left: 0,
            sends_per_turn: if observed { 0 } else { SENDS_PER_TURN },
        };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `operate` under the lock, then wakes whoever it concerns after the lock is gone.
    fn with<T>(&self, operate: impl FnOnce(&mut Shared) -> T) -> T {
        let mut shared = self.lock();
        let result = operate(&mut shared);
        let mut wakers = shared.take_woken();
        if shared.session.has_transmit() || shared.closing.is_some() || shared.wants_earlier_timeout() {
            wakers.extend(shared.waiting.driver.take());
        }
        if shared.closing.is_some() {
            wakers.extend(shared.waiting.blocked_driver.take());
        }
        drop(shared);
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    /// Feeds plaintext that the driver opened.
    pub(crate) fn feed(&self, plaintexts: impl Iterator<Item = Bytes>) -> Result<(), yamux::SessionError> {
        let now = now();
        let mut shared = self.lock();
        let mut result = Ok(());
        for plaintext in plaintexts {
            result = shared.session.handle_input(now, plaintext);
            if result.is_err() {
                break;
            }
        }
        let wakers = shared.take_woken();
        drop(shared);
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    /// Appends at most `limit` bytes of frames to `out`.
    pub(super) fn transmit(&self, out: &mut BytesMut, limit: usize) -> Transmit {
        let mut shared = self.lock();
        let appended = shared.session.poll_transmit(now(), out, limit);
        let wakers = shared.take_woken();
        let found = if appended {
            Transmit::Frames
        } else if shared.closing.is_some() || shared.farewell.is_some() || shared.session.is_closed() {
            Transmit::Ended
        } else {
            Transmit::Idle
        };
        drop(shared);
        wakers.into_iter().for_each(Waker::wake);
        found
    }

    /// Lets time pass.
    pub(crate) fn handle_timeout(&self) {
        let mut shared = self.lock();
        shared.session.handle_timeout(now());
        let wakers = shared.take_woken();
        drop(shared);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Whether the session is over, so that a socket that takes nothing is not waited for. If not, the caller is woken
    /// when it is.
    pub(crate) fn is_over(&self, cx: &mut Context<'_>) -> bool {
        let mut shared = self.lock();
        let over = shared.session.is_closed();
        shared.waiting.blocked_driver = (!over).then(|| cx.waker().clone());
        over
    }

    /// When the session next needs to see the clock. The caller sees to it: it is woken when the time moves forward.
    pub(crate) fn arm(&self) -> Option<Instant> {
        let mut shared = self.lock();
        shared.armed = shared.session.poll_timeout();
        shared.armed
    }

    /// Marks the end. `fallback` is the reason when neither side gave one before.
    pub(crate) fn ended(&self, fallback: CloseReason) -> CloseReason {
        let mut shared = self.lock();
        let reason = shared.reason_of_end(fallback);
        let reason = shared.closed.get_or_insert(reason).clone();
        let wakers = shared.waiting.take_all();
        let outbound = shared.outbound.take();
        drop(shared);
        drop(outbound);
        wakers.into_iter().for_each(Waker::wake);
        reason
    }
}

impl Shared {
    /// Drains the session's events into the wakers that they concern.
    fn take_woken(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while let Some(event) = self.session.poll_event() {
            match event {
                yamux::Event::Incoming(id) => {
                    self.waiting.incoming.push_back(id);
                    wakers.extend(self.waiting.acceptor.take());
                }
                yamux::Event::Readable(id) => wakers.extend(self.waiting.readers.remove(&id)),
                yamux::Event::Writable(id) => wakers.extend(self.waiting.writers.remove(&id)),
                yamux::Event::OpenAvailable => wakers.append(&mut self.waiting.openers),
                yamux::Event::GoAway { code } => {
                    self.farewell = Some(code);
                    wakers.extend(self.waiting.driver.take());
                }
                yamux::Event::Closed(_) => {
                    wakers.extend(self.waiting.driver.take());
                    wakers.extend(self.waiting.blocked_driver.take());
                }
                _ => {}
            }
        }
        wakers
    }

    /// Whether the driver's timer would come too late.
    fn wants_earlier_timeout(&self) -> bool {
        let wanted = self.session.poll_timeout();
        wanted.is_some_and(|wanted| self.armed.is_none_or(|armed| wanted < armed))
    }

    fn reason_of_end(&self, fallback: CloseReason) -> CloseReason {
        if let Some(code) = self.closing {
            return CloseReason::Local { code };
        }
        if let Some(code) = self.farewell {
            return CloseReason::Remote { code };
        }
        match self.session.close_reason() {
            Some(reason) => close_reason(reason),
            None => fallback,
        }
    }
}

impl Waiting {
    fn take_all(&mut self) -> Vec<Waker> {
        let mut wakers: Vec<_> = std::mem::take(&mut self.readers).into_values().collect();
        wakers.extend(std::mem::take(&mut self.writers).into_values());
        wakers.extend(self.acceptor.take());
        wakers.append(&mut self.openers);
        wakers.append(&mut self.closers);
        wakers.extend(self.driver.take());
        wakers.extend(self.sender.take());
        wakers.extend(self.blocked_driver.take());
        wakers
    }
}

/// The session's reason in the words of the transport contract.
pub(crate) fn close_reason(reason: yamux::CloseReason) -> CloseReason {
    match reason {
        yamux::CloseReason::Local { code } => CloseReason::Local { code },
        yamux::CloseReason::Remote { code } => CloseReason::Remote { code },
        yamux::CloseReason::KeepAliveTimeout => CloseReason::KeepAliveTimeout,
        other => CloseReason::Violation { rule: other.to_string() },
    }
}

fn party(party: yamux::Party) -> Party {
    match party {
        yamux::Party::Local => Party::Local,
        yamux::Party::Remote => Party::Remote,
    }
}

/// The id of a stream in the session; none for an id that no session gave out.
fn session_id(id: StreamId) -> yamux::StreamId {
    yamux::StreamId::new(u32::try_from(id.0).unwrap_or(0))
}

fn stream_id(id: yamux::StreamId) -> StreamId {
    StreamId(u64::from(id.value()))
}

impl SessionConnection {
    /// Writes `len` bytes with `write`. A queue that is full is sent before its writer waits.
    fn poll_write_with(
        &self,
        cx: &mut Context<'_>,
        id: yamux::StreamId,
        len: usize,
        mut write: impl FnMut(&mut yamux::Session) -> Result<usize, yamux::WriteError>,
    ) -> Poll<Result<usize, StreamError>> {
        let taken = self.with(|shared| shared.write(&mut write));
        if len == 0 || !matches!(taken, Ok(0)) {
            return Poll::Ready(taken);
        }
        self.send_inline();
        self.with(|shared| match shared.write(write) {
            Ok(0) => {
                shared.waiting.writers.insert(id, cx.waker().clone());
                Poll::Pending
            }
            taken => Poll::Ready(taken),
        })
    }
}

impl Shared {
    /// Writes with `write`; nothing taken means that the queue is full, or that there was nothing.
    fn write(
        &mut self,
        write: impl FnOnce(&mut yamux::Session) -> Result<usize, yamux::WriteError>,
    ) -> Result<usize, StreamError> {
        if let Some(reason) = &self.closed {
            return Err(StreamError::Connection(reason.clone()));
        }
        write(&mut self.session).map_err(|error| self.write_error(error))
    }

    fn read_error(&self, error: yamux::ReadError) -> StreamError {
        match error {
            yamux::ReadError::Reset { code, by } => StreamError::Reset { code, by: party(by) },
            yamux::ReadError::Closed(reason) => {
                StreamError::Connection(self.reason_of_end(close_reason(reason)))
            }
            _ => StreamError::Finished,
        }
    }

    fn write_error(&self, error: yamux::WriteError) -> StreamError {
        match error {
            yamux::WriteError::Reset { code, by } => StreamError::Reset { code, by: party(by) },
            yamux::WriteError::Closed(reason) => {
                StreamError::Connection(self.reason_of_end(close_reason(reason)))
            }
            _ => StreamError::Finished,
        }
    }
}

impl MuxedConnection for SessionConnection {
    fn poll_open(&self, cx: &mut Context<'_>) -> Poll<Result<StreamId, CloseReason>> {
        self.with(|shared| {
            if let Some(reason) = &shared.closed {
                return Poll::Ready(Err(reason.clone()));
            }
            match shared.session.open(now()) {
                Ok(id) => Poll::Ready(Ok(stream_id(id))),
                Err(yamux::OpenError::Backlog) => {
                    shared.waiting.openers.push(cx.waker().clone());
                    Poll::Pending
                }
                Err(yamux::OpenError::Closed(reason)) => {
                    Poll::Ready(Err(shared.reason_of_end(close_reason(reason))))
                }
                Err(_) => Poll::Ready(Err(CloseReason::Local { code: yamux::code::connection::SHUTDOWN })),
            }
        })
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<StreamId, CloseReason>> {
        self.with(|shared| {
            if let Some(id) = shared.waiting.incoming.pop_front() {
                return Poll::Ready(Ok(stream_id(id)));
            }
            if let Some(reason) = &shared.closed {
                return Poll::Ready(Err(reason.clone()));
            }
            shared.waiting.acceptor = Some(cx.waker().clone());
            Poll::Pending
        })
    }

    fn poll_read(
        &self,
        cx: &mut Context<'_>,
        id: StreamId,
        max: usize,
    ) -> Poll<Result<Option<Bytes>, StreamError>> {
        let id = session_id(id);
        self.with(|shared| match shared.session.read(now(), id, max) {
            Ok(yamux::Read::Data(data)) => Poll::Ready(Ok(Some(data))),
            Ok(yamux::Read::Finished) => Poll::Ready(Ok(None)),
            Ok(yamux::Read::Pending) => {
                // What had arrived before the end was given out above.
                if let Some(reason) = &shared.closed {
                    return Poll::Ready(Err(StreamError::Connection(reason.clone())));
                }
                shared.waiting.readers.insert(id, cx.waker().clone());
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(shared.read_error(error))),
        })
    }

    fn poll_write(
        &self,
        cx: &mut Context<'_>,
        id: StreamId,
        data: &mut Bytes,
    ) -> Poll<Result<usize, StreamError>> {
        let id = session_id(id);
        self.poll_write_with(cx, id, data.len(), |session| session.write(now(), id, data))
    }

    fn poll_write_slice(
        &self,
        cx: &mut Context<'_>,
        id: StreamId,
        data: &[u8],
    ) -> Poll<Result<usize, StreamError>> {
        let id = session_id(id);
        self.poll_write_with(cx, id, data.len(), |session| session.write_slice(now(), id, data))
    }

    fn finish(&self, id: StreamId) -> Result<(), StreamError> {
        self.with(|shared| {
            if let Some(reason) = &shared.closed {
                return Err(StreamError::Connection(reason.clone()));
            }
            shared.session.finish(now(), session_id(id)).map_err(|error| shared.write_error(error))
        })
    }

    fn reset(&self, id: StreamId, code: u32) {
        self.with(|shared| shared.session.reset(now(), session_id(id), code));
    }

    fn release(&self, id: StreamId) {
        let id = session_id(id);
        self.with(|shared| {
            shared.waiting.readers.remove(&id);
            shared.waiting.writers.remove(&id);
            shared.session.release(now(), id);
        });
    }

    fn close(&self, code: u32) {
        self.with(|shared| {
            if shared.closed.is_none() && shared.closing.is_none() {
                shared.closing = Some(code);
                shared.session.go_away(now(), code);
            }
        });
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let mut shared = self.lock();
        if let Some(reason) = &shared.closed {
            return Poll::Ready(reason.clone());
        }
        let closers = &mut shared.waiting.closers;
        closers.retain(|waker| !waker.will_wake(cx.waker()));
        closers.push(cx.waker().clone());
        Poll::Pending
    }

    fn close_reason(&self) -> Option<CloseReason> {
        let shared = self.lock();
        let farewell = || shared.farewell.map(|code| CloseReason::Remote { code });
        let over = || shared.session.close_reason().map(close_reason);
        shared.closed.clone().or_else(over).or_else(farewell)
    }

    fn stats(&self) -> ConnectionStats {
        let stats = self.lock().session.stats();
        ConnectionStats {
            rtt: stats.rtt,
            streams: stats.streams,
            bytes_received: stats.bytes_in,
            bytes_sent: stats.bytes_out,
            bytes_queued: stats.queued_bytes,
        }
    }
}

impl fmt::Debug for SessionConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionConnection").field("closed", &self.close_reason()).finish_non_exhaustive()
    }
}
