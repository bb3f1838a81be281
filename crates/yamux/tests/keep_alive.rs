//! Pings: the round-trip time, and the end of a peer that fell silent.

mod common;

use std::time::Duration;

use bowline_yamux::{CloseReason, Config, Event, Role, frame::Header};
use common::{End, data};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_first_ping_goes_out_at_once_and_then_every_thirty_seconds() {
    let mut end = End::new(Role::Client, Config::default());
    for value in 0..4 {
        assert_eq!(end.headers(), [Header::ping(value)]);
        end.receive([Header::pong(value)]);
        end.pass(29 * SECOND);
        assert_eq!(end.headers(), []);
        end.pass(SECOND);
    }
}

#[test]
fn the_round_trip_time_starts_when_the_ping_leaves() {
    let mut end = End::new(Role::Client, Config::default());
    end.pass(5 * SECOND);
    assert_eq!(end.headers(), [Header::ping(0)]);
    end.pass(Duration::from_millis(80));
    end.receive([Header::pong(1)]);
    assert_eq!(end.session.stats().rtt, None, "not the answer");
    end.receive([Header::pong(0), Header::pong(0)]);
    assert_eq!(end.session.stats().rtt, Some(Duration::from_millis(80)));
    end.pass(30 * SECOND);
    assert_eq!(end.headers(), [Header::ping(1)]);
    end.pass(Duration::from_millis(200));
    end.receive([Header::pong(1)]);
    let stats = end.session.stats();
    assert_eq!(
        (stats.rtt, stats.latest_rtt),
        (Some(Duration::from_millis(80)), Some(Duration::from_millis(200)))
    );
}

#[test]
fn silence_after_a_ping_ends_the_session() {
    let mut end = End::client();
    end.receive([Header::pong(0)]);
    end.pass(30 * SECOND);
    assert_eq!(end.headers(), [Header::ping(1)]);
    end.pass(Duration::from_millis(9_999));
    assert!(!end.session.is_closed());
    end.pass(Duration::from_millis(1));
    assert_eq!(end.events(), [Event::Closed(CloseReason::KeepAliveTimeout)]);
    assert_eq!(end.headers(), [Header::go_away(2)], "in case the peer is only slow");
    assert_eq!(end.events(), []);
}

#[test]
fn a_ping_that_cannot_leave_counts_as_well() {
    let mut end = End::client();
    end.pass(40 * SECOND);
    assert_eq!(end.session.close_reason(), Some(CloseReason::KeepAliveTimeout));
}

#[test]
fn anything_received_keeps_the_session_alive_without_pongs() {
    let mut end = End::server();
    end.accept(1);
    for _ in 0..100 {
        end.pass(9 * SECOND);
        end.receive([data(1, "x")]);
        end.sent();
    }
    assert!(!end.session.is_closed());
}

#[test]
fn a_lost_pong_does_not_end_the_measuring() {
    let mut end = End::server();
    end.accept(1);
    end.receive([Header::pong(0)]);
    end.pass(30 * SECOND);
    assert_eq!(end.headers(), [Header::ping(1)]);
    for _ in 0..29 {
        end.pass(SECOND);
        end.receive([data(1, "x")]);
        assert_eq!(end.headers(), []);
    }
    end.pass(SECOND);
    assert_eq!(end.headers(), [Header::ping(2)], "the next takes its place");
    end.receive([Header::pong(1)]);
    assert_eq!(end.session.stats().latest_rtt, Some(Duration::ZERO), "too late for the first");
    end.pass(Duration::from_millis(70));
    end.receive([Header::pong(2)]);
    assert_eq!(end.session.stats().latest_rtt, Some(Duration::from_millis(70)));
}

#[test]
fn a_ping_that_waited_to_leave_is_measured_from_when_it_left() {
    let mut end = End::server();
    end.accept(1);
    end.receive([Header::pong(0)]);
    for _ in 0..9 {
        end.pass(9 * SECOND);
        end.receive([data(1, "the peer sends and does not read")]);
    }
    assert_eq!(end.headers(), [Header::ping(1)], "one, however long it took");
    end.receive([Header::pong(1)]);
    assert_eq!(end.session.stats().latest_rtt, Some(Duration::ZERO));
}

#[test]
fn the_first_ping_may_stay_unanswered() {
    let mut end = End::client();
    end.pass(29 * SECOND);
    assert!(!end.session.is_closed());
}

#[test]
fn every_configuration_has_deadlines_that_move() {
    let mut times = vec![Duration::ZERO, SECOND, Duration::MAX];
    times.push(Duration::from_nanos(1));
    for interval in &times {
        for timeout in &times {
            let mut config = Config::default();
            (config.ping_interval, config.ping_timeout, config.detach_timeout) =
                (*interval, *timeout, *timeout);
            let mut end = End::new(Role::Server, config);
            end.receive([common::syn(1)]);
            end.events();
            end.finish(common::id(1));
            end.release(common::id(1));
            end.sent();
            end.pass(Duration::from_millis(50));
        }
    }
}

#[test]
fn timeouts_early_or_twice_do_nothing() {
    let mut end = End::client();
    end.session.handle_timeout(end.now);
    end.session.handle_timeout(end.now);
    assert_eq!((end.headers(), end.events()), (vec![], vec![]));
}
