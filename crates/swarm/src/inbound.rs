//! Streams that peers open: from the muxer to whoever serves their protocol.

use std::{future::poll_fn, sync::Arc};

use bowline_multistream::{Listener, NegotiationError};
use bowline_transport::{MuxedConnection, StreamId};
use bowline_yamux::code;
use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc::OwnedPermit};

use crate::{
    Direction, Stream, StreamError, island::Island, peers::Entry, protocols::Registration, stream::Inner,
};

/// Takes the streams that the peer opens until the connection ends.
pub(crate) async fn accept_streams(island: Arc<Island>, entry: Arc<Entry>) {
    let slots = Arc::new(Semaphore::new(island.config.max_negotiating_streams));
    loop {
        // A slot first: while all are taken the peer's streams wait unacknowledged, and its own backlog makes it wait.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let Ok(id) = poll_fn(|cx| entry.muxed.poll_accept(cx)).await else { return };
        island.spawn(serve(Arc::clone(&island), Arc::clone(&entry), id, slot));
    }
}

/// Negotiates one stream, within its time, and hands it on.
async fn serve(island: Arc<Island>, entry: Arc<Entry>, id: StreamId, slot: OwnedSemaphorePermit) {
    let mut stream = Negotiating {
        muxed: Arc::clone(&entry.muxed),
        id,
        input: BytesMut::new(),
        owned: true,
        held_back: false,
    };
    let agreed = tokio::time::timeout(island.config.negotiation_timeout, stream.negotiate(&island)).await;
    match agreed {
        Ok(Ok((registration, place))) => {
            let inner = Inner {
                connection: Arc::clone(&entry.muxed),
                id,
                peer: entry.peer,
                connection_id: entry.id,
                protocol: registration.protocol,
                direction: Direction::Inbound,
                permit: island.stream_permit(registration.kind),
            };
            let rest = stream.hand_over();
            place.send(Stream::agreed(inner, rest));
        }
        Ok(Err(Refusal::Negotiation(error))) => {
            tracing::debug!(peer = %entry.peer, %error, "an inbound stream was not agreed on");
            stream.muxed.reset(id, code::stream::NEGOTIATION_FAILED);
        }
        Ok(Err(Refusal::Stream(error))) => {
            tracing::trace!(peer = %entry.peer, %error, "an inbound stream ended before it was agreed on");
        }
        // Whoever serves the protocol was too slow, or the peer was.
        Err(_) if stream.held_back => stream.muxed.reset(id, code::stream::RESOURCE_LIMIT),
        Err(_) => stream.muxed.reset(id, code::stream::NEGOTIATION_FAILED),
    }
    drop(slot);
}

/// An inbound stream that is not agreed on; dropping it gives the stream back.
struct Negotiating {
    muxed: Arc<dyn MuxedConnection>,
    id: StreamId,
    input: BytesMut,
    owned: bool,
    /// A proposal is good, and whoever serves the protocol has no room yet.
    held_back: bool,
}

/// Why an inbound stream is not handed on.
enum Refusal {
    Negotiation(NegotiationError),
    Stream(StreamError),
}

impl From<bowline_transport::StreamError> for Refusal {
    fn from(error: bowline_transport::StreamError) -> Self {
        Self::Stream(error.into())
    }
}

impl Negotiating {
    async fn negotiate(&mut self, island: &Island) -> Result<(Registration, OwnedPermit<Stream>), Refusal> {
        let mut listener = Listener::new();
        let supported = |name: &str| island.protocols.find(name).is_some();
        loop {
            let read = poll_fn(|cx| self.muxed.poll_read(cx, self.id, usize::MAX)).await?;
            let bytes = read.ok_or(Refusal::Stream(StreamError::UnexpectedEnd))?;
            self.input.extend_from_slice(&bytes);
            // What one read brought is answered in one write: header and echo go out together.
            let mut answer = BytesMut::new();
            while let Some(proposal) =
                listener.handle_input(&mut self.input, &supported).map_err(Refusal::Negotiation)?
            {
                let place = match island.protocols.find(proposal.as_str()) {
                    // A full queue holds the echo back; the negotiation's time bounds the wait.
                    Some(registration) => {
                        self.held_back = true;
                        let place = registration.queue.clone().reserve_owned().await.ok();
                        self.held_back = false;
                        place.map(|place| (registration, place))
                    }
                    None => None,
                };
                let Some(place) = place else {
                    listener.refuse();
                    continue;
                };
                listener.accept();
                collect(&mut listener, &mut answer);
                self.write(answer.freeze()).await?;
                return Ok(place);
            }
            collect(&mut listener, &mut answer);
            self.write(answer.freeze()).await?;
        }
    }

    async fn write(&self, mut data: Bytes) -> Result<(), Refusal> {
        while !data.is_empty() {
            poll_fn(|cx| self.muxed.poll_write(cx, self.id, &mut data)).await?;
        }
        Ok(())
    }

    /// Gives the stream away, with the bytes that followed the negotiation.
    fn hand_over(&mut self) -> Bytes {
        self.owned = false;
        std::mem::take(&mut self.input).freeze()
    }
}

impl Drop for Negotiating {
    fn drop(&mut self) {
        if self.owned {
            self.muxed.release(self.id);
        }
    }
}

fn collect(listener: &mut Listener, answer: &mut BytesMut) {
    while let Some(message) = listener.poll_message() {
        answer.extend_from_slice(&message);
    }
}
