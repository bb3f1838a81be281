//! Where a name belongs in a sharded directory.
//!
//! ```text
//!   "470.txt" ── murmur3 ──> 00 6E 88 DF …        fan-out 256: 8 bits a level
//!                            │  │
//!              root shard: slot 00   "00"  ──> child shard: slot 6E   "6E470.txt" ──> file
//! ```
//!
//! A slot with one entry holds it, named by the slot in upper-case hex and the name; a slot with more holds
//! a child shard, named by the slot alone, which goes on with the next bits of the hash.

/// Multicodec code of murmur3-x64-64, the one hash that spreads names.
pub(crate) const MURMUR3_X64_64: u64 = 0x22;

/// The fan-out that every writer uses.
pub(crate) const WRITE_FANOUT: u64 = 256;

/// How many slots each shard has: a power of two from 8 to 1024.
///
/// Without an upper bound one small block can ask its reader for gigabytes of slots (CVE-2023-23625).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fanout {
    bits: u32,
}

impl Fanout {
    /// The fan-out that a shard declares, when it is acceptable.
    pub(crate) fn new(slots: u64) -> Option<Self> {
        let acceptable = slots.is_power_of_two() && (8..=1024).contains(&slots);
        acceptable.then(|| Self { bits: slots.trailing_zeros() })
    }

    /// The number of slots.
    pub fn slots(self) -> u32 {
        1 << self.bits
    }

    /// How many hex digits of a link's name are its slot.
    pub(crate) fn width(self) -> usize {
        self.bits.div_ceil(4) as usize
    }

    /// The slot that the name of a link starts with, and where the name of the entry begins.
    pub(crate) fn split_name(self, name: &[u8]) -> Option<(u32, usize)> {
        let digits = name.get(..self.width())?;
        let mut slot = 0;
        for digit in digits {
            // Writers use upper case; accepting both would give one slot two names.
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'A'..=b'F' => digit - b'A' + 10,
                _ => return None,
            };
            slot = slot << 4 | u32::from(value);
        }
        (slot < self.slots()).then_some((slot, self.width()))
    }

    /// The first part of the name of the link in `slot`.
    pub(crate) fn prefix(self, slot: u32) -> String {
        format!("{slot:0width$X}", width = self.width())
    }
}

/// The slots on the way from the root shard: that many leading bits of the hash of every name below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trail {
    bits: u64,
    consumed: u32,
}

impl Trail {
    /// The trail of the shard in `slot`, or `None` when the hash has no bits left to go deeper.
    pub(crate) fn descend(self, fanout: Fanout, slot: u32) -> Option<Self> {
        let consumed = self.consumed + fanout.bits;
        (consumed <= u64::BITS).then(|| Self { bits: self.bits << fanout.bits | u64::from(slot), consumed })
    }

    /// The slot of a name in the shard at the end of this trail, or `None` when no bits are left.
    pub(crate) fn slot(self, fanout: Fanout, hash: u64) -> Option<u32> {
        let consumed = self.consumed + fanout.bits;
        let shift = u64::BITS.checked_sub(consumed)?;
        let mask = u64::from(fanout.slots()) - 1;
        u32::try_from((hash >> shift) & mask).ok()
    }

    /// Whether a name with this hash belongs below this trail.
    pub(crate) fn leads_to(self, hash: u64) -> bool {
        let shift = u64::BITS - self.consumed;
        hash.checked_shr(shift).unwrap_or(0) == self.bits
    }
}

/// The hash that spreads names: the first 64 bits of MurmurHash3 x64-128.
pub(crate) fn hash_name(mut name: &[u8]) -> u64 {
    let hash = murmur3::murmur3_x64_128(&mut name, 0).expect("reading from memory cannot fail");
    let first_word = hash & u128::from(u64::MAX);
    u64::try_from(first_word).expect("masked to 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_hash_of_470_txt() {
        assert_eq!(hash_name(b"470.txt"), 0x006e_88df_5847_e67c);
        let fanout = Fanout::new(256).unwrap();
        let root = Trail::default();
        assert_eq!(root.slot(fanout, hash_name(b"470.txt")), Some(0x00));
        let child = root.descend(fanout, 0).unwrap();
        assert_eq!(child.slot(fanout, hash_name(b"470.txt")), Some(0x6e));
        assert!(child.leads_to(hash_name(b"470.txt")));
        assert!(!root.descend(fanout, 1).unwrap().leads_to(hash_name(b"470.txt")));
    }

    #[test]
    fn fan_out_is_a_power_of_two_from_8_to_1024() {
        for slots in [8, 16, 256, 1024] {
            assert_eq!(u64::from(Fanout::new(slots).unwrap().slots()), slots);
        }
        for slots in [0, 1, 2, 4, 7, 12, 255, 2048, 1 << 40, u64::MAX] {
            assert_eq!(Fanout::new(slots), None, "{slots}");
        }
    }

    #[test]
    fn bits_run_out_at_the_end_of_the_hash() {
        let fanout = Fanout::new(1024).unwrap();
        let mut trail = Trail::default();
        for _ in 0..6 {
            assert!(trail.slot(fanout, u64::MAX).is_some());
            trail = trail.descend(fanout, 1023).unwrap();
        }
        assert!(trail.leads_to(u64::MAX));
        assert_eq!(trail.slot(fanout, u64::MAX), None);
        assert_eq!(trail.descend(fanout, 0), None);

        let mut trail = Trail::default();
        for _ in 0..8 {
            trail = trail.descend(Fanout::new(256).unwrap(), 0xab).unwrap();
        }
        assert!(trail.leads_to(0xabab_abab_abab_abab));
        assert_eq!(trail.slot(Fanout::new(256).unwrap(), 0), None);
    }

    #[test]
    fn link_names_split_into_slot_and_name() {
        let fanout = Fanout::new(256).unwrap();
        assert_eq!(fanout.split_name(b"6E470.txt"), Some((0x6e, 2)));
        assert_eq!(fanout.split_name(b"00"), Some((0, 2)));
        for name in [&b""[..], b"6", b"6e470.txt", b"+1a", b"G0"] {
            assert_eq!(fanout.split_name(name), None, "{name:?}");
        }
        assert_eq!(fanout.prefix(0x6e), "6E");
        let wide = Fanout::new(1024).unwrap();
        assert_eq!(wide.prefix(10), "00A");
        assert_eq!(wide.split_name(b"400x"), None);
        assert_eq!(Fanout::new(8).unwrap().prefix(7), "7");
    }
}
