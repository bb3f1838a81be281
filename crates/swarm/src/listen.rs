//! Listeners: from an address to inbound connections.

use std::sync::Arc;

use bowline_identity::Multiaddr;
use bowline_transport::{Connected, Listener, TransportError};
use tokio::sync::OwnedSemaphorePermit;

use crate::{Direction, Event, ListenError, establish, island::Island};

/// Begins to listen, and gives the real addresses.
pub(crate) async fn listen(island: &Arc<Island>, addr: Multiaddr) -> Result<Vec<Multiaddr>, ListenError> {
    let transport = island.transports.iter().find(|transport| transport.can_listen(&addr)).cloned();
    let unsupported = || ListenError { addr: addr.clone(), source: TransportError::Unsupported };
    let transport = transport.ok_or_else(unsupported)?;
    let listener = transport.listen(&addr).await;
    let listener = listener.map_err(|source| ListenError { addr: addr.clone(), source })?;
    let addrs = listener.addresses();
    island.listen_addrs.send_modify(|known| known.extend(addrs.iter().cloned()));
    for addr in &addrs {
        island.emit(Event::Listening { addr: addr.clone() });
    }
    island.spawn(accept_links(Arc::clone(island), listener, addrs.clone()));
    Ok(addrs)
}

/// Accepts links until the host closes or the listener fails.
async fn accept_links(island: Arc<Island>, mut listener: Box<dyn Listener>, addrs: Vec<Multiaddr>) {
    let closing = island.closing.clone();
    let error = closing.run_until_cancelled(accept_all(&island, &mut listener)).await;
    // The port is free before anybody is told that it is.
    drop(listener);
    island.listen_addrs.send_modify(|known| known.retain(|addr| !addrs.contains(addr)));
    for addr in addrs {
        island.emit(Event::ListenerClosed { addr, error: error.clone() });
    }
}

/// Accepts links for as long as the listener gives them; the output says why it stopped.
async fn accept_all(island: &Arc<Island>, listener: &mut Box<dyn Listener>) -> TransportError {
    loop {
        // A place first: while all are taken, links wait in the operating system's queue.
        let place = Arc::clone(&island.inbound_upgrades).acquire_owned().await;
        let Ok(place) = place else {
            return TransportError::Unreachable;
        };
        match listener.accept().await {
            Ok(connected) => island.spawn(upgrade_inbound(Arc::clone(island), connected, place)),
            Err(error) => return error,
        }
    }
}

async fn upgrade_inbound(island: Arc<Island>, connected: Connected, place: OwnedSemaphorePermit) {
    let remote_addr = connected.remote_addr.clone();
    let timeout = island.config.inbound_upgrade_timeout;
    let upgraded = establish::upgrade(&island, connected, Direction::Inbound, None, timeout).await;
    drop(place);
    match upgraded {
        Ok(established) if established.peer == island.local_peer => {
            tracing::debug!(%remote_addr, "an inbound link came from this host itself");
        }
        Ok(established) => {
            if let Err(limit) = establish::register(&island, established, Direction::Inbound) {
                tracing::debug!(%remote_addr, limit, "an inbound connection exceeds the limit");
            }
        }
        Err(error) => {
            tracing::debug!(%remote_addr, %error, "an inbound link failed");
            island.emit(Event::InboundFailed { remote_addr, error });
        }
    }
}
