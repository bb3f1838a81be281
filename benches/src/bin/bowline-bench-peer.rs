//! Bowline as one side of a benchmark.

use anyhow::Result;
use bowline_benches::job::{Arguments, Side};
use clap::Parser;

#[path = "../peer/client.rs"]
mod client;
#[path = "../peer/server.rs"]
mod server;

/// Echoes what it reads.
const ECHO: bowline_swarm::ProtocolId = bowline_swarm::ProtocolId::from_static("/bench/echo/1.0.0");
const PERF: bowline_swarm::ProtocolId = bowline_swarm::ProtocolId::from_static(bowline_perf::PROTOCOL);

fn main() -> Result<()> {
    match Arguments::parse().side {
        Side::BenchServe { listen, runtime } => runtime.run(server::serve(listen)),
        Side::BenchRun { to, runtime, job } => runtime.run(client::run(to.parse()?, job)),
    }
}
