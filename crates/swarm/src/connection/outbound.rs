//! The sending half of a connection: whoever has something to send takes it, seals, writes, and puts it back.
//!
//! ```text
//!   driver ────────┐ take                     put back ┌──> more to send: the driver is woken
//!                  ├──────> Outbound: seal, write ─────┤
//!   full stream ───┘  (no lock)                        └──> the socket is full: the driver waits for it
//! ```
//!
//! A writer whose queue is full would have to wait for the driver's turn, and the driver then for the writer's: two
//! switches between tasks for every write to the socket, and in a runtime of many threads the data changes the core
//! with them. So the writer sends by itself, a bounded number of times for each turn of the driver, which alone
//! waits for the socket.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bowline_connection::{Direction, Layer, Tap};
use bowline_noise::{LENGTH_PREFIX, Sealer};
use bowline_transport::{CloseReason, SocketWriter};
use bytes::BytesMut;
use tokio::io::AsyncWrite;

use super::{
    output::Output,
    session::{SessionConnection, Transmit},
};
use crate::clock::now;

/// What writers may send by themselves before the driver has had its turn. Each is two records at most.
pub(super) const SENDS_PER_TURN: u8 = 32;

/// The least that may wait unsent in the system, in bytes: a turn of one stream.
const LEAST_UNSENT: usize = 16 * 1024;

/// The half of a socket that is written, with what seals for it.
pub(crate) struct Outbound {
    writer: SocketWriter,
    sealer: Sealer,
    pub(super) output: Output,
    /// What may wait unsent in the system, in bytes; 0 while it is what the transport chose.
    unsent_limit: usize,
    /// The socket failed while a stream was sending.
    failure: Option<SocketEnd>,
}

/// The end of the socket, by an error or by the peer.
pub(super) struct SocketEnd(pub(super) CloseReason);

impl From<io::Error> for SocketEnd {
    fn from(error: io::Error) -> Self {
        Self(CloseReason::Lost { kind: error.kind(), message: error.to_string() })
    }
}

/// What a round of sending came to.
#[derive(Default)]
pub(super) struct Sent {
    /// Something was sealed or written.
    pub(super) moved: bool,
    /// The session has said its last word.
    pub(super) ended: bool,
}

impl Outbound {
    /// Begins with the end of the handshake, which the first records join.
    pub(super) fn new(writer: SocketWriter, sealer: Sealer, handshake: BytesMut) -> Self {
        Self { writer, sealer, output: Output::new(handshake), unsent_limit: 0, failure: None }
    }

    /// Seals what the session has and writes it, until the socket is full.
    pub(super) fn send(
        &mut self,
        cx: &mut Context<'_>,
        session: &SessionConnection,
        tap: &mut Option<Box<dyn Tap>>,
    ) -> Result<Sent, SocketEnd> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let mut sent = self.seal_frames(session, tap)?;
        while !self.output.is_empty() {
            match Pin::new(&mut self.writer).poll_write(cx, self.output.waiting()) {
                Poll::Pending => {
                    if let Some(ahead) = self.output.blocked(now()) {
                        self.limit_unsent(ahead.max(LEAST_UNSENT));
                    }
                    break;
                }
                Poll::Ready(Ok(0)) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Poll::Ready(Ok(len)) => {
                    self.output.advance(len);
                    sent.moved = true;
                }
                Poll::Ready(Err(error)) => return Err(error.into()),
            }
        }
        Ok(sent)
    }

    /// Follows the pace of the path, in steps of at least two.
    fn limit_unsent(&mut self, bytes: usize) {
        if bytes > 2 * self.unsent_limit || bytes < self.unsent_limit / 2 {
            self.unsent_limit = bytes;
            self.writer.limit_unsent(bytes);
        }
    }

    fn seal_frames(
        &mut self,
        session: &SessionConnection,
        tap: &mut Option<Box<dyn Tap>>,
    ) -> Result<Sent, SocketEnd> {
        let mut sent = Sent::default();
        while let Some((out, limit)) = self.output.room() {
            let start = self.sealer.begin(out);
            let empty = out.len();
            match session.transmit(out, limit) {
                Transmit::Frames => {
                    if let Some(tap) = tap {
                        tap.observe(now(), Direction::Sent, Layer::Record, &out[empty..]);
                    }
                    let sealed = self.sealer.finish(out, start);
                    sealed.map_err(|error| SocketEnd(CloseReason::Violation { rule: error.to_string() }))?;
                    sent.moved = true;
                }
                nothing => {
                    out.truncate(empty - LENGTH_PREFIX);
                    sent.ended = matches!(nothing, Transmit::Ended);
                    break;
                }
            }
        }
        Ok(sent)
    }

    /// Ends our direction of the socket once everything has left.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SocketEnd>> {
        if !self.output.is_empty() {
            return Poll::Pending;
        }
        Pin::new(&mut self.writer).poll_shutdown(cx).map_err(SocketEnd::from)
    }
}

