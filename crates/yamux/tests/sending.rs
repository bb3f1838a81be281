//! What leaves, in which order and in which pieces.

mod common;

use bowline_yamux::{
    Event,
    frame::{Flags, Frame, HEADER_LEN, Header, Kind},
    limits,
};
use bytes::{Bytes, BytesMut};
use common::{End, KIB, MIB, RECORD, data, fin, id, rst, update, zeros};

/// One call of `poll_transmit`.
fn record(end: &mut End) -> Vec<Frame> {
    let mut out = BytesMut::new();
    let _ = end.session.poll_transmit(end.now, &mut out, RECORD);
    assert!(out.len() <= RECORD);
    std::iter::from_fn(|| Frame::take(&mut out)).collect()
}

#[test]
fn a_lone_writer_fills_records_exactly() {
    let mut end = End::client();
    let stream = end.open();
    end.receive([update(1, 16 << 20, Flags::NONE)]);
    for _ in 0..10 {
        let mut chunk = zeros(64 * KIB);
        while !chunk.is_empty() && end.session.write(end.now, stream, &mut chunk).expect("open") > 0 {}
        let frames = record(&mut end);
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].body.len() + HEADER_LEN, RECORD);
        end.session.write(end.now, stream, &mut chunk).expect("open");
        assert!(chunk.is_empty());
    }
}

#[test]
fn small_writes_are_gathered_into_full_frames() {
    let mut end = End::client();
    let stream = end.open();
    let mut written = Vec::new();
    for i in 0..200_u8 {
        let chunk = vec![i; KIB];
        let taken = end.write(stream, chunk.clone());
        written.extend_from_slice(&chunk[..taken]);
    }
    assert_eq!(written.len(), limits::MAX_STREAM_QUEUE);
    let second = written.split_off(limits::MAX_FRAME_PAYLOAD);
    assert_eq!(end.sent(), [data(1, written), data(1, second)]);
}

#[test]
fn several_writers_take_turns_of_sixteen_kibibytes() {
    let mut end = End::client();
    let streams = [end.open(), end.open(), end.open()];
    for stream in streams {
        end.write(stream, zeros(40 * KIB));
    }
    let frames: Vec<_> =
        record(&mut end).iter().map(|frame| (frame.header.stream.value(), frame.body.len())).collect();
    let rest = RECORD - 3 * (16 * KIB + HEADER_LEN) - HEADER_LEN;
    assert_eq!(frames, [(1, 16 * KIB), (3, 16 * KIB), (5, 16 * KIB), (1, rest)]);
    let next: Vec<_> = record(&mut end).iter().map(|frame| frame.header.stream.value()).collect();
    assert_eq!(next[..2], [3, 5], "the turn went on");
}

#[test]
fn a_small_request_and_its_end_wait_for_one_turn_of_eight_bulk_writers() {
    let mut end = End::client();
    let bulk: Vec<_> = (0..8).map(|_| end.open()).collect();
    for _ in 0..4 {
        for stream in &bulk {
            end.write(*stream, zeros(64 * KIB));
        }
    }
    assert!(end.session.stats().queued_bytes >= 256 * KIB, "the session's queue is full");
    let request = end.open_beside();
    let _one_turn = record(&mut end);
    assert_eq!(end.write(request, zeros(KIB)), KIB, "and there is room for the request");
    end.finish(request);
    let frames = record(&mut end);
    let place =
        |kind| frames.iter().position(|frame| (frame.header.stream, frame.header.kind) == (request, kind));
    let (data, fin) = (place(Kind::Data).expect("its data"), place(Kind::WindowUpdate).expect("its FIN"));
    let bulk_before = |place: usize| frames[..place].iter().map(|frame| frame.body.len()).sum::<usize>();
    assert!(bulk_before(data) <= 16 * KIB, "{} bytes went before it", bulk_before(data));
    assert!(bulk_before(fin) <= KIB + 2 * 16 * KIB, "{} bytes went before its end", bulk_before(fin));
}

