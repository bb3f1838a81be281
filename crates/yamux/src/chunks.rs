//! A queue of bytes that shares large slices and copies small ones together.

use std::{collections::VecDeque, fmt, mem};

use bytes::{Bytes, BytesMut};

/// Where small slices are collected, in bytes, before a new collection starts.
const TAIL_CAPACITY: usize = 16 * 1024;

/// Bytes in order: slices as they came, and behind them a tail that small ones are copied into.
#[derive(Default)]
pub(crate) struct Chunks {
    slices: VecDeque<Bytes>,
    tail: BytesMut,
    len: usize,
}

impl Chunks {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends `bytes`: shared, or copied when there are less than `copy_below` of them.
    pub(crate) fn push(&mut self, bytes: Bytes, copy_below: usize) {
        if bytes.is_empty() {
            return;
        }
        self.len += bytes.len();
        if bytes.len() >= copy_below {
            self.seal_tail();
            self.slices.push_back(bytes);
            return;
        }
        if self.tail.len() + bytes.len() > TAIL_CAPACITY {
            self.seal_tail();
        }
        if self.tail.capacity() - self.tail.len() < bytes.len() {
            // Growth by four: few moves for many small writes, and little waste for one.
            self.tail.reserve(bytes.len().max(3 * self.tail.len()));
        }
        self.tail.extend_from_slice(&bytes);
    }

    /// Takes at most `max` bytes from the front; `None` when there are none.
    pub(crate) fn pop(&mut self, max: usize) -> Option<Bytes> {
        if self.slices.is_empty() {
            self.seal_tail();
        }
        let front = self.slices.front_mut()?;
        let taken = if front.len() <= max { self.slices.pop_front()? } else { front.split_to(max) };
        self.len -= taken.len();
        Some(taken)
    }

    /// Moves `len` bytes from the front to `out`: the one copy that a payload sees on its way out.
    pub(crate) fn move_into(&mut self, out: &mut BytesMut, mut len: usize) {
        while let Some(bytes) = self.pop(len) {
            out.extend_from_slice(&bytes);
            len -= bytes.len();
            if len == 0 {
                return;
            }
        }
    }

    /// Drops everything, memory included, and says how much it was.
    pub(crate) fn clear(&mut self) -> usize {
        mem::take(self).len
    }

    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            self.slices.push_back(mem::take(&mut self.tail).freeze());
        }
    }
}

impl fmt::Debug for Chunks {
    /// Payload is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(chunks: &mut Chunks, max: usize) -> Vec<Bytes> {
        std::iter::from_fn(|| chunks.pop(max)).collect()
    }

    #[test]
    fn large_slices_are_shared_and_small_ones_merged() {
        let large = Bytes::from(vec![7; 100]);
        let mut chunks = Chunks::default();
        for part in [&b"a"[..], b"b", b"c"] {
            chunks.push(Bytes::copy_from_slice(part), 10);
        }
        chunks.push(large.clone(), 10);
        chunks.push(Bytes::from_static(b"d"), 10);
        assert_eq!(chunks.len(), 104);
        let parts = drain(&mut chunks, usize::MAX);
        assert_eq!(parts, [Bytes::from_static(b"abc"), large.clone(), Bytes::from_static(b"d")]);
        assert_eq!(parts[1].as_ptr(), large.as_ptr(), "shared, not copied");
        assert!(chunks.is_empty());
    }

    #[test]
    fn a_slice_is_given_out_in_parts() {
        let mut chunks = Chunks::default();
        chunks.push(Bytes::from_static(b"hello"), 0);
        assert_eq!(drain(&mut chunks, 2), [&b"he"[..], b"ll", b"o"]);
    }

    #[test]
    fn small_writes_fill_collections_and_lose_nothing() {
        let mut chunks = Chunks::default();
        let mut expected = Vec::new();
        for i in 0..2_000_u32 {
            expected.extend_from_slice(&i.to_be_bytes().repeat(8));
            chunks.push(Bytes::from(i.to_be_bytes().repeat(8)), COPY);
        }
        assert_eq!(chunks.slices.len(), 3, "64,000 bytes in collections of 16 KiB, the last still open");
        let mut out = BytesMut::new();
        chunks.move_into(&mut out, 1_000);
        chunks.move_into(&mut out, expected.len() - 1_000);
        assert_eq!((&out[..], chunks.len()), (&expected[..], 0));
    }

    const COPY: usize = 4 * 1024;
}
