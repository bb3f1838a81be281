//! The one stream per peer on which our wants go out.

use std::{sync::Arc, time::Duration};

use bowline_bitswap::Version;
use bowline_identity::PeerId;
use bowline_swarm::{Kind, OpenError, OpenOptions, ProtocolId, Stream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf},
    sync::Notify,
};

use super::{Core, inbound::Messages, now};

/// Space for one read of an answer that comes back on the want stream, in bytes.
const READ_SIZE: usize = 64 * 1024;

/// The pause after the first stream in a row that could not be opened; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause between two attempts: short beside the time that a get waits for a block.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Opens the want stream to `peer` and writes what the fetcher has to say, until the stream or the peer ends.
pub(super) async fn write(core: Arc<Core>, peer: PeerId, due: Arc<Notify>) {
    let Some((stream, version)) = open_at_last(&core, peer, &due).await else { return };
    core.decide(|machines| machines.wants_open(&core, peer, &due, version));
    let ended = carry(&core, peer, &due, stream, version).await;
    tracing::debug!(%peer, ?ended, "a want stream ended");
    core.decide(|machines| machines.wants_ended(peer, &due));
}

/// Tries to open the want stream until it succeeds, the peer refuses for good, or nobody needs the stream any more.
async fn open_at_last(core: &Arc<Core>, peer: PeerId, due: &Arc<Notify>) -> Option<(Stream, Version)> {
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match open(core, peer).await {
            Ok(opened) => return Some(opened),
            Err(error) => error,
        };
        tracing::debug!(%peer, %error, "no want stream");
        if !core.decide(|machines| machines.wants_failed(peer, due, &error)) {
            return None;
        }
        tokio::time::sleep(pause).await;
        if !core.decide(|machines| machines.needs_wants(peer, due)) {
            return None;
        }
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// Writes wants and reads answers until either side of the stream ends.
async fn carry(
    core: &Arc<Core>,
    peer: PeerId,
    due: &Arc<Notify>,
    stream: Stream,
    version: Version,
) -> std::io::Result<()> {
    let (read, mut write) = tokio::io::split(stream);
    let writing = async {
        loop {
            let message = core.decide(|machines| {
                let owned = machines.owns_wants(peer, due);
                owned.then(|| machines.fetcher.poll_wants(now(), peer))
            });
            match message {
                Some(Some(message)) => write.write_all(&message.encode_frame(version)).await?,
                Some(None) => due.notified().await,
                // The peer went, or another stream took over.
                None => return Ok(()),
            }
        }
    };
    tokio::select! {
        ended = writing => ended,
        ended = read_answers(core, peer, version, read) => ended,
    }
}

impl super::Machines {
    fn wants_open(&mut self, core: &Core, peer: PeerId, due: &Arc<Notify>, version: Version) {
        if !self.owns_wants(peer, due) {
            return;
        }
        self.fetcher.handle_connected(now(), peer, version);
        if let Some(rtt) = core.host.connection(peer).and_then(|connection| connection.rtt()) {
            self.fetcher.handle_round_trip(peer, rtt);
        }
    }

    fn wants_ended(&mut self, peer: PeerId, due: &Arc<Notify>) {
        if self.owns_wants(peer, due) {
            self.want_streams.remove(&peer);
            // Opened again when there is something to say: routine with peers that cut idle streams.
            self.fetcher.handle_stream_reset(now(), peer);
        }
    }

    /// Whether to try again.
    fn wants_failed(&mut self, peer: PeerId, due: &Arc<Notify>, error: &OpenError) -> bool {
        if !self.owns_wants(peer, due) {
            return false;
        }
        if matches!(error, OpenError::Refused { .. }) {
            self.want_streams.remove(&peer);
            self.refused.insert(peer);
            self.fetcher.handle_refused(now(), peer);
            return false;
        }
        // It was busy or slow, and may not be the next time. What it owes is asked of others until then.
        self.fetcher.handle_disconnected(now(), peer);
        true
    }

    /// Whether the stream that could not be opened is still of use. If it is not, the next fetch begins anew.
    fn needs_wants(&mut self, peer: PeerId, due: &Arc<Notify>) -> bool {
        let owned = self.owns_wants(peer, due);
        if owned && self.mailboxes.is_empty() {
            self.want_streams.remove(&peer);
            return false;
        }
        owned
    }

    fn owns_wants(&self, peer: PeerId, due: &Arc<Notify>) -> bool {
        self.want_streams.get(&peer).is_some_and(|current| Arc::ptr_eq(current, due))
    }
}

/// Opens a stream of the best version that the peer speaks.
pub(super) async fn open(core: &Core, peer: PeerId) -> Result<(Stream, Version), OpenError> {
    let offered: Vec<_> =
        Version::ALL.iter().map(|version| ProtocolId::from_static(version.protocol())).collect();
    let options = OpenOptions { kind: Some(Kind::Service), await_agreement: true, ..OpenOptions::default() };
    let stream = core.host.open_stream_with(peer, offered, &options).await?;
    let version = Version::from_protocol(stream.protocol().as_str()).unwrap_or(Version::Unversioned);
    Ok((stream, version))
}

/// Takes answers that come back on the want stream, as some peers send them. Returns at the end of the stream.
///
/// // spec: bitswap/client-accepts-block
async fn read_answers(
    core: &Arc<Core>,
    peer: PeerId,
    version: Version,
    mut read: ReadHalf<Stream>,
) -> std::io::Result<()> {
    let mut messages = Messages::new(Arc::clone(core), peer, version);
    let mut buffer = bytes::BytesMut::new();
    loop {
        buffer.reserve(READ_SIZE);
        if read.read_buf(&mut buffer).await? == 0 {
            // The peer will say nothing more here; what it is asked still reaches it.
            messages.settle().await;
            return std::future::pending().await;
        }
        messages.handle_input(buffer.split().freeze()).map_err(std::io::Error::other)?;
        messages.settle().await;
    }
}
