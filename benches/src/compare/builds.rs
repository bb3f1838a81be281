//! Cold builds of the minimal programs.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    process::{Child, Command},
    time::{Instant, timeout},
};

use crate::compare::{
    machine::wait_for_an_idle_second,
    options::{Options, Program},
    report::{Outcome, progress},
    rows::{BuildFigure, Row, Source},
};

/// A build that takes longer has failed.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);
/// Where the minimal programs lie in the workspace; Go builds no crates.
const MINIMAL: [(Program, &str); 2] =
    [(Program::Bowline, "benches/minimal/bowline"), (Program::RustLibp2p, "benches/minimal/rust-libp2p")];

/// The build rows among those that were asked for.
pub(crate) async fn rows(options: &Options, wanted: &[&'static Row]) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for row in wanted {
        let Source::Builds(figure) = row.source else { continue };
        outcomes.push(match measure(options, figure).await {
            Ok(numbers) => Outcome { numbers, ..Outcome::new(row, None) },
            Err(error) => {
                progress(&format!("{} FAILED: {error:#}", row.id));
                Outcome::failed(row, None, format!("{error:#}"))
            }
        });
    }
    outcomes
}

async fn measure(options: &Options, figure: BuildFigure) -> Result<BTreeMap<Program, Vec<f64>>> {
    let mut numbers = BTreeMap::<Program, Vec<f64>>::new();
    let packages: Vec<_> = MINIMAL.into_iter().filter(|(program, _)| options.includes(*program)).collect();
    for (program, folder) in &packages {
        let folder = options.root.join(folder);
        fetch(&folder).await?;
        if figure == BuildFigure::Crates {
            numbers.insert(*program, vec![count_crates(&folder).await? as f64]);
        }
    }
    if figure == BuildFigure::Crates {
        return Ok(numbers);
    }
    for number in 1..=options.runs {
        for (program, folder) in &packages {
            if !options.smoke {
                wait_for_an_idle_second().await?;
            }
            let seconds = build(&options.root.join(folder)).await?;
            progress(&format!("build {number} {}: {seconds:.1} s", program.name()));
            numbers.entry(*program).or_default().push(seconds);
        }
    }
    Ok(numbers)
}

/// So that no build waits for the network.
async fn fetch(folder: &Path) -> Result<()> {
    run(cargo(folder, &["fetch", "--locked"])).await.map(drop)
}

/// The seconds of a release build into a fresh folder.
async fn build(folder: &Path) -> Result<f64> {
    let target = tempfile::Builder::new().prefix("bowline-bench-build-").tempdir()?;
    let mut command = cargo(folder, &["build", "--release", "--locked", "--offline"]);
    command.env("CARGO_TARGET_DIR", target.path());
    let started = Instant::now();
    run(command).await?;
    Ok(started.elapsed().as_secs_f64())
}

async fn count_crates(folder: &Path) -> Result<usize> {
    let words =
        ["tree", "--locked", "--offline", "--edges", "normal,build", "--prefix", "none", "--no-dedupe"];
    Ok(crates(&run(cargo(folder, &words)).await?))
}

/// Different packages in what `cargo tree` prints, the program itself included.
fn crates(tree: &str) -> usize {
    let package = |line: &str| line.split(" (").next().unwrap_or(line).trim().to_owned();
    let packages: BTreeSet<String> =
        tree.lines().map(package).filter(|package| !package.is_empty()).collect();
    packages.len()
}

fn cargo(folder: &Path, words: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let mut command = Command::new(program);
    // What this process was built with is not what these are to be built with.
    command.current_dir(folder).args(words).env_remove("RUSTFLAGS");
    // A cache of compiled crates would make a cold build a warm one.
    command.env_remove("CARGO_TARGET_DIR").env_remove("RUSTC_WRAPPER");
    command
}

/// Runs it to its end and gives what it printed.
async fn run(mut command: Command) -> Result<String> {
    let shown = format!("{:?}", command.as_std());
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().with_context(|| format!("starting {shown}"))?;
    let group = Group::of(&child)?;
    let output = timeout(BUILD_LIMIT, child.wait_with_output()).await;
    let output =
        output.with_context(|| format!("{shown} was not done after {} s", BUILD_LIMIT.as_secs()))??;
    group.ended();
    if !output.status.success() {
        bail!("{shown} failed\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A child with its own children, all killed when this is dropped: cargo leaves its compilers behind when it alone
/// is killed.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Result<Self> {
        let process = child.id().context("the child has not been waited for")?;
        Ok(Self(Some(Pid::from_raw(i32::try_from(process)?).context("a child has an id")?)))
    }

    /// Its first process has ended, so its number may soon be somebody else's.
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Fails only when all of it has ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_counts_once_whatever_follows_its_version() {
        let tree = "minimal v0.1.0 (/somewhere)\nlibc v0.2.1\nserde_derive v1.0.0 (proc-macro)\nlibc v0.2.1 (*)\n\nlibc v0.3.0\n";
        assert_eq!(crates(tree), 4);
    }

    #[tokio::test]
    async fn a_command_that_fails_says_why() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo broken >&2; exit 2"]);
        let error = run(command).await.unwrap_err().to_string();
        assert!(error.contains("broken"), "{error}");
        let mut command = Command::new("sh");
        command.args(["-c", "echo out"]);
        assert_eq!(run(command).await.unwrap(), "out\n");
    }

    #[tokio::test]
    async fn a_build_that_is_given_up_leaves_no_compiler() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & echo $!; wait"]).process_group(0).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let group = Group::of(&child).unwrap();
        let mut line = String::new();
        let mut lines = tokio::io::BufReader::new(child.stdout.take().unwrap());
        tokio::io::AsyncBufReadExt::read_line(&mut lines, &mut line).await.unwrap();
        drop(group);
        // The pipe ends when the last process that holds it does.
        assert_eq!(tokio::io::AsyncBufReadExt::read_line(&mut lines, &mut line).await.unwrap(), 0);
        child.wait().await.unwrap();
    }
}
