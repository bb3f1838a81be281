//! The commands, one file each.

mod add;
mod cat;
mod demo;
mod get;
mod id;
mod identify;
mod key;
mod ls;
mod perf;
mod ping;
mod serve;
mod shell;

use crate::{args::Command, failure::Failure, output::Output, session::interruptible};

/// Runs one command.
pub(crate) async fn run(command: Command, output: &Output) -> Result<(), Failure> {
    let output = *output;
    match command {
        Command::Demo { mib } => interruptible(demo::run(mib, output)).await,
        Command::Add { store, profile, paths } => {
            interruptible(add::run(store.store, profile.into(), paths, output)).await
        }
        Command::Get { cid, from, output: path, store } => {
            interruptible(get::run(cid, from, path, store, output)).await
        }
        Command::Cat { cid, from } => interruptible(cat::run(cid, from)).await,
        Command::Ls { cid, from } => interruptible(ls::run(cid, from, output)).await,
        // A signal is how serving ends well.
        Command::Serve { store, listen, perf, profile, paths } => {
            let settings =
                serve::Settings { folder: store.store, listen, perf, profile: profile.into(), paths };
            serve::run(settings, output).await
        }
        Command::Ping { peer, count, interval } => ping::run(peer, count, interval, output).await,
        Command::Identify { peer } => interruptible(identify::run(peer, output)).await,
        Command::Perf { peer, mib } => interruptible(perf::run(peer, mib, output)).await,
        Command::Id { store, key } => id::run(store.store, key, output),
        Command::Key { action } => key::run(action, output),
        Command::Completions { shell } => shell::completions(shell),
        Command::Man => shell::man(),
    }
}
