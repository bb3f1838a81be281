//! The twelve-byte header, and whole frames: to build and to take apart, legal or not.
//!
//! ```text
//!  0        1        2                 4                                   8                          12
//!  ├────────┼────────┼─────────────────┼───────────────────────────────────┼───────────────────────────┤
//!  │version │ type   │ flags           │ stream id                         │ length                    │
//!  ├────────┴────────┴─────────────────┴───────────────────────────────────┴───────────────────────────┤
//!  big endian · length: body bytes of data, credit of a window update, value of a ping, code of go-away or RST
//! ```
//!
//! Decoding never fails, so that a tool can show what a broken peer sent; [`Header::check`] says whether a
//! session would take it. A session refuses on its own account; nothing here keeps state.
//!
//! ```
//! use bowline_yamux::{StreamId, frame::{Flags, Frame, Header}};
//! use bytes::{Bytes, BytesMut};
//!
//! let mut wire = BytesMut::new();
//! Frame::data(StreamId::new(1), Bytes::from_static(b"hi")).with_flags(Flags::SYN).encode(&mut wire);
//! assert_eq!(&wire[..], b"\0\0\0\x01\0\0\0\x01\0\0\0\x02hi");
//!
//! let frame = Frame::take(&mut wire).expect("it is whole");
//! assert_eq!((frame.header.flags, &frame.body[..]), (Flags::SYN, &b"hi"[..]));
//! ```
//!
//! Specification: libp2p/specs, `yamux/README.md`, framing.

use std::{fmt, ops::BitOr};

use bytes::{Bytes, BytesMut};

use crate::{SessionError, StreamId};

/// Bytes of a header.
pub const HEADER_LEN: usize = 12;

/// The protocol version, the only one there is.
pub const VERSION: u8 = 0;

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Payload of a stream; type 0.
    Data,
    /// Credit for a stream, or only flags; type 1.
    WindowUpdate,
    /// A question for the round-trip time, or its answer; type 2.
    Ping,
    /// The end of the session; type 3.
    GoAway,
    /// A type that the specification does not know.
    Unknown(u8),
}

impl Kind {
    /// The kind with this number on the wire.
    #[must_use]
    pub const fn from_wire(value: u8) -> Self {
        match value {
            0 => Self::Data,
            1 => Self::WindowUpdate,
            2 => Self::Ping,
            3 => Self::GoAway,
            other => Self::Unknown(other),
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn to_wire(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::WindowUpdate => 1,
            Self::Ping => 2,
            Self::GoAway => 3,
            Self::Unknown(value) => value,
        }
    }
}

/// A set of flags. Unknown bits are kept.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(u16);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// Opens a stream, or asks for a pong.
    pub const SYN: Self = Self(1);
    /// Acknowledges a stream, or is the pong.
    pub const ACK: Self = Self(2);
    /// Ends the sender's direction.
    pub const FIN: Self = Self(4);
    /// Ends both directions at once.
    pub const RST: Self = Self(8);

    /// The set with these bits.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The bits on the wire.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether every flag of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether no flag is set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [(Self::SYN, "SYN"), (Self::ACK, "ACK"), (Self::FIN, "FIN"), (Self::RST, "RST")];
        let mut list = f.debug_set();
        for (flag, name) in names {
            if self.contains(flag) {
                list.entry(&format_args!("{name}"));
            }
        }
        if self.0 > 0xf {
            list.entry(&format_args!("{:#x}", self.0 & !0xf));
        }
        list.finish()
    }
}

/// The twelve bytes in front of every frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The protocol version; anything but 0 is illegal.
    pub version: u8,
    /// What the frame is about.
    pub kind: Kind,
    /// The flags.
    pub flags: Flags,
    /// The stream; 0 on pings and go-aways.
    pub stream: StreamId,
    /// Body bytes of data; otherwise a value and no body: credit, the value of a ping, a code.
    pub length: u32,
}

impl Header {
    /// A data frame with a body of `length` bytes.
    #[must_use]
    pub const fn data(stream: StreamId, length: u32) -> Self {
        Self { version: VERSION, kind: Kind::Data, flags: Flags::NONE, stream, length }
    }

    /// A window update that gives `credit` bytes more.
    #[must_use]
    pub const fn window_update(stream: StreamId, credit: u32) -> Self {
        Self { kind: Kind::WindowUpdate, ..Self::data(stream, credit) }
    }

    /// An RST with a code. It rides on a window update: on a data frame its length would mean a body.
    #[must_use]
    pub const fn reset(stream: StreamId, code: u32) -> Self {
        Self::window_update(stream, code).with_flags(Flags::RST)
    }

