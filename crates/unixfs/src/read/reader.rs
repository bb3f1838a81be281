//! The machine that turns blocks back into the bytes of a file.

use std::ops::Range;

use bowline_block::{Cid, VerifiedBlock};
use bytes::Bytes;

use super::config::ReadConfig;
use super::error::ReadError;
use super::event::{Event, Supplied};
use super::walker::{Scope, Walker};
use crate::data::Metadata;

/// Reads one file: a [`Walker`] whose root must be a file.
///
/// See there for the window, and [`ReadConfig`] for how far it runs ahead.
#[derive(Debug)]
pub struct Reader {
    walker: Walker,
    file: Option<(u64, Metadata)>,
    ended: bool,
}

/// What a reader comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Some content: never empty, no byte twice.
    Data {
        /// Where in the file the bytes belong.
        offset: u64,
        /// The bytes.
        bytes: Bytes,
    },
    /// Everything has come out. Once, and last.
    End,
}

impl Reader {
    /// Reads all of the file `root`.
    pub fn new(root: Cid, config: ReadConfig) -> Self {
        Self::with_range(root, config, 0..u64::MAX)
    }

    /// Reads the bytes of the file `root` that lie in `range`, and fetches no block that has none of them
    /// or leads to some.
    ///
    /// Offsets are those of the whole file. A range beyond its end holds nothing.
    pub fn with_range(root: Cid, config: ReadConfig, range: Range<u64>) -> Self {
        Self { walker: Walker::with_scope(root, config, Scope::File, range), file: None, ended: false }
    }

    /// The next block to fetch: each once, in the order of their content.
    ///
    /// `None` when the window is full, when nothing is known to be missing, or after an error.
    #[must_use]
    pub fn poll_need(&mut self) -> Option<Cid> {
        self.walker.poll_need()
    }

    /// Takes a block. Blocks may come in any order, also ones that were not asked for.
    pub fn supply(&mut self, block: &VerifiedBlock) -> Supplied {
        self.walker.supply(block)
    }

    /// The next content, or the one error that ends it.
    ///
    /// `None` when blocks are missing ([`outstanding`](Self::outstanding) says which) and after
    /// [`Output::End`].
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Result<Output, ReadError>> {
        while let Some(event) = self.walker.poll_event() {
            match event {
                Ok(Event::File { size, metadata, .. }) => self.file = Some((size, metadata)),
                Ok(Event::Data { offset, bytes, .. }) => return Some(Ok(Output::Data { offset, bytes })),
                Ok(_) => {}
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        if self.ended || !self.walker.is_finished() {
            return None;
        }
        self.ended = true;
        Some(Ok(Output::End))
    }

    /// The length of the whole file in bytes, once its root has come out of the window.
    pub fn file_size(&self) -> Option<u64> {
        self.file.map(|(size, _)| size)
    }

    /// The permissions and time of the file, once its root has come out of the window.
    pub fn metadata(&self) -> Option<Metadata> {
        self.file.map(|(_, metadata)| metadata)
    }

    /// Whether [`Output::End`] or an error has come out.
    pub fn is_finished(&self) -> bool {
        self.ended
    }

    /// The walker behind this reader, which says what is outstanding and how much it holds.
    pub fn walker(&self) -> &Walker {
        &self.walker
    }

    /// The blocks that are waited for, asked for or about to be.
    pub fn outstanding(&self) -> impl Iterator<Item = &Cid> {
        self.walker.outstanding()
    }

    /// About how many bytes a block that is waited for has, from what its parent says.
    pub fn size_hint(&self, cid: &Cid) -> Option<u64> {
        self.walker.size_hint(cid)
    }
}
