//! Credit is the peer's when it has been told, not when it has been booked.

mod common;

use bowline_yamux::{
    ReadError, SessionError,
    frame::{Flags, Header},
};
use common::{End, KIB, data, id, update, zeros};

/// A peer that cannot have seen the update spends it all the same.
#[test]
fn credit_that_was_not_sent_cannot_be_spent() {
    let mut end = End::server();
    let stream = end.accept(1);
    end.receive([data(1, zeros(256 * KIB))]);
    assert_eq!(end.read_all(stream).len(), 256 * KIB);
    assert!(end.session.has_transmit(), "an update waits");
    let error = SessionError::WindowExceeded { id: id(1), length: 1, credit: 0 };
    assert_eq!(end.feed(data(1, "x")), Err(error));
}

#[test]
fn credit_that_was_sent_can_be_spent_to_the_last_byte() {
    let mut end = End::server();
    let stream = end.accept(1);
    for flags in [Flags::ACK, Flags::NONE, Flags::NONE] {
        end.receive([data(1, zeros(256 * KIB))]);
        assert_eq!(end.read_all(stream).len(), 256 * KIB);
        assert_eq!(end.headers(), [update(1, 262_144, flags)]);
    }
    end.receive([data(1, zeros(256 * KIB))]);
    let error = SessionError::WindowExceeded { id: id(1), length: 1, credit: 0 };
    assert_eq!(end.feed(data(1, "x")), Err(error));
}

/// A peer that never reads, while all it sends is read: five gibibytes overflowed the sum of what it was owed.
#[test]
fn credit_owed_to_a_peer_that_never_reads_does_not_add_up_beyond_the_window() {
    let mut end = End::server();
    let stream = end.accept(1);
    let mut received = 0;
    let error = loop {
        match end.feed(Header::data(id(1), 65_536)) {
            Ok(()) => end.session.handle_input(end.now, zeros(64 * KIB)).expect("a body"),
            Err(error) => break error,
        }
        received += end.read_all(stream).len();
        assert!(received <= 256 * KIB, "it was told of no more");
    };
    assert_eq!(error, SessionError::WindowExceeded { id: id(1), length: 65_536, credit: 0 });
    assert!(matches!(end.read(stream), Err(ReadError::Closed(_))));
}

#[test]
fn credit_that_waits_when_the_owner_leaves_is_withdrawn() {
    let mut end = End::server();
    let stream = end.accept(1);
    end.receive([data(1, zeros(256 * KIB))]);
    assert_eq!(end.read_all(stream).len(), 256 * KIB);
    end.finish(stream);
    end.release(stream);
    assert_eq!(end.headers(), [update(1, 0, Flags::ACK | Flags::FIN)], "nobody will read more");
    let error = SessionError::WindowExceeded { id: id(1), length: 1, credit: 0 };
    assert_eq!(end.feed(data(1, "x")), Err(error));
}
