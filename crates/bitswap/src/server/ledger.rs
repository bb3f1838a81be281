//! What one peer wants of us, and how far each want has come.
//!
//! ```text
//!              ┌──────────────────── want again ───────────────────┐
//!              v                                                    │
//!  want ──> Asked ──lookup──┬──> Missing (DONT_HAVE if asked) ──────┤
//!                           │       │ the block arrives             │
//!                           v       v                               │
//!                          Queued (block, or HAVE) <── put back ──┐ │
//!                              │ taken into a message             │ │
//!                              v                                  │ │
//!                          Sending ──── not accepted ─────────────┘ │
//!                              │ accepted by the muxer              │
//!                              v                                    │
//!                            gone ──────────────────────────────────┘
//! ```
//!
//! A cancel, a full list that lacks it, and the end of the connection remove a want from any state.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BTreeSet},
};

use bowline_block::{Cid, MAX_BLOCK, Multihash};

use super::Token;
use crate::{Presence, PresenceType, Want, WantType};

/// A CID ordered by its multihash, so that all forms of one block stand together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WantKey(pub(crate) Cid);

impl WantKey {
    pub(crate) fn hash(&self) -> Multihash {
        *self.0.hash()
    }
}

impl Ord for WantKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |key: &Self| (key.0.codec(), u64::from(key.0.version()));
        self.0.hash().cmp(other.0.hash()).then_with(|| rank(self).cmp(&rank(other)))
    }
}

impl PartialOrd for WantKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What decides how a want is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// A want-have for a block of at most this many bytes gets the block.
    pub(crate) have_replace_max: u64,
    /// Whether the peer's version knows HAVE and DONT_HAVE.
    pub(crate) presences: bool,
    /// How many presences may wait.
    pub(crate) max_presences: usize,
}

/// What became of a want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    New,
    Merged,
    /// The ledger is full.
    Refused,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    wants: BTreeMap<WantKey, Line>,
    lookup: BTreeSet<WantKey>,
    queue: BTreeSet<Queued>,
    queued_bytes: u64,
    presences: BTreeMap<WantKey, PresenceType>,
    next_seq: u64,
}

#[derive(Debug)]
struct Line {
    kind: WantType,
    priority: i32,
    send_dont_have: bool,
    seq: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Asked,
    Missing,
    Queued { size: u64, answer: Answer },
    Sending { size: u64, answer: Answer, token: Token },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Block,
    Have,
}

/// A block to send: the highest priority first, then the oldest want.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Queued {
    priority: Reverse<i32>,
    seq: u64,
    key: WantKey,
}

impl Line {
    fn queued(&self, key: WantKey) -> Queued {
        Queued { priority: Reverse(self.priority), seq: self.seq, key }
    }
}

impl Ledger {
    pub(crate) fn len(&self) -> usize {
        self.wants.len()
    }

    pub(crate) fn queued_bytes(&self) -> u64 {
        self.queued_bytes
    }

    pub(crate) fn has_lookup(&self) -> bool {
        !self.lookup.is_empty()
    }

