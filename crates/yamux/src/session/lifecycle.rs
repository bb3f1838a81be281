//! The fate of streams and of the session: resets, detached streams, the end; and the events they cause.

use std::{cmp::Reverse, collections::VecDeque, time::Instant};

use super::Session;
use crate::{
    CloseReason, Event, Party, SessionError, StreamId, code,
    control::ControlQueue,
    scheduler::Scheduler,
    stream::{Detached, Handle, Sending, Stream, expiry},
};

impl Session {
    /// Brings everything that lists or counts a stream up to date with its state, and takes it out of the
    /// table when it is over. Called after every change of a stream.
    pub(super) fn settle(&mut self, id: StreamId) {
        self.table.update_backlog(id);
        let Some(stream) = self.table.get_mut(id) else {
            return;
        };
        if self.ending.reason.is_none() {
            let wants_update = stream.wants_update();
            if wants_update != stream.update_listed {
                stream.update_listed = wants_update;
                self.control.list_update(id, wants_update);
            }
            self.scheduler.update(id, stream);
        }
        if stream.is_over() {
            self.remove(id);
        }
        if self.table.take_open_available(&self.config) {
            self.events.push_back(Event::OpenAvailable);
        }
    }

    fn remove(&mut self, id: StreamId) {
        let Some(mut stream) = self.table.remove(id) else {
            return;
        };
        if let Some(key) = expiry(id, &stream.handle) {
            self.detached.remove(&key);
        }
        self.memory.unread -= stream.drop_received(&mut self.memory.budget);
        stream.receive.window.release(&mut self.memory.budget);
    }

    /// Ends a stream from our side: the peer gets an RST, whoever waits gets an error.
    pub(super) fn abort(&mut self, id: StreamId, code: u32) {
        let Some(stream) = self.table.get_mut(id) else {
            return;
        };
        if stream.is_live() && stream.is_on_wire() && self.ending.reason.is_none() {
            stream.reset_due = Some(code);
            self.control.resets.insert(id);
        }
        if stream.read_error().is_none() {
            self.memory.unread -= stream.end(code, Party::Local, &mut self.memory.budget);
            notify_both(&mut self.events, id, stream);
        }
        self.settle(id);
    }

    /// The peer ended a stream.
    // spec: yamux/rst-immediate: an error for the reader, not an end of stream.
    pub(super) fn end_by_peer(&mut self, id: StreamId, code: u32) {
        if self.table.on_wire(id).is_some() {
            self.end_as_peer(id, code);
        }
    }

    /// The peer takes no more streams: those that it was not told of will never be.
    // spec: yamux/goaway-0-no-new-streams
    pub(super) fn end_unannounced(&mut self) {
        let streams = self.table.iter();
        let unannounced: Vec<_> = streams
            .filter(|(_, stream)| stream.is_live() && !stream.is_on_wire())
            .map(|(id, _)| id)
            .collect();
        for id in unannounced {
            self.end_as_peer(id, code::stream::SHUTDOWN);
        }
        if self.table.take_open_waiting() {
            self.events.push_back(Event::OpenAvailable);
        }
    }

    fn end_as_peer(&mut self, id: StreamId, code: u32) {
        let Some(stream) = self.table.get_mut(id) else {
            return;
        };
        self.memory.unread -= stream.end(code, Party::Remote, &mut self.memory.budget);
        notify_both(&mut self.events, id, stream);
        self.settle(id);
    }

    /// Makes room: the stream with most unread bytes loses them.
    pub(super) fn shed(&mut self) {
        while self.memory.unread > self.config.max_unread_bytes {
            let unread = self.table.iter().filter(|(_, stream)| !stream.receive.chunks.is_empty());
            let largest = unread.max_by_key(|(id, stream)| (stream.receive.chunks.len(), Reverse(*id)));
            let Some((id, _)) = largest else { return };
            self.abort(id, code::stream::RESOURCE_LIMIT);
        }
    }

