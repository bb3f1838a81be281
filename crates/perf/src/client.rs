//! The side that uploads, then receives, and measures both.

use std::time::{Duration, Instant};

use bytes::Bytes;
use thiserror::Error;

use crate::{HEADER_LEN, Transmit, zeros};

/// What one transfer moved, and how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Upload bytes, without the header.
    pub uploaded: u64,
    /// Download bytes.
    pub downloaded: u64,
    /// From the start until the end of the upload was handed out. The bytes may still be in queues.
    pub upload_time: Duration,
    /// From the start until the first answer, a byte or the end. The server answers only when it
    /// holds the whole upload, so this is the time of the upload plus one way back.
    pub answer_time: Duration,
    /// From the start until the server's end.
    pub total_time: Duration,
}

/// Why a transfer failed. The caller resets the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server sent bytes before the upload ended.
    #[error("the server sent data before the upload ended")]
    EarlyData,
    /// The server sent more than was asked for.
    #[error("the server sent more than the {expected} bytes asked for")]
    TooMuch {
        /// Bytes asked for.
        expected: u64,
    },
    /// The server ended before it had sent everything.
    #[error("the server ended after {received} of {expected} bytes")]
    TooShort {
        /// Bytes that arrived.
        received: u64,
        /// Bytes asked for.
        expected: u64,
    },
}

/// The asking side of one perf stream.
///
/// ```text
///  Header ──> Upload ──Finish handed out──> Download ──server's end──> Done
/// ```
#[derive(Debug)]
pub struct Client {
    state: State,
    upload: u64,
    download: u64,
    uploaded: u64,
    downloaded: u64,
    started: Instant,
    upload_ended: Option<Instant>,
    answered: Option<Instant>,
    error: Option<ClientError>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Header,
    Upload,
    Download,
    Done { at: Instant },
}

impl Client {
    /// A transfer of `upload` bytes to the server and `download` bytes back, started at `now`.
    #[must_use]
    pub fn new(now: Instant, upload: u64, download: u64) -> Self {
        Self {
            state: State::Header,
            upload,
            download,
            uploaded: 0,
            downloaded: 0,
            started: now,
            upload_ended: None,
            answered: None,
            error: None,
        }
    }

    /// What to send next: the header, then zeros in pieces of at most `limit` bytes, then the end.
    ///
    /// The header comes whole whatever the limit.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Instant, limit: usize) -> Option<Transmit> {
        if self.error.is_some() {
            return None;
        }
        match self.state {
            State::Header => {
                self.state = State::Upload;
                let header: [u8; HEADER_LEN] = self.download.to_be_bytes();
                Some(Transmit::Data(Bytes::copy_from_slice(&header)))
            }
            State::Upload if self.uploaded == self.upload => {
                self.state = State::Download;
                self.upload_ended = Some(now);
                Some(Transmit::Finish)
            }
            State::Upload => {
                let mut remaining = self.upload - self.uploaded;
                let bytes = zeros::take(&mut remaining, limit)?;
                self.uploaded = self.upload - remaining;
                Some(Transmit::Data(bytes))
            }
            State::Download | State::Done { .. } => None,
        }
    }

    /// Takes the server's bytes, in any split. They are counted and forgotten.
    ///
    /// # Errors
    ///
    /// [`ClientError`] when the server broke the protocol, now or earlier.
    pub fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> Result<(), ClientError> {
        self.error.map_or(Ok(()), Err)?;
        if bytes.is_empty() {
            return Ok(());
        }
        // spec: perf/no-concurrent
        if let State::Header | State::Upload = self.state {
            return Err(self.fail(ClientError::EarlyData));
        }
        self.answered.get_or_insert(now);
        let received = self.downloaded.saturating_add(bytes.len() as u64);
        // spec: perf/download-exact
        if received > self.download {
            return Err(self.fail(ClientError::TooMuch { expected: self.download }));
        }
        self.downloaded = received;
        Ok(())
    }

    /// The server closed its side.
    ///
    /// # Errors
    ///
    /// [`ClientError`] when it did so too early, now or earlier.
    pub fn handle_end(&mut self, now: Instant) -> Result<(), ClientError> {
        self.error.map_or(Ok(()), Err)?;
        let upload_unfinished = matches!(self.state, State::Header | State::Upload);
        if upload_unfinished || self.downloaded < self.download {
            let error = ClientError::TooShort { received: self.downloaded, expected: self.download };
            return Err(self.fail(error));
        }
        if let State::Download = self.state {
            self.answered.get_or_insert(now);
            self.state = State::Done { at: now };
        }
        Ok(())
    }

    /// What the transfer measured; `None` until the server's end, and after an error.
    #[must_use]
    pub fn report(&self) -> Option<Report> {
        let State::Done { at } = self.state else {
            return None;
        };
        let since_start = |instant: Instant| instant.saturating_duration_since(self.started);
        Some(Report {
            uploaded: self.uploaded,
            downloaded: self.downloaded,
            upload_time: since_start(self.upload_ended?),
            answer_time: since_start(self.answered?),
            total_time: since_start(at),
        })
    }

    /// Upload bytes handed out so far.
    #[must_use]
    pub fn uploaded(&self) -> u64 {
        self.uploaded
    }

    /// Download bytes received so far.
    #[must_use]
    pub fn downloaded(&self) -> u64 {
        self.downloaded
    }

    fn fail(&mut self, error: ClientError) -> ClientError {
        self.error = Some(error);
        error
    }
}
