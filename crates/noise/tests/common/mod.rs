//! Two peers, and the pieces of a dishonest one.

#![allow(dead_code, reason = "each test file uses a part of it")]

use bowline_identity::Keypair;
use bowline_noise::{
    Established, Handshake, Identity,
    exchange::{Exchange, Role, take_message},
};
use bowline_wire::varint;
use bytes::BytesMut;

pub(crate) const YAMUX: &str = "/yamux/1.0.0";
pub(crate) const MPLEX: &str = "/mplex/6.7.0";

pub(crate) fn alice() -> Keypair {
    Keypair::from_ed25519_seed([0xa; 32])
}

pub(crate) fn bob() -> Keypair {
    Keypair::from_ed25519_seed([0xb; 32])
}

pub(crate) fn carol() -> Keypair {
    Keypair::from_ed25519_seed([0xc; 32])
}

pub(crate) fn identity(keypair: &Keypair) -> Identity {
    let mut seed = [0x5e; 32];
    seed[..8].copy_from_slice(&keypair.public().to_protobuf()[4..12]);
    Identity::new(keypair, seed)
}

/// Alice, who dials.
pub(crate) fn initiator(muxers: &[&str]) -> Handshake {
    Handshake::initiator(&identity(&alice()), None, muxers, [0x1e; 32])
}

/// Bob, who is dialed.
pub(crate) fn responder(muxers: &[&str]) -> Handshake {
    Handshake::responder(&identity(&bob()), None, muxers, [0x2e; 32])
}

pub(crate) fn pair(initiators: &[&str], responders: &[&str]) -> (Handshake, Handshake) {
    (initiator(initiators), responder(responders))
}

/// Everything that a side has to send.
pub(crate) fn transmit(handshake: &mut Handshake) -> BytesMut {
    let mut out = BytesMut::new();
    let some = handshake.poll_transmit(&mut out);
    assert_eq!(some, !out.is_empty());
    out
}

/// Runs a handshake to its end.
pub(crate) fn connect(initiators: &[&str], responders: &[&str]) -> (Established, Established) {
    let (mut dialer, mut listener) = pair(initiators, responders);
    assert!(listener.handle_input(&mut transmit(&mut dialer)).unwrap().is_none());
    let at_dialer = dialer.handle_input(&mut transmit(&mut listener)).unwrap().unwrap();
    let at_listener = listener.handle_input(&mut transmit(&mut dialer)).unwrap().unwrap();
    (at_dialer, at_listener)
}

/// The public half of a static key: what a peer reads in message 2.
pub(crate) fn static_public(secret: &[u8; 32]) -> [u8; 32] {
    let mut reader = Exchange::new(Role::Initiator, [1; 32], [2; 32]);
    let mut holder = Exchange::new(Role::Responder, *secret, [3; 32]);
    let mut wire = BytesMut::new();
    reader.write(b"", &mut wire).unwrap();
    holder.read(&take_message(&mut wire).unwrap()).unwrap();
    holder.write(b"", &mut wire).unwrap();
    reader.read(&take_message(&mut wire).unwrap()).unwrap();
    reader.remote_static().unwrap()
}

/// The fields of a handshake payload, none of them checked.
#[derive(Clone, Default)]
pub(crate) struct Payload {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) signature: Option<Vec<u8>>,
    pub(crate) muxers: Vec<String>,
}

impl Payload {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (field, value) in [(1, &self.key), (2, &self.signature)] {
            if let Some(value) = value {
                out.extend_from_slice(&bytes_field(field, value));
            }
        }
        if !self.muxers.is_empty() {
            let muxers = self.muxers.iter().flat_map(|muxer| bytes_field(2, muxer.as_bytes()));
            out.extend_from_slice(&bytes_field(4, &muxers.collect::<Vec<_>>()));
        }
        out
    }
}

/// A protobuf field of bytes.
pub(crate) fn bytes_field(field: u64, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint::encode(field << 3 | 2, &mut out);
    varint::encode(value.len() as u64, &mut out);
    out.extend_from_slice(value);
    out
}

/// What an honest holder of the identity and the static key would send.
pub(crate) fn signed_payload(keypair: &Keypair, static_secret: &[u8; 32]) -> Payload {
    let message = [b"noise-libp2p-static-key:", &static_public(static_secret)[..]].concat();
    Payload {
        key: Some(keypair.public().to_protobuf()),
        signature: Some(keypair.sign(&message)),
        muxers: Vec::new(),
    }
}
