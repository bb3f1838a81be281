//! `bowline man`

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use clap::CommandFactory;
use clap_mangen::Man;

use crate::{arguments::Arguments, failure::Failure};

/// Print the man page.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Write a page for the program and each of its commands into this folder instead.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    if let Some(dir) = &options.dir {
        let written =
            fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(Arguments::command(), dir));
        return written.map_err(|error| {
            Failure::new(format!("cannot write to {}: {error}", dir.display()))
                .hint("name a folder that can be written")
        });
    }
    let mut page = Vec::new();
    let rendered = Man::new(Arguments::command()).render(&mut page);
    rendered.and_then(|()| io::stdout().lock().write_all(&page)).map_err(|error| Failure::output(&error))
}
