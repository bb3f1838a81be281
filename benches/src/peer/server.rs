//! The serving side.

use std::net::SocketAddr;

use anyhow::Result;
use bowline_benches::lines;
use bowline_identity::{Keypair, address};
use bowline_perf::{Server, Transmit};
use bowline_swarm::{Config, Host, Incoming, Stream, StreamError};
use multiaddr::{Multiaddr, Protocol};
use tokio::io::AsyncWriteExt;

use crate::{ECHO, PERF};

/// Bytes of one read or write.
const BUFFER: usize = 64 * 1024;

/// Connections that it holds: more than any row asks for.
const MAX_CONNECTIONS: usize = 10_000;

/// Serves the protocols of the benchmark until stdin ends.
pub(crate) async fn serve(listen: String) -> Result<()> {
    let socket: SocketAddr = listen.parse()?;
    let addr = Multiaddr::from(socket.ip()).with(Protocol::Tcp(socket.port()));
    let config = Config { max_connections: MAX_CONNECTIONS, ..Config::default() };
    let host = Host::builder(Keypair::generate()).config(config).start().await?;
    // The host's own perf service bounds the transfers of one peer; this one is here to be loaded.
    each(host.accept(PERF)?, transfer);
    each(host.accept(ECHO)?, echo);
    for addr in host.listen(addr).await? {
        lines::listening(&address::with_peer_id(addr, host.peer_id()).to_string())?;
    }
    tokio::task::spawn_blocking(lines::until_stdin_ends).await?
}

/// Handles every stream in a task of its own; one that fails is told by what its client saw.
#[expect(clippy::disallowed_methods, reason = "a program's tasks end with it")]
fn each<F>(mut incoming: Incoming, handle: impl Fn(Stream) -> F + Send + 'static)
where
    F: Future<Output = Result<(), StreamError>> + Send + 'static,
{
    tokio::spawn(async move {
        while let Some(stream) = incoming.next().await {
            tokio::spawn(handle(stream));
        }
    });
}

async fn transfer(mut stream: Stream) -> Result<(), StreamError> {
    let mut machine = Server::new();
    while let Some(bytes) = stream.read_chunk(BUFFER).await? {
        machine.handle_input(&bytes);
    }
    if machine.handle_end().is_err() {
        stream.reset(0);
        return Err(StreamError::UnexpectedEnd);
    }
    while let Some(transmit) = machine.poll_transmit(BUFFER) {
        match transmit {
            Transmit::Data(bytes) => stream.write_all(&bytes).await.map_err(|_| StreamError::Finished)?,
            Transmit::Finish => stream.finish().await?,
        }
    }
    Ok(())
}

async fn echo(mut stream: Stream) -> Result<(), StreamError> {
    while let Some(bytes) = stream.read_chunk(BUFFER).await? {
        stream.write_chunk(bytes).await?;
    }
    stream.finish().await
}
