//! The protocols that every host speaks by itself.

pub(crate) mod identify;
pub(crate) mod perf;
pub(crate) mod ping;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use bowline_identity::PeerId;

use crate::{AcceptError, Incoming, Kind, Stream, island::Island};
use bowline_multistream::ProtocolId;
use bowline_yamux::code;

/// Registers the services that the configuration asks for and starts them.
///
/// # Errors
///
/// None in a fresh host, whose table of protocols is empty.
pub(crate) fn start(island: &Arc<Island>) -> Result<(), AcceptError> {
    let register = |protocol| island.protocols.register(ProtocolId::from_static(protocol), Kind::Service);
    let id = register(bowline_identify::PROTOCOL)?;
    serve(island, id, bowline_identify::MAX_INBOUND_STREAMS, identify::answer);
    let push = register(bowline_identify::PUSH_PROTOCOL)?;
    serve(island, push, bowline_identify::MAX_INBOUND_STREAMS, identify::receive_push);
    let ping = register(bowline_ping::PROTOCOL)?;
    serve(island, ping, bowline_ping::MAX_INBOUND_STREAMS, ping::answer);
    if island.config.serve_perf {
        let perf = register(bowline_perf::PROTOCOL)?;
        serve(island, perf, perf::MAX_INBOUND_STREAMS, perf::answer);
    }
    island.spawn(identify::push_changes(Arc::clone(island)));
    Ok(())
}

/// Answers each inbound stream of a service in a task of its own, at most `max_per_peer` at once for one peer.
fn serve<F>(
    island: &Arc<Island>,
    mut incoming: Incoming,
    max_per_peer: usize,
    answer: impl Fn(Arc<Island>, Stream) -> F + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Places::default());
    let tasks = Arc::clone(island);
    let closing = island.closing.clone();
    island.spawn(async move {
        while let Some(Some(mut stream)) = closing.run_until_cancelled(incoming.next()).await {
            let Some(place) = places.take(stream.peer(), max_per_peer) else {
                // spec: ping/third-stream
                stream.reset(code::stream::RESOURCE_LIMIT);
                continue;
            };
            let answered = answer(Arc::clone(&tasks), stream);
            tasks.spawn(async move {
                answered.await;
                drop(place);
            });
        }
    });
}

/// How many streams of one service each peer has.
#[derive(Default)]
struct Places {
    taken: Mutex<BTreeMap<PeerId, usize>>,
}

/// One stream's place; dropping it frees the place.
struct Place {
    peer: PeerId,
    places: Arc<Places>,
}

impl Places {
    fn take(self: &Arc<Self>, peer: PeerId, max: usize) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(peer).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Place { peer, places: Arc::clone(self) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.peer);
            }
        }
    }
}
