//! Messages behind an unsigned varint that tells their length.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use crate::varint::{self, MAX_LEN, VarintError};

/// Splits a byte stream into length-prefixed frames.
///
/// Bytes go in with [`push`](Self::push) in any split. A frame that lies within one pushed buffer comes
/// out as a slice of it; only a frame that straddles buffers is copied. The decoder holds at most what
/// was pushed: it allocates for a frame only once all of its bytes are there, so an announced length costs
/// nothing.
#[derive(Debug)]
pub struct FrameDecoder {
    max_len: usize,
    chunks: VecDeque<Bytes>,
    buffered: usize,
    /// Body length of the frame whose prefix is read already.
    body_len: Option<usize>,
}

/// Why a byte stream holds no frame. The sender is at fault; the stream cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length prefix is not a legal varint.
    #[error("frame length: {0}")]
    Varint(#[from] VarintError),
    /// The announced body is larger than the protocol allows.
    #[error("frame of {len} bytes exceeds the limit of {max}")]
    TooLarge {
        /// The announced length in bytes.
        len: u64,
        /// The largest body in bytes that this decoder accepts.
        max: usize,
    },
}

impl FrameDecoder {
    /// Makes a decoder for bodies of at most `max_len` bytes.
    #[must_use]
    pub fn new(max_len: usize) -> Self {
        Self { max_len, chunks: VecDeque::new(), buffered: 0, body_len: None }
    }

    /// Adds bytes as they came from the wire.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.buffered += bytes.len();
            self.chunks.push_back(bytes);
        }
    }

    /// Takes the next whole frame, without its length prefix.
    ///
    /// Returns `Ok(None)` when more bytes are needed.
    ///
    /// # Errors
    ///
    /// When the prefix is no varint or announces more than `max_len`; the decoder gives the same error from then on.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let body_len = match self.body_len {
            Some(len) => len,
            None => match self.read_prefix()? {
                Some(len) => len,
                None => return Ok(None),
            },
        };
        if self.buffered < body_len {
            self.body_len = Some(body_len);
            return Ok(None);
        }
        self.body_len = None;
        Ok(Some(self.take(body_len)))
    }

    /// How many bytes wait here, of whole and partial frames.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffered
    }

    /// Whether the stream may end here: nothing of an unfinished frame has been read.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.buffered == 0 && self.body_len.is_none()
    }

    fn read_prefix(&mut self) -> Result<Option<usize>, FrameError> {
        let mut head = [0; MAX_LEN];
        let mut len = 0;
        for byte in self.chunks.iter().flat_map(|chunk| chunk.iter()).take(MAX_LEN) {
            head[len] = *byte;
            len += 1;
        }
        let Some((value, used)) = varint::decode(&head[..len])? else {
            return Ok(None);
        };
        let body_len = usize::try_from(value).ok().filter(|len| *len <= self.max_len);
        let body_len = body_len.ok_or(FrameError::TooLarge { len: value, max: self.max_len })?;
        self.take(used);
        Ok(Some(body_len))
    }

    /// Takes `len` bytes, which are there, off the front.
    fn take(&mut self, len: usize) -> Bytes {
        self.buffered -= len;
        if let Some(first) = self.chunks.front_mut()
            && first.len() >= len
        {
            let taken = first.split_to(len);
            if first.is_empty() {
                self.chunks.pop_front();
            }
            return taken;
        }
        let mut taken = BytesMut::with_capacity(len);
        while taken.len() < len {
            let Some(first) = self.chunks.front_mut() else {
                break;
            };
            let part = first.len().min(len - taken.len());
            taken.extend_from_slice(&first[..part]);
            first.advance(part);
            if first.is_empty() {
                self.chunks.pop_front();
            }
        }
        taken.freeze()
    }
}

/// Appends `body` with its length prefix.
pub fn encode_frame(body: &[u8], out: &mut BytesMut) {
    out.reserve(body.len() + MAX_LEN);
    varint::encode(body.len() as u64, out);
    out.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(body: &[u8]) -> Bytes {
        let mut out = BytesMut::new();
        encode_frame(body, &mut out);
        out.freeze()
    }

    #[test]
    fn any_split_gives_the_same_frames() {
        let long = vec![7; 300];
        let wire = [frame(b""), frame(b"one"), frame(&long)].concat();
        for step in 1..wire.len() {
            let mut decoder = FrameDecoder::new(300);
            let mut frames = Vec::new();
            for part in wire.chunks(step) {
                decoder.push(Bytes::copy_from_slice(part));
                while let Some(body) = decoder.next_frame().unwrap() {
                    frames.push(body);
                }
            }
            assert_eq!(frames, [&b""[..], b"one", &long], "pieces of {step}");
            assert!(decoder.is_clean());
        }
    }

    #[test]
    fn an_oversized_frame_is_refused_on_its_prefix_alone() {
        let mut decoder = FrameDecoder::new(4);
        decoder.push(Bytes::from_static(&[5]));
        let refused = Err(FrameError::TooLarge { len: 5, max: 4 });
        assert_eq!(decoder.next_frame(), refused);
        assert_eq!(decoder.next_frame(), refused);
    }

    #[test]
    fn a_frame_of_exactly_the_limit_passes() {
        let mut decoder = FrameDecoder::new(4);
        decoder.push(frame(b"four"));
        assert_eq!(decoder.next_frame().unwrap().as_deref(), Some(&b"four"[..]));
    }

    #[test]
    fn an_unfinished_frame_is_not_a_clean_end() {
        let mut decoder = FrameDecoder::new(10);
        assert!(decoder.is_clean());
        decoder.push(Bytes::from_static(&[3]));
        assert_eq!(decoder.next_frame(), Ok(None));
        assert!(!decoder.is_clean());
        decoder.push(Bytes::from_static(b"abc"));
        assert_eq!(decoder.next_frame().unwrap().as_deref(), Some(&b"abc"[..]));
        assert!(decoder.is_clean());
    }

    #[test]
    fn a_huge_announced_length_allocates_nothing() {
        let mut decoder = FrameDecoder::new(usize::MAX);
        decoder.push(Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]));
        assert_eq!(decoder.next_frame(), Ok(None));
        assert_eq!(decoder.buffered(), 0);
    }
}
