//! Without an argument: listens, says where, and answers. With an address: dials it, asks who is there, pings.

use std::{error::Error, future::pending};

use bowline_identity::{Keypair, Multiaddr, address};
use bowline_swarm::Host;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let host = Host::builder(Keypair::generate()).start().await?;
    let Some(argument) = std::env::args().nth(1) else {
        for listening in host.listen("/ip4/127.0.0.1/tcp/0".parse()?).await? {
            println!("{}", address::with_peer_id(listening, host.peer_id()));
        }
        return pending().await;
    };
    let peer = host.connect(&argument.parse::<Multiaddr>()?).await?.peer();
    println!("{}", host.identify(peer).await?.agent.as_deref().unwrap_or("no agent"));
    println!("{:?}", host.ping(peer).await?);
    Ok(())
}
