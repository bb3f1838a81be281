//! A behaviour for plain streams. Each inbound stream gets a task at once: `libp2p-stream` queues them and
//! drops what does not fit, which would make a count of delivered streams worthless.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use anyhow::{Result, anyhow};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{Endpoint, InboundUpgrade, OutboundUpgrade, UpgradeInfo, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, NotifyHandler, StreamUpgradeError, SubstreamProtocol, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use tokio::sync::{mpsc, oneshot};

use crate::protocols::{self, Counts};

/// Why a stream could not be opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    Refused,
    Failed(String),
}

type Reply = oneshot::Sender<Result<Stream, OpenError>>;

#[derive(Debug)]
struct Open {
    peer: PeerId,
    protocol: StreamProtocol,
    reply: Reply,
}

/// Opens streams on a running node.
#[derive(Clone)]
pub(crate) struct Control(mpsc::Sender<Open>);

impl Control {
    /// Opens a stream, and says whether the other side refused the protocol.
    pub(crate) async fn try_open(
        &self,
        peer: PeerId,
        protocol: StreamProtocol,
    ) -> Result<Result<Stream, OpenError>> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Open { peer, protocol, reply }).await.map_err(|_| anyhow!("the node is gone"))?;
        answer.await.map_err(|_| anyhow!("the connection is gone"))
    }

    pub(crate) async fn open(&self, peer: PeerId, protocol: StreamProtocol) -> Result<Stream> {
        self.try_open(peer, protocol).await?.map_err(|error| anyhow!("{error:?}"))
    }
}

pub(crate) fn new(counts: Arc<Counts>) -> (Behaviour, Control) {
    let (sender, requests) = mpsc::channel(64);
    (Behaviour { counts, requests }, Control(sender))
}

pub(crate) struct Behaviour {
    counts: Arc<Counts>,
    requests: mpsc::Receiver<Open>,
}

impl Behaviour {
    fn handler(&self) -> Handler {
        Handler { counts: Arc::clone(&self.counts), wanted: VecDeque::new() }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.requests.poll_recv(cx) {
            Poll::Ready(Some(open)) => Poll::Ready(ToSwarm::NotifyHandler {
                peer_id: open.peer,
                handler: NotifyHandler::Any,
                event: Wanted { protocol: open.protocol, reply: open.reply },
            }),
            _ => Poll::Pending,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Wanted {
    protocol: StreamProtocol,
    reply: Reply,
}

pub(crate) struct Handler {
    counts: Arc<Counts>,
    wanted: VecDeque<Wanted>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Wanted;
    type ToBehaviour = Infallible;
    type InboundProtocol = Names;
    type OutboundProtocol = Names;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Reply;

    fn listen_protocol(&self) -> SubstreamProtocol<Names> {
        SubstreamProtocol::new(Names(protocols::ALL.to_vec()), ())
    }

    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Names, Reply, Infallible>> {
        let Some(Wanted { protocol, reply }) = self.wanted.pop_front() else {
            // `on_behaviour_event` is always followed by another poll.
            return Poll::Pending;
        };
        Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
            protocol: SubstreamProtocol::new(Names(vec![protocol]), reply),
        })
    }

    fn on_behaviour_event(&mut self, wanted: Wanted) {
        self.wanted.push_back(wanted);
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Names, Names, (), Reply>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, protocol),
                ..
            }) => {
                tokio::spawn(protocols::serve(protocol, stream, Arc::clone(&self.counts)));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: (stream, _),
                info: reply,
            }) => {
                // A caller that gave up resets the stream by dropping it.
                let _ = reply.send(Ok(stream));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info: reply, error }) => {
                let error = match error {
                    StreamUpgradeError::NegotiationFailed => OpenError::Refused,
                    StreamUpgradeError::Timeout => OpenError::Failed("timed out".to_owned()),
                    StreamUpgradeError::Io(error) => OpenError::Failed(error.to_string()),
                    StreamUpgradeError::Apply(never) => match never {},
                };
                let _ = reply.send(Err(error));
            }
            _ => {}
        }
    }
}

/// Negotiates one of these protocols and gives the stream as it is.
pub(crate) struct Names(Vec<StreamProtocol>);

impl UpgradeInfo for Names {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Names {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}

impl OutboundUpgrade<Stream> for Names {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}
