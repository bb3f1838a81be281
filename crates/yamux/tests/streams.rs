//! The life of a stream: opening, finishing, resetting, and giving it up in every state.

#![allow(clippy::too_many_lines, reason = "transcripts")]

mod common;

use std::time::Duration;

use bowline_yamux::{
    CloseReason, Config, Event, OpenError, Party, Read, ReadError, Role, StreamId, WriteError, code,
    frame::{Flags, Header},
    limits,
};
use bytes::Bytes;
use common::{End, KIB, ack, data, exchange, fin, id, rst, syn, update, zeros};

#[test]
fn the_syn_rides_on_the_first_data() {
    let mut end = End::client();
    let stream = end.session.open(end.now).expect("room");
    assert_eq!(end.headers(), [], "nothing is sent for an open alone");
    end.write(stream, "hello");
    end.write(stream, " world");
    assert_eq!(end.sent(), [data(1, "hello world").with_flags(Flags::SYN)]);
    end.write(stream, "!");
    assert_eq!(end.sent(), [data(1, "!")], "data may follow before the ACK");
}

#[test]
fn a_reader_who_waits_sends_the_syn() {
    let mut end = End::client();
    let stream = end.session.open(end.now).expect("room");
    assert_eq!(end.read(stream), Ok(Read::Pending));
    assert_eq!(end.headers(), [syn(1)]);
    assert_eq!(end.read(stream), Ok(Read::Pending));
    assert_eq!(end.headers(), []);
}

#[test]
fn an_empty_stream_that_is_finished_sends_syn_then_fin() {
    let mut end = End::client();
    let stream = end.session.open(end.now).expect("room");
    end.finish(stream);
    assert_eq!(end.headers(), [syn(1), fin(1)]);
}

#[test]
fn the_ack_rides_on_the_first_frame_whatever_it_is() {
    let mut end = End::server();
    let (writer, reader, finisher) = (end.accept(1), end.accept(3), end.accept(5));
    end.write(writer, "answer");
    assert_eq!(end.sent(), [data(1, "answer").with_flags(Flags::ACK)]);
    end.receive([data(3, zeros(64 * KIB))]);
    assert_eq!(end.read_all(reader).len(), 64 * KIB);
    assert_eq!(end.headers(), [update(3, 65_536, Flags::ACK)]);
    end.finish(finisher);
    assert_eq!(end.headers(), [update(5, 0, Flags::ACK | Flags::FIN)]);
}

#[test]
fn any_frame_but_an_rst_acknowledges_a_stream() {
    for frame in [ack(1).into(), data(1, "x"), data(1, "x").with_flags(Flags::ACK), fin(1).into()] {
        let mut end = End::client();
        let stream = end.session.open(end.now).expect("room");
        end.write(stream, "x");
        end.sent();
        assert!(!end.session.stream_acknowledged(stream));
        end.receive([frame]);
        assert!(end.session.stream_acknowledged(stream));
    }
}

#[test]
fn ids_are_odd_for_the_client_and_even_for_the_server_and_never_reused() {
    for (mut end, first) in [(End::client(), 1), (End::server(), 2)] {
        for i in 0..5 {
            let stream = end.session.open(end.now).expect("room");
            assert_eq!(stream.value(), first + 2 * i);
            end.release(stream);
        }
        assert_eq!(end.headers(), [], "what was never announced needs no RST");
        assert_eq!(end.session.stats().streams, 0);
    }
}

#[test]
fn at_most_256_streams_wait_for_an_ack() {
    let mut end = End::client();
    for _ in 0..limits::MAX_UNACKNOWLEDGED {
        end.session.open(end.now).map(|stream| end.write(stream, "x")).expect("room");
    }
    assert_eq!(end.session.open(end.now), Err(OpenError::Backlog));
    end.sent();
    end.receive([ack(1)]);
    assert_eq!(end.events(), [Event::OpenAvailable]);
    end.session.open(end.now).expect("room");
    assert_eq!(end.session.open(end.now), Err(OpenError::Backlog));
}

#[test]
fn an_rst_frees_a_place_in_the_backlog_like_an_ack() {
    let mut end = fill_backlog();
    end.receive([rst(3, 0)]);
    assert!(end.events().contains(&Event::OpenAvailable));
    end.session.open(end.now).expect("room");
}

