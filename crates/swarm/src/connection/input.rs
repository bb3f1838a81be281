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
/// connection asks neither the allocator nor the kernel for memory. Both are as long as the longest read, with what is
/// left of a record in front of it, so that either can take the other's place.
#[derive(Default)]
pub(super) struct Input {
    /// What was read and not taken off.
    pub(super) bytes: BytesMut,
    /// An empty handle on the buffer before.
    resting: BytesMut,
    read_size: usize,
    /// A read brought more than quiet connections send since the last call of `release_unless_used`.
    used: bool,
}

impl Input {
    /// Goes on with what was read before.
    pub(super) fn new(bytes: BytesMut) -> Self {
        Self { bytes, resting: BytesMut::new(), read_size: SMALL_READ, used: false }
    }

    /// Makes room for one read. What is there is the beginning of a record, or nothing.
    pub(super) fn reserve(&mut self) {
        let len = self.bytes.len();
        let missing = self.record_len().saturating_sub(len);
        // A record that comes in crumbs is completed where it lies: moving it for every one would be a peer's choice.
        if missing > 0 && self.bytes.capacity() - len >= missing.min(self.read_size) {
            return;
        }
        let room = self.read_size.saturating_sub(len).max(missing);
        if self.bytes.try_reclaim(room) {
            return;
        }
        if self.resting.try_reclaim(len + room) {
            self.resting.extend_from_slice(&self.bytes);
            mem::swap(&mut self.bytes, &mut self.resting);
            self.resting.clear();
            return;
        }
        let mut fresh = BytesMut::with_capacity(len + room);
        fresh.extend_from_slice(&self.bytes);
        self.resting = mem::replace(&mut self.bytes, fresh);
        self.resting.clear();
    }

    /// How long the record is that has begun, with its length; zero when that is not known.
    fn record_len(&self) -> usize {
        let prefix = self.bytes.first_chunk::<LENGTH_PREFIX>();
        prefix.map_or(0, |prefix| LENGTH_PREFIX + usize::from(u16::from_be_bytes(*prefix)))
    }

    /// `len` bytes were read. When that was all there was room for, the next read gets room for more.
    pub(super) fn adapt(&mut self, len: usize) {
        self.used |= len > SMALL_READ;
        if self.bytes.len() == self.bytes.capacity() {
            self.read_size = (self.read_size * 8).min(LARGE_READ);
        }
    }

    /// Whether readers hold slices of both buffers, so that they should have their turn before the next read.
    pub(super) fn is_used_up(&mut self) -> bool {
        let room = self.bytes.len() + self.read_size;
        self.resting.capacity() > 0 && !self.bytes.try_reclaim(room) && !self.resting.try_reclaim(room)
    }

    /// Nothing was there to read. Most connections are idle most of the time, and then hold no buffer.
    pub(super) fn rest(&mut self) {
        if self.bytes.is_empty() && self.read_size == SMALL_READ {
            self.release();
        }
    }

    /// Whether there is memory that an idle connection would give back.
    pub(super) fn holds_memory(&self) -> bool {
        self.bytes.capacity() > 0 || self.resting.capacity() > 0
    }

    /// Gives the memory back, except for what was read and not taken off, if the connection was quiet since the last
    /// call.
    pub(super) fn release_unless_used(&mut self) {
        if !mem::take(&mut self.used) {
            self.release();
        }
    }

    fn release(&mut self) {
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
    fn a_quiet_connection_gives_everything_back() {
        let mut input = busy();
        input.bytes.clear();
        input.release_unless_used();
        assert!(input.holds_memory(), "it was used since");
        input.reserve();
        input.adapt(SMALL_READ);
        input.rest();
        assert!(input.holds_memory(), "what is large is asked for again at once, so it stays for a while");
        input.release_unless_used();
        assert_eq!((input.bytes.capacity(), input.resting.capacity()), (0, 0), "small reads are no use");
    }

    #[test]
    fn a_connection_that_never_was_busy_rests_without_memory() {
        let mut input = Input::new(BytesMut::new());
        input.reserve();
        input.bytes.extend_from_slice(&[0; 100]);
        input.adapt(100);
        input.rest();
        assert!(input.holds_memory(), "something waits");
        input.bytes.clear();
        input.rest();
        assert!(!input.holds_memory());
    }

    #[test]
    fn a_buffer_takes_the_place_of_the_other_whatever_is_left_in_it() {
        let mut input = busy();
        let (mut places, mut held) = (std::collections::BTreeSet::new(), None);
        for left in [0, 10, 60_000, 65_000, 1, 30_000, 65_536, 0] {
            input.reserve();
            input.bytes.resize(input.bytes.capacity(), 0);
            let whole = input.bytes.len() - left;
            held.replace(input.bytes.split_to(whole).freeze());
            // The prefix of a full record, which `left` is the beginning of.
            input.bytes.fill(0xff);
            places.insert(held.as_ref().map(|slice| slice.as_ptr()));
        }
        assert_eq!(places.len(), 2, "no third buffer was asked for");
    }
}
