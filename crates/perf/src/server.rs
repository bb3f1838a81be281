//! The side that counts, then sends.

use thiserror::Error;

use crate::{HEADER_LEN, Transmit, zeros};

/// Why an inbound perf stream must be reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The client closed its side inside the header.
    #[error("the client closed the stream after {received} of {HEADER_LEN} header bytes")]
    ShortHeader {
        /// Header bytes that arrived.
        received: usize,
    },
}

/// The serving side of one perf stream.
///
/// ```text
///  Header ──8 bytes──> Upload ──FIN──> Download ──sent N──> Done
///     └──────FIN──────────────> Done (error)
/// ```
#[derive(Debug, Default)]
pub struct Server {
    state: State,
    received: u64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Header { bytes: [u8; HEADER_LEN], filled: usize },
    Upload { download: u64 },
    Download { remaining: u64 },
    Done,
}

impl Default for State {
    fn default() -> Self {
        Self::Header { bytes: [0; HEADER_LEN], filled: 0 }
    }
}

impl Server {
    /// A fresh stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the client's bytes, in any split. They are counted and forgotten; bytes after the
    /// client's end are ignored.
    pub fn handle_input(&mut self, mut bytes: &[u8]) {
        // spec: perf/split-header
        if let State::Header { bytes: header, filled } = &mut self.state {
            let len = bytes.len().min(HEADER_LEN - *filled);
            let (head, rest) = bytes.split_at(len);
            header[*filled..*filled + len].copy_from_slice(head);
            *filled += len;
            bytes = rest;
            if *filled < HEADER_LEN {
                return;
            }
            self.state = State::Upload { download: u64::from_be_bytes(*header) };
        }
        if let State::Upload { .. } = self.state {
            self.received = self.received.saturating_add(bytes.len() as u64);
        }
    }

    /// The client closed its side: the download begins.
    ///
    /// # Errors
    ///
    /// [`ServerError::ShortHeader`] when the header was not whole; the stream is then reset.
    pub fn handle_end(&mut self) -> Result<(), ServerError> {
        match self.state {
            State::Header { filled, .. } => {
                // spec: perf/short-header
                self.state = State::Done;
                Err(ServerError::ShortHeader { received: filled })
            }
            State::Upload { download } => {
                self.state = State::Download { remaining: download };
                Ok(())
            }
            State::Download { .. } | State::Done => Ok(()),
        }
    }

    /// What to send next: nothing before the client's end, then zeros in pieces of at most `limit`
    /// bytes, then the end. `None` also for `limit` 0.
    #[must_use]
    pub fn poll_transmit(&mut self, limit: usize) -> Option<Transmit> {
        // spec: perf/no-concurrent, perf/download-exact, perf/closes
        let State::Download { remaining } = &mut self.state else {
            return None;
        };
        if *remaining == 0 {
            self.state = State::Done;
            return Some(Transmit::Finish);
        }
        zeros::take(remaining, limit).map(Transmit::Data)
    }

    /// Upload bytes received so far, without the header.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Download bytes that are still to be handed out; `None` before the client's end.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Header { .. } | State::Upload { .. } => None,
            State::Download { remaining } => Some(remaining),
            State::Done => Some(0),
        }
    }
}
