//! Sealed bytes that wait for the socket.

use std::time::{Duration, Instant};

use bowline_noise::MAX_PLAINTEXT;
use bowline_yamux::limits::QUANTUM;
use bytes::BytesMut;

/// The longest record with its length and its tag, in bytes.
const RECORD: usize = 65_537;

/// Records that are sealed at once while the socket takes all of them.
const MOST_RECORDS: usize = 2;

/// How long the path may need for a record, and for what waits unsent in the system, where that leaves room for a turn of
/// one stream: whatever comes next, a pong or a small request, waits for both.
const AHEAD_TIME: Duration = Duration::from_millis(5);

/// The least time that says something about the pace of a socket.
const PACE_TIME: Duration = Duration::from_millis(10);

/// What the record of a slow socket may hold, in bytes: a turn of one stream, with the header of its frame.
const SHORT_RECORD: usize = QUANTUM + 12;

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
    /// What the next record may hold, in bytes.
    record_limit: usize,
    /// When the socket was full, and what it has taken since.
    full: Option<(Instant, usize)>,
    /// More than pings went out since the memory was last looked at.
    used: bool,
}

/// What an idle connection sends, in bytes: pings and window updates.
const QUIET: usize = 1024;

impl Default for Output {
    fn default() -> Self {
        Self {
            bytes: BytesMut::new(),
            taken: 0,
            records_at_once: 1,
            record_limit: MAX_PLAINTEXT,
            full: None,
            used: false,
        }
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

    /// Where the next record goes and what it may hold, unless the socket has to take others first.
    pub(super) fn room(&mut self) -> Option<(&mut BytesMut, usize)> {
        let room = self.taken == 0 && self.bytes.len() + RECORD <= self.records_at_once * RECORD;
        room.then_some((&mut self.bytes, self.record_limit))
    }

    /// The socket took `len` bytes.
    pub(super) fn advance(&mut self, len: usize) {
        self.taken += len;
        self.used |= len > QUIET;
        if let Some((_, taken)) = &mut self.full {
            *taken += len;
        }
        if self.is_empty() {
            self.bytes.clear();
            self.taken = 0;
            if self.record_limit == MAX_PLAINTEXT {
                self.records_at_once = (2 * self.records_at_once).min(MOST_RECORDS);
            }
        }
    }

    /// The socket took not all that waits. Says what the path takes in [`AHEAD_TIME`], in bytes, when that has been seen.
    ///
    /// The socket was full before and is full again, so what it took in between is what the path took.
    pub(super) fn blocked(&mut self, now: Instant) -> Option<usize> {
        self.records_at_once = 1;
        let (since, taken) = *self.full.get_or_insert((now, 0));
        let elapsed = now.saturating_duration_since(since);
        if elapsed < PACE_TIME {
            return None;
        }
        let times = elapsed.as_micros().div_ceil(AHEAD_TIME.as_micros());
        let ahead = taken / usize::try_from(times).unwrap_or(usize::MAX);
        self.record_limit = ahead.clamp(SHORT_RECORD, MAX_PLAINTEXT);
        self.full = Some((now, 0));
        Some(ahead)
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
        while let Some((room, _)) = output.room() {
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
        let now = crate::clock::now();
        let mut output = Output::default();
        for _ in 0..3 {
            fill(&mut output);
            output.advance(output.waiting().len());
        }
        assert_eq!(fill(&mut output), 2);
        output.advance(2 * RECORD - 1);
        let _ = output.blocked(now);
        assert!(output.room().is_none(), "a byte waits");
        let _ = output.blocked(now);
        output.advance(1);
        let _ = output.blocked(now);
        assert_eq!(fill(&mut output), 1, "and it begins anew");
    }

    /// What a record may hold after a socket that was full took `bytes` in `time` and was full again.
    fn limit_at(bytes: usize, time: Duration) -> usize {
        let (mut output, now) = (Output::default(), crate::clock::now());
        let _ = output.blocked(now);
        output.room().expect("room").0.extend_from_slice(&vec![0; bytes]);
        output.advance(bytes);
        let _ = output.blocked(now + time);
        output.room().expect("room").1
    }

    #[test]
    fn a_slow_path_gets_short_records() {
        const SECOND: Duration = Duration::from_secs(1);
        assert_eq!(limit_at(1_250_000, SECOND), SHORT_RECORD, "10 Mbit/s");
        assert_eq!(limit_at(8_000_000, SECOND), 40_000, "64 Mbit/s: 5 ms");
        assert_eq!(limit_at(125_000_000, SECOND), MAX_PLAINTEXT, "1 Gbit/s");
        assert_eq!(limit_at(10, Duration::from_millis(1)), MAX_PLAINTEXT, "too short to tell");
    }

    #[test]
    fn the_rest_of_a_small_record_goes_before_the_next_one() {
        let mut output = Output::default();
        for _ in 0..3 {
            fill(&mut output);
            output.advance(output.waiting().len());
        }
        output.room().expect("room").0.extend_from_slice(&[0; 100]);
        assert!(output.room().is_some(), "for a socket that keeps up");
        output.advance(50);
        assert!(output.room().is_none());
    }

    #[test]
    fn the_first_record_joins_the_end_of_the_handshake() {
        let mut output = Output::new(BytesMut::from(&b"handshake"[..]));
        output.room().expect("room").0.extend_from_slice(b"record");
        assert_eq!(output.waiting(), b"handshakerecord");
    }

    #[test]
    fn small_records_share_the_room_of_a_full_one() {
        let mut output = Output::default();
        output.room().expect("room").0.extend_from_slice(&[0; 100]);
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
        output.room().expect("room").0.extend_from_slice(&[0; 30]);
        output.advance(30);
        output.release_unless_used();
        assert!(!output.holds_memory(), "a ping is no use");
    }
}
