//! What can be typed.

use std::{path::PathBuf, time::Duration};

use bowline::{Cid, Multiaddr, Profile};
use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// A libp2p stack and IPFS peer.
#[derive(Debug, Parser)]
#[command(name = "bowline", version, about, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Print one JSON object a line instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes:
  0    done
  1    failed
  2    the command line is wrong
  3    nobody who was asked has the content
  4    no peer could be reached
  5    the store is in use, read-only, full or damaged
  130  interrupted

Logs go to standard error when BOWLINE_LOG is set, for example BOWLINE_LOG=debug.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start two peers in this process and move a file of 256 MiB between them.
    Demo {
        /// The size of the file in MiB.
        #[arg(long, default_value_t = 256)]
        mib: u64,
    },
    /// Add files and directories to the store and print their CIDs.
    Add {
        #[command(flatten)]
        store: StoreArg,
        /// How blocks are made: v0 as `ipfs add`, v1 as `ipfs add --cid-version=1`.
        #[arg(long, default_value = "v1")]
        profile: ProfileArg,
        /// Files and directories. Hidden entries of directories are left out.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Get a file or directory from peers.
    Get {
        /// What to get.
        #[arg(value_parser = parse_cid)]
        cid: Cid,
        #[command(flatten)]
        from: FromArg,
        /// Where to write it. A file there is replaced.
        #[arg(short, long)]
        output: PathBuf,
        /// Keep the blocks in this store; without it they are kept beside the output until it is whole.
        #[arg(long)]
        store: Option<PathBuf>,
    },
    /// Print the content of a file from peers.
    Cat {
        /// What to print.
        #[arg(value_parser = parse_cid)]
        cid: Cid,
        #[command(flatten)]
        from: FromArg,
    },
    /// List a directory from peers.
    Ls {
        /// What to list.
        #[arg(value_parser = parse_cid)]
        cid: Cid,
        #[command(flatten)]
        from: FromArg,
    },
    /// Serve the store to peers until interrupted.
    Serve {
        #[command(flatten)]
        store: StoreArg,
        /// Where to listen; may repeat. Default: all interfaces, TCP port 4001.
        #[arg(long, value_parser = parse_addr)]
        listen: Vec<Multiaddr>,
        /// Serve the perf protocol too, which lets any peer use up bandwidth.
        #[arg(long)]
        perf: bool,
        /// How the paths are added.
        #[arg(long, default_value = "v1")]
        profile: ProfileArg,
        /// Files and directories to add first.
        paths: Vec<PathBuf>,
    },
    /// Measure round trips to a peer.
    Ping {
        #[command(flatten)]
        peer: PeerArg,
        /// How many pings; 0 goes on until interrupted.
        #[arg(long, default_value_t = 4)]
        count: u64,
        /// The time from one ping to the next.
        #[arg(long, default_value = "1s", value_parser = humantime::parse_duration)]
        interval: Duration,
    },
    /// Ask a peer about itself.
    Identify {
        #[command(flatten)]
        peer: PeerArg,
    },
    /// Measure throughput to a peer that serves the perf protocol.
    Perf {
        #[command(flatten)]
        peer: PeerArg,
        /// How many MiB to send and to receive.
        #[arg(long, default_value_t = 256)]
        mib: u64,
    },
    /// Show who this node is.
    Id {
        #[command(flatten)]
        store: StoreArg,
        /// Show the holder of this key file instead.
        #[arg(long)]
        key: Option<PathBuf>,
    },
    /// Make and show key files, in the form of `ipfs key export --format=libp2p-protobuf-cleartext`.
    Key {
        #[command(subcommand)]
        action: KeyAction,
    },
    /// Print shell completions.
    Completions {
        /// For which shell.
        shell: Shell,
    },
    /// Print the manual page.
    Man,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyAction {
    /// Make a fresh Ed25519 key. A file that is there is not replaced.
    Generate {
        /// The key file.
        file: PathBuf,
    },
    /// Show the public half of a key.
    Show {
        /// The key file.
        file: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct StoreArg {
    /// The store's folder. Default: a folder in the platform's data directory.
    #[arg(long)]
    pub(crate) store: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct FromArg {
    /// A peer to get it from, such as /ip4/192.0.2.1/tcp/4001/p2p/12D3KooW…; may repeat.
    #[arg(long, required = true, value_parser = parse_addr)]
    pub(crate) from: Vec<Multiaddr>,
    /// How long to wait without a new block.
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
    /// Dial with this key instead of a fresh one.
    #[arg(long)]
    pub(crate) key: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PeerArg {
    /// The peer's address.
    #[arg(value_parser = parse_addr)]
    pub(crate) addr: Multiaddr,
    /// How long to wait for the connection.
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
    /// Dial with this key instead of a fresh one.
    #[arg(long)]
    pub(crate) key: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ProfileArg {
    /// CIDv0, chunks of 256 KiB.
    V0,
    /// CIDv1, raw leaves, chunks of 256 KiB.
    V1,
    /// CIDv1, raw leaves, chunks of 1 MiB.
    #[value(name = "v1-2025")]
    V1of2025,
}

impl From<ProfileArg> for Profile {
    fn from(profile: ProfileArg) -> Self {
        match profile {
            ProfileArg::V0 => Self::V0,
            ProfileArg::V1 => Self::V1,
            ProfileArg::V1of2025 => Self::V1_2025,
        }
    }
}

fn parse_cid(text: &str) -> Result<Cid, String> {
    Cid::try_from(text).map_err(|error| {
        format!("{error}\nhint: a CID looks like bafkrei… or Qm…, and /ipfs/ is not part of it")
    })
}

fn parse_addr(text: &str) -> Result<Multiaddr, String> {
    text.parse().map_err(|error| {
        format!("{error}\nhint: an address looks like /ip4/192.0.2.1/tcp/4001 or /dns4/example.com/tcp/4001/p2p/12D3KooW…")
    })
}
