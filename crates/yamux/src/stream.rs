//! One stream: how it opens, what each direction is up to, and who holds it.
//!
//! ```text
//!   opening        open()                         SYN arrives
//!                    │                                 │
//!                SynUnsent                         AckUnsent
//!   first frame: SYN │                                 │ first frame: ACK
//!                AwaitsAck ──any frame but RST──> Open <┘
//!
//!   sending        Open ──finish()──> Finishing ──data, then FIN leave──> Finished
//!   receiving      Open ──FIN arrives──> Finished
//!                  any  ──RST sent or received──> Reset   (what was received whole, to the FIN, stays readable)
//!
//!   handle         Unannounced ──Event::Incoming──> Held ──release(), not finished: RST──> Released
//!                                                     └────release(), finished──> Detached: data and FIN still
//!                                                                                 go out, then it waits for the peer
//! ```
//!
//! A stream is *live* until both directions are finished or one is reset; frames for a stream that is not are
//! skipped. It leaves the table when it is neither live nor held and owes no RST.
//!
//! Specification: libp2p/specs, `yamux/README.md`, opening and closing a stream.

use std::time::Instant;

use bytes::Bytes;

use crate::{
    Party, ReadError, StreamId, WriteError,
    chunks::Chunks,
    flow::{Budget, ReceiveWindow},
    frame::Flags,
    limits::INITIAL_WINDOW,
};

/// What of the opening is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// Ours; the peer knows nothing of it. `wanted`: the SYN goes out even without data to ride on.
    SynUnsent { wanted: bool },
    /// Ours; the peer has been told.
    AwaitsAck,
    /// The peer's; our first frame carries the ACK.
    AckUnsent,
    /// Both know.
    Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    Open,
    Finishing,
    Finished,
    Reset { code: u32, by: Party },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receiving {
    Open,
    Finished,
    Reset { code: u32, by: Party },
}

/// Who holds the stream on our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handle {
    /// Nobody yet: the event waits.
    Unannounced,
    /// The owner.
    Held,
    /// Nobody any more, but it finishes.
    Detached(Detached),
    /// Nobody.
    Released,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Detached {
    /// When to look whether there was progress.
    pub(crate) due: Instant,
    pub(crate) progress: Instant,
    /// The peer sent payload that nobody will read: an RST follows our FIN.
    pub(crate) refuse: bool,
}

/// Whether the owner waits for an event, and whether one is under way.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) wanted: bool,
    pub(crate) queued: bool,
}

#[derive(Debug)]
pub(crate) struct SendHalf {
    pub(crate) state: Sending,
    pub(crate) queue: Chunks,
    /// What the peer lets us send, in bytes.
    pub(crate) window: u32,
    pub(crate) waiting: Waiting,
    /// Whether it stands in the scheduler's line.
    pub(crate) in_line: bool,
    /// What the scheduler counts of it: bytes queued, and bytes that the window lets out.
    pub(crate) counted: (usize, usize),
}

#[derive(Debug)]
pub(crate) struct ReceiveHalf {
    pub(crate) state: Receiving,
    pub(crate) chunks: Chunks,
    pub(crate) window: ReceiveWindow,
    pub(crate) waiting: Waiting,
}

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) origin: Party,
    pub(crate) opening: Opening,
    pub(crate) send: SendHalf,
    pub(crate) receive: ReceiveHalf,
    pub(crate) handle: Handle,
    /// The code of an RST that has to be sent.
    pub(crate) reset_due: Option<u32>,
    /// A payload byte went through, so it was no rapid reset.
    pub(crate) used: bool,
    /// Whether it is among the updates that wait to be sent.
    pub(crate) update_listed: bool,
    /// Whether it is counted as not acknowledged.
    pub(crate) in_backlog: bool,
}

impl Stream {
    /// A stream that we open.
    pub(crate) fn outbound(now: Instant) -> Self {
        Self::new(now, Party::Local, Opening::SynUnsent { wanted: false }, Handle::Held)
    }

    /// A stream that the peer opened.
    pub(crate) fn inbound(now: Instant) -> Self {
        Self::new(now, Party::Remote, Opening::AckUnsent, Handle::Unannounced)
    }

    fn new(now: Instant, origin: Party, opening: Opening, handle: Handle) -> Self {
        let send = SendHalf {
            state: Sending::Open,
            queue: Chunks::default(),
            window: INITIAL_WINDOW,
            waiting: Waiting::default(),
            in_line: false,
            counted: (0, 0),
        };
        let receive = ReceiveHalf {
            state: Receiving::Open,
            chunks: Chunks::default(),
            window: ReceiveWindow::new(now),
            waiting: Waiting { wanted: true, queued: false },
        };
        Self {
            origin,
            opening,
            send,
            receive,
            handle,
            reset_due: None,
            used: false,
            update_listed: false,
            in_backlog: false,
        }
    }

    /// Whether frames of the peer still concern it.
    pub(crate) fn is_live(&self) -> bool {
        match (self.send.state, self.receive.state) {
            (Sending::Reset { .. }, _) | (_, Receiving::Reset { .. }) => false,
            (Sending::Finished, Receiving::Finished) => false,
            (
                Sending::Open | Sending::Finishing | Sending::Finished,
                Receiving::Open | Receiving::Finished,
            ) => true,
        }
    }

