//! Frames as other implementations write them.

use bowline_yamux::{
    SessionError, StreamId,
    frame::{Flags, Frame, Header, Kind},
};
use bytes::{Bytes, BytesMut};
use serde_json::Value;

fn vectors() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("vectors/yamux.json")).expect("a JSON file");
    file["vectors"].as_array().expect("a list").clone()
}

fn wire(vector: &Value) -> BytesMut {
    BytesMut::from(&hex::decode(vector["hex"].as_str().expect("hex")).expect("hex")[..])
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().map(|number| u32::try_from(number).expect("32 bits"))
}

fn frame(decoded: &Value) -> Frame {
    let stream = StreamId::new(number(&decoded["stream"]).unwrap_or(0));
    let names = decoded["flags"].as_array().cloned().unwrap_or_default();
    let flags = names.iter().fold(Flags::NONE, |flags, name| {
        flags
            | match name.as_str().expect("a name") {
                "SYN" => Flags::SYN,
                "ACK" => Flags::ACK,
                "FIN" => Flags::FIN,
                "RST" => Flags::RST,
                other => panic!("flag {other}"),
            }
    });
    let frame = match decoded["type"].as_str().expect("a type") {
        "data" => {
            let body = hex::decode(decoded["data"].as_str().expect("hex")).expect("hex");
            Frame::data(stream, Bytes::from(body))
        }
        "window" => Header::window_update(stream, number(&decoded["delta"]).expect("a delta")).into(),
        "ping" => Header::ping(number(&decoded["opaque"]).expect("a value")).into(),
        "goaway" => Header::go_away(number(&decoded["code"]).expect("a code")).into(),
        other => panic!("type {other}"),
    };
    frame.with_flags(flags)
}

#[test]
fn published_frames_encode_and_decode() {
    let codec: Vec<_> = vectors().into_iter().filter(|vector| vector["kind"] == "codec").collect();
    assert!(codec.len() >= 13);
    for vector in codec {
        let expected = frame(&vector["decoded"]);
        let mut encoded = BytesMut::new();
        expected.encode(&mut encoded);
        let mut wire = wire(&vector);
        assert_eq!(encoded, wire, "{}", vector["id"]);
        assert_eq!(Frame::take(&mut wire), Some(expected.clone()), "{}", vector["id"]);
        assert!(wire.is_empty());
        assert_eq!(expected.header.check(), Ok(()));
    }
}

#[test]
fn published_refusals_are_refused() {
    let rejects: Vec<_> = vectors().into_iter().filter(|vector| vector["kind"] == "decode-reject").collect();
    assert_eq!(rejects.len(), 3);
    for vector in rejects {
        let header = Header::parse(&wire(&vector));
        match vector["reason"].as_str().expect("a reason") {
            "version" => {
                assert_eq!(header.expect("whole").check(), Err(SessionError::Version { version: 1 }));
            }
            "type" => assert_eq!(header.expect("whole").check(), Err(SessionError::Kind { kind: 9 })),
            "short header" => assert_eq!(header, None),
            other => panic!("reason {other}"),
        }
    }
}

#[test]
fn any_twelve_bytes_are_a_header_and_come_back() {
    for seed in 0..=255_u8 {
        let bytes: [u8; 12] = std::array::from_fn(|i| {
            seed.wrapping_mul(31).wrapping_add(u8::try_from(i * 73 % 251).expect("small"))
        });
        assert_eq!(Header::decode(&bytes).encode(), bytes);
    }
    let odd =
        Header { version: 7, kind: Kind::Unknown(200), flags: Flags::from_bits(0x8001), ..Header::ping(3) };
    assert_eq!(Header::decode(&odd.encode()), odd);
    assert_eq!(format!("{:?}", odd.flags), "{SYN, 0x8000}");
}

#[test]
fn a_frame_is_taken_only_whole() {
    let mut wire = BytesMut::new();
    Frame::data(StreamId::new(3), Bytes::from_static(b"body")).encode(&mut wire);
    for len in 0..wire.len() {
        let mut part = BytesMut::from(&wire[..len]);
        assert_eq!(Frame::take(&mut part), None);
        assert_eq!(part.len(), len, "nothing was taken");
    }
}
