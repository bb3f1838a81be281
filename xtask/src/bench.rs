//! `cargo xtask bench get`: one large file from one Bowline to another, beside the same between two Kubos.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use comfy_table::{Table, presets};
use serde_json::json;

use crate::{
    interop::{
        bowline::{Bowline, Profile, Serving},
        data,
        kubo::remove,
        kubo_node::{self, KuboNode},
        matrix::{self, progress},
    },
    process, programs,
};

const MIB: u64 = 1024 * 1024;
/// How many times as fast as Kubo a fetch has to be.
const WANTED_RATIO: f64 = 3.0;
/// How much memory each of the two Bowline processes may hold.
const MEMORY_LIMIT: u64 = 150 * MIB;
/// Slower than this over loopback is a stall.
const SLOWEST_BYTES_PER_SECOND: u64 = 4 * MIB;

#[derive(clap::Args)]
pub(crate) struct GetOptions {
    /// Size of the file, such as 64MiB or 1GiB.
    #[arg(long, default_value = "1GiB", value_parser = parse_size)]
    size: u64,
    /// Fetches of each kind, alternating.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Use this Kubo instead of building the one that interop/peers/kubo/go.mod names.
    #[arg(long, value_name = "PATH")]
    ipfs: Option<PathBuf>,
    /// Use this Bowline instead of building the one of this work tree.
    #[arg(long, value_name = "PATH")]
    bowline: Option<PathBuf>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Exit with an error when a goal is missed.
    #[arg(long)]
    strict: bool,
}

pub(crate) fn get(root: &Path, options: GetOptions) -> Result<()> {
    process::catch_interrupts()?;
    let ipfs = options.ipfs.map_or_else(|| programs::kubo(root), Ok)?;
    // The example is not measured; an unset one would only be built in vain.
    let example = options.bowline.clone();
    let ours = programs::bowline(root, options.bowline, example)?;
    progress(&format!("Kubo {}", kubo_node::version(&ipfs)?));
    let scratch = programs::scratch(root, "bench-")?;
    let bench = Bench {
        bowline: Bowline::new(ours.bowline),
        ipfs,
        scratch: scratch.path().to_path_buf(),
        logs: matrix::logs(scratch.path())?,
        size: options.size,
    };
    let results = matrix::or_show_logs(bench.run(options.rounds), &bench.logs)?;
    results.print(options.json)?;
    if options.strict && !results.goals_are_met() {
        bail!("a goal is missed");
    }
    Ok(())
}

struct Bench {
    bowline: Bowline,
    ipfs: PathBuf,
    scratch: PathBuf,
    logs: PathBuf,
    size: u64,
}

/// One fetch: its speed and the peaks of the two processes.
struct Sample {
    mib_s: f64,
    server_peak: Option<u64>,
    client_peak: Option<u64>,
}

impl Bench {
    fn run(&self, rounds: u32) -> Result<Results> {
        let file = self.scratch.join("file");
        progress(&format!("writing {} MiB", self.size / MIB));
        data::write_stream(&file, "bench", self.size)?;
        let store = self.scratch.join("bowline-store");
        progress("adding it on both sides");
        let kubo = KuboNode::start(&self.ipfs, "kubo-seeder", &self.scratch)?;
        let cid = kubo.add(&file, Profile::V1, self.limit())?;
        let ours = self.bowline.add(&store, &file, Profile::V1, self.limit())?;
        if ours != cid {
            bail!("Bowline says {ours}, Kubo says {cid}");
        }
        let mut results = Results { bytes: self.size, bowline: Vec::new(), kubo: Vec::new() };
        for round in 1..=rounds {
            let sample = self.bowline_to_bowline(&cid, &store, &file)?;
            progress(&format!("round {round}: Bowline to Bowline {:.0} MiB/s", sample.mib_s));
            results.bowline.push(sample);
            let sample = self.kubo_to_kubo(&cid, &kubo, &file)?;
            progress(&format!("round {round}: Kubo to Kubo {:.0} MiB/s", sample.mib_s));
            results.kubo.push(sample);
        }
        Ok(results)
    }

