//! The side that echoes.

use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use crate::{IDLE_TIMEOUT, MAX_BUFFERED, PAYLOAD_LEN};

/// Why an inbound ping stream must be reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResponderError {
    /// The peer closed its side, or fell silent, in the middle of a payload.
    #[error("the peer stopped after {received} of {PAYLOAD_LEN} bytes of a ping")]
    Partial {
        /// Bytes of the unfinished payload.
        received: usize,
    },
}

/// The echoing side of one ping stream.
///
/// Whole payloads are echoed, in any framing; a partial one is held until it is whole. At most
/// [`MAX_BUFFERED`] bytes are held: a peer that sends without reading is met by back-pressure.
#[derive(Debug)]
pub struct Responder {
    buffer: BytesMut,
    /// When the stream opened or a payload last became whole.
    active: Instant,
    ended: bool,
}

impl Responder {
    /// A fresh stream, opened at `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { buffer: BytesMut::new(), active: now, ended: false }
    }

    /// Takes bytes off `input`, as many as fit.
    ///
    /// What remains in `input` is to be offered again after [`poll_transmit`](Self::poll_transmit);
    /// until then the caller reads no more from the stream. Bytes after the end are dropped.
    pub fn handle_input(&mut self, now: Instant, input: &mut Bytes) {
        if self.ended {
            input.clear();
            return;
        }
        let whole_before = self.buffer.len() / PAYLOAD_LEN;
        let len = input.len().min(MAX_BUFFERED - self.buffer.len());
        self.buffer.extend_from_slice(&input[..len]);
        input.advance(len);
        if self.buffer.len() / PAYLOAD_LEN > whole_before {
            self.active = now;
        }
    }

    /// The peer closed its side of the stream.
    ///
    /// # Errors
    ///
    /// [`ResponderError::Partial`] when a payload was cut short. The whole payloads before it can
    /// still be drained; then the stream is reset.
    pub fn handle_end(&mut self) -> Result<(), ResponderError> {
        // spec: ping/partial-then-fin
        self.end()
    }

    /// Ends the stream when no payload became whole for [`IDLE_TIMEOUT`]; a no-op before that.
    ///
    /// # Errors
    ///
    /// [`ResponderError::Partial`] when the peer stopped inside a payload.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ResponderError> {
        // spec: ping/idle
        match self.poll_timeout() {
            Some(deadline) if deadline <= now => self.end(),
            _ => Ok(()),
        }
    }

    /// Whole payloads to send back: a multiple of 32 bytes.
    #[must_use]
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        // spec: ping/echo-32, ping/split-payload, ping/partial-holds
        let whole = self.buffer.len() - self.buffer.len() % PAYLOAD_LEN;
        (whole > 0).then(|| self.buffer.split_to(whole).freeze())
    }

    /// True when everything is echoed and the caller should close its side of the stream.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        // spec: ping/fin-closes, ping/fin-with-last
        self.ended && self.buffer.is_empty()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        (!self.ended).then(|| self.active + IDLE_TIMEOUT)
    }

    fn end(&mut self) -> Result<(), ResponderError> {
        if self.ended {
            return Ok(());
        }
        self.ended = true;
        let received = self.buffer.len() % PAYLOAD_LEN;
        self.buffer.truncate(self.buffer.len() - received);
        if received == 0 { Ok(()) } else { Err(ResponderError::Partial { received }) }
    }
}
