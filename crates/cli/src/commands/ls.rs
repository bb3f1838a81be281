//! `ls`: the entries of a directory.

use bowline::{Cid, GetOptions, Node, Source, Sources, files};
use serde_json::json;

use crate::{
    args::FromArg,
    failure::Failure,
    output::Output,
    session::{Connecting, GRACE, dialing_key},
};

pub(crate) async fn run(cid: Cid, from: FromArg, output: Output) -> Result<(), Failure> {
    let node = Node::builder().keypair(dialing_key(from.key.as_deref())?).start().await?;
    let mut connecting = Connecting::new(&node, &from.from, from.timeout);
    connecting.one_more().await?;
    let source = Source::network(node.exchange(), Sources::Any, None);
    let options = GetOptions { timeout: from.timeout, on_progress: None };
    let listed = files::list(&source, cid, &options).await;
    node.shutdown(GRACE).await;
    for entry in listed? {
        let value = json!({ "cid": entry.cid.to_string(), "name": entry.name, "tsize": entry.tsize });
        output.print(format_args!("{}  {:>12}  {}", entry.cid, entry.tsize, entry.name), &value)?;
    }
    Ok(())
}
