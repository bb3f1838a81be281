//! What is measured: a row is a job, the network it crosses, and how its number comes out of a run.

use std::time::Duration;

use crate::compare::{
    measure::Sample,
    network::{Path, Rate},
};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
/// The round trip of every slow path.
pub(crate) const ROUND_TRIP: Duration = Duration::from_millis(100);

/// A line of the tables.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    /// What gives the numbers.
    pub(crate) source: Source,
    /// Runs only when it is asked for: it is slow, or needs more than loopback.
    pub(crate) on_demand: bool,
}

/// Which way a number improves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// Where a row's numbers come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Runs of its own.
    Runs { experiment: Experiment, value: Value },
    /// The runs of another row, seen from another side.
    SameRunsAs { row: &'static str, value: Value },
    /// Cold builds of the minimal programs.
    Builds(BuildFigure),
}

/// Takes a row's number out of a run; nothing when the peer did not tell what it needs.
pub(crate) type Value = fn(&Sample) -> Option<f64>;

/// What a build row shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BuildFigure {
    Seconds,
    Crates,
}

/// A job over a network.
#[derive(Debug, Clone)]
pub(crate) struct Experiment {
    pub(crate) job: Job,
    pub(crate) path: Path,
    pub(crate) limit: LimitJob,
    /// A run that takes longer has failed.
    pub(crate) deadline: Duration,
}

/// What the limit program does in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitJob {
    /// The same job.
    Same,
    /// The same job without records: plain TCP.
    Plain,
    /// Nothing.
    Absent,
}

/// A job as `bench-run` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    Transfer { way: Way, bytes: u64, buffer: u64, streams: u64 },
    Ping { count: u64 },
    Connect { count: u64, parallel: u64 },
    Open { count: u64, parallel: u64 },
    Hold { count: u64 },
    FairRequest { count: u64, down: bool },
}

/// Which way the bytes of a transfer go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Upload,
    Download,
    Duplex,
}

impl Job {
    /// The words that `bench-run` takes.
    pub(crate) fn words(self) -> Vec<String> {
        let (name, flags): (&str, &[(&str, u64)]) = match self {
            Self::Transfer { way, bytes, buffer, streams } => {
                (way.name(), &[("bytes", bytes), ("buffer", buffer), ("streams", streams)])
            }
            Self::Ping { count } => ("ping", &[("count", count)]),
            Self::Connect { count, parallel } => ("connect", &[("count", count), ("parallel", parallel)]),
            Self::Open { count, parallel } => ("open", &[("count", count), ("parallel", parallel)]),
            Self::Hold { count } => ("hold", &[("count", count)]),
            Self::FairRequest { count, .. } => ("fair-request", &[("count", count)]),
        };
        let mut words = vec![name.to_owned()];
        for (flag, value) in flags {
            words.extend([format!("--{flag}"), value.to_string()]);
        }
        if let Self::FairRequest { down, .. } = self {
            words.extend(["--direction".to_owned(), if down { "down" } else { "up" }.to_owned()]);
        }
        words
    }

    /// What the result has to say it did: `bytes` or `count`.
    pub(crate) fn amount(self) -> u64 {
        match self {
            Self::Transfer { way: Way::Duplex, bytes, .. } => 2 * bytes,
            Self::Transfer { bytes: amount, .. }
            | Self::Ping { count: amount }
            | Self::Connect { count: amount, .. }
            | Self::Open { count: amount, .. }
            | Self::Hold { count: amount }
            | Self::FairRequest { count: amount, .. } => amount,
        }
    }

    /// As little of it as still exercises every program.
    pub(crate) fn smoke(mut self) -> Self {
        match &mut self {
            // Divisible by every number of streams.
            Self::Transfer { bytes, .. } => *bytes = (*bytes).min(4 * MIB),
            Self::Ping { count }
            | Self::Connect { count, .. }
            | Self::Open { count, .. }
            | Self::Hold { count }
            | Self::FairRequest { count, .. } => *count = (*count).min(64),
        }
        self
    }
}

impl Way {
    /// As `bench-run` takes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Download => "download",
            Self::Duplex => "duplex",
        }
    }
}

