//! Round trips on one connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::Stream;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::{
    arguments::FairRequest,
    jobs::{Turns, counted, percentiles, wait_for_all},
    protocols::{ECHO, PING, PING_BYTES},
    streams::Control,
    transfers::{self, Load},
};

const REQUEST_BYTES: usize = 1024;
/// Bytes of one write or read of the transfers beside requests.
const BULK_BUFFER: usize = 64 * 1024;
/// What no transfer beside requests comes to the end of.
const ENDLESS: u64 = u64::MAX / 2;
/// How often it is looked whether the transfers are on their way.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

pub(crate) async fn pings(control: &Control, count: u64) -> Result<Value> {
    let mut stream = control.open(PING).await?;
    ping(&mut stream).await?;
    let mut times = Vec::with_capacity(usize::try_from(count)?);
    for _ in 0..count {
        let started = Instant::now();
        ping(&mut stream).await?;
        times.push(started.elapsed());
    }
    Ok(percentiles(times))
}

async fn ping(stream: &mut Stream) -> Result<()> {
    let mut answer = [0; PING_BYTES];
    stream.write_all(&[7; PING_BYTES]).await?;
    stream.flush().await?;
    stream.read_exact(&mut answer).await.context("a ping was not answered")?;
    ensure!(answer == [7; PING_BYTES], "a ping came back changed");
    Ok(())
}

pub(crate) async fn opens(control: &Control, count: u64, parallel: u64) -> Result<Value> {
    let (turns, mut tasks, started) = (Turns::new(count), JoinSet::new(), Instant::now());
    for _ in 0..parallel {
        let (control, turns) = (control.clone(), turns.clone());
        tasks.spawn(async move {
            while turns.take() {
                request::<1>(&control).await?;
            }
            Ok(())
        });
    }
    wait_for_all(&mut tasks).await?;
    Ok(counted(count, started))
}

/// Opens an echo stream, sends so many bytes and the end, and reads both back.
pub(crate) async fn request<const BYTES: usize>(control: &Control) -> Result<()> {
    let mut stream = control.open(ECHO).await?;
    stream.write_all(&[7; BYTES]).await?;
    stream.close().await?;
    let mut answer = [0; BYTES];
    stream.read_exact(&mut answer).await.context("an echo was cut short")?;
    ensure!(answer == [7; BYTES], "an echo came back changed");
    ensure!(stream.read(&mut [0]).await? == 0, "an echo is longer than what was sent");
    Ok(())
}

pub(crate) async fn beside_transfers(control: &Control, plan: FairRequest) -> Result<Value> {
    let mut bulk = JoinSet::new();
    let progress: Vec<_> = (0..plan.bulk).map(|_| start_transfer(control, plan, &mut bulk)).collect();
    let on_their_way = async {
        while progress.iter().any(|moved| moved.load(Ordering::Relaxed) < plan.warm_bytes) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        requests(control, plan.count).await
    };
    tokio::select! {
        biased;
        measured = on_their_way => measured,
        ended = bulk.join_next(), if !bulk.is_empty() => {
            ended.context("there are transfers")???;
            anyhow::bail!("a transfer ended while requests ran")
        }
    }
}

async fn requests(control: &Control, count: u64) -> Result<Value> {
    let mut times = Vec::with_capacity(usize::try_from(count)?);
    for _ in 0..count {
        let started = Instant::now();
        request::<REQUEST_BYTES>(control).await?;
        times.push(started.elapsed());
    }
    Ok(percentiles(times))
}

/// Starts a transfer without end, and gives what counts its bytes.
fn start_transfer(control: &Control, plan: FairRequest, bulk: &mut JoinSet<Result<()>>) -> Arc<AtomicU64> {
    let (control, moved) = (control.clone(), Arc::new(AtomicU64::new(0)));
    let counter = Arc::clone(&moved);
    let load = Load { direction: plan.direction, bytes: ENDLESS, buffer: BULK_BUFFER };
    bulk.spawn(async move {
        let count = |len: usize| {
            counter.fetch_add(len as u64, Ordering::Relaxed);
        };
        transfers::carry(&control, load, count).await
    });
    moved
}
