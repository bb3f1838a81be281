//! Whose turn it is to send, and how much may be queued.

use std::collections::VecDeque;

use crate::{
    StreamId,
    limits::{
        MAX_BLOCKED_QUEUE, MAX_FRAME_PAYLOAD, MAX_SESSION_QUEUE, MAX_STREAM_QUEUE, QUANTUM, SHORT_TURN,
    },
    stream::Stream,
};

/// The streams that have something to send, with sums over all queues.
///
/// Exactly the streams with bytes that their window lets out, or a FIN that is due, stand in one of two lines. One that
/// comes with at most [`SHORT_TURN`] stands in the short line, which has every second turn: a request does not
/// wait until all bulk writers had theirs, and many requests do not keep bulk from flowing.
#[derive(Debug, Default)]
pub(crate) struct Scheduler {
    line: VecDeque<StreamId>,
    short_line: VecDeque<StreamId>,
    /// The short line had the last turn.
    long_is_next: bool,
    queued: usize,
    /// Bytes that could go out now: what the windows let out of the queues.
    sendable: usize,
}

impl Scheduler {
    /// Whether nothing can be sent.
    pub(crate) fn is_idle(&self) -> bool {
        self.line.is_empty() && self.short_line.is_empty()
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
            // A FIN alone costs nothing. What a turn left goes on in the long line.
            let short = sendable == 0 || (sendable <= SHORT_TURN && before.0 == 0);
            let line = if short { &mut self.short_line } else { &mut self.line };
            line.push_back(id);
        } else if !due && stream.send.in_line {
            self.line.retain(|other| *other != id);
            self.short_line.retain(|other| *other != id);
        }
        stream.send.in_line = due;
    }

    /// Bytes that the stream may queue now.
    pub(crate) fn room(&self, stream: &Stream) -> usize {
        let queued = stream.send.queue.len();
        let session = MAX_SESSION_QUEUE.saturating_sub(self.sendable);
        let guaranteed = QUANTUM.saturating_sub(queued);
        queue_limit(stream).saturating_sub(queued).min(session.max(guaranteed))
    }

    /// Whether a writer who waits is worth waking: half of its queue is free, and a turn's worth may be added.
    pub(crate) fn is_writable(&self, stream: &Stream) -> bool {
        stream.send.queue.len() <= queue_limit(stream) / 2 && self.room(stream) >= QUANTUM
    }

    /// Whose turn it is, and the payload that the turn allows.
    pub(crate) fn next(&self) -> Option<(StreamId, usize)> {
        let id = *self.current_line().front()?;
        let alone = self.line.len() + self.short_line.len() == 1;
        Some((id, if alone { MAX_FRAME_PAYLOAD } else { QUANTUM }))
    }

    /// Takes the stream whose turn it is out of its line; an update puts it back at an end if it has more.
    pub(crate) fn take_turn(&mut self, stream: &mut Stream) {
        if self.short_is_next() {
            self.short_line.pop_front();
            self.long_is_next = true;
        } else {
            self.line.pop_front();
            self.long_is_next = false;
        }
        stream.send.in_line = false;
    }

    fn short_is_next(&self) -> bool {
        !self.short_line.is_empty() && (!self.long_is_next || self.line.is_empty())
    }

    fn current_line(&self) -> &VecDeque<StreamId> {
        if self.short_is_next() { &self.short_line } else { &self.line }
    }
}

/// Bytes that the stream may hold. What the window does not take may lie there for long.
fn queue_limit(stream: &Stream) -> usize {
    let window = usize::try_from(stream.send.window).unwrap_or(usize::MAX);
    window.clamp(MAX_BLOCKED_QUEUE, MAX_STREAM_QUEUE)
}
