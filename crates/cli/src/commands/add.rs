//! `bowline add`

use std::path::{Path, PathBuf};

use bowline::{Added, Node};
use serde_json::json;

use crate::{
    arguments::{ProfileName, StoreOption},
    failure::Failure,
    output::{Output, printable},
    progress::Bar,
};

/// Add files and directories to a store, and print the CID of each.
///
/// Hidden files in directories are left out. `bowline serve` with the same store serves them.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    store: StoreOption,
    /// How files become blocks; it decides the CID.
    #[arg(long, value_enum, default_value_t = ProfileName::V1)]
    profile: ProfileName,
    /// Files and directories.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub(crate) async fn run(options: Options, output: Output) -> Result<(), Failure> {
    let node = Node::builder().store(options.store.folder()?).start().await?;
    for path in &options.paths {
        let added = one(&node, path, options.profile).await?;
        let object = json!({"cid": added.cid.to_string(), "name": added.name, "bytes": added.bytes});
        output.line(format_args!("{} {}", added.cid, printable(&added.name)), &object)?;
    }
    Ok(())
}

/// Adds one path, with a bar.
pub(super) async fn one(node: &Node, path: &Path, profile: ProfileName) -> Result<Added, Failure> {
    let bar = Bar::new(format!("adding {}", printable(&path.to_string_lossy())));
    Ok(node.add_with(path, profile.into(), Some(bar.on_progress())).await?)
}
