//! Records after the handshake: sealed and opened in place.
//!
//! ```text
//!  | length (2, big endian) | ciphertext, at most 65,519 | tag (16) |
//! ```

use std::fmt;

use bytes::{Buf, BufMut, BytesMut};
use ring::aead::{Aad, LessSafeKey};

use crate::crypto;

/// Bytes of the length before each record.
pub const LENGTH_PREFIX: usize = 2;

/// Bytes of the authentication tag in each record.
pub const TAG_LEN: usize = 16;

/// The longest record, in bytes with its tag and without its length.
pub const MAX_RECORD: usize = 65_535;

/// The most plaintext that fits a record, in bytes.
///
/// // spec: noise/tx-frame-limit
pub const MAX_PLAINTEXT: usize = MAX_RECORD - TAG_LEN;

/// Why a record cannot be sealed or opened. A failure to open is the peer's fault or an attacker's; the connection
/// cannot go on after either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CipherError {
    /// The record is shorter than a tag.
    #[error("record of {len} bytes is shorter than its tag")]
    TooShort {
        /// Its length in bytes.
        len: usize,
    },
    /// The record was changed on the way, is repeated, or is out of its order.
    #[error("record does not authenticate")]
    NotAuthentic,
    /// The plaintext does not fit a record. Our own fault.
    #[error("plaintext of {len} bytes exceeds the limit of {MAX_PLAINTEXT}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The key has been used as often as it may.
    #[error("the record counter is used up")]
    Exhausted,
    /// No record was begun at this place of the buffer. The caller's fault.
    #[error("no record was begun at this place of the buffer")]
    NotBegun,
    /// An earlier record failed to open.
    #[error("an earlier record failed")]
    Failed,
}

/// A key with its counter. Nothing is processed under 2^64 − 1, which Noise reserves.
///
/// // spec: noise/nonce-exhaustion
struct Counted {
    key: LessSafeKey,
    counter: u64,
}

/// Where a record begins in the output; made by [`Sealer::begin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct RecordStart(usize);

/// Seals what we send.
pub struct Sealer {
    counted: Counted,
}

impl Sealer {
    /// A sealer for a key of 32 bytes that has sealed nothing yet.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self { counted: Counted { key: crypto::key(key), counter: 0 } }
    }

    /// Begins a record at the end of `out`. The plaintext is appended next, then [`finish`](Self::finish) is called.
    pub fn begin(&self, out: &mut BytesMut) -> RecordStart {
        let start = RecordStart(out.len());
        out.put_u16(0);
        start
    }

    /// Seals everything in `out` behind `start` as one record. The plaintext may be empty.
    ///
    /// # Errors
    ///
    /// When it is longer than [`MAX_PLAINTEXT`] or the counter is used up. The record is then cut off `out`, so that
    /// no plaintext can go out unsealed.
    pub fn finish(&mut self, out: &mut BytesMut, start: RecordStart) -> Result<(), CipherError> {
        let sealed = self.seal_behind(out, start.0);
        if sealed.is_err() {
            out.truncate(start.0);
        }
        sealed
    }

    fn seal_behind(&mut self, out: &mut BytesMut, position: usize) -> Result<(), CipherError> {
        let record = out.get_mut(position..).unwrap_or_default();
        let record = record.split_first_chunk_mut::<LENGTH_PREFIX>();
        let (prefix, plaintext) = record.ok_or(CipherError::NotBegun)?;
        let len = plaintext.len();
        let record_len = u16::try_from(len + TAG_LEN).map_err(|_| CipherError::TooLong { len })?;
        let nonce = self.counted.next()?;
        let sealed = self.counted.key.seal_in_place_separate_tag(nonce, Aad::empty(), plaintext);
        let tag = sealed.map_err(|_| CipherError::TooLong { len })?;
        *prefix = record_len.to_be_bytes();
        out.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// Appends one record with `plaintext`, which is copied.
    ///
    /// # Errors
    ///
    /// As [`finish`](Self::finish).
    pub fn seal(&mut self, plaintext: &[u8], out: &mut BytesMut) -> Result<(), CipherError> {
        out.reserve(LENGTH_PREFIX + plaintext.len() + TAG_LEN);
        let start = self.begin(out);
        out.extend_from_slice(plaintext);
        self.finish(out, start)
    }

    /// Appends one record with what `fill` appends, and says whether there was any: it makes no empty record.
    ///
    /// # Errors
    ///
    /// As [`finish`](Self::finish).
    pub fn seal_with(
        &mut self,
        out: &mut BytesMut,
        fill: impl FnOnce(&mut BytesMut),
    ) -> Result<bool, CipherError> {
        let start = self.begin(out);
        let empty = out.len();
        fill(out);
        if out.len() == empty {
            out.truncate(start.0);
            return Ok(false);
        }
        self.finish(out, start)?;
        Ok(true)
    }
}

impl Counted {
    fn next(&mut self) -> Result<ring::aead::Nonce, CipherError> {
        if self.counter == u64::MAX {
            return Err(CipherError::Exhausted);
        }
        let nonce = crypto::nonce(self.counter);
        self.counter += 1;
        Ok(nonce)
    }
}

/// Opens what the peer sends.
pub struct Opener {
    counted: Counted,
    failed: bool,
}