#[test]
fn many_requests_do_not_keep_bulk_from_flowing() {
    let mut end = End::client();
    let bulk = end.open();
    let requests: Vec<_> = (0..100).map(|_| end.open_beside()).collect();
    end.write(bulk, zeros(64 * KIB));
    let mut moved = (0, 0);
    for _ in 0..20 {
        end.write(bulk, zeros(64 * KIB));
        for request in &requests {
            end.write(*request, zeros(KIB));
        }
        for frame in record(&mut end) {
            let of = if frame.header.stream == bulk { &mut moved.0 } else { &mut moved.1 };
            *of += frame.body.len();
        }
    }
    assert!(moved.0 >= 190 * KIB, "a window's worth of bulk but for what still waits: {moved:?}");
    assert!(moved.1 > 0, "{moved:?}");
}

#[test]
fn control_frames_go_ahead_of_data() {
    let mut end = End::client();
    let (stream, doomed, reader) = (end.open(), end.open(), end.open());
    end.write(stream, zeros(10));
    end.session.reset(end.now, doomed, 7);
    end.receive([data(5, zeros(64 * KIB)), Header::ping(9).into()]);
    assert_eq!(end.read_all(reader).len(), 64 * KIB);
    assert_eq!(
        end.headers(),
        [rst(3, 7), Header::pong(9), update(5, 65_536, Flags::NONE), Header::data(id(1), 10)]
    );
}

#[test]
fn a_pong_does_not_wait_for_sixteen_mebibytes() {
    let mut end = End::client();
    let streams: Vec<_> = (0..256).map(|_| end.open()).collect();
    for stream in streams {
        end.write(stream, zeros(64 * KIB));
    }
    end.receive([Header::ping(9)]);
    assert_eq!(record(&mut end)[0].header, Header::pong(9));
}

#[test]
fn a_fin_follows_its_data_in_a_frame_of_its_own() {
    let mut end = End::client();
    let (first, second) = (end.open(), end.open());
    end.write(first, zeros(40 * KIB));
    end.write(second, zeros(40 * KIB));
    end.finish(first);
    let frames = end.sent();
    let of_first: Vec<_> = frames.iter().filter(|frame| frame.header.stream == first).collect();
    let (last, payload) = of_first.split_last().expect("frames");
    assert_eq!(last.header, fin(1));
    assert_eq!(payload.iter().map(|frame| frame.body.len()).sum::<usize>(), 40 * KIB);
    assert!(frames.iter().all(|frame| frame.header.kind != Kind::Data || frame.header.flags.is_empty()));
}

#[test]
fn exactly_the_window_is_sent_and_exactly_what_is_granted_after_it() {
    let mut end = End::client();
    let stream = end.open();
    assert_eq!(pump(&mut end, 1), 262_144);
    for credit in [1, 100_000] {
        end.receive([update(1, credit, Flags::NONE)]);
        assert_eq!(pump(&mut end, 1), credit as usize);
    }
    assert_eq!(end.session.stream_stats(stream).expect("open").send_window, 0);
}

#[test]
fn credit_on_a_syn_or_an_ack_is_added_to_the_initial_window() {
    let mut end = End::server();
    end.receive([update(1, 786_432, Flags::SYN)]);
    end.events();
    assert_eq!(pump(&mut end, 1), MIB);

    let mut end = End::client();
    end.open();
    end.receive([update(1, 1 << 20, Flags::ACK)]);
    assert_eq!(pump(&mut end, 1), 1_310_720);
}

/// Writes and sends until the stream stands still; the payload sent.
fn pump(end: &mut End, stream: u32) -> usize {
    let mut sent = 0;
    loop {
        let taken = end.write(id(stream), zeros(64 * KIB));
        let frames = end.sent();
        sent += frames.iter().map(|frame| frame.body.len()).sum::<usize>();
        if taken == 0 && frames.is_empty() {
            return sent;
        }
    }
}

