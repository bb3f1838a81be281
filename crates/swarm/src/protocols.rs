//! Who serves which protocol on this host.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use bowline_multistream::ProtocolId;
use tokio::sync::{mpsc, watch};

use crate::{AcceptError, Stream};

/// Inbound streams that wait for whoever serves the protocol. While so many wait, the answer to further
/// proposals is held back.
pub const ACCEPT_QUEUE: usize = 64;

/// What a protocol is to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its streams are what the node is for: shutdown waits for them, and they keep a peer in use.
    Application,
    /// It serves the network beside that, as ping does: shutdown does not wait for it.
    Service,
}

/// The table of protocols, shared by all connections.
#[derive(Debug)]
pub(crate) struct Protocols {
    table: Mutex<BTreeMap<ProtocolId, Registration>>,
    /// Counts changes of the table, so that identify can push.
    changes: watch::Sender<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Registration {
    pub(crate) protocol: ProtocolId,
    pub(crate) kind: Kind,
    pub(crate) queue: mpsc::Sender<Stream>,
}

/// Inbound streams of one protocol. Dropping it ends the registration.
pub struct Incoming {
    protocol: ProtocolId,
    queue: mpsc::Receiver<Stream>,
    protocols: Arc<Protocols>,
}

impl Protocols {
    pub(crate) fn new() -> Self {
        Self { table: Mutex::default(), changes: watch::Sender::new(0) }
    }

    pub(crate) fn register(
        self: &Arc<Self>,
        protocol: ProtocolId,
        kind: Kind,
    ) -> Result<Incoming, AcceptError> {
        let (sender, queue) = mpsc::channel(ACCEPT_QUEUE);
        let registration = Registration { protocol: protocol.clone(), kind, queue: sender };
        {
            let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
            if table.contains_key(&protocol) {
                return Err(AcceptError::AlreadyRegistered { protocol });
            }
            table.insert(protocol.clone(), registration);
        }
        self.changes.send_modify(|count| *count += 1);
        Ok(Incoming { protocol, queue, protocols: Arc::clone(self) })
    }

    pub(crate) fn find(&self, protocol: &str) -> Option<Registration> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.values().find(|registration| registration.protocol.as_str() == protocol).cloned()
    }

    pub(crate) fn names(&self) -> Vec<ProtocolId> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn unregister(&self, protocol: &ProtocolId) {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).remove(protocol);
        self.changes.send_modify(|count| *count += 1);
    }
}

impl Incoming {
    /// Waits for the next inbound stream; `None` when the host has stopped.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a dropped future loses no stream.
    pub async fn next(&mut self) -> Option<Stream> {
        self.queue.recv().await
    }

    /// The protocol that is served.
    #[must_use]
    pub fn protocol(&self) -> &ProtocolId {
        &self.protocol
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.protocols.unregister(&self.protocol);
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}
