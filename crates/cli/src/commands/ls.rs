//! `bowline ls`

use serde_json::json;

use super::cat::Origin;
use crate::{
    arguments,
    failure::Failure,
    network::GRACE,
    output::{Output, printable},
    progress::Bar,
};

/// List a directory: for each entry its CID, the size of its blocks, and its name.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The directory.
    cid: String,
    #[command(flatten)]
    origin: Origin,
}

pub(crate) async fn run(options: Options, output: Output) -> Result<(), Failure> {
    let cid = arguments::cid(&options.cid)?;
    let (node, from) = options.origin.node().await?;
    let bar = Bar::new("listing".to_owned());
    let entries = node.list(cid, from, &options.origin.options(&bar)).await?;
    drop(bar);
    for entry in entries {
        let object = json!({"cid": entry.cid.to_string(), "tsize": entry.tsize, "name": entry.name});
        output.line(format_args!("{} {:>12} {}", entry.cid, entry.tsize, printable(&entry.name)), &object)?;
    }
    node.shutdown(GRACE).await;
    Ok(())
}
