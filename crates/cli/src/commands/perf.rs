//! `bowline perf`

use serde_json::json;

use crate::{
    arguments::{self, KeyOption},
    failure::Failure,
    network::{self, GRACE},
    output::{Output, mib_per_s},
};

/// Measure how fast bytes go to a peer and come from it.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Its address. It must serve /perf/1.0.0, as `bowline serve --perf` does.
    #[arg(value_name = "ADDR")]
    addr: String,
    /// Mebibytes to send, and as many to receive.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    mib: u32,
    #[command(flatten)]
    key: KeyOption,
}

pub(crate) async fn run(options: Options, output: Output) -> Result<(), Failure> {
    let (host, connection) =
        network::dial(options.key.keypair()?, &arguments::address(&options.addr)?).await?;
    let (peer, bytes) = (connection.peer(), u64::from(options.mib) << 20);
    let up = host.perf(peer, bytes, 0).await?;
    let down = host.perf(peer, 0, bytes).await?;
    host.shutdown(GRACE).await;
    let up = mib_per_s(up.uploaded, up.total_time.as_secs_f64());
    let down = mib_per_s(down.downloaded, down.total_time.as_secs_f64());
    let object = json!({"upload_mib_s": up, "download_mib_s": down});
    output.line(format_args!("upload {up:.1} MiB/s, download {down:.1} MiB/s"), &object)
}
