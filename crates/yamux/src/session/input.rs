//! What arrives: frames are taken apart without waiting for bodies, payload goes to its stream in slices.

use std::time::Instant;

use bytes::{Buf, Bytes};

use super::{Session, lifecycle::notify_readable};
use crate::{
    CloseReason, Event, Flood, Party, SessionError, StreamId, code,
    frame::{Flags, HEADER_LEN, Header, Kind},
    limits::{COPY_BELOW, MAX_SHARED_UNREAD, QUANTUM},
    stream::{Handle, Receiving, Sending},
};

/// A slice shorter than this share of the input that it is cut from is copied too, up to a [`QUANTUM`]: the rest
/// of the input may be of no use to anybody and would stay in memory with it.
const PINNED_SHARE: usize = 8;

/// Where in a frame the input stands.
#[derive(Debug)]
pub(super) enum Parser {
    /// In a header, of which so many bytes are there.
    Header { bytes: [u8; HEADER_LEN], len: usize },
    /// In a body.
    Body(Body),
}

/// What is left of a body, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Body {
    remaining: u32,
    /// `None`: nobody's, to be skipped.
    stream: Option<StreamId>,
    /// The FIN on a data frame counts after its payload.
    fin: bool,
}

impl Default for Parser {
    fn default() -> Self {
        Self::Header { bytes: [0; HEADER_LEN], len: 0 }
    }
}

impl Parser {
    /// Takes a header off `input`, or what there is of one. Only a header that came in parts is copied.
    // spec: yamux/split-frames, yamux/coalesced-frames
    fn take_header(bytes: &mut [u8; HEADER_LEN], len: &mut usize, input: &mut Bytes) -> Option<Header> {
        if *len == 0
            && let Some(header) = Header::parse(input)
        {
            input.advance(HEADER_LEN);
            return Some(header);
        }
        let taken = input.len().min(HEADER_LEN - *len);
        input.copy_to_slice(&mut bytes[*len..*len + taken]);
        *len += taken;
        (*len == HEADER_LEN).then(|| Header::decode(bytes))
    }
}

impl Session {
    /// Takes bytes that arrived, in any split. Payload is cut out of `bytes`, not copied, where that pays.
    ///
    /// # Errors
    ///
    /// When the peer broke the protocol, now or earlier. The session is over then; its farewell is left to
    /// transmit. Input after the end of the session is ignored.
    pub fn handle_input(&mut self, now: Instant, bytes: Bytes) -> Result<(), SessionError> {
        match &self.ending.reason {
            None => {}
            Some(CloseReason::Violation(error)) => return Err(error.clone()),
            Some(_) => return Ok(()),
        }
        if !bytes.is_empty() {
            self.pinger.heard(now);
        }
        let result = self.parse(now, bytes);
        if let Err(error) = &result {
            self.violate(error);
        }
        result
    }

    fn parse(&mut self, now: Instant, mut input: Bytes) -> Result<(), SessionError> {
        let copy_below = (input.len() / PINNED_SHARE).clamp(COPY_BELOW, QUANTUM);
        while !input.is_empty() && self.ending.reason.is_none() {
            match &mut self.parser {
                Parser::Header { bytes, len } => {
                    let Some(header) = Parser::take_header(bytes, len, &mut input) else {
                        return Ok(());
                    };
                    let body = self.on_frame(now, &header)?;
                    self.parser = Parser::default();
                    self.enter_body(body);
                }
                Parser::Body(body) => {
                    let remaining = usize::try_from(body.remaining).unwrap_or(usize::MAX);
                    let piece = input.split_to(remaining.min(input.len()));
                    // Not more than was left of 32 bits.
                    body.remaining -= u32::try_from(piece.len()).unwrap_or(body.remaining);
                    let body = *body;
                    if let Some(id) = body.stream {
                        self.deliver(id, piece, copy_below);
                    }
                    self.enter_body(body);
                }
            }
        }
        Ok(())
    }

    /// Goes on in a body, or ends it.
    fn enter_body(&mut self, body: Body) {
        if body.remaining > 0 {
            self.parser = Parser::Body(body);
            return;
        }
        self.parser = Parser::default();
        if let (Some(id), true) = (body.stream, body.fin) {
            self.on_fin(id);
        }
    }