    /// Whether the peer has heard of it.
    pub(crate) fn is_on_wire(&self) -> bool {
        !matches!(self.opening, Opening::SynUnsent { .. })
    }

    /// Whether nothing and nobody needs it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.handle != Handle::Held && !self.is_live() && self.reset_due.is_none()
    }

    /// Whether nobody needs it once the session is over.
    pub(crate) fn is_abandoned(&self) -> bool {
        let is_detached = matches!(self.handle, Handle::Detached(_)) && self.reset_due.is_none();
        is_detached || self.is_over()
    }

    pub(crate) fn is_unacknowledged(&self) -> bool {
        matches!(self.opening, Opening::SynUnsent { .. } | Opening::AwaitsAck)
            && (self.is_live() || self.reset_due.is_some())
    }

    /// The peer sent a frame for it.
    // spec: yamux/ack-or-rst: the ACK flag is expected, but any frame shows that the peer knows the stream.
    pub(crate) fn acknowledge(&mut self) {
        if self.opening == Opening::AwaitsAck {
            self.opening = Opening::Open;
        }
    }

    /// The flag that the next frame has to carry, which it does from now on.
    pub(crate) fn take_opening_flag(&mut self) -> Flags {
        match self.opening {
            Opening::SynUnsent { .. } => {
                self.opening = Opening::AwaitsAck;
                Flags::SYN
            }
            Opening::AckUnsent => {
                self.opening = Opening::Open;
                Flags::ACK
            }
            Opening::AwaitsAck | Opening::Open => Flags::NONE,
        }
    }

    /// Sends the SYN even when there is no data to carry it.
    pub(crate) fn want_syn(&mut self) {
        if let Opening::SynUnsent { wanted } = &mut self.opening {
            *wanted = true;
        }
    }

    /// Whether a window update is due: for credit, or for a flag that no data will carry.
    pub(crate) fn wants_update(&self) -> bool {
        if !self.is_live() {
            return false;
        }
        // The ACK waits for the first frame of our side: the opener's backlog then pushes back when streams come
        // faster than they are accepted, where an ACK at once would let it run into our limit and be reset.
        let flag = matches!(self.opening, Opening::SynUnsent { wanted: true });
        self.receive.window.credit() > 0 || (flag && self.sendable() == 0)
    }

    /// Bytes that could be sent now.
    pub(crate) fn sendable(&self) -> usize {
        self.send.queue.len().min(usize::try_from(self.send.window).unwrap_or(usize::MAX))
    }

    /// Whether only the FIN is left to send.
    pub(crate) fn fin_due(&self) -> bool {
        self.send.state == Sending::Finishing && self.send.queue.is_empty()
    }

    /// Ends both directions, ours and the peer's. Received data is dropped, unless it came whole and the peer
    /// ended the stream; gives the bytes dropped.
    pub(crate) fn end(&mut self, code: u32, by: Party, budget: &mut Budget) -> usize {
        self.send.state = Sending::Reset { code, by };
        self.send.queue.clear();
        if self.receive.state == Receiving::Finished && by == Party::Remote {
            return 0;
        }
        self.receive.state = Receiving::Reset { code, by };
        self.receive.window.release(budget);
        self.receive.chunks.clear()
    }

    /// The session is over: nothing will be sent.
    pub(crate) fn stop_sending(&mut self) {
        self.send.queue.clear();
        self.send.counted = (0, 0);
        self.send.in_line = false;
        self.update_listed = false;
    }

    /// The peer finished.
    pub(crate) fn finish_receiving(&mut self, budget: &mut Budget) {
        self.receive.state = Receiving::Finished;
        self.receive.window.close(budget);
    }

    /// Drops what was received and not read; gives the bytes dropped.
    pub(crate) fn drop_received(&mut self, budget: &mut Budget) -> usize {
        let dropped = self.receive.chunks.clear();
        self.receive.window.discard(u32::try_from(dropped).unwrap_or(u32::MAX), budget);
        dropped
    }

    /// Takes received bytes off.
    pub(crate) fn pop_received(&mut self, max: usize) -> Option<Bytes> {
        let data = self.receive.chunks.pop(max);
        if self.receive.chunks.is_empty() {
            self.receive.waiting.wanted = true;
        }
        data
    }

    /// Why nothing can be read, when it is not for want of data.
    pub(crate) fn read_error(&self) -> Option<ReadError> {
        match self.receive.state {
            Receiving::Reset { code, by } => Some(ReadError::Reset { code, by }),
            Receiving::Open | Receiving::Finished => None,
        }
    }

    /// Why nothing can be written, when it is not for want of room.
    pub(crate) fn write_error(&self) -> Option<WriteError> {
        match self.send.state {
            Sending::Open => None,
            Sending::Finishing | Sending::Finished => Some(WriteError::Finished),
            Sending::Reset { code, by } => Some(WriteError::Reset { code, by }),
        }
    }

    /// Whether received payload has a reader.
    pub(crate) fn takes_payload(&self) -> bool {
        self.receive.state == Receiving::Open && matches!(self.handle, Handle::Held | Handle::Unannounced)
    }
}

/// The key in the order of expiry of a detached stream.
pub(crate) fn expiry(id: StreamId, handle: &Handle) -> Option<(Instant, StreamId)> {
    match handle {
        Handle::Detached(detached) => Some((detached.due, id)),
        Handle::Unannounced | Handle::Held | Handle::Released => None,
    }
}
