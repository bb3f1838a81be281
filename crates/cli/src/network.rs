//! Dialing.

use bowline::{
    Keypair, Multiaddr,
    swarm::{Connection, Host},
};

use crate::failure::Failure;

/// How long streams may take to end when a command is done.
pub(crate) const GRACE: std::time::Duration = std::time::Duration::from_secs(1);

/// Starts a host that only dials, and connects it.
pub(crate) async fn dial(keypair: Keypair, addr: &Multiaddr) -> Result<(Host, Connection), Failure> {
    let host = Host::builder(keypair).start().await?;
    let connection = host.connect(addr).await?;
    Ok((host, connection))
}

/// Lets this process open as many files and sockets as it may.
pub(crate) fn raise_file_limit() {
    // Where it cannot be raised, work goes on with what there is.
    let _raised = rlimit::increase_nofile_limit(u64::MAX);
}