#[test]
fn queues_are_bounded_and_a_stalled_stream_does_not_stop_the_others() {
    let mut end = End::client();
    let stalled: Vec<_> = (0..16).map(|_| end.open()).collect();
    for stream in &stalled {
        pump(&mut end, stream.value());
        assert_eq!(end.session.stream_stats(*stream).expect("open").queued_bytes, limits::MAX_BLOCKED_QUEUE);
    }
    let other = end.open_beside();
    assert_eq!(end.write(other, zeros(256 * KIB)), limits::MAX_STREAM_QUEUE);
    assert_eq!(end.sent().iter().map(|frame| frame.body.len()).sum::<usize>(), limits::MAX_STREAM_QUEUE);
}

#[test]
fn many_writers_share_the_sessions_queue_and_each_may_queue_a_turn() {
    let mut end = End::client();
    let streams: Vec<_> = (0..100).map(|_| end.open()).collect();
    for stream in streams {
        while end.write(stream, zeros(64 * KIB)) > 0 {}
        assert!(end.session.stream_stats(stream).expect("open").queued_bytes >= limits::QUANTUM);
    }
    assert!(end.session.stats().queued_bytes <= limits::MAX_SESSION_QUEUE + 100 * limits::QUANTUM);
}

#[test]
fn a_writer_is_woken_once_half_of_its_queue_is_free() {
    let mut end = End::client();
    let (stream, other) = (end.open(), end.open());
    end.write(stream, zeros(256 * KIB));
    end.write(other, zeros(256 * KIB));
    let mut out = BytesMut::new();
    let mut turn = |end: &mut End| {
        assert!(end.session.poll_transmit(end.now, &mut out, 16 * KIB + HEADER_LEN));
        end.events()
    };
    for turns in 1..7 {
        assert_eq!(turn(&mut end), [], "more than half is queued after {turns} turns");
    }
    assert_eq!(turn(&mut end), [Event::Writable(stream)]);
    assert_eq!(turn(&mut end), [Event::Writable(other)]);
    assert_eq!(turn(&mut end), [], "only who waits");
}

#[test]
fn the_end_of_a_short_message_leaves_with_it() {
    let mut end = End::client();
    let (bulk, short) = (end.open(), end.open());
    end.write(bulk, zeros(256 * KIB));
    end.write(short, zeros(KIB));
    end.finish(short);
    let headers: Vec<_> = record(&mut end).iter().map(|frame| frame.header).collect();
    let message = headers.iter().position(|header| header.length == 1_024).expect("the message");
    assert_eq!(headers[message + 1], fin(short.value()));
}

#[test]
fn frames_never_exceed_the_limit_of_the_call() {
    for limit in [0, 11, 12, 13, 100, 1_000, 20_000] {
        let mut end = End::client();
        let (first, second) = (end.open(), end.open());
        end.write(first, zeros(30_000));
        end.write(second, zeros(30_000));
        end.finish(first);
        end.receive([Header::ping(1)]);
        let mut sent = 0;
        for _ in 0..70_000 {
            let mut out = BytesMut::from("before");
            let appended = end.session.poll_transmit(end.now, &mut out, limit);
            assert!(out.len() <= 6 + limit && out.starts_with(b"before"));
            assert_eq!(appended, out.len() > 6);
            sent += out.len() - 6;
            if !appended {
                break;
            }
        }
        match limit {
            0..12 => assert_eq!(sent, 0),
            12 => assert_eq!(sent, 12, "the pong; no payload fits"),
            _ => assert!(sent > 60_000 && !end.session.has_transmit()),
        }
    }
}

#[test]
fn large_writes_are_not_copied_into_the_queue() {
    let mut end = End::client();
    let stream = end.open();
    let buffer = Bytes::from(vec![1; 40 * KIB]);
    assert!(buffer.is_unique());
    end.write(stream, buffer.clone());
    assert!(!buffer.is_unique(), "shared");
    end.sent();
    assert!(buffer.is_unique(), "given back when it left");
}

impl End {
    /// Opens a stream while others have data queued.
    fn open_beside(&mut self) -> bowline_yamux::StreamId {
        self.session.open(self.now).expect("room")
    }
}
