//! Drives the `bowline` program through its JSON.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process::{self, Daemon, Finished};

const START: Duration = Duration::from_secs(30);
pub(crate) const STOP: Duration = Duration::from_secs(20);

/// How files become blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Profile {
    /// 256 KiB chunks in protobuf leaves, 174 links, CIDv0.
    V0,
    /// 256 KiB raw leaves, 174 links, CIDv1.
    V1,
    /// 1 MiB raw leaves, 1,024 links, CIDv1.
    V1_2025,
}

impl Profile {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V0 => "v0",
            Self::V1 => "v1",
            Self::V1_2025 => "v1-2025",
        }
    }

    pub(crate) fn kubo_flags(self) -> &'static [&'static str] {
        match self {
            Self::V0 => &["--cid-version=0"],
            Self::V1 => &["--cid-version=1"],
            Self::V1_2025 => {
                &["--cid-version=1", "--raw-leaves", "--chunker=size-1048576", "--max-file-links=1024"]
            }
        }
    }
}

pub(crate) struct Bowline {
    program: PathBuf,
}

impl Bowline {
    pub(crate) fn new(program: PathBuf) -> Self {
        Self { program }
    }

    /// Adds a file or folder to a store and gives the root's CID.
    pub(crate) fn add(&self, store: &Path, path: &Path, profile: Profile, limit: Duration) -> Result<String> {
        let mut add = self.command("add");
        add.arg("--store").arg(store).args(["--profile", profile.name()]).arg(path);
        let line = last_line(&process::run("bowline add", &mut add, limit)?)?;
        Ok(line["cid"].as_str().context("`bowline add` names a CID")?.to_owned())
    }

    /// Fetches a CID from the node at an address into a file or folder, over a store.
    pub(crate) fn get(
        &self,
        cid: &str,
        from: &str,
        out: &Path,
        store: &Path,
        limit: Duration,
    ) -> Result<Finished> {
        let mut get = self.command("get");
        get.arg(cid).args(["--from", from, "-o"]).arg(out).arg("--store").arg(store);
        get.arg("--timeout").arg(format!("{}s", limit.as_secs()));
        // The program's own deadline comes first, since its error says more.
        let finished = process::run("bowline get", &mut get, limit + STOP)?;
        let said = last_line(&finished)?;
        if said["cid"].as_str() != Some(cid) {
            bail!("`bowline get {cid}` ended with {said}");
        }
        Ok(finished)
    }

    /// Starts a node on a store and waits for its loopback address.
    pub(crate) fn serve(&self, label: &str, store: &Path, logs: &Path) -> Result<Serving> {
        let mut serve = self.command("serve");
        serve.arg("--store").arg(store).args(["--listen", "/ip4/127.0.0.1/tcp/0"]);
        Serving::start(label, &mut serve, logs)
    }

    /// Runs a command that ends by itself and gives its lines.
    pub(crate) fn lines(&self, command: &str, arguments: &[&str], limit: Duration) -> Result<Vec<Value>> {
        let finished =
            process::run(&format!("bowline {command}"), self.command(command).args(arguments), limit)?;
        Ok(process::json_lines(&finished.stdout).collect())
    }

    fn command(&self, command: &str) -> Command {
        let mut program = Command::new(&self.program);
        program.arg(command).arg("--json");
        program
    }
}

/// A node in the background that said where it listens.
pub(crate) struct Serving {
    pub(crate) daemon: Daemon,
    pub(crate) address: String,
}

impl Serving {
    /// Starts any program that prints `{"event":"listening","addr":"…/p2p/…"}`.
    pub(crate) fn start(label: &str, command: &mut Command, logs: &Path) -> Result<Self> {
        let mut daemon = Daemon::start(label, command, logs)?;
        let line = daemon.wait_for_line("an address", START, |line| {
            line["event"] == "listening"
                && line["addr"].as_str().is_some_and(|address| {
                    address.starts_with("/ip4/127.0.0.1/tcp/") && address.contains("/p2p/")
                })
        })?;
        let address = line["addr"].as_str().context("a listening line has an address")?.to_owned();
        Ok(Self { daemon, address })
    }

    pub(crate) fn stop(self) -> Result<()> {
        self.daemon.stop(STOP)
    }

    /// The peer id at the end of the address.
    pub(crate) fn peer_id(&self) -> &str {
        self.address.rsplit('/').next().unwrap_or_default()
    }
}

/// The last line of JSON that a program printed, which sums up what it did.
pub(crate) fn last_line(finished: &Finished) -> Result<Value> {
    process::json_lines(&finished.stdout)
        .last()
        .with_context(|| format!("expected JSON, not {:?}", finished.stdout))
}