#[test]
fn opening_and_dropping_does_not_pass_by_the_backlog() {
    let mut end = fill_backlog();
    end.release(id(3));
    assert_eq!(end.session.open(end.now), Err(OpenError::Backlog), "the peer has not been told yet");
    assert_eq!(end.headers(), [rst(3, 0)]);
    assert_eq!(end.events(), [Event::OpenAvailable]);
    end.session.open(end.now).expect("room");
}

#[test]
fn a_thousand_streams_that_are_opened_and_dropped_leak_no_place() {
    let mut end = End::client();
    for _ in 0..1_000 {
        let stream = end.session.open(end.now).expect("room");
        end.write(stream, "x");
        end.sent();
        end.release(stream);
        end.sent();
    }
    assert_eq!(end.session.stats().streams, 0);
}

#[test]
fn our_own_limit_on_streams_waits_for_a_release() {
    let mut end = End::with(Role::Client, config(|config| config.max_outbound_streams = 2));
    let (first, _second) = (end.open(), end.open());
    assert_eq!(end.session.open(end.now), Err(OpenError::Backlog));
    end.release(first);
    assert_eq!(end.headers(), [rst(1, 0)]);
    assert_eq!(end.events(), [Event::OpenAvailable]);
    end.session.open(end.now).expect("room");
}

#[test]
fn data_before_the_fin_arrives_before_the_end() {
    let (mut client, mut server) = (End::client(), End::server());
    let stream = client.session.open(client.now).expect("room");
    client.write(stream, "all of it");
    client.finish(stream);
    exchange(&mut client, &mut server);
    assert_eq!(server.read(stream), Err(ReadError::UnknownStream), "not before it was announced");
    assert_eq!(server.events(), [Event::Incoming(stream), Event::Readable(stream)]);
    assert_eq!(server.read(stream), Ok(Read::Data("all of it".into())));
    assert_eq!(server.read(stream), Ok(Read::Finished));
    // The other direction goes on.
    server.write(stream, "answer");
    exchange(&mut client, &mut server);
    assert_eq!(client.read(stream), Ok(Read::Data("answer".into())));
    assert_eq!(client.session.write(client.now, stream, &mut "x".into()), Err(WriteError::Finished));
    assert_eq!(client.session.finish(client.now, stream), Ok(()), "again does nothing");
}

#[test]
fn a_fin_on_data_counts_after_its_body() {
    let mut end = End::server();
    end.accept(1);
    end.receive([Header::data(id(1), 5).with_flags(Flags::FIN)]);
    assert_eq!(end.read(id(1)), Ok(Read::Pending), "the body is still to come");
    end.session.handle_input(end.now, Bytes::from_static(b"hel")).expect("legal");
    assert_eq!(end.read_all(id(1)), b"hel");
    assert_eq!(end.read(id(1)), Ok(Read::Pending));
    end.session.handle_input(end.now, Bytes::from_static(b"lo")).expect("legal");
    assert_eq!(end.read_all(id(1)), b"lo");
    assert_eq!(end.read(id(1)), Ok(Read::Finished));
}

#[test]
fn an_rst_is_an_error_and_never_an_end_of_stream() {
    let mut end = End::server();
    let stream = end.accept(1);
    assert_eq!(end.read(stream), Ok(Read::Pending));
    end.receive([data(1, "cut sho"), rst(1, 0x1001).into()]);
    assert_eq!(end.events(), [Event::Readable(stream)]);
    let (code, by) = (0x1001, Party::Remote);
    assert_eq!(end.read(stream), Err(ReadError::Reset { code, by }));
    assert_eq!(end.session.write(end.now, stream, &mut "x".into()), Err(WriteError::Reset { code, by }));
    assert_eq!(end.session.finish(end.now, stream), Err(WriteError::Reset { code, by }));
    assert_eq!(end.session.stats().unread_bytes, 0);
    assert_eq!(end.headers(), [], "an RST is not answered");
}

