//! What commands have in common: the store's folder, keys, connections, interruption.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bowline::{
    DialError, Keypair, Multiaddr, Node, OpenOptions, PeerId, Repository, key_file, swarm::ConnectOptions,
};
use futures_util::{StreamExt, stream::FuturesUnordered};

use crate::failure::Failure;

/// How long peers get to take a farewell.
pub(crate) const GRACE: Duration = Duration::from_millis(500);

/// The folder of the store: the one that was named, or the platform's.
pub(crate) fn store_folder(named: Option<PathBuf>) -> Result<PathBuf, Failure> {
    if let Some(folder) = named {
        return Ok(folder);
    }
    let folders = directories::ProjectDirs::from("", "", "bowline");
    let folders = folders.ok_or_else(|| {
        Failure::with_hint("this platform names no data directory", "name a folder with --store")
    })?;
    Ok(folders.data_dir().join("store"))
}

/// Opens the store, which is made when it is not there.
pub(crate) fn open_store(folder: &Path) -> Result<Repository, Failure> {
    Ok(Repository::open(folder, OpenOptions::default())?)
}

/// The key to dial with: the file's, or a fresh one.
pub(crate) fn dialing_key(file: Option<&Path>) -> Result<Keypair, Failure> {
    match file {
        None => Ok(Keypair::generate()),
        Some(file) => key_file::read(file)
            .map_err(|error| Failure::with_hint(error, "make a key file with: bowline key generate FILE")),
    }
}

/// Runs a command until it ends or the user has had enough. Dropping the command's future cleans up after it.
pub(crate) async fn interruptible<T>(
    command: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        outcome = command => outcome,
        () = interrupted() => Err(Failure::interrupted()),
    }
}

/// Waits for Ctrl-C or SIGTERM.
pub(crate) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}

/// Lets this process have as many open files as it is allowed.
pub(crate) fn raise_file_limit() {
    // The limit as it is will do for fewer connections.
    let _limit = rlimit::increase_nofile_limit(u64::MAX);
}

/// Connects to one peer.
pub(crate) async fn connect(node: &Node, addr: &Multiaddr, timeout: Duration) -> Result<PeerId, Failure> {
    let options = ConnectOptions { timeout: Some(timeout), ..ConnectOptions::default() };
    Ok(node.host().connect_with(addr, &options).await?.peer())
}

/// Connections that are being made to several peers.
pub(crate) struct Connecting<'a> {
    running: FuturesUnordered<futures_util::future::BoxFuture<'a, (Multiaddr, Result<PeerId, DialError>)>>,
    failed: Vec<(Multiaddr, DialError)>,
    connected: usize,
}

impl<'a> Connecting<'a> {
    pub(crate) fn new(node: &'a Node, addrs: &[Multiaddr], timeout: Duration) -> Self {
        let running = FuturesUnordered::new();
        for addr in addrs.iter().cloned() {
            let connecting = async move {
                let options = ConnectOptions { timeout: Some(timeout), ..ConnectOptions::default() };
                let connected = node.host().connect_with(&addr, &options).await;
                (addr, connected.map(|connection| connection.peer()))
            };
            running.push(Box::pin(connecting) as futures_util::future::BoxFuture<'a, _>);
        }
        Self { running, failed: Vec::new(), connected: 0 }
    }

    /// Waits for one more peer; `false` when no more are to come.
    ///
    /// # Errors
    ///
    /// When every peer has failed, with the cause of each.
    pub(crate) async fn one_more(&mut self) -> Result<bool, Failure> {
        while let Some((addr, connected)) = self.running.next().await {
            match connected {
                Ok(_) => {
                    self.connected += 1;
                    return Ok(true);
                }
                Err(error) => self.failed.push((addr, error)),
            }
        }
        if self.connected > 0 {
            return Ok(false);
        }
        if let [(_, error)] = &self.failed[..] {
            return Err(error.clone().into());
        }
        let causes: Vec<_> = self.failed.iter().map(|(addr, error)| format!("{addr}: {error}")).collect();
        Err(Failure::unreachable(
            format!("no peer could be reached: {}", causes.join("; ")),
            "check that the peers run and that the addresses are right",
        ))
    }
}

/// Seconds since 1970, for the time at which something was added.
#[expect(clippy::disallowed_methods, reason = "the program's one reader of wall-clock time")]
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
