//! Frames without payload that wait to be sent. They go ahead of all data.

use std::collections::{BTreeSet, VecDeque};

use crate::{
    Flood, SessionError, StreamId,
    limits::{MAX_QUEUED_PONGS, MAX_QUEUED_REFUSALS},
};

/// What is due, and for whom. Everything in here yields exactly one frame.
///
/// All of it is bounded against a peer that provokes answers and does not read them: refusals and pongs by
/// number; resets and updates by the streams there are, as a stream stays in the table until its RST left.
#[derive(Debug, Default)]
pub(crate) struct ControlQueue {
    /// Streams whose RST is due; the code is the stream's.
    pub(crate) resets: BTreeSet<StreamId>,
    /// Streams that never came to be, with the code of the RST.
    refusals: VecDeque<(StreamId, u32)>,
    pongs: VecDeque<u32>,
    pub(crate) ping: Option<u32>,
    /// Streams with credit to announce, or a SYN or ACK that no data carries.
    pub(crate) updates: BTreeSet<StreamId>,
}

impl ControlQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.resets.is_empty()
            && self.refusals.is_empty()
            && self.pongs.is_empty()
            && self.ping.is_none()
            && self.updates.is_empty()
    }

    /// Refuses a stream with an RST.
    pub(crate) fn refuse(&mut self, id: StreamId, code: u32) -> Result<(), SessionError> {
        if self.refusals.len() >= MAX_QUEUED_REFUSALS {
            return Err(SessionError::Flood(Flood::Refusals));
        }
        self.refusals.push_back((id, code));
        Ok(())
    }

    /// Whether an RST is under way that would hit a new stream with this id.
    pub(crate) fn is_refusing(&self, id: StreamId) -> bool {
        self.refusals.iter().any(|(refused, _)| *refused == id)
    }

    /// Adds a stream to the updates that are due, or takes it out.
    pub(crate) fn list_update(&mut self, id: StreamId, due: bool) {
        if due {
            self.updates.insert(id);
        } else {
            self.updates.remove(&id);
        }
    }

    pub(crate) fn pop_refusal(&mut self) -> Option<(StreamId, u32)> {
        self.refusals.pop_front()
    }

    /// Queues an answer; when there are too many, the newest takes the place of the last.
    pub(crate) fn push_pong(&mut self, value: u32) {
        if self.pongs.len() >= MAX_QUEUED_PONGS {
            self.pongs.pop_back();
        }
        self.pongs.push_back(value);
    }

    pub(crate) fn pop_pong(&mut self) -> Option<u32> {
        self.pongs.pop_front()
    }

    /// Keeps only what tells the peer about streams that ended: the session is over.
    pub(crate) fn keep_resets(&mut self) {
        let Self { resets, refusals, .. } = std::mem::take(self);
        *self = Self { resets, refusals, ..Self::default() };
    }
}
