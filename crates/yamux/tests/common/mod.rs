//! One end of a session as a transcript: frames go in, frames come out.

#![allow(dead_code, reason = "each test file uses its part")]

use std::time::{Duration, Instant};

use bowline_sim::Clock;
use bowline_yamux::{
    Config, Event, Read, Role, Session, SessionError, StreamId,
    frame::{Flags, Frame, Header},
};
use bytes::{Bytes, BytesMut};

/// What one Noise record holds.
pub(crate) const RECORD: usize = 65_519;

pub(crate) const KIB: usize = 1024;
pub(crate) const MIB: usize = 1024 * 1024;

/// A session whose peer is the test.
pub(crate) struct End {
    pub(crate) session: Session,
    pub(crate) now: Instant,
}

impl End {
    pub(crate) fn client() -> Self {
        Self::with(Role::Client, Config::default())
    }

    pub(crate) fn server() -> Self {
        Self::with(Role::Server, Config::default())
    }

    /// With the first ping out of the way.
    pub(crate) fn with(role: Role, config: Config) -> Self {
        let mut end = Self::new(role, config);
        assert_eq!(end.headers(), [Header::ping(0)]);
        end
    }

    pub(crate) fn new(role: Role, config: Config) -> Self {
        let now = Clock::new().now();
        Self { session: Session::new(now, role, config), now }
    }

    pub(crate) fn feed(&mut self, frame: impl Into<Frame>) -> Result<(), SessionError> {
        let mut wire = BytesMut::new();
        frame.into().encode(&mut wire);
        self.session.handle_input(self.now, wire.freeze())
    }

    /// Feeds frames that are fine.
    pub(crate) fn receive<F: Into<Frame>>(&mut self, frames: impl IntoIterator<Item = F>) {
        for frame in frames {
            self.feed(frame).expect("a legal frame");
        }
    }

    /// Everything that is to be sent now.
    pub(crate) fn sent(&mut self) -> Vec<Frame> {
        let mut wire = BytesMut::new();
        loop {
            let due = self.session.has_transmit();
            let appended = self.session.poll_transmit(self.now, &mut wire, RECORD);
            assert_eq!(due, appended, "has_transmit tells the truth");
            if !appended {
                break;
            }
        }
        let frames = std::iter::from_fn(|| Frame::take(&mut wire)).collect();
        assert!(wire.is_empty(), "whole frames only");
        frames
    }

    pub(crate) fn headers(&mut self) -> Vec<Header> {
        self.sent().iter().map(|frame| frame.header).collect()
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    /// Opens a stream that the peer has acknowledged.
    pub(crate) fn open(&mut self) -> StreamId {
        let id = self.session.open(self.now).expect("room for a stream");
        assert_eq!(self.read(id), Ok(Read::Pending));
        assert_eq!(self.headers(), [syn(id.value())]);
        self.receive([ack(id.value())]);
        id
    }

    /// A stream that the peer opened. Our first frame for it will carry the ACK.
    pub(crate) fn accept(&mut self, id: u32) -> StreamId {
        self.receive([syn(id)]);
        let id = StreamId::new(id);
        assert_eq!(self.events(), [Event::Incoming(id)]);
        assert_eq!(self.headers(), []);
        id
    }

    pub(crate) fn write(&mut self, id: StreamId, bytes: impl Into<Bytes>) -> usize {
        self.session.write(self.now, id, &mut bytes.into()).expect("a stream open for writing")
    }

    pub(crate) fn read(&mut self, id: StreamId) -> Result<Read, bowline_yamux::ReadError> {
        self.session.read(self.now, id, usize::MAX)
    }

    /// Reads until nothing is there.
    pub(crate) fn read_all(&mut self, id: StreamId) -> Vec<u8> {
        let mut all = Vec::new();
        while let Ok(Read::Data(data)) = self.read(id) {
            all.extend_from_slice(&data);
        }
        all
    }

    pub(crate) fn finish(&mut self, id: StreamId) {
        self.session.finish(self.now, id).expect("a stream open for writing");
    }

    pub(crate) fn release(&mut self, id: StreamId) {
        self.session.release(self.now, id);
    }

    /// Lets time pass and deadlines with it.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.session.poll_timeout().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.session.handle_timeout(self.now);
            assert_ne!(self.session.poll_timeout(), Some(deadline), "a deadline moves when it passes");
        }
        self.now = end;
    }
}

/// Moves everything between two ends until both are quiet.
pub(crate) fn exchange(left: &mut End, right: &mut End) {
    loop {
        let (there, back) = (left.sent(), right.sent());
        if there.is_empty() && back.is_empty() {
            return;
        }
        right.receive(there);
        left.receive(back);
    }
}

pub(crate) fn id(value: u32) -> StreamId {
    StreamId::new(value)
}

pub(crate) fn syn(stream: u32) -> Header {
    update(stream, 0, Flags::SYN)
}

pub(crate) fn ack(stream: u32) -> Header {
    update(stream, 0, Flags::ACK)
}

pub(crate) fn fin(stream: u32) -> Header {
    update(stream, 0, Flags::FIN)
}

pub(crate) fn rst(stream: u32, code: u32) -> Header {
    Header::reset(id(stream), code)
}

pub(crate) fn update(stream: u32, credit: u32, flags: Flags) -> Header {
    Header::window_update(id(stream), credit).with_flags(flags)
}

pub(crate) fn data(stream: u32, body: impl Into<Bytes>) -> Frame {
    Frame::data(id(stream), body.into())
}

pub(crate) fn zeros(len: usize) -> Bytes {
    Bytes::from(vec![0; len])
}
