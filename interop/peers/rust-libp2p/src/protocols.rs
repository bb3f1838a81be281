//! The stream protocols that this node answers.
//!
//! | protocol | what it does |
//! |---|---|
//! | `/bowline/echo/1` | sends back what it reads, and closes after the other side has |
//! | `/bowline/sink/1` | reads a big-endian `u64` length and that many bytes to the end; counts, answers nothing |
//! | `/bowline/count/1` | answers with what the sinks counted, as one JSON object |
//! | `/bowline/reset/1` | reads a byte, sends 1,024 bytes and resets the stream |
//! | `/perf/1.0.0` | reads a big-endian `u64`, reads to the end, sends that many bytes |
//!
//! The length in the sink is needed because rust-yamux shows its user a reset as an ordinary end.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::{Stream, StreamProtocol};
use serde_json::{Value, json};

use crate::report;

pub(crate) const ECHO: StreamProtocol = StreamProtocol::new("/bowline/echo/1");
pub(crate) const SINK: StreamProtocol = StreamProtocol::new("/bowline/sink/1");
pub(crate) const COUNT: StreamProtocol = StreamProtocol::new("/bowline/count/1");
pub(crate) const RESET: StreamProtocol = StreamProtocol::new("/bowline/reset/1");
pub(crate) const PERF: StreamProtocol = StreamProtocol::new("/perf/1.0.0");

pub(crate) const ALL: [StreamProtocol; 5] = [ECHO, SINK, COUNT, RESET, PERF];

const BUFFER: usize = 64 * 1024;
const BYTES_BEFORE_RESET: usize = 1024;

/// What the sinks have read since the program started.
#[derive(Default)]
pub(crate) struct Counts {
    complete: AtomicU64,
    short: AtomicU64,
    bytes: AtomicU64,
}

impl Counts {
    fn to_json(&self) -> Value {
        json!({
            "complete": self.complete.load(Ordering::SeqCst),
            "short": self.short.load(Ordering::SeqCst),
            "bytes": self.bytes.load(Ordering::SeqCst),
        })
    }
}

pub(crate) async fn serve(protocol: StreamProtocol, stream: Stream, counts: Arc<Counts>) {
    let result = match protocol.as_ref() {
        "/bowline/echo/1" => echo(stream).await,
        "/bowline/sink/1" => sink(stream, &counts).await,
        "/bowline/count/1" => count(stream, &counts).await,
        "/bowline/reset/1" => reset(stream).await,
        _ => perf(stream).await,
    };
    if let Err(error) = result {
        report(&json!({"event": "stream-failed", "protocol": protocol.as_ref(), "error": error.to_string()}));
    }
}

async fn echo(mut stream: Stream) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut total = 0;
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            break;
        }
        total += n;
        stream.write_all(&buffer[..n]).await?;
        stream.flush().await?;
    }
    stream.close().await?;
    report(&json!({"event": "echo", "bytes": total}));
    Ok(())
}

async fn sink(mut stream: Stream, counts: &Counts) -> io::Result<()> {
    let mut length = [0; 8];
    let whole = match stream.read_exact(&mut length).await {
        Ok(()) => read_to_end(&mut stream).await? == u64::from_be_bytes(length),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
        Err(error) => return Err(error),
    };
    if whole {
        counts.bytes.fetch_add(u64::from_be_bytes(length), Ordering::SeqCst);
        counts.complete.fetch_add(1, Ordering::SeqCst);
    } else {
        counts.short.fetch_add(1, Ordering::SeqCst);
    }
    // Say our end too: a stream that is merely dropped is reset.
    let _ = stream.close().await;
    Ok(())
}

async fn count(mut stream: Stream, counts: &Counts) -> io::Result<()> {
    stream.write_all(counts.to_json().to_string().as_bytes()).await?;
    stream.close().await
}

async fn reset(mut stream: Stream) -> io::Result<()> {
    // By then the other side knows that the protocol was agreed on.
    stream.read_exact(&mut [0]).await?;
    stream.write_all(&[7; BYTES_BEFORE_RESET]).await?;
    stream.flush().await
    // Dropped without `close`: rust-yamux sends RST.
}

async fn perf(mut stream: Stream) -> io::Result<()> {
    let mut wanted = [0; 8];
    stream.read_exact(&mut wanted).await?;
    let received = read_to_end(&mut stream).await?;
    let sent = u64::from_be_bytes(wanted);
    write_zeros(&mut stream, sent).await?;
    stream.close().await?;
    report(&json!({"event": "perf", "received": received, "sent": sent}));
    Ok(())
}

pub(crate) async fn read_to_end(stream: &mut Stream) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER];
    let mut total = 0;
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(total),
            n => total += n as u64,
        }
    }
}

pub(crate) async fn write_zeros(stream: &mut Stream, mut left: u64) -> io::Result<()> {
    let buffer = vec![0; BUFFER];
    while left > 0 {
        let n = usize::try_from(left).map_or(BUFFER, |left| left.min(BUFFER));
        stream.write_all(&buffer[..n]).await?;
        left -= n as u64;
    }
    stream.flush().await
}
