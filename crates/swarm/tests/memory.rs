//! What idle connections cost, counted by the allocator.

use std::{alloc::System, sync::Arc, time::Duration};

use bowline_identity::Keypair;
use bowline_swarm::{Config, ConnectOptions, Host};
use bowline_transport::memory::MemoryTransport;
use cap::Cap;

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

const CONNECTIONS: usize = 10_000;
/// Dialers, each with its share of the connections: the dials of one host to one peer are joined.
const DIALERS: usize = 20;
/// For one end of one connection, everything included: tasks, session, keys, table.
const MOST_BYTES_PER_END: usize = 10 * 1024;

async fn host(seed: u8, network: &MemoryTransport, config: &Config) -> Host {
    let host = Host::builder(Keypair::from_ed25519_seed([seed; 32])).config(config.clone());
    host.transports(vec![Arc::new(network.clone())]).start().await.unwrap()
}

/// Waits until no connection has a stream: identify has run, or was refused to a peer with so many connections.
async fn idle(host: &Host) {
    while host.connections().iter().any(|connection| connection.stats().streams > 0) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

// In virtual time, which moves only when every task waits.
#[tokio::test(start_paused = true)]
async fn ten_thousand_idle_connections_cost_ten_kibibytes_each() {
    let network = MemoryTransport::sockets();
    let config = Config { max_connections: CONNECTIONS, ..Config::default() };
    let listener = host(0, &network, &config).await;
    let addr = listener.listen("/memory/1".parse().unwrap()).await.unwrap().remove(0);
    let mut dialers = Vec::new();
    for seed in 1..=DIALERS {
        let dialer = host(seed.try_into().unwrap(), &network, &config).await;
        dialer.add_addresses(listener.peer_id(), [addr.clone()]);
        dialers.push(dialer);
    }
    let before = HEAP.allocated();

    let mut dialing = tokio::task::JoinSet::new();
    for dialer in dialers.clone() {
        let peer = listener.peer_id();
        dialing.spawn(async move {
            for _ in 0..CONNECTIONS / DIALERS {
                let options = ConnectOptions { force_new: true, ..ConnectOptions::default() };
                dialer.connect_with(peer, &options).await.unwrap();
            }
            idle(&dialer).await;
        });
    }
    dialing.join_all().await;
    idle(&listener).await;
    assert_eq!(listener.connections().len(), CONNECTIONS);
    let per_end = (HEAP.allocated() - before) / (2 * CONNECTIONS);
    assert!(per_end <= MOST_BYTES_PER_END, "{per_end} bytes for each end of an idle connection");

    for host in dialers.iter().chain([&listener]) {
        host.shutdown(Duration::from_secs(10)).await;
    }
    let left = HEAP.allocated().saturating_sub(before) / (2 * CONNECTIONS);
    assert!(left <= 256, "{left} bytes for each end are left when all is over");
}
