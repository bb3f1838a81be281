//! Reads what a peer sends on an identify or push stream.

use bowline_identity::{Multiaddr, PeerId};
use bowline_wire::{FrameDecoder, FrameError};
use bytes::Bytes;
use prost::Message;
use thiserror::Error;

use crate::{Info, MAX_MESSAGE, MAX_MESSAGES, MAX_TOTAL, generated::identify::Identify};

/// Why nothing can be taken from an identify or push stream. The peer is at fault; the stream is reset,
/// the connection goes on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// A length prefix is malformed or announces more than [`MAX_MESSAGE`].
    #[error("the peer's identify message: {0}")]
    Frame(#[from] FrameError),
    /// More than [`MAX_TOTAL`] bytes.
    #[error("the peer sent more than {MAX_TOTAL} bytes of identify messages")]
    TooManyBytes,
    /// More than [`MAX_MESSAGES`] messages.
    #[error("the peer sent more than {MAX_MESSAGES} identify messages")]
    TooManyMessages,
    /// A message is no protobuf, or a text in it is not UTF-8.
    #[error("the peer's identify message does not decode: {reason}")]
    Malformed {
        /// What the decoder found.
        reason: String,
    },
    /// The peer closed its side inside a message.
    #[error("the peer's identify message is cut off")]
    Truncated,
    /// The peer closed its side without any message.
    #[error("the peer sent no identify message")]
    Empty,
}

/// Collects the messages on one stream, in any split, until the peer's FIN.
///
/// Several messages are merged as protobuf merges them: lists are joined, of a single field the last one
/// counts. Memory is bounded by [`MAX_TOTAL`], the number of decoded entries by half of it.
#[derive(Debug)]
pub struct Receiver {
    peer: PeerId,
    remote_addr: Multiaddr,
    decoder: FrameDecoder,
    merged: Identify,
    messages: usize,
    received: usize,
    error: Option<ReceiveError>,
}

impl Receiver {
    /// A stream from `peer`, proven by the handshake, whose socket address is `remote_addr`.
    #[must_use]
    pub fn new(peer: PeerId, remote_addr: &Multiaddr) -> Self {
        Self {
            peer,
            remote_addr: remote_addr.clone(),
            decoder: FrameDecoder::new(MAX_MESSAGE),
            merged: Identify::default(),
            messages: 0,
            received: 0,
            error: None,
        }
    }

    /// Takes the peer's bytes, in any split.
    ///
    /// # Errors
    ///
    /// [`ReceiveError`] when the peer broke a limit or the format, now or earlier.
    pub fn handle_input(&mut self, bytes: Bytes) -> Result<(), ReceiveError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        self.take(bytes).inspect_err(|error| self.error = Some(error.clone()))
    }

    /// The peer closed its side: what it told.
    ///
    /// # Errors
    ///
    /// [`ReceiveError`] when it stopped inside a message or sent none, or the earlier error.
    pub fn finish(self) -> Result<Info, ReceiveError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if !self.decoder.is_clean() {
            return Err(ReceiveError::Truncated);
        }
        if self.messages == 0 {
            return Err(ReceiveError::Empty);
        }
        Ok(Info::from_message(self.merged, self.peer, &self.remote_addr))
    }

    fn take(&mut self, bytes: Bytes) -> Result<(), ReceiveError> {
        self.received = self.received.saturating_add(bytes.len());
        if self.received > MAX_TOTAL {
            return Err(ReceiveError::TooManyBytes);
        }
        self.decoder.push(bytes);
        // spec: identify/length-prefix, identify/rx-merge-messages, identify/rx-large, push/oversize
        while let Some(frame) = self.decoder.next_frame()? {
            self.messages += 1;
            if self.messages > MAX_MESSAGES {
                return Err(ReceiveError::TooManyMessages);
            }
            // spec: identify/rx-unknown-field, identify/rx-empty-message, push/garbage
            let merged = self.merged.merge(frame);
            merged.map_err(|error| ReceiveError::Malformed { reason: error.to_string() })?;
        }
        Ok(())
    }
}
