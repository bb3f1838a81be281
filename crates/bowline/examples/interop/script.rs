//! The checks of `dial`, in order. Each prints one JSON object with `check` and what was seen.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bowline_identity::PeerId;
use bowline_swarm::{Host, OpenError, OpenOptions, Party, ProtocolId, StreamError};
use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    protocols::{CHUNK, COUNT, ECHO, RESET, SINK},
    report,
};

const UNKNOWN: ProtocolId = ProtocolId::from_static("/bowline/nobody-speaks-this/1");
const MAX_COUNT_ANSWER: usize = 1024;

#[derive(Args)]
pub(crate) struct Plan {
    /// Pings to measure.
    #[arg(long, default_value_t = 5)]
    pings: usize,
    /// Bytes each way over /perf/1.0.0; 0 leaves it out.
    #[arg(long, default_value_t = 0)]
    perf_bytes: u64,
    /// Bytes to send through /bowline/echo/1; 0 leaves it out.
    #[arg(long, default_value_t = 0)]
    echo_bytes: usize,
    /// Streams to write, finish and drop on /bowline/sink/1; 0 leaves it out.
    #[arg(long, default_value_t = 0)]
    sinks: u64,
    /// Bytes in each of those streams.
    #[arg(long, default_value_t = 1024)]
    sink_bytes: usize,
    /// Let the other side reset a stream over /bowline/reset/1, and reset one on /bowline/sink/1.
    #[arg(long)]
    reset: bool,
    /// Seconds for everything.
    #[arg(long, default_value_t = 120)]
    timeout: u64,
}

