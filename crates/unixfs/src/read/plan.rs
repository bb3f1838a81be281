//! Which block is asked for next.

use bowline_block::local;

use super::config::Order;
use super::error::ReadError;
use super::event::Event;
use super::walker::{Scope, State, Walker};
use super::work::{Arrived, BRANCH_RESERVE, Class, Position, Role, Want};

/// How many inner nodes are fetched ahead of their content. Each leads to dozens of blocks or more, so a
/// few keep the window full while the next one is on its way.
const BRANCHES_AHEAD: usize = 4;

impl Walker {
    /// Follows links as far as the window allows.
    pub(super) fn plan(&mut self) {
        while self.state == State::Walking
            && let Some(key) = self.choose()
        {
            if let Err(error) = self.follow(&key) {
                self.fail(error);
            }
        }
    }

    /// The position to follow next, if there is room for it.
    fn choose(&self) -> Option<Position> {
        let (first, node) = self.open.first()?;
        // What the consumer needs next is asked for whatever the window holds; otherwise late nodes could
        // stop the walk for good.
        if self.precedes_all(first) {
            return Some(first.clone());
        }
        if let Some(ahead) = self.choose_ahead() {
            return Some(ahead.clone());
        }
        let schedule = self.open.schedule(node)?;
        let fits = schedule.class == Class::Content
            && !self.is_behind_unknown(first)
            && self.has_room(first, schedule.reserved);
        fits.then(|| first.clone())
    }

    /// The inner node to fetch ahead of its content, if there is memory for it.
    fn choose_ahead(&self) -> Option<&Position> {
        let has_room = self.open.charge() <= self.config.node_bytes
            && self.held_blocks() < self.window_blocks()
            && self.held_bytes.saturating_add(BRANCH_RESERVE) <= self.most_bytes();
        if !has_room {
            return None;
        }
        self.open.next_branch(BRANCHES_AHEAD).or(self.open.next_shard())
    }

    /// Whether nothing else, also nothing that waits for its consumer, comes before `position`.
    pub(super) fn precedes_all(&self, position: &Position) -> bool {
        self.is_next(position) && self.ready.first_key_value().is_none_or(|(first, _)| position <= first)
    }

    /// Whether content before `position` is still unknown: it would find the window taken by what is behind,
    /// which cannot be consumed before it.
    fn is_behind_unknown(&self, position: &Position) -> bool {
        self.config.order == Order::Sequential && self.unknown.first().is_some_and(|first| first < position)
    }

    /// Whether the window has room for `reserved` bytes in one more block at `position`.
    ///
    /// When a node comes late, the window may be full of what is behind it; for what is in front there is
    /// a quarter more.
    fn has_room(&self, position: &Position, reserved: u64) -> bool {
        let (blocks, bytes) = (self.held_blocks(), self.held_bytes.saturating_add(reserved));
        let window = self.window_blocks();
        if blocks < window && bytes <= self.config.window_bytes {
            return true;
        }
        let extra = window / 4;
        blocks < window.saturating_add(extra)
            && bytes <= self.most_bytes()
            && self.waiting.range(..position).count() + self.ready.range(..position).count() < extra
    }

    /// What the window may hold for the sake of late nodes, in bytes.
    pub(super) fn most_bytes(&self) -> u64 {
        self.config.window_bytes.saturating_add(self.config.window_bytes / 4)
    }

    fn window_blocks(&self) -> usize {
        self.config.window_blocks.max(1)
    }

    /// Follows the link whose target is at `key`.
    fn follow(&mut self, key: &Position) -> Result<(), ReadError> {
        let Some(mut node) = self.open.remove(key) else {
            return Ok(());
        };
        let want = node.follow()?;
        node.skip_outside(&self.range);
        self.open.insert(node);
        let Some(want) = want else { return Ok(()) };

        self.links_followed += 1;
        let (cid, max) = (want.cid, self.config.max_links);
        if self.links_followed > max {
            return Err(ReadError::TooManyLinks { cid, max });
        }
        let max = self.config.max_depth;
        if key.depth() > max {
            return Err(ReadError::TooDeep { cid, max });
        }
        self.want(key.clone(), want)
    }

    fn want(&mut self, position: Position, want: Want) -> Result<(), ReadError> {
        let cid = want.cid;
        if let (Scope::Listing, Role::Entry { path, tsize }) = (self.scope, &want.role)
            && position.depth() > 0
        {
            let (path, tsize) = (path.clone(), *tsize);
            self.ready.insert(position, Event::Entry { path, cid, tsize });
            return Ok(());
        }
        if let Some(block) = local(&cid) {
            let node = Arrived::parse(&block)?;
            return self.arrive(position, want, node, block.len());
        }
        self.open.count_ahead(want.schedule.class);
        self.held_bytes = self.held_bytes.saturating_add(want.schedule.reserved);
        if want.schedule.class != Class::Content {
            self.unknown.insert(position.clone());
        }
        self.waiting.insert(position.clone(), want);
        let positions = self.wanted.entry(cid).or_default();
        if positions.is_empty() {
            self.needs.push_back(cid);
        }
        positions.push(position);
        Ok(())
    }
}
