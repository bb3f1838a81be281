//! What an observer of an upgrade sees.

mod common;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bowline_connection::{Direction, Layer, Tap, Upgrade};
use bytes::BytesMut;
use common::{HEADER, YAMUX, dialer, flight, listener, messages, start, texts};

type Seen = Arc<Mutex<Vec<(Instant, Direction, Layer, Vec<u8>)>>>;

struct Recorder(Seen);

impl Tap for Recorder {
    fn observe(&mut self, now: Instant, direction: Direction, layer: Layer, bytes: &[u8]) {
        self.0.lock().unwrap().push((now, direction, layer, bytes.to_vec()));
    }
}

fn observed(upgrade: Upgrade) -> (Upgrade, Seen) {
    let seen = Seen::default();
    (upgrade.with_tap(Some(Box::new(Recorder(Arc::clone(&seen))))), seen)
}

/// Everything of one layer and direction, joined.
fn all(seen: &Seen, direction: Direction, layer: Layer) -> Vec<u8> {
    let seen = seen.lock().unwrap();
    let pieces = seen.iter().filter(|(_, way, on, _)| (*way, *on) == (direction, layer));
    pieces.flat_map(|(_, _, _, bytes)| bytes.clone()).collect()
}

#[test]
fn every_layer_is_seen_once_and_whole_however_the_bytes_arrive() {
    let now = start();
    let (mut at_dialer, _) = observed(dialer(now, true));
    let (mut at_listener, seen) = observed(listener(now, false));
    let (mut there, mut back) = (BytesMut::new(), BytesMut::new());
    let (mut sent_there, mut sent_back) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let first = flight(&mut at_dialer);
        sent_there.extend_from_slice(&first);
        for byte in first {
            there.extend_from_slice(&[byte]);
            at_listener.handle_input(now, &mut there).unwrap();
        }
        let answer = flight(&mut at_listener);
        sent_back.extend_from_slice(&answer);
        back.extend_from_slice(&answer);
        at_dialer.handle_input(now, &mut back).unwrap();
    }
    let select = messages(&[HEADER, "/noise"]).len();
    for (direction, whole) in [(Direction::Received, &sent_there), (Direction::Sent, &sent_back)] {
        assert_eq!(all(&seen, direction, Layer::Socket), **whole);
        assert_eq!(texts(&all(&seen, direction, Layer::Negotiation)), [HEADER, "/noise"]);
        assert_eq!(texts(&all(&seen, direction, Layer::Record)), [HEADER, YAMUX]);
        let handshake = all(&seen, direction, Layer::Handshake);
        assert_eq!(handshake, whole[select..select + handshake.len()]);
        assert!(handshake.len() > 34);
    }
}

#[test]
fn what_is_seen_carries_the_time_of_the_last_input() {
    let now = start();
    let later = now + Duration::from_secs(3);
    let (mut upgrade, seen) = observed(listener(now, true));
    upgrade.handle_input(later, &mut messages(&[HEADER])).unwrap();
    let _flight = flight(&mut upgrade);
    let seen = seen.lock().unwrap();
    assert!(seen.len() >= 4 && seen.iter().all(|(at, ..)| *at == later));
}

#[test]
fn the_observer_is_given_on_after_the_upgrade() {
    let (mut upgrade, _) = observed(dialer(start(), true));
    assert!(upgrade.take_tap().is_some());
    assert!(upgrade.take_tap().is_none());
}
