//! What makes a block, and what does not.
#![allow(clippy::too_many_lines, reason = "transcripts")]

use bowline_block::{
    BlockError, Cid, HashAlgorithm, HashError, MAX_BLOCK, Prefix, PrefixError, VerifiedBlock, codec, local,
};
use bytes::Bytes;
use proptest::prelude::*;

const HELLO: &[u8] = b"hello bitswap";
const RAW_V1: [u8; 4] = [0x01, 0x55, 0x12, 0x20];
const V0: [u8; 4] = [0x00, 0x70, 0x12, 0x20];

fn cid(text: &str) -> Cid {
    text.parse().unwrap()
}

fn from_prefix(prefix: &[u8]) -> Result<VerifiedBlock, BlockError> {
    VerifiedBlock::from_prefix(prefix, Bytes::from_static(HELLO))
}

#[test]
fn the_cid_of_a_received_block_is_what_its_bytes_hash_to() {
    let block = from_prefix(&RAW_V1).unwrap();
    let expected = "01551220e8e02e6d41c4d27d00374c66732374e993b2e0e4bdd3ec51acd2b639bfcfecf4";
    assert_eq!(hex::encode(block.cid().to_bytes()), expected);
    assert_eq!(block.data(), HELLO);
    assert_eq!(block, VerifiedBlock::sha2_256(codec::RAW, Bytes::from_static(HELLO)).unwrap());
}

#[test]
fn a_version_0_prefix_gives_a_version_0_cid() {
    let block = from_prefix(&V0).unwrap();
    assert_eq!(block, VerifiedBlock::v0(Bytes::from_static(HELLO)).unwrap());
    assert!(block.cid().to_string().starts_with("Qm"));
    assert_eq!(Prefix::of(block.cid()).encode(), &V0[..]);
}

#[test]
fn version_0_is_dag_pb_by_32_bytes_of_sha2_256_and_nothing_else() {
    for prefix in [[0x00, 0x55, 0x12, 0x20], [0x00, 0x70, 0x13, 0x20], [0x00, 0x70, 0x12, 0x14]] {
        assert_eq!(from_prefix(&prefix), Err(BlockError::Prefix(PrefixError::NotV0)));
    }
}

#[test]
fn a_prefix_cut_anywhere_is_refused() {
    let prefix = Prefix::of(VerifiedBlock::new(codec::DAG_PB, blake2b_256(), Bytes::new()).unwrap().cid());
    let bytes = prefix.encode();
    assert_eq!(Prefix::parse(&bytes), Ok(prefix));
    for len in 0..bytes.len() {
        assert_eq!(Prefix::parse(&bytes[..len]), Err(PrefixError::Truncated), "{len} bytes");
    }
}

fn blake2b_256() -> HashAlgorithm {
    HashAlgorithm::from_code(0xb220).unwrap()
}

#[test]
fn a_malformed_prefix_says_what_is_wrong() {
    let trailing = Prefix::parse(&[0x01, 0x55, 0x12, 0x20, 0x00]);
    assert_eq!(trailing, Err(PrefixError::TrailingBytes { extra: 1 }));
    assert_eq!(Prefix::parse(&[0x02, 0x55, 0x12, 0x20]), Err(PrefixError::Version { version: 2 }));
    assert!(matches!(Prefix::parse(&[0x81, 0x00, 0x55, 0x12, 0x20]), Err(PrefixError::Varint(_))));
    // What beetswap sends for a CIDv0.
    assert_eq!(Prefix::parse(&[0x12, 0x20]), Err(PrefixError::Truncated));
}

#[test]
fn an_unknown_hash_refuses_the_block_and_names_the_code() {
    let result = from_prefix(&[0x01, 0x55, 0xd5, 0x01, 0x10]);
    assert_eq!(result, Err(BlockError::Hash(HashError::NotAllowed { code: 0xd5 })));
}

#[test]
fn an_identity_prefix_must_give_the_length_of_the_data() {
    let block = from_prefix(&[0x01, 0x55, 0x00, 13]).unwrap();
    assert_eq!(block.hash().digest(), HELLO);
    let result = from_prefix(&[0x01, 0x55, 0x00, 12]);
    assert_eq!(result, Err(BlockError::Hash(HashError::IdentityLength { len: 12, data_len: 13 })));
}

#[test]
fn a_truncated_digest_is_compared_by_what_is_there() {
    let block = from_prefix(&[0x01, 0x55, 0x12, 0x14]).unwrap();
    assert_eq!(block.hash().size(), 20);
    assert!(VerifiedBlock::verify(*block.cid(), Bytes::from_static(HELLO)).is_ok());
}

