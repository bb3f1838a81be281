//! Runs the program.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// What a run printed, and how it ended.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// The objects that it printed with `--json`.
    pub(crate) fn objects(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// The last of them.
    pub(crate) fn last(&self) -> Value {
        self.objects().pop().unwrap_or_else(|| panic!("nothing on stdout; stderr: {}", self.stderr))
    }

    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Checks that it failed with this code, said so in a sentence with a hint, and that `--json` says the same.
    #[track_caller]
    pub(crate) fn failed_with(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        let error =
            self.last()["error"].as_str().unwrap_or_else(|| panic!("no error: {}", self.stdout)).to_owned();
        assert!(self.last()["hint"].is_string(), "no hint: {}", self.stdout);
        assert!(self.stderr.contains("error: "), "{}", self.stderr);
        error
    }
}

pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bowline"));
    command.stdin(Stdio::null()).env_remove("BOWLINE_LOG");
    command
}

/// Runs it to its end. Arguments are separated by spaces; `{}` stands for the paths, in order.
pub(crate) fn bowline(arguments: &str, paths: &[&Path]) -> Run {
    run(command().args(split(arguments, paths)))
}

pub(crate) fn run(command: &mut Command) -> Run {
    let output = command.output().expect("the program starts");
    Run {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn split(arguments: &str, paths: &[&Path]) -> Vec<PathBuf> {
    let mut paths = paths.iter();
    let argument = |word: &str| match word {
        "{}" => paths.next().expect("a path for each {}").to_path_buf(),
        word => PathBuf::from(word),
    };
    arguments.split_whitespace().map(argument).collect()
}

/// The program in the background, stopped when dropped.
pub(crate) struct Background {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Background {
    pub(crate) fn start(arguments: &str, paths: &[&Path]) -> Self {
        let mut command = command();
        command.args(split(arguments, paths)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let lines = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Self { child, lines }
    }

    /// The next object that it prints.
    pub(crate) fn object(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("stdout is read");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no object: {line:?}, {}", self.stderr()))
    }

    fn stderr(&mut self) -> String {
        let mut text = String::new();
        let stderr = self.child.stderr.as_mut().expect("stderr is piped");
        // It has ended when it prints no object.
        let _read = stderr.read_to_string(&mut text);
        text
    }

    /// Sends a signal and waits for the end; the exit code and the rest of stdout.
    pub(crate) fn stop_by(mut self, signal: Signal) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
        let status = self.child.wait().expect("it ends");
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).expect("stdout is read");
        (status.code(), rest)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended already.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// A server on a store, on a free port of this machine.
pub(crate) struct Server {
    pub(crate) addr: String,
    pub(crate) background: Background,
}

pub(crate) fn serve(store: &Path) -> Server {
    let mut background =
        Background::start("serve --json --perf --store {} --listen /ip4/127.0.0.1/tcp/0", &[store]);
    let line = background.object();
    assert_eq!(line["event"], "listening");
    Server { addr: line["addr"].as_str().expect("an address").to_owned(), background }
}

/// The CID under which a store has a path now.
pub(crate) fn add(store: &Path, path: &Path) -> String {
    let line = bowline("add --json --store {} {}", &[store, path]).succeeded().last();
    line["cid"].as_str().expect("a CID").to_owned()
}

/// Bytes that look random, each mebibyte other than the last.
pub(crate) fn content(mib: usize) -> Vec<u8> {
    let mut state: u64 = 1;
    let mut bytes = Vec::new();
    while bytes.len() < mib << 20 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}

/// Flips a bit of the data of the last block of a store with one pack.
pub(crate) fn damage(store: &Path) {
    let pack = store.join("blocks/00000001.pack");
    let mut bytes = std::fs::read(&pack).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&pack, bytes).unwrap();
}
