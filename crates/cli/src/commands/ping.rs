//! `bowline ping`

use std::time::Duration;

use bowline::{Host, PeerId};
use serde_json::json;

use crate::{
    arguments::{self, KeyOption},
    failure::Failure,
    network::{self, GRACE},
    output::{self, Output},
    signals::unless_stopped,
};

/// Measure round trips to a peer.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Its address.
    #[arg(value_name = "ADDR")]
    addr: String,
    /// How many.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// The time from one to the next.
    #[arg(long, default_value = "1s", value_parser = arguments::duration)]
    interval: Duration,
    #[command(flatten)]
    key: KeyOption,
}

pub(crate) async fn run(options: Options, output: Output) -> Result<(), Failure> {
    let addr = arguments::address(&options.addr)?;
    let (host, connection) = unless_stopped(network::dial(options.key.keypair()?, &addr)).await?;
    let mut times = Vec::new();
    let ended = unless_stopped(measure(&host, connection.peer(), &options, &mut times, output)).await;
    host.shutdown(GRACE).await;
    times.sort_unstable();
    // Whoever interrupts it wants to know what it came to by then.
    if let (Some(min), Some(max)) = (times.first(), times.last()) {
        let p50 = times[times.len() / 2];
        let [low, middle, high] = [*min, p50, *max].map(millis);
        let object = json!({
            "peer_id": connection.peer().to_string(),
            "count": times.len(),
            "min_us": min,
            "p50_us": p50,
            "max_us": max,
        });
        let pings = output::count(times.len() as u64, "ping");
        output.line(format_args!("{pings}: min {low} ms, p50 {middle} ms, max {high} ms"), &object)?;
    }
    ended
}

async fn measure(
    host: &Host,
    peer: PeerId,
    options: &Options,
    times: &mut Vec<u64>,
    output: Output,
) -> Result<(), Failure> {
    let mut pinger = host.pinger(peer).await?;
    for number in 1..=options.count {
        if number > 1 {
            tokio::time::sleep(options.interval).await;
        }
        let time = micros(pinger.ping().await?);
        times.push(time);
        output.line(
            format_args!("{number}: {} ms", millis(time)),
            &json!({"number": number, "rtt_us": time}),
        )?;
    }
    pinger.finish().await;
    Ok(())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn millis(micros: u64) -> String {
    format!("{}.{:03}", micros / 1000, micros % 1000)
}
