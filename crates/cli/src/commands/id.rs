//! `bowline id`

use std::path::PathBuf;

use bowline::{Keypair, Repository, blockstore::OpenOptions, identity::key_file};
use serde_json::{Value, json};

use crate::{arguments::StoreOption, failure::Failure, output::Output};

/// Show the peer id of a store in all its text forms. A store that has no key yet gets one.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    store: StoreOption,
    /// Show the id of the key in this file instead.
    #[arg(long, value_name = "FILE", conflicts_with = "store")]
    key: Option<PathBuf>,
}

pub(crate) fn run(options: &Options, output: Output) -> Result<(), Failure> {
    let keypair = match &options.key {
        Some(path) => key_file::read(path)?,
        None => of_store(&options.store)?,
    };
    show(&keypair, output)
}

/// The key of a store. Reading it works beside a running server, making it does not.
pub(super) fn of_store(store: &StoreOption) -> Result<Keypair, Failure> {
    let folder = store.folder()?;
    let path = folder.join(KEY);
    if path.exists() {
        return Ok(key_file::read(&path)?);
    }
    let repository = Repository::open(folder, OpenOptions::default())?;
    let keypair = Keypair::generate();
    key_file::write(&repository.key_path(), &keypair)?;
    Ok(keypair)
}

/// The name of the key in the folder of a store.
const KEY: &str = "key";

pub(super) fn show(keypair: &Keypair, output: Output) -> Result<(), Failure> {
    let (text, object) = described(keypair);
    output.line(text, &object)
}

fn described(keypair: &Keypair) -> (String, Value) {
    let peer = keypair.peer_id();
    let (cid, base36) = (peer.to_cid_string(), peer.to_base36_string());
    let key_type = format!("{:?}", keypair.public().key_type());
    let text = format!("peer id  {peer}\ncid      {cid}\nbase36   {base36}\nkey      {key_type}");
    (text, json!({"peer_id": peer.to_string(), "cid": cid, "base36": base36, "key_type": key_type}))
}