#[test]
fn data_that_does_not_match_names_the_cid() {
    let block = from_prefix(&RAW_V1).unwrap();
    let result = VerifiedBlock::verify(*block.cid(), Bytes::from_static(b"hello bitswaq"));
    assert_eq!(result, Err(BlockError::Mismatch { cid: *block.cid() }));

    let identity = cid("bafkqaaa");
    let result = VerifiedBlock::verify(identity, Bytes::from_static(b"x"));
    assert_eq!(result, Err(BlockError::Mismatch { cid: identity }));
}

#[test]
fn a_block_of_two_mebibytes_is_the_largest() {
    assert!(VerifiedBlock::sha2_256(codec::RAW, vec![0; MAX_BLOCK].into()).is_ok());
    let too_large = Bytes::from(vec![0; MAX_BLOCK + 1]);
    let expected = Err(BlockError::TooLarge { len: MAX_BLOCK + 1 });
    assert_eq!(VerifiedBlock::sha2_256(codec::RAW, too_large.clone()), expected);
    assert_eq!(VerifiedBlock::v0(too_large.clone()), expected);
    assert_eq!(VerifiedBlock::from_prefix(&RAW_V1, too_large.clone()), expected);
    assert_eq!(VerifiedBlock::verify(cid("bafkqaaa"), too_large), expected);
}

#[test]
fn a_block_changes_its_cid_only_within_one_multihash() {
    let node = VerifiedBlock::v0(Bytes::from_static(HELLO)).unwrap();
    let v1 = Cid::new_v1(codec::DAG_PB, *node.hash());
    let renamed = node.clone().with_cid(v1).unwrap();
    assert_eq!((renamed.cid(), renamed.data()), (&v1, node.data()));

    let other = cid("bafkqaaa");
    assert_eq!(node.with_cid(other), Err(BlockError::Mismatch { cid: other }));
}

#[test]
fn identity_cids_and_the_empty_blocks_are_known_without_a_store() {
    let known = [
        ("bafkqaaa", ""),
        ("bafyaabakaieac", "0a020801"),
        // The empty raw block, and the empty DAG-PB node by both versions.
        ("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", ""),
        ("bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", ""),
        ("QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n", ""),
        // The empty directory.
        ("QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn", "0a020801"),
        ("bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354", "0a020801"),
        // The empty file.
        ("QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH", "0a0408021800"),
        ("bafybeif7ztnhq65lumvvtr4ekcwd2ifwgm3awq4zfr3srh462rwyinlb4y", "0a0408021800"),
    ];
    for (text, data) in known {
        let block = local(&cid(text)).unwrap_or_else(|| panic!("{text} is known"));
        assert_eq!(hex::encode(block.data()), data, "{text}");
        assert_eq!(block.cid(), &cid(text));
        assert!(VerifiedBlock::verify(*block.cid(), block.into_data()).is_ok(), "{text}");
    }
}

#[test]
fn other_blocks_are_not_known_locally() {
    let block = from_prefix(&RAW_V1).unwrap();
    assert_eq!(local(block.cid()), None);
    let empty_by_another_hash = VerifiedBlock::new(codec::RAW, HashAlgorithm::Blake3, Bytes::new()).unwrap();
    assert_eq!(local(empty_by_another_hash.cid()), None);
}

proptest! {
    #[test]
    fn any_bytes_as_prefix_are_an_error_or_a_block_that_verifies(
        prefix in prop::collection::vec(any::<u8>(), 0..12),
        data in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let data = Bytes::from(data);
        if let Ok(block) = VerifiedBlock::from_prefix(&prefix, data.clone()) {
            prop_assert_eq!(Prefix::of(block.cid()).encode(), prefix);
            prop_assert!(VerifiedBlock::verify(*block.cid(), data).is_ok());
        }
    }

    #[test]
    fn one_flipped_bit_never_verifies(
        mut data in prop::collection::vec(any::<u8>(), 1..300),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
        code in prop::sample::select(vec![0x00_u64, 0x11, 0x12, 0x19, 0x1b, 0x1e, 0x56, 0xb214, 0xb254]),
    ) {
        let algorithm = HashAlgorithm::from_code(code).unwrap();
        data.truncate(if code == 0 { 64 } else { 300 });
        let block = VerifiedBlock::new(codec::RAW, algorithm, data.clone().into()).unwrap();
        let at = at.index(data.len());
        data[at] ^= 1 << bit;
        let result = VerifiedBlock::verify(*block.cid(), data.into());
        prop_assert_eq!(result, Err(BlockError::Mismatch { cid: *block.cid() }));
    }
}
