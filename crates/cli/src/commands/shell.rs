//! Shell completions and the manual page.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{args::Args, failure::Failure};

pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "bowline", &mut text);
    io::stdout().write_all(&text).map_err(|error| Failure::stdout(&error))
}

pub(crate) fn man() -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_mangen::Man::new(Args::command()).render(&mut text).map_err(|error| Failure::stdout(&error))?;
    io::stdout().write_all(&text).map_err(|error| Failure::stdout(&error))
}
