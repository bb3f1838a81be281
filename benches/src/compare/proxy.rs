//! A TCP proxy that delays every byte: the slow path that needs no rights.
//!
//! ```text
//!  client ──TCP──> proxy: read, stamp, wait, write ──TCP──> server
//! ```
//!
//! TCP ends here on both sides, so windows and slow start of the kernel see loopback; only what runs above TCP
//! sees the round trip. A dial is accepted at once: the round trip of TCP's own handshake is hidden.

use std::{io, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use bytes::{BufMut, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
    time::Instant,
};

use crate::compare::{
    network::Rate,
    report::progress,
    shaper::{Shaper, wait_until},
};

/// The most that one read takes.
const CHUNK: usize = 64 * 1024;
/// Bytes under way in one direction: 50 ms of 5 GB/s, more than loopback carries.
const UNDER_WAY_BYTES: usize = 256 * 1024 * 1024;
/// Pieces under way in one direction, however small they are.
const UNDER_WAY_CHUNKS: usize = 64 * 1024;

/// A proxy for one server, gone when this is dropped.
pub(crate) struct Proxy {
    port: u16,
    /// Aborted with this.
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Stands before the server at `server_port`; each direction takes `delay` longer.
    pub(crate) async fn start(server_port: u16, delay: Duration, rate: Option<Rate>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("binding the proxy")?;
        let port = listener.local_addr()?.port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((socket, _)) => {
                            connections.spawn(connection(socket, server_port, delay, rate));
                        }
                        Err(error) => progress(&format!("the proxy cannot accept: {error}")),
                    },
                    // A connection that breaks is the business of its two ends.
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self { port, _tasks: tasks })
    }

    /// Where to dial instead of the server.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

async fn connection(
    client: TcpStream,
    server_port: u16,
    delay: Duration,
    rate: Option<Rate>,
) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", server_port)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let up = carry(from_client, to_server, Shaper::new(delay, rate));
    let down = carry(from_server, to_client, Shaper::new(delay, rate));
    tokio::try_join!(up, down)?;
    Ok(())
}

/// Bytes on their way, with the moment when they arrive; none for the end.
type UnderWay = (Instant, Bytes, Option<OwnedSemaphorePermit>);

/// Carries one direction to its end.
async fn carry(
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin,
    shaper: Shaper,
) -> io::Result<()> {
    let (sender, receiver) = mpsc::channel(UNDER_WAY_CHUNKS);
    tokio::try_join!(take_in(reader, shaper, sender), put_out(writer, receiver))?;
    Ok(())
}

async fn take_in(
    mut reader: impl AsyncRead + Unpin,
    mut shaper: Shaper,
    sender: mpsc::Sender<UnderWay>,
) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(UNDER_WAY_BYTES));
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(CHUNK);
        let len = reader.read_buf(&mut (&mut buffer).limit(CHUNK)).await?;
        let due = shaper.enter(Instant::now(), len);
        let permits = u32::try_from(len).map_err(io::Error::other)?;
        let permit = Arc::clone(&room).acquire_many_owned(permits).await.ok();
        let sent = sender.send((due, buffer.split().freeze(), permit)).await;
        if len == 0 || sent.is_err() {
            return Ok(());
        }
        wait_until(Instant::now() + shaper.until_room(Instant::now())).await;
    }
}

async fn put_out(
    mut writer: impl AsyncWrite + Unpin,
    mut receiver: mpsc::Receiver<UnderWay>,
) -> io::Result<()> {
    while let Some((due, bytes, _permit)) = receiver.recv().await {
        wait_until(due).await;
        if bytes.is_empty() {
            return writer.shutdown().await;
        }
        writer.write_all(&bytes).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    const DELAY: Duration = Duration::from_millis(50);

    #[tokio::test(start_paused = true)]
    async fn every_byte_and_the_end_are_late_by_the_delay() {
        let ((mut near, reader), (writer, mut far)) = (duplex(1024), duplex(1024));
        let start = Instant::now();
        let ends = async {
            near.write_all(b"one").await.unwrap();
            let mut got = [0; 3];
            far.read_exact(&mut got).await.unwrap();
            assert_eq!(start.elapsed(), DELAY);
            near.write_all(b"two").await.unwrap();
            drop(near);
            let mut rest = Vec::new();
            far.read_to_end(&mut rest).await.unwrap();
            assert_eq!((&rest[..], start.elapsed()), (&b"two"[..], 2 * DELAY));
        };
        let (carried, ()) = tokio::join!(carry(reader, writer, Shaper::new(DELAY, None)), ends);
        carried.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_spreads_bytes_over_time() {
        let rate = Rate { bits_per_second: 8_000_000 };
        let ((mut near, reader), (writer, mut far)) = (duplex(1 << 21), duplex(1 << 21));
        let start = Instant::now();
        near.write_all(&vec![7; 1_000_000]).await.unwrap();
        drop(near);
        let mut got = Vec::new();
        let (carried, read) =
            tokio::join!(carry(reader, writer, Shaper::new(DELAY, Some(rate))), far.read_to_end(&mut got));
        carried.unwrap();
        assert_eq!(read.unwrap(), 1_000_000);
        // A million bytes at a megabyte a second, to the timer's millisecond.
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(1_050) && took < Duration::from_millis(1_055), "{took:?}");
    }

    #[tokio::test]
    async fn a_server_is_reached_through_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap().port(), Duration::ZERO, None).await.unwrap();
        let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        client.write_all(b"ask").await.unwrap();
        let mut got = [0; 3];
        server.read_exact(&mut got).await.unwrap();
        server.write_all(&got).await.unwrap();
        client.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"ask");
    }
}
