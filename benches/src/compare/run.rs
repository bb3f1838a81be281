//! From the command line to the exit code.

use std::{io, process::ExitCode};

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::compare::{
    link, machine, matrix,
    options::Options,
    plot,
    report::{Report, progress},
    series::{Quiet, Series},
};

/// Runs what the command line asks for. The exit code is 1 when anything failed, or when a goal that has to be met
/// was missed.
pub(crate) fn main() -> ExitCode {
    run(&Options::parse()).unwrap_or_else(|error| {
        progress(&format!("error: {error:#}"));
        ExitCode::FAILURE
    })
}

fn run(options: &Options) -> Result<ExitCode> {
    raise_the_file_limit()?;
    link::remove_stale()?;
    // One thread: the runner waits most of the time, and a slow path is one task.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            biased;
            // What was started ends with the future of the other branch.
            error = interrupted() => Err(error),
            done = compare(options) => done,
        }
    })
}

async fn interrupted() -> anyhow::Error {
    match signalled().await {
        Ok(()) => anyhow!("interrupted"),
        Err(error) => anyhow!(error).context("catching Ctrl-C"),
    }
}

/// Waits for Ctrl-C or SIGTERM.
async fn signalled() -> io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

async fn compare(options: &Options) -> Result<ExitCode> {
    let executables = options.executables()?;
    let mut series = Series { options, executables: &executables, quiet: Quiet::default() };
    if options.peer_matrix {
        let failures = matrix::run(&mut series).await?;
        return Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let outcomes = series.rows().await;
    let mut notes = vec![machine::describe()];
    notes.extend(series.quiet.notes());
    if options.smoke {
        notes.push("a smoke run: these numbers mean nothing".to_owned());
    }
    let report = Report { outcomes: &outcomes, options, notes: &notes };
    report.print()?;
    if options.json {
        notes.iter().for_each(|note| progress(note));
    }
    if let Some(folder) = &options.plot {
        plot::write(&outcomes, folder).with_context(|| format!("plotting into {}", folder.display()))?;
    }
    let (missed, failed) = (report.missed(), report.failed());
    if !missed.is_empty() {
        progress(&format!("goals missed: {}", missed.join(", ")));
    }
    if !failed.is_empty() {
        progress(&format!("rows that failed: {}", failed.join(", ")));
    }
    let is_well = failed.is_empty() && (missed.is_empty() || !options.strict);
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Two thousand connections are more files than many systems grant at first. The peers inherit the limit.
fn raise_the_file_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .context("raising the limit of open files")
}
