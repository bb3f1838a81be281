//! What an observer is shown of an upgrade, and the queue that it is shown from.

use std::{collections::VecDeque, time::Instant};

use bowline_noise::Handshake;
use bytes::{Bytes, BytesMut};

use crate::{Direction, Layer, Tap};

/// What is to be sent, in order, each with the layer that an observer sees it on.
pub(crate) type Outgoing = VecDeque<(Layer, BytesMut)>;

/// The observer, and what it needs to be told the truth.
pub(crate) struct Observation {
    tap: Option<Box<dyn Tap>>,
    now: Instant,
    /// Bytes at the front of the input that were observed and not taken.
    seen: usize,
}

impl Observation {
    pub(crate) fn new(now: Instant) -> Self {
        Self { tap: None, now, seen: 0 }
    }

    pub(crate) fn set_tap(&mut self, tap: Option<Box<dyn Tap>>) {
        self.tap = tap;
    }

    pub(crate) fn take_tap(&mut self) -> Option<Box<dyn Tap>> {
        self.tap.take()
    }

    pub(crate) fn observe(&mut self, direction: Direction, layer: Layer, bytes: &[u8]) {
        if let Some(tap) = &mut self.tap {
            tap.observe(self.now, direction, layer, bytes);
        }
    }

    /// Shows what `input` has that was not there before.
    pub(crate) fn arrived(&mut self, now: Instant, input: &[u8]) {
        self.now = now;
        let fresh = input.get(self.seen..).unwrap_or_default();
        if !fresh.is_empty() {
            self.observe(Direction::Received, Layer::Socket, fresh);
        }
    }

    /// Takes note of what stays in the input.
    pub(crate) fn left(&mut self, input: &[u8]) {
        self.seen = input.len();
    }

    /// Remembers the input, when somebody wants to see what is taken off it.
    pub(crate) fn before(&self, input: &BytesMut) -> Option<BytesMut> {
        self.tap.as_ref().map(|_| input.clone())
    }

    /// Shows what was taken off the input.
    pub(crate) fn taken(&mut self, layer: Layer, before: Option<BytesMut>, input: &[u8]) {
        let Some(before) = before else { return };
        let taken = before.len().saturating_sub(input.len());
        if taken > 0 {
            self.observe(Direction::Received, layer, &before[..taken]);
        }
    }
}

pub(crate) fn queue_messages(outgoing: &mut Outgoing, mut poll: impl FnMut() -> Option<Bytes>) {
    while let Some(message) = poll() {
        outgoing.push_back((Layer::Negotiation, BytesMut::from(message)));
    }
}

pub(crate) fn queue_handshake(outgoing: &mut Outgoing, handshake: &mut Handshake) {
    let mut message = BytesMut::new();
    while handshake.poll_transmit(&mut message) {
        outgoing.push_back((Layer::Handshake, message.split()));
    }
}
