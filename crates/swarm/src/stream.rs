//! A stream as the application sees it.

use std::{
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bowline_identity::PeerId;
use bowline_multistream::{Dialer, NegotiationError, ProtocolId};
use bowline_transport::{MuxedConnection, Party, StreamId};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{ConnectionId, Direction, StreamError, island::StreamPermit};

/// The most bytes that one [`AsyncWrite`] call copies.
const WRITE_CHUNK: usize = 64 * 1024;

/// How long a stream that was finished and dropped waits for the peer to agree on its protocol.
const LINGER: Duration = Duration::from_secs(10);

/// A stream to or from a peer: ordered bytes in both directions, each ended on its own.
///
/// It is a tokio [`AsyncRead`] and [`AsyncWrite`]; [`read_chunk`](Self::read_chunk) and
/// [`write_chunk`](Self::write_chunk) move the same bytes without copying them.
///
/// **Ends.** [`finish`](Self::finish) (or `shutdown`) ends our direction; everything written before it is
/// delivered, also when the stream is dropped right after. Dropping a stream that was not finished resets it:
/// the peer sees an error, never a clean end. A reset by the peer is an error here, never an end of file.
///
/// **Negotiation.** A stream that was opened with one protocol is usable at once: what is written goes out behind
/// the proposal, and the first read brings the peer's answer. If the peer refuses, every later operation
/// fails with [`StreamError::Refused`], and nothing that was written counts as delivered.
/// [`negotiated`](Self::negotiated) waits for certainty.
pub struct Stream {
    inner: Inner,
    negotiation: Negotiation,
    /// The part of the last chunk that a small read left.
    rest: Bytes,
    finished: bool,
}

/// What names a stream and gives it back.
pub(crate) struct Inner {
    pub(crate) connection: Arc<dyn MuxedConnection>,
    pub(crate) id: StreamId,
    pub(crate) peer: PeerId,
    pub(crate) connection_id: ConnectionId,
    pub(crate) protocol: ProtocolId,
    pub(crate) direction: Direction,
    pub(crate) permit: StreamPermit,
}

/// Whether the peer agreed on the protocol.
enum Negotiation {
    Agreed,
    Awaiting { dialer: Dialer, input: BytesMut },
    Failed(StreamError),
}

impl Stream {
    pub(crate) fn agreed(inner: Inner, rest: Bytes) -> Self {
        Self { inner, negotiation: Negotiation::Agreed, rest, finished: false }
    }

    /// A stream whose proposal is sent and whose answer is still to come.
    pub(crate) fn awaiting(inner: Inner, dialer: Dialer) -> Self {
        let negotiation = Negotiation::Awaiting { dialer, input: BytesMut::new() };
        Self { inner, negotiation, rest: Bytes::new(), finished: false }
    }

    /// The peer at the other end.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.inner.peer
    }

    /// The protocol that the stream was opened for.
    #[must_use]
    pub fn protocol(&self) -> &ProtocolId {
        &self.inner.protocol
    }

    /// The connection that carries the stream.
    #[must_use]
    pub fn connection_id(&self) -> ConnectionId {
        self.inner.connection_id
    }

    /// Who opened the stream.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.inner.direction
    }

    /// Waits until the peer has agreed on the protocol.
    ///
    /// # Errors
    ///
    /// [`StreamError::Refused`] when it did not, and whatever ends the stream before its answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn negotiated(&mut self) -> Result<(), StreamError> {
        poll_fn(|cx| self.poll_negotiated(cx)).await
    }

    /// Reads the next bytes, at most `max`; `Ok(None)` is the clean end.
    ///
    /// # Errors
    ///
    /// When the stream was reset, refused, or its connection ended: what came before is then not the whole.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a dropped future loses no bytes.
    pub async fn read_chunk(&mut self, max: usize) -> Result<Option<Bytes>, StreamError> {
        poll_fn(|cx| self.poll_read_chunk(cx, max)).await
    }

    /// Reads to the clean end.
    ///
    /// # Errors
    ///
    /// [`StreamError::TooLong`] when there is more than `limit` bytes, and as [`read_chunk`](Self::read_chunk).
    ///
    /// # Cancel safety
    ///
    /// Not cancel-safe: what a dropped future had read is lost.
    pub async fn read_to_end(&mut self, limit: usize) -> Result<Vec<u8>, StreamError> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.read_chunk(usize::MAX).await? {
            if chunk.len() > limit - whole.len() {
                return Err(StreamError::TooLong { limit });
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole)
    }

    /// Writes all of `data`, without copying large pieces. Waits while the peer or the link is slow.
    ///
    /// # Errors
    ///
    /// When the stream was finished, reset, refused, or its connection ended.
    ///
    /// # Cancel safety
    ///
    /// Not cancel-safe: a prefix may have been written when the future is dropped.
    pub async fn write_chunk(&mut self, mut data: Bytes) -> Result<(), StreamError> {
        while !data.is_empty() {
            poll_fn(|cx| self.poll_write_bytes(cx, &mut data)).await?;
        }
        Ok(())
    }

    /// Ends our direction. Everything written before is delivered, also when the stream is dropped next.
    ///
    /// # Errors
    ///
    /// When the stream was finished before, reset, or its connection ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: it does not wait.
    pub async fn finish(&mut self) -> Result<(), StreamError> {
        self.finish_now()
    }

    fn finish_now(&mut self) -> Result<(), StreamError> {
        if let Negotiation::Failed(error) = &self.negotiation {
            return Err(error.clone());
        }
        self.inner.connection.finish(self.inner.id)?;
        self.finished = true;
        Ok(())
    }

    /// Ends both directions at once; the peer sees an error with `code`.
    pub fn reset(&mut self, code: u32) {
        self.inner.connection.reset(self.inner.id, code);
        self.negotiation = Negotiation::Failed(StreamError::Reset { code, by: Party::Local });
        self.rest = Bytes::new();
    }

    fn poll_negotiated(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        loop {
            let Negotiation::Awaiting { dialer, input } = &mut self.negotiation else {
                return Poll::Ready(match &self.negotiation {
                    Negotiation::Failed(error) => Err(error.clone()),
                    _ => Ok(()),
                });
            };
            let outcome = match dialer.handle_input(input) {
                Ok(Some(_)) => {
                    self.rest = std::mem::take(input).freeze();
                    self.negotiation = Negotiation::Agreed;
                    continue;
                }
                Ok(None) => ready!(self.inner.connection.poll_read(cx, self.inner.id, usize::MAX)),
                Err(NegotiationError::Refused { .. }) => {
                    self.fail(StreamError::Refused { protocol: self.inner.protocol.clone() });
                    continue;
                }
                Err(error) => {
                    self.fail(StreamError::Negotiation(error));
                    continue;
                }
            };
            match outcome {
                Ok(Some(bytes)) => input.extend_from_slice(&bytes),
                Ok(None) => self.fail(StreamError::UnexpectedEnd),
                Err(error) => self.fail(error.into()),
            }
        }
    }

    /// Ends a stream that was never agreed on.
    fn fail(&mut self, error: StreamError) {
        self.inner.connection.reset(self.inner.id, bowline_yamux::code::stream::NEGOTIATION_FAILED);
        self.negotiation = Negotiation::Failed(error);
    }

    fn poll_read_chunk(
        &mut self,
        cx: &mut Context<'_>,
        max: usize,
    ) -> Poll<Result<Option<Bytes>, StreamError>> {
        ready!(self.poll_negotiated(cx))?;
        if !self.rest.is_empty() {
            return Poll::Ready(Ok(Some(self.rest.split_to(self.rest.len().min(max)))));
        }
        let read = ready!(self.inner.connection.poll_read(cx, self.inner.id, max));
        Poll::Ready(read.map_err(StreamError::from))
    }

    fn poll_write_bytes(
        &mut self,
        cx: &mut Context<'_>,
        data: &mut Bytes,
    ) -> Poll<Result<usize, StreamError>> {
        self.poll_write_with(cx, |inner, cx| inner.connection.poll_write(cx, inner.id, data))
    }

    fn poll_write_with(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(&Inner, &mut Context<'_>) -> Poll<Result<usize, bowline_transport::StreamError>>,
    ) -> Poll<Result<usize, StreamError>> {
        if let Negotiation::Failed(error) = &self.negotiation {
            return Poll::Ready(Err(error.clone()));
        }
        let written = write(&self.inner, cx);
        let Poll::Ready(Err(error)) = written else {
            return written.map_err(StreamError::from);
        };
        // A peer that refuses may reset the stream at once: what the application did wrong is the better answer.
        if let Poll::Ready(Err(refused)) = self.poll_negotiated(cx) {
            return Poll::Ready(Err(refused));
        }
        Poll::Ready(Err(error.into()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let chunk = ready!(self.get_mut().poll_read_chunk(cx, buf.remaining()))?;
        if let Some(chunk) = chunk {
            buf.put_slice(&chunk);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let data = buf.get(..WRITE_CHUNK).unwrap_or(buf);
        let stream = self.get_mut();
        let written =
            stream.poll_write_with(cx, |inner, cx| inner.connection.poll_write_slice(cx, inner.id, data));
        Poll::Ready(Ok(ready!(written)?))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's task sends what it has without being asked.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if stream.finished {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(stream.finish_now().map_err(io::Error::from))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let awaiting = matches!(self.negotiation, Negotiation::Awaiting { .. });
        if !(self.finished && awaiting) {
            self.inner.connection.release(self.inner.id);
            return;
        }
        // The peer's answer is still to come. Released now, it would meet a reset, and the peer might lose what
        // was written before it; so the answer is waited for first.
        let negotiation = std::mem::replace(&mut self.negotiation, Negotiation::Agreed);
        let mut lingering =
            Lingering { connection: Arc::clone(&self.inner.connection), id: self.inner.id, negotiation };
        self.inner.permit.spawn(async move {
            let _outcome = tokio::time::timeout(LINGER, lingering.answered()).await;
        });
    }
}

/// A finished, dropped stream whose protocol is not agreed on yet.
struct Lingering {
    connection: Arc<dyn MuxedConnection>,
    id: StreamId,
    negotiation: Negotiation,
}

impl Lingering {
    /// Waits until the peer has answered or the stream has ended.
    async fn answered(&mut self) {
        let Negotiation::Awaiting { dialer, input } = &mut self.negotiation else {
            return;
        };
        while let Ok(None) = dialer.handle_input(input) {
            match poll_fn(|cx| self.connection.poll_read(cx, self.id, usize::MAX)).await {
                Ok(Some(bytes)) => input.extend_from_slice(&bytes),
                Ok(None) | Err(_) => return,
            }
        }
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        self.connection.release(self.id);
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("peer", &self.inner.peer)
            .field("protocol", &self.inner.protocol)
            .field("connection", &self.inner.connection_id)
            .field("id", &self.inner.id.0)
            .finish_non_exhaustive()
    }
}
