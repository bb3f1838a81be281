//! The command line of the runner.

use std::{ffi::OsString, path::PathBuf};

use anyhow::{Context, Result, bail};
use clap::{
    Parser, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};

use crate::compare::{
    network::Via,
    rows::{self, Job, Row},
};

/// Bowline, rust-libp2p, go-libp2p and what the machine allows, measured in turn in one run.
#[derive(Debug, Parser)]
#[command(name = "bowline-bench-compare")]
pub(crate) struct Options {
    /// Measure these rows and no others.
    #[arg(long, value_name = "ROW", num_args = 1.., value_delimiter = ',', value_parser = row())]
    pub(crate) only: Vec<&'static Row>,
    /// Measure every row, also the slow paths and the cold builds.
    #[arg(long, conflicts_with = "only")]
    pub(crate) all: bool,
    /// Runs of each program and row.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// One flavour instead of both.
    #[arg(long, value_enum)]
    pub(crate) flavour: Option<Flavour>,
    /// Some of the programs instead of all.
    #[arg(long, value_enum, num_args = 1.., value_delimiter = ',')]
    pub(crate) programs: Vec<Program>,
    /// Print one JSON object a row and flavour instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write SVG charts into this folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) plot: Option<PathBuf>,
    /// Exit with 1 when a goal is missed.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Bowline as one side and each other stack as the other side at 100 ms, instead of the rows.
    #[arg(long, conflicts_with_all = ["only", "all", "plot", "strict"])]
    pub(crate) peer_matrix: bool,
    /// What stands for the network in the slow rows.
    #[arg(long, value_enum, default_value_t = Via::Auto)]
    pub(crate) via: Via,
    /// Bowline was built with the faster handshake provider: its connects have the higher goal.
    #[arg(long)]
    pub(crate) fast_handshake: bool,
    /// Try the runner out: little work, no waiting for an idle machine. The numbers mean nothing.
    #[arg(long)]
    pub(crate) smoke: bool,
    /// Bowline's side of the benchmark.
    #[arg(long, value_name = "PATH")]
    bowline: Option<PathBuf>,
    /// rust-libp2p's side of the benchmark.
    #[arg(long, value_name = "PATH")]
    rust_libp2p: Option<PathBuf>,
    /// go-libp2p's side of the benchmark.
    #[arg(long, value_name = "PATH")]
    go_libp2p: Option<PathBuf>,
    /// The program that shows what the machine allows.
    #[arg(long, value_name = "PATH")]
    limit: Option<PathBuf>,
    /// The folder of the workspace, whose minimal programs the build rows build.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) root: PathBuf,
}

/// Takes the id of a row, and lists all of them in the help.
fn row() -> impl TypedValueParser<Value = &'static Row> {
    PossibleValuesParser::new(rows::ROWS.iter().map(|row| row.id))
        .try_map(|id| rows::find(&id).ok_or_else(|| format!("no row {id}")))
}

/// How many threads a side has, and where they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Flavour {
    /// The runtime's default, not pinned.
    Multi,
    /// One thread a side: the server's on core 0, the client's on core 1.
    OneThread,
}

impl Flavour {
    /// As the peers' `--runtime` takes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Multi => "multi",
            Self::OneThread => "one-thread",
        }
    }
}

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Program {
    /// This project.
    Bowline,
    /// The reference in Rust.
    #[value(name = "rust-libp2p")]
    RustLibp2p,
    /// The reference in Go.
    #[value(name = "go-libp2p")]
    GoLibp2p,
    /// No libp2p at all.
    Limit,
}

impl Program {
    /// In the order in which they take turns.
    pub(crate) const ALL: [Self; 4] = [Self::Bowline, Self::RustLibp2p, Self::GoLibp2p, Self::Limit];

    /// As tables and errors show it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bowline => "Bowline",
            Self::RustLibp2p => "rust-libp2p",
            Self::GoLibp2p => "go-libp2p",
            Self::Limit => "limit",
        }
    }
}

/// A program and where it lies.
#[derive(Debug, Clone)]
pub(crate) struct Executable {
    pub(crate) program: Program,
    pub(crate) path: OsString,
}

impl Options {
    /// The rows to report, in the table's order.
    pub(crate) fn rows(&self) -> Vec<&'static Row> {
        let wanted = |row: &&Row| match self.only.as_slice() {
            [] => self.all || !row.on_demand,
            only => only.iter().any(|named| named.id == row.id),
        };
        rows::ROWS.iter().filter(wanted).collect()
    }

    /// The flavours to measure.
    pub(crate) fn flavours(&self) -> Vec<Flavour> {
        self.flavour.map_or_else(|| vec![Flavour::Multi, Flavour::OneThread], |one| vec![one])
    }

    /// Whether a program takes part.
    pub(crate) fn includes(&self, program: Program) -> bool {
        self.programs.is_empty() || self.programs.contains(&program)
    }

    /// A job as it is to be run.
    pub(crate) fn job(&self, job: Job) -> Job {
        if self.smoke { job.smoke() } else { job }
    }

    /// The programs to run, in the order of their turns.
    ///
    /// # Errors
    ///
    /// When the file of one of them is not named, or is not there.
    pub(crate) fn executables(&self) -> Result<Vec<Executable>> {
        Program::ALL.into_iter().filter(|program| self.includes(*program)).map(|one| self.find(one)).collect()
    }

    fn find(&self, program: Program) -> Result<Executable> {
        let named = match program {
            Program::Bowline => &self.bowline,
            Program::RustLibp2p => &self.rust_libp2p,
            Program::GoLibp2p => &self.go_libp2p,
            Program::Limit => &self.limit,
        };
        let name = program.to_possible_value().context("every program has a name")?;
        let (name, path) = (name.get_name(), named.as_ref());
        let path =
            path.with_context(|| format!("where is it? --{name} PATH, or leave it out by --programs"))?;
        match path.canonicalize() {
            Ok(path) => Ok(Executable { program, path: path.into_os_string() }),
            Err(error) => bail!("--{name} {}: {error}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(arguments: &[&str]) -> Vec<&'static str> {
        let words = std::iter::once("compare").chain(arguments.iter().copied());
        Options::try_parse_from(words).unwrap().rows().iter().map(|row| row.id).collect()
    }

    #[test]
    fn slow_rows_run_only_when_asked_for() {
        assert!(!ids(&[]).contains(&"build"));
        assert!(!ids(&[]).contains(&"cold-16m"));
        assert!(ids(&["--all"]).contains(&"build"));
        assert_eq!(ids(&["--only", "ping", "cold-16m"]), ["ping", "cold-16m"]);
        assert_eq!(ids(&["--only", "cold-16m,ping", "--only", "upload"]), ["upload", "ping", "cold-16m"]);
    }

    #[test]
    fn an_unknown_row_is_refused_with_the_known_ones() {
        let error = Options::try_parse_from(["compare", "--only", "uplaod"]).unwrap_err().to_string();
        assert!(error.contains("streams-64"), "{error}");
    }

    #[test]
    fn a_program_without_a_file_is_named() {
        let options = Options::try_parse_from(["compare", "--programs", "go-libp2p"]).unwrap();
        let error = options.executables().unwrap_err().to_string();
        assert!(error.contains("--go-libp2p"), "{error}");
    }
}
