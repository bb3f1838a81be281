//! Unsigned varints as the multiformats project defines them: minimal, and at most nine bytes.
//!
//! Source: multiformats/unsigned-varint README.

use bytes::BufMut;
use unsigned_varint::{decode as read, encode as write};

/// The most bytes that an unsigned varint may take.
///
/// // spec: uvarint/reject-over-9-bytes
pub const MAX_LEN: usize = 9;

/// Why bytes are not an unsigned varint. The sender is at fault in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VarintError {
    /// The value has a shorter encoding.
    #[error("varint is not minimally encoded")]
    NotMinimal,
    /// The encoding goes on after [`MAX_LEN`] bytes.
    #[error("varint is longer than {MAX_LEN} bytes")]
    TooLong,
}

/// Reads a varint from the start of `bytes`, and says how many bytes it took.
///
/// Returns `Ok(None)` when the bytes end inside the varint.
///
/// # Errors
///
/// When the encoding is not minimal or is longer than [`MAX_LEN`] bytes.
pub fn decode(bytes: &[u8]) -> Result<Option<(u64, usize)>, VarintError> {
    let head = bytes.get(..MAX_LEN).unwrap_or(bytes);
    match read::u64(head) {
        Ok((value, rest)) => Ok(Some((value, head.len() - rest.len()))),
        Err(read::Error::Insufficient) if head.len() < MAX_LEN => Ok(None),
        // spec: uvarint/reject-nonminimal
        Err(read::Error::NotMinimal) => Err(VarintError::NotMinimal),
        Err(_) => Err(VarintError::TooLong),
    }
}

/// Appends `value` in its minimal encoding.
///
/// Values above 2^63 − 1 do not fit nine bytes and do not occur as lengths; they are written in ten.
///
/// // spec: uvarint/emit-minimal
pub fn encode(value: u64, out: &mut impl BufMut) {
    out.put_slice(write::u64(value, &mut write::u64_buffer()));
}

/// How many bytes [`encode`] writes for `value`.
#[must_use]
pub fn encoded_len(value: u64) -> usize {
    write::u64(value, &mut write::u64_buffer()).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        encode(value, &mut out);
        out
    }

    #[test]
    fn known_values_round_trip() {
        let cases: [(u64, &[u8]); 6] = [
            (0, &[0]),
            (127, &[0x7f]),
            (128, &[0x80, 1]),
            (300, &[0xac, 2]),
            (16_384, &[0x80, 0x80, 1]),
            (i64::MAX as u64, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        ];
        for (value, bytes) in cases {
            assert_eq!(encoded(value), bytes);
            assert_eq!(encoded_len(value), bytes.len());
            assert_eq!(decode(bytes), Ok(Some((value, bytes.len()))));
        }
    }

    #[test]
    fn every_prefix_of_a_varint_asks_for_more() {
        let bytes = encoded(i64::MAX as u64);
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len]), Ok(None), "{len} bytes");
        }
    }

    #[test]
    fn non_minimal_encodings_are_refused() {
        assert_eq!(decode(&[0x81, 0]), Err(VarintError::NotMinimal));
        assert_eq!(decode(&[0x80, 0x80, 0]), Err(VarintError::NotMinimal));
    }

    #[test]
    fn ten_bytes_are_refused_as_soon_as_the_ninth_is_there() {
        let bytes = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1];
        assert_eq!(decode(&bytes), Err(VarintError::TooLong));
        assert_eq!(decode(&bytes[..9]), Err(VarintError::TooLong));
        assert_eq!(decode(&bytes[..8]), Ok(None));
    }
}
