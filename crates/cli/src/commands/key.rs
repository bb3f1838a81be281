//! `key`: key files.

use bowline::{Keypair, key_file};

use super::id;
use crate::{args::KeyAction, failure::Failure, output::Output};

pub(crate) fn run(action: KeyAction, output: Output) -> Result<(), Failure> {
    match action {
        KeyAction::Generate { file } => {
            if file.exists() {
                let message = format!("{} exists already", file.display());
                return Err(Failure::with_hint(
                    message,
                    "a key that is overwritten is lost: name another file",
                ));
            }
            let keypair = Keypair::generate();
            key_file::write(&file, &keypair).map_err(|error| Failure::failed(&error))?;
            id::print(&keypair, output)
        }
        KeyAction::Show { file } => {
            let keypair = key_file::read(&file).map_err(|error| Failure::failed(&error))?;
            id::print(&keypair, output)
        }
    }
}
