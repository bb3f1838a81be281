//! `cargo xtask interop rust-libp2p`: Noise, Yamux, ping, identify, perf and plain streams against
//! rust-libp2p, dialed by either side; and the same streams against another Bowline.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{
    interop::{
        bowline::{Bowline, Serving},
        matrix::{self, Matrix, Passed, progress},
    },
    process, programs,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Use this build of interop/peers/rust-libp2p instead of building it.
    #[arg(long, value_name = "PATH")]
    bin: Option<PathBuf>,
    /// Use this Bowline instead of building the one of this work tree.
    #[arg(long, value_name = "PATH")]
    bowline: Option<PathBuf>,
    /// Use this build of the example `interop` instead of building the one of this work tree.
    #[arg(long, value_name = "PATH")]
    example: Option<PathBuf>,
    /// Streams that are written, finished and dropped.
    #[arg(long, default_value_t = 10_000)]
    streams: u64,
    /// Print one JSON object for each check instead of a table.
    #[arg(long)]
    json: bool,
}

const PERF_BYTES: u64 = 64 * 1024 * 1024;
const ECHO_BYTES: u64 = 3_000_000;
const SINK_BYTES: u64 = 1024;
const PINGS: usize = 5;
const STREAM_CHECKS: [&str; 9] = [
    "identify",
    "ping",
    "unknown-protocol",
    "perf",
    "echo",
    "sinks",
    "reset",
    "reset-sent",
    "still-connected",
];
/// For one script of all checks: seconds on an idle machine.
const LIMIT: Duration = Duration::from_secs(180);

pub(crate) fn run(root: &Path, options: Options) -> Result<()> {
    process::catch_interrupts()?;
    let peer = options.bin.map_or_else(|| programs::rust_libp2p(root, "bowline-interop-rust-libp2p"), Ok)?;
    let ours = programs::bowline(root, options.bowline, options.example)?;
    let scratch = programs::scratch(root, "rust-libp2p-")?;
    let mut run = Run {
        peer,
        bowline: Bowline::new(ours.bowline),
        example: ours.example,
        logs: matrix::logs(scratch.path())?,
        store: scratch.path().join("store"),
        streams: options.streams,
        matrix: Matrix::new("connection"),
    };
    if let Err(error) = run.everything() {
        run.matrix.record::<()>("all", "the run", Err(error));
    }
    run.matrix.finish(options.json, &run.logs)
}

struct Run {
    peer: PathBuf,
    bowline: Bowline,
    example: PathBuf,
    logs: PathBuf,
    store: PathBuf,
    streams: u64,
    matrix: Matrix,
}

impl Run {
    fn everything(&mut self) -> Result<()> {
        self.the_program_dials()?;
        self.the_program_is_dialed()?;
        // The example listens and dials with the same options and the same output as the peer.
        let (peer, example) = (self.peer.clone(), self.example.clone());
        self.streams("Bowline to rust-libp2p", &peer, &example, &[])?;
        self.streams("rust-libp2p to Bowline", &example, &peer, &[])?;
        self.streams("rust-libp2p, lazy, to Bowline", &example, &peer, &["--lazy"])?;
        self.streams("Bowline to Bowline", &example, &example, &[])
    }

    fn the_program_dials(&mut self) -> Result<()> {
        let row = "`bowline` to rust-libp2p";
        let mut listen = Command::new(&self.peer);
        let listener = Serving::start("peer-dialed-by-program", listen.arg("listen"), &self.logs)?;
        let ping = self.ping(&listener.address);
        self.matrix.record(row, "ping", ping);
        let identify = self.identify(&listener);
        self.matrix.record(row, "identify", identify);
        let perf = self.perf(&listener);
        self.matrix.record(row, "64 MiB up and down", perf);
        Ok(())
    }

    fn ping(&self, address: &str) -> Result<String> {
        let lines = self.bowline.lines("ping", &[address, "--count", "5", "--interval", "100ms"], LIMIT)?;
        // One line for each ping and a summary.
        ensure!(lines.len() == PINGS + 1, "expected {PINGS} pings and a summary, not {lines:?}");
        let p50 = lines.last().and_then(|line| line["p50_us"].as_f64()).context("the summary has p50_us")?;
        Ok(format!("{p50:.0} µs"))
    }