/// Every row, in the order of the tables.
pub(crate) const ROWS: &[Row] = &[
    higher("upload", "MiB/s", runs(transfer(Way::Upload, GIB, 64 * KIB, 1), mib_per_second)),
    higher("download", "MiB/s", runs(transfer(Way::Download, GIB, 64 * KIB, 1), mib_per_second)),
    higher("upload-1k", "MiB/s", runs(transfer(Way::Upload, 256 * MIB, KIB, 1), mib_per_second)),
    higher("streams-16", "MiB/s", runs(transfer(Way::Upload, GIB, 64 * KIB, 16), mib_per_second)),
    higher("streams-64", "MiB/s", runs(transfer(Way::Upload, GIB, 64 * KIB, 64), mib_per_second)),
    higher("duplex", "MiB/s", runs(transfer(Way::Duplex, GIB, 64 * KIB, 1), mib_per_second)),
    lower("fair-request", "ms", streams_only(Job::FairRequest { count: 100, down: false }, p99_ms)),
    lower("fair-request-down", "ms", streams_only(Job::FairRequest { count: 100, down: true }, p99_ms)),
    lower("ping", "µs", runs(Job::Ping { count: 10_000 }, p50_us)),
    higher("connect-1", "/s", runs(Job::Connect { count: 1_000, parallel: 1 }, per_second)),
    higher("connect-16", "/s", runs(Job::Connect { count: 3_000, parallel: 16 }, per_second)),
    higher("open-1", "/s", streams_only(Job::Open { count: 10_000, parallel: 1 }, per_second)),
    higher("open-64", "/s", streams_only(Job::Open { count: 50_000, parallel: 64 }, per_second)),
    lower("idle-memory", "KiB", streams_only(Job::Hold { count: 2_000 }, idle_kib)),
    lower("cpu-send", "s/GiB", Source::SameRunsAs { row: "upload", value: sender_cpu }),
    lower("cpu-recv", "s/GiB", Source::SameRunsAs { row: "upload", value: receiver_cpu }),
    slow(lower("cold-16m", "s", over(COLD, WINDOWS_ONLY, LimitJob::Absent, seconds))),
    slow(lower("cold-16m-1gbit", "s", over(COLD, WINDOWS_ONLY_1_GBIT, LimitJob::Absent, seconds))),
    slow(higher("link-256m", "MiB/s", over(LONG, LINK_1_GBIT, LimitJob::Plain, mib_per_second))),
    slow(higher("link-256m-unshaped", "MiB/s", over(LONG, WINDOWS_ONLY, LimitJob::Plain, mib_per_second))),
    slow(lower("rtt-dial", "round trips", over(DIALS, LINK, LimitJob::Same, round_trips))),
    slow(lower("rtt-stream", "round trips", over(OPENS, LINK, LimitJob::Absent, round_trips))),
    slow(lower("fair-request-slow", "ms", over(FAIR_UP, LINK_10_MBIT, LimitJob::Absent, p50_ms))),
    slow(lower("fair-request-slow-down", "ms", over(FAIR_DOWN, LINK_10_MBIT, LimitJob::Absent, p50_ms))),
    slow(lower("build", "s", Source::Builds(BuildFigure::Seconds))),
    slow(lower("build-crates", "crates", Source::Builds(BuildFigure::Crates))),
];

const COLD: Job = transfer(Way::Upload, 16 * MIB, 64 * KIB, 1);
const LONG: Job = transfer(Way::Upload, 256 * MIB, 64 * KIB, 1);
const DIALS: Job = Job::Connect { count: 5, parallel: 1 };
const OPENS: Job = Job::Open { count: 5, parallel: 1 };
/// Their median counts: every ten seconds BBR sends next to nothing for 200 ms, to see how short the path is, and who asks
/// then waits, whatever the multiplexer does.
const FAIR_UP: Job = Job::FairRequest { count: 50, down: false };
const FAIR_DOWN: Job = Job::FairRequest { count: 50, down: true };

/// TCP ends at a proxy: its slow start from ten packets would take a second for 16 MiB and hide what the
/// multiplexer's window does.
const WINDOWS_ONLY: Path = Path::Proxy { rate: None };
const WINDOWS_ONLY_1_GBIT: Path = Path::Proxy { rate: Some(GBIT) };
const LINK: Path = Path::Link { rate: None };
const LINK_1_GBIT: Path = Path::Link { rate: Some(GBIT) };
const LINK_10_MBIT: Path = Path::Link { rate: Some(Rate { bits_per_second: 10_000_000 }) };
const GBIT: Rate = Rate { bits_per_second: 1_000_000_000 };

const LOOPBACK_DEADLINE: Duration = Duration::from_secs(3 * 60);
/// Requests behind a queue of 16 MiB at 10 Mbit/s take 14 s each.
const SLOW_DEADLINE: Duration = Duration::from_secs(10 * 60);

const fn higher(id: &'static str, unit: &'static str, source: Source) -> Row {
    Row { id, unit, better: Better::Higher, source, on_demand: false }
}

const fn lower(id: &'static str, unit: &'static str, source: Source) -> Row {
    Row { id, unit, better: Better::Lower, source, on_demand: false }
}

