//! The lines that this program and whatever runs it exchange: one JSON object a line.

use std::io::{self, Write};

use anyhow::{Result, ensure};
use libp2p::Multiaddr;
use serde::Serialize;

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Line<T> {
    Listening { address: String },
    Ready,
    Result(T),
}

/// Says where a server listens.
pub(crate) fn listening(address: &Multiaddr) -> Result<()> {
    print(&Line::<()>::Listening { address: address.to_string() })
}

/// Says that the client is prepared, and waits for the line that starts its job. Nodes go on meanwhile.
pub(crate) async fn ready() -> Result<()> {
    tokio::task::spawn_blocking(|| {
        print(&Line::<()>::Ready)?;
        let mut line = String::new();
        ensure!(io::stdin().read_line(&mut line)? > 0, "stdin ended before the job was started");
        Ok(())
    })
    .await?
}

/// Prints what was measured and waits for the end of stdin, so that the process can be looked at.
pub(crate) async fn result(measured: impl Serialize + Send + 'static) -> Result<()> {
    tokio::task::spawn_blocking(move || {
        print(&Line::Result(measured))?;
        until_stdin_ends()
    })
    .await?
}

pub(crate) fn until_stdin_ends() -> Result<()> {
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    Ok(())
}

fn print(line: &impl Serialize) -> Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, line)?;
    writeln!(out)?;
    Ok(out.flush()?)
}
