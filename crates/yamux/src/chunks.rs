//! A queue of bytes that shares large slices and copies small ones together.

use std::{collections::VecDeque, fmt, mem};

use bytes::{Bytes, BytesMut};

use crate::limits::MAX_STREAM_QUEUE;

/// Where small slices are collected, in bytes, before a new collection starts.
const TAIL_CAPACITY: usize = 16 * 1024;

/// Memory for copies, which the streams of a session pass on: a busy sender would otherwise ask the allocator, and
/// with it the kernel, for every frame.
#[derive(Debug, Default)]
pub(crate) struct Spare(VecDeque<u8>);

impl Spare {
    /// Gives the memory back to the allocator.
    pub(crate) fn release(&mut self) {
        self.0 = VecDeque::new();
    }

    /// Takes over the memory of an empty queue when it is more than there is.
    fn offer(&mut self, emptied: &mut VecDeque<u8>) {
        debug_assert!(emptied.is_empty(), "bytes that wait are no spare memory");
        if emptied.capacity() > self.0.capacity() {
            mem::swap(&mut self.0, emptied);
        }
        *emptied = VecDeque::new();
    }
}

/// Bytes in order: slices as they came, and behind them a tail that small ones are copied into.
#[derive(Default)]
pub(crate) struct Chunks {
    slices: VecDeque<Bytes>,
    tail: VecDeque<u8>,
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
        if bytes.len() < copy_below {
            if self.tail.len() + bytes.len() > TAIL_CAPACITY {
                self.seal_tail();
            }
            self.append(&bytes, TAIL_CAPACITY);
            return;
        }
        self.len += bytes.len();
        self.seal_tail();
        self.slices.push_back(bytes);
    }

    /// Appends a copy of `bytes`, into the spare memory when the queue has none of its own.
    pub(crate) fn push_copy(&mut self, bytes: &[u8], spare: &mut Spare) {
        if self.tail.capacity() == 0 {
            mem::swap(&mut self.tail, &mut spare.0);
        }
        self.append(bytes, MAX_STREAM_QUEUE);
    }

    fn append(&mut self, bytes: &[u8], capacity: usize) {
        self.len += bytes.len();
        let len = self.tail.len();
        if self.tail.capacity() - len < bytes.len() {
            // Growth by four: few moves for many small writes, and little waste for one.
            let more = (3 * len).min(capacity.saturating_sub(len));
            self.tail.reserve_exact(bytes.len().max(more));
        }
        self.tail.extend(bytes);
    }

    /// Takes at most `max` bytes from the front; `None` when there are none.
    pub(crate) fn pop(&mut self, max: usize) -> Option<Bytes> {
        if self.slices.is_empty() {
            self.seal_tail();
        }
        let taken = self.pop_slice(max)?;
        self.len -= taken.len();
        Some(taken)
    }

    fn pop_slice(&mut self, max: usize) -> Option<Bytes> {
        let front = self.slices.front_mut()?;
        if front.len() <= max { self.slices.pop_front() } else { Some(front.split_to(max)) }
    }

    /// Moves `len` bytes from the front to `out`: the last copy that a payload sees on its way out.
    pub(crate) fn move_into(&mut self, out: &mut BytesMut, len: usize, spare: &mut Spare) {
        let mut left = len.min(self.len);
        self.len -= left;
        while let Some(bytes) = self.pop_slice(left) {
            out.extend_from_slice(&bytes);
            left -= bytes.len();
            if left == 0 {
                return;
            }
        }
        let (first, second) = self.tail.as_slices();
        let in_first = left.min(first.len());
        out.extend_from_slice(&first[..in_first]);
        out.extend_from_slice(&second[..left - in_first]);
        self.tail.drain(..left);
        if self.tail.is_empty() {
            spare.offer(&mut self.tail);
        }
    }

    /// Drops everything, memory included, and says how much it was.
    pub(crate) fn clear(&mut self) -> usize {
        mem::take(self).len
    }

    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            let mut tail = Vec::from(mem::take(&mut self.tail));
            // What grew for more than came must not be kept for it.
            if tail.capacity() - tail.len() > tail.len() / 8 {
                tail.shrink_to_fit();
            }
            self.slices.push_back(tail.into());
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
        let mut spare = Spare::default();
        chunks.move_into(&mut out, 1_000, &mut spare);
        chunks.move_into(&mut out, expected.len() - 1_000, &mut spare);
        assert_eq!((&out[..], chunks.len()), (&expected[..], 0));
    }

    #[test]
    fn copies_and_slices_stay_in_order_and_the_memory_of_copies_is_used_again() {
        let (mut chunks, mut spare, mut out) = (Chunks::default(), Spare::default(), BytesMut::new());
        chunks.push_copy(&[1; 3_000], &mut spare);
        chunks.push(Bytes::from(vec![2; 5_000]), COPY);
        chunks.push_copy(&[3; 1_000], &mut spare);
        chunks.move_into(&mut out, 3_500, &mut spare);
        chunks.push_copy(&[4; 500], &mut spare);
        chunks.move_into(&mut out, 6_000, &mut spare);
        assert_eq!(out, [vec![1; 3_000], vec![2; 5_000], vec![3; 1_000], vec![4; 500]].concat());
        let memory = spare.0.capacity();
        assert!(chunks.is_empty() && memory >= 1_500);
        let mut other = Chunks::default();
        other.push_copy(&[5; 10], &mut spare);
        assert_eq!((other.tail.capacity(), spare.0.capacity()), (memory, 0));
    }

    #[test]
    fn a_queue_of_copies_that_never_empties_does_not_grow() {
        let (mut chunks, mut spare) = (Chunks::default(), Spare::default());
        chunks.push_copy(&[0; 8_000], &mut spare);
        for i in 0..1_000_u32 {
            let (value, mut out) = (u8::try_from(i % 251).unwrap(), BytesMut::new());
            chunks.push_copy(&[value; 1_000], &mut spare);
            chunks.move_into(&mut out, 1_000, &mut spare);
            assert_eq!(out.len(), 1_000);
        }
        assert_eq!((chunks.len(), chunks.tail.capacity() <= 32_000), (8_000, true));
    }

    const COPY: usize = 4 * 1024;
}
