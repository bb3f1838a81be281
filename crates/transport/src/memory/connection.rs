//! A muxed connection between two ends of one process.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use crate::{CloseReason, ConnectionStats, MuxedConnection, Party, StreamError, StreamId};

/// Bytes that one direction of a stream holds before its writer waits.
const STREAM_BUFFER: usize = 64 * 1024;

/// Streams that were opened and not accepted before an opener waits.
const BACKLOG: usize = 256;

/// One end of an in-memory connection. The two ends share their state.
#[derive(Clone, Debug)]
pub struct MemoryConnection {
    shared: Arc<Mutex<Shared>>,
    side: usize,
}

#[derive(Debug, Default)]
struct Shared {
    streams: BTreeMap<StreamId, [Direction; 2]>,
    next_id: u64,
    ends: [End; 2],
    /// The side that closed, and its code.
    closed: Option<(usize, u32)>,
}

/// What one end has waiting.
#[derive(Debug, Default)]
struct End {
    incoming: VecDeque<StreamId>,
    acceptor: Option<Waker>,
    openers: Vec<Waker>,
    closers: Vec<Waker>,
    received: u64,
    sent: u64,
}

/// The bytes that one side of a stream has sent and the other has not read.
#[derive(Debug, Default)]
struct Direction {
    queue: VecDeque<Bytes>,
    queued: usize,
    state: Sending,
    reader: Option<Waker>,
    writer: Option<Waker>,
    released: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sending {
    #[default]
    Open,
    Finished,
    Reset(u32, usize),
}

impl MemoryConnection {
    /// Makes two connected ends.
    #[must_use]
    pub fn pair() -> (Self, Self) {
        let shared = Arc::default();
        (Self { shared: Arc::clone(&shared), side: 0 }, Self { shared, side: 1 })
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn other(&self) -> usize {
        1 - self.side
    }

    fn party(&self, side: usize) -> Party {
        if side == self.side { Party::Local } else { Party::Remote }
    }
}

impl Shared {
    fn close_reason(&self, side: usize) -> Option<CloseReason> {
        let (closer, code) = self.closed?;
        Some(if closer == side { CloseReason::Local { code } } else { CloseReason::Remote { code } })
    }

