//! A behaviour for plain streams, made to stand in the way as little as possible:
//!
//! * a stream is asked for at the connection's own task; the swarm's task is not on the way;
//! * an inbound stream gets a task at once: `libp2p-stream` queues them and drops what does not fit;
//! * pings are answered inside the connection's task, as `libp2p-ping` does. That behaviour itself is left out:
//!   it also pings by itself whenever a connection begins, and no other program of the benchmark does that.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    io,
    task::{Context, Poll},
};

use anyhow::{Context as _, Result, anyhow};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{Endpoint, InboundUpgrade, UpgradeInfo, transport::PortUse, upgrade::ReadyUpgrade},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::protocols;

/// Streams that wait to be opened; whoever wants more waits for room.
const QUEUE: usize = 128;

type Reply = oneshot::Sender<Result<Stream>>;

struct Open {
    protocol: StreamProtocol,
    reply: Reply,
}

/// Opens streams on the connection that a node has dialed last.
#[derive(Clone)]
pub(crate) struct Control(watch::Receiver<Option<mpsc::Sender<Open>>>);

impl Control {
    pub(crate) async fn open(&self, protocol: StreamProtocol) -> Result<Stream> {
        let connection = self.0.borrow().clone().context("nothing has been dialed")?;
        let (reply, answer) = oneshot::channel();
        connection.send(Open { protocol, reply }).await.map_err(|_| anyhow!("the connection is gone"))?;
        answer.await.context("the connection is gone")?
    }
}

pub(crate) fn new() -> (Behaviour, Control) {
    let (sender, receiver) = watch::channel(None);
    (Behaviour { dialed: sender }, Control(receiver))
}

pub(crate) struct Behaviour {
    dialed: watch::Sender<Option<mpsc::Sender<Open>>>,
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
        Ok(Handler { wanted: None, pings: FuturesUnordered::new() })
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let (sender, wanted) = mpsc::channel(QUEUE);
        self.dialed.send_replace(Some(sender));
        Ok(Handler { wanted: Some(wanted), pings: FuturesUnordered::new() })
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

pub(crate) struct Handler {
    /// Only a side that dialed opens streams.
    wanted: Option<mpsc::Receiver<Open>>,
    pings: FuturesUnordered<BoxFuture<'static, io::Result<()>>>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = Served;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Reply;

    fn listen_protocol(&self) -> SubstreamProtocol<Served> {
        SubstreamProtocol::new(Served, ())
    }

    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Reply, Infallible>> {
        while let Poll::Ready(Some(ended)) = self.pings.poll_next_unpin(cx) {
            tracing::debug!(?ended, "a ping stream ended");
        }
        let Some(wanted) = &mut self.wanted else { return Poll::Pending };
        match wanted.poll_recv(cx) {
            Poll::Ready(Some(Open { protocol, reply })) => {
                Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                    protocol: SubstreamProtocol::new(ReadyUpgrade::new(protocol), reply),
                })
            }
            _ => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Served, ReadyUpgrade<StreamProtocol>, (), Reply>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, protocol),
                ..
            }) => {
                if protocol == protocols::PING {
                    self.pings.push(protocols::answer_pings(stream).boxed());
                } else {
                    tokio::spawn(protocols::serve(protocol, stream));
                }
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info: reply,
            }) => {
                // A caller that gave up resets the stream by dropping it.
                let _ = reply.send(Ok(stream));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info: reply, error }) => {
                let _ = reply.send(Err(anyhow!("a stream could not be opened: {error}")));
            }
            _ => {}
        }
    }
}

/// Negotiates one of the protocols that are served and gives the stream as it is. The swarm asks for their names
/// each time it polls the connection, so that they must cost nothing.
pub(crate) struct Served;

impl UpgradeInfo for Served {
    type Info = StreamProtocol;
    type InfoIter = std::array::IntoIter<StreamProtocol, { protocols::COUNT }>;

    fn protocol_info(&self) -> Self::InfoIter {
        protocols::ALL.into_iter()
    }
}

impl InboundUpgrade<Stream> for Served {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}
