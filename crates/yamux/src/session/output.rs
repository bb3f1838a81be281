//! What leaves: control frames first, then data by turns, then the farewell.

use std::time::Instant;

use bytes::BytesMut;

use super::{Session, lifecycle::notify_writable};
use crate::{
    Event, StreamId, code,
    frame::{Flags, HEADER_LEN, Header},
    stream::{Handle, Sending},
};

/// A frame that would carry less than this, only because the output is nearly full, waits for the next call.
const MIN_PARTIAL_PAYLOAD: usize = 1024;

/// The output of one call, with the room that is left in it.
struct Output<'a> {
    bytes: &'a mut BytesMut,
    start: usize,
    room: usize,
}

impl Output<'_> {
    /// Room for the payload of one more frame; `None` when not even a header fits.
    fn payload_room(&self) -> Option<usize> {
        self.room.checked_sub(HEADER_LEN)
    }

    fn push_header(&mut self, header: &Header) {
        self.bytes.extend_from_slice(&header.encode());
        self.room -= HEADER_LEN;
    }

    fn is_empty(&self) -> bool {
        self.bytes.len() == self.start
    }
}

impl Session {
    /// Appends whole frames to `out`, `limit` bytes at most, and says whether there were any. With the limit at
    /// what one Noise record holds, 65,519 bytes, a lone writer's frames fill records exactly. A limit below
    /// 13 bytes fits no payload and yields nothing of it.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Instant, out: &mut BytesMut, limit: usize) -> bool {
        let start = out.len();
        let mut output = Output { bytes: out, start, room: limit };
        self.transmit_control(now, &mut output);
        self.transmit_data(now, &mut output);
        self.transmit_farewell(&mut output);
        !output.is_empty()
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) has something to append.
    #[must_use]
    pub fn has_transmit(&self) -> bool {
        !self.control.is_empty() || !self.scheduler.is_idle() || self.ending.farewell.is_some()
    }

    fn transmit_control(&mut self, now: Instant, output: &mut Output<'_>) {
        while output.payload_room().is_some() {
            let Some(header) = self.next_control(now) else {
                return;
            };
            output.push_header(&header);
        }
    }

    fn next_control(&mut self, now: Instant) -> Option<Header> {
        if let Some(id) = self.control.resets.pop_first() {
            return Some(self.reset_frame(id));
        }
        if let Some((id, code)) = self.control.pop_refusal() {
            return Some(Header::reset(id, code));
        }
        if let Some(value) = self.control.pop_pong() {
            return Some(Header::pong(value));
        }
        if let Some(value) = self.control.ping.take() {
            self.pinger.sent(now, self.traffic.total());
            return Some(Header::ping(value));
        }
        let id = self.control.updates.pop_first()?;
        self.update_frame(id)
    }

    /// The RST that a stream owes. With it the stream gives up its place in the table.
    fn reset_frame(&mut self, id: StreamId) -> Header {
        let due = self.table.get_mut(id).and_then(|stream| stream.reset_due.take());
        self.settle(id);
        Header::reset(id, due.unwrap_or(code::stream::NONE))
    }

    /// Credit, and the SYN or ACK when it is due.
    fn update_frame(&mut self, id: StreamId) -> Option<Header> {
        let stream = self.table.get_mut(id)?;
        stream.update_listed = false;
        let flags = stream.take_opening_flag();
        let credit = stream.receive.window.take_credit();
        self.settle(id);
        Some(Header::window_update(id, credit).with_flags(flags))
    }

    fn transmit_data(&mut self, now: Instant, output: &mut Output<'_>) {
        while let (Some((id, turn)), Some(room)) = (self.scheduler.next(), output.payload_room()) {
            let Some(stream) = self.table.get_mut(id) else {
                return;
            };
            let wanted = stream.sendable().min(turn);
            let len = wanted.min(room);
            let is_crumb = len < wanted && (len == 0 || (len < MIN_PARTIAL_PAYLOAD && !output.is_empty()));
            if is_crumb {
                return;
            }
            self.scheduler.take_turn(stream);
            if len > 0 {
                let flags = stream.take_opening_flag();
                let length = u32::try_from(len).unwrap_or(u32::MAX);
                output.bytes.reserve(HEADER_LEN + len);
                output.push_header(&Header::data(id, length).with_flags(flags));
                stream.send.queue.move_into(output.bytes, len, &mut self.spare);
                output.room -= len;
                stream.send.window -= length;
            }
            // The end of a short answer leaves with it, not a turn of everybody else later.
            let fin = stream.fin_due() && output.payload_room().is_some();
            if fin {
                // spec: yamux/fin-emitted. Never on a data frame: go-libp2p ends the stream when it sees the
                // flag, before it has read the payload.
                let flags = stream.take_opening_flag() | Flags::FIN;
                output.push_header(&Header::window_update(id, 0).with_flags(flags));
                stream.send.state = Sending::Finished;
            }
            self.after_turn(now, id, fin);
        }
    }

    fn after_turn(&mut self, now: Instant, id: StreamId, finished: bool) {
        let Some(stream) = self.table.get_mut(id) else {
            return;
        };
        self.scheduler.update(id, stream);
        if self.scheduler.is_writable(stream) {
            notify_writable(&mut self.events, id, stream);
        }
        let mut refuse = false;
        if let Handle::Detached(detached) = &mut stream.handle {
            detached.progress = now;
            refuse = finished && detached.refuse;
        }
        if refuse {
            self.abort(id, code::stream::NONE);
        } else {
            self.settle(id);
        }
    }

    /// The go-away goes last; then the session is done.
    // spec: yamux/goaway-on-shutdown, yamux/error-then-dead
    fn transmit_farewell(&mut self, output: &mut Output<'_>) {
        if !self.control.is_empty() || output.payload_room().is_none() {
            return;
        }
        let Some(code) = self.ending.farewell.take() else {
            return;
        };
        output.push_header(&Header::go_away(code));
        let reason = self.ending.reason.clone().filter(|_| std::mem::take(&mut self.ending.announce));
        self.events.extend(reason.map(Event::Closed));
    }
}
