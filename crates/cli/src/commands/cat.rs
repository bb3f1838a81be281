//! `bowline cat`

use std::path::PathBuf;

use bowline::{GetOptions, Multiaddr, Node};

use super::get::Patience;
use crate::{
    arguments,
    failure::Failure,
    network::{GRACE, raise_file_limit},
    progress::Bar,
};

/// Write the content of a file to stdout as it comes, in order; nothing is stored.
///
/// With --json stdout is the content all the same, and no object follows it; there is an object only when it fails,
/// behind what was written by then.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The file.
    cid: String,
    #[command(flatten)]
    origin: Origin,
}

/// Where blocks are read from: peers or a store.
#[derive(clap::Args)]
pub(crate) struct Origin {
    /// The address of a peer that has it; may be repeated, and then they share the work.
    #[arg(long, value_name = "MULTIADDR", required_unless_present = "store", conflicts_with = "store")]
    from: Vec<String>,
    /// Read from this store, which no other bowline may have open, instead of peers.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    #[command(flatten)]
    patience: Patience,
}

impl Origin {
    /// A node that can ask, and the addresses to ask at.
    pub(super) async fn node(&self) -> Result<(Node, Vec<Multiaddr>), Failure> {
        raise_file_limit();
        let from = arguments::addresses(&self.from)?;
        let node = Node::builder().config(self.patience.config()).keypair(self.patience.key.keypair()?);
        let node = match &self.store {
            Some(store) => node
                .store_with(store, bowline::blockstore::OpenOptions { create: false, ..Default::default() }),
            None => node,
        };
        Ok((node.start().await?, from))
    }

    pub(super) fn options(&self, bar: &Bar) -> GetOptions {
        self.patience.options(bar)
    }
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let cid = arguments::cid(&options.cid)?;
    let (node, from) = options.origin.node().await?;
    // A bar would run into the content on a terminal, and beside a pipe it is of use.
    let bar = Bar::beside_content("reading".to_owned());
    let read = node.cat(cid, from, &mut tokio::io::stdout(), &options.origin.options(&bar)).await;
    read.map_err(|error| Failure::of_root(cid, error))?;
    drop(bar);
    node.shutdown(GRACE).await;
    Ok(())
}
