//! What arrives: slices, credit, and events at the edge.

mod common;

use bowline_yamux::{
    Event, Read,
    frame::{Flags, Header},
};
use bytes::{Bytes, BytesMut};
use common::{End, KIB, data, exchange, id, update, zeros};

#[test]
fn payload_is_cut_out_of_the_input_and_not_copied() {
    let mut end = End::server();
    end.accept(1);
    let mut wire = BytesMut::new();
    data(1, vec![1; 16 * KIB]).encode(&mut wire);
    data(1, vec![2; 16 * KIB]).encode(&mut wire);
    let wire = wire.freeze();
    let place = wire.as_ptr();
    end.session.handle_input(end.now, wire).expect("legal");
    let Ok(Read::Data(first)) = end.read(id(1)) else { panic!("data") };
    assert_eq!((first.len(), first.as_ptr()), (16 * KIB, place.wrapping_add(12)));
}

#[test]
fn a_body_in_pieces_reaches_the_stream_in_pieces() {
    let mut end = End::server();
    end.accept(1);
    end.receive([Header::data(id(1), 100_000)]);
    let piece = zeros(50_000);
    let place = piece.as_ptr();
    end.session.handle_input(end.now, piece).expect("legal");
    let Ok(Read::Data(first)) = end.read(id(1)) else { panic!("data") };
    assert_eq!((first.len(), first.as_ptr()), (50_000, place), "nobody waited for the rest of the body");
}

#[test]
fn crumbs_are_copied_together_and_pin_nothing() {
    let mut end = End::server();
    end.accept(1);
    let record = Bytes::from({
        let mut wire = BytesMut::new();
        data(1, "a").encode(&mut wire);
        data(1, vec![b'b'; 100]).encode(&mut wire);
        data(9, zeros(60 * KIB)).encode(&mut wire);
        data(1, vec![b'c'; 7 * KIB]).encode(&mut wire);
        wire.to_vec()
    });
    end.session.handle_input(end.now, record.clone()).expect("legal");
    assert!(record.is_unique(), "7 KiB of 67 do not hold on to all of it either");
    let Ok(Read::Data(first)) = end.read(id(1)) else { panic!("data") };
    assert_eq!(first.len(), 1 + 100 + 7 * KIB);
}

#[test]
fn a_read_takes_at_most_what_it_asks_for() {
    let mut end = End::server();
    end.accept(1);
    end.receive([data(1, "hello")]);
    let mut read = |max| end.session.read(end.now, id(1), max);
    assert_eq!(read(0), Ok(Read::Data(Bytes::new())));
    assert_eq!(read(2), Ok(Read::Data("he".into())));
    assert_eq!(read(9), Ok(Read::Data("llo".into())));
    assert_eq!(read(9), Ok(Read::Pending));
}

#[test]
fn readable_is_told_once_until_everything_was_read() {
    let mut end = End::server();
    let stream = end.accept(1);
    end.receive([data(1, "a"), data(1, "b")]);
    assert_eq!(end.events(), [Event::Readable(stream)]);
    end.receive([data(1, "c")]);
    assert_eq!(end.session.read(end.now, stream, 1), Ok(Read::Data("a".into())));
    end.receive([data(1, "d")]);
    assert_eq!(end.events(), [], "there was something to read all the time");
    assert_eq!(end.read_all(stream), b"bcd");
    end.receive([data(1, "e"), data(1, "f").with_flags(Flags::FIN)]);
    assert_eq!(end.events(), [Event::Readable(stream)]);
    assert_eq!(end.read_all(stream), b"ef");
    assert_eq!(end.read(stream), Ok(Read::Finished));
}

#[test]
fn the_end_is_told_like_data() {
    let mut end = End::server();
    let stream = end.accept(1);
    end.receive([data(1, "a")]);
    end.events();
    assert_eq!(end.session.read(end.now, stream, 1), Ok(Read::Data("a".into())));
    end.receive([update(1, 0, Flags::FIN)]);
    assert_eq!(end.events(), [Event::Readable(stream)]);
}

#[test]
fn credit_is_given_for_what_was_read_and_only_then() {
    let mut end = End::server();
    let stream = end.accept(1);
    end.receive([data(1, zeros(256 * KIB))]);
    assert_eq!(end.headers(), []);
    while end.headers().is_empty() {
        assert!(matches!(end.session.read(end.now, stream, KIB), Ok(Read::Data(_))));
    }
    assert_eq!(end.session.stats().unread_bytes, 192 * KIB, "a quarter of the window at a time");
}

#[test]
fn no_credit_is_given_after_the_peer_finished() {
    let mut end = End::server();
    let stream = end.accept(1);
    end.receive([data(1, zeros(200 * KIB)).with_flags(Flags::FIN)]);
    assert_eq!(end.read_all(stream).len(), 200 * KIB);
    assert_eq!(end.headers(), []);
}

/// A reader that gives up at the moment credit is due must not lose it: go-yamux books it before it is queued.
#[test]
fn ten_thousand_reads_that_are_given_up_lose_no_credit() {
    let (mut client, mut server) = (End::client(), End::server());
    let stream = client.session.open(client.now).expect("room");
    let mut moved = 0;
    for round in 0..10_000 {
        client.write(stream, zeros(64 * KIB));
        exchange(&mut client, &mut server);
        server.events();
        // One read, whose data the reader throws away with itself, then another asks again.
        if let Ok(Read::Data(data)) = server.session.read(server.now, stream, 1 + round % (70 * KIB)) {
            moved += data.len();
        }
        if round % 3 == 0 {
            moved += server.read_all(stream).len();
        }
    }
    assert!(moved > 10_000 / 3 * 60 * KIB, "{moved}");
    assert_eq!(server.session.stats().unread_bytes, server.read_all(stream).len());
}

#[test]
fn two_writers_who_do_not_read_stand_still_without_error_and_go_on_when_they_read() {
    const TOTAL: usize = 8 << 20;
    let (mut client, mut server) = (End::client(), End::server());
    let stream = client.session.open(client.now).expect("room");
    client.write(stream, "x");
    exchange(&mut client, &mut server);
    server.events();
    let (mut left, mut got) = ([TOTAL - 1, TOTAL], [0, 0]);
    for read in [false, true] {
        loop {
            let mut moved = 0;
            for (i, end) in [&mut client, &mut server].into_iter().enumerate() {
                let taken = end.write(stream, zeros(left[i].min(64 * KIB)));
                left[i] -= taken;
                moved += taken;
                if read {
                    let taken = end.read_all(stream).len();
                    got[i] += taken;
                    moved += taken;
                }
            }
            exchange(&mut client, &mut server);
            if moved == 0 {
                break;
            }
        }
        assert!(
            read || left.iter().all(|left| *left > TOTAL - 400 * KIB),
            "both stand still at their windows"
        );
    }
    got[0] += client.read_all(stream).len();
    got[1] += server.read_all(stream).len();
    assert_eq!((left, got), ([0, 0], [TOTAL, TOTAL]));
}
