//! `bowline identify`

use std::fmt::Write;

use bowline::swarm::Info;
use serde_json::json;

use crate::{
    arguments::{self, KeyOption},
    failure::Failure,
    network::{self, GRACE},
    output::{Output, printable},
};

/// Ask a peer who it is, what it speaks, and where it sees us.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Its address.
    #[arg(value_name = "ADDR")]
    addr: String,
    #[command(flatten)]
    key: KeyOption,
}

pub(crate) async fn run(options: Options, output: Output) -> Result<(), Failure> {
    let (host, connection) =
        network::dial(options.key.keypair()?, &arguments::address(&options.addr)?).await?;
    let info = host.identify(connection.peer()).await?;
    host.shutdown(GRACE).await;
    let addrs: Vec<_> = info.listen_addrs.iter().map(ToString::to_string).collect();
    let object = json!({
        "peer_id": info.peer.to_string(),
        "agent": info.agent,
        "protocol_version": info.protocol_version,
        "protocols": info.protocols,
        "listen_addrs": addrs,
        "observed_addr": info.observed_addr.as_ref().map(ToString::to_string),
    });
    output.line(shown(&info, &addrs), &object)
}

fn shown(info: &Info, addrs: &[String]) -> String {
    let mut text = format!("peer id           {}", info.peer);
    let mut row = |what: &str, value: &str| {
        // A string takes whatever is written to it.
        let _written = write!(text, "\n{what:<17} {}", printable(value));
    };
    row("agent", info.agent.as_deref().unwrap_or("-"));
    row("protocol version", info.protocol_version.as_deref().unwrap_or("-"));
    let observed = info.observed_addr.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    row("sees us at", &observed);
    addrs.iter().for_each(|addr| row("listens on", addr));
    info.protocols.iter().for_each(|protocol| row("speaks", protocol));
    text
}
