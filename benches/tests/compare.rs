//! The runner as a whole, with peers that only pretend and with the real ones.
#![cfg(target_os = "linux")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

/// Says what a peer says, and does nothing. `connect` fails.
const PRETENDER: &str = r#"#!/bin/sh
if [ "$1" = bench-serve ]; then
    echo '{"event":"listening","address":"/ip4/127.0.0.1/tcp/1/p2p/nobody"}'
    exec cat
fi
bytes=0 count=0
while [ $# -gt 0 ]; do
    case "$1" in
        --bytes) bytes=$2 ;;
        --count) count=$2 ;;
        connect) echo 'nobody answers' >&2; exit 1 ;;
    esac
    shift
done
echo '{"event":"ready"}'
read word
echo "{\"event\":\"result\",\"bytes\":$bytes,\"count\":$count,\"seconds\":SECONDS,\"p50_us\":50,\"p99_us\":90}"
exec cat
"#;

/// A peer that takes `seconds` for everything, as it says.
fn pretender(folder: &Path, name: &str, seconds: &str) -> PathBuf {
    let file = folder.join(name);
    fs::write(&file, PRETENDER.replace("SECONDS", seconds)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file
}

fn runner(arguments: &[&str], programs: &[(&str, &Path)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bowline-bench-compare"));
    command.args(["--smoke", "--runs", "1"]).args(arguments);
    for (name, path) in programs {
        command.arg(name).arg(path);
    }
    command.output().unwrap()
}

fn rows(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn programs_are_compared_row_by_row() {
    let folder = tempfile::tempdir().unwrap();
    let fast = pretender(folder.path(), "fast", "0.5");
    let slow = pretender(folder.path(), "slow", "1.5");
    let slower = pretender(folder.path(), "slower", "2.0");
    let output = runner(
        &["--json", "--flavour", "multi", "--only", "upload", "ping", "open-1"],
        &[("--bowline", &fast), ("--rust-libp2p", &slow), ("--go-libp2p", &slower), ("--limit", &fast)],
    );
    assert!(output.status.success(), "{}", said(&output));
    let rows = rows(&output);
    let ids: Vec<_> = rows.iter().map(|row| row["row"].as_str().unwrap()).collect();
    assert_eq!(ids, ["upload", "ping", "open-1"]);
    assert_eq!(rows[0]["flavour"], "multi");
    assert_eq!((&rows[0]["bowline"], &rows[0]["go_libp2p"]), (&8.0.into(), &2.0.into()));
    assert_eq!((&rows[0]["best_ratio"], &rows[0]["limit_ratio"]), (&3.0.into(), &1.0.into()));
    assert_eq!((&rows[1]["unit"], &rows[1]["best_ratio"]), (&"µs".into(), &1.0.into()));
    assert_eq!((&rows[2]["limit"], &rows[2]["limit_ratio"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_peer_that_fails_ends_its_row_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let peer = pretender(folder.path(), "peer", "1");
    let output = runner(
        &["--json", "--flavour", "multi", "--programs", "bowline", "--only", "connect-1", "open-1"],
        &[("--bowline", &peer)],
    );
    assert_eq!(output.status.code(), Some(1));
    let rows = rows(&output);
    assert_eq!((&rows[0]["row"], &rows[0]["bowline"]), (&"connect-1".into(), &Value::Null));
    assert_eq!((&rows[1]["row"], &rows[1]["bowline"]), (&"open-1".into(), &64.0.into()));
    let said = said(&output);
    assert!(said.contains("Bowline (client, multi, connect --count 64"), "{said}");
    assert!(said.contains("nobody answers"), "{said}");
}

#[test]
fn a_goal_that_is_missed_is_told_and_counts_when_it_is_to() {
    let folder = tempfile::tempdir().unwrap();
    let (fast, slow) = (pretender(folder.path(), "fast", "1"), pretender(folder.path(), "slow", "2"));
    let arguments = ["--flavour", "multi", "--programs", "bowline,limit", "--only", "cpu-send", "upload-1k"];
    let programs: [(&str, &Path); 2] = [("--bowline", &slow), ("--limit", &fast)];
    let output = runner(&[&arguments[..], &["--strict"]].concat(), &programs);
    assert!(output.status.success(), "nothing to compare with is no miss: {}", said(&output));
    let arguments =
        ["--flavour", "one-thread", "--programs", "bowline,limit", "--only", "upload", "--strict"];
    let output = runner(&arguments, &programs);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("MISSED"));
    assert!(runner(&arguments[..6], &programs).status.success());
}

#[test]
fn slow_paths_need_no_rights() {
    let arguments = [
        "--json",
        "--flavour",
        "multi",
        "--programs",
        "bowline,limit",
        "--via",
        "proxy",
        "--only",
        "rtt-dial",
    ];
    let output = runner(&arguments, &real());
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("a delaying TCP proxy, 100 ms"), "{}", said(&output));
    // The proxy accepts at once, so the echo alone is left.
    let limit = rows(&output)[0]["limit"].as_f64().unwrap();
    assert!((1.0..1.5).contains(&limit), "{limit}");
}

#[test]
fn the_real_programs_run_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let plots = folder.path().join("plots");
    let output = runner(
        &["--json", "--flavour", "multi", "--programs", "bowline,limit", "--plot", plots.to_str().unwrap()],
        &real(),
    );
    assert!(output.status.success(), "{}", said(&output));
    for row in rows(&output) {
        assert!(row["bowline"].is_number(), "{row}");
    }
    assert!(fs::read_to_string(plots.join("multi-mib-per-s.svg")).unwrap().contains("streams-64"));
}

fn real() -> [(&'static str, &'static Path); 2] {
    [
        ("--bowline", Path::new(env!("CARGO_BIN_EXE_bowline-bench-peer"))),
        ("--limit", Path::new(env!("CARGO_BIN_EXE_bowline-bench-limit"))),
    ]
}
