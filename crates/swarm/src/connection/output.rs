//! Sealed bytes that wait for the socket.

use bytes::BytesMut;

/// Bytes that may wait before the session is asked for more: four full records.
const MAX_WAITING: usize = 4 * 65_537;

/// Records in the order of the wire, of which the socket has taken a part.
///
/// Whenever it has taken everything, the next record begins where the memory does. So a connection whose socket
/// keeps up seals into the same few pages again and again, which are in the core's cache.
#[derive(Default)]
pub(super) struct Output {
    bytes: BytesMut,
    taken: usize,
}

impl Output {
    /// What the socket has not taken.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }

    /// Where the next record goes, unless enough waits already.
    pub(super) fn room(&mut self) -> Option<&mut BytesMut> {
        if self.waiting().len() >= MAX_WAITING {
            return None;
        }
        if self.taken >= MAX_WAITING {
            // The socket takes bytes but never all of them: what is left moves, at most once for as much as it took.
            let waiting = self.waiting().len();
            self.bytes.copy_within(self.taken.., 0);
            self.bytes.truncate(waiting);
            self.taken = 0;
        }
        Some(&mut self.bytes)
    }

    /// The socket took `len` bytes.
    pub(super) fn advance(&mut self, len: usize) {
        self.taken += len;
        if self.is_empty() {
            self.bytes.clear();
            self.taken = 0;
        }
    }

    /// Gives the memory back when nothing waits.
    pub(super) fn release(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_in_parts_comes_in_order_and_the_memory_is_bounded() {
        let (mut output, mut sent, mut received) = (Output::default(), 0_u32, Vec::new());
        for round in 0..10_000 {
            if let Some(room) = output.room() {
                let record: Vec<u8> = (sent..sent + 1_000).flat_map(u32::to_be_bytes).collect();
                room.extend_from_slice(&record);
                sent += 1_000;
            }
            // The socket never takes everything, until the end.
            let take = (output.waiting().len() - 1).min(3_000 + round % 100);
            received.extend_from_slice(&output.waiting()[..take]);
            output.advance(take);
            assert!(output.bytes.capacity() < 4 * MAX_WAITING, "{}", output.bytes.capacity());
        }
        received.extend_from_slice(output.waiting());
        let expected: Vec<u8> = (0..sent).flat_map(u32::to_be_bytes).collect();
        assert!(received == expected);
    }

    #[test]
    fn records_begin_at_the_same_place_while_the_socket_takes_all() {
        let mut output = Output::default();
        let mut places = Vec::new();
        for _ in 0..4 {
            output.room().expect("room").extend_from_slice(&[0; 65_537]);
            places.push(output.waiting().as_ptr());
            output.advance(65_537);
        }
        assert_eq!(places[1..], [places[1]; 3]);
        output.release();
        assert_eq!(output.bytes.capacity(), 0);
    }

    #[test]
    fn a_full_output_takes_no_record() {
        let mut output = Output::default();
        while let Some(room) = output.room() {
            room.extend_from_slice(&[0; 65_537]);
        }
        assert_eq!(output.waiting().len(), MAX_WAITING);
        output.advance(1);
        assert!(output.room().is_some());
    }
}
