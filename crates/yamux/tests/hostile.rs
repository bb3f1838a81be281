//! A peer that breaks the rules or floods: the session ends with a typed error and a farewell, or shrugs.

mod common;

use std::time::Duration;

use bowline_yamux::{
    CloseReason, Config, Event, Flood, Read, ReadError, Role, SessionError, StreamId, code,
    frame::{Flags, Header, Kind},
    limits,
};
use bytes::{BufMut, Bytes, BytesMut};
use common::{End, KIB, MIB, ack, data, fin, id, rst, syn, update, zeros};

const WINDOW: usize = 256 * KIB;

/// The session refuses `frame` with `error`, says go-away with `code`, then reports the end, and is deaf.
#[track_caller]
fn assert_ends(end: &mut End, frame: impl Into<bowline_yamux::frame::Frame>, error: SessionError, code: u32) {
    assert_eq!(end.feed(frame), Err(error.clone()));
    assert!(end.session.is_closed());
    assert!(!end.events().iter().any(|event| matches!(event, Event::Closed(_))), "the farewell comes first");
    assert_eq!(end.headers(), [Header::go_away(code)]);
    assert_eq!(end.events(), [Event::Closed(CloseReason::Violation(error.clone()))]);
    assert_eq!(end.feed(Header::ping(1)), Err(error), "it stays over");
    assert_eq!(end.headers(), []);
    assert_eq!(end.session.poll_timeout(), None);
}

#[test]
fn a_wrong_version_ends_the_session() {
    let frame = Header { version: 1, ..Header::ping(1) };
    assert_ends(&mut End::server(), frame, SessionError::Version { version: 1 }, 1);
}

#[test]
fn every_unknown_type_ends_the_session() {
    for kind in 4..=255 {
        let frame = Header { kind: Kind::Unknown(kind), ..Header::ping(1) };
        assert_ends(&mut End::server(), frame, SessionError::Kind { kind }, 1);
    }
}

#[test]
fn unknown_flags_are_ignored() {
    let mut end = End::server();
    end.receive([syn(1).with_flags(Flags::from_bits(0x8001))]);
    assert_eq!(end.events(), [Event::Incoming(id(1))]);
    end.finish(id(1));
    assert_eq!(end.headers(), [fin(1).with_flags(Flags::ACK | Flags::FIN)]);
}

#[test]
fn stream_zero_ends_the_session() {
    for frame in [data(0, "x"), syn(0).into(), update(0, 1, Flags::NONE).into()] {
        assert_ends(&mut End::server(), frame, SessionError::StreamZero, 1);
    }
}

#[test]
fn an_id_of_the_wrong_parity_ends_the_session() {
    assert_ends(&mut End::server(), syn(2), SessionError::Parity { id: id(2) }, 1);
    assert_ends(&mut End::client(), syn(1), SessionError::Parity { id: id(1) }, 1);
}

#[test]
fn a_second_syn_ends_the_session() {
    let mut end = End::server();
    end.accept(1);
    assert_ends(&mut end, syn(1), SessionError::DuplicateSyn { id: id(1) }, 1);
}

#[test]
fn a_second_syn_on_a_half_closed_stream_ends_the_session() {
    let mut end = End::server();
    end.accept(1);
    end.receive([fin(1)]);
    let frame = data(1, "x").with_flags(Flags::SYN);
    assert_eq!(end.feed(frame), Err(SessionError::DuplicateSyn { id: id(1) }));
}

#[test]
fn ids_may_leave_gaps_decrease_and_be_the_largest() {
    let mut end = End::server();
    for id in [7, 3, u32::MAX] {
        end.accept(id);
    }
}

#[test]
fn one_byte_beyond_the_window_ends_the_session() {
    let mut end = End::server();
    end.accept(1);
    end.receive([data(1, zeros(WINDOW))]);
    let error = SessionError::WindowExceeded { id: id(1), length: 1, credit: 0 };
    end.events();
    assert_ends(&mut end, data(1, "x"), error, 1);
}

#[test]
fn an_oversize_claim_is_refused_before_its_body() {
    for length in [WINDOW + 1, MIB + 1, u32::MAX as usize] {
        let length = u32::try_from(length).expect("32 bits");
        let mut end = End::server();
        end.accept(1);
        let error = SessionError::WindowExceeded { id: id(1), length, credit: 262_144 };
        assert_ends(&mut end, Header::data(id(1), length), error, 1);
    }
}