#[test]
fn what_was_finished_before_the_rst_stays_readable() {
    let mut end = End::server();
    let stream = end.accept(1);
    end.receive([data(1, "all of it").with_flags(Flags::FIN), rst(1, 0).into()]);
    assert_eq!(end.read(stream), Ok(Read::Data("all of it".into())));
    assert_eq!(end.read(stream), Ok(Read::Finished));
    let error = WriteError::Reset { code: 0, by: Party::Remote };
    assert_eq!(end.session.write(end.now, stream, &mut "x".into()), Err(error));
}

#[test]
fn a_reset_drops_what_is_queued_and_carries_the_code() {
    let mut end = End::client();
    let stream = end.open();
    end.write(stream, zeros(1_000));
    end.session.reset(end.now, stream, 0x1004);
    assert_eq!(end.headers(), [rst(1, 0x1004)]);
    let (code, by) = (0x1004, Party::Local);
    assert_eq!(end.read(stream), Err(ReadError::Reset { code, by }));
    end.session.reset(end.now, stream, 5);
    assert_eq!((end.headers(), end.session.stats().queued_bytes), (vec![], 0));
    // What was under way when the RST left is skipped.
    end.receive([
        data(1, zeros(64 * KIB)),
        update(1, 5, Flags::NONE).into(),
        fin(1).into(),
        rst(1, 0).into(),
    ]);
    assert_eq!(end.headers(), []);
}

#[test]
fn data_after_a_fin_is_refused_and_not_delivered() {
    let mut end = End::server();
    let stream = end.accept(1);
    end.receive([fin(1).into(), data(1, zeros(32))]);
    assert_eq!(end.headers(), [rst(1, code::stream::VIOLATION)]);
    assert!(matches!(end.read(stream), Err(ReadError::Reset { code: 0x1004, by: Party::Local })));
    assert_eq!(end.session.stats().unread_bytes, 0);
}

#[test]
fn credit_after_a_fin_is_legal_and_used() {
    let mut end = End::server();
    let stream = end.accept(1);
    while end.write(stream, zeros(64 * KIB)) > 0 {
        end.sent();
    }
    end.receive([fin(1), update(1, 1_000, Flags::NONE)]);
    let sent: u32 = end.headers().iter().map(|header| header.length).sum();
    assert_eq!(sent, 1_000);
}

/// FIN and RST of either side, in every order of two.
#[test]
fn every_pair_of_ends_is_clean() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Ending {
        OurFin,
        OurRst,
        TheirFin,
        TheirRst,
    }
    use Ending::{OurFin, OurRst, TheirFin, TheirRst};
    let all = [OurFin, OurRst, TheirFin, TheirRst];
    for (first, second) in all.into_iter().flat_map(|first| all.map(|second| (first, second))) {
        let mut end = End::server();
        let stream = end.accept(1);
        let mut sent = Vec::new();
        for ending in [first, second] {
            match ending {
                OurFin => drop(end.session.finish(end.now, stream)),
                OurRst => end.session.reset(end.now, stream, 7),
                TheirFin => end.receive([fin(1)]),
                TheirRst => end.receive([rst(1, 9)]),
            }
            sent.extend(end.headers().into_iter().map(|header| header.with_flags(flags_but_ack(&header))));
        }
        let expected = match (first, second) {
            (OurFin, OurRst) => vec![fin(1), rst(1, 7)],
            (OurFin, _) => vec![fin(1)],
            (OurRst, _) => vec![rst(1, 7)],
            (TheirFin, OurFin) => vec![fin(1)],
            (TheirFin, OurRst) => vec![rst(1, 7)],
            (TheirFin | TheirRst, _) => vec![],
        };
        assert_eq!(sent, expected, "{first:?}, {second:?}");
        let read = end.read(stream);
        match (first, second) {
            (TheirFin, TheirRst | TheirFin | OurFin) => assert_eq!(read, Ok(Read::Finished)),
            (OurFin, TheirFin) => assert_eq!(read, Ok(Read::Finished)),
            (OurFin, OurFin) => assert_eq!(read, Ok(Read::Pending)),
            (OurRst, _) | (_, OurRst) if first != TheirRst => {
                assert_eq!(read, Err(ReadError::Reset { code: 7, by: Party::Local }));
            }
            _ => assert_eq!(read, Err(ReadError::Reset { code: 9, by: Party::Remote })),
        }
        end.release(stream);
        end.sent();
        end.pass(Duration::from_secs(20));
        end.sent();
        assert_eq!(end.session.stats().streams, 0, "{first:?}, {second:?}");
        end.receive([Header::ping(1)]);
        assert!(end.headers().contains(&Header::pong(1)));
    }
}

