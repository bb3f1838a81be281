//! The stream protocols of the interop tests.
//!
//! | protocol | what it does |
//! |---|---|
//! | `/bowline/echo/1` | sends back what it reads, and finishes after the other side has |
//! | `/bowline/sink/1` | reads a big-endian `u64` length and that many bytes to the end; counts, answers nothing |
//! | `/bowline/count/1` | answers with what the sinks counted, as one JSON object |
//! | `/bowline/reset/1` | reads a byte, sends 1,024 bytes and resets the stream |

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use anyhow::Result;
use bowline_swarm::{Host, Incoming, ProtocolId, Stream, StreamError};
use bytes::Bytes;
use serde_json::json;
use tokio::task::JoinSet;

pub(crate) const ECHO: ProtocolId = ProtocolId::from_static("/bowline/echo/1");
pub(crate) const SINK: ProtocolId = ProtocolId::from_static("/bowline/sink/1");
pub(crate) const COUNT: ProtocolId = ProtocolId::from_static("/bowline/count/1");
pub(crate) const RESET: ProtocolId = ProtocolId::from_static("/bowline/reset/1");

/// Bytes read at once.
pub(crate) const CHUNK: usize = 64 * 1024;
const BYTES_BEFORE_RESET: usize = 1024;
const RESET_CODE: u32 = 7;

/// What the sinks have read since the program started.
#[derive(Default)]
struct Counts {
    complete: AtomicU64,
    short: AtomicU64,
    bytes: AtomicU64,
}

/// Registers the protocols; the future serves them until the host stops.
pub(crate) fn serve(host: &Host) -> Result<impl Future<Output = ()>> {
    let counts = Arc::new(Counts::default());
    let (sinks, asked) = (Arc::clone(&counts), counts);
    let echo = each(host.accept(ECHO)?, echo);
    let sink = each(host.accept(SINK)?, move |stream| sink(stream, Arc::clone(&sinks)));
    let count = each(host.accept(COUNT)?, move |stream| count(stream, Arc::clone(&asked)));
    let reset = each(host.accept(RESET)?, reset);
    Ok(async {
        tokio::join!(echo, sink, count, reset);
    })
}

/// Handles every stream in a task of its own.
async fn each<F>(mut incoming: Incoming, handle: impl Fn(Stream) -> F)
where
    F: Future<Output = Result<(), StreamError>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            stream = incoming.next() => match stream {
                Some(stream) => { tasks.spawn(handle(stream)); }
                None => return,
            },
            // A stream that failed is told by what its peer saw.
            Some(_) = tasks.join_next() => {}
        }
    }
}

async fn echo(mut stream: Stream) -> Result<(), StreamError> {
    while let Some(chunk) = stream.read_chunk(CHUNK).await? {
        stream.write_chunk(chunk).await?;
    }
    stream.finish().await
}

async fn sink(mut stream: Stream, counts: Arc<Counts>) -> Result<(), StreamError> {
    match read_message(&mut stream).await {
        Ok(Some(bytes)) => {
            counts.bytes.fetch_add(bytes, Ordering::SeqCst);
            counts.complete.fetch_add(1, Ordering::SeqCst);
        }
        Ok(None) | Err(_) => {
            counts.short.fetch_add(1, Ordering::SeqCst);
        }
    }
    stream.finish().await
}

/// Reads to the end; the length where it is the one that was announced.
async fn read_message(stream: &mut Stream) -> Result<Option<u64>, StreamError> {
    let mut header = Vec::new();
    let mut total = 0;
    while let Some(chunk) = stream.read_chunk(CHUNK).await? {
        let missing = 8 - header.len();
        header.extend_from_slice(&chunk[..missing.min(chunk.len())]);
        total += chunk.len() as u64;
    }
    let announced = header.try_into().map(u64::from_be_bytes).ok();
    Ok(announced.filter(|announced| Some(*announced) == total.checked_sub(8)))
}

async fn count(mut stream: Stream, counts: Arc<Counts>) -> Result<(), StreamError> {
    let answer = json!({
        "complete": counts.complete.load(Ordering::SeqCst),
        "short": counts.short.load(Ordering::SeqCst),
        "bytes": counts.bytes.load(Ordering::SeqCst),
    });
    stream.write_chunk(answer.to_string().into()).await?;
    stream.finish().await
}

async fn reset(mut stream: Stream) -> Result<(), StreamError> {
    // By then the other side knows that the protocol was agreed on.
    stream.read_chunk(CHUNK).await?;
    stream.write_chunk(Bytes::from_static(&[7; BYTES_BEFORE_RESET])).await?;
    stream.reset(RESET_CODE);
    Ok(())
}
