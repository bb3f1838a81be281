//! Two network namespaces with a delaying link between them: the slow path that TCP sees too.
//!
//! ```text
//!  namespace a            this process              namespace b
//!   server ── TUN device ──── relay ──── TUN device ── client
//!             198.18.0.1                 198.18.0.2
//! ```
//!
//! Needs root. Everything goes when the link is dropped; what a killed runner left behind goes at the next start.

use std::{
    ffi::OsString,
    io,
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{process::Command, task::JoinSet};
use tokio_tun::Tun;

use crate::compare::{network::Rate, relay, report::progress};

/// What the names of our namespaces begin with; the process that made them follows.
const PREFIX: &str = "bowline-bench-";
/// Where the system keeps the names of namespaces.
const FOLDER: &str = "/run/netns";
/// From the range that is set aside for benchmarks of networks.
const ADDRESSES: [&str; 2] = ["198.18.0.1", "198.18.0.2"];
/// Of an Ethernet, which most paths end in.
const MTU: &str = "1500";
/// Packets that wait in a device while the relay is busy; the queue that counts is the relay's.
const DEVICE_QUEUE: &str = "100000";
/// What the kernel may hold for one connection: 64 MiB, so that the machine's defaults do not cap a long path.
const SETTINGS: [(&str, &str); 2] =
    [("tcp_rmem", "4096 131072 67108864"), ("tcp_wmem", "4096 16384 67108864")];

/// A link that is up, gone when this is dropped.
pub(crate) struct Link {
    /// Before the namespaces, so that it does not see its devices go.
    _relay: JoinSet<()>,
    server: Namespace,
    client: Namespace,
}

/// A namespace, deleted when this is dropped.
struct Namespace {
    name: String,
}

impl Link {
    /// Whether this process may make one.
    pub(crate) fn is_possible() -> bool {
        rustix::process::geteuid().is_root() && Path::new("/dev/net/tun").exists()
    }

    /// Makes namespaces and devices, and starts the relay between them.
    pub(crate) async fn set_up(delay: Duration, rate: Option<Rate>) -> Result<Self> {
        let server = Namespace::create('a').await?;
        let client = Namespace::create('b').await?;
        let near = server.attach('a', ADDRESSES[0], ADDRESSES[1]).await?;
        let far = client.attach('b', ADDRESSES[1], ADDRESSES[0]).await?;
        let mut relay = JoinSet::new();
        relay.spawn(async move {
            if let Err(error) = relay::run(&near, &far, delay, rate).await {
                progress(&format!("the link broke: {error}"));
            }
        });
        Ok(Self { _relay: relay, server, client })
    }

    /// Where the server listens.
    pub(crate) fn server_address(&self) -> &'static str {
        ADDRESSES[0]
    }

    /// Begins a command that runs on the server's side.
    pub(crate) fn server_prefix(&self) -> Vec<OsString> {
        self.server.prefix()
    }

    /// Begins a command that runs on the client's side.
    pub(crate) fn client_prefix(&self) -> Vec<OsString> {
        self.client.prefix()
    }
}

impl Namespace {
    async fn create(side: char) -> Result<Self> {
        // Before it exists, so that an interruption in the middle deletes it too.
        let namespace = Self { name: format!("{PREFIX}{}-{side}", std::process::id()) };
        ip(&["netns", "add", &namespace.name]).await?;
        namespace.configure().await?;
        Ok(namespace)
    }

    /// Settings are per namespace, so the machine's own stay as they are.
    async fn configure(&self) -> Result<()> {
        for (name, value) in SETTINGS {
            self.set(name, value).await?;
        }
        let known = self.run(&["cat", "/proc/sys/net/ipv4/tcp_available_congestion_control"]).await?;
        if String::from_utf8_lossy(&known.stdout).split_whitespace().any(|name| name == "bbr") {
            self.set("tcp_congestion_control", "bbr").await?;
        }
        ip(&["-n", &self.name, "link", "set", "lo", "up"]).await
    }

