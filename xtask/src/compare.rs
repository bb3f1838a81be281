//! `cargo xtask bench compare`: builds the programs that are compared, and becomes the runner, which has the options.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{process, programs};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Options of the runner; `--help` shows them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    arguments: Vec<OsString>,
}

/// A program that is compared: its name on the runner's command line, and how it is built.
struct Compared {
    name: &'static str,
    build: fn(&Path) -> Result<PathBuf>,
}

const COMPARED: [Compared; 4] = [
    Compared { name: "bowline", build: |root| ours(root, "bowline-bench-peer") },
    Compared { name: "limit", build: |root| ours(root, "bowline-bench-limit") },
    Compared { name: "rust-libp2p", build: |root| programs::rust_libp2p(root, "bowline-bench-rust-libp2p") },
    Compared { name: "go-libp2p", build: programs::go_libp2p },
];

pub(crate) fn run(root: &Path, options: Options) -> Result<()> {
    process::catch_interrupts()?;
    let arguments = options.arguments;
    programs::benches(root)?;
    let mut runner = Command::new(ours(root, "bowline-bench-compare")?);
    runner.arg("--root").arg(root);
    if !asks_for_help(&arguments) {
        for program in COMPARED.iter().filter(|program| is_missing(&arguments, program.name)) {
            let built = (program.build)(root).with_context(|| hint(program.name))?;
            runner.arg(format!("--{}", program.name)).arg(built);
        }
    }
    runner.args(arguments);
    become_it(runner)
}

/// One of this work tree's own programs, built before.
fn ours(root: &Path, name: &str) -> Result<PathBuf> {
    Ok(programs::target_folder(root)?.join("release").join(name))
}

fn hint(name: &str) -> String {
    format!("hint: --{name} PATH uses one that is built already, --programs leaves some out")
}

fn asks_for_help(arguments: &[OsString]) -> bool {
    arguments.iter().any(|argument| argument == "--help" || argument == "-h")
}

/// Whether the runner will need a program that nobody named.
fn is_missing(arguments: &[OsString], name: &str) -> bool {
    let flag = format!("--{name}");
    let is_named = arguments.iter().any(|argument| value_of(argument, &flag).is_some() || *argument == *flag);
    !is_named && takes_part(arguments, name)
}

/// `--programs A,B`, `--programs A B` or `--programs=A,B`; without it all take part.
fn takes_part(arguments: &[OsString], name: &str) -> bool {
    let Some(at) = arguments
        .iter()
        .position(|argument| argument == "--programs" || value_of(argument, "--programs").is_some())
    else {
        return true;
    };
    let first = value_of(&arguments[at], "--programs").map(OsStr::new).into_iter();
    let more = arguments[at + 1..].iter().map(OsString::as_os_str);
    let values = first.chain(more.take_while(|argument| !argument.to_string_lossy().starts_with('-')));
    values.flat_map(|value| value.to_str().unwrap_or_default().split(',')).any(|value| value == name)
}

/// What stands behind `FLAG=`.
fn value_of<'a>(argument: &'a OsStr, flag: &str) -> Option<&'a str> {
    argument.to_str()?.strip_prefix(flag)?.strip_prefix('=')
}

/// The runner gets this process, so that signals and the exit code are its own.
#[cfg(unix)]
fn become_it(mut runner: Command) -> Result<()> {
    let error = std::os::unix::process::CommandExt::exec(&mut runner);
    Err(error).with_context(|| format!("starting {}", runner.get_program().display()))
}

#[cfg(not(unix))]
fn become_it(mut runner: Command) -> Result<()> {
    let status = runner.status().context("starting the runner")?;
    anyhow::ensure!(status.success(), "the runner failed ({status})");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(line: &str) -> Vec<&'static str> {
        let arguments: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        COMPARED.iter().map(|program| program.name).filter(|name| is_missing(&arguments, name)).collect()
    }

    #[test]
    fn only_what_nobody_named_is_built() {
        assert_eq!(missing("--only ping"), ["bowline", "limit", "rust-libp2p", "go-libp2p"]);
        assert_eq!(missing("--go-libp2p x --limit=y"), ["bowline", "rust-libp2p"]);
    }

    #[test]
    fn only_what_takes_part_is_built() {
        assert_eq!(missing("--programs bowline,limit --runs 3"), ["bowline", "limit"]);
        assert_eq!(missing("--runs 3 --programs bowline go-libp2p"), ["bowline", "go-libp2p"]);
        assert_eq!(missing("--programs=limit --json"), ["limit"]);
        assert_eq!(missing("--programs bowline --bowline x"), Vec::<&str>::new());
    }
}
