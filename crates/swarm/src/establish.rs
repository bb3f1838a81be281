//! From a link to a connection in the table.

use std::{io, sync::Arc, time::Duration};

use bowline_connection::{Upgrade, UpgradeError, Upgraded};
use bowline_identity::{Multiaddr, PeerId};
use bowline_transport::{CloseReason, Connected, Link, MuxedConnection, Socket, TransportError};
use bowline_yamux::code;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
};

use crate::{
    AddrError, Connection, ConnectionId, Direction, Event, Stage,
    clock::now,
    connection::{Buffers, Driver},
    inbound,
    island::Island,
    peers::Entry,
    services,
};

/// The space for one read during an upgrade: the largest handshake message fits, in bytes.
const UPGRADE_READ: usize = 4 * 1024;

/// A secured, muxed link that is not in the table yet.
pub(crate) struct Established {
    pub(crate) peer: PeerId,
    muxed: Arc<dyn MuxedConnection>,
    driver: Option<Box<Driver>>,
    local_addr: Multiaddr,
    remote_addr: Multiaddr,
}

/// Secures and muxes a link.
///
/// # Errors
///
/// When the upgrade fails, when the peer is not the `expected` one, and when `timeout` is over.
pub(crate) async fn upgrade(
    island: &Arc<Island>,
    connected: Connected,
    direction: Direction,
    expected: Option<PeerId>,
    timeout: Duration,
) -> Result<Established, AddrError> {
    let Connected { link, local_addr, remote_addr } = connected;
    let (peer, muxed, driver) = match link {
        Link::Muxed { peer, connection } => {
            if let Some(expected) = expected.filter(|expected| *expected != peer) {
                return Err(AddrError::Upgrade(UpgradeError::WrongPeer { expected, actual: peer }));
            }
            (peer, connection, None)
        }
        Link::Socket(socket) => {
            let tap = island.tap.as_ref().and_then(|make| make(&remote_addr));
            let machine = new_machine(island, direction, expected).with_tap(tap);
            let (peer, driver) = upgrade_socket(socket, machine, timeout).await?;
            (peer, Arc::new(driver.session()) as Arc<dyn MuxedConnection>, Some(driver))
        }
    };
    Ok(Established { peer, muxed, driver, local_addr, remote_addr })
}

/// Runs the upgrade over a raw socket, within its time.
async fn upgrade_socket(
    mut socket: Socket,
    mut machine: Upgrade,
    timeout: Duration,
) -> Result<(PeerId, Box<Driver>), AddrError> {
    let mut buffers = Buffers::default();
    let running = run_upgrade(&mut machine, &mut socket, &mut buffers);
    let timed_out = AddrError::TimedOut { stage: Stage::Upgrade, after: timeout };
    let upgraded = tokio::time::timeout(timeout, running).await.map_err(|_| timed_out)??;
    let peer = upgraded.peer.peer_id();
    Ok((peer, Box::new(Driver::new(socket, upgraded, buffers, machine.take_tap()))))
}

fn new_machine(island: &Island, direction: Direction, expected: Option<PeerId>) -> Upgrade {
    let seed = island.seeds.next();
    match direction {
        Direction::Outbound => Upgrade::dialer(now(), &island.upgrade, expected, seed),
        Direction::Inbound => Upgrade::listener(now(), &island.upgrade, seed),
    }
}

/// Moves bytes between the socket and the upgrade machine until the machine is done.
///
/// What it has to say last stays in the output: it leaves with the first frames.
async fn run_upgrade(
    machine: &mut Upgrade,
    socket: &mut Socket,
    buffers: &mut Buffers,
) -> Result<Upgraded, AddrError> {
    let Buffers { input, output } = buffers;
    loop {
        let stepped = machine.handle_input(now(), input);
        while machine.poll_transmit(output) {}
        if stepped.is_ok()
            && let Some(upgraded) = machine.poll_upgraded(now())
        {
            return Ok(upgraded);
        }
        if !output.is_empty() {
            socket.write_all(output).await.map_err(transport_error)?;
            output.clear();
        }
        stepped.map_err(AddrError::Upgrade)?;
        input.reserve(UPGRADE_READ);
        if socket.read_buf(input).await.map_err(transport_error)? == 0 {
            return Err(AddrError::Upgrade(machine.handle_end()));
        }
    }
}

fn transport_error(error: io::Error) -> AddrError {
    AddrError::Transport { stage: Stage::Upgrade, source: TransportError::from(error) }
}

/// Puts a connection into the table, tells about it, and starts its tasks.
///
/// # Errors
///
/// The limit, when the host holds as many connections as it may; the peer is told so.
pub(crate) fn register(
    island: &Arc<Island>,
    established: Established,
    direction: Direction,
) -> Result<Connection, usize> {
    let Established { peer, muxed, driver, local_addr, remote_addr } = established;
    let entry = Arc::new(Entry {
        id: ConnectionId(island.seeds.next_connection_id()),
        peer,
        direction,
        local_addr,
        remote_addr: remote_addr.clone(),
        opened_at: now(),
        muxed,
        identified: watch::Sender::new(None),
    });
    let limit = island.config.max_connections;
    let admitted = !island.closing.is_cancelled() && island.connections.insert(Arc::clone(&entry), limit);
    if !admitted {
        entry.muxed.close(code::connection::RESOURCE_LIMIT);
    }
    if admitted {
        island.emit(Event::Connected { peer, connection: entry.id, direction, remote_addr });
        start_tasks(island, &entry);
    }
    // The last one: what the tasks before have to say joins the end of the handshake.
    if let Some(driver) = driver {
        island.tasks.spawn(drive(Arc::clone(island), driver));
    }
    if admitted { Ok(Connection { entry }) } else { Err(limit) }
}

/// Starts what every connection has: its streams are accepted, its peer is identified, its end is awaited.
fn start_tasks(island: &Arc<Island>, entry: &Arc<Entry>) {
    island.spawn(inbound::accept_streams(Arc::clone(island), Arc::clone(entry)));
    island.spawn(services::identify::ask(Arc::clone(island), Arc::clone(entry)));
    island.tasks.spawn(await_end(Arc::clone(island), Arc::clone(entry)));
}

/// Runs a connection's driver; an abrupt stop of the host drops its socket.
///
/// The driver is boxed: the futures around it would each hold room for all of it.
async fn drive(island: Arc<Island>, driver: Box<Driver>) {
    let session = driver.session();
    if island.stop.run_until_cancelled(driver).await.is_none() {
        session.ended(CloseReason::Local { code: code::connection::SHUTDOWN });
    }
}

/// Takes a connection out of the table when it has ended.
async fn await_end(island: Arc<Island>, entry: Arc<Entry>) {
    let connection = Connection { entry };
    let closed = island.stop.run_until_cancelled(connection.closed()).await;
    let reason = closed.unwrap_or(CloseReason::Local { code: code::connection::SHUTDOWN });
    connection.entry.muxed.close(code::connection::SHUTDOWN);
    let remaining = island.connections.remove(&connection.entry);
    tracing::debug!(peer = %connection.peer(), connection = %connection.id(), %reason, "disconnected");
    island.emit(Event::Disconnected {
        peer: connection.peer(),
        connection: connection.id(),
        reason,
        remaining,
    });
}
