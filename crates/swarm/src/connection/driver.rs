//! The task that owns a connection's socket and cipher.
//!
//! One turn reads what the socket has, opens the records, feeds the session; then takes frames from the
//! session, seals them and writes. Reading never waits for writing: with both directions full, two peers that
//! waited for each other would stand still. Work per turn is bounded, so one busy connection does not hold
//! the thread.

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bowline_connection::{Direction, Layer, PendingMuxer, Tap, Upgraded};
use bowline_noise::{Opener, Sealer};
use bowline_transport::{CloseReason, Socket};
use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWrite},
    task::yield_now,
    time::{Sleep, sleep_until},
};

use super::{
    input::Input,
    output::Output,
    session::{SessionConnection, Transmit},
};
use crate::clock::now;

/// Room for a read of what a peer still sends during a farewell, in bytes.
const DRAIN_READ: usize = 4 * 1024;

/// Rounds of reading and writing in one turn before other tasks get theirs.
const ROUNDS_PER_TURN: usize = 8;

/// How long a connection may be quiet before it gives its buffers back, and at most twice as long.
const HOLD: Duration = Duration::from_secs(1);

/// How long a farewell may take: the peer's last bytes are read and dropped, so that ours are not lost to a
/// TCP reset.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Runs one connection until it ends; the output says why.
pub(crate) struct Driver {
    socket: Box<dyn Socket>,
    sealer: Sealer,
    opener: Opener,
    session: SessionConnection,
    /// The peer's agreement to the muxer, while it has still to come.
    pending_muxer: Option<PendingMuxer>,
    input: Input,
    output: Output,
    plaintexts: Vec<Bytes>,
    phase: Phase,
    /// The session's timer; armed for `deadline`.
    timer: Pin<Box<Sleep>>,
    deadline: Option<Instant>,
    /// When to look whether the buffers are still in use; set while there are any.
    hold_until: Option<Instant>,
    tap: Option<Box<dyn Tap>>,
}

/// The bytes around an upgrade that is done.
#[derive(Default)]
pub(crate) struct Buffers {
    /// What was read and belongs to the connection.
    pub(crate) input: BytesMut,
    /// The end of the handshake, which the peer waits for.
    pub(crate) output: BytesMut,
}

/// Where the connection is in its life.
enum Phase {
    Running,
    /// What is queued goes out, then our direction of the socket ends.
    Farewell {
        reason: CloseReason,
    },
    /// Our direction has ended; the peer's is read to its end, for a bounded time.
    Draining {
        reason: CloseReason,
        until: Pin<Box<Sleep>>,
    },
}

/// The end of the socket, by an error or by the peer.
struct SocketEnd(CloseReason);

impl From<io::Error> for SocketEnd {
    fn from(error: io::Error) -> Self {
        Self(CloseReason::Lost { kind: error.kind(), message: error.to_string() })
    }
}

impl Driver {
    /// Takes over a socket after its upgrade; `buffers` are what was read behind it, and what of it is not sent.
    pub(crate) fn new(
        socket: Box<dyn Socket>,
        upgraded: Upgraded,
        buffers: Buffers,
        tap: Option<Box<dyn Tap>>,
    ) -> Self {
        Self {
            socket,
            sealer: upgraded.sealer,
            opener: upgraded.opener,
            session: SessionConnection::new(upgraded.session),
            pending_muxer: upgraded.pending_muxer,
            input: Input::new(buffers.input),
            output: Output::new(buffers.output),
            plaintexts: Vec::new(),
            phase: Phase::Running,
            timer: Box::pin(sleep_until(tokio::time::Instant::from_std(now()))),
            deadline: None,
            hold_until: None,
            tap,
        }
    }

    /// The session that the driver serves.
    pub(crate) fn session(&self) -> SessionConnection {
        self.session.clone()
    }

