//! One connected peer, as the server sees it.

use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use bowline_block::Multihash;
use bytes::Bytes;

use super::{
    Token,
    ledger::{Ledger, WantKey},
};
use crate::Version;

/// The first pause after a reply stream failed; doubled with each failure in a row.
const RETRY_FIRST: Duration = Duration::from_millis(100);

/// The longest such pause.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// What may be outstanding at a peer whose muxer has not accepted anything yet.
const INITIAL_WINDOW: u64 = 256 * 1024;

/// How many messages may be handed out for one peer and not yet reported as accepted. Bytes are bounded
/// apart from this; the count bounds messages of presences.
const MAX_UNCONFIRMED: usize = 8;

#[derive(Debug)]
pub(crate) struct Partner {
    pub(crate) ledger: Ledger,
    pub(crate) reply: Reply,
    /// Failures of the reply stream since something was last accepted.
    failures: u32,
    /// Blocks read and not yet in a message.
    pub(crate) loaded: VecDeque<Loaded>,
    /// Loads and messages under way.
    pub(crate) tokens: BTreeSet<Token>,
    /// Messages handed out and not yet accepted.
    pub(crate) unconfirmed: usize,
    /// Bytes of blocks read, or being read, and not yet accepted.
    pub(crate) outstanding: u64,
    /// What may be outstanding, as far as the peer has shown that it reads.
    pub(crate) window: u64,
    /// When the muxer last took bytes, or first had some to take.
    pub(crate) last_progress: Instant,
    /// Bytes that the peer may still send in its turn.
    pub(crate) deficit: u64,
    pub(crate) queued_in: QueuedIn,
    pub(crate) blocks_sent: u64,
    pub(crate) bytes_sent: u64,
}

/// ```text
///   Closed ──something to say──> Opening ──> Open(version)
///     ^                             │            │
///     └──── Waiting(until) <────────┴── failed ──┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Closed,
    Opening,
    Open(Version),
    Waiting(Instant),
}

/// The server's queues in which the peer stands. Each holds it once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct QueuedIn {
    pub(crate) lookups: bool,
    pub(crate) looking: bool,
    pub(crate) ring: bool,
    pub(crate) ready: bool,
}

#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) token: Token,
    pub(crate) blocks: Vec<(WantKey, Bytes)>,
}

impl Partner {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            ledger: Ledger::default(),
            reply: Reply::Closed,
            failures: 0,
            loaded: VecDeque::new(),
            tokens: BTreeSet::new(),
            unconfirmed: 0,
            outstanding: 0,
            window: INITIAL_WINDOW,
            last_progress: now,
            deficit: 0,
            queued_in: QueuedIn::default(),
            blocks_sent: 0,
            bytes_sent: 0,
        }
    }

    pub(crate) fn version(&self) -> Option<Version> {
        match self.reply {
            Reply::Open(version) => Some(version),
            Reply::Closed | Reply::Opening | Reply::Waiting(_) => None,
        }
    }

    /// Whether anything waits for the reply stream.
    pub(crate) fn has_answers(&self) -> bool {
        self.ledger.has_blocks() || self.ledger.has_presences() || !self.loaded.is_empty()
    }

    /// Whether a message can be made right now.
    pub(crate) fn is_ready(&self) -> bool {
        self.version().is_some()
            && self.unconfirmed < MAX_UNCONFIRMED
            && (self.ledger.has_presences() || !self.loaded.is_empty())
    }

    /// Whether a lookup can be handed out: one at a time, so that a flood of wants waits at its sender.
    pub(crate) fn is_curious(&self) -> bool {
        self.ledger.has_lookup() && !self.queued_in.looking
    }

    /// A whole message with so many bytes of blocks was accepted.
    pub(crate) fn accepted(&mut self, now: Instant, bytes: u64) {
        self.progressed(now);
        if bytes > 0 {
            self.window = self.window.saturating_mul(2);
        }
    }

    /// Something was accepted: the next failure is the first again.
    pub(crate) fn progressed(&mut self, now: Instant) {
        self.failures = 0;
        self.last_progress = now;
    }

    /// The reply stream is gone. Waits longer each time, unless the stream was idle: Helia resets those
    /// after ten seconds as a matter of routine.
    pub(crate) fn failed(&mut self, now: Instant) {
        match self.reply {
            Reply::Open(_) if self.unconfirmed == 0 => {
                self.reply = Reply::Closed;
                return;
            }
            Reply::Closed | Reply::Waiting(_) => return,
            Reply::Open(_) | Reply::Opening => {}
        }
        let pause = RETRY_FIRST.saturating_mul(1 << self.failures.min(16)).min(RETRY_MAX);
        self.failures = self.failures.saturating_add(1);
        self.window = INITIAL_WINDOW;
        self.reply = Reply::Waiting(now + pause);
    }

    /// When something must happen without an input.
    pub(crate) fn deadline(&self, stall_timeout: Duration) -> Option<Instant> {
        match self.reply {
            Reply::Waiting(until) => Some(until),
            Reply::Open(_) if self.unconfirmed > 0 => Some(self.last_progress + stall_timeout),
            Reply::Open(_) | Reply::Closed | Reply::Opening => None,
        }
    }
}

/// A load or a message under way.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) peer: bowline_identity::PeerId,
    pub(crate) stage: Stage,
    /// The wants that it answers.
    pub(crate) keys: Vec<WantKey>,
    /// The wants that it answers with DONT_HAVE.
    pub(crate) dont_haves: Vec<WantKey>,
    /// Bytes of blocks, as charged to the peer.
    pub(crate) bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Loading,
    Loaded,
    Sent { blocks: u64, haves: u64 },
}

/// The blocks that must be read from the store; the others are known by their CID.
pub(crate) fn hashes_to_load(keys: &[WantKey]) -> Vec<Multihash> {
    let stored = keys.iter().filter(|key| bowline_block::local(&key.0).is_none());
    let hashes: BTreeSet<_> = stored.map(WantKey::hash).collect();
    hashes.into_iter().collect()
}
