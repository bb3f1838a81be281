//! The command line.

use std::{path::PathBuf, time::Duration};

use bowline::{Cid, Keypair, Multiaddr, Profile, identity::key_file};
use clap::{Parser, Subcommand, ValueEnum};

use crate::{commands, failure::Failure};

const EXIT_CODES: &str = "\
Exit codes:
  0    done, also when whoever read the output stopped reading
  1    failed
  2    the command line is wrong: an option, a CID, an address
  3    not found: nobody who was asked has it, or not in time
  4    cannot reach a peer
  5    the store or the key cannot be used: in use, read-only, full, damaged
  130  interrupted

BOWLINE_LOG=debug prints on stderr what the node does.";

/// An IPFS peer: adds files, serves them, and fetches them from others.
#[derive(Parser)]
#[command(name = "bowline", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print one JSON object a line on stdout, failures too.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Demo(commands::demo::Options),
    Add(commands::add::Options),
    Get(commands::get::Options),
    Cat(commands::cat::Options),
    Ls(commands::ls::Options),
    Serve(commands::serve::Options),
    Ping(commands::ping::Options),
    Identify(commands::identify::Options),
    Perf(commands::perf::Options),
    Id(commands::id::Options),
    Key(commands::key::Options),
    Completions(commands::completions::Options),
    Man(commands::man::Options),
}

/// How files become blocks.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ProfileName {
    /// What `ipfs add` does: CIDv0.
    V0,
    /// What `ipfs add --cid-version=1` does: 256 KiB in raw leaves.
    V1,
    /// The profile unixfs-v1-2025: 1 MiB in raw leaves.
    #[value(name = "v1-2025")]
    V1_2025,
}

impl From<ProfileName> for Profile {
    fn from(name: ProfileName) -> Self {
        match name {
            ProfileName::V0 => Self::V0,
            ProfileName::V1 => Self::V1,
            ProfileName::V1_2025 => Self::V1_2025,
        }
    }
}

/// A store, by default the one in the data folder of the user.
#[derive(clap::Args)]
pub(crate) struct StoreOption {
    /// The folder of the store; made on first use. Default: a folder of the user's own.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

impl StoreOption {
    pub(crate) fn folder(&self) -> Result<PathBuf, Failure> {
        if let Some(folder) = &self.store {
            return Ok(folder.clone());
        }
        let folders = directories::ProjectDirs::from("", "", "bowline");
        folders.map(|folders| folders.data_dir().join("store")).ok_or_else(|| {
            Failure::new("there is no home folder to keep a store in").hint("name a folder: --store DIR")
        })
    }
}

/// The key to dial with.
#[derive(clap::Args)]
pub(crate) struct KeyOption {
    /// Dial with the key in this file instead of a fresh one.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl KeyOption {
    pub(crate) fn keypair(&self) -> Result<Keypair, Failure> {
        self.key.as_ref().map_or_else(|| Ok(Keypair::generate()), |path| Ok(key_file::read(path)?))
    }
}

/// A length of time, as `500ms`, `30s`, `2m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error} (write 500ms, 30s or 2m)"))
}

/// Reads a CID, with or without `/ipfs/` or `ipfs://` before it.
pub(crate) fn cid(text: &str) -> Result<Cid, Failure> {
    let bare = ["/ipfs/", "ipfs://"].iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text);
    let bare = bare.strip_suffix('/').unwrap_or(bare);
    if let Some((root, below)) = bare.split_once('/') {
        let message = format!("{text:?} is a path: {below:?} stands behind the CID");
        return Err(
            Failure::usage(message).hint(format!("`bowline ls {root}` shows the CIDs of the entries"))
        );
    }
    Cid::try_from(bare).map_err(|error| {
        let place = stray(bare).map_or_else(
            || format!("{error}, with {} characters", bare.chars().count()),
            |(at, c)| format!("character {} is {c:?}, which no such CID has", at + 1),
        );
        Failure::usage(format!("{text:?} is no CID: {place}"))
            .hint("a CID looks like bafybei… with 59 characters, or Qm… with 46; copy it whole")
    })
}

/// The first character that is not of the base that the text seems to be in, and its index.
fn stray(text: &str) -> Option<(usize, char)> {
    let base32 = |c: char| matches!(c, 'a'..='z' | '2'..='7');
    let base58 = |c: char| c.is_ascii_alphanumeric() && !matches!(c, '0' | 'O' | 'I' | 'l');
    let mut characters = text.chars().enumerate();
    if text.starts_with('b') {
        characters.find(|(_, c)| !base32(*c))
    } else if text.starts_with("Qm") {
        characters.find(|(_, c)| !base58(*c))
    } else {
        None
    }
}

/// Reads an address.
pub(crate) fn address(text: &str) -> Result<Multiaddr, Failure> {
    let refused = |place: String| {
        Failure::usage(format!("{text:?} is no address: {place}")).hint(
            "an address looks like /ip4/192.0.2.1/tcp/4001/p2p/12D3KooW…; `bowline serve` prints its own",
        )
    };
    let addr: Multiaddr = text.parse().map_err(|error| refused(misfit(text, &error)))?;
    if text.is_empty() {
        return Err(refused("it is empty".to_owned()));
    }
    if !names_transport(&addr) {
        return Err(refused("it names no transport to reach it by, such as /tcp/4001".to_owned()));
    }
    Ok(addr)
}

/// Whether more is named than hosts and peers. What `/dnsaddr` leads to is not known before it is looked up.
fn names_transport(addr: &Multiaddr) -> bool {
    const HOSTS_AND_PEERS: [&str; 8] = ["ip4", "ip6", "ip6zone", "dns", "dns4", "dns6", "p2p", "p2p-circuit"];
    addr.protocol_stack().any(|protocol| !HOSTS_AND_PEERS.contains(&protocol))
}

/// Where and why a text is no address.
fn misfit(text: &str, error: &impl std::fmt::Display) -> String {
    let ends: Vec<_> = text.match_indices('/').map(|(at, _)| at).chain([text.len()]).collect();
    // The longest beginning that is an address; what follows is wrong.
    let good = ends.iter().rev().find(|end| **end > 0 && text[..**end].parse::<Multiaddr>().is_ok());
    match (good, ends.as_slice()) {
        (Some(end), _) => {
            format!("{:?} does not fit behind {:?} ({error})", &text[*end..], &text[..*end])
        }
        // A name and what belongs to it.
        (None, [0, _, end, ..] | [0, end]) => format!("{:?} is wrong ({error})", &text[..*end]),
        (None, _) => format!("it does not begin with '/' ({error})"),
    }
}

/// Reads addresses.
pub(crate) fn addresses(texts: &[String]) -> Result<Vec<Multiaddr>, Failure> {
    texts.iter().map(|text| address(text)).collect()
}