    fn reset(&mut self, id: StreamId, code: u32, side: usize) -> Vec<Waker> {
        let Some(stream) = self.streams.get_mut(&id) else {
            return Vec::new();
        };
        let mut wakers = Vec::new();
        for direction in stream {
            direction.state = Sending::Reset(code, side);
            direction.queue.clear();
            direction.queued = 0;
            wakers.extend(direction.reader.take());
            wakers.extend(direction.writer.take());
        }
        wakers
    }
}

impl MuxedConnection for MemoryConnection {
    fn poll_open(&self, cx: &mut Context<'_>) -> Poll<Result<StreamId, CloseReason>> {
        let mut shared = self.lock();
        if let Some(reason) = shared.close_reason(self.side) {
            return Poll::Ready(Err(reason));
        }
        if shared.ends[self.other()].incoming.len() >= BACKLOG {
            shared.ends[self.side].openers.push(cx.waker().clone());
            return Poll::Pending;
        }
        shared.next_id += 1;
        let id = StreamId(shared.next_id);
        shared.streams.insert(id, Default::default());
        let other = &mut shared.ends[self.other()];
        other.incoming.push_back(id);
        let waker = other.acceptor.take();
        drop(shared);
        waker.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(id))
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<StreamId, CloseReason>> {
        let mut shared = self.lock();
        if let Some(id) = shared.ends[self.side].incoming.pop_front() {
            let openers = std::mem::take(&mut shared.ends[self.other()].openers);
            drop(shared);
            openers.into_iter().for_each(Waker::wake);
            return Poll::Ready(Ok(id));
        }
        if let Some(reason) = shared.close_reason(self.side) {
            return Poll::Ready(Err(reason));
        }
        shared.ends[self.side].acceptor = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_read(
        &self,
        cx: &mut Context<'_>,
        id: StreamId,
        max: usize,
    ) -> Poll<Result<Option<Bytes>, StreamError>> {
        let mut shared = self.lock();
        let closed = shared.close_reason(self.side);
        let Some(stream) = shared.streams.get_mut(&id) else {
            let reason = closed.unwrap_or(CloseReason::Local { code: 0 });
            return Poll::Ready(Err(StreamError::Connection(reason)));
        };
        let direction = &mut stream[1 - self.side];
        if let Some(first) = direction.queue.front_mut() {
            let taken = first.split_to(first.len().min(max));
            if first.is_empty() {
                direction.queue.pop_front();
            }
            direction.queued -= taken.len();
            let writer = direction.writer.take();
            shared.ends[self.side].received += taken.len() as u64;
            drop(shared);
            writer.into_iter().for_each(Waker::wake);
            return Poll::Ready(Ok(Some(taken)));
        }
        match (direction.state, closed) {
            (Sending::Reset(code, side), _) => {
                Poll::Ready(Err(StreamError::Reset { code, by: self.party(side) }))
            }
            (Sending::Finished, _) => Poll::Ready(Ok(None)),
            (Sending::Open, Some(reason)) => Poll::Ready(Err(StreamError::Connection(reason))),
            (Sending::Open, None) => {
                direction.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn poll_write(
        &self,
        cx: &mut Context<'_>,
        id: StreamId,
        data: &mut Bytes,
    ) -> Poll<Result<usize, StreamError>> {
        let mut shared = self.lock();
        if let Some(reason) = shared.close_reason(self.side) {
            return Poll::Ready(Err(StreamError::Connection(reason)));
        }
        let Some(stream) = shared.streams.get_mut(&id) else {
            return Poll::Ready(Err(StreamError::Finished));
        };
        let direction = &mut stream[self.side];
        match direction.state {
            Sending::Reset(code, side) => {
                return Poll::Ready(Err(StreamError::Reset { code, by: self.party(side) }));
            }
            Sending::Finished => return Poll::Ready(Err(StreamError::Finished)),
            Sending::Open => {}
        }
        let taken = data.split_to(data.len().min(STREAM_BUFFER - direction.queued));
        if taken.is_empty() && !data.is_empty() {
            direction.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let len = taken.len();
        direction.queued += len;
        direction.queue.push_back(taken);
        let reader = direction.reader.take();
        shared.ends[self.side].sent += len as u64;
        drop(shared);
        reader.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(len))
    }

    fn finish(&self, id: StreamId) -> Result<(), StreamError> {
        let mut shared = self.lock();
        if let Some(reason) = shared.close_reason(self.side) {
            return Err(StreamError::Connection(reason));
        }
        let Some(stream) = shared.streams.get_mut(&id) else {
            return Err(StreamError::Finished);
        };
        let direction = &mut stream[self.side];
        if let Sending::Reset(code, side) = direction.state {
            return Err(StreamError::Reset { code, by: self.party(side) });
        }
        direction.state = Sending::Finished;
        let reader = direction.reader.take();
        drop(shared);
        reader.into_iter().for_each(Waker::wake);
        Ok(())
    }

    fn reset(&self, id: StreamId, code: u32) {
        let wakers = self.lock().reset(id, code, self.side);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn release(&self, id: StreamId) {
        let mut shared = self.lock();
        let Some(stream) = shared.streams.get_mut(&id) else {
            return;
        };
        let unfinished = stream[self.side].state == Sending::Open;
        stream[self.side].released = true;
        let gone = stream.iter().all(|direction| direction.released);
        let wakers = if unfinished { shared.reset(id, 0, self.side) } else { Vec::new() };
        if gone {
            shared.streams.remove(&id);
        }
        drop(shared);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn close(&self, code: u32) {
        let mut shared = self.lock();
        shared.closed.get_or_insert((self.side, code));
        let mut wakers = Vec::new();
        for end in &mut shared.ends {
            wakers.extend(end.acceptor.take());
            wakers.append(&mut end.openers);
            wakers.append(&mut end.closers);
        }
        for direction in shared.streams.values_mut().flatten() {
            wakers.extend(direction.reader.take());
            wakers.extend(direction.writer.take());
        }
        drop(shared);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let mut shared = self.lock();
        if let Some(reason) = shared.close_reason(self.side) {
            return Poll::Ready(reason);
        }
        let closers = &mut shared.ends[self.side].closers;
        closers.retain(|waker| !waker.will_wake(cx.waker()));
        closers.push(cx.waker().clone());
        Poll::Pending
    }

    fn close_reason(&self) -> Option<CloseReason> {
        self.lock().close_reason(self.side)
    }

    fn stats(&self) -> ConnectionStats {
        let shared = self.lock();
        ConnectionStats {
            rtt: None,
            streams: shared.streams.len(),
            bytes_received: shared.ends[self.side].received,
            bytes_sent: shared.ends[self.side].sent,
            bytes_queued: shared.streams.values().map(|stream| stream[self.side].queued).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn opened() -> (MemoryConnection, MemoryConnection, StreamId) {
        let (left, right) = MemoryConnection::pair();
        let id = poll_fn(|cx| left.poll_open(cx)).await.unwrap();
        assert_eq!(poll_fn(|cx| right.poll_accept(cx)).await.unwrap(), id);
        (left, right, id)
    }

    #[tokio::test]
    async fn finish_delivers_what_was_written_and_then_ends() {
        let (left, right, id) = opened().await;
        let mut data = Bytes::from_static(b"hello");
        assert_eq!(poll_fn(|cx| left.poll_write(cx, id, &mut data)).await, Ok(5));
        left.finish(id).unwrap();
        left.release(id);
        assert_eq!(poll_fn(|cx| right.poll_read(cx, id, 3)).await.unwrap().as_deref(), Some(&b"hel"[..]));
        assert_eq!(poll_fn(|cx| right.poll_read(cx, id, 9)).await.unwrap().as_deref(), Some(&b"lo"[..]));
        assert_eq!(poll_fn(|cx| right.poll_read(cx, id, 9)).await, Ok(None));
    }

    #[tokio::test]
    async fn a_reset_is_an_error_with_its_code_and_never_an_end() {
        let (left, right, id) = opened().await;
        left.reset(id, 0x1002);
        let reset = StreamError::Reset { code: 0x1002, by: Party::Remote };
        assert_eq!(poll_fn(|cx| right.poll_read(cx, id, 9)).await, Err(reset));
    }

    #[tokio::test]
    async fn dropping_an_unfinished_stream_resets_it() {
        let (left, right, id) = opened().await;
        left.release(id);
        let reset = StreamError::Reset { code: 0, by: Party::Remote };
        assert_eq!(poll_fn(|cx| right.poll_read(cx, id, 9)).await, Err(reset));
    }

    #[tokio::test]
    async fn a_writer_waits_until_the_reader_has_read() {
        let (left, right, id) = opened().await;
        let mut data = Bytes::from(vec![1; STREAM_BUFFER + 1]);
        assert_eq!(poll_fn(|cx| left.poll_write(cx, id, &mut data)).await, Ok(STREAM_BUFFER));
        let (written, read) = tokio::join!(
            poll_fn(|cx| left.poll_write(cx, id, &mut data)),
            poll_fn(|cx| right.poll_read(cx, id, usize::MAX)),
        );
        assert_eq!((written, read.unwrap().unwrap().len()), (Ok(1), STREAM_BUFFER));
    }

    #[tokio::test]
    async fn closing_ends_everything_with_its_code() {
        let (left, right, id) = opened().await;
        left.close(0x1006);
        let reason = CloseReason::Remote { code: 0x1006 };
        assert_eq!(poll_fn(|cx| right.poll_closed(cx)).await, reason);
        assert_eq!(poll_fn(|cx| right.poll_open(cx)).await, Err(reason.clone()));
        assert_eq!(poll_fn(|cx| right.poll_read(cx, id, 9)).await, Err(StreamError::Connection(reason)));
    }
}