    fn poll_running(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, SocketEnd> {
        self.poll_timer(cx);
        for _ in 0..ROUNDS_PER_TURN {
            // Ciphertext that came with the handshake is opened before the first read.
            let opened = self.open_records()?;
            let read = self.poll_read(cx)?;
            let wrote = self.poll_write(cx)?;
            if !self.output.is_empty() && matches!(self.phase, Phase::Running) && self.session.is_over(cx) {
                self.phase = Phase::Farewell { reason: CloseReason::Local { code: 0 } };
            }
            if !matches!(self.phase, Phase::Running) {
                return Ok(Poll::Ready(()));
            }
            if opened && self.input.is_busy() {
                // Readers take what came while it is in the core's cache, and the memory is free for the next read.
                yield_turn(cx);
                return Ok(Poll::Pending);
            }
            if !(opened || read || wrote) {
                self.poll_timer(cx);
                return Ok(Poll::Pending);
            }
        }
        yield_turn(cx);
        Ok(Poll::Pending)
    }

    /// Reads once; says whether anything came.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, SocketEnd> {
        self.input.reserve();
        let read = match pin!(self.socket.read_buf(&mut self.input.bytes)).poll(cx) {
            Poll::Pending => {
                self.input.rest();
                return Ok(false);
            }
            Poll::Ready(read) => read?,
        };
        if read == 0 {
            // spec: noise has no close-notify, so an end without a yamux farewell is a truncation.
            let message = "the peer ended the transport without a farewell".to_owned();
            return Err(SocketEnd(CloseReason::Lost { kind: io::ErrorKind::UnexpectedEof, message }));
        }
        self.input.adapt(read);
        Ok(true)
    }

    /// Opens every whole record of the input and feeds the session; says whether there was one.
    fn open_records(&mut self) -> Result<bool, SocketEnd> {
        let result = loop {
            match self.opener.open(&mut self.input.bytes) {
                Ok(Some(plaintext)) => {
                    if let Some(tap) = &mut self.tap {
                        tap.observe(now(), Direction::Received, Layer::Record, &plaintext);
                    }
                    if let Err(end) = self.take_plaintext(plaintext.freeze()) {
                        break Err(end);
                    }
                }
                Ok(None) => break Ok(()),
                // spec: noise/tampered-transport — any failed decrypt ends the connection.
                Err(error) => {
                    break Err(SocketEnd(CloseReason::Violation { rule: error.to_string() }));
                }
            }
        };
        if self.plaintexts.is_empty() {
            result?;
            return Ok(false);
        }
        if let Err(error) = self.session.feed(self.plaintexts.drain(..)) {
            tracing::debug!(%error, "the peer broke the session");
            self.phase = Phase::Farewell { reason: CloseReason::Violation { rule: error.to_string() } };
        }
        result?;
        Ok(true)
    }

    /// Queues a record's plaintext for the session; before the muxer is agreed on, it goes through the agreement.
    fn take_plaintext(&mut self, plaintext: Bytes) -> Result<(), SocketEnd> {
        let Some(pending) = &mut self.pending_muxer else {
            self.plaintexts.push(plaintext);
            return Ok(());
        };
        let agreed = pending.handle_input(&plaintext);
        let agreed = agreed.map_err(|error| SocketEnd(CloseReason::Violation { rule: error.to_string() }))?;
        if let Some(frames) = agreed {
            self.pending_muxer = None;
            self.plaintexts.push(frames);
        }
        Ok(())
    }

