//! The project's own scripts: `cargo xtask <command>`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

mod bench;
mod compare;
mod interop;
mod process;
mod programs;
mod proto;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own scripts")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Generate the protobuf code that is checked in.
    Proto {
        /// Fail when the code on disk is stale, and write nothing.
        #[arg(long)]
        check: bool,
    },
    /// Run Bowline against other implementations on loopback.
    #[command(subcommand)]
    Interop(Interop),
    /// Measure Bowline beside other implementations on loopback.
    #[command(subcommand)]
    Bench(Bench),
}

#[derive(Subcommand)]
enum Interop {
    /// Compare CIDs with Kubo, and exchange files with it in both directions.
    Kubo(interop::kubo::Options),
    /// Exchange pings, identify messages and streams with rust-libp2p.
    RustLibp2p(interop::rust_libp2p::Options),
}

#[derive(Subcommand)]
enum Bench {
    /// Fetch one large file, Bowline to Bowline beside Kubo to Kubo.
    Get(bench::GetOptions),
    /// Measure Bowline beside rust-libp2p, go-libp2p and what the machine allows.
    #[command(disable_help_flag = true)]
    Compare(compare::Options),
}

fn main() -> Result<()> {
    let args = Args::parse();
    let root = workspace_root()?;
    match args.command {
        Command::Proto { check } => proto::run(&root, check),
        Command::Interop(Interop::Kubo(options)) => interop::kubo::run(&root, options),
        Command::Interop(Interop::RustLibp2p(options)) => interop::rust_libp2p::run(&root, options),
        Command::Bench(Bench::Get(options)) => bench::get(&root, options),
        Command::Bench(Bench::Compare(options)) => compare::run(&root, options),
    }
}

/// The folder that holds the workspace's `Cargo.toml`.
fn workspace_root() -> Result<PathBuf> {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    Ok(manifest.parent().context("xtask lies in the workspace")?.to_path_buf())
}
