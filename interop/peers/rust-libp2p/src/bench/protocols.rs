//! The protocols that this node answers.
//!
//! | protocol | what it does |
//! |---|---|
//! | `/perf/1.0.0` | reads a big-endian `u64`, reads to the end, sends that many bytes and its own end |
//! | `/bench/echo/1.0.0` | sends back what it reads, as it arrives, and its own end after that of the other side |
//! | `/ipfs/ping/1.0.0` | sends back 32 bytes, again and again |

use std::io;

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::{Stream, StreamProtocol};

pub(crate) const PERF: StreamProtocol = StreamProtocol::new("/perf/1.0.0");
pub(crate) const ECHO: StreamProtocol = StreamProtocol::new("/bench/echo/1.0.0");
pub(crate) const PING: StreamProtocol = libp2p::ping::PROTOCOL_NAME;

pub(crate) const COUNT: usize = 3;
pub(crate) const ALL: [StreamProtocol; COUNT] = [PERF, ECHO, PING];

pub(crate) const PING_BYTES: usize = 32;
/// Bytes of one read or write.
const BUFFER: usize = 64 * 1024;

/// Answers one perf or echo stream; one that fails is told by what its client saw.
pub(crate) async fn serve(protocol: StreamProtocol, stream: Stream) {
    let result = if protocol == PERF { perf(stream).await } else { echo(stream).await };
    if let Err(error) = result {
        tracing::debug!(%protocol, %error, "a stream failed");
    }
}

async fn perf(mut stream: Stream) -> io::Result<()> {
    let mut wanted = [0; 8];
    stream.read_exact(&mut wanted).await?;
    let mut buffer = vec![0; BUFFER];
    while stream.read(&mut buffer).await? > 0 {}
    write_zeros(&mut stream, u64::from_be_bytes(wanted), BUFFER, |_| {}).await?;
    stream.close().await
}

async fn echo(mut stream: Stream) -> io::Result<()> {
    // What comes on these streams is small, and a large buffer is cleared for each of them.
    let mut buffer = [0; 2048];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return stream.close().await,
            len => stream.write_all(&buffer[..len]).await?,
        }
        stream.flush().await?;
    }
}

/// Answers pings until the stream ends.
pub(crate) async fn answer_pings(mut stream: Stream) -> io::Result<()> {
    let mut payload = [0; PING_BYTES];
    loop {
        stream.read_exact(&mut payload).await?;
        stream.write_all(&payload).await?;
        stream.flush().await?;
    }
}

/// Writes `left` bytes in pieces of `buffer`, and tells `written` of each.
pub(crate) async fn write_zeros(
    stream: &mut Stream,
    mut left: u64,
    buffer: usize,
    written: impl Fn(usize),
) -> io::Result<()> {
    let data = vec![0; buffer];
    while left > 0 {
        let len = usize::try_from(left).map_or(buffer, |left| left.min(buffer));
        stream.write_all(&data[..len]).await?;
        written(len);
        left -= len as u64;
    }
    Ok(())
}
