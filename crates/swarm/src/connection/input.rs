//! The memory that a connection reads into.

use std::mem;

use bowline_noise::LENGTH_PREFIX;
use bytes::BytesMut;

/// Space for one read while a connection is quiet, in bytes: identify and pings fit.
const SMALL_READ: usize = 4 * 1024;

/// Space for one read while a connection is busy: four full records, in bytes.
const LARGE_READ: usize = 256 * 1024;

/// Ciphertext that was read and not opened, with room for the next read.
///
/// Records are opened in place and given away as slices, so a buffer is free again when the last slice is gone.
/// Two take turns: with readers that keep up, the older one is free by the time it is needed, and a busy
/// connection asks neither the allocator nor the kernel for memory.
#[derive(Default)]
pub(super) struct Input {
    /// What was read and not taken off.
    pub(super) bytes: BytesMut,
    /// An empty handle on the buffer before.
    resting: BytesMut,
    read_size: usize,
}

impl Input {
    /// Goes on with what was read before.
    pub(super) fn new(bytes: BytesMut) -> Self {
        Self { bytes, resting: BytesMut::new(), read_size: SMALL_READ }
    }

    /// Makes room for one read. What is there is the beginning of a record, or nothing.
    pub(super) fn reserve(&mut self) {
        let len = self.bytes.len();
        let missing = self.record_len().saturating_sub(len);
        // A record that comes in crumbs is completed where it lies: moving it for every one would be a peer's choice.
        if missing > 0 && self.bytes.capacity() - len >= missing.min(self.read_size) {
            return;
        }
        if self.bytes.try_reclaim(self.read_size.max(missing)) {
            return;
        }
        if self.read_size == LARGE_READ && self.resting.try_reclaim(len + LARGE_READ) {
            self.resting.extend_from_slice(&self.bytes);
            mem::swap(&mut self.bytes, &mut self.resting);
            self.resting.clear();
            return;
        }
        let mut fresh = BytesMut::with_capacity(len + self.read_size.max(missing));
        fresh.extend_from_slice(&self.bytes);
        self.resting = mem::replace(&mut self.bytes, fresh);
        self.resting.clear();
    }

    /// How long the record is that has begun, with its length; zero when that is not known.
    fn record_len(&self) -> usize {
        let prefix = self.bytes.first_chunk::<LENGTH_PREFIX>();
        prefix.map_or(0, |prefix| LENGTH_PREFIX + usize::from(u16::from_be_bytes(*prefix)))
    }

    /// `len` bytes were read; the next read gets room for more, or for less.
    pub(super) fn adapt(&mut self, len: usize) {
        if len >= self.read_size {
            self.read_size = (self.read_size * 8).min(LARGE_READ);
        } else if len < self.read_size / 8 {
            self.read_size = (self.read_size / 2).max(SMALL_READ);
        }
    }

    /// Nothing was there to read. Most connections are idle most of the time, and then hold no buffer.
    pub(super) fn rest(&mut self) {
        if self.bytes.is_empty() && self.read_size == SMALL_READ {
            self.release();
        }
    }

    /// Gives the memory back, except for what was read and not taken off.
    pub(super) fn release(&mut self) {
        self.read_size = SMALL_READ;
        self.resting = BytesMut::new();
        if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills the room of one read, and says where it lies.
    fn read(input: &mut Input) -> *const u8 {
        input.reserve();
        let room = input.bytes.capacity() - input.bytes.len();
        assert!(room >= input.read_size, "{room}");
        input.bytes.resize(input.bytes.len() + input.read_size, 7);
        input.adapt(input.read_size);
        input.bytes.as_ptr()
    }

    fn busy() -> Input {
        let mut input = Input::new(BytesMut::new());
        while input.read_size < LARGE_READ {
            read(&mut input);
            input.bytes.clear();
        }
        input
    }

    #[test]
    fn two_buffers_take_turns_while_readers_keep_up() {
        let mut input = busy();
        let mut places = Vec::new();
        let mut held = None;
        for _ in 0..10 {
            places.push(read(&mut input));
            // The reader still has the last slice when the next read begins.
            held = Some(input.bytes.split().freeze());
        }
        assert_eq!(places[2..4], places[8..10]);
        assert_ne!(places[2], places[3]);
        drop(held);
    }

    #[test]
    fn a_slice_that_a_reader_keeps_stays_what_it_was() {
        let mut input = busy();
        let mut kept = Vec::new();
        for value in 0..6 {
            input.reserve();
            input.bytes.resize(LARGE_READ, value);
            kept.push(input.bytes.split().freeze());
        }
        assert!(kept.iter().zip(0..).all(|(slice, value)| slice.iter().all(|byte| *byte == value)));
    }

    #[test]
    fn the_beginning_of_a_record_moves_along() {
        let mut input = busy();
        for _ in 0..5 {
            read(&mut input);
            let _opened = input.bytes.split_to(LARGE_READ - 100).freeze();
            input.bytes.fill(9);
            input.reserve();
            assert_eq!(input.bytes, vec![9; 100]);
            input.bytes.clear();
        }
    }

    #[test]
    fn a_record_that_comes_in_crumbs_is_not_moved_for_every_one() {
        let mut input = Input::new(BytesMut::new());
        let mut places = std::collections::BTreeSet::new();
        input.reserve();
        input.bytes.extend_from_slice(&[0xff, 0xff]);
        while input.bytes.len() < 65_537 {
            input.reserve();
            assert!(input.bytes.capacity() > input.bytes.len(), "room for a byte at least");
            input.bytes.extend_from_slice(&[0]);
            input.adapt(1);
            places.insert(input.bytes.as_ptr());
        }
        assert!(places.len() <= 2, "{} places", places.len());
    }

    #[test]
    fn small_reads_bring_the_size_down_and_rest_frees_everything() {
        let mut input = busy();
        for _ in 0..10 {
            input.reserve();
            input.adapt(100);
        }
        input.rest();
        assert_eq!((input.bytes.capacity(), input.resting.capacity()), (0, 0));
    }
}
