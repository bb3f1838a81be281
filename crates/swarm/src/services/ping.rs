//! ping on a host.

use std::{fmt, sync::Arc, time::Duration};

use bowline_ping::{Initiator, PING_TIMEOUT, Responder};
use bytes::Bytes;
use tokio::time::{Instant, timeout, timeout_at};

use crate::{PingError, Stream, StreamError, clock::now, island::Island};

/// Measures round trips to one peer, over one stream.
pub struct Pinger {
    stream: Stream,
    machine: Initiator,
}

impl Pinger {
    pub(crate) fn new(stream: Stream, seed: [u8; 32]) -> Self {
        Self { stream, machine: Initiator::new(seed) }
    }

    /// Sends one ping and waits at most ten seconds for its answer.
    ///
    /// # Errors
    ///
    /// When the answer is late or wrong or the stream ends; the pinger is of no use after that.
    ///
    /// # Cancel safety
    ///
    /// Not cancel-safe: the answer to an abandoned ping is taken for that of the next.
    pub async fn ping(&mut self) -> Result<Duration, PingError> {
        timeout(PING_TIMEOUT, self.ping_once())
            .await
            .unwrap_or(Err(PingError::TimedOut { after: PING_TIMEOUT }))
    }

    async fn ping_once(&mut self) -> Result<Duration, PingError> {
        self.machine.ping().map_err(|_| PingError::Mismatch)?;
        while let Some(payload) = self.machine.poll_transmit(now()) {
            self.stream.write_chunk(payload).await?;
        }
        loop {
            if let Some(pong) = self.machine.poll_pong() {
                return Ok(pong.rtt);
            }
            let read = self.stream.read_chunk(usize::MAX).await?;
            let bytes = read.ok_or(PingError::Stream(StreamError::UnexpectedEnd))?;
            self.machine.handle_input(now(), &bytes).map_err(|_| PingError::Mismatch)?;
        }
    }

    /// Ends the stream cleanly.
    pub async fn finish(mut self) {
        // Whoever has what it wanted does not care how the stream ends.
        let _ended = self.stream.finish().await;
    }
}

impl fmt::Debug for Pinger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinger").field("peer", &self.stream.peer()).finish_non_exhaustive()
    }
}

/// Echoes what the peer sends until it ends the stream or falls silent.
pub(crate) async fn answer(_: Arc<Island>, mut stream: Stream) {
    let ended = echo(&mut stream).await;
    tracing::trace!(peer = %stream.peer(), ?ended, "a ping stream ended");
}

async fn echo(stream: &mut Stream) -> Result<(), StreamError> {
    let mut machine = Responder::new(now());
    let mut input = Bytes::new();
    loop {
        machine.handle_input(now(), &mut input);
        while let Some(echo) = machine.poll_transmit() {
            stream.write_chunk(echo).await?;
            machine.handle_input(now(), &mut input);
        }
        let Some(deadline) = machine.poll_timeout().filter(|_| !machine.is_finished()) else {
            return stream.finish().await;
        };
        let ended = match timeout_at(Instant::from_std(deadline), stream.read_chunk(usize::MAX)).await {
            Ok(Ok(Some(bytes))) => {
                input = bytes;
                continue;
            }
            Ok(Ok(None)) => machine.handle_end(),
            Ok(Err(error)) => return Err(error),
            Err(_) => machine.handle_timeout(now()),
        };
        if ended.is_err() {
            stream.reset(0);
            return Err(StreamError::UnexpectedEnd);
        }
    }
}