    fn on_frame(&mut self, now: Instant, header: &Header) -> Result<Body, SessionError> {
        header.check()?;
        let nobody = Body { remaining: header.body_len(), stream: None, fin: false };
        match header.kind {
            Kind::Data => self.on_data(now, header, nobody),
            Kind::WindowUpdate => self.on_window_update(now, header).map(|()| nobody),
            Kind::Ping => self.on_ping(now, header).map(|()| nobody),
            Kind::GoAway => {
                self.on_go_away(header.length);
                Ok(nobody)
            }
            Kind::Unknown(kind) => Err(SessionError::Kind { kind }),
        }
    }

    fn on_data(&mut self, now: Instant, header: &Header, nobody: Body) -> Result<Body, SessionError> {
        self.meter_empty(now, header)?;
        let id = header.stream;
        if !self.on_opening_flags(now, header)? {
            return Ok(nobody);
        }
        if header.flags.contains(Flags::RST) {
            // spec: yamux/rst-on-data-frame: here the length is a body, not a code.
            self.on_reset(now, id, code::stream::NONE)?;
            return Ok(nobody);
        }
        // spec: yamux/unknown-stream-data, yamux/frames-after-rst, yamux/unknown-stream-large-body
        let Some(stream) = self.table.on_wire(id) else {
            return Ok(nobody);
        };
        let fin = header.flags.contains(Flags::FIN);
        if header.length > 0 {
            if stream.receive.state != Receiving::Open {
                // spec: yamux/data-after-fin: refused, never delivered.
                self.abort(id, code::stream::VIOLATION);
                return Ok(nobody);
            }
            let length = header.length;
            let within = stream.receive.window.receive(length);
            within.map_err(|credit| SessionError::WindowExceeded { id, length, credit })?;
        }
        // spec: yamux/zero-length-data, yamux/only-data-counts
        Ok(Body { remaining: header.length, stream: Some(id), fin })
    }

    fn on_window_update(&mut self, now: Instant, header: &Header) -> Result<(), SessionError> {
        self.meter_empty(now, header)?;
        let id = header.stream;
        if !self.on_opening_flags(now, header)? {
            return Ok(());
        }
        if header.flags.contains(Flags::RST) {
            // spec: yamux/rst-with-length: a code, not credit.
            return self.on_reset(now, id, header.length);
        }
        let Some(stream) = self.table.on_wire(id) else {
            return Ok(());
        };
        if matches!(stream.send.state, Sending::Open | Sending::Finishing) {
            // spec: yamux/syn-window-is-additive, yamux/window-overflow, yamux/window-after-fin
            let window = stream.send.window.checked_add(header.length);
            stream.send.window = window.ok_or(SessionError::CreditOverflow { id })?;
        }
        self.settle(id);
        if header.flags.contains(Flags::FIN) {
            self.on_fin(id);
        }
        Ok(())
    }

    /// Handles SYN and ACK. False when the frame is of no further concern.
    fn on_opening_flags(&mut self, now: Instant, header: &Header) -> Result<bool, SessionError> {
        if header.flags.contains(Flags::SYN) && !self.on_syn(now, header)? {
            return Ok(false);
        }
        let reset = header.flags.contains(Flags::RST);
        if let Some(stream) = self.table.on_wire(header.stream).filter(|_| !reset) {
            stream.acknowledge();
            self.settle(header.stream);
        }
        Ok(true)
    }

