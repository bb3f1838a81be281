//! Who is who in a session: its two roles and the ids of its streams.

use std::fmt;

/// Which end of the connection this is. It decides whose stream ids are odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The dialer: opens odd stream ids.
    Client,
    /// The listener: opens even stream ids.
    Server,
}

impl Role {
    /// The first id that this end may open.
    pub(crate) fn first_id(self) -> u32 {
        match self {
            Self::Client => 1,
            Self::Server => 2,
        }
    }

    /// Whether this end may open `id`.
    pub(crate) fn owns(self, id: StreamId) -> bool {
        id.0 % 2 == self.first_id() % 2
    }
}

/// Names a stream within its session. Zero names the session itself and is never a stream.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u32);

impl StreamId {
    /// The session itself: the id on ping and go-away frames.
    pub const SESSION: Self = Self(0);

    /// The id with this number on the wire.
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// The number on the wire.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamId({})", self.0)
    }
}
