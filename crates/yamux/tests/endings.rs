//! What the end of the session leaves behind: nobody who waits, and no stream that nobody holds.

mod common;

use std::time::Duration;

use bowline_yamux::{
    CloseReason, Event, OpenError, Party, Read, ReadError, SessionError, WriteError, code,
    frame::{Header, VERSION},
};
use common::{End, KIB, data, fin, id, rst, syn, zeros};

#[test]
fn a_stream_that_was_not_announced_before_the_peers_go_away_never_is() {
    let mut end = End::client();
    let announced = end.open();
    let (idle, writing, finished, released) =
        (unsent(&mut end), unsent(&mut end), unsent(&mut end), unsent(&mut end));
    end.write(writing, "queued");
    end.write(finished, "queued");
    end.finish(finished);
    end.write(released, "queued");
    end.finish(released);
    end.release(released);
    end.receive([Header::go_away(0)]);
    assert_eq!(end.headers(), [], "no SYN after a go-away");
    let (code, by) = (code::stream::SHUTDOWN, Party::Remote);
    for stream in [idle, writing, finished] {
        assert_eq!(end.read(stream), Err(ReadError::Reset { code, by }));
        let error = WriteError::Reset { code, by };
        assert_eq!(end.session.write(end.now, stream, &mut "x".into()), Err(error.clone()));
        assert_eq!(end.session.finish(end.now, stream), Err(error));
        end.release(stream);
    }
    assert_eq!((end.headers(), end.session.stats().streams), (vec![], 1));
    end.write(announced, "goes on");
    assert_eq!(end.sent(), [data(1, "goes on")]);
}

#[test]
fn who_waits_on_a_stream_that_will_not_be_announced_is_told() {
    let mut end = End::client();
    let stream = unsent(&mut end);
    while end.write(stream, zeros(64 * KIB)) > 0 {}
    end.receive([Header::go_away(0)]);
    let events = end.events();
    assert!(
        events.contains(&Event::Readable(stream)) && events.contains(&Event::Writable(stream)),
        "{events:?}"
    );
}

#[test]
fn who_waits_to_open_is_told_of_a_go_away() {
    let mut end = End::client();
    while let Ok(stream) = end.session.open(end.now) {
        end.write(stream, "x");
    }
    end.sent();
    end.receive([Header::go_away(0)]);
    assert!(end.events().contains(&Event::OpenAvailable), "or it would wait for an ACK that never comes");
    assert_eq!(end.session.open(end.now), Err(OpenError::Closed(CloseReason::Remote { code: 0 })));
}

#[test]
fn nothing_that_nobody_holds_outlives_the_session() {
    type Finish = fn(&mut End);
    let ends: [(&str, Finish); 4] = [
        ("ours", |end| end.session.go_away(end.now, 0)),
        ("the peer's", |end| end.receive([Header::go_away(1)])),
        ("a violation", |end| {
            let frame = Header { version: VERSION + 1, ..Header::ping(1) };
            end.feed(frame).expect_err("a violation");
        }),
        ("silence", |end| end.pass(Duration::from_secs(60))),
    ];
    for (name, finish) in ends {
        let mut end = End::client();
        let (waiting, blocked, doomed, held) = (end.open(), end.open(), end.open(), end.open());
        while end.write(blocked, zeros(64 * KIB)) > 0 {
            end.sent();
        }
        end.session.reset(end.now, doomed, 7);
        end.release(doomed);
        finish_after(&mut end, name, finish, |end| {
            for stream in [waiting, blocked] {
                end.finish(stream);
                end.release(stream);
            }
        });
        end.sent();
        end.events();
        assert_eq!(end.session.stats().streams, 1, "{name}: the one that is held");
        end.release(held);
        let stats = end.session.stats();
        let left = (stats.streams, stats.queued_bytes, stats.unread_bytes, stats.grown_bytes);
        assert_eq!(left, (0, 0, 0, 0), "{name}");
        assert!(!end.session.has_transmit(), "{name}");
    }
}

/// Silence lasts longer than a stream may be detached, so there the streams are given up at the last moment.
fn finish_after(end: &mut End, name: &str, finish: fn(&mut End), detach: impl FnOnce(&mut End)) {
    if name == "silence" {
        end.pass(Duration::from_secs(35));
    }
    detach(end);
    finish(end);
    assert!(end.session.is_closed(), "{name}");
}

#[test]
fn a_stream_not_accepted_before_the_end_can_be_read_after_it() {
    let mut end = End::server();
    end.receive([
        data(1, "whole").with_flags(bowline_yamux::frame::Flags::SYN),
        fin(1).into(),
        syn(3).into(),
    ]);
    end.session.go_away(end.now, 0);
    let events = end.events();
    assert!(
        events.contains(&Event::Incoming(id(1))) && events.contains(&Event::Incoming(id(3))),
        "{events:?}"
    );
    assert_eq!(end.read(id(1)), Ok(Read::Data("whole".into())));
    assert_eq!(end.read(id(1)), Ok(Read::Finished));
    assert_eq!(end.read(id(3)), Err(ReadError::Closed(CloseReason::Local { code: 0 })));
}

#[test]
fn a_violation_drops_the_resets_that_wait_and_their_streams() {
    let mut end = End::server();
    let stream = end.accept(1);
    end.session.reset(end.now, stream, 7);
    end.release(stream);
    assert_eq!(end.session.stats().streams, 1, "its RST waits");
    let error = end.feed(Header { version: 9, ..Header::ping(1) });
    assert_eq!(error, Err(SessionError::Version { version: 9 }));
    assert_eq!(end.headers(), [Header::go_away(1)]);
    assert_eq!(end.session.stats().streams, 0);
}

#[test]
fn a_stream_that_was_released_is_unknown_in_every_state() {
    let mut end = End::client();
    let (reset, detached) = (end.open(), end.open());
    let never = unsent(&mut end);
    end.finish(detached);
    for stream in [reset, detached, never] {
        end.release(stream);
        end.release(stream);
        end.session.reset(end.now, stream, 9);
        assert_eq!(end.read(stream), Err(ReadError::UnknownStream));
        assert_eq!(end.session.finish(end.now, stream), Err(WriteError::UnknownStream));
        assert_eq!(end.session.write(end.now, stream, &mut "x".into()), Err(WriteError::UnknownStream));
    }
    assert_eq!(end.headers(), [rst(1, 0), fin(3)]);
}

/// A stream of which the peer knows nothing yet.
fn unsent(end: &mut End) -> bowline_yamux::StreamId {
    end.session.open(end.now).expect("room")
}