    fn identify(&self, listener: &Serving) -> Result<()> {
        let lines = self.bowline.lines("identify", &[&listener.address], LIMIT)?;
        let said = lines.iter().map(Value::to_string).collect::<String>();
        for expected in [listener.peer_id(), "bowline-interop/rust-libp2p-0.57.1", "/ipfs/ping/1.0.0"] {
            ensure!(said.contains(expected), "{expected} is missing in {said}");
        }
        Ok(())
    }

    /// The speeds are what the program says; how many bytes arrived is what the peer says.
    fn perf(&self, listener: &Serving) -> Result<String> {
        let lines = self.bowline.lines("perf", &[&listener.address], LIMIT)?;
        let line = lines.last().context("`bowline perf` prints a line")?;
        let up = line["upload_mib_s"].as_f64().context("upload_mib_s")?;
        let down = line["download_mib_s"].as_f64().context("download_mib_s")?;
        let seen = listener.daemon.lines()?;
        let total = |key: &str| {
            seen.iter().filter(|line| line["event"] == "perf").filter_map(|l| l[key].as_u64()).sum()
        };
        let (received, sent): (u64, u64) = (total("received"), total("sent"));
        ensure!(
            received >= PERF_BYTES && sent >= PERF_BYTES,
            "the peer received {received} and sent {sent} bytes"
        );
        Ok(format!("{up:.0} / {down:.0} MiB/s"))
    }

    fn the_program_is_dialed(&mut self) -> Result<()> {
        let row = "rust-libp2p to `bowline serve`";
        let serving = self.bowline.serve("bowline-serve", &self.store, &self.logs)?;
        let script = self.script(&self.peer, &serving, &[]);
        self.judge(row, script, &["identify", "ping", "unknown-protocol", "still-connected"]);
        let clean = serving.stop();
        self.matrix.record(row, "stops cleanly", clean);
        Ok(())
    }

    fn streams(&mut self, row: &str, listener: &Path, dialer: &Path, flags: &[&str]) -> Result<()> {
        let label = row.replace([' ', ','], "-");
        let serving = Serving::start(&label, Command::new(listener).arg("listen"), &self.logs)?;
        let numbers = [
            ("--perf-bytes", PERF_BYTES),
            ("--echo-bytes", ECHO_BYTES),
            ("--sinks", self.streams),
            ("--sink-bytes", SINK_BYTES),
        ];
        let numbers = numbers.map(|(flag, number)| format!("{flag}={number}"));
        let mut arguments: Vec<&str> = numbers.iter().map(String::as_str).collect();
        arguments.push("--reset");
        arguments.extend(flags);
        let script = self.script(dialer, &serving, &arguments);
        self.judge(row, script, &STREAM_CHECKS);
        Ok(())
    }

    /// What a dialing program saw of a listening one.
    fn script(&self, dialer: &Path, listener: &Serving, arguments: &[&str]) -> Result<Vec<Value>> {
        let mut dial = Command::new(dialer);
        dial.args(["dial", &listener.address]).args(arguments);
        let finished = process::run("the dialing side", &mut dial, LIMIT)?;
        Ok(process::json_lines(&finished.stdout).collect())
    }

