//! The `bowline` program.

mod arguments;
mod commands;
mod failure;
mod network;
mod output;
mod progress;
mod signals;

use std::{ffi::OsString, process::ExitCode, time::Duration};

use arguments::Arguments;
use clap::Parser;
use failure::Failure;
use output::Output;

/// How long work on other threads may take to end when the program ends.
const LINGER: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let given: Vec<OsString> = std::env::args_os().collect();
    let arguments = match Arguments::try_parse_from(&given) {
        Ok(arguments) => arguments,
        Err(refused) => return output::usage(&refused, given.iter().any(|argument| argument == "--json")),
    };
    let output = Output::new(arguments.json);
    log();
    let result = run(arguments, output);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output.failure(&failure),
    }
}

fn run(arguments: Arguments, output: Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
    let result = runtime.block_on(commands::run(arguments.command, output));
    runtime.shutdown_timeout(LINGER);
    result
}

/// Logs to stderr what `BOWLINE_LOG` asks for, such as `debug`; nothing without it.
fn log() {
    if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_env("BOWLINE_LOG") {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
}
