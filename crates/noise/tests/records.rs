//! Records of a running connection.

mod common;

use bowline_noise::{CipherError, LENGTH_PREFIX, MAX_PLAINTEXT, MAX_RECORD, Opener, Sealer, TAG_LEN};
use bytes::BytesMut;
use proptest::prelude::*;

const KEY: [u8; 32] = [0x6b; 32];

fn cipher() -> (Sealer, Opener) {
    (Sealer::new(&KEY), Opener::new(&KEY))
}

/// Each plaintext as a record of its own.
fn records(plaintexts: &[&[u8]]) -> Vec<BytesMut> {
    let (mut sealer, _) = cipher();
    let record = |plaintext: &&[u8]| {
        let mut out = BytesMut::new();
        sealer.seal(plaintext, &mut out).unwrap();
        out
    };
    plaintexts.iter().map(record).collect()
}

fn open(opener: &mut Opener, record: &BytesMut) -> Result<Option<BytesMut>, CipherError> {
    opener.open(&mut record.clone())
}

#[test]
fn each_direction_has_its_own_key() {
    let (mut dialer, mut listener) = common::connect(&[], &[]);
    let mut wire = BytesMut::new();
    dialer.sealer.seal(b"there", &mut wire).unwrap();
    assert_eq!(dialer.opener.open(&mut wire.clone()), Err(CipherError::NotAuthentic), "a reflected record");
    assert_eq!(listener.opener.open(&mut wire).unwrap().as_deref(), Some(&b"there"[..]));
    listener.sealer.seal(b"back", &mut wire).unwrap();
    assert_eq!(listener.opener.open(&mut wire.clone()), Err(CipherError::NotAuthentic));
}

// spec: noise/max-frame, noise/tx-frame-limit, noise/frame-length-be
#[test]
fn the_largest_record_passes_and_one_byte_more_is_not_made() {
    let (mut sealer, mut opener) = cipher();
    let plaintext = vec![0x5a; MAX_PLAINTEXT];
    let mut wire = BytesMut::new();
    sealer.seal(&plaintext, &mut wire).unwrap();
    assert_eq!(wire.len(), LENGTH_PREFIX + MAX_RECORD);
    assert_eq!(wire[..2], [0xff, 0xff]);
    assert_eq!(opener.open(&mut wire).unwrap().as_deref(), Some(&plaintext[..]));
    let too_long = vec![0; MAX_PLAINTEXT + 1];
    let len = too_long.len();
    assert_eq!(sealer.seal(&too_long, &mut wire), Err(CipherError::TooLong { len }));
    assert!(wire.is_empty(), "no plaintext is left to be sent unsealed");
}

// spec: noise/empty-transport
#[test]
fn an_empty_record_is_fine_and_counts() {
    let records = records(&[b"", b"data", b""]);
    let (_, mut opener) = cipher();
    for (record, plaintext) in records.iter().zip([&b""[..], b"data", b""]) {
        assert_eq!(open(&mut opener, record).unwrap().as_deref(), Some(plaintext));
    }
    assert_eq!(records[0].len(), LENGTH_PREFIX + TAG_LEN);
}

// spec: noise/zero-length-frame, noise/short-frame
#[test]
fn a_record_shorter_than_its_tag_is_refused_by_its_length_alone() {
    for len in 0..16 {
        let (_, mut opener) = cipher();
        let error = CipherError::TooShort { len: usize::from(len) };
        assert_eq!(opener.open(&mut BytesMut::from(&[0, len][..])), Err(error));
        assert_eq!(
            open(&mut opener, &records(&[b"good"])[0]),
            Err(CipherError::Failed),
            "nothing opens after it"
        );
    }
}

// spec: noise/tampered-transport
#[test]
fn a_record_with_any_byte_changed_is_refused() {
    let record = records(&[b"a plaintext of some length"]).remove(0);
    for position in 2..record.len() {
        let mut changed = record.clone();
        changed[position] ^= 0x40;
        let (_, mut opener) = cipher();
        assert_eq!(opener.open(&mut changed), Err(CipherError::NotAuthentic), "byte {position}");
    }
}

#[test]
fn a_record_that_is_cut_and_relabelled_is_refused() {
    let record = records(&[b"a plaintext"]).remove(0);
    for len in 16..record.len() - 2 {
        let mut cut = BytesMut::from(&[0, u8::try_from(len).unwrap()][..]);
        cut.extend_from_slice(&record[2..2 + len]);
        assert_eq!(cipher().1.open(&mut cut), Err(CipherError::NotAuthentic), "{len} bytes");
    }
}

