//! `bowline key`

use std::path::{Path, PathBuf};

use bowline::{Keypair, Repository, blockstore::OpenOptions, identity::key_file};
use clap::Subcommand;

use super::id;
use crate::{arguments::StoreOption, failure::Failure, output::Output};

/// Make, show and move keys.
///
/// Key files are those of `ipfs key export -f libp2p-protobuf-cleartext`. Only their owner can read them.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make a new Ed25519 key in a file.
    Generate {
        /// The file; it must not exist.
        file: PathBuf,
    },
    /// Show the peer id of the key in a file.
    Show {
        /// The file.
        file: PathBuf,
    },
    /// Give a store the key in a file, in place of the one it has.
    Import {
        #[command(flatten)]
        store: StoreOption,
        /// The file.
        file: PathBuf,
    },
    /// Write the key of a store to a file.
    Export {
        #[command(flatten)]
        store: StoreOption,
        /// The file; it must not exist.
        file: PathBuf,
    },
}

pub(crate) fn run(options: Options, output: Output) -> Result<(), Failure> {
    let keypair = match options.action {
        Action::Generate { file } => write(&file, Keypair::generate())?,
        Action::Show { file } => key_file::read(&file)?,
        Action::Import { store, file } => {
            let keypair = key_file::read(&file)?;
            let repository = Repository::open(store.folder()?, OpenOptions::default())?;
            key_file::write(&repository.key_path(), &keypair)?;
            keypair
        }
        Action::Export { store, file } => write(&file, id::of_store(&store)?)?,
    };
    id::show(&keypair, output)
}

/// Writes a key where nothing is yet: an overwritten key is lost for good.
fn write(file: &Path, keypair: Keypair) -> Result<Keypair, Failure> {
    if file.symlink_metadata().is_ok() {
        let failure =
            Failure::new(format!("{} exists already, and keys are not overwritten", file.display()));
        return Err(failure.hint("name another file, or remove that one first"));
    }
    key_file::write(file, &keypair)?;
    Ok(keypair)
}
