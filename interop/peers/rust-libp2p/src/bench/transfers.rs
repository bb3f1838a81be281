//! Bytes over perf streams.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures::{AsyncReadExt, AsyncWriteExt};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    arguments::{Direction, Transfer},
    jobs::wait_for_all,
    protocols::{PERF, write_zeros},
    requests::request,
    streams::Control,
};

/// What one stream carries.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) direction: Direction,
    pub(crate) bytes: u64,
    /// Bytes of one write or read.
    pub(crate) buffer: usize,
}

pub(crate) async fn one_way(control: &Control, plan: Transfer, direction: Direction) -> Result<Value> {
    ensure!(
        plan.bytes.is_multiple_of(plan.streams),
        "{} streams cannot share {} bytes",
        plan.streams,
        plan.bytes
    );
    let load = Load { direction, bytes: plan.bytes / plan.streams, buffer: usize::try_from(plan.buffer)? };
    at_once(control, (0..plan.streams).map(|_| load)).await
}

pub(crate) async fn duplex(control: &Control, plan: Transfer) -> Result<Value> {
    ensure!(plan.streams == 1, "duplex has one stream each way");
    let buffer = usize::try_from(plan.buffer)?;
    let load = |direction| Load { direction, bytes: plan.bytes, buffer };
    at_once(control, [load(Direction::Up), load(Direction::Down)].into_iter()).await
}

async fn at_once(control: &Control, loads: impl Iterator<Item = Load>) -> Result<Value> {
    let (mut tasks, mut bytes, started) = (JoinSet::new(), 0, Instant::now());
    for load in loads {
        bytes += load.bytes;
        let control = control.clone();
        tasks.spawn(async move { carry(&control, load, |_| {}).await });
    }
    wait_for_all(&mut tasks).await?;
    let seconds = started.elapsed().as_secs_f64();
    // A connection that was lost looks like the end of each of its streams.
    request::<1>(control).await.context("the connection was lost before its transfers ended")?;
    Ok(json!({"bytes": bytes, "seconds": seconds}))
}

/// Carries a load over a stream of its own, to the stream's end, and tells `moved` of each piece.
pub(crate) async fn carry(control: &Control, load: Load, moved: impl Fn(usize)) -> Result<()> {
    let (up, down) = match load.direction {
        Direction::Up => (load.bytes, 0),
        Direction::Down => (0, load.bytes),
    };
    let mut stream = control.open(PERF).await?;
    stream.write_all(&down.to_be_bytes()).await?;
    write_zeros(&mut stream, up, load.buffer, &moved).await?;
    stream.close().await?;
    let (mut buffer, mut received) = (vec![0; load.buffer], 0);
    loop {
        match stream.read(&mut buffer).await? {
            0 => break,
            len => {
                received += len as u64;
                moved(len);
            }
        }
    }
    // A reset looks like an ordinary end here.
    ensure!(received == down, "the server sent {received} bytes instead of {down}");
    Ok(())
}
