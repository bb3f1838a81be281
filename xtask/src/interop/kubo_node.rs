//! A throwaway Kubo node: a repository of its own, loopback TCP only, no bootstrap, no routing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{
    interop::bowline::Profile,
    process::{self, Daemon, Finished},
};

/// For commands that move no data.
const SHORT: Duration = Duration::from_secs(30);
const START: Duration = Duration::from_secs(60);

pub(crate) struct KuboNode {
    program: PathBuf,
    repo: PathBuf,
    label: String,
    daemon: Daemon,
    address: String,
}

impl KuboNode {
    /// Makes a repository below `scratch` and starts a daemon on it.
    pub(crate) fn start(program: &Path, label: &str, scratch: &Path) -> Result<Self> {
        let repo = scratch.join(label);
        let init = ["init", "--profile", "test", "--empty-repo"];
        process::run("ipfs init", command(program, &repo).args(init), SHORT)?;
        let config = repo.join("config");
        let quiet = quiet_config(serde_json::from_slice(&fs::read(&config)?)?)?;
        fs::write(&config, serde_json::to_vec_pretty(&quiet)?)?;
        let mut daemon =
            Daemon::start(label, command(program, &repo).arg("daemon"), &super::matrix::logs(scratch)?)?;
        // Any earlier `ipfs` command would take the repository's lock, and the daemon would die of it.
        let api = repo.join("api");
        daemon.wait_for("its file `api`", START, || Ok(api.exists().then_some(())))?;
        let address = loopback_address(program, &repo)?;
        Ok(Self { program: program.to_path_buf(), repo, label: label.to_owned(), daemon, address })
    }

    /// Its loopback TCP address with `/p2p/…`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        self.daemon.peak_bytes()
    }

    /// Adds a file or folder and gives the root's CID.
    pub(crate) fn add(&self, path: &Path, profile: Profile, limit: Duration) -> Result<String> {
        let mut add = self.command();
        add.args(["add", "-r", "-Q", "--pin=false"]).args(profile.kubo_flags()).arg(path);
        let finished = self.run("add", &mut add, limit)?;
        Ok(finished.stdout.trim().to_owned())
    }

    /// Fetches a CID into a file or folder.
    pub(crate) fn get(&self, cid: &str, out: &Path, limit: Duration) -> Result<Finished> {
        self.run("get", self.command().args(["get", "--progress=false", "-o"]).arg(out).arg(cid), limit)
    }

    /// Whether the root is in its own store.
    pub(crate) fn holds(&self, cid: &str) -> Result<bool> {
        let mut stat = self.command();
        stat.args(["block", "stat", "--offline", cid]);
        let (status, _, stderr) = process::run_unchecked("ipfs block stat", &mut stat, SHORT)?;
        match status.success() {
            true => Ok(true),
            false if stderr.contains("not found") || stderr.contains("could not find") => Ok(false),
            false => bail!("{}: block stat failed: {stderr}", self.label),
        }
    }

    /// Dials an address, unless there is a connection to that peer.
    pub(crate) fn connect(&self, address: &str) -> Result<()> {
        self.run("swarm connect", self.command().args(["swarm", "connect", address]), SHORT)?;
        Ok(())
    }

    pub(crate) fn disconnect(&self, address: &str) -> Result<()> {
        self.run("swarm disconnect", self.command().args(["swarm", "disconnect", address]), SHORT)?;
        Ok(())
    }

    /// For each of its connections, `inbound` or `outbound`.
    pub(crate) fn connection_directions(&self) -> Result<Vec<String>> {
        let mut peers = self.command();
        let finished = self.run("swarm peers", peers.args(["swarm", "peers", "--direction"]), SHORT)?;
        Ok(finished.stdout.lines().filter_map(|line| line.split(' ').nth(1)).map(str::to_owned).collect())
    }

    /// Forgets every block, so that the next fetch crosses the wire.
    pub(crate) fn forget_everything(&self) -> Result<()> {
        self.run("repo gc", self.command().args(["repo", "gc", "--silent"]), SHORT)?;
        Ok(())
    }

    fn command(&self) -> Command {
        command(&self.program, &self.repo)
    }

    fn run(&self, what: &str, command: &mut Command, limit: Duration) -> Result<Finished> {
        process::run(&format!("{}: ipfs {what}", self.label), command, limit)
    }
}

/// What `ipfs version` says of a program.
pub(crate) fn version(program: &Path) -> Result<String> {
    let finished = process::run("ipfs version", Command::new(program).args(["version", "-n"]), SHORT)?;
    Ok(finished.stdout.trim().to_owned())
}

fn command(program: &Path, repo: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("IPFS_PATH", repo).env("IPFS_TELEMETRY", "off").env("DO_NOT_TRACK", "1");
    command
}

fn loopback_address(program: &Path, repo: &Path) -> Result<String> {
    let id = process::run("ipfs id", command(program, repo).arg("id"), SHORT)?;
    let id: Value = serde_json::from_str(&id.stdout).context("reading `ipfs id`")?;
    id["Addresses"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .find(|address| address.starts_with("/ip4/127.0.0.1/tcp/") && !address.contains("/ws"))
        .map(str::to_owned)
        .with_context(|| format!("Kubo listens on no loopback TCP address: {}", id["Addresses"]))
}

/// Leaves a fresh configuration nothing that would reach beyond loopback TCP.
fn quiet_config(mut config: Value) -> Result<Value> {
    let settings = [
        ("/Addresses/Swarm", json!(["/ip4/127.0.0.1/tcp/0"])),
        ("/Addresses/API", json!("/ip4/127.0.0.1/tcp/0")),
        ("/Addresses/Gateway", json!([])),
        ("/Bootstrap", json!([])),
        ("/Routing/Type", json!("none")),
        ("/Discovery/MDNS/Enabled", json!(false)),
        ("/AutoTLS/Enabled", json!(false)),
        ("/AutoConf/Enabled", json!(false)),
        ("/AutoNAT/ServiceMode", json!("disabled")),
        ("/Provide/Enabled", json!(false)),
        ("/Version/SwarmCheckEnabled", json!(false)),
        ("/Swarm/DisableNatPortMap", json!(true)),
        ("/Swarm/EnableHolePunching", json!(false)),
        ("/Swarm/RelayClient/Enabled", json!(false)),
        ("/Swarm/RelayService/Enabled", json!(false)),
        ("/Swarm/Transports/Network/QUIC", json!(false)),
        ("/Swarm/Transports/Network/WebTransport", json!(false)),
        ("/Swarm/Transports/Network/WebRTCDirect", json!(false)),
        ("/Swarm/Transports/Network/Websocket", json!(false)),
        ("/Swarm/Transports/Network/Relay", json!(false)),
    ];
    for (path, value) in settings {
        let (parent, key) = path.rsplit_once('/').context("a setting has a path")?;
        let parent = config
            .pointer_mut(parent)
            .and_then(Value::as_object_mut)
            .with_context(|| format!("this Kubo's configuration has no {parent}"))?;
        parent.insert(key.to_owned(), value);
    }
    Ok(config)
}
