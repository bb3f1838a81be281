//! A raw byte stream, in two halves.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, WriteHalf};

/// The half of a [`Socket`] that is read.
pub type SocketReader = Box<dyn AsyncRead + Send + Unpin>;

/// The half of a [`Socket`] that is written.
pub type SocketWriter = Box<dyn SocketWrite>;

/// Writes to a socket. Dropping it must not lose what was written.
pub trait SocketWrite: AsyncWrite + Send + Unpin {
    /// Lets about `bytes` wait unsent in the system, which then takes no more until the path has taken some: nothing
    /// can overtake what waits there, and a path that is fast needs more. By default there is no such limit.
    fn limit_unsent(&self, bytes: usize) {
        let _unlimited = bytes;
    }
}

impl<T: AsyncWrite + Send> SocketWrite for WriteHalf<T> {}

/// A raw byte stream between two ends: a TCP socket or the like.
///
/// Its halves may be used by two tasks at a time, and neither may wait for the other.
pub struct Socket {
    /// The half that is read.
    pub reader: SocketReader,
    /// The half that is written.
    pub writer: SocketWriter,
}

impl Socket {
    /// A socket from two halves.
    pub fn new(reader: impl AsyncRead + Send + Unpin + 'static, writer: impl SocketWrite + 'static) -> Self {
        Self { reader: Box::new(reader), writer: Box::new(writer) }
    }

    /// A socket from a stream that has no halves of its own. A lock stands between the two, so it is for streams
    /// whose calls are short: pipes in memory.
    pub fn from_stream(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self::new(reader, writer)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(cx)
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Socket")
    }
}
