//! The side that runs the jobs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use bowline_benches::{
    job::{FairRequest, Job, Transfer, Way, percentiles},
    lines,
};
use bowline_identity::{Keypair, PeerId, address};
use bowline_swarm::{ConnectOptions, Host, Stream};
use multiaddr::Multiaddr;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, task::JoinSet};

use crate::{ECHO, PERF};

const PING_BYTES: usize = 32;
const REQUEST_BYTES: usize = 1024;
/// The transfers beside the requests never end by themselves.
const ENDLESS: u64 = u64::MAX / 2;

/// The server and our host, connected.
#[derive(Clone)]
struct Warm {
    host: Host,
    peer: PeerId,
}

/// Runs one job and prints what it measured.
pub(crate) async fn run(to: Multiaddr, job: Job) -> Result<()> {
    let result = match job {
        Job::Connect(repeat) => connects(&to, repeat.count, repeat.parallel).await?,
        Job::Hold(repeat) => return hold(&to, repeat.count).await,
        job => {
            let warm = Warm::dial(&to).await?;
            start().await?;
            warm.measure(job).await?
        }
    };
    tokio::task::spawn_blocking(move || lines::result(result)).await?
}

/// Waits for the runner's word; the connections live on meanwhile.
async fn start() -> Result<()> {
    tokio::task::spawn_blocking(lines::ready).await?
}

impl Warm {
    async fn dial(to: &Multiaddr) -> Result<Self> {
        let host = Host::builder(Keypair::generate()).start().await?;
        let peer = host.connect(to).await?.peer();
        host.identify(peer).await?;
        Ok(Self { host, peer })
    }

    async fn measure(self, job: Job) -> Result<Value> {
        match job {
            Job::Upload(transfer) => self.transfers(transfer, Way::Up).await,
            Job::Download(transfer) => self.transfers(transfer, Way::Down).await,
            Job::Duplex(transfer) => self.duplex(transfer).await,
            Job::Ping(repeat) => self.pings(repeat.count).await,
            Job::Open(repeat) => self.opens(repeat.count, repeat.parallel).await,
            Job::FairRequest(plan) => self.fair_requests(plan).await,
            Job::Connect(_) | Job::Hold(_) => anyhow::bail!("this job dials by itself"),
        }
    }

    async fn open(&self, protocol: bowline_swarm::ProtocolId) -> Result<Stream> {
        Ok(self.host.open_stream(self.peer, protocol).await?)
    }

    async fn transfers(&self, plan: Transfer, way: Way) -> Result<Value> {
        let started = now();
        let mut running = JoinSet::new();
        for _ in 0..plan.streams {
            let (warm, bytes) = (self.clone(), plan.bytes / plan.streams);
            running.spawn(async move { warm.transfer(bytes, plan.buffer, way, None).await });
        }
        let moved = sum(running).await?;
        Ok(json!({"bytes": moved, "seconds": started.elapsed().as_secs_f64()}))
    }

    async fn duplex(&self, plan: Transfer) -> Result<Value> {
        let started = now();
        let mut running = JoinSet::new();
        for way in [Way::Up, Way::Down] {
            let warm = self.clone();
            running.spawn(async move { warm.transfer(plan.bytes, plan.buffer, way, None).await });
        }
        let moved = sum(running).await?;
        Ok(json!({"bytes": moved, "seconds": started.elapsed().as_secs_f64()}))
    }

    /// Moves `bytes` one way over a stream of its own, to the stream's end; `progress` counts them as they go.
    async fn transfer(
        &self,
        bytes: u64,
        buffer: usize,
        way: Way,
        progress: Option<Arc<AtomicU64>>,
    ) -> Result<u64> {
        let mut stream = self.open(PERF).await?;
        let (up, down) = if way == Way::Up { (bytes, 0) } else { (0, bytes) };
        stream.write_all(&down.to_be_bytes()).await?;
        let count = |len: usize| {
            if let Some(progress) = &progress {
                progress.fetch_add(len as u64, Ordering::Relaxed);
            }
        };
        let data = vec![0; buffer];
        let mut left = up;
        while left > 0 {
            let piece = usize::try_from(left).unwrap_or(usize::MAX).min(buffer);
            stream.write_all(&data[..piece]).await?;
            count(piece);
            left -= piece as u64;
        }
        stream.finish().await?;
        let mut received = 0;
        while let Some(chunk) = stream.read_chunk(buffer).await? {
            received += chunk.len() as u64;
            count(chunk.len());
        }
        ensure!(received == down, "the server sent {received} bytes instead of {down}");
        Ok(up + received)
    }