impl SessionConnection {
    /// Takes the sending half for the driver. While a stream has it there is none, and the driver is woken when it is back.
    pub(super) fn take_outbound(&self, cx: &mut Context<'_>) -> Option<Box<Outbound>> {
        let mut shared = self.lock();
        shared.sends_left = shared.sends_per_turn;
        let outbound = shared.outbound.take();
        shared.waiting.sender = outbound.is_none().then(|| cx.waker().clone());
        outbound
    }

    /// Puts the sending half back. The driver is woken for what there is to send from now on, unless it waits for a
    /// socket that is full; says whether there is something already.
    pub(super) fn put_back(&self, cx: &mut Context<'_>, outbound: Box<Outbound>) -> bool {
        let mut shared = self.lock();
        let full = !outbound.output.is_empty();
        shared.outbound = Some(outbound);
        let more = !full && shared.session.has_transmit();
        shared.waiting.driver = (!full && !more).then(|| cx.waker().clone());
        more
    }

    /// Takes the sending half for a stream: when there is something to send, and the socket took all that was sent before.
    fn take_outbound_inline(&self) -> Option<Box<Outbound>> {
        let mut shared = self.lock();
        let over = shared.closed.is_some() || shared.closing.is_some();
        if over || shared.sends_left == 0 || !shared.session.has_transmit() {
            return None;
        }
        let outbound = shared.outbound.take_if(|outbound| outbound.output.is_empty())?;
        shared.sends_left -= 1;
        Some(outbound)
    }