const fn slow(mut row: Row) -> Row {
    row.on_demand = true;
    row
}

const fn transfer(way: Way, bytes: u64, buffer: u64, streams: u64) -> Job {
    Job::Transfer { way, bytes, buffer, streams }
}

const fn runs(job: Job, value: Value) -> Source {
    let limit = LimitJob::Same;
    let experiment = Experiment { job, path: Path::Loopback, limit, deadline: LOOPBACK_DEADLINE };
    Source::Runs { experiment, value }
}

/// A job that needs a multiplexer: the bare socket has nothing to compare.
const fn streams_only(job: Job, value: Value) -> Source {
    over(job, Path::Loopback, LimitJob::Absent, value)
}

const fn over(job: Job, path: Path, limit: LimitJob, value: Value) -> Source {
    let deadline = if matches!(path, Path::Loopback) { LOOPBACK_DEADLINE } else { SLOW_DEADLINE };
    Source::Runs { experiment: Experiment { job, path, limit, deadline }, value }
}

fn mib_per_second(sample: &Sample) -> Option<f64> {
    Some(sample.result.bytes? / MIB as f64 / sample.result.seconds?)
}

fn per_second(sample: &Sample) -> Option<f64> {
    Some(sample.result.count? / sample.result.seconds?)
}

fn seconds(sample: &Sample) -> Option<f64> {
    sample.result.seconds
}

fn p50_us(sample: &Sample) -> Option<f64> {
    sample.result.p50_us
}

fn p50_ms(sample: &Sample) -> Option<f64> {
    Some(p50_us(sample)? / 1e3)
}

fn p99_ms(sample: &Sample) -> Option<f64> {
    Some(sample.result.p99_us? / 1e3)
}

fn round_trips(sample: &Sample) -> Option<f64> {
    Some(sample.result.seconds? / ROUND_TRIP.as_secs_f64() / sample.result.count?)
}

fn idle_kib(sample: &Sample) -> Option<f64> {
    Some(sample.server_growth_bytes / KIB as f64 / sample.result.count?)
}

fn sender_cpu(sample: &Sample) -> Option<f64> {
    Some(sample.client_cpu_seconds / (sample.result.bytes? / GIB as f64))
}

fn receiver_cpu(sample: &Sample) -> Option<f64> {
    Some(sample.server_cpu_seconds / (sample.result.bytes? / GIB as f64))
}

/// The row of an id.
pub(crate) fn find(id: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_an_id_of_its_own_and_a_source_that_exists() {
        for (index, row) in ROWS.iter().enumerate() {
            assert!(ROWS[..index].iter().all(|other| other.id != row.id), "{}", row.id);
            if let Source::SameRunsAs { row: source, .. } = &row.source {
                assert!(matches!(find(source).unwrap().source, Source::Runs { .. }), "{}", row.id);
            }
        }
    }

    #[test]
    fn jobs_are_words_for_a_peer() {
        assert_eq!(
            transfer(Way::Upload, 1024, 64, 2).words(),
            ["upload", "--bytes", "1024", "--buffer", "64", "--streams", "2"]
        );
        assert_eq!(
            Job::FairRequest { count: 3, down: true }.words(),
            ["fair-request", "--count", "3", "--direction", "down"]
        );
        assert_eq!(Job::Connect { count: 5, parallel: 1 }.words()[1..], ["--count", "5", "--parallel", "1"]);
    }

    #[test]
    fn both_ways_of_a_duplex_count() {
        assert_eq!(transfer(Way::Duplex, 10, 64, 1).amount(), 20);
        assert_eq!(transfer(Way::Download, 10, 64, 1).amount(), 10);
        assert_eq!(Job::Hold { count: 7 }.amount(), 7);
    }

    #[test]
    fn numbers_come_out_of_a_run() {
        let mut sample = Sample::default();
        assert_eq!(mib_per_second(&sample), None);
        sample.result.bytes = Some((2 * GIB) as f64);
        sample.result.seconds = Some(4.0);
        sample.result.count = Some(8.0);
        sample.result.p99_us = Some(1_500.0);
        sample.client_cpu_seconds = 3.0;
        sample.server_cpu_seconds = 1.0;
        sample.server_growth_bytes = (80 * KIB) as f64;
        assert_eq!(mib_per_second(&sample), Some(512.0));
        assert_eq!(per_second(&sample), Some(2.0));
        assert_eq!(round_trips(&sample), Some(5.0));
        assert_eq!(p99_ms(&sample), Some(1.5));
        assert_eq!(idle_kib(&sample), Some(10.0));
        assert_eq!((sender_cpu(&sample), receiver_cpu(&sample)), (Some(1.5), Some(0.5)));
    }
}