    async fn pings(&self, count: usize) -> Result<Value> {
        let mut stream = self.open(bowline_swarm::ProtocolId::from_static(bowline_ping::PROTOCOL)).await?;
        round_trip(&mut stream, PING_BYTES).await?;
        let mut seconds = Vec::with_capacity(count);
        for _ in 0..count {
            let started = now();
            round_trip(&mut stream, PING_BYTES).await?;
            seconds.push(started.elapsed().as_secs_f64());
        }
        Ok(percentiles(seconds))
    }

    async fn opens(&self, count: usize, parallel: usize) -> Result<Value> {
        let (started, next) = (now(), Arc::new(AtomicUsize::new(0)));
        let mut running = JoinSet::new();
        for _ in 0..parallel {
            let (warm, next) = (self.clone(), Arc::clone(&next));
            running.spawn(async move {
                while next.fetch_add(1, Ordering::Relaxed) < count {
                    request(warm.open(ECHO).await?, 1).await?;
                }
                Ok(0)
            });
        }
        sum(running).await?;
        Ok(json!({"count": count, "seconds": started.elapsed().as_secs_f64()}))
    }

    async fn fair_requests(&self, plan: FairRequest) -> Result<Value> {
        let (mut bulk, mut progress) = (JoinSet::new(), Vec::new());
        for _ in 0..plan.bulk {
            let (warm, moved) = (self.clone(), Arc::new(AtomicU64::new(0)));
            let (counted, way) = (Arc::clone(&moved), plan.direction);
            bulk.spawn(async move { warm.transfer(ENDLESS, 64 * 1024, way, Some(counted)).await });
            progress.push(moved);
        }
        while progress.iter().any(|moved| moved.load(Ordering::Relaxed) < plan.warm_bytes) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let mut seconds = Vec::with_capacity(plan.count);
        for _ in 0..plan.count {
            let started = now();
            request(self.open(ECHO).await?, REQUEST_BYTES).await?;
            seconds.push(started.elapsed().as_secs_f64());
        }
        ensure!(bulk.try_join_next().is_none(), "a transfer ended while requests ran");
        Ok(percentiles(seconds))
    }
}

/// Sends `len` bytes on a fresh echo stream, and reads them back to the end.
async fn request(mut stream: Stream, len: usize) -> Result<()> {
    stream.write_all(&vec![7; len]).await?;
    stream.finish().await?;
    let answer = stream.read_to_end(len).await?;
    ensure!(answer.len() == len, "an echo of {} bytes instead of {len}", answer.len());
    Ok(())
}

/// Sends `len` bytes and reads as many.
async fn round_trip(stream: &mut Stream, len: usize) -> Result<()> {
    stream.write_all(&vec![7; len]).await?;
    let mut received = 0;
    while received < len {
        let chunk = stream.read_chunk(len - received).await?.context("the echo ended early")?;
        received += chunk.len();
    }
    Ok(())
}

/// Dials, echoes one byte and closes, with `parallel` hosts at once.
async fn connects(to: &Multiaddr, count: usize, parallel: usize) -> Result<Value> {
    let peer = address::peer_id(to).context("the address must end in /p2p/…")?;
    let mut hosts = Vec::new();
    for _ in 0..parallel {
        hosts.push(Host::builder(Keypair::generate()).start().await?);
    }
    start().await?;
    let (started, next) = (now(), Arc::new(AtomicUsize::new(0)));
    let mut running = JoinSet::new();
    for host in hosts {
        let (to, next) = (to.clone(), Arc::clone(&next));
        running.spawn(async move {
            while next.fetch_add(1, Ordering::Relaxed) < count {
                // A delaying proxy in between must not be passed by through what identify told.
                let options = ConnectOptions { only_given: true, ..ConnectOptions::default() };
                let connection = host.connect_with(&to, &options).await?;
                request(host.open_stream(peer, ECHO).await?, 1).await?;
                connection.close(0);
            }
            Ok(0)
        });
    }
    sum(running).await?;
    Ok(json!({"count": count, "seconds": started.elapsed().as_secs_f64()}))
}

/// Opens connections, each from an identity of its own, and keeps them until stdin ends.
async fn hold(to: &Multiaddr, count: usize) -> Result<()> {
    let peer = address::peer_id(to).context("the address must end in /p2p/…")?;
    start().await?;
    let (started, mut hosts) = (now(), Vec::with_capacity(count));
    for _ in 0..count {
        let host = Host::builder(Keypair::generate()).start().await?;
        host.connect(to).await?;
        request(host.open_stream(peer, ECHO).await?, 1).await?;
        hosts.push(host);
    }
    let result = json!({"count": count, "seconds": started.elapsed().as_secs_f64()});
    tokio::task::spawn_blocking(move || lines::result(result)).await?
}

/// Waits for all; the first failure is the answer.
async fn sum(mut running: JoinSet<Result<u64>>) -> Result<u64> {
    let mut total = 0;
    while let Some(done) = running.join_next().await {
        total += done??;
    }
    Ok(total)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}
