//! What the machine allows: the same jobs over bare TCP, and over TCP with sealed records and nothing else.

#![allow(clippy::disallowed_methods, reason = "threads and the clock are what this program measures with")]

use anyhow::{Result, bail};
use bowline_benches::job::{Arguments, Job, Side};
use clap::Parser;

#[path = "../limit/pipe.rs"]
mod pipe;
#[path = "../limit/server.rs"]
mod server;
#[path = "../limit/socket.rs"]
mod socket;

fn main() -> Result<()> {
    match Arguments::parse().side {
        Side::BenchServe { listen, runtime } => server::serve(&listen, runtime),
        Side::BenchRun { to, runtime, job } => match job {
            Job::Upload(plan) => pipe::run(&to, plan, pipe::Ways { up: true, down: false }),
            Job::Download(plan) => pipe::run(&to, plan, pipe::Ways { up: false, down: true }),
            Job::Duplex(plan) => pipe::run(&to, plan, pipe::Ways { up: true, down: true }),
            Job::Ping(repeat) => runtime.run(socket::pings(to, repeat.count)),
            Job::Connect(repeat) => runtime.run(socket::connects(to, repeat.count, repeat.parallel)),
            Job::Open(_) | Job::Hold(_) | Job::FairRequest(_) => bail!("a bare socket has no streams"),
        },
    }
}