    /// Lets a finished stream go on without an owner.
    pub(super) fn detach(&mut self, now: Instant, id: StreamId) {
        let Some(stream) = self.table.get_mut(id) else {
            return;
        };
        let due = now + self.config.detach_timeout();
        stream.handle = Handle::Detached(Detached { due, progress: now, refuse: false });
        stream.receive.window.withdraw(&mut self.memory.budget);
        self.detached.insert((due, id));
    }

    /// Payload arrived that nobody will read: the peer must learn it, or it would wait for credit forever. Data
    /// and FIN of ours go first.
    pub(super) fn refuse_payload(&mut self, id: StreamId) {
        let Some(stream) = self.table.get_mut(id) else {
            return;
        };
        let Handle::Detached(detached) = &mut stream.handle else {
            return;
        };
        detached.refuse = true;
        if stream.send.state == Sending::Finished {
            self.abort(id, code::stream::NONE);
        }
    }

    pub(super) fn expire_detached(&mut self, now: Instant) {
        while let Some(&(due, id)) = self.detached.first()
            && due <= now
        {
            self.detached.pop_first();
            let Some(stream) = self.table.get_mut(id) else {
                continue;
            };
            let Handle::Detached(detached) = &mut stream.handle else {
                continue;
            };
            let due = detached.progress + self.config.detach_timeout();
            if due > now {
                detached.due = due;
                self.detached.insert((due, id));
            } else {
                self.abort(id, code::stream::NONE);
            }
        }
    }

    /// The peer broke the protocol.
    pub(super) fn violate(&mut self, error: &SessionError) {
        let farewell = error.go_away_code();
        self.control = ControlQueue::default();
        for (_, stream) in self.table.iter_mut() {
            stream.reset_due = None;
        }
        self.close(CloseReason::Violation(error.clone()), Some(farewell));
    }

    /// Ends the session. Queued data is dropped, received data stays readable.
    pub(super) fn close(&mut self, reason: CloseReason, farewell: Option<u32>) {
        if self.is_closed() {
            return;
        }
        self.control.keep_resets();
        for (id, stream) in self.table.iter_mut() {
            stream.stop_sending();
            stream.send.waiting.wanted = true;
            stream.receive.waiting.wanted = true;
            notify_both(&mut self.events, id, stream);
        }
        self.scheduler = Scheduler::default();
        self.remove_abandoned();
        if self.table.take_open_waiting() {
            self.events.push_back(Event::OpenAvailable);
        }
        self.ending.farewell = farewell;
        // A peer that is gone may never take the farewell.
        self.ending.announce = farewell.is_some() && reason != CloseReason::KeepAliveTimeout;
        self.ending.reason = Some(reason.clone());
        if !self.ending.announce {
            self.events.push_back(Event::Closed(reason));
        }
    }

    /// Takes out the streams that only waited for the peer, which will not be heard any more.
    fn remove_abandoned(&mut self) {
        let streams = self.table.iter();
        let abandoned: Vec<_> =
            streams.filter(|(_, stream)| stream.is_abandoned()).map(|(id, _)| id).collect();
        for id in abandoned {
            self.remove(id);
        }
        self.detached.clear();
    }
}

/// Tells the owner that there is something to read, if it waits for that.
pub(super) fn notify_readable(events: &mut VecDeque<Event>, id: StreamId, stream: &mut Stream) {
    let waiting = &mut stream.receive.waiting;
    if waiting.wanted && !std::mem::replace(&mut waiting.queued, true) {
        events.push_back(Event::Readable(id));
    }
    waiting.wanted = false;
}

/// Tells the owner that there is room, if it waits for that.
pub(super) fn notify_writable(events: &mut VecDeque<Event>, id: StreamId, stream: &mut Stream) {
    let waiting = &mut stream.send.waiting;
    if waiting.wanted && !std::mem::replace(&mut waiting.queued, true) {
        events.push_back(Event::Writable(id));
    }
    waiting.wanted = false;
}

fn notify_both(events: &mut VecDeque<Event>, id: StreamId, stream: &mut Stream) {
    notify_readable(events, id, stream);
    notify_writable(events, id, stream);
}
