//! Messages byte by byte: golden frames, version forms, limits, and what is dropped.
#![allow(clippy::too_many_lines, reason = "transcripts")]

use bowline_bitswap::{
    DecodeError, Decoded, Dropped, Entry, MAX_BLOCK_IN_MESSAGE, MAX_ENTRIES, MAX_MESSAGE, Message, Presence,
    PresenceType, UnverifiedBlock, Version, Want, WantType,
};
use bowline_block::{Cid, HashAlgorithm, Prefix, VerifiedBlock, codec};
use bowline_wire::FrameDecoder;
use bytes::Bytes;
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    encode: Vec<Vector>,
    decode: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    id: String,
    wire_hex: String,
    decoded: Fields,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Fields {
    entries: Vec<EntryFields>,
    full: bool,
    payload: Vec<BlockFields>,
    blocks: Vec<String>,
    block_presences: Vec<PresenceFields>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct EntryFields {
    cid: String,
    priority: i32,
    want_type: String,
    send_dont_have: bool,
    cancel: bool,
}

#[derive(Deserialize)]
struct BlockFields {
    prefix: String,
    data: String,
}

#[derive(Deserialize)]
struct PresenceFields {
    cid: String,
    r#type: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("vectors/bitswap.json")).unwrap()
}

fn bytes(text: &str) -> Bytes {
    hex::decode(text).unwrap().into()
}

fn cid(text: &str) -> Cid {
    Cid::try_from(&bytes(text)[..]).unwrap()
}

fn message(fields: &Fields) -> Message {
    let entry = |entry: &EntryFields| {
        let cid = cid(&entry.cid);
        if entry.cancel {
            return Entry::Cancel(cid);
        }
        let kind = if entry.want_type == "Have" { WantType::Have } else { WantType::Block };
        let EntryFields { priority, send_dont_have, .. } = *entry;
        Entry::Want(Want { cid, priority, kind, send_dont_have })
    };
    let block = |prefix: &str, data: &str| UnverifiedBlock {
        prefix: Prefix::parse(&bytes(prefix)).unwrap(),
        data: bytes(data),
    };
    let bare = fields.blocks.iter().map(|data| block("00701220", data));
    let payload = fields.payload.iter().map(|fields| block(&fields.prefix, &fields.data));
    Message {
        wantlist: fields.entries.iter().map(entry).collect(),
        full: fields.full,
        blocks: bare.chain(payload).collect(),
        presences: fields
            .block_presences
            .iter()
            .map(|fields| Presence {
                cid: cid(&fields.cid),
                kind: if fields.r#type == "Have" { PresenceType::Have } else { PresenceType::DontHave },
            })
            .collect(),
        pending_bytes: 0,
    }
}

/// The body of a frame that holds exactly one.
fn body(frame: Bytes) -> Bytes {
    let mut decoder = FrameDecoder::new(usize::MAX);
    decoder.push(frame);
    let body = decoder.next_frame().unwrap().unwrap();
    assert!(decoder.is_clean());
    body
}

fn decode(frame: Bytes) -> Decoded {
    Message::decode(body(frame)).unwrap()
}

fn raw_block(data: Vec<u8>) -> VerifiedBlock {
    VerifiedBlock::sha2_256(codec::RAW, data.into()).unwrap()
}

fn reply(block: &VerifiedBlock) -> Message {
    Message { blocks: vec![UnverifiedBlock::new(block.cid(), block.data().clone())], ..Message::default() }
}

/// A protobuf field with a length.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    bowline_wire::varint::encode(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

#[test]
fn golden_frames_are_written_byte_for_byte() {
    for vector in vectors().encode {
        let frame = message(&vector.decoded).encode_frame(Version::V1_2_0);
        assert_eq!(hex::encode(frame), vector.wire_hex, "{}", vector.id);
    }
}

#[test]
fn published_frames_are_read() {
    for vector in vectors().decode {
        let decoded = decode(bytes(&vector.wire_hex));
        assert_eq!(decoded.message, message(&vector.decoded), "{}", vector.id);
        assert_eq!(decoded.dropped, Dropped::default(), "{}", vector.id);
    }
}

#[test]
fn published_blocks_hash_to_their_cids() {
    let reply = decode(bytes("180a001a140a0401551220120c68656c6c6f20776f726c640a"));
    let block = reply.message.blocks[0].clone().verify().unwrap();
    assert_eq!(block.cid().to_string(), "bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4");
}

#[test]
fn an_empty_wantlist_is_written_in_every_version() {
    for version in Version::ALL {
        assert_eq!(Message::default().encode_frame(version)[..], [2, 0x0a, 0], "{version}");
    }
}

#[test]
fn v110_has_no_presences_and_no_pending_bytes() {
    let block = raw_block(b"x".to_vec());
    let mut full = reply(&block);
    full.presences = vec![Presence { cid: *block.cid(), kind: PresenceType::Have }];
    full.pending_bytes = 7;
    let bare = reply(&block);
    for version in [Version::V1_1_0, Version::V1_0_0, Version::Unversioned] {
        assert_eq!(full.encode_frame(version), bare.encode_frame(version), "{version}");
    }
    assert_eq!(decode(full.encode_frame(Version::V1_2_0)).message, full);
}

#[test]
fn v100_blocks_are_bare_and_read_as_cid_v0() {
    let block = raw_block(b"x".to_vec());
    for version in [Version::V1_0_0, Version::Unversioned] {
        let frame = reply(&block).encode_frame(version);
        assert_eq!(frame[..], [5, 0x0a, 0, 0x12, 1, b'x'], "{version}");
        let read = decode(frame).message.blocks[0].clone().verify().unwrap();
        assert_eq!(read.hash(), block.hash());
        assert_eq!(read.cid().version(), bowline_block::Version::V0);
    }
}

#[test]
fn both_block_forms_are_read_from_one_message() {
    let wire =
        [field(2, b"bare"), field(3, &[field(1, &[1, 0x55, 0x12, 0x20]), field(2, b"prefixed")].concat())];
    let message = Message::decode(wire.concat().into()).unwrap().message;
    let data: Vec<_> = message.blocks.iter().map(|block| &block.data[..]).collect();
    assert_eq!(data, [&b"bare"[..], b"prefixed"]);
}

#[test]
fn prefixes_name_version_codec_hash_and_length() {
    let data = || Bytes::from_static(b"node");
    let of = |block: VerifiedBlock| {
        let frame = reply(&block).encode_frame(Version::V1_2_0);
        let prefix_len = usize::from(frame[6]);
        hex::encode(&frame[7..7 + prefix_len])
    };
    assert_eq!(of(VerifiedBlock::v0(data()).unwrap()), "00701220");
    assert_eq!(of(raw_block(b"raw".to_vec())), "01551220");
    let sha2_512 = VerifiedBlock::new(codec::RAW, HashAlgorithm::Sha2_512, data()).unwrap();
    assert_eq!(of(sha2_512), "01551340");
    let blake = HashAlgorithm::from_code(0xb220).unwrap();
    assert_eq!(of(VerifiedBlock::new(codec::RAW, blake, data()).unwrap()), "0155a0e40220");
}

#[test]
fn a_truncated_digest_is_verified_at_its_length() {
    let block = UnverifiedBlock {
        prefix: Prefix::parse(&[1, 0x55, 0x12, 20]).unwrap(),
        data: Bytes::from_static(b"short"),
    };
    let verified = block.verify().unwrap();
    assert_eq!(verified.hash().digest().len(), 20);
}

#[test]
fn a_block_of_256_kib_costs_nineteen_bytes() {
    let reply = reply(&raw_block(vec![0; 256 * 1024]));
    assert_eq!(reply.encoded_len(Version::V1_2_0), 262_160);
    assert_eq!(reply.encode_frame(Version::V1_2_0).len(), 262_163);
}

#[test]
fn large_blocks_are_handed_through_uncopied() {
    let block = raw_block(vec![7; 256 * 1024]);
    let chunks = reply(&block).encode_chunks(Version::V1_2_0);
    assert_eq!(chunks.len(), 2);
    assert_eq!(chunks[1].as_ptr(), block.data().as_ptr());
    let frame = reply(&block).encode_frame(Version::V1_2_0);
    let read = decode(frame).message.blocks[0].data.clone();
    assert_eq!(read, *block.data());
}

#[test]
fn a_message_of_four_mebibytes_is_read_and_one_byte_more_is_not() {
    let of = |len: usize| {
        let prefix = Prefix::parse(&[1, 0x55, 0x12, 0x20]).unwrap();
        let blocks = vec![UnverifiedBlock { prefix, data: vec![0; len].into() }];
        body(Message { blocks, ..Message::default() }.encode_frame(Version::V1_2_0))
    };
    let largest = of(MAX_BLOCK_IN_MESSAGE);
    assert_eq!(MAX_BLOCK_IN_MESSAGE, 4_194_286);
    assert_eq!(largest.len(), MAX_MESSAGE);
    assert!(Message::decode(largest).is_ok());
    let refused = Message::decode(of(MAX_BLOCK_IN_MESSAGE + 1));
    assert_eq!(refused, Err(DecodeError::TooLarge { len: 4_194_305 }));
}

#[test]
fn four_mebibytes_of_wants_are_read() {
    let cid = *raw_block(b"x".to_vec()).cid();
    let want = Entry::Want(Want { cid, priority: 1, kind: WantType::Block, send_dont_have: true });
    // 44 bytes each, and at most ten for the wantlist and the frame.
    let message = Message { wantlist: vec![want; (MAX_MESSAGE - 10) / 44], ..Message::default() };
    let frame = message.encode_frame(Version::V1_2_0);
    assert!(frame.len() > MAX_MESSAGE - 64);
    assert_eq!(decode(frame).message, message);
}

#[test]
fn empty_entries_are_counted_before_they_are_decoded() {
    let of = |entries: usize| field(1, &[0x0a, 0].repeat(entries)).into();
    let decoded = Message::decode(of(MAX_ENTRIES)).unwrap();
    assert_eq!(decoded.dropped.entries, MAX_ENTRIES);
    assert!(matches!(Message::decode(of(MAX_ENTRIES + 1)), Err(DecodeError::Refused(_))));
}

#[test]
fn a_bad_cid_drops_its_entry_alone() {
    let good = raw_block(b"x".to_vec()).cid().to_bytes();
    let trailing = [&good[..], &[0]].concat();
    let v2 = [&[2], &good[1..]].concat();
    let bad: [&[u8]; 6] = [&[], &[1, 0x55], &trailing, &v2, &[0xff; 12], &[1; 169]];
    for bad in bad {
        let list = [field(1, &field(1, bad)), field(1, &field(1, &good))].concat();
        let decoded = Message::decode(field(1, &list).into()).unwrap();
        assert_eq!(decoded.message.wantlist.len(), 1, "{bad:02x?}");
        assert_eq!(decoded.dropped, Dropped { entries: 1, ..Dropped::default() });
    }
}

#[test]
fn an_unknown_hash_or_bad_prefix_drops_its_block_alone() {
    let of = |prefix: &[u8]| field(3, &[field(1, prefix), field(2, b"data")].concat());
    let bad: [&[u8]; 5] =
        [&[], &[0x12, 0x20], &[1, 0x55, 0x7f, 0x20], &[1, 0x55, 0x12, 0x20, 0], &[0, 0x55, 0x12, 0x20]];
    for bad in bad {
        let decoded = Message::decode([of(bad), of(&[1, 0x55, 0x12, 0x20])].concat().into()).unwrap();
        assert_eq!(decoded.message.blocks.len(), 1, "{bad:02x?}");
        assert_eq!(decoded.dropped, Dropped { blocks: 1, ..Dropped::default() });
    }
}

#[test]
fn an_unknown_presence_is_dropped_and_an_unknown_want_type_asks_for_the_block() {
    let cid = raw_block(b"x".to_vec()).cid().to_bytes();
    let presence = field(4, &[field(1, &cid), vec![0x10, 2]].concat());
    let want = field(1, &field(1, &[field(1, &cid), vec![0x20, 5]].concat()));
    let decoded = Message::decode([want, presence].concat().into()).unwrap();
    assert_eq!(decoded.dropped, Dropped { presences: 1, ..Dropped::default() });
    assert!(matches!(decoded.message.wantlist[..], [Entry::Want(Want { kind: WantType::Block, .. })]));
}

#[test]
fn unknown_fields_and_empty_messages_are_read() {
    assert!(Message::decode(Bytes::new()).unwrap().message.is_empty());
    let mut wire = field(9, b"from the future");
    wire.extend_from_slice(&[0x78, 1]);
    assert_eq!(Message::decode(wire.into()).unwrap().message, Message::default());
}

#[test]
fn pending_bytes_are_clamped_both_ways() {
    let of = |pending_bytes| Message { pending_bytes, ..Message::default() };
    let largest = decode(of(u32::MAX).encode_frame(Version::V1_2_0)).message;
    assert_eq!(largest.pending_bytes, i32::MAX.unsigned_abs());
    // −1 as protobuf writes it.
    let negative = [&[0x28][..], &[0xff; 9], &[1]].concat();
    assert_eq!(Message::decode(negative.into()).unwrap().message.pending_bytes, 0);
}

#[test]
fn every_truncation_is_an_error_or_a_shorter_message() {
    for vector in vectors().decode {
        let whole = body(bytes(&vector.wire_hex));
        for len in 0..whole.len() {
            if let Ok(decoded) = Message::decode(whole.slice(..len)) {
                assert_ne!(decoded.message, message(&vector.decoded), "{} cut to {len}", vector.id);
            }
        }
    }
}

fn any_block() -> impl Strategy<Value = VerifiedBlock> {
    let data = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        (4090usize..4110).prop_map(|len| vec![1; len])
    ];
    (data, any::<bool>()).prop_map(
        |(data, v0)| {
            if v0 { VerifiedBlock::v0(data.into()).unwrap() } else { raw_block(data) }
        },
    )
}

