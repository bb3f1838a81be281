//! perf on a host.

use std::sync::Arc;

use bowline_perf::{Client, Report, Server, Transmit};

use crate::{Stream, StreamError, clock::now, island::Island};

/// Transfers that one peer may run at once.
pub(crate) const MAX_INBOUND_STREAMS: usize = 4;

/// Bytes that one step of a transfer hands to the stream.
const PIECE: usize = 64 * 1024;

/// Why a transfer failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PerfError {
    /// The stream could not be opened.
    #[error(transparent)]
    Open(#[from] crate::OpenError),
    /// The stream failed.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The server broke the protocol.
    #[error(transparent)]
    Protocol(#[from] bowline_perf::ClientError),
}

/// Runs one transfer over a stream that was opened for it.
pub(crate) async fn measure(mut stream: Stream, upload: u64, download: u64) -> Result<Report, PerfError> {
    let mut machine = Client::new(now(), upload, download);
    while let Some(transmit) = machine.poll_transmit(now(), PIECE) {
        match transmit {
            Transmit::Data(bytes) => stream.write_chunk(bytes).await?,
            Transmit::Finish => stream.finish().await?,
        }
    }
    while let Some(bytes) = stream.read_chunk(usize::MAX).await? {
        machine.handle_input(now(), &bytes)?;
    }
    machine.handle_end(now())?;
    machine.report().ok_or(PerfError::Stream(StreamError::UnexpectedEnd))
}

/// Serves one transfer.
pub(crate) async fn answer(_: Arc<Island>, mut stream: Stream) {
    let ended = transfer(&mut stream).await;
    tracing::debug!(peer = %stream.peer(), ?ended, "a perf transfer ended");
}

async fn transfer(stream: &mut Stream) -> Result<(), StreamError> {
    let mut machine = Server::new();
    while let Some(bytes) = stream.read_chunk(usize::MAX).await? {
        machine.handle_input(&bytes);
    }
    if machine.handle_end().is_err() {
        stream.reset(bowline_yamux::code::stream::VIOLATION);
        return Err(StreamError::UnexpectedEnd);
    }
    while let Some(transmit) = machine.poll_transmit(PIECE) {
        match transmit {
            Transmit::Data(bytes) => stream.write_chunk(bytes).await?,
            Transmit::Finish => stream.finish().await?,
        }
    }
    Ok(())
}
