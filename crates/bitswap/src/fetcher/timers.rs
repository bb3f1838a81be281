//! What happens when an answer does not come.
//!
//! ```text
//!  sent ──timeout──> late: another peer is asked ──resend_after──> sent again ── ×2 ──> … ──> No
//!    ^                 │
//!    └── extended ─────┘ while the peer delivers what was asked earlier
//! ```

use std::time::{Duration, Instant};

use bowline_block::Multihash;
use bowline_identity::PeerId;

use super::{
    Fetcher, Refusal,
    outbox::Cancel,
    want::{Ask, OpenAsk},
};
use crate::WantType;

/// The least pause between two attempts, whatever the configuration says: time must pass.
const MIN_PAUSE: Duration = Duration::from_millis(1);

impl Fetcher {
    /// Lets time pass. Early or twice is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, hash, peer)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.pop_first();
            self.expire(now, peer, hash);
        }
        self.place(now);
    }

    fn expire(&mut self, now: Instant, peer: PeerId, hash: Multihash) {
        let config = self.config;
        let Some(open) = self.wants.get(&hash).and_then(|want| want.open(&peer)).copied() else {
            return;
        };
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        let delivers = known.last_answer.is_some_and(|answer| answer > open.since);
        let overtaken = known.newest_block > open.order;
        if delivers && !overtaken {
            let deadline = now + known.pace.timeout(known.outstanding, &config);
            self.set_deadline(peer, hash, OpenAsk { since: now, ..open }, deadline);
            return;
        }
        self.stats.timeouts += 1;
        known.pace.timed_out(now);
        let attempts = open.attempts + 1;
        if open.kind == WantType::Have || attempts > config.max_attempts {
            self.close(peer, hash, Cancel::Lazy);
            self.record(now, peer, hash, Ask::No(Refusal::NoAnswer));
            return;
        }
        if known.slots.suspect() {
            known.outbox.full = true;
        }
        if attempts > 1 {
            known.outbox.wants.insert(open.order, hash);
            self.stats.resends += 1;
        }
        let pause = config.resend_after.saturating_mul(1 << (attempts - 1).min(16));
        self.set_deadline(peer, hash, OpenAsk { attempts, ..open }, now + pause.max(MIN_PAUSE));
        self.settle(now, hash);
    }

    fn set_deadline(&mut self, peer: PeerId, hash: Multihash, open: OpenAsk, deadline: Instant) {
        if let Some(want) = self.wants.get_mut(&hash) {
            want.asks.insert(peer, Ask::Open(OpenAsk { deadline, ..open }));
            self.timers.insert((deadline, hash, peer));
        }
    }
}