// spec: noise/replayed-transport
#[test]
fn a_record_that_comes_twice_is_refused() {
    let record = records(&[b"once"]).remove(0);
    let (_, mut opener) = cipher();
    assert!(open(&mut opener, &record).unwrap().is_some());
    assert_eq!(open(&mut opener, &record), Err(CipherError::NotAuthentic));
}

// spec: noise/reordered-transport
#[test]
fn records_that_changed_places_are_refused() {
    let records = records(&[b"first", b"second"]);
    let (_, mut opener) = cipher();
    assert_eq!(open(&mut opener, &records[1]), Err(CipherError::NotAuthentic));
    assert_eq!(open(&mut opener, &records[0]), Err(CipherError::Failed), "a failed decrypt is final");
}

#[test]
fn a_record_that_is_left_out_is_noticed() {
    let records = records(&[b"first", b"second", b"third"]);
    let (_, mut opener) = cipher();
    assert!(open(&mut opener, &records[0]).unwrap().is_some());
    assert_eq!(open(&mut opener, &records[2]), Err(CipherError::NotAuthentic));
}

// spec: noise/eof-in-frame
#[test]
fn a_truncated_record_gives_nothing_and_stays_in_the_input() {
    let record = records(&[b"whole or nothing"]).remove(0);
    for len in 0..record.len() {
        let mut input = BytesMut::from(&record[..len]);
        assert_eq!(cipher().1.open(&mut input), Ok(None));
        assert_eq!(input.len(), len);
    }
}

#[test]
fn a_plaintext_lies_where_its_record_lay() {
    let (mut sealer, mut opener) = cipher();
    let mut wire = BytesMut::new();
    sealer.seal(&[1; 5000], &mut wire).unwrap();
    sealer.seal(&[2; 300], &mut wire).unwrap();
    let first = wire.as_ptr() as usize;
    let plaintext = opener.open(&mut wire).unwrap().unwrap();
    assert_eq!(plaintext.as_ptr() as usize, first + LENGTH_PREFIX);
    let second = wire.as_ptr() as usize;
    let plaintext = opener.open(&mut wire).unwrap().unwrap();
    assert_eq!(plaintext.as_ptr() as usize, second + LENGTH_PREFIX);
}

#[test]
fn sealing_happens_where_the_plaintext_was_written() {
    let (mut sealer, mut opener) = cipher();
    let mut out = BytesMut::with_capacity(4096);
    let buffer = out.as_ptr();
    out.extend_from_slice(b"sealed before");
    let start = sealer.begin(&mut out);
    out.extend_from_slice(b"frame one, ");
    out.extend_from_slice(b"frame two");
    sealer.finish(&mut out, start).unwrap();
    assert_eq!(out.as_ptr(), buffer);
    assert_eq!(&out.split_to(13)[..], b"sealed before");
    assert_eq!(opener.open(&mut out).unwrap().as_deref(), Some(&b"frame one, frame two"[..]));
}

#[test]
fn nothing_to_seal_makes_no_record() {
    let (mut sealer, mut opener) = cipher();
    let mut out = BytesMut::new();
    assert_eq!(sealer.seal_with(&mut out, |_| {}), Ok(false));
    assert!(out.is_empty());
    assert_eq!(sealer.seal_with(&mut out, |out| out.extend_from_slice(b"x")), Ok(true));
    assert_eq!(opener.open(&mut out).unwrap().as_deref(), Some(&b"x"[..]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_of_the_records_gives_the_same_plaintexts(
        plaintexts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..8),
        cuts in proptest::collection::vec(1_usize..150, 1..40),
    ) {
        let (mut sealer, mut opener) = cipher();
        let mut wire = BytesMut::new();
        for plaintext in &plaintexts {
            sealer.seal(plaintext, &mut wire).unwrap();
        }
        let (mut input, mut opened) = (BytesMut::new(), Vec::new());
        for cut in cuts.iter().chain([&usize::MAX]) {
            input.extend_from_slice(&wire.split_to((*cut).min(wire.len())));
            while let Some(plaintext) = opener.open(&mut input).unwrap() {
                opened.push(plaintext.to_vec());
            }
        }
        prop_assert_eq!(opened, plaintexts);
        prop_assert!(input.is_empty());
    }
}