/// CVE-2026-32314: a SYN with a body beyond the initial window left state behind that panicked at cleanup.
#[test]
fn cve_2026_32314_a_syn_with_a_body_beyond_the_window_is_refused() {
    let mut end = End::server();
    let error = SessionError::WindowExceeded { id: id(1), length: 262_145, credit: 262_144 };
    let frame = Header::data(id(1), 262_145).with_flags(Flags::SYN);
    assert_eq!(end.feed(frame), Err(error));
    end.events();
    end.session.release(end.now, id(1));
    assert_eq!(end.session.stats().streams, 0);
    assert_eq!(end.headers(), [Header::go_away(1)]);

    let mut end = End::server();
    end.receive([data(1, zeros(WINDOW)).with_flags(Flags::SYN)]);
    assert_eq!(end.events(), [Event::Incoming(id(1)), Event::Readable(id(1))]);
}

/// CVE-2026-31814: credit that overflows 32 bits panicked; in go it wraps and the sender stalls.
#[test]
fn cve_2026_31814_credit_beyond_32_bits_ends_the_session() {
    let mut end = End::client();
    end.open();
    let error = SessionError::CreditOverflow { id: id(1) };
    assert_ends(&mut end, update(1, u32::MAX, Flags::NONE), error, 1);

    let mut end = End::server();
    let error = SessionError::CreditOverflow { id: id(1) };
    assert_eq!(end.feed(update(1, u32::MAX, Flags::SYN)), Err(error));

    let mut end = End::client();
    let stream = end.open();
    end.receive([update(1, u32::MAX - 262_144, Flags::NONE)]);
    assert_eq!(end.session.stream_stats(stream).expect("open").send_window, u32::MAX);
}

/// CVE-2024-32984: a peer that never reads made the other queue answers without end.
#[test]
fn cve_2024_32984_answers_to_a_peer_that_never_reads_are_bounded() {
    let mut end = End::server();
    // Pings: at most 64 answers wait, however long it goes on.
    for value in 0..2_000 {
        end.receive([Header::ping(value)]);
        end.now += Duration::from_millis(100);
    }
    let pongs = end.headers();
    assert_eq!(pongs.len(), limits::MAX_QUEUED_PONGS);
    assert_eq!((pongs[0], pongs[63]), (Header::pong(0), Header::pong(1_999)), "the newest replaces the last");

    // Window updates and acknowledgements: one frame for each stream.
    let mut end = End::server();
    let stream = end.accept(1);
    for _ in 0..4 {
        end.receive([data(1, zeros(64 * KIB))]);
        assert_eq!(end.read_all(stream).len(), 64 * KIB);
    }
    assert_eq!(end.headers(), [update(1, 262_144, Flags::ACK)], "merged");

    // Refused streams: 256 RSTs wait, the next ends the session.
    let mut end = End::with(Role::Server, config(|config| config.max_inbound_streams = 0));
    for i in 0..256 {
        end.receive([syn(2 * i + 1)]);
    }
    let error = SessionError::Flood(Flood::Refusals);
    assert_eq!(end.feed(syn(513)), Err(error.clone()));
    assert_eq!(error.go_away_code(), code::connection::RATE);
    assert_eq!(end.headers(), [Header::go_away(0x1002)]);
}

#[test]
fn streams_that_the_owner_resets_keep_their_place_until_the_rst_left() {
    let mut end = End::with(Role::Server, config(|config| config.max_inbound_streams = 4));
    for i in 0..4 {
        let stream = id(2 * i + 1);
        end.receive([syn(stream.value())]);
        end.events();
        end.session.reset(end.now, stream, 7);
        end.release(stream);
    }
    assert_eq!(end.session.stats().inbound, 4);
    end.receive([syn(9)]);
    assert_eq!(end.headers(), [rst(1, 7), rst(3, 7), rst(5, 7), rst(7, 7), rst(9, 0x1002)]);
    assert_eq!(end.session.stats().inbound, 0);
    end.accept(11);
}

/// GHSA-29qp-crvh-w22m: after an error on the connection a reader was left waiting.
#[test]
fn ghsa_29qp_crvh_w22m_everybody_who_waits_learns_of_the_end() {
    let mut end = End::client();
    let (reader, writer) = (end.open(), end.open());
    assert_eq!(end.read(reader), Ok(Read::Pending));
    while end.write(writer, zeros(100 * KIB)) > 0 {}
    for _ in 0..256 {
        if let Ok(stream) = end.session.open(end.now) {
            end.write(stream, "x");
        }
    }
    assert!(end.session.open(end.now).is_err());
    end.events();
    end.feed(Header { version: 1, ..syn(2) }).expect_err("a violation");
    let events = end.events();
    for event in [Event::Readable(reader), Event::Writable(writer), Event::OpenAvailable] {
        assert!(events.contains(&event), "{event:?} in {events:?}");
    }
    let reason = CloseReason::Violation(SessionError::Version { version: 1 });
    assert_eq!(end.read(reader), Err(ReadError::Closed(reason)));
}

