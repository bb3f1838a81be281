//! What stands in a pack.
//!
//! ```text
//!   pack    "bowline pack 1\n\0"  record  record  …
//!
//!   record  0   4   magic, "BWLb" for a block or "BWLd" for a delete mark
//!           4   4   CRC-32 of the magic, bytes 8..16 and the multihash, little-endian
//!           8   4   length of the data, little-endian
//!           12  1   length of the multihash
//!           13  3   zero
//!           16  n   multihash
//!           …       data (nothing in a delete mark)
//! ```
//!
//! The data carries no checksum of its own: the multihash is one.

use bowline_block::{HashAlgorithm, MAX_BLOCK, Multihash};

/// The first bytes of every pack.
pub(super) const PACK_MAGIC: [u8; 16] = *b"bowline pack 1\n\0";
/// Where the first record of a pack begins.
pub(super) const PACK_START: u64 = PACK_MAGIC.len() as u64;

/// Bytes of a record before the multihash.
const FIXED_LEN: usize = 16;
/// The longest multihash: a code of 9 bytes, a length of 1, a digest of 64.
pub(super) const MAX_HASH_LEN: usize = 74;
/// The most bytes before the data of a record.
pub(super) const MAX_HEAD_LEN: usize = FIXED_LEN + MAX_HASH_LEN;

const BLOCK: [u8; 4] = *b"BWLb";
const DELETE_MARK: [u8; 4] = *b"BWLd";

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The data of a block.
    Block,
    /// The block is no longer held.
    DeleteMark,
}

/// A record to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) kind: Kind,
    pub(super) hash: &'a Multihash,
    pub(super) data: &'a [u8],
}

/// The start of a record that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) hash: Multihash,
    /// Bytes of the head itself.
    pub(super) len: u64,
    /// Bytes of the data that follow it.
    pub(super) data_len: u32,
}

impl Record<'_> {
    /// How many bytes the record takes in a pack.
    pub(super) fn len(&self) -> u64 {
        record_len(self.hash, self.data.len() as u64)
    }

    /// Appends everything before the data.
    pub(super) fn encode_head(&self, out: &mut Vec<u8>) {
        let hash = self.hash.to_bytes();
        let hash_len = u8::try_from(hash.len()).expect("a multihash has at most 74 bytes");
        let data_len = u32::try_from(self.data.len()).expect("a block has at most 2 MiB");
        let mut sizes = [0; 8];
        sizes[..4].copy_from_slice(&data_len.to_le_bytes());
        sizes[4] = hash_len;
        let magic = match self.kind {
            Kind::Block => BLOCK,
            Kind::DeleteMark => DELETE_MARK,
        };
        out.extend_from_slice(&magic);
        out.extend_from_slice(&checksum(magic, sizes, &hash).to_le_bytes());
        out.extend_from_slice(&sizes);
        out.extend_from_slice(&hash);
    }
}

impl Head {
    /// Reads the start of a record, or `None` where there is none.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let (crc, rest) = rest.split_first_chunk::<4>()?;
        let (sizes, rest) = rest.split_first_chunk::<8>()?;
        let kind = match *magic {
            BLOCK => Kind::Block,
            DELETE_MARK => Kind::DeleteMark,
            _ => return None,
        };
        let [a, b, c, d, hash_len, ..] = *sizes;
        let hash = rest.get(..usize::from(hash_len))?;
        if checksum(*magic, *sizes, hash) != u32::from_le_bytes(*crc) {
            return None;
        }
        let data_len = u32::from_le_bytes([a, b, c, d]);
        let fits = usize::try_from(data_len).is_ok_and(|len| len <= MAX_BLOCK);
        let len = (FIXED_LEN + hash.len()) as u64;
        fits.then_some(Self { kind, hash: Multihash::from_bytes(hash).ok()?, len, data_len })
    }
}

/// How many bytes a block of `data_len` bytes takes in a pack.
pub(super) fn record_len(hash: &Multihash, data_len: u64) -> u64 {
    (FIXED_LEN + hash.encoded_len()) as u64 + data_len
}

/// Whether `data` is what the multihash promises.
pub(super) fn matches(hash: &Multihash, data: &[u8]) -> bool {
    let digest = HashAlgorithm::of(hash).and_then(|of| of.hash_truncated(data, u64::from(hash.size())));
    digest.as_ref() == Ok(hash)
}

fn checksum(magic: [u8; 4], sizes: [u8; 8], hash: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&magic);
    crc.update(&sizes);
    crc.update(hash);
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> (Multihash, Vec<u8>) {
        let hash = HashAlgorithm::Sha2_256.hash(b"data").unwrap();
        let mut bytes = Vec::new();
        Record { kind: Kind::Block, hash: &hash, data: b"data" }.encode_head(&mut bytes);
        (hash, bytes)
    }

    #[test]
    fn a_head_reads_back_what_was_written() {
        let (hash, bytes) = block();
        let head = Head { kind: Kind::Block, hash, len: bytes.len() as u64, data_len: 4 };
        assert_eq!(Head::parse(&bytes), Some(head));
        assert_eq!(record_len(&hash, 4), bytes.len() as u64 + 4);
    }

    #[test]
    fn a_head_cut_anywhere_is_none() {
        let (_, bytes) = block();
        for len in 0..bytes.len() {
            assert_eq!(Head::parse(&bytes[..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn a_head_with_any_bit_flipped_is_none() {
        let (_, bytes) = block();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::parse(&damaged), None, "bit {bit}");
        }
    }
}
