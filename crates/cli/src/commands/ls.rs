//! `bowline ls`

use std::ops::ControlFlow;

use bowline::Listed;
use serde_json::json;

use super::cat::Origin;
use crate::{
    arguments,
    failure::Failure,
    network::GRACE,
    output::{Output, printable},
    progress::Bar,
};

/// List a directory as it comes: for each entry its CID, the size of its blocks, and its name.
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
    // A bar would run into the entries on a terminal.
    let bar = Bar::beside_content("listing".to_owned());
    let options = options.origin.options(&bar);
    let mut printed = Ok(());
    let print = |entry: Listed| {
        let object = json!({"cid": entry.cid.to_string(), "tsize": entry.tsize, "name": entry.name});
        let text = format!("{} {:>12} {}", entry.cid, entry.tsize, printable(&entry.name));
        printed = output.line(text, &object);
        if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let listed = node.list_each(cid, from, &options, print).await;
    drop(bar);
    printed?;
    listed.map_err(|error| Failure::of_root(cid, error))?;
    node.shutdown(GRACE).await;
    Ok(())
}
