//! The ground floor: unsigned varints, length-delimited frames, and a bounded walk over protobuf tags.
//!
//! Every protocol of the stack that sends messages prefixes them with an unsigned varint, and most of
//! those messages are protobuf. Both let a peer announce sizes, so both are checked here, once, before
//! anything is allocated:
//!
//! ```text
//!  bytes, in any split ──> FrameDecoder ──> one frame ──> protobuf::check ──> decode
//!                          length ≤ max                   entries ≤ limits
//! ```
//!
//! ```
//! use bowline_wire::{FrameDecoder, encode_frame};
//! use bytes::BytesMut;
//!
//! let mut wire = BytesMut::new();
//! encode_frame(b"hello", &mut wire);
//!
//! let mut decoder = FrameDecoder::new(1024);
//! decoder.push(wire.split_to(3).freeze());
//! assert_eq!(decoder.next_frame(), Ok(None));
//! decoder.push(wire.freeze());
//! assert_eq!(decoder.next_frame().unwrap().as_deref(), Some(&b"hello"[..]));
//! ```

mod frame;
pub mod protobuf;
pub mod varint;

pub use frame::{FrameDecoder, FrameError, encode_frame};
