//! Whose turn it is to send, and how much may be queued.

use std::collections::VecDeque;

use crate::{
    StreamId,
    limits::{MAX_FRAME_PAYLOAD, MAX_SESSION_QUEUE, MAX_STREAM_QUEUE, QUANTUM},
    stream::Stream,
};

/// The line of streams that have something to send, with sums over all queues.
#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    /// Exactly the streams with bytes that their window lets out, or a FIN that is due.
    line: VecDeque<StreamId>,
    queued: usize,
    /// Bytes that could go out now: what the windows let out of the queues.
    sendable: usize,
}

impl Scheduler {
    /// Whether nothing can be sent.
    pub(crate) fn is_idle(&self) -> bool {
        self.line.is_empty()
    }

    /// Bytes in all queues.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// Brings line and sums up to date with a stream that changed.
    pub(crate) fn update(&mut self, id: StreamId, stream: &mut Stream) {
        let (queued, sendable) = (stream.send.queue.len(), stream.sendable());
        let before = std::mem::replace(&mut stream.send.counted, (queued, sendable));
        self.queued = self.queued - before.0 + queued;
        self.sendable = self.sendable - before.1 + sendable;
        let due = sendable > 0 || stream.fin_due();
        if due && !stream.send.in_line {
            self.line.push_back(id);
        } else if !due && stream.send.in_line {
            self.line.retain(|other| *other != id);
        }
        stream.send.in_line = due;
    }

    /// Bytes that the stream may queue now.
    pub(crate) fn room(&self, stream: &Stream) -> usize {
        let queued = stream.send.queue.len();
        let session = MAX_SESSION_QUEUE.saturating_sub(self.sendable);
        let guaranteed = QUANTUM.saturating_sub(queued);
        MAX_STREAM_QUEUE.saturating_sub(queued).min(session.max(guaranteed))
    }

    /// Whether a writer who waits is worth waking: half of its queue is free, and a turn's worth may be added.
    pub(crate) fn is_writable(&self, stream: &Stream) -> bool {
        stream.send.queue.len() <= MAX_STREAM_QUEUE / 2 && self.room(stream) >= QUANTUM
    }

    /// Whose turn it is, and the payload that the turn allows.
    pub(crate) fn next(&self) -> Option<(StreamId, usize)> {
        let id = *self.line.front()?;
        let turn = if self.line.len() == 1 { MAX_FRAME_PAYLOAD } else { QUANTUM };
        Some((id, turn))
    }

    /// Takes the stream at the front out of the line; an update puts it back at the end if it has more.
    pub(crate) fn take_turn(&mut self, stream: &mut Stream) {
        self.line.pop_front();
        stream.send.in_line = false;
    }
}