    /// Puts the sending half back for a stream. What is left is the driver's; unless it is `idle`, so is the socket.
    fn put_back_inline(&self, outbound: Box<Outbound>, idle: bool) {
        let mut shared = self.lock();
        let mut wakers: Vec<_> = shared.waiting.sender.take().into_iter().collect();
        if !idle || shared.session.has_transmit() {
            wakers.extend(shared.waiting.driver.take());
        }
        // After the end nobody would drop it but the last stream.
        let dropped =
            if shared.closed.is_none() { shared.outbound.replace(outbound) } else { Some(outbound) };
        drop(shared);
        drop(dropped);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Whether the sending half holds memory that an idle connection would give back.
    pub(super) fn holds_memory(&self) -> bool {
        self.lock().outbound.as_ref().is_some_and(|outbound| outbound.output.holds_memory())
    }

    /// Gives the sending half's memory back if it was not used since the last call.
    pub(super) fn release_unless_used(&self) {
        if let Some(outbound) = &mut self.lock().outbound {
            outbound.output.release_unless_used();
        }
    }

    /// Sends for a stream whose queue is full; says whether anything moved.
    ///
    /// The socket is asked without a waker: when it is full, the driver asks again with its own.
    pub(super) fn send_inline(&self) -> bool {
        let Some(mut outbound) = self.take_outbound_inline() else {
            return false;
        };
        let sent = outbound.send(&mut Context::from_waker(Waker::noop()), self, &mut None);
        let moved = sent.as_ref().is_ok_and(|sent| sent.moved);
        outbound.failure = sent.err();
        let idle = outbound.output.is_empty() && outbound.failure.is_none();
        self.put_back_inline(outbound, idle);
        moved
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc, Mutex, Weak,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    use bowline_transport::{MuxedConnection, SocketWrite, StreamId};
    use bowline_yamux::{
        self as yamux,
        frame::Header,
        limits::{MAX_BLOCKED_QUEUE, MAX_STREAM_QUEUE},
    };
    use bytes::Bytes;

    use super::*;

    /// A socket that takes so many bytes.
    struct Far(Arc<Mutex<usize>>);

    impl AsyncWrite for Far {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let mut room = self.0.lock().unwrap();
            let len = buf.len().min(*room);
            *room -= len;
            if len == 0 { Poll::Pending } else { Poll::Ready(Ok(len)) }
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl SocketWrite for Far {}

    /// Counts how often the driver is woken.
    #[derive(Default)]
    struct Driver(AtomicUsize);

    impl Wake for Driver {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A connection over a socket with so much room, and one stream of it with as much credit.
    struct Scene {
        connection: SessionConnection,
        stream: StreamId,
        driver: Arc<Driver>,
        socket: Weak<Mutex<usize>>,
    }

    const NO_END: usize = 1 << 30;

    fn scene(room: usize, observed: bool) -> Scene {
        let room = Arc::new(Mutex::new(room));
        let socket = Arc::downgrade(&room);
        let outbound = Outbound::new(Box::new(Far(room)), Sealer::new(&[7; 32]), BytesMut::new());
        let session = yamux::Session::new(now(), yamux::Role::Client, yamux::Config::default());
        let connection = SessionConnection::new(session, outbound, observed);
        let Poll::Ready(Ok(stream)) = connection.poll_open(&mut Context::from_waker(Waker::noop())) else {
            panic!("a stream");
        };
        let scene = Scene { connection, stream, driver: Arc::default(), socket };
        scene.turn();
        scene
    }

    impl Scene {
        /// A turn of the driver in which it sends what there is.
        fn turn(&self) {
            let waker = Arc::clone(&self.driver).into();
            let mut cx = Context::from_waker(&waker);
            let mut outbound = self.connection.take_outbound(&mut cx).expect("back");
            assert!(outbound.send(&mut cx, &self.connection, &mut None).is_ok());
            self.connection.put_back(&mut cx, outbound);
        }

        /// The peer learns of the stream and lets it send without end.
        fn grant(&self) {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(self.connection.poll_write_slice(&mut cx, self.stream, b"hello").is_ready());
            self.turn();
            let credit = Header::window_update(yamux::StreamId::new(1), 1 << 29).encode();
            self.connection.feed(std::iter::once(Bytes::copy_from_slice(&credit))).expect("credit");
        }

        /// Writes until the stream takes nothing more, and says how much it took.
        fn write(&self) -> usize {
            let mut cx = Context::from_waker(Waker::noop());
            let mut taken = 0;
            while let Poll::Ready(len) =
                self.connection.poll_write_slice(&mut cx, self.stream, &[7; 64 * 1024])
            {
                taken += len.expect("open");
            }
            taken
        }

        fn wakes(&self) -> usize {
            self.driver.0.load(Ordering::SeqCst)
        }
    }

    #[test]
    fn a_full_queue_is_sent_by_its_writer() {
        let window = 256 * 1024;
        assert_eq!(scene(NO_END, false).write(), window + MAX_BLOCKED_QUEUE, "what the peer's credit allows");
        assert_eq!(scene(NO_END, true).write(), MAX_STREAM_QUEUE, "an observer sees everything in its order");
    }

    #[test]
    fn the_driver_gets_its_turn_after_so_many_sends() {
        let scene = scene(NO_END, false);
        scene.grant();
        let (most, before) = (usize::from(SENDS_PER_TURN) * MAX_STREAM_QUEUE, scene.wakes());
        assert_eq!(scene.write(), most + MAX_STREAM_QUEUE);
        assert_eq!(scene.wakes(), before + 1);
        scene.turn();
        assert_eq!(scene.write(), most + MAX_STREAM_QUEUE, "one queue left with the turn");
    }

    #[test]
    fn a_full_socket_is_the_drivers() {
        let room = 200_000;
        let scene = scene(room, false);
        scene.grant();
        let before = scene.wakes();
        let taken = scene.write();
        assert!((room - 1_000..room + 3 * MAX_STREAM_QUEUE).contains(&taken), "{taken}");
        assert_eq!((scene.wakes(), scene.write()), (before + 1, 0));
        scene.turn();
        assert_eq!(scene.write(), 0, "and stays so while it is full");
        *scene.socket.upgrade().expect("open").lock().unwrap() = NO_END;
        scene.turn();
        assert!(scene.write() > 0);
    }

    #[test]
    fn what_a_stream_leaves_is_the_drivers() {
        let scene = scene(NO_END, false);
        for (idle, wakes) in [(true, 0), (false, 1)] {
            let held = scene.connection.lock().outbound.take().expect("back");
            scene.connection.put_back_inline(held, idle);
            assert_eq!(scene.wakes(), wakes);
        }
    }

    #[test]
    fn a_driver_that_comes_meanwhile_is_woken_when_the_half_is_back() {
        let scene = scene(NO_END, false);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(scene.connection.poll_write_slice(&mut cx, scene.stream, b"hello").is_ready());
        let before = scene.wakes();
        let held = scene.connection.take_outbound_inline().expect("something to send");
        let waker = Arc::clone(&scene.driver).into();
        assert!(scene.connection.take_outbound(&mut Context::from_waker(&waker)).is_none());
        scene.connection.put_back_inline(held, true);
        assert_eq!(scene.wakes(), before + 1);
        scene.turn();
    }

    #[test]
    fn the_socket_ends_with_the_connection_whoever_has_it() {
        let parked = scene(NO_END, false);
        parked.connection.ended(CloseReason::Local { code: 0 });
        assert!(parked.socket.upgrade().is_none());

        let sending = scene(NO_END, false);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(sending.connection.poll_write_slice(&mut cx, sending.stream, b"hello").is_ready());
        let held = sending.connection.take_outbound_inline().expect("something to send");
        sending.connection.ended(CloseReason::Local { code: 0 });
        sending.connection.put_back_inline(held, true);
        assert!(sending.socket.upgrade().is_none());
    }
}
