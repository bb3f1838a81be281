//! The published messages and transcripts.

use bowline_multistream::{Dialer, Listener, Message, ProtocolId};
use bytes::BytesMut;
use serde_json::Value;

fn vectors(kind: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("vectors/multistream.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap().iter();
    vectors.filter(|vector| vector["kind"] == kind).cloned().collect()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn message(decoded: &Value) -> Message {
    match decoded.as_str() {
        Some("/multistream/1.0.0") => Message::Header,
        Some("na") => Message::NotAvailable,
        Some("ls") => Message::List,
        Some(protocol) => Message::Protocol(protocol.to_owned()),
        None => {
            let ids = decoded.as_array().unwrap().iter();
            Message::Protocols(ids.map(|id| id.as_str().unwrap().to_owned()).collect())
        }
    }
}

#[test]
fn every_message_is_built_and_parsed() {
    let vectors = vectors("codec");
    assert_eq!(vectors.len(), 7);
    for vector in vectors {
        let (wire, message) = (bytes(&vector["hex"]), message(&vector["decoded"]));
        assert_eq!(hex::encode(message.encode()), hex::encode(&wire), "{}", vector["id"]);
        let mut input = BytesMut::from(&wire[..]);
        assert_eq!(Message::take(&mut input), Ok(Some(message)), "{}", vector["id"]);
        assert!(input.is_empty());
    }
}

#[test]
fn both_sides_play_every_transcript_byte_for_byte() {
    let vectors = vectors("transcript");
    assert_eq!(vectors.len(), 1);
    for vector in vectors {
        let selected = ProtocolId::new(vector["expect"]["selected"].as_str().unwrap()).unwrap();
        let mut dialer = Dialer::new(vec![ProtocolId::from_static("/tls/1.0.0"), selected.clone()]);
        let mut listener = Listener::new();
        let mut agreed = None;
        for flight in vector["wire"].as_array().unwrap() {
            let wire = bytes(&flight["hex"]);
            let mut input = BytesMut::from(&wire[..]);
            let mut out = BytesMut::new();
            if flight["from"] == "initiator" {
                while let Some(message) = dialer.poll_message() {
                    out.extend_from_slice(&message);
                }
                let supported = |name: &str| name == selected.as_str();
                if listener.handle_input(&mut input, &supported).unwrap().is_some() {
                    listener.accept();
                }
            } else {
                while let Some(message) = listener.poll_message() {
                    out.extend_from_slice(&message);
                }
                agreed = dialer.handle_input(&mut input).unwrap();
            }
            assert_eq!(hex::encode(&out), hex::encode(&wire));
            assert!(input.is_empty());
        }
        assert_eq!(agreed.as_ref(), Some(&selected));
        assert_eq!(listener.agreed(), Some(&selected));
    }
}
