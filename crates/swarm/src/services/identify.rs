//! identify and identify/push on a host.

use std::sync::{Arc, PoisonError};

use bowline_identify::{Info, Local, PROTOCOL, PUSH_PROTOCOL, Receiver, TIMEOUT, encode};
use bowline_identity::Multiaddr;
use bowline_multistream::ProtocolId;
use bytes::Bytes;
use tokio::time::timeout;

use crate::{
    Event, IdentifyError, Kind, Stream, clock,
    island::Island,
    outbound::{self, OpenOptions},
    peers::Entry,
};

/// Pushes that are under way at once.
const MAX_PUSHES: usize = 32;

/// How identify opens its streams: nothing waits for them.
fn service() -> OpenOptions {
    OpenOptions { kind: Some(Kind::Service), ..OpenOptions::default() }
}

/// Asks the peer of a new connection about itself. Nothing waits for the answer.
pub(crate) async fn ask(island: Arc<Island>, entry: Arc<Entry>) {
    let asked = timeout(TIMEOUT, ask_once(&island, &entry)).await;
    let result = asked.unwrap_or(Err(IdentifyError::TimedOut { after: TIMEOUT }));
    let learned = result.as_ref().ok().cloned();
    if let Err(error) = &result {
        tracing::debug!(peer = %entry.peer, %error, "identify failed");
    }
    // A push that came first is newer than the answer.
    entry.identified.send_if_modified(|identified| {
        let fresh = !matches!(identified, Some(Ok(_)));
        if fresh {
            *identified = Some(result);
        }
        fresh
    });
    // Whoever hears of it finds it there.
    if let Some(info) = learned {
        learn(&island, &entry, &info);
    }
}

async fn ask_once(island: &Arc<Island>, entry: &Arc<Entry>) -> Result<Arc<Info>, IdentifyError> {
    let protocol = ProtocolId::from_static(PROTOCOL);
    let mut stream = outbound::open_on(island, entry, &[protocol], &service()).await?;
    // spec: identify/repeat — some peers count a stream as busy until we have ended our side.
    stream.finish().await?;
    receive(&mut stream, &entry.remote_addr).await
}

/// Reads what the peer tells, to the end of the stream.
async fn receive(stream: &mut Stream, remote_addr: &Multiaddr) -> Result<Arc<Info>, IdentifyError> {
    let mut receiver = Receiver::new(stream.peer(), remote_addr);
    while let Some(bytes) = stream.read_chunk(usize::MAX).await? {
        receiver.handle_input(bytes)?;
    }
    Ok(Arc::new(receiver.finish()?))
}

/// Keeps what a peer told, and tells it on.
fn learn(island: &Island, entry: &Entry, info: &Arc<Info>) {
    island.addresses.add(entry.peer, info.listen_addrs.iter().cloned());
    island.emit(Event::Identified { peer: entry.peer, info: Arc::clone(info) });
}

/// Answers a peer that asks.
pub(crate) async fn answer(island: Arc<Island>, mut stream: Stream) {
    let Some(entry) = entry_of(&island, &stream) else {
        return;
    };
    let told = timeout(TIMEOUT, tell(&mut stream, message(&island, &entry))).await;
    tracing::trace!(peer = %entry.peer, ?told, "answered identify");
}

async fn tell(stream: &mut Stream, message: Bytes) -> Result<(), crate::StreamError> {
    stream.write_chunk(message).await?;
    stream.finish().await
}

/// Takes in a push.
pub(crate) async fn receive_push(island: Arc<Island>, mut stream: Stream) {
    let Some(entry) = entry_of(&island, &stream) else {
        return;
    };
    match timeout(TIMEOUT, receive(&mut stream, &entry.remote_addr)).await {
        Ok(Ok(info)) => {
            // An ended peer needs no answer to a push.
            let _ended = stream.finish().await;
            let info = merged(&entry, &info);
            entry.identified.send_replace(Some(Ok(Arc::clone(&info))));
            learn(&island, &entry, &info);
        }
        Ok(Err(error)) => tracing::debug!(peer = %entry.peer, %error, "a push was malformed"),
        Err(_) => tracing::debug!(peer = %entry.peer, "a push took too long"),
    }
}

/// spec: push/partial — fields that are missing from a push stay as they were.
fn merged(entry: &Entry, push: &Arc<Info>) -> Arc<Info> {
    let known = entry.identified.borrow().as_ref().and_then(|result| result.as_ref().ok().cloned());
    let Some(known) = known else {
        return Arc::clone(push);
    };
    let mut info = Info::clone(&known);
    info.update(Info::clone(push));
    Arc::new(info)
}

/// Tells every connected peer, in full, when our protocols or addresses change.
pub(crate) async fn push_changes(island: Arc<Island>) {
    let mut protocols = island.protocols.changes();
    let mut addrs = island.listen_addrs.subscribe();
    loop {
        let changed = tokio::select! {
            changed = protocols.changed() => changed,
            changed = addrs.changed() => changed,
        };
        if changed.is_err() || island.closing.is_cancelled() {
            return;
        }
        for pushes in island.connections.all().chunks(MAX_PUSHES) {
            let pushes = pushes.iter().map(|entry| timeout(TIMEOUT, push(&island, entry)));
            futures_util::future::join_all(pushes).await;
        }
    }
}

async fn push(island: &Arc<Island>, entry: &Arc<Entry>) {
    // Who does not take pushes, or is not identified yet, learns it when it asks.
    let takes = entry.identified.borrow().as_ref().is_some_and(|result| {
        result.as_ref().is_ok_and(|info| info.protocols.iter().any(|protocol| protocol == PUSH_PROTOCOL))
    });
    if !takes {
        return;
    }
    let protocol = ProtocolId::from_static(PUSH_PROTOCOL);
    let message = message(island, entry);
    let pushed = async {
        let mut stream = outbound::open_on(island, entry, &[protocol], &service()).await?;
        tell(&mut stream, message).await?;
        // The end of the peer's side tells that it has read the push.
        while stream.read_chunk(usize::MAX).await?.is_some() {}
        Ok::<_, IdentifyError>(())
    };
    if let Err(error) = pushed.await {
        tracing::debug!(peer = %entry.peer, %error, "a push failed");
    }
}

/// What we tell the peer of `entry`.
fn message(island: &Island, entry: &Entry) -> Bytes {
    let protocols = island.protocols.names();
    // Locked before the addresses are read: a list that is older than the record's would get a newer number.
    let mut records = island.records.lock().unwrap_or_else(PoisonError::into_inner);
    let local = Local {
        keypair: &island.keypair,
        protocol_version: &island.config.protocol_version,
        agent_version: &island.config.agent_version,
        protocols: protocols.iter().map(ProtocolId::as_str).collect(),
        listen_addrs: island.listen_addrs.borrow().clone(),
        remote_addr: entry.remote_addr.clone(),
        record_seq: Some(clock::unix_nanos()),
    };
    encode(&local, &mut records).bytes
}

fn entry_of(island: &Island, stream: &Stream) -> Option<Arc<Entry>> {
    island.connections.find(stream.peer(), stream.connection_id())
}
