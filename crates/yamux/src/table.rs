//! The streams of a session, counted.

use std::{collections::BTreeMap, time::Instant};

use crate::{Config, OpenError, Party, Role, StreamId, limits::MAX_UNACKNOWLEDGED, stream::Stream};

/// All streams that are live, held or owe an RST.
#[derive(Debug)]
pub(crate) struct Table {
    role: Role,
    /// The id of our next stream; `None` when all are used.
    next_id: Option<u32>,
    /// Boxed: a map makes room for a dozen values at once, and most connections have no stream most of the time.
    streams: BTreeMap<StreamId, Box<Stream>>,
    inbound: usize,
    /// Our streams that the peer has not acknowledged.
    backlog: usize,
    /// Somebody was told to try again.
    open_waiting: bool,
}

impl Table {
    pub(crate) fn new(role: Role) -> Self {
        Self {
            role,
            next_id: Some(role.first_id()),
            streams: BTreeMap::new(),
            inbound: 0,
            backlog: 0,
            open_waiting: false,
        }
    }

    /// Makes a stream of ours.
    pub(crate) fn open(&mut self, now: Instant, config: &Config) -> Result<StreamId, OpenError> {
        let id = self.next_id.ok_or(OpenError::Exhausted)?;
        if !self.can_open(config) {
            self.open_waiting = true;
            return Err(OpenError::Backlog);
        }
        self.next_id = id.checked_add(2);
        let id = StreamId::new(id);
        let stream = Stream { in_backlog: true, ..Stream::outbound(now) };
        self.backlog += 1;
        self.streams.insert(id, Box::new(stream));
        Ok(id)
    }

    // spec: yamux/own-backlog
    fn can_open(&self, config: &Config) -> bool {
        let outbound = self.streams.len() - self.inbound;
        self.backlog < MAX_UNACKNOWLEDGED && outbound < config.max_outbound_streams.max(1)
    }

    /// Whether somebody waits to open a stream, who now can. Asked once, answered once.
    pub(crate) fn take_open_available(&mut self, config: &Config) -> bool {
        let available = self.open_waiting && self.can_open(config);
        self.open_waiting &= !available;
        available
    }

    /// Whether somebody waits to open a stream, whatever the answer will be.
    pub(crate) fn take_open_waiting(&mut self) -> bool {
        std::mem::take(&mut self.open_waiting)
    }

    /// Adds a stream that the peer opened.
    pub(crate) fn accept(&mut self, now: Instant, id: StreamId) {
        self.inbound += 1;
        self.streams.insert(id, Box::new(Stream::inbound(now)));
    }

    /// Whether the peer may open streams with this id.
    pub(crate) fn is_peers(&self, id: StreamId) -> bool {
        !self.role.owns(id)
    }

    pub(crate) fn get(&self, id: StreamId) -> Option<&Stream> {
        self.streams.get(&id).map(Box::as_ref)
    }

    pub(crate) fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.streams.get_mut(&id).map(Box::as_mut)
    }

    /// The stream that a frame of the peer is for, unless it ended or never began.
    pub(crate) fn on_wire(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.streams.get_mut(&id).map(Box::as_mut).filter(|stream| stream.is_live() && stream.is_on_wire())
    }

    /// Brings the backlog up to date with a stream that changed.
    pub(crate) fn update_backlog(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id).map(Box::as_mut)
            && stream.in_backlog
            && !stream.is_unacknowledged()
        {
            stream.in_backlog = false;
            self.backlog -= 1;
        }
    }

    /// Takes a stream out.
    pub(crate) fn remove(&mut self, id: StreamId) -> Option<Box<Stream>> {
        let stream = self.streams.remove(&id)?;
        self.inbound -= usize::from(stream.origin == Party::Remote);
        self.backlog -= usize::from(stream.in_backlog);
        Some(stream)
    }

    pub(crate) fn len(&self) -> usize {
        self.streams.len()
    }

    pub(crate) fn inbound(&self) -> usize {
        self.inbound
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (StreamId, &Stream)> {
        self.streams.iter().map(|(id, stream)| (*id, stream.as_ref()))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (StreamId, &mut Stream)> {
        self.streams.iter_mut().map(|(id, stream)| (*id, stream.as_mut()))
    }
}
