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
use bowline_noise::Opener;
use bowline_transport::{CloseReason, Socket, SocketReader};
use bytes::{Bytes, BytesMut};
use tokio::{
    io::AsyncReadExt,
    task::yield_now,
    time::{Sleep, sleep_until},
};

use super::{
    input::Input,
    outbound::{Outbound, SocketEnd},
    session::SessionConnection,
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
    reader: SocketReader,
    opener: Opener,
    session: SessionConnection,
    /// The peer's agreement to the muxer, while it has still to come.
    pending_muxer: Option<PendingMuxer>,
    input: Input,
    /// The socket takes nothing more for now.
    is_full: bool,
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

impl Driver {
    /// Takes over a socket after its upgrade; `buffers` are what was read behind it, and what of it is not sent.
    pub(crate) fn new(
        socket: Socket,
        upgraded: Upgraded,
        buffers: Buffers,
        tap: Option<Box<dyn Tap>>,
    ) -> Self {
        let outbound = Outbound::new(socket.writer, upgraded.sealer, buffers.output);
        Self {
            reader: socket.reader,
            opener: upgraded.opener,
            session: SessionConnection::new(upgraded.session, outbound, tap.is_some()),
            pending_muxer: upgraded.pending_muxer,
            input: Input::new(buffers.input),
            is_full: false,
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
            if self.is_full && matches!(self.phase, Phase::Running) && self.session.is_over(cx) {
                self.phase = Phase::Farewell { reason: CloseReason::Local { code: 0 } };
            }
            if !matches!(self.phase, Phase::Running) {
                return Ok(Poll::Ready(()));
            }
            if opened && self.input.is_used_up() {
                // Readers take what came while it is in the core's cache, and the memory is free for the next read.
                yield_turn(cx);
                return Ok(Poll::Pending);
            }
            // What a timer asks for is sent in the next round.
            if !(opened || read || wrote || self.poll_timer(cx)) {
                return Ok(Poll::Pending);
            }
        }
        yield_turn(cx);
        Ok(Poll::Pending)
    }

    /// Reads once; says whether anything came.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, SocketEnd> {
        self.input.reserve();
        let read = match pin!(self.reader.read_buf(&mut self.input.bytes)).poll(cx) {
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

    /// Sends what the session has; says whether anything moved.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<bool, SocketEnd> {
        self.is_full = false;
        let Some(mut outbound) = self.session.take_outbound(cx) else {
            return Ok(false);
        };
        let sent = outbound.send(cx, &self.session, &mut self.tap);
        self.is_full = !outbound.output.is_empty();
        let more = self.session.put_back(cx, outbound);
        let sent = sent?;
        if sent.ended && matches!(self.phase, Phase::Running) {
            self.phase = Phase::Farewell { reason: CloseReason::Local { code: 0 } };
        }
        Ok(sent.moved || (more && !sent.ended))
    }

    /// Lets the session see the clock and arms the timer for its next deadline; says whether one was due.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let mut fired = false;
        loop {
            let deadline = self.next_deadline();
            if deadline != self.deadline {
                self.deadline = deadline;
                if let Some(deadline) = deadline {
                    self.timer.as_mut().reset(tokio::time::Instant::from_std(deadline));
                }
            }
            if self.deadline.is_none() || self.timer.as_mut().poll(cx).is_pending() {
                return fired;
            }
            self.session.handle_timeout();
            self.deadline = None;
            self.release_idle_buffers();
            if self.session.arm().is_some_and(|next| next <= now()) {
                // A deadline that does not move must not hold the task.
                cx.waker().wake_by_ref();
                return fired;
            }
            fired = true;
        }
    }

    fn next_deadline(&mut self) -> Option<Instant> {
        if self.hold_until.is_none() && (self.input.holds_memory() || self.session.holds_memory()) {
            self.hold_until = Some(now() + HOLD);
        }
        self.session.arm().into_iter().chain(self.hold_until).min()
    }

    /// An idle connection holds no buffers.
    fn release_idle_buffers(&mut self) {
        if self.hold_until.is_some_and(|until| until <= now()) {
            self.hold_until = None;
            self.input.release_unless_used();
            self.session.release_unless_used();
            self.plaintexts.shrink_to(0);
        }
    }

    /// Sends what is queued, then ends our direction of the socket.
    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SocketEnd>> {
        while self.poll_write(cx)? {}
        let Some(mut outbound) = self.session.take_outbound(cx) else {
            return Poll::Pending;
        };
        let shut = outbound.poll_shutdown(cx);
        self.session.put_back(cx, outbound);
        shut
    }

    /// Reads and drops what the peer still sends; ready at its end.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.input.bytes.clear();
            self.input.bytes.reserve(DRAIN_READ);
            match ready!(pin!(self.reader.read_buf(&mut self.input.bytes)).poll(cx)) {
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