fn flags_but_ack(header: &Header) -> Flags {
    Flags::from_bits(header.flags.bits() & !Flags::ACK.bits())
}

#[test]
fn dropping_an_unfinished_stream_resets_it_in_every_state() {
    type Prepare = fn(&mut End, StreamId);
    let states: [(&str, Prepare); 5] = [
        ("fresh", |_, _| {}),
        ("with queued data", |end, stream| assert_eq!(end.write(stream, "queued"), 6)),
        ("with unread data", |end, _| end.receive([data(1, "unread")])),
        ("finished by the peer", |end, _| end.receive([fin(1)])),
        ("finished by the peer, with queued data", |end, stream| {
            end.receive([fin(1)]);
            end.write(stream, "queued");
        }),
    ];
    for (name, prepare) in states {
        let mut end = End::server();
        let stream = end.accept(1);
        prepare(&mut end, stream);
        end.release(stream);
        assert_eq!(end.headers(), [rst(1, 0)], "{name}");
        assert_eq!(end.session.stats().streams, 0, "{name}");
        assert_eq!(end.read(stream), Err(ReadError::UnknownStream));
    }
}

#[test]
fn write_finish_drop_delivers() {
    let (mut client, mut server) = (End::client(), End::server());
    let stream = client.session.open(client.now).expect("room");
    client.write(stream, "all of it");
    client.finish(stream);
    client.release(stream);
    exchange(&mut client, &mut server);
    assert_eq!(server.events(), [Event::Incoming(stream), Event::Readable(stream)]);
    assert_eq!(server.read_all(stream), b"all of it");
    assert_eq!(server.read(stream), Ok(Read::Finished));
    server.finish(stream);
    exchange(&mut client, &mut server);
    assert_eq!(client.session.stats().streams, 0, "the peer's end was awaited");
}

#[test]
fn a_detached_stream_refuses_late_payload_after_its_own_data() {
    let mut end = End::server();
    let stream = end.accept(1);
    end.write(stream, "answer");
    end.finish(stream);
    end.release(stream);
    end.receive([data(1, "late"), data(1, "later")]);
    let sent = end.sent();
    assert_eq!(sent[0], data(1, "answer").with_flags(Flags::ACK));
    let headers: Vec<_> = sent[1..].iter().map(|frame| frame.header).collect();
    assert_eq!(headers, [fin(1), rst(1, 0)]);
    assert_eq!(end.session.stats().streams, 0);
    end.receive([data(1, "latest")]);
    assert_eq!(end.headers(), []);
}

#[test]
fn a_detached_stream_waits_ten_seconds_for_the_peer() {
    let mut end = End::server();
    let stream = end.accept(1);
    end.finish(stream);
    end.release(stream);
    assert_eq!(end.headers().len(), 1, "the FIN");
    end.pass(Duration::from_millis(9_999));
    assert_eq!(end.headers(), []);
    end.pass(Duration::from_millis(1));
    assert_eq!(end.headers(), [rst(1, 0)]);
    assert_eq!(end.session.stats().streams, 0);
}

#[test]
fn a_detached_stream_may_take_longer_while_it_makes_progress() {
    let mut end = End::server();
    let stream = end.accept(1);
    while end.write(stream, zeros(64 * KIB)) > 0 {
        end.sent();
    }
    assert!(end.session.stats().queued_bytes > 60_000, "the peer gives no credit");
    end.finish(stream);
    end.release(stream);
    for _ in 0..3 {
        end.pass(Duration::from_secs(9));
        end.receive([update(1, 1_000, Flags::NONE)]);
        assert_eq!(end.headers().iter().map(|header| header.length).max(), Some(1_000));
    }
    end.pass(Duration::from_secs(11));
    assert!(end.headers().contains(&rst(1, 0)), "no progress: the queue is given up");
    assert_eq!(end.session.stats().queued_bytes, 0);
}

