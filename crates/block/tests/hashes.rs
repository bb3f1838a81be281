//! Every allowed hash against digests made by other implementations, and the policy's edges.
#![allow(clippy::too_many_lines, reason = "transcripts")]

use bowline_block::{BlockError, HashAlgorithm, HashError, Multihash, VerifiedBlock, codec};
use bytes::Bytes;
use serde_json::Value;

fn inputs() -> [Vec<u8>; 3] {
    [Vec::new(), b"hello bitswap".to_vec(), (0..5_000_u32).map(|i| (i % 251) as u8).collect()]
}

fn vectors() -> Vec<(u64, Vec<Vec<u8>>)> {
    let file: Value = serde_json::from_str(include_str!("vectors/hashes.json")).unwrap();
    let hashes = file["hashes"].as_array().unwrap();
    hashes
        .iter()
        .map(|entry| {
            let digests = entry["digests"].as_array().unwrap();
            let digests = digests.iter().map(|digest| hex::decode(digest.as_str().unwrap()).unwrap());
            (entry["code"].as_u64().unwrap(), digests.collect())
        })
        .collect()
}

#[test]
fn every_allowed_hash_agrees_with_another_implementation() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 20);
    for (code, digests) in vectors {
        let algorithm = HashAlgorithm::from_code(code).unwrap();
        assert_eq!(algorithm.code(), code);
        for (data, digest) in inputs().iter().zip(digests) {
            let hash = algorithm.hash(data).unwrap();
            assert_eq!(hash.digest(), digest, "hash {code:#x} of {} bytes", data.len());
            assert_eq!(hash.code(), code);
        }
    }
}

#[test]
fn a_digest_may_be_truncated_down_to_twenty_bytes() {
    for (code, digests) in vectors() {
        let algorithm = HashAlgorithm::from_code(code).unwrap();
        for len in 0..=130_u64 {
            let result = algorithm.hash_truncated(b"", len);
            let expected = digests[0].get(..usize::try_from(len).unwrap());
            match (len, expected) {
                (..20, _) => assert_eq!(result, Err(HashError::DigestTooShort { len })),
                (_, Some(expected)) => assert_eq!(result.unwrap().digest(), expected),
                (_, None) if len <= algorithm.max_len() as u64 => assert!(result.is_ok()),
                (_, None) => {
                    let max = algorithm.max_len() as u64;
                    assert_eq!(result, Err(HashError::DigestTooLong { len, max }));
                }
            }
        }
    }
}

#[test]
fn a_length_that_no_address_space_holds_is_refused() {
    let result = HashAlgorithm::Sha2_256.hash_truncated(b"", u64::MAX);
    assert_eq!(result, Err(HashError::DigestTooLong { len: u64::MAX, max: 32 }));
}

#[test]
fn only_the_codes_of_the_policy_are_believed() {
    let allowed: Vec<u64> = (0..=0x1_0000).filter(|code| HashAlgorithm::from_code(*code).is_ok()).collect();
    let single = [0x00, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x56];
    let expected: Vec<u64> = single.into_iter().chain(0xb214..=0xb240).chain(0xb254..=0xb260).collect();
    assert_eq!(allowed, expected);

    // MD5, murmur3 and the code above every other one.
    for code in [0xd5, 0x22, u64::MAX] {
        assert_eq!(HashAlgorithm::from_code(code), Err(HashError::NotAllowed { code }));
    }
}

#[test]
fn a_short_digest_does_not_verify_even_if_it_matches() {
    let full = HashAlgorithm::Sha2_256.hash(b"x").unwrap();
    let short = Multihash::wrap(0x12, &full.digest()[..19]).unwrap();
    let cid = bowline_block::Cid::new_v1(codec::RAW, short);
    let result = VerifiedBlock::verify(cid, Bytes::from_static(b"x"));
    assert_eq!(result, Err(BlockError::Hash(HashError::DigestTooShort { len: 19 })));
}

#[test]
fn identity_holds_the_data_and_nothing_shorter_or_longer() {
    let hash = HashAlgorithm::Identity.hash(&[7; 64]).unwrap();
    assert_eq!(hash.digest(), [7; 64]);
    let too_long = HashAlgorithm::Identity.hash(&[7; 65]);
    assert_eq!(too_long, Err(HashError::DigestTooLong { len: 65, max: 64 }));
    let cut = HashAlgorithm::Identity.hash_truncated(b"abc", 2);
    assert_eq!(cut, Err(HashError::IdentityLength { len: 2, data_len: 3 }));
}
