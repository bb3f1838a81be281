//! Streams that we open: from a peer and its protocols to a stream.

use std::{future::poll_fn, sync::Arc, time::Duration};

use bowline_identity::PeerId;
use bowline_multistream::{Dialer, NegotiationError, ProtocolId, ProtocolIdError};
use bowline_transport::{MuxedConnection, StreamId};
use bowline_yamux::code;
use bytes::{Bytes, BytesMut};

use crate::{
    Connection, Direction, Kind, OpenError, Stream, StreamError,
    dial::{self, ConnectOptions, Target},
    island::Island,
    peers::Entry,
    stream::Inner,
};

/// Protocols to offer a peer, in order of preference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocols(pub Vec<ProtocolId>);

impl From<ProtocolId> for Protocols {
    fn from(protocol: ProtocolId) -> Self {
        Self(vec![protocol])
    }
}

impl From<&ProtocolId> for Protocols {
    fn from(protocol: &ProtocolId) -> Self {
        Self(vec![protocol.clone()])
    }
}

impl From<Vec<ProtocolId>> for Protocols {
    fn from(protocols: Vec<ProtocolId>) -> Self {
        Self(protocols)
    }
}

impl TryFrom<&str> for Protocols {
    type Error = ProtocolIdError;

    fn try_from(protocol: &str) -> Result<Self, ProtocolIdError> {
        Ok(Self(vec![ProtocolId::try_from(protocol)?]))
    }
}

/// How to open a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// The time for everything, a dial included; `None` takes the host's times for dialing and opening.
    pub timeout: Option<Duration>,
    /// Wait for the peer to agree, also when one protocol is offered.
    pub await_agreement: bool,
    /// Whether shutdown waits for the stream. `None` means [`Kind::Application`].
    pub kind: Option<Kind>,
}

/// Opens a stream to `peer`, dialing it when it is not connected.
pub(crate) async fn open(
    island: &Arc<Island>,
    peer: PeerId,
    protocols: Vec<ProtocolId>,
    options: &OpenOptions,
) -> Result<Stream, OpenError> {
    if protocols.is_empty() {
        return Err(OpenError::NoProtocol);
    }
    let config = &island.config;
    let after = options.timeout.unwrap_or(config.dial_timeout + config.open_timeout);
    let opening = open_on_some_connection(island, peer, &protocols, options);
    tokio::time::timeout(after, opening).await.unwrap_or(Err(OpenError::TimedOut { after }))
}

/// Tries the connections to the peer, then a new one: a connection that ends meanwhile costs no failure.
async fn open_on_some_connection(
    island: &Arc<Island>,
    peer: PeerId,
    protocols: &[ProtocolId],
    options: &OpenOptions,
) -> Result<Stream, OpenError> {
    let mut failed = None;
    loop {
        let connected = ConnectOptions { timeout: options.timeout, ..ConnectOptions::default() };
        let Connection { entry } = dial::connect(island, Target::from(peer), &connected).await?;
        if failed == Some(entry.id) {
            let reason = entry.muxed.close_reason();
            let lost = bowline_transport::CloseReason::Local { code: 0 };
            return Err(OpenError::Connection(reason.unwrap_or(lost)));
        }
        match open_on(island, &entry, protocols, options).await {
            Err(OpenError::Connection(_)) if failed.is_none() => failed = Some(entry.id),
            outcome => return outcome,
        }
    }
}

/// Opens a stream on one connection.
pub(crate) async fn open_on(
    island: &Arc<Island>,
    entry: &Arc<Entry>,
    protocols: &[ProtocolId],
    options: &OpenOptions,
) -> Result<Stream, OpenError> {
    let after = island.config.open_timeout;
    let opened = tokio::time::timeout(after, poll_fn(|cx| entry.muxed.poll_open(cx))).await;
    let id = opened.map_err(|_| OpenError::TimedOut { after })?.map_err(OpenError::Connection)?;
    let mut opening = Opening { muxed: Arc::clone(&entry.muxed), id, owned: true };
    let mut dialer = Dialer::new(protocols.to_vec());
    opening.send(&mut dialer).await?;
    let inner = |protocol| Inner {
        connection: Arc::clone(&entry.muxed),
        id,
        peer: entry.peer,
        connection_id: entry.id,
        protocol,
        direction: Direction::Outbound,
        permit: island.stream_permit(options.kind.unwrap_or(Kind::Application)),
    };
    if let ([only], false) = (protocols, options.await_agreement) {
        opening.owned = false;
        return Ok(Stream::awaiting(inner(only.clone()), dialer));
    }
    let agreed = tokio::time::timeout(after, opening.agree(&mut dialer)).await;
    let (protocol, rest) = agreed.map_err(|_| OpenError::TimedOut { after })??;
    opening.owned = false;
    Ok(Stream::agreed(inner(protocol), rest))
}

/// An outbound stream that is not handed out; dropping it gives the stream back.
struct Opening {
    muxed: Arc<dyn MuxedConnection>,
    id: StreamId,
    owned: bool,
}

impl Opening {
    /// Sends what the negotiation has to say, in one piece.
    async fn send(&self, dialer: &mut Dialer) -> Result<(), OpenError> {
        let mut messages = BytesMut::new();
        while let Some(message) = dialer.poll_message() {
            messages.extend_from_slice(&message);
        }
        let mut data = messages.freeze();
        while !data.is_empty() {
            poll_fn(|cx| self.muxed.poll_write(cx, self.id, &mut data)).await.map_err(open_error)?;
        }
        Ok(())
    }

    /// Waits for the peer to agree on one of the protocols.
    async fn agree(&self, dialer: &mut Dialer) -> Result<(ProtocolId, Bytes), OpenError> {
        let mut input = BytesMut::new();
        loop {
            match dialer.handle_input(&mut input) {
                Ok(Some(protocol)) => return Ok((protocol, input.freeze())),
                Ok(None) => self.send(dialer).await?,
                Err(NegotiationError::Refused { offered }) => {
                    self.muxed.reset(self.id, code::stream::NEGOTIATION_FAILED);
                    return Err(OpenError::Refused { offered });
                }
                Err(error) => {
                    self.muxed.reset(self.id, code::stream::NEGOTIATION_FAILED);
                    return Err(OpenError::Negotiation(error));
                }
            }
            let read = poll_fn(|cx| self.muxed.poll_read(cx, self.id, usize::MAX)).await;
            let bytes = read.map_err(open_error)?;
            input.extend_from_slice(&bytes.ok_or(OpenError::Stream(StreamError::UnexpectedEnd))?);
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if self.owned {
            self.muxed.release(self.id);
        }
    }
}

fn open_error(error: bowline_transport::StreamError) -> OpenError {
    match StreamError::from(error) {
        StreamError::Connection(reason) => OpenError::Connection(reason),
        error => OpenError::Stream(error),
    }
}
