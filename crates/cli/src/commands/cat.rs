//! `cat`: a file's content to standard output.

use bowline::{Cid, GetError, GetOptions, Node, Source, Sources, files};
use tokio::io::BufWriter;

use crate::{
    args::FromArg,
    failure::Failure,
    session::{Connecting, GRACE, dialing_key},
};

pub(crate) async fn run(cid: Cid, from: FromArg) -> Result<(), Failure> {
    let node = Node::builder().keypair(dialing_key(from.key.as_deref())?).start().await?;
    let mut connecting = Connecting::new(&node, &from.from, from.timeout);
    connecting.one_more().await?;
    let source = Source::network(node.exchange(), Sources::Any, None);
    let options = GetOptions { timeout: from.timeout, on_progress: None };
    let mut out = BufWriter::with_capacity(1 << 20, tokio::io::stdout());
    let printed = files::cat(&source, cid, None, &mut out, &options).await;
    node.shutdown(GRACE).await;
    match printed {
        Ok(_) => Ok(()),
        Err(GetError::Io { kind, .. }) => Err(Failure::stdout(&kind.into())),
        Err(error) => Err(error.into()),
    }
}
