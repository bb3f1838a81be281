//! The `bowline` program.

mod args;
mod commands;
mod failure;
mod output;
mod progress;
mod session;

use std::process::ExitCode;

use clap::Parser;

use args::Args;
use failure::Failure;
use output::Output;

fn main() -> ExitCode {
    let args = Args::parse();
    let output = Output::new(args.json);
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("BOWLINE_LOG"))
        .init();
    match run(args, &output) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the output has had enough.
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            failure.exit_code()
        }
    }
}

fn run(args: Args, output: &Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| Failure::failed(&error))?;
    let outcome = runtime.block_on(commands::run(args.command, output));
    // Work on the blocking pool that nobody waits for any more must not hold the exit.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    outcome
}
