//! Hosts for the tests of this folder.
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;

use bowline_identity::Keypair;
use bowline_swarm::{Config, Host, ProtocolId, Stream};
use bowline_transport::memory::MemoryTransport;

pub(crate) const ECHO: ProtocolId = ProtocolId::from_static("/test/echo/1");
pub(crate) const SINK: ProtocolId = ProtocolId::from_static("/test/sink/1");

/// Two hosts on loopback TCP; the first listens, and the second knows where.
pub(crate) async fn tcp_pair() -> (Host, Host) {
    let listener = Host::builder(Keypair::generate()).listen("/ip4/127.0.0.1/tcp/0".parse().unwrap());
    let listener = listener.start().await.unwrap();
    let dialer = Host::builder(Keypair::generate()).start().await.unwrap();
    introduce(&dialer, &listener);
    (listener, dialer)
}

/// Two hosts on an in-memory network of raw sockets, so that time can be paused.
pub(crate) async fn memory_pair(config: Config) -> (Host, Host) {
    let network = MemoryTransport::sockets();
    let listener = Host::builder(Keypair::from_ed25519_seed([1; 32]))
        .config(config.clone())
        .replay_seed([1; 32])
        .transports(vec![Arc::new(network.clone())])
        .listen("/memory/1".parse().unwrap())
        .start()
        .await
        .unwrap();
    let dialer = Host::builder(Keypair::from_ed25519_seed([2; 32]))
        .config(config)
        .replay_seed([2; 32])
        .transports(vec![Arc::new(network)])
        .start()
        .await
        .unwrap();
    introduce(&dialer, &listener);
    (listener, dialer)
}

/// Tells `host` where `other` listens.
pub(crate) fn introduce(host: &Host, other: &Host) {
    host.add_addresses(other.peer_id(), other.listen_addrs().borrow().clone());
}

/// Answers every stream with what it brings.
pub(crate) fn serve_echo(host: &Host) {
    let mut incoming = host.accept(ECHO).unwrap();
    tokio::task::spawn(async move {
        while let Some(stream) = incoming.next().await {
            tokio::task::spawn(echo(stream));
        }
    });
}

async fn echo(mut stream: Stream) {
    while let Ok(Some(bytes)) = stream.read_chunk(usize::MAX).await {
        if stream.write_chunk(bytes).await.is_err() {
            return;
        }
    }
    let _ended = stream.finish().await;
}
