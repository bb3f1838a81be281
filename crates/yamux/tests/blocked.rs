//! Streams that stand still: what frees them, and that they stop nobody else.

mod common;

use bowline_yamux::{
    Config, Event, Party, Read, ReadError, Role, WriteError, code,
    frame::{Flags, Header, Kind},
    limits,
};
use common::{End, KIB, data, fin, id, rst, syn, update, zeros};

/// A stream of ours that has used up its window and filled its queue.
fn blocked(end: &mut End) -> bowline_yamux::StreamId {
    let stream = end.open();
    while end.write(stream, zeros(64 * KIB)) > 0 {
        end.sent();
    }
    end.events();
    stream
}

#[test]
fn an_rst_frees_a_blocked_writer_with_an_error() {
    let mut end = End::client();
    let stream = blocked(&mut end);
    end.receive([rst(1, 0x1002)]);
    let events = end.events();
    assert!(events.contains(&Event::Writable(stream)), "{events:?}");
    let (code, by) = (0x1002, Party::Remote);
    assert_eq!(end.session.write(end.now, stream, &mut "x".into()), Err(WriteError::Reset { code, by }));
    assert_eq!((end.headers(), end.session.stats().queued_bytes), (vec![], 0));
}

#[test]
fn our_own_reset_frees_a_blocked_writer_and_a_waiting_reader() {
    let mut end = End::client();
    let stream = blocked(&mut end);
    assert_eq!(end.read(stream), Ok(Read::Pending));
    end.session.reset(end.now, stream, 5);
    let events = end.events();
    assert!(
        events.contains(&Event::Writable(stream)) && events.contains(&Event::Readable(stream)),
        "{events:?}"
    );
    assert_eq!(end.headers(), [rst(1, 5)]);
}

#[test]
fn credit_frees_a_blocked_writer_once_a_turn_fits() {
    let mut end = End::client();
    let stream = blocked(&mut end);
    end.receive([update(1, 100, Flags::NONE)]);
    end.sent();
    assert_eq!(end.events(), [], "not for a hundred bytes");
    end.receive([update(1, 40_000, Flags::NONE)]);
    end.sent();
    assert_eq!(end.events(), [Event::Writable(stream)]);
}

#[test]
fn a_fin_waits_for_the_credit_of_its_data() {
    let mut end = End::client();
    let stream = blocked(&mut end);
    end.finish(stream);
    assert_eq!(end.headers(), [], "data first, and that has no credit");
    end.receive([fin(1), update(1, 1 << 20, Flags::NONE)]);
    let headers = end.headers();
    let (last, payload) = headers.split_last().expect("frames");
    assert_eq!(*last, fin(1));
    assert_eq!(payload.iter().map(|header| header.length as usize).sum::<usize>(), limits::MAX_BLOCKED_QUEUE);
}

#[test]
fn a_stream_that_nobody_reads_does_not_stop_another() {
    let mut end = End::server();
    let (unread, read) = (end.accept(1), end.accept(3));
    end.receive([data(1, zeros(256 * KIB))]);
    for _ in 0..64 {
        end.receive([data(3, zeros(64 * KIB))]);
        assert_eq!(end.read_all(read).len(), 64 * KIB);
        assert!(end.headers().iter().all(|header| header.stream == read), "no credit for what was not read");
    }
    assert_eq!(end.read_all(unread).len(), 256 * KIB);
}

#[test]
fn a_ping_is_answered_while_a_stream_is_blocked_in_both_directions() {
    let mut end = End::client();
    let stream = blocked(&mut end);
    end.receive([data(1, zeros(256 * KIB)), Header::ping(9).into()]);
    assert_eq!(end.headers(), [Header::pong(9)]);
    assert_eq!(end.session.stream_stats(stream).expect("open").send_window, 0);
}

/// Everything that a peer can make us owe it without reading: one RST or update for each stream, 64 pongs, 256
/// refusals, a ping.
#[test]
fn control_frames_for_a_peer_that_never_reads_are_bounded_by_its_streams() {
    const STREAMS: u32 = 16;
    let mut config = Config::default();
    config.max_inbound_streams = STREAMS as usize;
    let mut end = End::with(Role::Server, config);
    for round in 0..4 {
        for i in 0..STREAMS + 40 {
            end.receive([syn(2 * (i + round * 100) + 1), Header::ping(i)]);
        }
        for event in end.events() {
            if let Event::Incoming(stream) = event {
                end.session.reset(end.now, stream, code::stream::RATE);
                end.release(stream);
            }
        }
        end.now += std::time::Duration::from_secs(3);
        end.session.handle_timeout(end.now);
    }
    let headers = end.headers();
    let bound = STREAMS as usize + limits::MAX_QUEUED_PONGS + limits::MAX_QUEUED_REFUSALS + 1;
    assert!(headers.len() <= bound, "{} frames", headers.len());
    assert!(headers.iter().all(|header| header.kind != Kind::Data));
    assert_eq!((end.session.stats().streams, end.session.is_closed()), (0, false));
}

#[test]
fn a_stream_reset_in_the_middle_of_a_body_gives_its_bytes_back_and_skips_the_rest() {
    let mut end = End::server();
    let stream = end.accept(1);
    end.receive([Header::data(id(1), 100_000)]);
    end.session.handle_input(end.now, zeros(40_000)).expect("legal");
    assert_eq!(end.session.stats().unread_bytes, 40_000);
    end.session.reset(end.now, stream, 5);
    assert_eq!(end.session.stats().unread_bytes, 0);
    assert_eq!(end.read(stream), Err(ReadError::Reset { code: 5, by: Party::Local }));
    end.release(stream);
    end.session.handle_input(end.now, zeros(60_000)).expect("legal");
    end.receive([Header::ping(1)]);
    assert_eq!(end.headers(), [rst(1, 5), Header::pong(1)]);
    let stats = end.session.stats();
    assert_eq!((stats.streams, stats.unread_bytes, stats.grown_bytes), (0, 0, 0));
}

#[test]
fn a_stream_given_up_in_the_middle_of_a_body_refuses_the_rest() {
    let mut end = End::server();
    let stream = end.accept(1);
    end.receive([Header::data(id(1), 100_000)]);
    end.session.handle_input(end.now, zeros(40_000)).expect("legal");
    end.write(stream, "answer");
    end.finish(stream);
    end.release(stream);
    end.session.handle_input(end.now, zeros(60_000)).expect("legal");
    let headers = end.headers();
    assert_eq!(headers, [Header::data(id(1), 6).with_flags(Flags::ACK), fin(1), rst(1, 0)]);
    let stats = end.session.stats();
    assert_eq!((stats.streams, stats.unread_bytes, stats.grown_bytes), (0, 0, 0));
}
