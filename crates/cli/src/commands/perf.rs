//! `perf`: throughput to a peer.

use bowline::Node;
use serde_json::json;

use crate::{
    args::PeerArg,
    failure::Failure,
    output::Output,
    progress::Bar,
    session::{GRACE, connect, dialing_key},
};

pub(crate) async fn run(peer: PeerArg, mib: u64, output: Output) -> Result<(), Failure> {
    let node = Node::builder().keypair(dialing_key(peer.key.as_deref())?).start().await?;
    let id = connect(&node, &peer.addr, peer.timeout).await?;
    let bytes = mib << 20;
    let rate = |elapsed: std::time::Duration| mib as f64 / elapsed.as_secs_f64().max(1e-9);
    let bar = Bar::new("uploading");
    let begun = tokio::time::Instant::now();
    node.host().perf(id, bytes, 0).await?;
    let upload = rate(begun.elapsed());
    drop(bar);
    let bar = Bar::new("downloading");
    let begun = tokio::time::Instant::now();
    node.host().perf(id, 0, bytes).await?;
    let download = rate(begun.elapsed());
    drop(bar);
    node.shutdown(GRACE).await;
    let value = json!({ "upload_mib_s": upload, "download_mib_s": download });
    output.print(format_args!("upload {upload:.0} MiB/s, download {download:.0} MiB/s"), &value)
}
