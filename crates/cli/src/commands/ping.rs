//! `ping`: round trips to a peer.

use std::time::Duration;

use bowline::{Node, swarm::Pinger};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use crate::{
    args::PeerArg,
    failure::Failure,
    output::Output,
    session::{GRACE, connect, dialing_key, interrupted, interruptible},
};

/// Samples that are kept for the summary; later ones take the place of earlier ones.
const MAX_SAMPLES: usize = 1 << 20;

pub(crate) async fn run(
    peer: PeerArg,
    count: u64,
    interval: Duration,
    output: Output,
) -> Result<(), Failure> {
    let node = Node::builder().keypair(dialing_key(peer.key.as_deref())?).start().await?;
    let id = interruptible(connect(&node, &peer.addr, peer.timeout)).await?;
    let mut pinger = interruptible(async { Ok(node.host().pinger(id).await?) }).await?;
    let mut samples = Vec::new();
    // A signal ends the pings, and the summary is of those that were.
    let ended = tokio::select! {
        ended = ping(&mut pinger, count, interval, &mut samples, output) => ended,
        () = interrupted() => Ok(()),
    };
    summary(&mut samples, output)?;
    node.shutdown(GRACE).await;
    ended
}

async fn ping(
    pinger: &mut Pinger,
    count: u64,
    interval: Duration,
    samples: &mut Vec<Duration>,
    output: Output,
) -> Result<(), Failure> {
    let mut next = Instant::now();
    let mut sequence = 0;
    while count == 0 || sequence < count {
        sleep_until(next).await;
        next += interval;
        let rtt = pinger.ping().await?;
        let micros = rtt.as_secs_f64() * 1e6;
        output.print(
            format_args!("{sequence}: {micros:.0} µs"),
            &json!({ "sequence": sequence, "rtt_us": micros }),
        )?;
        if samples.len() < MAX_SAMPLES {
            samples.push(rtt);
        }
        sequence += 1;
    }
    Ok(())
}

fn summary(samples: &mut [Duration], output: Output) -> Result<(), Failure> {
    samples.sort();
    let (Some(min), Some(max)) = (samples.first(), samples.last()) else { return Ok(()) };
    let micros = |rtt: &Duration| rtt.as_secs_f64() * 1e6;
    let at = |percent: usize| micros(&samples[(samples.len() - 1) * percent / 100]);
    let (min, max) = (micros(min), micros(max));
    let value = json!({
        "count": samples.len(), "min_us": min, "p50_us": at(50), "p99_us": at(99), "max_us": max,
    });
    let text = format!(
        "{} pings: min {min:.0} µs, p50 {:.0} µs, p99 {:.0} µs, max {max:.0} µs",
        samples.len(),
        at(50),
        at(99)
    );
    output.print(text, &value)
}
