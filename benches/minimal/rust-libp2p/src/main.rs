//! Without an argument: listens, says where, and answers. With an address: dials it, asks who is there, pings.

use std::error::Error;

use futures::StreamExt;
use libp2p::{
    Multiaddr, SwarmBuilder, identify,
    multiaddr::Protocol,
    noise, ping,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|key| Behaviour {
            identify: identify::Behaviour::new(identify::Config::new("ipfs/0.1.0".to_owned(), key.public())),
            ping: ping::Behaviour::default(),
        })?
        .build();
    let dials = match std::env::args().nth(1) {
        Some(address) => swarm.dial(address.parse::<Multiaddr>()?).map(|()| true)?,
        None => swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?).map(|_| false)?,
    };
    let (mut identified, mut pinged) = (false, false);
    while !(dials && identified && pinged) {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => {
                println!("{}", address.with(Protocol::P2p(*swarm.local_peer_id())));
            }
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { info, .. })) => {
                println!("{}", info.agent_version);
                identified = true;
            }
            SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => {
                println!("{:?}", event.result?);
                pinged = true;
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}
