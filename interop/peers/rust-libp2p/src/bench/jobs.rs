//! The side that runs the jobs: what they have in common.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use libp2p::Multiaddr;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    arguments::{Direction, Job},
    dials, lines,
    node::{Node, Server, Until},
    requests,
    streams::Control,
    transfers,
};

/// Runs one job and prints what it measured.
pub(crate) async fn run(to: Multiaddr, job: Job) -> Result<()> {
    let server = Server::at(to)?;
    match job {
        Job::Connect { count, parallel } => dials::connect(server, count, parallel).await,
        Job::Hold { count } => dials::hold(server, count).await,
        job => warm(&server, job).await,
    }
}

/// Connects first. The node has a task of its own from then on, as it has in most programs.
async fn warm(server: &Server, job: Job) -> Result<()> {
    let mut node = Node::new()?;
    node.dial(&server.address, Until::Identified).await?;
    let control = node.control();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { Err(node.keep().await) });
    lines::ready().await?;
    let measured = tokio::select! {
        biased;
        measured = measure(control, job) => measured?,
        lost = wait_for_all(&mut tasks) => return lost,
    };
    lines::result(measured).await
}

async fn measure(control: Control, job: Job) -> Result<Value> {
    match job {
        Job::Upload(plan) => transfers::one_way(&control, plan, Direction::Up).await,
        Job::Download(plan) => transfers::one_way(&control, plan, Direction::Down).await,
        Job::Duplex(plan) => transfers::duplex(&control, plan).await,
        Job::Ping { count } => requests::pings(&control, count).await,
        Job::Open { count, parallel } => requests::opens(&control, count, parallel).await,
        Job::FairRequest(plan) => requests::beside_transfers(&control, plan).await,
        Job::Connect { .. } | Job::Hold { .. } => bail!("this job dials by itself"),
    }
}

/// Waits for the end of every task; the first failure is the answer, and ends the others.
pub(crate) async fn wait_for_all(tasks: &mut JoinSet<Result<()>>) -> Result<()> {
    while let Some(done) = tasks.join_next().await {
        if let Err(error) = done? {
            tasks.shutdown().await;
            return Err(error);
        }
    }
    Ok(())
}

/// Hands out so many turns to whoever comes first.
#[derive(Clone)]
pub(crate) struct Turns {
    taken: Arc<AtomicU64>,
    count: u64,
}

impl Turns {
    pub(crate) fn new(count: u64) -> Self {
        Self { taken: Arc::default(), count }
    }

    pub(crate) fn take(&self) -> bool {
        self.taken.fetch_add(1, Ordering::Relaxed) < self.count
    }
}

/// The result of a job whose every turn was taken.
pub(crate) fn counted(count: u64, started: Instant) -> Value {
    json!({"count": count, "seconds": started.elapsed().as_secs_f64()})
}

/// The result of a job whose every turn was timed.
pub(crate) fn percentiles(mut times: Vec<Duration>) -> Value {
    times.sort_unstable();
    let at = |percent: usize| {
        let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(index).map(|time| time.as_secs_f64() * 1e6)
    };
    json!({"count": times.len(), "p50_us": at(50), "p99_us": at(99), "max_us": at(100)})
}
