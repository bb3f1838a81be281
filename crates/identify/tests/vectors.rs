//! The published vectors, read from `tests/vectors/identify.json`.

use bowline_identify::{KeyStatus, Local, Receiver, Records, encode};
use bowline_identity::{Keypair, Multiaddr};
use bowline_wire::encode_frame;
use bytes::{Bytes, BytesMut};
use serde_json::Value;

/// The seed behind the keys of the vectors.
fn keypair() -> Keypair {
    let mut seed = [0; 32];
    for (index, byte) in (0..).zip(&mut seed) {
        *byte = index;
    }
    Keypair::from_ed25519_seed(seed)
}

fn vector(id: &str) -> Value {
    let file: Value = serde_json::from_str(include_str!("vectors/identify.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    vectors.iter().find(|vector| vector["id"] == id).unwrap().clone()
}

fn bytes(value: &Value) -> Bytes {
    hex::decode(value.as_str().unwrap()).unwrap().into()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn public() -> Multiaddr {
    "/ip4/203.0.113.1/tcp/1".parse().unwrap()
}

#[test]
fn the_full_message_decodes_to_the_vector() {
    let vector = vector("identify/full");
    let decoded = &vector["decoded"];
    let mut receiver = Receiver::new(keypair().peer_id(), &public());
    receiver.handle_input(bytes(&vector["wire_hex"])).unwrap();
    let info = receiver.finish().unwrap();

    assert_eq!(info.key, KeyStatus::Matches);
    assert_eq!(info.agent.as_deref(), decoded["agentVersion"].as_str());
    assert_eq!(info.protocol_version.as_deref(), decoded["protocolVersion"].as_str());
    assert_eq!(info.protocols, strings(&decoded["protocols"]));
    let addrs: Vec<_> = info.listen_addrs.iter().map(Multiaddr::to_string).collect();
    assert_eq!(addrs, strings(&decoded["listenAddrs"]));
    assert_eq!(info.observed_addr.unwrap().to_string(), decoded["observedAddr"]);
    assert_eq!(info.record, None);
}

#[test]
fn the_full_message_encodes_to_the_same_bytes() {
    let vector = vector("identify/full");
    let decoded = &vector["decoded"];
    let keypair = keypair();
    let protocols = strings(&decoded["protocols"]);
    let addrs = strings(&decoded["listenAddrs"]);
    let encoded = encode(
        &Local {
            keypair: &keypair,
            protocol_version: decoded["protocolVersion"].as_str().unwrap(),
            agent_version: decoded["agentVersion"].as_str().unwrap(),
            protocols: protocols.iter().map(String::as_str).collect(),
            listen_addrs: addrs.iter().map(|addr| addr.parse().unwrap()).collect(),
            remote_addr: decoded["observedAddr"].as_str().unwrap().parse().unwrap(),
            record_seq: None,
        },
        &mut Records::default(),
    );
    assert_eq!(hex::encode(&encoded.bytes), vector["wire_hex"]);
}

#[test]
fn the_partial_push_decodes_to_the_vector() {
    let vector = vector("identify/push-partial");
    let mut receiver = Receiver::new(keypair().peer_id(), &public());
    receiver.handle_input(bytes(&vector["wire_hex"])).unwrap();
    let push = receiver.finish().unwrap();
    assert_eq!(push.protocols, strings(&vector["decoded"]["protocols"]));
    assert_eq!((push.key, push.agent, push.listen_addrs), (KeyStatus::Absent, None, vec![]));
}

#[test]
fn both_deployed_records_certify_their_addresses() {
    for id in ["envelope/peer-record-deployed", "envelope/peer-record-rfc0003"] {
        let envelope = bytes(&vector(id)["envelope"]);
        // The envelope as field 8 of a message, and that as a frame.
        let mut body = BytesMut::from(&[0x42][..]);
        encode_frame(&envelope, &mut body);
        let mut wire = BytesMut::new();
        encode_frame(&body, &mut wire);

        let mut receiver = Receiver::new(keypair().peer_id(), &public());
        receiver.handle_input(wire.freeze()).unwrap();
        let info = receiver.finish().unwrap();
        assert_eq!(info.record.as_ref().unwrap().peer_id, keypair().peer_id(), "{id}");
        assert_eq!(info.listen_addrs, ["/ip4/192.0.2.1/tcp/4001".parse::<Multiaddr>().unwrap()]);
    }
}
