//! Two nodes and the links between them.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::{Arrival, Clock, Link, LinkConfig, Rng, earliest};

/// What a [`Pair`] needs of a core: the machine contract, seen from the wire.
pub trait Node {
    /// Something arrived.
    fn handle_arrival(&mut self, now: Instant, arrival: Arrival);

    /// A deadline has passed. All of its work is done in one call; calls before a deadline are no-ops.
    fn handle_timeout(&mut self, now: Instant);

    /// The next bytes to send.
    fn poll_transmit(&mut self, now: Instant) -> Option<Bytes>;

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Whether the sending side is finished, asked once nothing is left to send.
    fn is_finished(&self) -> bool {
        false
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The condition came true.
    Done,
    /// Nothing is under way and no deadline is set: nothing will ever happen again.
    Idle,
    /// The time was up.
    TimedOut,
}

/// Two nodes, a link each way, and the time.
#[derive(Debug)]
pub struct Pair<L, R> {
    /// The time.
    pub clock: Clock,
    /// One node.
    pub left: L,
    /// The other node.
    pub right: R,
    /// From left to right.
    pub rightward: Link,
    /// From right to left.
    pub leftward: Link,
}

impl<L: Node, R: Node> Pair<L, R> {
    /// Joins two nodes, which were made with the time of `clock`, by links that behave as `config` says
    /// and split by `seed`.
    pub fn new(clock: Clock, left: L, right: R, config: LinkConfig, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let rightward = Link::new(config, rng.next_u64());
        let leftward = Link::new(config, rng.next_u64());
        Self { clock, left, right, rightward, leftward }
    }

    /// Moves what is due now; when nothing is, jumps to the earliest deadline and lets it pass. False when
    /// there is none.
    pub fn step(&mut self) -> bool {
        if self.exchange() {
            return true;
        }
        let now = self.clock.now();
        let links = [self.rightward.poll_timeout(), self.leftward.poll_timeout()];
        let nodes = [self.left.poll_timeout(), self.right.poll_timeout()];
        let Some(next) = earliest(links.into_iter().chain(nodes)) else {
            return false;
        };
        self.clock.advance_to(next);
        for (due, node) in nodes.iter().zip([&mut self.left as &mut dyn Node, &mut self.right]) {
            if due.is_some_and(|due| due <= self.clock.now()) {
                node.handle_timeout(self.clock.now());
            }
        }
        // A node whose deadline does not move would stop the time.
        let stuck = self.clock.now() == now && !self.exchange() && earliest(self.deadlines()) == Some(next);
        assert!(!stuck, "a deadline at {:?} stays after handle_timeout", self.clock.elapsed());
        true
    }

    /// Steps until `done`, or nothing can happen any more, or `limit` of virtual time has passed.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> Outcome {
        let end = self.clock.now() + limit;
        loop {
            if done(self) {
                return Outcome::Done;
            }
            if self.clock.now() > end {
                return Outcome::TimedOut;
            }
            if !self.step() {
                return Outcome::Idle;
            }
        }
    }

    fn deadlines(&self) -> [Option<Instant>; 4] {
        let links = [self.rightward.poll_timeout(), self.leftward.poll_timeout()];
        [links[0], links[1], self.left.poll_timeout(), self.right.poll_timeout()]
    }

    /// Takes what the nodes send and gives them what has arrived. False when there was nothing.
    fn exchange(&mut self) -> bool {
        let now = self.clock.now();
        let sent_right = transmit(now, &mut self.left, &mut self.rightward);
        let sent_left = transmit(now, &mut self.right, &mut self.leftward);
        let arrived_right = deliver(now, &mut self.rightward, &mut self.right);
        let arrived_left = deliver(now, &mut self.leftward, &mut self.left);
        sent_right || sent_left || arrived_right || arrived_left
    }
}

fn transmit(now: Instant, node: &mut dyn Node, link: &mut Link) -> bool {
    let mut any = false;
    while let Some(bytes) = node.poll_transmit(now) {
        link.send(now, bytes);
        any = true;
    }
    if node.is_finished() {
        link.finish(now);
    }
    any
}

fn deliver(now: Instant, link: &mut Link, node: &mut dyn Node) -> bool {
    let mut any = false;
    while let Some(arrival) = link.poll_arrival(now) {
        node.handle_arrival(now, arrival);
        any = true;
    }
    any
}