    /// A serving process over the store, and a fetching one over a fresh store: the whole command counts,
    /// start and dial included.
    fn bowline_to_bowline(&self, cid: &str, store: &Path, file: &Path) -> Result<Sample> {
        let (out, fresh) = (self.scratch.join("out"), self.scratch.join("fresh-store"));
        let serving: Serving = self.bowline.serve("bowline-serve", store, &self.logs)?;
        settle()?;
        let got = self.bowline.get(cid, &serving.address, &out, &fresh, self.limit())?;
        let server_peak = serving.daemon.peak_bytes();
        serving.stop()?;
        data::same(file, &out).context("Bowline to Bowline")?;
        remove(&out)?;
        remove(&fresh)?;
        Ok(Sample { mib_s: self.mib_s(got.took), server_peak, client_peak: got.peak_bytes })
    }

    /// `ipfs get` through a fresh daemon that is connected to the seeder.
    fn kubo_to_kubo(&self, cid: &str, seeder: &KuboNode, file: &Path) -> Result<Sample> {
        let out = self.scratch.join("out");
        let fetcher = KuboNode::start(&self.ipfs, "kubo-fetcher", &self.scratch)?;
        fetcher.connect(seeder.address())?;
        settle()?;
        let got = fetcher.get(cid, &out, self.limit())?;
        let (server_peak, client_peak) = (seeder.peak_bytes(), fetcher.peak_bytes());
        drop(fetcher);
        data::same(file, &out).context("Kubo to Kubo")?;
        remove(&out)?;
        remove(&self.scratch.join("kubo-fetcher"))?;
        Ok(Sample { mib_s: self.mib_s(got.took), server_peak, client_peak })
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(60 + self.size / SLOWEST_BYTES_PER_SECOND)
    }

    fn mib_s(&self, took: Duration) -> f64 {
        self.size as f64 / MIB as f64 / took.as_secs_f64()
    }
}

/// Writes back what earlier steps left dirty, so that no fetch pays for another.
fn settle() -> Result<()> {
    process::run("sync", &mut Command::new("sync"), Duration::from_secs(120))?;
    Ok(())
}

struct Results {
    bytes: u64,
    bowline: Vec<Sample>,
    kubo: Vec<Sample>,
}

impl Results {
    fn ratio(&self) -> f64 {
        Speeds::of(&self.bowline).median / Speeds::of(&self.kubo).median
    }

    fn memory_is_low(&self) -> Option<bool> {
        Some(
            peak(&self.bowline, |sample| sample.server_peak)?
                .max(peak(&self.bowline, |sample| sample.client_peak)?)
                <= MEMORY_LIMIT,
        )
    }

    /// Where the system does not tell the memory, that goal is not met.
    fn goals_are_met(&self) -> bool {
        self.ratio() >= WANTED_RATIO && self.memory_is_low() == Some(true)
    }

    fn print(&self, as_json: bool) -> Result<()> {
        let mut out = std::io::stdout().lock();
        if as_json {
            writeln!(out, "{}", self.json())?;
            return Ok(());
        }
        writeln!(out, "{}", self.table())?;
        let (cores, load) = machine();
        writeln!(out, "every file verified byte for byte; {cores} cores, load average {load}")?;
        writeln!(
            out,
            "Bowline / Kubo = {:.2} (goal: at least {WANTED_RATIO}): {}",
            self.ratio(),
            met(self.ratio() >= WANTED_RATIO)
        )?;
        writeln!(
            out,
            "memory of each Bowline process at most {} MiB: {}",
            MEMORY_LIMIT / MIB,
            self.memory_is_low().map_or("not known on this system", met)
        )?;
        Ok(())
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        let size = format!("{} MiB", self.bytes / MIB);
        table.set_header([
            size.as_str(),
            "median MiB/s",
            "spread",
            "runs",
            "peak of the serving process",
            "peak of the fetching process",
        ]);
        for (name, samples) in [("Bowline to Bowline", &self.bowline), ("Kubo to Kubo", &self.kubo)] {
            let speeds = Speeds::of(samples);
            table.add_row([
                name.to_owned(),
                format!("{:.0}", speeds.median),
                format!("{:.0}–{:.0}", speeds.lowest, speeds.highest),
                samples.len().to_string(),
                mib(peak(samples, |sample| sample.server_peak)),
                mib(peak(samples, |sample| sample.client_peak)),
            ]);
        }
        table
    }

