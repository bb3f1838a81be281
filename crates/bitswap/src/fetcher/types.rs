//! What goes into a [`Fetcher`](super::Fetcher) and comes out of it.

use std::{collections::BTreeSet, time::Duration};

use bowline_block::{Cid, VerifiedBlock};
use bowline_identity::PeerId;

/// How a [`Fetcher`](super::Fetcher) fetches. Every combination is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetcherConfig {
    /// The most wants open at one peer; default 512, and never more than [`MAX_WANTS_PER_PEER`], because
    /// servers silently drop what exceeds their list.
    pub max_wants_per_peer: usize,
    /// Bytes of blocks asked of a peer before its first answers are in; default 1 MiB. Doubles with each
    /// window delivered.
    pub initial_window_bytes: u64,
    /// The most bytes of blocks asked of a peer and not yet received; default 16 MiB: a gigabit at 130 ms.
    pub max_window_bytes: u64,
    /// The length assumed of a block when nothing is known; default 256 KiB, what importers make.
    pub expected_block_bytes: u64,
    /// How long an answer may take at least before another peer is asked; default 1 s. Longer where the
    /// round trip and the bytes in front of the block say so.
    pub min_timeout: Duration,
    /// How long an answer may take at most; default 30 s.
    pub max_timeout: Duration,
    /// How long after an unanswered want the same peer is asked again; default 5 s, because Helia ignores
    /// a repeated want for that long. Doubles each time.
    pub resend_after: Duration,
    /// After how many unanswered wants a peer counts as not having the block; default 3.
    pub max_attempts: u32,
    /// How many wrong blocks exclude a peer from a fetch; default 3.
    pub max_lies: u32,
    /// How many peers are asked at once whether they have a block that the first peer lacks; default 8.
    pub probe_fanout: usize,
}

/// The highest value that takes effect for [`FetcherConfig::max_wants_per_peer`]. boxo, Helia and beetswap
/// keep 1,024 wants of a peer.
pub const MAX_WANTS_PER_PEER: usize = 1000;

impl Default for FetcherConfig {
    fn default() -> Self {
        Self {
            max_wants_per_peer: 512,
            initial_window_bytes: 1024 * 1024,
            max_window_bytes: 16 * 1024 * 1024,
            expected_block_bytes: 256 * 1024,
            min_timeout: Duration::from_secs(1),
            max_timeout: Duration::from_secs(30),
            resend_after: Duration::from_secs(5),
            max_attempts: 3,
            max_lies: 3,
            probe_fanout: 8,
        }
    }
}

/// Names one fetch: a set of wants that belong together, such as the blocks of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FetchId(pub(crate) u64);

/// Which peers a fetch may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sources {
    /// Every connected peer that speaks Bitswap.
    Any,
    /// These, when they are connected. Nobody else learns what is fetched.
    Only(BTreeSet<PeerId>),
}

/// What a [`Fetcher`](super::Fetcher) has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A wanted block is there. The want is over.
    Block {
        /// Who wanted it.
        fetches: Vec<FetchId>,
        /// The block under the CID by which it was wanted.
        block: VerifiedBlock,
        /// Who sent it; `None` for a block that its CID alone names.
        peer: Option<PeerId>,
    },
    /// No peer of the fetches is left that could supply the block. The want is over.
    Missing {
        /// Who wanted it.
        fetches: Vec<FetchId>,
        /// The CID by which it was wanted.
        cid: Cid,
        /// What the last hope failed on.
        reason: MissingReason,
        /// What each peer said, or failed to.
        answers: Vec<(PeerId, Refusal)>,
    },
    /// A fetch has wants but no peer to ask. They wait for one.
    Stalled {
        /// The fetch that waits.
        fetch: FetchId,
    },
}

/// Why a block cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingReason {
    /// At least one peer said that it lacks the block, and no other has it.
    DontHave,
    /// No peer said no, but at least one never answered.
    NoAnswer,
    /// Only peers that sent wrong blocks are left.
    Lied,
    /// Only peers that do not speak Bitswap are left.
    Refused,
}

/// How one peer failed to supply a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// It said DONT_HAVE.
    DontHave,
    /// It did not answer in time, and not when asked again.
    NoAnswer,
    /// It sent something else.
    Lied,
}

/// What became of a received block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// It was wanted: an [`Event::Block`] follows.
    Wanted,
    /// It was wanted once and is not any more. Dropped.
    Duplicate,
    /// Nobody asked for it. Dropped, and counted against the peer if the peer owed something else.
    Unwanted,
}

/// What a [`Fetcher`](super::Fetcher) has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetcherStats {
    /// Wanted blocks received.
    pub blocks: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Blocks received that were wanted once.
    pub duplicate_blocks: u64,
    /// Bytes of those.
    pub duplicate_bytes: u64,
    /// Blocks received that were never wanted.
    pub unwanted_blocks: u64,
    /// Bytes of those.
    pub unwanted_bytes: u64,
    /// Blocks that could not be verified at all.
    pub bad_blocks: u64,
    /// Wantlist messages handed out.
    pub messages_sent: u64,
    /// Messages received.
    pub messages_received: u64,
    /// Want-blocks handed out.
    pub wants_sent: u64,
    /// Want-haves handed out.
    pub want_haves_sent: u64,
    /// Cancels handed out.
    pub cancels_sent: u64,
    /// HAVE received.
    pub haves: u64,
    /// DONT_HAVE received.
    pub dont_haves: u64,
    /// Wants that a peer did not answer in time.
    pub timeouts: u64,
    /// Wants sent to a second peer while the first still owed an answer.
    pub hedges: u64,
    /// Bytes of the blocks among them that may come twice, the first peer having been heard a moment ago.
    /// Kept below a twentieth of [`bytes`](Self::bytes), plus 2 MiB.
    pub hedged_bytes: u64,
    /// Wants sent to the same peer again.
    pub resends: u64,
}

/// What is known of one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchedPeer {
    /// Wanted blocks that it delivered.
    pub blocks: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Blocks that it sent although somebody else had already.
    pub duplicate_blocks: u64,
    /// Blocks that were wrong or never asked for.
    pub bad_blocks: u64,
    /// HAVE received from it.
    pub haves: u64,
    /// DONT_HAVE received from it.
    pub dont_haves: u64,
    /// Wants open at it.
    pub open_wants: usize,
    /// Bytes of blocks asked of it and not received.
    pub outstanding_bytes: u64,
    /// How long an unhurried answer takes.
    pub round_trip: Option<Duration>,
    /// How many bytes of blocks per second it delivers.
    pub goodput: Option<u64>,
}

/// What one fetch has got so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchStats {
    /// Blocks delivered to it.
    pub blocks: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Wants that are not over.
    pub open_wants: usize,
}
