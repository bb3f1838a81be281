//! `identify`: what a peer says about itself.

use bowline::Node;
use serde_json::json;

use crate::{
    args::PeerArg,
    failure::Failure,
    output::Output,
    session::{GRACE, connect, dialing_key},
};

pub(crate) async fn run(peer: PeerArg, output: Output) -> Result<(), Failure> {
    let node = Node::builder().keypair(dialing_key(peer.key.as_deref())?).start().await?;
    let id = connect(&node, &peer.addr, peer.timeout).await?;
    let info = node.host().identify(id).await?;
    node.shutdown(GRACE).await;
    let addrs: Vec<_> = info.listen_addrs.iter().map(ToString::to_string).collect();
    let observed = info.observed_addr.as_ref().map(ToString::to_string);
    let value = json!({
        "peer": id.to_string(),
        "agent": info.agent,
        "protocol_version": info.protocol_version,
        "protocols": info.protocols,
        "listen_addrs": addrs,
        "observed_addr": observed,
        "signed_record": info.record.is_some(),
    });
    let mut text = format!(
        "peer       {id}\nagent      {}\nnetwork    {}\nsees us at {}",
        info.agent.as_deref().unwrap_or("-"),
        info.protocol_version.as_deref().unwrap_or("-"),
        observed.as_deref().unwrap_or("-"),
    );
    for addr in addrs {
        text.push_str(&format!("\nlistens on {addr}"));
    }
    for protocol in &info.protocols {
        text.push_str(&format!("\nspeaks     {protocol}"));
    }
    output.print(text, &value)
}
