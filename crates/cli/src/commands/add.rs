//! `add`: files into the store.

use std::path::{Path, PathBuf};

use bowline::{AddOptions, Added, Profile, Repository, files};
use serde_json::json;

use crate::{
    failure::Failure,
    output::Output,
    progress::Bar,
    session::{open_store, raise_file_limit, store_folder, unix_seconds},
};

pub(crate) async fn run(
    folder: Option<PathBuf>,
    profile: Profile,
    paths: Vec<PathBuf>,
    output: Output,
) -> Result<(), Failure> {
    raise_file_limit();
    let repository = open_store(&store_folder(folder)?)?;
    for path in &paths {
        let added = add(&repository, path, profile).await?;
        print(&added, output)?;
    }
    Ok(())
}

/// Adds one path and keeps its root.
async fn add(repository: &Repository, path: &Path, profile: Profile) -> Result<Added, Failure> {
    let bar = Bar::new(&format!("adding {}", path.display()));
    let options = AddOptions { profile, on_progress: bar.on_progress(), ..AddOptions::default() };
    let added = files::add(&repository.blocks(), path, &options).await?;
    repository.add_root(&added.cid, unix_seconds(), &added.name)?;
    Ok(added)
}

/// Prints a root.
pub(super) fn print(added: &Added, output: Output) -> Result<(), Failure> {
    let value = json!({ "cid": added.cid.to_string(), "name": added.name, "bytes": added.bytes });
    output.print(format_args!("{}  {}", added.cid, added.name), &value)
}