    /// The peer opens a stream. False when it was refused.
    fn on_syn(&mut self, now: Instant, header: &Header) -> Result<bool, SessionError> {
        let id = header.stream;
        // spec: yamux/id-parity-violation
        if !self.table.is_peers(id) {
            return Err(SessionError::Parity { id });
        }
        // spec: yamux/dup-syn
        if self.table.on_wire(id).is_some() {
            return Err(SessionError::DuplicateSyn { id });
        }
        if header.flags.contains(Flags::RST) {
            // spec: yamux/syn-rst
            self.meter_rapid_reset(now)?;
            return Ok(false);
        }
        if self.control.is_refusing(id) {
            return Ok(false);
        }
        let ended_not_released = self.table.get(id).is_some();
        let refusal = if self.ending.peer.is_some() {
            Some(code::stream::SHUTDOWN)
        } else if ended_not_released || self.table.inbound() >= self.config.max_inbound_streams {
            // spec: yamux/backlog-overflow: the stream is lost, the session is not.
            Some(code::stream::RESOURCE_LIMIT)
        } else {
            None
        };
        if let Some(code) = refusal {
            self.control.refuse(id, code)?;
            return Ok(false);
        }
        self.table.accept(now, id);
        self.events.push_back(Event::Incoming(id));
        // spec: yamux/ack-or-rst: the ACK rides on our first frame for the stream.
        Ok(true)
    }

    fn on_fin(&mut self, id: StreamId) {
        // spec: yamux/double-fin: ignored.
        let stream = self.table.on_wire(id).filter(|stream| stream.receive.state == Receiving::Open);
        let Some(stream) = stream else { return };
        stream.finish_receiving(&mut self.memory.budget);
        notify_readable(&mut self.events, id, stream);
        self.settle(id);
    }

    fn on_reset(&mut self, now: Instant, id: StreamId, code: u32) -> Result<(), SessionError> {
        let Some(stream) = self.table.on_wire(id) else {
            return Ok(());
        };
        let rapid = stream.origin == Party::Remote && !stream.used;
        self.end_by_peer(id, code);
        if rapid { self.meter_rapid_reset(now) } else { Ok(()) }
    }

    fn on_ping(&mut self, now: Instant, header: &Header) -> Result<(), SessionError> {
        if header.flags.contains(Flags::SYN) {
            // spec: yamux/ping-echo, yamux/ping-opaque-full-range, yamux/ping-flood
            if self.meters.pings.allow(now) {
                self.control.push_pong(header.length);
                return Ok(());
            }
            return self.meter_empty_frame(now);
        }
        // spec: yamux/ping-no-flags: ignored.
        if header.flags.contains(Flags::ACK) {
            self.pinger.pong(now, header.length, self.traffic.total());
        }
        Ok(())
    }

    fn on_go_away(&mut self, code: u32) {
        if self.ending.peer.is_none() {
            self.ending.peer = Some(code);
            self.events.push_back(Event::GoAway { code });
            if code == code::connection::NORMAL {
                self.end_unannounced();
            }
        }
        // spec: yamux/goaway-error-closes, yamux/goaway-unknown-code
        if code != code::connection::NORMAL {
            self.close(CloseReason::Remote { code }, None);
        }
    }

    /// Gives a piece of a body to its stream.
    fn deliver(&mut self, id: StreamId, piece: Bytes, copy_below: usize) {
        let Some(stream) = self.table.get_mut(id) else {
            return;
        };
        if !stream.takes_payload() {
            if matches!(stream.handle, Handle::Detached(_)) {
                self.refuse_payload(id);
            }
            return;
        }
        let copy_below = if self.memory.unread < MAX_SHARED_UNREAD { copy_below } else { usize::MAX };
        self.memory.unread += piece.len();
        self.traffic.bytes_in += piece.len() as u64;
        stream.receive.chunks.push(piece, copy_below);
        notify_readable(&mut self.events, id, stream);
        if self.memory.unread > self.config.max_unread_bytes {
            self.shed();
        }
    }

    /// Counts a frame that carries neither payload nor credit nor a flag.
    fn meter_empty(&mut self, now: Instant, header: &Header) -> Result<(), SessionError> {
        if header.length == 0 && header.flags.is_empty() { self.meter_empty_frame(now) } else { Ok(()) }
    }

    fn meter_empty_frame(&mut self, now: Instant) -> Result<(), SessionError> {
        let within = self.meters.empty_frames.allow(now);
        if within { Ok(()) } else { Err(SessionError::Flood(Flood::EmptyFrames)) }
    }

    fn meter_rapid_reset(&mut self, now: Instant) -> Result<(), SessionError> {
        let within = self.meters.rapid_resets.allow(now);
        if within { Ok(()) } else { Err(SessionError::Flood(Flood::Resets)) }
    }
}