    pub(crate) fn has_blocks(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(crate) fn has_presences(&self) -> bool {
        !self.presences.is_empty()
    }

    pub(crate) fn hashes(&self) -> BTreeSet<Multihash> {
        self.wants.keys().map(WantKey::hash).collect()
    }

    /// Whether any form of the block is wanted.
    pub(crate) fn wants_hash(&self, hash: &Multihash) -> bool {
        self.forms(hash).next().is_some()
    }

    /// Adds a want, or merges it with what is there.
    pub(crate) fn want(&mut self, want: &Want, cap: usize) -> Added {
        let key = WantKey(want.cid);
        if self.wants.contains_key(&key) {
            self.merge(key, want);
            return Added::Merged;
        }
        if self.wants.len() >= cap {
            return Added::Refused;
        }
        let seq = self.next_seq;
        self.next_seq += 1;
        let Want { kind, priority, send_dont_have, .. } = *want;
        self.wants.insert(key, Line { kind, priority, send_dont_have, seq, state: State::Asked });
        self.lookup.insert(key);
        Added::New
    }

    /// A second want for the same CID: want-block beats want-have, asking for DONT_HAVE stays asked, and the
    /// priority changes only between wants of one kind.
    fn merge(&mut self, key: WantKey, want: &Want) {
        let Some(line) = self.wants.get_mut(&key) else {
            return;
        };
        let before = line.queued(key);
        line.send_dont_have |= want.send_dont_have;
        if line.kind == want.kind {
            line.priority = want.priority;
        }
        if want.kind == WantType::Block {
            line.kind = WantType::Block;
        }
        match line.state {
            // spec: bitswap/repeat-dont-have — a repeated want is looked up and answered again.
            State::Missing => {
                line.state = State::Asked;
                self.lookup.insert(key);
            }
            State::Queued { size, answer: Answer::Have } if line.kind == WantType::Block => {
                self.presences.remove(&key);
                self.queue_block(key, size);
            }
            State::Queued { answer: Answer::Block, .. } => {
                let after = line.queued(key);
                self.queue.remove(&before);
                self.queue.insert(after);
            }
            State::Asked | State::Queued { .. } | State::Sending { .. } => {}
        }
    }

    /// Removes a want and what is queued for it. What is on its way is not recalled.
    pub(crate) fn cancel(&mut self, key: WantKey) -> bool {
        self.lookup.remove(&key);
        self.presences.remove(&key);
        let Some(line) = self.wants.remove(&key) else {
            return false;
        };
        if let State::Queued { size, answer: Answer::Block } = line.state {
            self.queue.remove(&line.queued(key));
            self.queued_bytes = self.queued_bytes.saturating_sub(size);
        }
        true
    }

    /// Removes everything that is not in `keep`, queued answers included.
    pub(crate) fn retain(&mut self, keep: &BTreeSet<WantKey>) {
        self.presences.retain(|key, _| keep.contains(key));
        let gone: Vec<_> = self.wants.keys().filter(|key| !keep.contains(key)).copied().collect();
        for key in gone {
            self.cancel(key);
        }
    }

    /// The blocks whose presence must be looked up.
    pub(crate) fn take_lookup(&mut self) -> Vec<Multihash> {
        let mut hashes: Vec<_> = std::mem::take(&mut self.lookup)
            .into_iter()
            .filter(|key| self.state(key) == Some(State::Asked))
            .map(|key| key.hash())
            .collect();
        hashes.dedup();
        hashes
    }

    /// The store's answer for a block that was looked up.
    pub(crate) fn looked_up(&mut self, hash: &Multihash, size: Option<u64>, terms: Terms) {
        for key in self.forms_in(hash, |state| state == State::Asked) {
            match size {
                Some(size) if size <= MAX_BLOCK as u64 => self.found(key, size, terms),
                _ => self.missing(key, terms),
            }
        }
    }

    /// A block that came into the store.
    ///
    /// // spec: bitswap/late-arrival
    pub(crate) fn arrived(&mut self, hash: &Multihash, size: u64, terms: Terms) {
        for key in self.forms_in(hash, |state| matches!(state, State::Asked | State::Missing)) {
            self.found(key, size, terms);
        }
    }

    /// Queues the block, or HAVE for it.
    ///
    /// // spec: bitswap/want-have-present
    pub(crate) fn found(&mut self, key: WantKey, size: u64, terms: Terms) {
        let Some(line) = self.wants.get_mut(&key) else {
            return;
        };
        // A block or HAVE says more than a DONT_HAVE that is still waiting.
        self.presences.remove(&key);
        if line.kind == WantType::Block || size <= terms.have_replace_max || !terms.presences {
            self.queue_block(key, size);
        } else {
            line.state = State::Queued { size, answer: Answer::Have };
            self.presences.insert(key, PresenceType::Have);
        }
    }

    fn queue_block(&mut self, key: WantKey, size: u64) {
        let Some(line) = self.wants.get_mut(&key) else {
            return;
        };
        line.state = State::Queued { size, answer: Answer::Block };
        if self.queue.insert(line.queued(key)) {
            self.queued_bytes += size;
        }
    }

    /// Keeps the want and says DONT_HAVE if the peer asked for that.
    fn missing(&mut self, key: WantKey, terms: Terms) {
        let Some(line) = self.wants.get_mut(&key) else {
            return;
        };
        line.state = State::Missing;
        // spec: bitswap/dont-have-only-if-asked
        if line.send_dont_have {
            self.say_dont_have(key, terms);
        }
    }

    /// Queues a DONT_HAVE. False when the version has none or too many presences wait already.
    pub(crate) fn say_dont_have(&mut self, key: WantKey, terms: Terms) -> bool {
        if !terms.presences || self.presences.len() >= terms.max_presences {
            return false;
        }
        self.presences.insert(key, PresenceType::DontHave);
        true
    }

    /// The size of the block that is sent next.
    pub(crate) fn next_size(&self) -> Option<u64> {
        let first = self.queue.first()?;
        match self.wants.get(&first.key)?.state {
            State::Queued { size, .. } => Some(size),
            _ => None,
        }
    }

    /// Takes blocks worth at most `budget` bytes into a message, and at least one.
    pub(crate) fn take_blocks(&mut self, budget: u64, token: Token) -> Vec<(WantKey, u64)> {
        let mut taken: Vec<(WantKey, u64)> = Vec::new();
        let mut total = 0;
        while let (Some(first), Some(size)) = (self.queue.first().copied(), self.next_size()) {
            if !taken.is_empty() && total + size > budget {
                break;
            }
            self.queue.pop_first();
            self.queued_bytes = self.queued_bytes.saturating_sub(size);
            self.set(first.key, State::Sending { size, answer: Answer::Block, token });
            total += size;
            taken.push((first.key, size));
        }
        taken
    }

    /// Takes up to `max` presences into a message.
    pub(crate) fn take_presences(&mut self, max: usize, token: Token) -> Vec<Presence> {
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some((key, kind)) = self.presences.pop_first()
        {
            if let (PresenceType::Have, Some(State::Queued { size, answer })) = (kind, self.state(&key)) {
                self.set(key, State::Sending { size, answer, token });
            }
            taken.push(Presence { cid: key.0, kind });
        }
        taken
    }

    /// The size of the block if the want is still on its way in this message.
    pub(crate) fn sending(&self, key: &WantKey, token: Token) -> Option<u64> {
        match self.state(key)? {
            State::Sending { size, token: current, .. } if current == token => Some(size),
            _ => None,
        }
    }

    /// The peer's muxer has the answer: the want is satisfied, unless more was asked for meanwhile.
    pub(crate) fn sent(&mut self, key: WantKey, token: Token) {
        let Some(line) = self.wants.get(&key) else { return };
        match (line.state, line.kind) {
            (State::Sending { token: current, .. }, _) if current != token => {}
            (State::Sending { size, answer: Answer::Have, .. }, WantType::Block) => {
                self.queue_block(key, size);
            }
            (State::Sending { .. }, _) => {
                self.wants.remove(&key);
            }
            (State::Asked | State::Missing | State::Queued { .. }, _) => {}
        }
    }

    /// The answer did not go out: the want waits again.
    pub(crate) fn put_back(&mut self, key: WantKey, token: Token) {
        let Some(line) = self.wants.get_mut(&key) else {
            return;
        };
        let State::Sending { size, answer, token: current } = line.state else {
            return;
        };
        if current != token {
            return;
        }
        if answer == Answer::Block || line.kind == WantType::Block {
            self.queue_block(key, size);
        } else {
            line.state = State::Queued { size, answer };
            self.presences.insert(key, PresenceType::Have);
        }
    }

    /// A DONT_HAVE did not go out: it waits again unless something better is on its way. A want that was
    /// refused has no line here and keeps its DONT_HAVE too.
    pub(crate) fn put_back_dont_have(&mut self, key: WantKey, terms: Terms) {
        if matches!(self.state(&key), None | Some(State::Missing)) {
            self.say_dont_have(key, terms);
        }
    }

    /// The block was gone when it was to be read.
    pub(crate) fn lost(&mut self, key: WantKey, token: Token, terms: Terms) {
        if self.sending(&key, token).is_some() {
            self.missing(key, terms);
        }
    }

    /// The peer turned out to speak a version without presences: HAVE becomes the block.
    pub(crate) fn drop_presences(&mut self) {
        for (key, _) in std::mem::take(&mut self.presences) {
            if let Some(State::Queued { size, answer: Answer::Have }) = self.state(&key) {
                self.queue_block(key, size);
            }
        }
    }

    fn state(&self, key: &WantKey) -> Option<State> {
        self.wants.get(key).map(|line| line.state)
    }

    fn set(&mut self, key: WantKey, state: State) {
        if let Some(line) = self.wants.get_mut(&key) {
            line.state = state;
        }
    }

    fn forms(&self, hash: &Multihash) -> impl Iterator<Item = (&WantKey, &Line)> {
        let hash = *hash;
        // No form sorts before version 1 with codec 0.
        self.wants.range(WantKey(Cid::new_v1(0, hash))..).take_while(move |(key, _)| *key.0.hash() == hash)
    }

    fn forms_in(&self, hash: &Multihash, state: impl Fn(State) -> bool) -> Vec<WantKey> {
        self.forms(hash).filter(|(_, line)| state(line.state)).map(|(key, _)| *key).collect()
    }
}
