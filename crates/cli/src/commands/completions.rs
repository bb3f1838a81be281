//! `bowline completions`

use std::io::{self, Write};

use clap::CommandFactory;

use crate::{arguments::Arguments, failure::Failure};

/// Print what lets a shell complete this program's arguments.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The shell.
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Arguments::command(), "bowline", &mut script);
    io::stdout().lock().write_all(&script).map_err(|error| Failure::output(&error))
}
