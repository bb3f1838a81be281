//! `id`: who this node is.

use std::path::PathBuf;

use bowline::{Keypair, key_file};
use serde_json::json;

use crate::{
    failure::Failure,
    output::Output,
    session::{open_store, store_folder},
};

pub(crate) fn run(folder: Option<PathBuf>, key: Option<PathBuf>, output: Output) -> Result<(), Failure> {
    let keypair = match key {
        Some(file) => key_file::read(&file).map_err(|error| Failure::failed(&error))?,
        None => {
            let folder = store_folder(folder)?;
            let path = folder.join("key");
            if path.exists() {
                // Reading the key needs no lock, so it works beside a running node.
                key_file::read(&path).map_err(|error| Failure::failed(&error))?
            } else {
                let repository = open_store(&folder)?;
                let keypair = Keypair::generate();
                key_file::write(&repository.key_path(), &keypair).map_err(|error| Failure::failed(&error))?;
                keypair
            }
        }
    };
    print(&keypair, output)
}

/// Prints a peer's id in its three forms, and the type of its key.
pub(super) fn print(keypair: &Keypair, output: Output) -> Result<(), Failure> {
    let peer = keypair.peer_id();
    let (cid, base36) = (peer.to_cid_string(), peer.to_base36_string());
    let kind = keypair.public().key_type().to_string();
    let value = json!({ "peer": peer.to_string(), "cid": cid, "base36": base36, "key_type": kind });
    output.print(format_args!("{peer}\n{cid}\n{base36}\n{kind}"), &value)
}
