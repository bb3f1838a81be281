//! The command line, which is the same for every program of the benchmark.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};
use libp2p::Multiaddr;

#[derive(Parser)]
#[command(about = "rust-libp2p as one side of a benchmark")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) side: Side,
}

#[derive(Subcommand)]
pub(crate) enum Side {
    /// Serve until stdin ends.
    BenchServe {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// The runtime to serve on.
        #[arg(long, value_enum, default_value_t = Runtime::Multi)]
        runtime: Runtime,
    },
    /// Run one job against a server and print its result.
    BenchRun {
        /// The address that the server printed.
        #[arg(long)]
        to: Multiaddr,
        /// The runtime to run on.
        #[arg(long, value_enum, default_value_t = Runtime::Multi)]
        runtime: Runtime,
        /// What to measure.
        #[command(subcommand)]
        job: Job,
    },
}

/// How many threads a side has.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Runtime {
    /// The runtime's default.
    Multi,
    /// One.
    OneThread,
}

/// What can be measured.
#[derive(Subcommand)]
pub(crate) enum Job {
    /// Bytes from the client to the server.
    Upload(Transfer),
    /// Bytes from the server to the client.
    Download(Transfer),
    /// An upload and a download at once.
    Duplex(Transfer),
    /// Round trips of 32 bytes on one stream.
    Ping {
        /// How often.
        #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u64).range(1..))]
        count: u64,
    },
    /// Dial, one byte there and back, close.
    Connect {
        /// How often.
        #[arg(long, default_value_t = 1_000)]
        count: u64,
        /// How many at once.
        #[arg(long, default_value_t = 1, value_parser = value_parser!(u64).range(1..))]
        parallel: u64,
    },
    /// Open a stream, one byte there and back, close it.
    Open {
        /// How often.
        #[arg(long, default_value_t = 10_000)]
        count: u64,
        /// How many at once.
        #[arg(long, default_value_t = 1, value_parser = value_parser!(u64).range(1..))]
        parallel: u64,
    },
    /// Open connections and keep them idle.
    Hold {
        /// How many.
        #[arg(long, default_value_t = 2_000)]
        count: u64,
    },
    /// Round trips of 1 KiB on new streams, beside transfers that never end.
    FairRequest(FairRequest),
}

/// A transfer of bytes.
#[derive(Clone, Copy, Args)]
pub(crate) struct Transfer {
    /// Bytes in all, a multiple of the streams.
    #[arg(long, default_value_t = 1 << 30)]
    pub(crate) bytes: u64,
    /// Bytes of one write or read.
    #[arg(long, default_value_t = 64 * 1024, value_parser = value_parser!(u32).range(1..))]
    pub(crate) buffer: u32,
    /// Streams at once.
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u64).range(1..))]
    pub(crate) streams: u64,
}

/// Requests beside bulk transfers.
#[derive(Clone, Copy, Args)]
pub(crate) struct FairRequest {
    /// Requests, one after another.
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u64).range(1..))]
    pub(crate) count: u64,
    /// Transfers beside them.
    #[arg(long, default_value_t = 8)]
    pub(crate) bulk: usize,
    /// Which way the transfers go.
    #[arg(long, value_enum, default_value_t = Direction::Up)]
    pub(crate) direction: Direction,
    /// Bytes that each transfer moves before the first request.
    #[arg(long, default_value_t = 1 << 20)]
    pub(crate) warm_bytes: u64,
}

/// Which way bytes go.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}