    fn json(&self) -> serde_json::Value {
        let side = |samples: &[Sample]| {
            let speeds = Speeds::of(samples);
            json!({
                "median_mib_s": speeds.median,
                "lowest_mib_s": speeds.lowest,
                "highest_mib_s": speeds.highest,
                "runs": samples.len(),
                "server_peak_bytes": peak(samples, |sample| sample.server_peak),
                "client_peak_bytes": peak(samples, |sample| sample.client_peak),
            })
        };
        json!({
            "bytes": self.bytes,
            "bowline": side(&self.bowline),
            "kubo": side(&self.kubo),
            "ratio": self.ratio(),
            "ratio_goal_met": self.ratio() >= WANTED_RATIO,
            "memory_goal_met": self.memory_is_low(),
        })
    }
}

struct Speeds {
    lowest: f64,
    median: f64,
    highest: f64,
}

impl Speeds {
    /// Of at least one sample.
    fn of(samples: &[Sample]) -> Self {
        let mut speeds: Vec<f64> = samples.iter().map(|sample| sample.mib_s).collect();
        speeds.sort_by(f64::total_cmp);
        let middle = speeds.len() / 2;
        let median = match speeds.len() % 2 {
            0 => f64::midpoint(speeds[middle - 1], speeds[middle]),
            _ => speeds[middle],
        };
        Self { lowest: speeds[0], median, highest: speeds[speeds.len() - 1] }
    }
}

/// The highest of some peaks; `None` when one is unknown.
fn peak(samples: &[Sample], of: impl Fn(&Sample) -> Option<u64>) -> Option<u64> {
    samples.iter().map(of).collect::<Option<Vec<u64>>>()?.into_iter().max()
}

fn mib(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "not known".to_owned(), |bytes| format!("{:.0} MiB", bytes as f64 / MIB as f64))
}

fn met(goal: bool) -> &'static str {
    if goal { "met" } else { "MISSED" }
}

fn machine() -> (usize, String) {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    (cores, load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("not known").to_owned())
}

fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.trim().parse().map_err(|_| format!("{text:?} does not begin with a number"))?;
    let unit = match &text[digits.len()..] {
        "" | "B" => 1,
        "KiB" => 1024,
        "MiB" => MIB,
        "GiB" => 1024 * MIB,
        other => return Err(format!("unknown unit {other:?}; use B, KiB, MiB or GiB")),
    };
    match number.checked_mul(unit) {
        Some(bytes) if bytes > 0 => Ok(bytes),
        _ => Err(format!("{text:?} is no size to measure with")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(speeds: &[f64]) -> Vec<Sample> {
        speeds
            .iter()
            .map(|mib_s| Sample { mib_s: *mib_s, server_peak: Some(100 * MIB), client_peak: Some(120 * MIB) })
            .collect()
    }

    #[test]
    fn medians_do_not_move_with_one_bad_run() {
        let speeds = Speeds::of(&samples(&[300.0, 10.0, 310.0]));
        assert_eq!((speeds.lowest, speeds.median, speeds.highest), (10.0, 300.0, 310.0));
        assert_eq!(Speeds::of(&samples(&[1.0, 3.0])).median, 2.0);
    }

    #[test]
    fn both_goals_count() {
        let mut results = Results { bytes: MIB, bowline: samples(&[210.0]), kubo: samples(&[70.0]) };
        assert!(results.goals_are_met());
        results.bowline[0].mib_s = 209.0;
        assert!(!results.goals_are_met());
        results.bowline[0].mib_s = 210.0;
        results.bowline[0].client_peak = Some(151 * MIB);
        assert!(!results.goals_are_met());
        results.bowline[0].client_peak = None;
        assert!(!results.goals_are_met());
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("1GiB"), Ok(1 << 30));
        assert_eq!(parse_size("64 MiB"), Ok(64 << 20));
        assert_eq!(parse_size("5"), Ok(5));
        for wrong in ["", "MiB", "1GB", "0", "-1", "99999999999999999999", "18446744073709551615KiB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