    async fn set(&self, name: &str, value: &str) -> Result<()> {
        let file = format!("/proc/sys/net/ipv4/{name}");
        self.run(&["sh", "-c", "echo \"$2\" > \"$1\"", "sh", &file, value]).await?;
        Ok(())
    }

    /// Makes a device, moves it in and gives it its address.
    async fn attach(&self, side: char, address: &str, peer: &str) -> Result<Tun> {
        // At most 15 characters; a process id has at most 7 digits.
        let device = format!("bowl{}{side}", std::process::id());
        let made = Tun::builder().name(&device).close_on_exec().build();
        let made = made.with_context(|| format!("making the TUN device {device}"))?;
        let tun = made.into_iter().next().context("one device was asked for")?;
        ip(&["link", "set", &device, "netns", &self.name]).await?;
        ip(&["-n", &self.name, "address", "add", address, "peer", peer, "dev", &device]).await?;
        let up = ["link", "set", &device, "mtu", MTU, "txqueuelen", DEVICE_QUEUE, "up"];
        ip(&[&["-n", self.name.as_str()], &up[..]].concat()).await?;
        Ok(tun)
    }

    async fn run(&self, words: &[&str]) -> Result<Output> {
        command(&[&["netns", "exec", self.name.as_str()], words].concat()).await
    }

    fn prefix(&self) -> Vec<OsString> {
        ["ip", "netns", "exec", &self.name].map(OsString::from).to_vec()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if !Path::new(FOLDER).join(&self.name).exists() {
            return;
        }
        if let Err(error) = delete(&self.name) {
            progress(&format!("the network namespace {} stays behind: {error}", self.name));
        }
    }
}

/// Deletes what runners left behind that were killed before they could.
pub(crate) fn remove_stale() -> Result<()> {
    if !Link::is_possible() {
        return Ok(());
    }
    let listed = match std::process::Command::new("ip").args(["netns", "list"]).output() {
        Ok(listed) => listed,
        // Without the program nobody has made any.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).context("listing network namespaces"),
    };
    // One with our own number is that of a process before us.
    let lives =
        |process: u32| process != std::process::id() && Path::new(&format!("/proc/{process}")).exists();
    for name in stale(&String::from_utf8_lossy(&listed.stdout), lives) {
        progress(&format!("removing the network namespace {name} of a runner that is gone"));
        kill_all_in(name).with_context(|| format!("ending the processes in {name}"))?;
        delete(name).with_context(|| format!("removing the network namespace {name}"))?;
    }
    Ok(())
}

/// A client in the middle of its job does not notice that its runner is gone.
fn kill_all_in(name: &str) -> Result<()> {
    let listed = std::process::Command::new("ip").args(["netns", "pids", name]).output()?;
    for process in String::from_utf8_lossy(&listed.stdout).split_whitespace() {
        if let Some(process) = Pid::from_raw(process.parse()?) {
            // It may have ended by itself meanwhile.
            let _ = kill_process(process, Signal::KILL);
        }
    }
    Ok(())
}

fn stale(list: &str, lives: impl Fn(u32) -> bool) -> Vec<&str> {
    let owner = |name: &str| name.strip_prefix(PREFIX)?.split_once('-')?.0.parse::<u32>().ok();
    list.lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| owner(name).is_some_and(|process| !lives(process)))
        .collect()
}

fn delete(name: &str) -> io::Result<()> {
    let output = std::process::Command::new("ip").args(["netns", "delete", name]).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

async fn ip(arguments: &[&str]) -> Result<()> {
    command(arguments).await.map(drop)
}

async fn command(arguments: &[&str]) -> Result<Output> {
    let shown = format!("ip {}", arguments.join(" "));
    let mut command = Command::new("ip");
    let output = command.args(arguments).stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.with_context(|| format!("starting {shown} (hint: --via proxy does without)"))?;
    if !output.status.success() {
        bail!("{shown} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespaces_of_dead_runners_are_stale() {
        let list =
            "bowline-bench-17-a (id: 3)\nbowline-bench-18-b\nother\nbowline-bench-x-a\nbowline-bench-9\n";
        assert_eq!(stale(list, |process| process == 18), ["bowline-bench-17-a"]);
    }
}
