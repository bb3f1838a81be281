//! The checks of `dial`, in order. Each prints one JSON object with `check` and what was seen.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::{PeerId, StreamProtocol};
use serde_json::{Value, json};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{
    Seen,
    protocols::{self, COUNT, ECHO, PERF, RESET, SINK},
    report,
    streams::{Control, OpenError},
};

const UNKNOWN: StreamProtocol = StreamProtocol::new("/bowline/nobody-speaks-this/1");

#[derive(Args)]
pub(crate) struct Plan {
    /// Pings to wait for.
    #[arg(long, default_value_t = 5)]
    pings: usize,
    /// Bytes each way over /perf/1.0.0; 0 leaves it out.
    #[arg(long, default_value_t = 0)]
    perf_bytes: u64,
    /// Bytes to send through /bowline/echo/1; 0 leaves it out.
    #[arg(long, default_value_t = 0)]
    echo_bytes: usize,
    /// Streams to write, close and drop on /bowline/sink/1; 0 leaves it out.
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

pub(crate) async fn run(
    peer: PeerId,
    plan: Plan,
    control: Control,
    mut seen: broadcast::Receiver<Seen>,
) -> Result<()> {
    identify_and_ping(peer, plan.pings, &mut seen).await?;
    unknown_protocol(peer, &control).await?;
    if plan.perf_bytes > 0 {
        perf(peer, plan.perf_bytes, &control).await?;
    }
    if plan.echo_bytes > 0 {
        echo(peer, plan.echo_bytes, &control).await?;
    }
    if plan.sinks > 0 {
        sinks(peer, plan.sinks, plan.sink_bytes, &control).await?;
    }
    if plan.reset {
        let mut stream = control.open(peer, RESET).await?;
        stream.write_all(&[1]).await?;
        stream.flush().await?;
        let received = protocols::read_to_end(&mut stream).await;
        report(&json!({"check": "reset", "received": received.ok()}));
        reset_sink(peer, &control).await?;
    }
    // Everything above ran on one connection, and it still answers.
    let mut seen = seen.resubscribe();
    let time = ping(peer, &mut seen).await?;
    report(&json!({"check": "still-connected", "rtt_us": micros(time)}));
    Ok(())
}

async fn identify_and_ping(peer: PeerId, pings: usize, seen: &mut broadcast::Receiver<Seen>) -> Result<()> {
    let mut identified = false;
    let mut times = Vec::new();
    while !identified || times.len() < pings {
        match next(peer, seen).await? {
            Seen::Identified(_, info) if !identified => {
                identified = true;
                report(&json!({
                    "check": "identify",
                    "key_matches": info.public_key.to_peer_id() == peer,
                    "agent": info.agent_version,
                    "protocols": info.protocols.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "listen_addrs": info.listen_addrs.len(),
                }));
            }
            Seen::Pinged(_, time) => times.push(micros(time)),
            _ => {}
        }
    }
    report(&json!({"check": "ping", "rtts_us": times}));
    Ok(())
}

async fn unknown_protocol(peer: PeerId, control: &Control) -> Result<()> {
    let refused = match control.try_open(peer, UNKNOWN).await? {
        Err(OpenError::Refused) => true,
        Err(OpenError::Failed(error)) => bail!("unknown protocol: {error}"),
        // A lazy stream learns it with the first bytes that it reads.
        Ok(mut stream) => {
            stream.write_all(b"anyone?").await?;
            stream.flush().await?;
            stream.read(&mut [0; 1]).await.is_err()
        }
    };
    report(&json!({"check": "unknown-protocol", "refused": refused}));
    Ok(())
}

async fn perf(peer: PeerId, bytes: u64, control: &Control) -> Result<()> {
    for (up, down) in [(bytes, 0), (0, bytes)] {
        let started = Instant::now();
        let mut stream = control.open(peer, PERF).await?;
        stream.write_all(&down.to_be_bytes()).await?;
        protocols::write_zeros(&mut stream, up).await?;
        stream.close().await?;
        let received = protocols::read_to_end(&mut stream).await?;
        report(&json!({
            "check": "perf",
            "up": up,
            "asked": down,
            "received": received,
            "seconds": started.elapsed().as_secs_f64(),
        }));
    }
    Ok(())
}

async fn echo(peer: PeerId, bytes: usize, control: &Control) -> Result<()> {
    let sent: Vec<u8> = (0..bytes).map(|i| (i % 251) as u8).collect();
    let stream = control.open(peer, ECHO).await?;
    let (mut reader, mut writer) = stream.split();
    let mut received = Vec::with_capacity(bytes);
    let write = async {
        writer.write_all(&sent).await?;
        writer.close().await
    };
    let (written, read) = futures::join!(write, reader.read_to_end(&mut received));
    written?;
    read?;
    report(&json!({"check": "echo", "bytes": received.len(), "equal": received == sent}));
    Ok(())
}

/// Writes, closes and drops each stream, and never waits for an answer; then asks what arrived.
async fn sinks(peer: PeerId, streams: u64, bytes: usize, control: &Control) -> Result<()> {
    let before = counts(peer, control).await?;
    let mut message = u64::try_from(bytes)?.to_be_bytes().to_vec();
    message.resize(8 + bytes, 7);
    for _ in 0..streams {
        let mut stream = control.open(peer, SINK).await?;
        stream.write_all(&message).await?;
        stream.close().await?;
    }
    let after = counts_after(peer, &before, "complete", streams, control).await?;
    report(&json!({"check": "sinks", "streams": streams, "before": before, "after": after}));
    Ok(())
}

/// Promises more than it sends, and resets: the other side must not take it for a whole stream.
async fn reset_sink(peer: PeerId, control: &Control) -> Result<()> {
    let before = counts(peer, control).await?;
    let mut stream = control.open(peer, SINK).await?;
    stream.write_all(&1000_u64.to_be_bytes()).await?;
    stream.flush().await?;
    drop(stream);
    let after = counts_after(peer, &before, "short", 1, control).await?;
    report(&json!({"check": "reset-sent", "before": before, "after": after}));
    Ok(())
}

/// The counts once one of them has grown, or what they are after ten seconds.
async fn counts_after(
    peer: PeerId,
    before: &Value,
    key: &str,
    growth: u64,
    control: &Control,
) -> Result<Value> {
    let wanted = before[key].as_u64().with_context(|| format!("no {key} in {before}"))? + growth;
    let mut after = counts(peer, control).await?;
    for _ in 0..100 {
        if after[key].as_u64() >= Some(wanted) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        after = counts(peer, control).await?;
    }
    Ok(after)
}

async fn counts(peer: PeerId, control: &Control) -> Result<Value> {
    let mut stream = control.open(peer, COUNT).await?;
    stream.close().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    serde_json::from_str(&answer).with_context(|| format!("the answer {answer:?}"))
}

async fn ping(peer: PeerId, seen: &mut broadcast::Receiver<Seen>) -> Result<Duration> {
    loop {
        if let Seen::Pinged(_, time) = next(peer, seen).await? {
            return Ok(time);
        }
    }
}

/// The next thing seen of this peer; a failure of any kind ends the script.
async fn next(peer: PeerId, seen: &mut broadcast::Receiver<Seen>) -> Result<Seen> {
    loop {
        match seen.recv().await {
            Ok(Seen::Failed(error)) => bail!("{error}"),
            Ok(Seen::Disconnected(other)) if other == peer => bail!("the other side disconnected"),
            Ok(event @ (Seen::Connected(other) | Seen::Identified(other, _) | Seen::Pinged(other, _)))
                if other == peer =>
            {
                return Ok(event);
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => bail!("the node is gone"),
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
