//! Sealed bytes that wait for the socket.

use bytes::BytesMut;

/// The longest record with its length and its tag, in bytes.
const RECORD: usize = 65_537;

/// Records that are sealed at once while the socket takes all of them.
const MOST_RECORDS: usize = 2;

/// Records in the order of the wire, of which the socket has taken a part.
///
/// Records are sealed when everything before them is gone, several at once for a socket that keeps up and one for
/// one that does not: what is sealed cannot be overtaken any more, by no control frame and no small request.
///
/// The next record begins where the memory does. So a busy connection seals into the same few pages again and again,
/// which are in the core's cache.
pub(super) struct Output {
    bytes: BytesMut,
    taken: usize,
    records_at_once: usize,
    /// More than pings went out since the memory was last looked at.
    used: bool,
}

/// What an idle connection sends, in bytes: pings and window updates.
const QUIET: usize = 1024;

impl Default for Output {
    fn default() -> Self {
        Self { bytes: BytesMut::new(), taken: 0, records_at_once: 1, used: false }
    }
}

impl Output {
    /// Begins with the end of the handshake, which the first records join.
    pub(super) fn new(handshake: BytesMut) -> Self {
        Self { bytes: handshake, records_at_once: MOST_RECORDS, ..Self::default() }
    }

    /// What the socket has not taken.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }

    /// Where the next record goes, unless the socket has to take others first.
    pub(super) fn room(&mut self) -> Option<&mut BytesMut> {
        let room = self.taken == 0 && self.bytes.len() + RECORD <= self.records_at_once * RECORD;
        room.then_some(&mut self.bytes)
    }

    /// The socket took `len` bytes.
    pub(super) fn advance(&mut self, len: usize) {
        self.taken += len;
        self.used |= len > QUIET;
        if self.is_empty() {
            self.bytes.clear();
            self.taken = 0;
            self.records_at_once = (2 * self.records_at_once).min(MOST_RECORDS);
        }
    }

    /// The socket took not all that waits.
    pub(super) fn blocked(&mut self) {
        self.records_at_once = 1;
    }

    /// Whether there is memory that an idle connection would give back.
    pub(super) fn holds_memory(&self) -> bool {
        self.bytes.capacity() > 0
    }

    /// Gives the memory back when nothing waits, and nothing but pings went out since the last call.
    pub(super) fn release_unless_used(&mut self) {
        let used = std::mem::take(&mut self.used);
        if !used && self.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seals as many full records as there is room for.
    fn fill(output: &mut Output) -> usize {
        let mut records = 0;
        while let Some(room) = output.room() {
            room.extend_from_slice(&[0; RECORD]);
            records += 1;
        }
        records
    }

    #[test]
    fn a_socket_that_keeps_up_gets_more_records_at_once() {
        let mut output = Output::default();
        let batches = [(); 5].map(|()| {
            let records = fill(&mut output);
            output.advance(output.waiting().len());
            records
        });
        assert_eq!(batches, [1, 2, 2, 2, 2]);
    }

    #[test]
    fn while_the_socket_has_not_taken_everything_nothing_more_is_sealed() {
        let mut output = Output::default();
        for _ in 0..3 {
            fill(&mut output);
            output.advance(output.waiting().len());
        }
        assert_eq!(fill(&mut output), 2);
        output.advance(2 * RECORD - 1);
        output.blocked();
        assert!(output.room().is_none(), "a byte waits");
        output.blocked();
        output.advance(1);
        output.blocked();
        assert_eq!(fill(&mut output), 1, "and it begins anew");
    }

    #[test]
    fn the_rest_of_a_small_record_goes_before_the_next_one() {
        let mut output = Output::default();
        for _ in 0..3 {
            fill(&mut output);
            output.advance(output.waiting().len());
        }
        output.room().expect("room").extend_from_slice(&[0; 100]);
        assert!(output.room().is_some(), "for a socket that keeps up");
        output.advance(50);
        assert!(output.room().is_none());
    }

    #[test]
    fn the_first_record_joins_the_end_of_the_handshake() {
        let mut output = Output::new(BytesMut::from(&b"handshake"[..]));
        output.room().expect("room").extend_from_slice(b"record");
        assert_eq!(output.waiting(), b"handshakerecord");
    }

    #[test]
    fn small_records_share_the_room_of_a_full_one() {
        let mut output = Output::default();
        output.room().expect("room").extend_from_slice(&[0; 100]);
        assert!(output.room().is_none(), "a full record might not fit any more");
    }

    #[test]
    fn records_begin_at_the_same_place_and_the_memory_goes_with_release() {
        let mut output = Output::default();
        let places = [(); 6].map(|()| {
            fill(&mut output);
            let place = output.waiting().as_ptr();
            output.advance(output.waiting().len());
            place
        });
        assert_eq!(places[3..], [places[3]; 3]);
        output.release_unless_used();
        assert!(output.bytes.capacity() > 0, "it was used since");
        output.room().expect("room").extend_from_slice(&[0; 30]);
        output.advance(30);
        output.release_unless_used();
        assert!(!output.holds_memory(), "a ping is no use");
    }
}