    /// Each check that the script should have made must be there, and right.
    fn judge(&mut self, row: &str, script: Result<Vec<Value>>, checks: &[&'static str]) {
        let lines = match script {
            Ok(lines) => lines,
            Err(error) => {
                self.matrix.record::<()>(row, "the script", Err(error));
                return;
            }
        };
        for check in checks {
            let seen: Vec<&Value> = lines.iter().filter(|line| line["check"] == *check).collect();
            let verdict = verdict(check, &seen, self.streams);
            self.matrix.record(row, check, verdict);
        }
        progress("");
    }
}

fn verdict(check: &str, seen: &[&Value], streams: u64) -> Result<Passed> {
    let line = *seen.first().with_context(|| format!("no `{check}` in the script's output"))?;
    match check {
        "identify" => {
            ensure!(line["key_matches"] == true, "another key: {line}");
            let protocols = line["protocols"].as_array().context("identify lists protocols")?;
            ensure!(protocols.iter().any(|name| name == "/ipfs/ping/1.0.0"), "no ping: {line}");
        }
        "ping" => {
            let times = line["rtts_us"].as_array().map_or(0, Vec::len);
            ensure!(times >= PINGS, "{times} pings answered");
        }
        "unknown-protocol" => ensure!(line["refused"] == true, "not refused: {line}"),
        "perf" => return perf_verdict(seen),
        "echo" => ensure!(line["equal"] == true && line["bytes"] == ECHO_BYTES, "{line}"),
        "sinks" => return sinks_verdict(line, streams),
        // rust-yamux shows its user a reset as an ordinary end; Bowline must say which it was.
        "reset" => ensure!(line["reset"] != false, "a reset looked like an end: {line}"),
        "reset-sent" => ensure!(
            grown(line, "short")? == 1 && grown(line, "complete")? == 0,
            "a stream that was reset counts as whole: {line}"
        ),
        "still-connected" => {}
        _ => bail!("nobody knows how to judge `{check}`"),
    }
    Ok(Passed::default())
}

fn perf_verdict(seen: &[&Value]) -> Result<Passed> {
    let up = seen.iter().find(|line| line["up"] == PERF_BYTES).context("no upload")?;
    let down = seen.iter().find(|line| line["asked"] == PERF_BYTES).context("no download")?;
    ensure!(up["received"] == 0 && down["received"] == PERF_BYTES, "{up} {down}");
    let mib_s = |line: &Value| PERF_BYTES as f64 / 1_048_576.0 / line["seconds"].as_f64().unwrap_or(f64::NAN);
    Ok(format!("{:.0} / {:.0} MiB/s", mib_s(up), mib_s(down)).into())
}

/// Every stream that was written, finished and dropped must have arrived whole.
fn sinks_verdict(line: &Value, streams: u64) -> Result<Passed> {
    let (complete, short, bytes) = (grown(line, "complete")?, grown(line, "short")?, grown(line, "bytes")?);
    ensure!(
        complete == streams && short == 0 && bytes == streams * SINK_BYTES,
        "{complete} of {streams} streams arrived whole, {short} cut short, {bytes} bytes"
    );
    Ok(format!("{complete} of {streams}").into())
}

/// By how much one of the listener's counts grew.
fn grown(line: &Value, key: &str) -> Result<u64> {
    let count = |side: &str| line[side][key].as_u64().with_context(|| format!("{side} has no {key}: {line}"));
    count("after")?.checked_sub(count("before")?).with_context(|| format!("{key} went back: {line}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lost_stream_is_noticed() {
        let counts = |complete: u64, short: u64| json!({"complete": complete, "short": short, "bytes": complete * SINK_BYTES});
        let line = |after| json!({"before": counts(5, 1), "after": after});
        assert!(sinks_verdict(&line(counts(105, 1)), 100).is_ok());
        let lost = sinks_verdict(&line(counts(104, 1)), 100).err().unwrap();
        assert!(lost.to_string().contains("99 of 100"), "{lost}");
        assert!(sinks_verdict(&line(counts(105, 2)), 100).is_err());
    }

    #[test]
    fn a_check_that_was_not_made_is_a_failure() {
        assert!(verdict("ping", &[], 1).is_err());
        assert!(verdict("ping", &[&json!({"check": "ping", "rtts_us": [1, 2]})], 1).is_err());
        assert!(verdict("ping", &[&json!({"check": "ping", "rtts_us": [1, 2, 3, 4, 5]})], 1).is_ok());
    }

    #[test]
    fn a_short_download_is_noticed() {
        let up = json!({"up": PERF_BYTES, "asked": 0, "received": 0, "seconds": 1.0});
        let down =
            |received: u64| json!({"up": 0, "asked": PERF_BYTES, "received": received, "seconds": 1.0});
        assert!(perf_verdict(&[&up, &down(PERF_BYTES)]).is_ok());
        assert!(perf_verdict(&[&up, &down(PERF_BYTES - 1)]).is_err());
    }
}