    /// A ping that asks for an answer with the same value.
    #[must_use]
    pub const fn ping(value: u32) -> Self {
        Self { kind: Kind::Ping, flags: Flags::SYN, ..Self::data(StreamId::SESSION, value) }
    }

    /// The answer to a ping.
    #[must_use]
    pub const fn pong(value: u32) -> Self {
        Self { flags: Flags::ACK, ..Self::ping(value) }
    }

    /// A go-away with a code of [`code::connection`](crate::code::connection).
    #[must_use]
    pub const fn go_away(code: u32) -> Self {
        Self { kind: Kind::GoAway, ..Self::data(StreamId::SESSION, code) }
    }

    /// The same header with exactly these flags.
    #[must_use]
    pub const fn with_flags(self, flags: Flags) -> Self {
        Self { flags, ..self }
    }

    /// Bytes that follow this header.
    #[must_use]
    pub const fn body_len(&self) -> u32 {
        match self.kind {
            Kind::Data => self.length,
            Kind::WindowUpdate | Kind::Ping | Kind::GoAway | Kind::Unknown(_) => 0,
        }
    }

    /// The header on the wire.
    #[must_use]
    pub const fn encode(&self) -> [u8; HEADER_LEN] {
        let [f0, f1] = self.flags.bits().to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.value().to_be_bytes();
        let [l0, l1, l2, l3] = self.length.to_be_bytes();
        [self.version, self.kind.to_wire(), f0, f1, s0, s1, s2, s3, l0, l1, l2, l3]
    }

    /// Reads a header, whatever is in it.
    #[must_use]
    pub const fn decode(bytes: &[u8; HEADER_LEN]) -> Self {
        let [version, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3] = *bytes;
        Self {
            version,
            kind: Kind::from_wire(kind),
            flags: Flags::from_bits(u16::from_be_bytes([f0, f1])),
            stream: StreamId::new(u32::from_be_bytes([s0, s1, s2, s3])),
            length: u32::from_be_bytes([l0, l1, l2, l3]),
        }
    }

    /// Reads the header at the start of `bytes`; `None` when it is not whole yet.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().map(Self::decode)
    }

    /// Checks what can be checked without a session: the version, the type, and that streams are not 0.
    ///
    /// # Errors
    ///
    /// The rule that the sender broke.
    pub const fn check(&self) -> Result<(), SessionError> {
        // spec: yamux/bad-version
        if self.version != VERSION {
            return Err(SessionError::Version { version: self.version });
        }
        match self.kind {
            // spec: yamux/bad-type
            Kind::Unknown(kind) => Err(SessionError::Kind { kind }),
            // spec: yamux/id-zero-syn, yamux/id-zero-data
            Kind::Data | Kind::WindowUpdate if self.stream.value() == 0 => Err(SessionError::StreamZero),
            // spec: yamux/ping-nonzero-id, yamux/goaway-nonzero-id: the id of a session frame is not looked at.
            Kind::Data | Kind::WindowUpdate | Kind::Ping | Kind::GoAway => Ok(()),
        }
    }
}

/// A header with the bytes that belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The header. Its length need not fit the body: that is how illegal frames are built.
    pub header: Header,
    /// The body.
    pub body: Bytes,
}

impl Frame {
    /// A data frame around `body`.
    ///
    /// # Panics
    ///
    /// When `body` is longer than a length can say, 4 GiB.
    #[must_use]
    pub fn data(stream: StreamId, body: Bytes) -> Self {
        let length = u32::try_from(body.len()).expect("a body below 4 GiB");
        Self { header: Header::data(stream, length), body }
    }

    /// The same frame with exactly these flags.
    #[must_use]
    pub fn with_flags(self, flags: Flags) -> Self {
        Self { header: self.header.with_flags(flags), ..self }
    }

    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.header.encode());
        out.extend_from_slice(&self.body);
    }

    /// Takes the first frame off `input`, or nothing while it is not whole.
    ///
    /// For tools: it waits for as much as the header claims, up to 4 GiB, so bound `input` or look at the
    /// header first. A session never waits for a body.
    #[must_use]
    pub fn take(input: &mut BytesMut) -> Option<Self> {
        let header = Header::parse(input)?;
        let body_len = usize::try_from(header.body_len()).ok()?;
        let frame_len = HEADER_LEN.checked_add(body_len)?;
        if input.len() < frame_len {
            return None;
        }
        let body = input.split_to(frame_len).freeze().slice(HEADER_LEN..);
        Some(Self { header, body })
    }
}

impl From<Header> for Frame {
    /// A frame without a body.
    fn from(header: Header) -> Self {
        Self { header, body: Bytes::new() }
    }
}
