//! The published transcripts, byte for byte, from both sides.

#![allow(clippy::too_many_lines, reason = "transcripts")]

use bowline_identity::{Keypair, PeerId};
use bowline_noise::{Established, Handshake, Identity, MuxerChoice, Opener, Sealer};
use bytes::BytesMut;
use serde_json::Value;

fn vectors() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("vectors/noise.json")).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn key(value: &Value) -> [u8; 32] {
    bytes(value).try_into().unwrap()
}

/// The muxers that a side lists in the transcript.
fn muxers(vector: &Value, role: &str) -> &'static [&'static str] {
    match (vector["id"].as_str().unwrap(), role) {
        ("noise/xx-muxers-yamux", "initiator") => &["/yamux/1.0.0"],
        ("noise/xx-muxers-yamux", _) => &["/mplex/6.7.0", "/yamux/1.0.0"],
        _ => &[],
    }
}

/// One side of the transcript: what it sends must be the transcript's bytes, what it reads is taken from there.
fn play(vector: &Value, role: &str) -> Established {
    let inputs = &vector["inputs"];
    let keypair = Keypair::from_ed25519_seed(key(&inputs[format!("{role}_identity_seed")]));
    let identity = Identity::new(&keypair, key(&inputs[format!("{role}_static")]));
    let listed = muxers(vector, role);
    let seed = key(&inputs[format!("{role}_ephemeral")]);
    let mut handshake = match role {
        "initiator" => Handshake::initiator(&identity, None, listed, seed),
        _ => Handshake::responder(&identity, None, listed, seed),
    };
    let mut established = None;
    for message in &vector["wire"].as_array().unwrap()[..3] {
        let wire = bytes(&message["hex"]);
        if message["from"] == role {
            let mut out = BytesMut::new();
            assert!(handshake.poll_transmit(&mut out));
            assert_eq!(hex::encode(&out), hex::encode(&wire));
        } else {
            let mut input = BytesMut::from(&wire[..]);
            established = established.or(handshake.handle_input(&mut input).unwrap());
            assert!(input.is_empty());
        }
    }
    established.unwrap()
}

#[test]
fn both_sides_play_every_transcript_byte_for_byte() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 2);
    for vector in vectors {
        let derived = &vector["derived"];
        for (role, other) in [("initiator", "responder"), ("responder", "initiator")] {
            let mut established = play(&vector, role);
            let peer: PeerId = derived[format!("{other}_peer_id")].as_str().unwrap().parse().unwrap();
            assert_eq!(established.peer.peer_id(), peer);
            assert_eq!(hex::encode(established.handshake_hash), derived["handshake_hash"].as_str().unwrap());
            let muxer = match vector["expect"]["muxer"].as_str() {
                Some(muxer) => MuxerChoice::Inlined(muxer.to_owned()),
                None => MuxerChoice::Negotiate,
            };
            assert_eq!(established.muxer, muxer);
            for record in &vector["wire"].as_array().unwrap()[3..] {
                let (wire, plaintext) = (bytes(&record["hex"]), bytes(&record["plaintext"]));
                let mut buffer = BytesMut::new();
                if record["from"] == role {
                    established.sealer.seal(&plaintext, &mut buffer).unwrap();
                    assert_eq!(hex::encode(&buffer), hex::encode(&wire));
                } else {
                    buffer.extend_from_slice(&wire);
                    let opened = established.opener.open(&mut buffer).unwrap();
                    assert_eq!(opened.as_deref(), Some(&plaintext[..]));
                }
            }
        }
    }
}

#[test]
fn the_transport_keys_are_those_of_the_transcript() {
    for vector in vectors() {
        let derived = &vector["derived"];
        for (role, other) in [("initiator", "responder"), ("responder", "initiator")] {
            let mut established = play(&vector, role);
            let (mut ours, mut same) = (BytesMut::new(), BytesMut::new());
            established.sealer.seal(b"any plaintext", &mut ours).unwrap();
            let sending = key(&derived[format!("key_{role}_to_{other}")]);
            Sealer::new(&sending).seal(b"any plaintext", &mut same).unwrap();
            assert_eq!(ours, same);
            let receiving = key(&derived[format!("key_{other}_to_{role}")]);
            let mut record = BytesMut::new();
            Sealer::new(&receiving).seal(b"any plaintext", &mut record).unwrap();
            assert!(Opener::new(&receiving).open(&mut record.clone()).is_ok());
            assert!(established.opener.open(&mut record).unwrap().is_some());
        }
    }
}
