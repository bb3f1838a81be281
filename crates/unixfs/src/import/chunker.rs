//! Cuts a stream of bytes into pieces of equal length.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::config::ChunkSize;

/// Input that has not been cut yet.
///
/// A chunk that lies within one input is a slice of it; one that straddles inputs is copied together.
#[derive(Debug)]
pub(crate) struct Chunker {
    chunk_size: usize,
    inputs: VecDeque<Bytes>,
    buffered: usize,
}

impl Chunker {
    pub(crate) fn new(chunk_size: ChunkSize) -> Self {
        Self { chunk_size: chunk_size.bytes(), inputs: VecDeque::new(), buffered: 0 }
    }

    pub(crate) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.buffered += bytes.len();
            self.inputs.push_back(bytes);
        }
    }

    pub(crate) fn buffered(&self) -> usize {
        self.buffered
    }

    /// The next full chunk.
    pub(crate) fn next_chunk(&mut self) -> Option<Bytes> {
        (self.buffered >= self.chunk_size).then(|| self.take(self.chunk_size))
    }

    /// The next chunk when nothing follows the input: the last one may be shorter.
    pub(crate) fn next_chunk_at_end(&mut self) -> Option<Bytes> {
        (self.buffered > 0).then(|| self.take(self.chunk_size.min(self.buffered)))
    }

    fn take(&mut self, len: usize) -> Bytes {
        self.buffered -= len;
        let first = self.inputs.front_mut().expect("buffered bytes are in an input");
        if first.len() > len {
            return first.split_to(len);
        }
        if first.len() == len {
            return self.inputs.pop_front().expect("the input seen above");
        }
        let mut chunk = BytesMut::with_capacity(len);
        while chunk.len() < len {
            let mut input = self.inputs.pop_front().expect("buffered bytes are in an input");
            let missing = len - chunk.len();
            if input.len() > missing {
                chunk.extend_from_slice(&input.split_to(missing));
                self.inputs.push_front(input);
            } else {
                chunk.extend_from_slice(&input);
            }
        }
        chunk.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunker(chunk_size: usize) -> Chunker {
        Chunker::new(ChunkSize::new(chunk_size).unwrap())
    }

    #[test]
    fn chunks_within_an_input_are_slices_of_it() {
        let input = Bytes::from(vec![7; 10]);
        let mut chunker = chunker(5);
        chunker.push(input.clone());
        for offset in [0, 5] {
            let chunk = chunker.next_chunk().unwrap();
            assert_eq!(chunk.as_ptr(), input[offset..].as_ptr());
        }
        assert_eq!(chunker.next_chunk(), None);
        assert_eq!(chunker.next_chunk_at_end(), None);
    }

    #[test]
    fn chunks_across_inputs_are_joined_and_the_last_may_be_short() {
        let mut chunker = chunker(4);
        for input in ["a", "", "bc", "defgh", "ij"] {
            chunker.push(Bytes::from(input));
        }
        assert_eq!(chunker.next_chunk().as_deref(), Some(&b"abcd"[..]));
        assert_eq!(chunker.next_chunk().as_deref(), Some(&b"efgh"[..]));
        assert_eq!(chunker.next_chunk(), None);
        assert_eq!(chunker.buffered(), 2);
        assert_eq!(chunker.next_chunk_at_end().as_deref(), Some(&b"ij"[..]));
    }
}