    /// Seals what the session has and writes it; says whether anything moved.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<bool, SocketEnd> {
        let sealed = self.seal_frames(cx)?;
        let mut wrote = false;
        while !self.output.is_empty() {
            match Pin::new(&mut self.socket).poll_write(cx, self.output.waiting()) {
                Poll::Pending => {
                    self.output.blocked(now());
                    break;
                }
                Poll::Ready(Ok(0)) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Poll::Ready(Ok(len)) => {
                    self.output.advance(len);
                    wrote = true;
                }
                Poll::Ready(Err(error)) => return Err(error.into()),
            }
        }
        Ok(sealed || wrote)
    }

    fn seal_frames(&mut self, cx: &mut Context<'_>) -> Result<bool, SocketEnd> {
        let mut sealed = false;
        while let Some((out, limit)) = self.output.room() {
            let start = self.sealer.begin(out);
            let empty = out.len();
            match self.session.transmit(cx, out, limit) {
                Transmit::Frames => {
                    if let Some(tap) = &mut self.tap {
                        tap.observe(now(), Direction::Sent, Layer::Record, &out[empty..]);
                    }
                    self.sealer
                        .finish(out, start)
                        .map_err(|error| SocketEnd(CloseReason::Violation { rule: error.to_string() }))?;
                    sealed = true;
                }
                ended => {
                    out.truncate(empty - bowline_noise::LENGTH_PREFIX);
                    if matches!((&ended, &self.phase), (Transmit::Ended, Phase::Running)) {
                        let reason = CloseReason::Local { code: 0 };
                        self.phase = Phase::Farewell { reason };
                    }
                    break;
                }
            }
        }
        Ok(sealed)
    }

    /// Lets the session see the clock and arms the timer for its next deadline.
    fn poll_timer(&mut self, cx: &mut Context<'_>) {
        loop {
            let deadline = self.next_deadline();
            if deadline != self.deadline {
                self.deadline = deadline;
                if let Some(deadline) = deadline {
                    self.timer.as_mut().reset(tokio::time::Instant::from_std(deadline));
                }
            }
            if self.deadline.is_none() || self.timer.as_mut().poll(cx).is_pending() {
                return;
            }
            self.session.handle_timeout();
            self.deadline = None;
            self.release_idle_buffers();
            if self.session.arm().is_some_and(|next| next <= now()) {
                // A deadline that does not move must not hold the task.
                cx.waker().wake_by_ref();
                return;
            }
        }
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        if self.hold_until.is_none() && (self.input.holds_memory() || self.output.holds_memory()) {
            self.hold_until = Some(now() + HOLD);
        }
        self.session.arm().into_iter().chain(self.hold_until).min()
    }

    /// An idle connection holds no buffers.
    fn release_idle_buffers(&mut self) {
        if self.hold_until.is_some_and(|until| until <= now()) {
            self.hold_until = None;
            self.input.release_unless_used();
            self.output.release_unless_used();
            self.plaintexts.shrink_to(0);
        }
    }

    /// Sends what is queued, then ends our direction of the socket.
    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SocketEnd>> {
        while self.poll_write(cx)? {}
        if !self.output.is_empty() {
            return Poll::Pending;
        }
        ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
        Poll::Ready(Ok(()))
    }

    /// Reads and drops what the peer still sends; ready at its end.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.input.bytes.clear();
            self.input.bytes.reserve(DRAIN_READ);
            match ready!(pin!(self.socket.read_buf(&mut self.input.bytes)).poll(cx)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
    }
}

/// Asks for another turn on the same worker after the tasks that wait. Waking the own task would put it where other
/// workers look for something to steal, and wake one of them to do so.
fn yield_turn(cx: &mut Context<'_>) {
    let _pending = pin!(yield_now()).poll(cx);
}

impl Future for Driver {
    type Output = CloseReason;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let driver = self.get_mut();
        loop {
            match &mut driver.phase {
                Phase::Running => match driver.poll_running(cx) {
                    Ok(Poll::Ready(())) => {}
                    Ok(Poll::Pending) => return Poll::Pending,
                    Err(SocketEnd(reason)) => return Poll::Ready(driver.session.ended(reason)),
                },
                Phase::Farewell { reason } => {
                    let reason = reason.clone();
                    let until = Box::pin(tokio::time::sleep(DRAIN_TIME));
                    // A peer that does not read must not hold the farewell: the drain's time covers both.
                    match driver.poll_farewell(cx) {
                        Poll::Ready(Err(_)) => return Poll::Ready(driver.session.ended(reason)),
                        Poll::Ready(Ok(())) => driver.phase = Phase::Draining { reason, until },
                        Poll::Pending => {
                            driver.phase = Phase::Draining { reason, until };
                        }
                    }
                }
                Phase::Draining { reason, until } => {
                    let (reason, over) = (reason.clone(), until.as_mut().poll(cx).is_ready());
                    let flushed = driver.poll_farewell(cx);
                    let drained = driver.poll_drain(cx).is_ready();
                    if over || drained || matches!(flushed, Poll::Ready(Err(_))) {
                        return Poll::Ready(driver.session.ended(reason));
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}
