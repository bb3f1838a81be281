//! The side that asks and measures.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{MAX_OUTSTANDING, PAYLOAD_LEN, PING_TIMEOUT};

/// A measured round trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pong {
    /// Which ping of this stream it was, counted from 0.
    pub sequence: u64,
    /// From handing the payload out to the last byte of its echo.
    pub rtt: Duration,
}

/// Why a ping could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StartError {
    /// [`MAX_OUTSTANDING`] pings are queued, under way or not collected; collect some first.
    #[error("{MAX_OUTSTANDING} pings are outstanding")]
    TooMany,
    /// [`Initiator::finish`] was called.
    #[error("the ping stream was finished")]
    Finished,
    /// The stream failed earlier.
    #[error("the ping stream failed")]
    Failed(#[source] PingError),
}

/// Why a ping stream ended. The caller resets the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PingError {
    /// The peer answered with other bytes: a protocol violation.
    #[error("the peer echoed other bytes than it was sent")]
    WrongEcho,
    /// The peer sent bytes that no ping asked for: a protocol violation.
    #[error("the peer sent bytes that no ping asked for")]
    Unrequested,
    /// The peer did not answer in time.
    #[error("the peer did not echo within {} s", PING_TIMEOUT.as_secs())]
    TimedOut,
    /// The peer closed its side with pings unanswered.
    #[error("the peer closed the stream with {waiting} pings unanswered")]
    Ended {
        /// Pings that were handed out and not echoed in full.
        waiting: usize,
    },
}

/// The asking side of one ping stream.
///
/// Several pings may be under way at once; echoes come back in the order of the pings. After an
/// error every further call reports it, and the pongs measured before it can still be collected.
#[derive(Debug)]
pub struct Initiator {
    payloads: Payloads,
    /// Asked for, not handed out yet.
    queued: usize,
    in_flight: VecDeque<InFlight>,
    /// Bytes of the oldest echo that are back.
    matched: usize,
    pongs: VecDeque<Pong>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Finishing,
    Failed(PingError),
}

#[derive(Debug)]
struct InFlight {
    sequence: u64,
    payload: [u8; PAYLOAD_LEN],
    sent: Instant,
}

impl Initiator {
    /// A fresh stream. Payloads are derived from `seed`, which must be unpredictable to the peer:
    /// a peer that can guess a payload can answer early and look nearer than it is.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self {
            payloads: Payloads { seed, next: 0 },
            queued: 0,
            in_flight: VecDeque::new(),
            matched: 0,
            pongs: VecDeque::new(),
            state: State::Open,
        }
    }

    /// Asks for one more ping; [`poll_transmit`](Self::poll_transmit) hands its payload out.
    ///
    /// # Errors
    ///
    /// [`StartError`] when too many are outstanding, or the stream is finished or failed.
    pub fn ping(&mut self) -> Result<(), StartError> {
        match self.state {
            State::Open => {}
            State::Finishing => return Err(StartError::Finished),
            State::Failed(error) => return Err(StartError::Failed(error)),
        }
        if self.outstanding() >= MAX_OUTSTANDING {
            return Err(StartError::TooMany);
        }
        self.queued += 1;
        Ok(())
    }

    /// The next payload to send, 32 bytes. Its clock starts at `now`.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        if self.failure().is_some() || self.queued == 0 {
            return None;
        }
        self.queued -= 1;
        // spec: ping/dialer-32-random
        let (sequence, payload) = self.payloads.take();
        self.in_flight.push_back(InFlight { sequence, payload, sent: now });
        Some(Bytes::copy_from_slice(&payload))
    }

    /// Takes echoed bytes, in any split.
    ///
    /// # Errors
    ///
    /// [`PingError`] when the peer broke the protocol, now or earlier.
    pub fn handle_input(&mut self, now: Instant, mut bytes: &[u8]) -> Result<(), PingError> {
        self.failure().map_or(Ok(()), Err)?;
        while !bytes.is_empty() {
            let Some(oldest) = self.in_flight.front() else {
                return Err(self.fail(PingError::Unrequested));
            };
            let expected = &oldest.payload[self.matched..];
            let len = expected.len().min(bytes.len());
            let (echo, rest) = bytes.split_at(len);
            // spec: ping/dialer-wrong-echo
            if echo != &expected[..len] {
                return Err(self.fail(PingError::WrongEcho));
            }
            self.matched += len;
            bytes = rest;
            if self.matched == PAYLOAD_LEN {
                self.complete_oldest(now);
            }
        }
        Ok(())
    }

    /// The peer closed its side of the stream.
    ///
    /// # Errors
    ///
    /// [`PingError::Ended`] when pings are unanswered, or the earlier error.
    pub fn handle_end(&mut self) -> Result<(), PingError> {
        self.failure().map_or(Ok(()), Err)?;
        let waiting = self.in_flight.len() + self.queued;
        if waiting > 0 {
            return Err(self.fail(PingError::Ended { waiting }));
        }
        self.state = State::Finishing;
        Ok(())
    }

    /// Fails the stream when the oldest ping is overdue; a no-op before that.
    ///
    /// # Errors
    ///
    /// [`PingError::TimedOut`], or the earlier error.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), PingError> {
        self.failure().map_or(Ok(()), Err)?;
        // spec: ping/dialer-no-echo
        match self.poll_timeout() {
            Some(deadline) if deadline <= now => Err(self.fail(PingError::TimedOut)),
            _ => Ok(()),
        }
    }

    /// No more pings. What was asked for is still sent and awaited.
    pub fn finish(&mut self) {
        if self.state == State::Open {
            self.state = State::Finishing;
        }
    }

    /// True when the caller should close its side of the stream: finished, and every echo is back.
    ///
    /// The FIN waits for the last echo because deployed responders lose a FIN, or the echo, when
    /// both arrive in one burst.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        // spec: ping/dialer-fin
        self.state == State::Finishing && self.queued == 0 && self.in_flight.is_empty()
    }

    /// The next measured round trip, oldest first.
    #[must_use]
    pub fn poll_pong(&mut self) -> Option<Pong> {
        self.pongs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.failure().is_some() {
            return None;
        }
        self.in_flight.front().map(|oldest| oldest.sent + PING_TIMEOUT)
    }

    /// Pings queued, under way, or measured and not collected.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.queued + self.in_flight.len() + self.pongs.len()
    }

    fn complete_oldest(&mut self, now: Instant) {
        self.matched = 0;
        if let Some(done) = self.in_flight.pop_front() {
            let rtt = now.saturating_duration_since(done.sent);
            self.pongs.push_back(Pong { sequence: done.sequence, rtt });
        }
    }

    fn failure(&self) -> Option<PingError> {
        match self.state {
            State::Failed(error) => Some(error),
            State::Open | State::Finishing => None,
        }
    }

    fn fail(&mut self, error: PingError) -> PingError {
        self.state = State::Failed(error);
        self.queued = 0;
        self.in_flight.clear();
        error
    }
}

/// Payloads that never repeat on one stream and that the peer cannot foresee from earlier ones.
struct Payloads {
    seed: [u8; 32],
    next: u64,
}

impl Payloads {
    fn take(&mut self) -> (u64, [u8; PAYLOAD_LEN]) {
        let sequence = self.next;
        self.next = self.next.wrapping_add(1);
        let digest = Sha256::new().chain_update(self.seed).chain_update(sequence.to_be_bytes()).finalize();
        (sequence, digest.into())
    }
}

impl std::fmt::Debug for Payloads {
    /// Leaves the seed out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payloads").field("next", &self.next).finish_non_exhaustive()
    }
}
