//! The one stream per peer on which our answers go out.
//!
//! It is a stream of our own, also where the peer's want stream could carry the answers: boxo does not read them
//! there.

use std::sync::Arc;

use bowline_bitswap::{Message, Token, Version};
use bowline_identity::PeerId;
use bowline_swarm::{Stream, StreamError};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Core, now, wants};

/// Bytes of a message that are written before the server hears of progress.
const PIECE: usize = 256 * 1024;

/// Opens a reply stream and writes the server's messages until the stream fails or the server gives it up.
pub(super) async fn write(
    core: Arc<Core>,
    peer: PeerId,
    mut queue: mpsc::Receiver<(Token, Version, Message)>,
    cancel: CancellationToken,
) {
    let written = cancel.run_until_cancelled(write_all(&core, peer, &mut queue)).await;
    // Cancelled, the server knows already.
    if let Some(Err(error)) = written {
        tracing::debug!(%peer, %error, "a reply stream ended");
        core.decide(|machines| {
            if !cancel.is_cancelled() {
                machines.replies.remove(&peer);
                machines.server.handle_reply_failed(now(), peer);
            }
        });
    }
}

#[derive(Debug, thiserror::Error)]
enum ReplyError {
    #[error(transparent)]
    Open(#[from] bowline_swarm::OpenError),
    #[error(transparent)]
    Stream(#[from] StreamError),
}

async fn write_all(
    core: &Arc<Core>,
    peer: PeerId,
    queue: &mut mpsc::Receiver<(Token, Version, Message)>,
) -> Result<(), ReplyError> {
    let (mut stream, version) = wants::open(core, peer).await?;
    core.decide(|machines| machines.server.handle_reply_open(now(), peer, version));
    loop {
        let next = tokio::select! {
            biased;
            next = queue.recv() => next,
            // A peer that resets the idle stream is noticed before the next answer is written into it.
            ended = stream_end(&mut stream) => return Err(ended),
        };
        let Some((token, version, message)) = next else {
            stream.finish().await?;
            return Ok(());
        };
        let mut frame = message.encode_frame(version);
        while !frame.is_empty() {
            let piece: Bytes = frame.split_to(frame.len().min(PIECE));
            stream.write_chunk(piece).await?;
            core.decide(|machines| machines.server.handle_progress(now(), peer));
        }
        core.decide(|machines| machines.server.handle_sent(now(), token));
    }
}

/// Waits until the peer resets the stream. What it sends here is of no meaning, and its clean end is no reason
/// to stop writing.
async fn stream_end(stream: &mut Stream) -> ReplyError {
    loop {
        match stream.read_chunk(usize::MAX).await {
            Ok(Some(_)) => {}
            Ok(None) => return std::future::pending().await,
            Err(error) => return error.into(),
        }
    }
}
