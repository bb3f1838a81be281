//! Two ends of a link, and a peer that says what it wants.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::time::Instant;

use bowline_connection::{Secured, Upgrade, UpgradeConfig};
use bowline_identity::Keypair;
use bowline_multistream::Message;
use bowline_noise::{Handshake, Identity, Opener, Sealer};
use bowline_yamux::{Event, Read};
use bytes::{Bytes, BytesMut};

pub(crate) const HEADER: &str = "/multistream/1.0.0";
pub(crate) const YAMUX: &str = "/yamux/1.0.0";

#[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
pub(crate) fn start() -> Instant {
    Instant::now()
}

pub(crate) fn alice() -> Keypair {
    Keypair::from_ed25519_seed([0xa; 32])
}

pub(crate) fn bob() -> Keypair {
    Keypair::from_ed25519_seed([0xb; 32])
}

pub(crate) fn carol() -> Keypair {
    Keypair::from_ed25519_seed([0xc; 32])
}

pub(crate) fn config(keypair: &Keypair, inline_muxer: bool) -> UpgradeConfig {
    UpgradeConfig { inline_muxer, ..UpgradeConfig::new(Identity::new(keypair, [0x51; 32])) }
}

/// Alice, who dials Bob.
pub(crate) fn dialer(now: Instant, inline_muxer: bool) -> Upgrade {
    Upgrade::dialer(now, &config(&alice(), inline_muxer), Some(bob().peer_id()), [0x1e; 32])
}

/// Bob, who listens.
pub(crate) fn listener(now: Instant, inline_muxer: bool) -> Upgrade {
    Upgrade::listener(now, &config(&bob(), inline_muxer), [0x2e; 32])
}

/// All that a side has to send: one flight.
pub(crate) fn flight(upgrade: &mut Upgrade) -> BytesMut {
    let mut out = BytesMut::new();
    while upgrade.poll_transmit(&mut out) {}
    out
}

/// Runs both ends until both are upgraded.
pub(crate) fn connect(now: Instant, dialer_inlines: bool, listener_inlines: bool) -> (Secured, Secured) {
    let (mut at_dialer, mut at_listener) = (dialer(now, dialer_inlines), listener(now, listener_inlines));
    at_listener.handle_input(now, &mut flight(&mut at_dialer)).unwrap();
    at_dialer.handle_input(now, &mut flight(&mut at_listener)).unwrap();
    at_listener.handle_input(now, &mut flight(&mut at_dialer)).unwrap();
    let mut answer = flight(&mut at_listener);
    let mut at_dialer = Secured::from(at_dialer.poll_upgraded(now).unwrap());
    at_dialer.handle_ciphertext(now, &mut answer).unwrap();
    assert!(answer.is_empty());
    (at_dialer, Secured::from(at_listener.poll_upgraded(now).unwrap()))
}

/// All records that an end has to send.
pub(crate) fn records(now: Instant, secured: &mut Secured) -> BytesMut {
    let mut out = BytesMut::new();
    while secured.poll_transmit(now, &mut out).unwrap() {}
    out
}

/// Opens a stream and queues `text` on it.
pub(crate) fn send(now: Instant, secured: &mut Secured, text: &'static [u8]) {
    let stream = secured.session.open(now).unwrap();
    let mut data = Bytes::from_static(text);
    secured.session.write(now, stream, &mut data).unwrap();
    assert!(data.is_empty());
}

/// What arrived on the next stream that the peer opened.
pub(crate) fn received(now: Instant, secured: &mut Secured) -> Option<Bytes> {
    let mut incoming = None;
    while let Some(event) = secured.session.poll_event() {
        if let Event::Incoming(stream) = event {
            incoming = incoming.or(Some(stream));
        }
    }
    let mut all = BytesMut::new();
    while let Read::Data(data) = secured.session.read(now, incoming?, usize::MAX).unwrap() {
        all.extend_from_slice(&data);
    }
    Some(all.freeze())
}

/// Messages of a negotiation, one behind the other.
pub(crate) fn messages(texts: &[&str]) -> BytesMut {
    texts.iter().flat_map(|text| Message::Protocol((*text).to_owned()).encode()).collect()
}

/// The messages in `bytes`, as texts.
pub(crate) fn texts(bytes: &[u8]) -> Vec<String> {
    let mut input = BytesMut::from(bytes);
    let mut texts = Vec::new();
    while let Some(message) = Message::take(&mut input).unwrap() {
        let line = message.encode();
        texts.push(String::from_utf8_lossy(&line[1..line.len() - 1]).into_owned());
    }
    assert!(input.is_empty());
    texts
}

/// A peer that holds Carol's key, is through the handshake, and then says what the test wants.
pub(crate) struct Puppet {
    pub(crate) sealer: Sealer,
    pub(crate) opener: Opener,
}

impl Puppet {
    /// Dials `listener`; the flight with message 3 is returned, not delivered.
    pub(crate) fn dial(now: Instant, listener: &mut Upgrade, muxers: &[&str]) -> (Self, BytesMut) {
        let identity = Identity::new(&carol(), [0x52; 32]);
        let mut handshake = Handshake::initiator(&identity, None, muxers, [0x3e; 32]);
        let mut wire = messages(&[HEADER, "/noise"]);
        assert!(handshake.poll_transmit(&mut wire));
        listener.handle_input(now, &mut wire).unwrap();
        let mut back = flight(listener);
        let answer = back.split_to(messages(&[HEADER, "/noise"]).len());
        assert_eq!(texts(&answer), [HEADER, "/noise"]);
        let established = handshake.handle_input(&mut back).unwrap().unwrap();
        assert!(handshake.poll_transmit(&mut wire));
        (Self { sealer: established.sealer, opener: established.opener }, wire)
    }

    /// Answers `dialer`, which must expect nobody or Carol, and takes its second flight.
    pub(crate) fn answer(now: Instant, dialer: &mut Upgrade, muxers: &[&str]) -> (Self, BytesMut) {
        let identity = Identity::new(&carol(), [0x52; 32]);
        let mut handshake = Handshake::responder(&identity, None, muxers, [0x3e; 32]);
        let mut first = flight(dialer);
        let select = first.split_to(messages(&[HEADER, "/noise"]).len());
        assert_eq!(texts(&select), [HEADER, "/noise"]);
        assert!(handshake.handle_input(&mut first).unwrap().is_none());
        let mut wire = messages(&[HEADER, "/noise"]);
        assert!(handshake.poll_transmit(&mut wire));
        dialer.handle_input(now, &mut wire).unwrap();
        let mut second = flight(dialer);
        let established = handshake.handle_input(&mut second).unwrap().unwrap();
        (Self { sealer: established.sealer, opener: established.opener }, second)
    }

    pub(crate) fn seal(&mut self, plaintexts: &[&[u8]]) -> BytesMut {
        let mut out = BytesMut::new();
        for plaintext in plaintexts {
            self.sealer.seal(plaintext, &mut out).unwrap();
        }
        out
    }

    pub(crate) fn open(&mut self, mut input: BytesMut) -> Vec<BytesMut> {
        let opened = std::iter::from_fn(|| self.opener.open(&mut input).unwrap()).collect();
        assert!(input.is_empty());
        opened
    }
}
