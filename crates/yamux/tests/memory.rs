//! What a peer can make a session hold, counted by the allocator.

mod common;

use std::{
    alloc::System,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bowline_yamux::{
    Event, StreamId,
    frame::{Frame, Header},
    limits::{COPY_BELOW, MAX_SHARED_UNREAD},
};
use bytes::{Bytes, BytesMut};
use cap::Cap;
use common::{End, KIB, MIB, RECORD, data, id, rst, syn, zeros};

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// What the transport reads at once.
const READ: usize = 256 * KIB;

/// A session that is measured, alone: other tests would allocate meanwhile.
struct Measured {
    end: End,
    before: usize,
    _alone: MutexGuard<'static, ()>,
}

impl Measured {
    fn server() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let before = HEAP.allocated();
        Self { end: End::server(), before, _alone: alone }
    }

    fn held(&self) -> usize {
        HEAP.allocated().saturating_sub(self.before)
    }

    #[track_caller]
    fn assert_holds_at_most(&self, limit: usize) {
        assert!(self.held() <= limit, "{} KiB instead of {} KiB", self.held() / KIB, limit / KIB);
    }

    /// Feeds frames as they come out of one read of the transport: slices of one piece of memory.
    fn read(&mut self, frames: impl IntoIterator<Item = Frame>) {
        let mut wire = BytesMut::with_capacity(READ);
        frames.into_iter().for_each(|frame| frame.encode(&mut wire));
        assert!(wire.len() <= READ, "more than one read");
        let mut wire = wire.freeze();
        while !wire.is_empty() {
            let record = wire.split_to(wire.len().min(RECORD));
            let _ended = self.end.session.handle_input(self.end.now, record);
        }
    }

    fn accept(&mut self, streams: u32) -> Vec<StreamId> {
        let ids: Vec<_> = (0..streams).map(|stream| 2 * stream + 1).collect();
        self.end.receive(ids.iter().map(|id| syn(*id)));
        assert_eq!(self.end.events().len(), ids.len());
        ids.into_iter().map(id).collect()
    }
}

#[test]
fn slow_readers_of_256_streams_cost_what_may_be_unread_and_no_more() {
    let mut session = Measured::server();
    session.accept(256);
    for round in 0..4 {
        for stream in 0..256 {
            let body = if round == 0 { zeros(60 * KIB) } else { zeros(64 * KIB) };
            session.read([data(2 * stream + 1, body)]);
        }
    }
    // 63 MiB were sent. The bound is met by resetting the streams with the most, one by one.
    assert!(session.end.session.stats().unread_bytes <= 32 * MIB);
    assert!(session.end.session.stats().unread_bytes > 31 * MIB, "and not by more than it takes");
    let pinned = MAX_SHARED_UNREAD / COPY_BELOW * READ;
    session.assert_holds_at_most(32 * MIB + pinned);
}

#[test]
fn a_stalled_stream_does_not_pin_what_came_with_it() {
    let mut session = Measured::server();
    let streams = session.accept(2);
    for _ in 0..16 {
        // 16 KiB for a stream that nobody reads, and the rest for one that is read.
        let busy = (0..3).map(|_| data(3, zeros(60 * KIB)));
        session.read([data(1, zeros(16 * KIB))].into_iter().chain(busy));
        session.end.read_all(streams[1]);
        session.end.sent();
    }
    assert_eq!(session.end.session.stats().unread_bytes, 256 * KIB);
    // Up to 512 KiB, sixteen reads of a quarter of a MiB: the price of not copying.
    session.assert_holds_at_most(16 * READ + 512 * KIB);
}

#[test]
fn a_peer_that_interleaves_garbage_pins_a_bounded_amount() {
    let mut session = Measured::server();
    session.accept(256);
    for round in 0..32 {
        for stream in 0..128 {
            // One slice just long enough to be shared, in a read that is otherwise for nobody.
            let nobody = (0..3).map(|_| data(1_000_001, zeros(60 * KIB)));
            session.read([data(2 * stream + 1, zeros(8 * KIB))].into_iter().chain(nobody));
        }
        let unread = session.end.session.stats().unread_bytes;
        session.assert_holds_at_most(unread + unread / 4 + MAX_SHARED_UNREAD / COPY_BELOW * READ);
        assert_eq!(unread, (round + 1) * 128 * 8 * KIB);
    }
}

#[test]
fn one_byte_frames_cost_bytes_and_not_buffers() {
    let mut session = Measured::server();
    session.accept(256);
    for _ in 0..100 {
        // 256 crumbs, each in a read of its own that is full of something else.
        for stream in 0..256 {
            let nobody = data(1_000_001, zeros(60 * KIB));
            session.read([data(2 * stream + 1, "x"), nobody]);
        }
    }
    assert_eq!(session.end.session.stats().unread_bytes, 25_600);
    session.assert_holds_at_most(512 * KIB);
}

#[test]
fn a_peer_that_never_reads_and_provokes_replies_cannot_make_them_pile_up() {
    let mut session = Measured::server();
    for round in 0..2_000_u32 {
        // Pings, streams that open and reset, streams beyond the limit, bodies for streams that are gone.
        let first = 1 + 20 * round;
        let pings = (0..10).map(|value| Header::ping(round * 10 + value).into());
        let opened = (0..10).map(|stream| syn(first + 2 * stream).into());
        let resets = (0..5).map(|stream| rst(first + 2 * stream, 0).into());
        let gone = (0..5).map(|stream| data(first + 2 * stream, "gone"));
        session.read(pings.chain(opened).chain(resets).chain(gone));
        while let Some(event) = session.end.session.poll_event() {
            // The owner refuses what it is offered, which is a reply as well.
            if let Event::Incoming(stream) = event {
                session.end.release(stream);
            }
        }
    }
    session.assert_holds_at_most(MIB);
    assert!(session.end.session.is_closed(), "and in the end it is sent away");
}

#[test]
fn writers_to_a_peer_that_gives_no_credit_hold_a_queue_each_and_no_more() {
    let mut session = Measured::server();
    let streams = session.accept(256);
    let piece = Bytes::from(vec![0; 64 * KIB]);
    for stream in &streams {
        // The window is used up first, so that nothing of the rest can leave.
        for _ in 0..16 {
            let mut data = piece.clone();
            while session.end.session.write(session.end.now, *stream, &mut data).expect("open") > 0 {
                session.end.sent();
            }
        }
    }
    // Every writer has one queue full, as copies would be.
    let queued = session.end.session.stats().queued_bytes;
    assert!(queued <= 256 * 64 * KIB && queued > 255 * 63 * KIB, "{queued}");
}

#[test]
fn memory_comes_back_when_streams_are_released() {
    let mut session = Measured::server();
    let streams = session.accept(64);
    for stream in &streams {
        for _ in 0..4 {
            session.read([data(stream.value(), zeros(60 * KIB))]);
        }
    }
    session.assert_holds_at_most(17 * MIB + 128 * READ);
    for stream in streams {
        session.end.release(stream);
    }
    session.end.sent();
    session.assert_holds_at_most(64 * KIB);
}
