//! The half of a connection that is written.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bowline_transport::SocketWrite;
use tokio::{io::AsyncWrite, net::tcp::OwnedWriteHalf};

/// Writes to a TCP connection, and tells the kernel how much may wait unsent.
#[derive(Debug)]
pub(crate) struct TcpWriter {
    pub(crate) half: OwnedWriteHalf,
    /// Whether the options ask for a bound at all.
    pub(crate) limited: bool,
}

impl SocketWrite for TcpWriter {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn limit_unsent(&self, bytes: usize) {
        if self.limited {
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            let socket: &tokio::net::TcpStream = self.half.as_ref();
            // A socket that refuses it is over, which the next write finds out.
            let _over = socket2::SockRef::from(socket).set_tcp_notsent_lowat(bytes);
        }
    }
}

impl AsyncWrite for TcpWriter {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.half).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.half).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.half).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn writer(limited: bool) -> (TcpWriter, tokio::net::TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (dialed, accepted) = tokio::try_join!(
            tokio::net::TcpStream::connect(listener.local_addr().unwrap()),
            listener.accept()
        )
        .unwrap();
        (TcpWriter { half: dialed.into_split().1, limited }, accepted.0)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[tokio::test]
    async fn the_kernel_learns_how_much_may_wait_unless_no_limit_is_wanted() {
        let limit = |writer: &TcpWriter| {
            let socket: &tokio::net::TcpStream = writer.half.as_ref();
            socket2::SockRef::from(socket).tcp_notsent_lowat().unwrap()
        };
        let (limited, _far) = writer(true).await;
        limited.limit_unsent(700_000);
        assert_eq!(limit(&limited), 700_000);
        let (unlimited, _far) = writer(false).await;
        let before = limit(&unlimited);
        unlimited.limit_unsent(700_000);
        assert_eq!(limit(&unlimited), before);
    }
}