#[test]
fn three_hundred_thousand_empty_frames_change_nothing_but_a_flood_of_them_ends_the_session() {
    let mut end = End::server();
    end.accept(1);
    let mut wire = BytesMut::new();
    for _ in 0..150_000 {
        wire.put_slice(&Header::data(id(1), 0).encode());
        wire.put_slice(&update(1, 0, Flags::NONE).encode());
    }
    end.session.handle_input(end.now, wire.clone().freeze()).expect("tolerated");
    end.receive([data(1, zeros(WINDOW))]);
    let error = end.session.handle_input(end.now, wire.freeze());
    assert_eq!(error, Err(SessionError::Flood(Flood::EmptyFrames)));
}

#[test]
fn empty_frames_at_a_hundred_per_second_are_tolerated_forever() {
    let mut end = End::server();
    end.accept(1);
    for _ in 0..limits::EMPTY_FRAME_BURST + 10_000 {
        end.now += limits::EMPTY_FRAME_INTERVAL;
        end.receive([Header::data(id(1), 0)]);
    }
}

#[test]
fn empty_frames_with_flags_are_not_counted() {
    let mut end = End::server();
    end.accept(1);
    for _ in 0..limits::EMPTY_FRAME_BURST + 10 {
        end.receive([ack(1)]);
    }
}

#[test]
fn a_thousand_pings_at_once_are_answered_in_part_and_a_flood_ends_the_session() {
    let mut end = End::server();
    end.receive((0..1_000).map(Header::ping));
    assert_eq!(end.headers(), (0..20).map(Header::pong).collect::<Vec<_>>());
    let flood = (0..=limits::EMPTY_FRAME_BURST).find_map(|value| end.feed(Header::ping(value)).err());
    assert_eq!(flood, Some(SessionError::Flood(Flood::EmptyFrames)));
}

#[test]
fn odd_pings_are_harmless() {
    let mut end = End::server();
    end.receive([
        Header::pong(77),                                    // answers nothing
        Header::ping(1).with_flags(Flags::NONE),             // asks nothing
        Header { stream: id(5), ..Header::ping(2) },         // on a stream
        Header::ping(3).with_flags(Flags::SYN | Flags::ACK), // both
        Header::ping(u32::MAX),
    ]);
    assert_eq!(end.headers(), [2, 3, u32::MAX].map(Header::pong));
    assert_eq!(end.session.stats().rtt, None);
}

#[test]
fn rapid_resets_end_the_session_after_a_burst() {
    let mut end = End::server();
    let mut churn = |i: u32| {
        end.feed(syn(2 * i + 1))?;
        end.events();
        end.feed(rst(2 * i + 1, 0))?;
        end.release(id(2 * i + 1));
        end.sent();
        Ok(())
    };
    for i in 0..256 {
        churn(i).expect("within the burst");
    }
    assert_eq!(churn(256), Err(SessionError::Flood(Flood::Resets)));
}

#[test]
fn rapid_resets_at_ten_per_second_and_syn_with_rst_are_tolerated() {
    let mut end = End::server();
    for i in 0..1_000 {
        end.receive([syn(1).with_flags(Flags::SYN | Flags::RST)]);
        end.now += Duration::from_millis(100);
        if i % 100 == 0 {
            assert_eq!(end.events(), []);
        }
    }
    assert_eq!((end.headers(), end.session.stats().streams), (vec![], 0));
}

#[test]
fn a_hundred_thousand_streams_that_carry_a_byte_may_be_reset() {
    let mut end = End::server();
    for i in 0..100_000 {
        let stream = id(2 * i + 1);
        end.receive([data(stream.value(), "x").with_flags(Flags::SYN)]);
        assert_eq!(end.events(), [Event::Incoming(stream), Event::Readable(stream)]);
        assert_eq!(end.read_all(stream), b"x");
        end.receive([rst(stream.value(), 0)]);
        end.release(stream);
        end.events();
        end.sent();
    }
    assert_eq!(end.session.stats().streams, 0);
}

#[test]
fn a_flood_of_streams_is_refused_one_by_one_and_the_session_lives() {
    let mut end = End::server();
    end.receive((0..1_200).map(|i| syn(2 * i + 1)));
    assert_eq!(end.events().len(), 1_024);
    let refused: Vec<_> = (1_024..1_200).map(|i| rst(2 * i + 1, code::stream::RESOURCE_LIMIT)).collect();
    assert_eq!(end.headers(), refused);
    end.receive([Header::ping(5)]);
    assert_eq!(end.headers(), [Header::pong(5)]);
}