prop_compose! {
    fn any_message()(
        blocks in prop::collection::vec(any_block(), 0..6),
        wants in prop::collection::vec((any_block(), any::<i32>(), any::<bool>(), 0..3u8), 0..6),
        presences in prop::collection::vec((any_block(), any::<bool>()), 0..6),
        full in any::<bool>(),
        pending_bytes in 0..=i32::MAX.unsigned_abs(),
    ) -> Message {
        let entry = |(block, priority, send_dont_have, kind): &(VerifiedBlock, i32, bool, u8)| match kind {
            0 => Entry::Cancel(*block.cid()),
            kind => {
                let kind = if *kind == 1 { WantType::Block } else { WantType::Have };
                Entry::Want(Want { cid: *block.cid(), priority: *priority, kind, send_dont_have: *send_dont_have })
            }
        };
        let presence = |(block, has): &(VerifiedBlock, bool)| Presence {
            cid: *block.cid(),
            kind: if *has { PresenceType::Have } else { PresenceType::DontHave },
        };
        Message {
            wantlist: wants.iter().map(entry).collect(),
            full,
            blocks: blocks.iter().map(|b| UnverifiedBlock::new(b.cid(), b.data().clone())).collect(),
            presences: presences.iter().map(presence).collect(),
            pending_bytes,
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(message in any_message()) {
        let frame = message.encode_frame(Version::V1_2_0);
        let chunks = message.encode_chunks(Version::V1_2_0);
        prop_assert_eq!(chunks.concat(), frame.to_vec());
        let body = body(frame);
        prop_assert_eq!(body.len(), message.encoded_len(Version::V1_2_0));
        prop_assert_eq!(Message::decode(body).unwrap().message, message);
    }

    #[test]
    fn older_versions_lose_only_what_they_do_not_know(message in any_message()) {
        let read = decode(message.encode_frame(Version::V1_1_0)).message;
        prop_assert_eq!(read, Message { presences: Vec::new(), pending_bytes: 0, ..message.clone() });
        let read = decode(message.encode_frame(Version::V1_0_0)).message;
        prop_assert_eq!(read.wantlist, message.wantlist);
        let data = |blocks: &[UnverifiedBlock]| blocks.iter().map(|b| b.data.clone()).collect::<Vec<_>>();
        prop_assert_eq!(data(&read.blocks), data(&message.blocks));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = Message::decode(bytes.into());
    }

    #[test]
    fn no_change_to_a_message_makes_the_decoder_panic(
        message in any_message(), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut bytes = body(message.encode_frame(Version::V1_2_0)).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(decoded) = Message::decode(bytes.into()) {
            for block in decoded.message.blocks {
                let _ = block.verify();
            }
        }
    }
}