impl Opener {
    /// An opener for a key of 32 bytes that has opened nothing yet.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self { counted: Counted { key: crypto::key(key), counter: 0 }, failed: false }
    }

    /// Takes one whole record off `input` and opens it in place, without a copy; `Ok(None)` when more bytes are
    /// needed.
    ///
    /// # Errors
    ///
    /// When a record does not open. Nothing opens after that, and the counter has not moved: a forged record must
    /// not get the two ends out of step (RUSTSEC-2024-0011).
    pub fn open(&mut self, input: &mut BytesMut) -> Result<Option<BytesMut>, CipherError> {
        if self.failed {
            return Err(CipherError::Failed);
        }
        let Some(prefix) = input.first_chunk::<LENGTH_PREFIX>() else {
            return Ok(None);
        };
        let len = usize::from(u16::from_be_bytes(*prefix));
        // spec: noise/zero-length-frame, noise/short-frame
        if len < TAG_LEN {
            self.failed = true;
            return Err(CipherError::TooShort { len });
        }
        if input.len() < LENGTH_PREFIX + len {
            return Ok(None);
        }
        input.advance(LENGTH_PREFIX);
        let mut record = input.split_to(len);
        let opened = self.open_record(&mut record);
        self.failed = opened.is_err();
        opened?;
        Ok(Some(record))
    }

    /// // spec: noise/tampered-transport, noise/replayed-transport, noise/reordered-transport
    fn open_record(&mut self, record: &mut BytesMut) -> Result<(), CipherError> {
        let before = self.counted.counter;
        let nonce = self.counted.next()?;
        let opened = self.counted.key.open_in_place(nonce, Aad::empty(), record);
        match opened.map(|plaintext| plaintext.len()) {
            Ok(len) => record.truncate(len),
            Err(_) => {
                self.counted.counter = before;
                return Err(CipherError::NotAuthentic);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("counter", &self.counted.counter).finish_non_exhaustive()
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("counter", &self.counted.counter).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Sealer, Opener) {
        (Sealer::new(&[7; 32]), Opener::new(&[7; 32]))
    }

    fn sealed(sealer: &mut Sealer, plaintext: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        let start = sealer.begin(&mut out);
        out.extend_from_slice(plaintext);
        sealer.finish(&mut out, start).unwrap();
        out
    }

    #[test]
    fn records_of_every_size_class_round_trip() {
        let (mut sealer, mut opener) = pair();
        for len in [0, 1, 15, 16, 1000, MAX_PLAINTEXT] {
            let mut wire = sealed(&mut sealer, &vec![9; len]);
            assert_eq!(wire.len(), LENGTH_PREFIX + len + TAG_LEN);
            assert_eq!(opener.open(&mut wire).unwrap().unwrap(), vec![9; len]);
            assert!(wire.is_empty());
        }
    }

    #[test]
    fn a_record_in_pieces_asks_for_more_and_takes_nothing() {
        let (mut sealer, mut opener) = pair();
        let mut wire = sealed(&mut sealer, b"hello");
        for len in 0..wire.len() {
            let mut piece = BytesMut::from(&wire[..len]);
            assert_eq!(opener.open(&mut piece), Ok(None));
            assert_eq!(piece.len(), len);
        }
        assert!(opener.open(&mut wire).unwrap().is_some());
    }

    #[test]
    fn a_plaintext_that_does_not_fit_is_refused() {
        let (mut sealer, _) = pair();
        let mut out = BytesMut::new();
        let start = sealer.begin(&mut out);
        out.resize(LENGTH_PREFIX + MAX_PLAINTEXT + 1, 0);
        let len = MAX_PLAINTEXT + 1;
        assert_eq!(sealer.finish(&mut out, start), Err(CipherError::TooLong { len }));
    }

    #[test]
    fn a_changed_bit_anywhere_in_a_record_ends_the_connection() {
        let (mut sealer, _) = pair();
        let wire = sealed(&mut sealer, b"hello");
        for position in LENGTH_PREFIX..wire.len() {
            let (_, mut opener) = pair();
            let mut changed = wire.clone();
            changed[position] ^= 1;
            assert_eq!(opener.open(&mut changed), Err(CipherError::NotAuthentic), "byte {position}");
            assert_eq!(opener.open(&mut wire.clone()), Err(CipherError::Failed));
        }
    }

    #[test]
    fn repeated_and_swapped_records_are_refused() {
        let (mut sealer, mut opener) = pair();
        let mut first = sealed(&mut sealer, b"one");
        let mut second = sealed(&mut sealer, b"two");
        assert!(opener.open(&mut first.clone()).is_ok());
        assert_eq!(opener.open(&mut first), Err(CipherError::NotAuthentic));
        let (_, mut opener) = pair();
        assert_eq!(opener.open(&mut second), Err(CipherError::NotAuthentic));
    }

    #[test]
    fn rustsec_2024_0011_a_forged_record_does_not_move_the_counter() {
        let (mut sealer, mut opener) = pair();
        let mut forged = sealed(&mut sealer, b"hello");
        forged[LENGTH_PREFIX] ^= 1;
        assert_eq!(opener.open(&mut forged), Err(CipherError::NotAuthentic));
        assert_eq!(opener.counted.counter, 0);
    }

    #[test]
    fn ghsa_g9mp_8g3h_3c5c_the_counter_stops_before_it_wraps() {
        let (mut sealer, mut opener) = pair();
        sealer.counted.counter = u64::MAX - 1;
        opener.counted.counter = u64::MAX - 1;
        let mut last = sealed(&mut sealer, b"last");
        assert!(opener.open(&mut last).unwrap().is_some());
        let mut out = BytesMut::new();
        let start = sealer.begin(&mut out);
        assert_eq!(sealer.finish(&mut out, start), Err(CipherError::Exhausted));
    }

    #[test]
    fn records_too_short_for_a_tag_are_refused() {
        for len in [0, 15] {
            let (_, mut opener) = pair();
            let mut wire = BytesMut::new();
            wire.put_u16(len);
            assert_eq!(opener.open(&mut wire), Err(CipherError::TooShort { len: len.into() }));
        }
    }
}