#[test]
fn bodies_of_refused_and_unknown_streams_are_skipped() {
    let mut end = End::with(Role::Server, config(|config| config.max_inbound_streams = 0));
    end.receive([
        data(1, zeros(64 * KIB)).with_flags(Flags::SYN),
        data(9, zeros(64 * KIB)),
        data(9, "x").with_flags(Flags::FIN),
        data(9, zeros(10)).with_flags(Flags::RST),
        update(11, 5, Flags::NONE).into(),
        fin(11).into(),
        rst(13, 1).into(),
        Header::ping(1).into(),
    ]);
    assert_eq!(end.headers(), [rst(1, 0x1002), Header::pong(1)]);
    assert_eq!(end.session.stats().unread_bytes, 0);
}

#[test]
fn a_body_of_four_gibibytes_for_nobody_costs_nothing() {
    let mut end = End::server();
    end.receive([Header::data(id(9), u32::MAX)]);
    for _ in 0..100 {
        end.session.handle_input(end.now, zeros(MIB)).expect("skipped");
    }
    assert_eq!(end.session.stats().unread_bytes, 0);
}

#[test]
fn frames_for_a_stream_that_we_have_not_announced_are_ignored() {
    let mut end = End::client();
    let stream = end.session.open(end.now).expect("room");
    end.receive([rst(1, 5), update(1, u32::MAX, Flags::NONE), fin(1)]);
    end.receive([data(1, "early")]);
    assert_eq!(end.read(stream), Ok(Read::Pending));
    assert_eq!(end.headers(), [syn(1)]);
}

#[test]
fn a_header_may_drip_in() {
    let mut end = End::server();
    let mut wire = BytesMut::new();
    data(1, "hello").with_flags(Flags::SYN | Flags::FIN).encode(&mut wire);
    for byte in wire {
        end.session.handle_input(end.now, Bytes::copy_from_slice(&[byte])).expect("legal");
    }
    assert_eq!(end.events(), [Event::Incoming(id(1)), Event::Readable(id(1))]);
    assert_eq!(end.read_all(id(1)), b"hello");
    assert_eq!(end.read(id(1)), Ok(Read::Finished));
}

#[test]
fn unread_bytes_beyond_the_limit_cost_the_largest_stream_and_the_session_lives() {
    let mut end = End::with(Role::Server, config(|config| config.max_unread_bytes = 600 * KIB));
    let small = end.accept(1);
    let large = end.accept(3);
    end.receive([data(1, zeros(100 * KIB)), data(3, zeros(256 * KIB))]);
    let third = end.accept_with_events(5);
    end.receive([data(5, zeros(200 * KIB))]);
    assert_eq!(end.session.stats().unread_bytes, 556 * KIB);
    end.receive([data(5, zeros(50 * KIB))]);
    assert_eq!(end.session.stats().unread_bytes, 350 * KIB);
    assert_eq!(end.headers(), [rst(3, code::stream::RESOURCE_LIMIT)]);
    let by = bowline_yamux::Party::Local;
    assert_eq!(end.read(large), Err(ReadError::Reset { code: 0x1002, by }));
    assert_eq!((end.read_all(small).len(), end.read_all(third).len()), (100 * KIB, 250 * KIB));
}

#[test]
fn memory_stays_below_the_formula_with_256_streams_and_no_reader() {
    let mut end = End::server();
    for i in 0..256 {
        let frame = data(2 * i + 1, zeros(WINDOW)).with_flags(Flags::SYN);
        end.receive([frame]);
        assert!(end.session.stats().unread_bytes <= 32 * MIB);
    }
    assert!(!end.session.is_closed());
    let resets = end.headers().iter().filter(|header| header.flags.contains(Flags::RST)).count();
    assert_eq!(resets, 128, "128 of them fit into 32 MiB");
}

#[test]
fn a_stream_refused_once_is_not_refused_again_while_the_rst_waits() {
    let mut end = End::with(Role::Server, config(|config| config.max_inbound_streams = 0));
    end.receive([syn(1), syn(1), syn(1)]);
    assert_eq!(end.headers(), [rst(1, 0x1002)]);
}

fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    change(&mut config);
    config
}

impl End {
    fn accept_with_events(&mut self, stream: u32) -> StreamId {
        self.events();
        self.accept(stream)
    }
}
