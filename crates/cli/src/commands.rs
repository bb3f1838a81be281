//! The commands, one a file.

pub(crate) mod add;
pub(crate) mod cat;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod get;
pub(crate) mod id;
pub(crate) mod identify;
pub(crate) mod key;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod perf;
pub(crate) mod ping;
pub(crate) mod serve;

use crate::{arguments::Command, failure::Failure, output::Output, signals::unless_stopped};

pub(crate) async fn run(command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Demo(options) => unless_stopped(demo::run(options, output)).await,
        Command::Add(options) => unless_stopped(add::run(options, output)).await,
        Command::Get(options) => unless_stopped(get::run(options, output)).await,
        Command::Cat(options) => unless_stopped(cat::run(options)).await,
        Command::Ls(options) => unless_stopped(ls::run(options, output)).await,
        // For a server, being stopped is how it ends.
        Command::Serve(options) => serve::run(options, output).await,
        // What it measured by then is told when it is stopped.
        Command::Ping(options) => ping::run(options, output).await,
        Command::Identify(options) => unless_stopped(identify::run(options, output)).await,
        Command::Perf(options) => unless_stopped(perf::run(options, output)).await,
        Command::Id(options) => id::run(&options, output),
        Command::Key(options) => key::run(options, output),
        Command::Completions(options) => completions::run(&options),
        Command::Man(options) => man::run(&options),
    }
}
