//! The command line of a peer program.

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// A peer program's arguments.
#[derive(Debug, Parser)]
#[command(about = "One side of a benchmark")]
pub struct Arguments {
    /// Which side to be.
    #[command(subcommand)]
    pub side: Side,
}

/// The two sides.
#[derive(Debug, Subcommand)]
pub enum Side {
    /// Serve until stdin ends.
    BenchServe {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: String,
        /// The runtime to serve on.
        #[arg(long, value_enum, default_value_t = Runtime::Multi)]
        runtime: Runtime,
    },
    /// Run one job against a server and print its result.
    BenchRun {
        /// The address that the server printed.
        #[arg(long)]
        to: String,
        /// The runtime to run on.
        #[arg(long, value_enum, default_value_t = Runtime::Multi)]
        runtime: Runtime,
        /// What to measure.
        #[command(subcommand)]
        job: Job,
    },
}

/// How many threads a side has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Runtime {
    /// The runtime's default.
    Multi,
    /// One.
    OneThread,
}

impl Runtime {
    /// Starts it, and runs `work` to its end as one of its tasks: the thread that starts a runtime is woken in a
    /// slower way than the tasks on it, and a user's code runs in tasks.
    ///
    /// # Errors
    ///
    /// Those of `work`, or when the system gives no threads or no poller.
    pub fn run<T: Send + 'static>(
        self,
        work: impl Future<Output = anyhow::Result<T>> + Send + 'static,
    ) -> anyhow::Result<T> {
        let runtime = match self {
            Self::Multi => tokio::runtime::Builder::new_multi_thread().enable_all().build(),
            Self::OneThread => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        }?;
        let mut tasks = tokio::task::JoinSet::new();
        runtime.block_on(async move {
            tasks.spawn(work);
            tasks.join_next().await.context("one task was spawned")??
        })
    }
}

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum Job {
    /// Bytes from the client to the server.
    Upload(Transfer),
    /// Bytes from the server to the client.
    Download(Transfer),
    /// An upload and a download at once.
    Duplex(Transfer),
    /// Round trips of 32 bytes on one stream.
    Ping(Repeat<10_000>),
    /// Dial, one byte there and back, close.
    Connect(Repeat<1_000>),
    /// Open a stream, one byte there and back, close it.
    Open(Repeat<10_000>),
    /// Open connections and keep them idle.
    Hold(Repeat<2_000>),
    /// Round trips of 1 KiB on new streams, beside transfers that never end.
    FairRequest(FairRequest),
}

/// A transfer of bytes.
#[derive(Debug, Clone, Copy, Args)]
pub struct Transfer {
    /// Bytes in all.
    #[arg(long, default_value_t = 1 << 30)]
    pub bytes: u64,
    /// Bytes of one write or read.
    #[arg(long, default_value_t = 64 * 1024)]
    pub buffer: usize,
    /// Streams at once.
    #[arg(long, default_value_t = 1)]
    pub streams: u64,
    /// No records: the bare socket. Only the limit program offers it.
    #[arg(long)]
    pub plain: bool,
}

/// Something done `COUNT` times unless told otherwise.
#[derive(Debug, Clone, Copy, Args)]
pub struct Repeat<const COUNT: usize> {
    /// How often.
    #[arg(long, default_value_t = COUNT)]
    pub count: usize,
    /// How many at once.
    #[arg(long, default_value_t = 1)]
    pub parallel: usize,
}

/// Requests beside bulk transfers.
#[derive(Debug, Clone, Copy, Args)]
pub struct FairRequest {
    /// Requests, one after another.
    #[arg(long, default_value_t = 100)]
    pub count: usize,
    /// Transfers beside them.
    #[arg(long, default_value_t = 8)]
    pub bulk: usize,
    /// Which way the transfers go.
    #[arg(long, value_enum, default_value_t = Way::Up)]
    pub direction: Way,
    /// Bytes that each transfer moves before the first request.
    #[arg(long, default_value_t = 1 << 20)]
    pub warm_bytes: u64,
}

/// A direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// The 50th and 99th percentile and the maximum of durations in seconds, as microseconds.
#[must_use]
pub fn percentiles(mut seconds: Vec<f64>) -> serde_json::Value {
    seconds.sort_by(f64::total_cmp);
    let at = |share: usize| seconds.get((seconds.len() * share / 100).min(seconds.len().saturating_sub(1)));
    let micros = |share| at(share).map(|seconds| seconds * 1e6);
    serde_json::json!({
        "p50_us": micros(50), "p99_us": micros(99), "max_us": micros(100), "count": seconds.len()
    })
}
