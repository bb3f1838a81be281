//! Streams on which peers send us messages: wantlists, blocks, presences.

use std::sync::Arc;

use bowline_bitswap::{DecodeError, MAX_MESSAGE, Message, UnverifiedBlock, Version};
use bowline_block::{BlockError, VerifiedBlock};
use bowline_identity::PeerId;
use bowline_swarm::{Stream, StreamError, code};
use bowline_wire::{FrameDecoder, FrameError};
use bytes::Bytes;
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesOrdered};

use super::{Core, now};

/// Messages of one stream whose blocks are hashed at the same time; then the stream waits. A message has at
/// most 4 MiB.
const MAX_HASHING: usize = 4;

/// Why a stream of messages ends early. The peer is at fault in all cases but the first.
#[derive(Debug, thiserror::Error)]
pub(super) enum InboundError {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("the stream ended inside a message")]
    Truncated,
}

/// Reads messages until the peer ends the stream.
pub(super) async fn read(core: Arc<Core>, version: Version, mut stream: Stream) {
    let peer = stream.peer();
    let mut messages = Messages::new(core, peer, version);
    let ended = loop {
        tokio::select! {
            biased;
            Some(verified) = messages.hashing.next(), if !messages.hashing.is_empty() => messages.take(verified),
            read = stream.read_chunk(usize::MAX), if messages.hashing.len() < MAX_HASHING => match read {
                Ok(Some(bytes)) => if let Err(error) = messages.handle_input(bytes) { break Err(error) },
                Ok(None) => break messages.end().await,
                Err(error) => break Err(error.into()),
            },
        }
    };
    messages.settle().await;
    match ended {
        Ok(()) => {
            // Nothing was going to be said on this stream.
            let _ended = stream.finish().await;
        }
        Err(InboundError::Stream(error)) => tracing::trace!(%peer, %error, "a bitswap stream was cut"),
        Err(error) => {
            // spec: bitswap/garbage — the stream ends, the connection stays.
            tracing::debug!(%peer, %error, "a bitswap stream is malformed");
            stream.reset(code::stream::VIOLATION);
        }
    }
}

/// The outcome of hashing the blocks of one message.
type Verified = Vec<Result<VerifiedBlock, BlockError>>;

/// The messages of one stream, on their way to the machines.
pub(super) struct Messages {
    core: Arc<Core>,
    peer: PeerId,
    version: Version,
    frames: FrameDecoder,
    pub(super) hashing: FuturesOrdered<BoxFuture<'static, Verified>>,
}

impl Messages {
    pub(super) fn new(core: Arc<Core>, peer: PeerId, version: Version) -> Self {
        let frames = FrameDecoder::new(MAX_MESSAGE);
        Self { core, peer, version, frames, hashing: FuturesOrdered::new() }
    }

    pub(super) fn handle_input(&mut self, bytes: Bytes) -> Result<(), InboundError> {
        self.frames.push(bytes);
        while let Some(body) = self.frames.next_frame()? {
            if !body.is_empty() {
                self.handle_message(Message::decode(body)?.message);
            }
        }
        Ok(())
    }

    fn handle_message(&mut self, mut message: Message) {
        let blocks = std::mem::take(&mut message.blocks);
        let (peer, version) = (self.peer, self.version);
        self.core.decide(|machines| {
            machines.server.handle_message(peer, version, &message);
            machines.fetcher.handle_message(now(), peer, &message);
        });
        if !blocks.is_empty() {
            let hashed = self
                .core
                .off_load
                .run(move || blocks.into_iter().map(UnverifiedBlock::verify).collect::<Verified>());
            self.hashing.push_back(Box::pin(hashed));
        }
    }

    /// Hands hashed blocks to the fetcher, which keeps only what is wanted.
    pub(super) fn take(&mut self, verified: Verified) {
        let peer = self.peer;
        self.core.decide(|machines| {
            for block in verified {
                match block {
                    Ok(block) => {
                        let _receipt = machines.fetcher.handle_block(now(), peer, block);
                    }
                    Err(error) => {
                        tracing::debug!(%peer, %error, "a block cannot be verified");
                        machines.fetcher.handle_bad_block(now(), peer);
                    }
                }
            }
        });
    }

    /// The peer ended the stream: what is being hashed still counts.
    pub(super) async fn end(&mut self) -> Result<(), InboundError> {
        self.settle().await;
        if self.frames.is_clean() { Ok(()) } else { Err(InboundError::Truncated) }
    }

    /// Waits for the hashing that is under way.
    pub(super) async fn settle(&mut self) {
        while let Some(verified) = self.hashing.next().await {
            self.take(verified);
        }
    }
}