impl Plan {
    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

pub(crate) async fn run(host: &Host, peer: PeerId, plan: &Plan) -> Result<()> {
    identify(host, peer).await?;
    ping(host, peer, plan.pings).await?;
    unknown_protocol(host, peer).await?;
    if plan.perf_bytes > 0 {
        perf(host, peer, plan.perf_bytes).await?;
    }
    if plan.echo_bytes > 0 {
        echo(host, peer, plan.echo_bytes).await?;
    }
    if plan.sinks > 0 {
        sinks(host, peer, plan.sinks, plan.sink_bytes).await?;
    }
    if plan.reset {
        reset_by_peer(host, peer).await?;
        reset_sink(host, peer).await?;
    }
    // Everything above ran on one connection, and it still answers.
    ensure!(host.connections().len() == 1, "{} connections instead of one", host.connections().len());
    let rtt = host.ping(peer).await?;
    report(&json!({"check": "still-connected", "rtt_us": micros(rtt)}))
}

async fn identify(host: &Host, peer: PeerId) -> Result<()> {
    let info = host.identify(peer).await?;
    report(&json!({
        "check": "identify",
        "key_matches": info.peer == peer && info.key == bowline_identify::KeyStatus::Matches,
        "agent": info.agent,
        "protocols": info.protocols,
        "listen_addrs": info.listen_addrs.len(),
    }))
}

async fn ping(host: &Host, peer: PeerId, pings: usize) -> Result<()> {
    let mut pinger = host.pinger(peer).await?;
    let mut times = Vec::new();
    for _ in 0..pings {
        times.push(micros(pinger.ping().await?));
    }
    pinger.finish().await;
    report(&json!({"check": "ping", "rtts_us": times}))
}

/// Refused where the answer is waited for, and where it comes behind what was written.
async fn unknown_protocol(host: &Host, peer: PeerId) -> Result<()> {
    let options = OpenOptions { await_agreement: true, ..OpenOptions::default() };
    let waited = host.open_stream_with(peer, UNKNOWN, &options).await;
    let mut stream = host.open_stream(peer, UNKNOWN).await?;
    stream.write_chunk(Bytes::from_static(b"anyone?")).await?;
    let read = stream.read_chunk(CHUNK).await;
    let refused =
        matches!(waited, Err(OpenError::Refused { .. })) && matches!(read, Err(StreamError::Refused { .. }));
    report(&json!({"check": "unknown-protocol", "refused": refused}))
}

async fn perf(host: &Host, peer: PeerId, bytes: u64) -> Result<()> {
    for (up, down) in [(bytes, 0), (0, bytes)] {
        let done = host.perf(peer, up, down).await?;
        ensure!(done.uploaded == up, "uploaded {} of {up} bytes", done.uploaded);
        report(&json!({
            "check": "perf",
            "up": up,
            "asked": down,
            "received": done.downloaded,
            "seconds": done.total_time.as_secs_f64(),
        }))?;
    }
    Ok(())
}

async fn echo(host: &Host, peer: PeerId, bytes: usize) -> Result<()> {
    let sent: Vec<u8> = (0_u8..251).cycle().take(bytes).collect();
    let (mut reader, mut writer) = tokio::io::split(host.open_stream(peer, ECHO).await?);
    let mut received = Vec::with_capacity(bytes);
    let write = async {
        writer.write_all(&sent).await?;
        writer.shutdown().await
    };
    let (written, read) = tokio::join!(write, reader.read_to_end(&mut received));
    written?;
    read?;
    report(&json!({"check": "echo", "bytes": received.len(), "equal": received == sent}))
}

/// Writes, finishes and drops each stream, and never waits for an answer; then asks what arrived.
async fn sinks(host: &Host, peer: PeerId, streams: u64, bytes: usize) -> Result<()> {
    let before = counts(host, peer).await?;
    let mut message = u64::try_from(bytes)?.to_be_bytes().to_vec();
    message.resize(8 + bytes, 7);
    let message = Bytes::from(message);
    for _ in 0..streams {
        let mut stream = host.open_stream(peer, SINK).await?;
        stream.write_chunk(message.clone()).await?;
        stream.finish().await?;
    }
    let after = counts_after(host, peer, &before, "complete", streams).await?;
    report(&json!({"check": "sinks", "streams": streams, "before": before, "after": after}))
}

async fn reset_by_peer(host: &Host, peer: PeerId) -> Result<()> {
    let mut stream = host.open_stream(peer, RESET).await?;
    stream.write_chunk(Bytes::from_static(&[1])).await?;
    let mut received = 0;
    let by_peer = loop {
        match stream.read_chunk(CHUNK).await {
            Ok(Some(chunk)) => received += chunk.len(),
            Ok(None) => break false,
            Err(StreamError::Reset { by: Party::Remote, .. }) => break true,
            Err(error) => bail!("expected a reset, not: {error}"),
        }
    };
    report(&json!({"check": "reset", "received": received, "reset": by_peer}))
}

/// Promises more than it sends, and resets: the other side must not take it for a whole stream.
async fn reset_sink(host: &Host, peer: PeerId) -> Result<()> {
    let before = counts(host, peer).await?;
    let options = OpenOptions { await_agreement: true, ..OpenOptions::default() };
    let mut stream = host.open_stream_with(peer, SINK, &options).await?;
    stream.write_chunk(Bytes::copy_from_slice(&1000_u64.to_be_bytes())).await?;
    stream.reset(bowline_swarm::code::stream::NONE);
    let after = counts_after(host, peer, &before, "short", 1).await?;
    report(&json!({"check": "reset-sent", "before": before, "after": after}))
}

/// The counts once one of them has grown, or what they are after ten seconds.
async fn counts_after(host: &Host, peer: PeerId, before: &Value, key: &str, growth: u64) -> Result<Value> {
    let wanted = before[key].as_u64().with_context(|| format!("no {key} in {before}"))? + growth;
    let mut after = counts(host, peer).await?;
    for _ in 0..100 {
        if after[key].as_u64() >= Some(wanted) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        after = counts(host, peer).await?;
    }
    Ok(after)
}

async fn counts(host: &Host, peer: PeerId) -> Result<Value> {
    let mut stream = host.open_stream(peer, COUNT).await?;
    stream.finish().await?;
    let answer = stream.read_to_end(MAX_COUNT_ANSWER).await?;
    Ok(serde_json::from_slice(&answer)?)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