#[test]
fn an_id_may_be_opened_again_once_the_stream_is_gone() {
    let mut end = End::server();
    let stream = end.accept(1);
    end.receive([fin(1)]);
    end.finish(stream);
    end.sent();
    end.receive([syn(1)]);
    assert_eq!(end.headers(), [rst(1, 0x1002)], "its owner still holds the old one");
    end.release(stream);
    end.accept(1);
}

#[test]
fn go_away_ends_everything_after_what_was_left_to_say() {
    let mut end = End::client();
    let (stream, other) = (end.open(), end.open());
    end.receive([data(1, "unread")]);
    end.session.reset(end.now, other, 0x1007);
    end.session.go_away(end.now, 0x1006);
    assert_eq!(end.headers(), [rst(3, 0x1007), Header::go_away(0x1006)]);
    let reason = CloseReason::Local { code: 0x1006 };
    assert_eq!(end.events().last(), Some(&Event::Closed(reason.clone())));
    assert_eq!(end.session.close_reason(), Some(reason.clone()));
    assert_eq!(end.session.open(end.now), Err(OpenError::Closed(reason.clone())));
    assert_eq!(end.session.write(end.now, stream, &mut "x".into()), Err(WriteError::Closed(reason.clone())));
    assert_eq!(end.read(stream), Ok(Read::Data("unread".into())));
    assert_eq!(end.read(stream), Err(ReadError::Closed(reason)));
    end.receive([data(1, "ignored")]);
    end.release(stream);
    end.release(other);
    end.session.go_away(end.now, 1);
    assert_eq!((end.headers(), end.session.stats().streams), (vec![], 0));
}

#[test]
fn a_go_away_of_the_peer_with_code_zero_lets_streams_finish() {
    let mut end = End::client();
    let stream = end.open();
    end.receive([data(1, "in flight"), Header::go_away(0).into(), data(1, " and on")]);
    assert_eq!(end.events(), [Event::Readable(stream), Event::GoAway { code: 0 }]);
    assert_eq!(end.read_all(stream), b"in flight and on");
    assert_eq!(end.session.open(end.now), Err(OpenError::Closed(CloseReason::Remote { code: 0 })));
    end.write(stream, "reply");
    assert_eq!(end.sent(), [data(1, "reply")]);
    end.receive([syn(2)]);
    assert_eq!(end.headers(), [rst(2, code::stream::SHUTDOWN)]);
}

#[test]
fn a_go_away_of_the_peer_with_an_error_ends_the_session_and_data_stays_readable() {
    for code in [1, 2, 0x1005, u32::MAX] {
        let mut end = End::client();
        let stream = end.open();
        let go_away = Header { stream: id(5), ..Header::go_away(code) };
        end.receive([data(1, "in flight"), go_away.into()]);
        let reason = CloseReason::Remote { code };
        let events = end.events();
        assert!(events.contains(&Event::GoAway { code }) && events.contains(&Event::Closed(reason.clone())));
        assert_eq!(end.read(stream), Ok(Read::Data("in flight".into())));
        assert_eq!(end.read(stream), Err(ReadError::Closed(reason)));
        assert_eq!(end.headers(), []);
    }
}

#[test]
fn operations_on_a_stream_that_never_was_do_nothing() {
    let mut end = End::client();
    let nobody = id(77);
    assert_eq!(end.read(nobody), Err(ReadError::UnknownStream));
    assert_eq!(end.session.write(end.now, nobody, &mut "x".into()), Err(WriteError::UnknownStream));
    assert_eq!(end.session.finish(end.now, nobody), Err(WriteError::UnknownStream));
    end.session.reset(end.now, nobody, 1);
    end.release(nobody);
    assert!(!end.session.stream_acknowledged(nobody));
    assert_eq!(end.headers(), []);
}

/// A client with a full backlog, all of it announced.
fn fill_backlog() -> End {
    let mut end = End::client();
    while let Ok(stream) = end.session.open(end.now) {
        end.write(stream, "x");
    }
    end.sent();
    end
}

fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    change(&mut config);
    config
}
