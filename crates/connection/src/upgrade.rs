//! The upgrade as a machine.
//!
//! ```text
//!  Select ──/noise agreed──> Handshake ──established──┬─ inlined ────────────────> Upgraded
//!                                                     └─ Muxer (listener) ─agreed─> Upgraded
//!                                                        (dialer: proposes and goes on at once)
//! ```

use std::time::{Duration, Instant};

use bowline_identity::PeerId;
use bowline_multistream::{Dialer, Listener, ProtocolId};
use bowline_noise::{
    CipherError, Established, Handshake, Identity, MuxerChoice, Opener, Sealer, VerifiedPeer,
};
use bowline_yamux as yamux;
use bytes::BytesMut;

use crate::{
    Direction, Layer, PendingMuxer, Stage, Tap, UpgradeError,
    observation::{Observation, Outgoing, queue_handshake, queue_messages},
};

/// The protocol that secures a link.
pub const NOISE: ProtocolId = ProtocolId::from_static("/noise");

/// The protocol that muxes a connection.
pub const YAMUX: ProtocolId = ProtocolId::from_static("/yamux/1.0.0");

/// The time for a whole upgrade, from the first byte of the link. go-libp2p has the same.
pub const UPGRADE_TIMEOUT: Duration = Duration::from_secs(15);

/// What every upgrade of a host shares.
#[derive(Clone, Debug)]
pub struct UpgradeConfig {
    /// Who we are.
    pub identity: Identity,
    /// Settings of the muxer.
    pub yamux: yamux::Config,
    /// The time for the whole upgrade; default [`UPGRADE_TIMEOUT`].
    pub timeout: Duration,
    /// Whether to agree on the muxer inside of the handshake where the peer can; default yes. Without it a
    /// negotiation follows the handshake, as with peers that cannot.
    pub inline_muxer: bool,
}

impl UpgradeConfig {
    /// The default settings with an identity.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self { identity, yamux: yamux::Config::default(), timeout: UPGRADE_TIMEOUT, inline_muxer: true }
    }

    fn muxers(&self) -> &'static [&'static str] {
        if self.inline_muxer { &["/yamux/1.0.0"] } else { &[] }
    }
}

/// What an upgrade ends in. Ciphertext that followed it is still in the caller's input.
#[derive(Debug)]
pub struct Upgraded {
    /// Who the peer proved to be.
    pub peer: VerifiedPeer,
    /// The muxer's session; frames that came with the upgrade are in it already.
    pub session: yamux::Session,
    /// Seals records.
    pub sealer: Sealer,
    /// Opens records.
    pub opener: Opener,
    /// The peer's agreement to the muxer that has still to come, before its first frame.
    pub pending_muxer: Option<PendingMuxer>,
    /// Whether the muxer was agreed on inside of the handshake.
    pub inlined: bool,
}

/// One end of an upgrade.
pub struct Upgrade {
    phase: Phase,
    outgoing: Outgoing,
    yamux: yamux::Config,
    /// `None` when it lies further ahead than the clock can tell.
    deadline: Option<Instant>,
    timeout: Duration,
    /// When we last had something to send: what answers it tells the round-trip time.
    sent_at: Instant,
    /// How long the other side took to end the handshake.
    round_trip: Option<Duration>,
    observation: Observation,
}

enum Phase {
    Select { negotiation: Negotiation, handshake: Handshake },
    Handshake { role: yamux::Role, handshake: Handshake },
    Muxer(Box<Muxing>),
    Upgraded(Box<Upgraded>),
    Over,
    Failed(UpgradeError),
}

enum Negotiation {
    Dialer(Dialer),
    Listener(Listener),
}

/// A listener inside of the secured link, waiting for the dialer's muxer.
struct Muxing {
    peer: VerifiedPeer,
    sealer: Sealer,
    opener: Opener,
    listener: Listener,
    plaintext: BytesMut,
}

impl Upgrade {
    /// Begins as the side that dialed. `seed` must be secret and never used before.
    ///
    /// With `expected`, any other peer is refused before our identity is sent.
    #[must_use]
    pub fn dialer(now: Instant, config: &UpgradeConfig, expected: Option<PeerId>, seed: [u8; 32]) -> Self {
        let mut dialer = Dialer::new(vec![NOISE]);
        let mut handshake = Handshake::initiator(&config.identity, expected, config.muxers(), seed);
        let mut outgoing = Outgoing::new();
        queue_messages(&mut outgoing, || dialer.poll_message());
        // Only one protocol is offered, so the handshake need not wait for the answer.
        queue_handshake(&mut outgoing, &mut handshake);
        let phase = Phase::Select { negotiation: Negotiation::Dialer(dialer), handshake };
        Self::new(now, config, phase, outgoing)
    }

    /// Begins as the side that listened. `seed` must be secret and never used before.
    #[must_use]
    pub fn listener(now: Instant, config: &UpgradeConfig, seed: [u8; 32]) -> Self {
        let handshake = Handshake::responder(&config.identity, None, config.muxers(), seed);
        let phase = Phase::Select { negotiation: Negotiation::Listener(Listener::new()), handshake };
        Self::new(now, config, phase, Outgoing::new())
    }

    fn new(now: Instant, config: &UpgradeConfig, phase: Phase, outgoing: Outgoing) -> Self {
        let deadline = now.checked_add(config.timeout);
        let observation = Observation::new(now);
        Self {
            phase,
            outgoing,
            yamux: config.yamux.clone(),
            deadline,
            timeout: config.timeout,
            sent_at: now,
            round_trip: None,
            observation,
        }
    }

    /// Observes the upgrade.
    #[must_use]
    pub fn with_tap(mut self, tap: Option<Box<dyn Tap>>) -> Self {
        self.observation.set_tap(tap);
        self
    }

    /// Gives the observer on, to whoever moves the connection's bytes after the upgrade.
    pub fn take_tap(&mut self) -> Option<Box<dyn Tap>> {
        self.observation.take_tap()
    }

    /// Appends what is to be sent; `false` when there is nothing.
    #[must_use]
    pub fn poll_transmit(&mut self, out: &mut BytesMut) -> bool {
        let before = out.len();
        while let Some((layer, bytes)) = self.outgoing.pop_front() {
            // Records were observed as plaintext, before they were sealed.
            if layer != Layer::Record {
                self.observation.observe(Direction::Sent, layer, &bytes);
            }
            out.unsplit(bytes);
        }
        let some = out.len() > before;
        if some {
            self.observation.observe(Direction::Sent, Layer::Socket, &out[before..]);
        }
        some
    }

    /// Takes what the peer sent off `input`, as far as it belongs to the upgrade.
    ///
    /// # Errors
    ///
    /// When the upgrade fails; the same error from then on. What [`poll_transmit`](Self::poll_transmit) gives is
    /// still worth sending: a refusal tells the peer why.
    pub fn handle_input(&mut self, now: Instant, input: &mut BytesMut) -> Result<(), UpgradeError> {
        self.observation.arrived(now, input);
        let result = loop {
            match self.step(now, input) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => {
                    self.phase = Phase::Failed(error.clone());
                    break Err(error);
                }
            }
        };
        if !self.outgoing.is_empty() {
            self.sent_at = now;
        }
        self.observation.left(input);
        result
    }

    /// Lets time pass.
    ///
    /// # Errors
    ///
    /// [`UpgradeError::TimedOut`] once the deadline is there and the upgrade is not.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), UpgradeError> {
        if let Phase::Failed(error) = &self.phase {
            return Err(error.clone());
        }
        // spec: conn/upgrade-deadline, mss/slowloris — one deadline, that no byte moves.
        if self.poll_timeout().is_none_or(|deadline| now < deadline) {
            return Ok(());
        }
        let error = UpgradeError::TimedOut { stage: self.stage(), after: self.timeout };
        self.phase = Phase::Failed(error.clone());
        Err(error)
    }

    /// The peer ended the link; says what that cut short.
    #[must_use]
    pub fn handle_end(&mut self) -> UpgradeError {
        if let Phase::Failed(error) = &self.phase {
            return error.clone();
        }
        let error = UpgradeError::Ended { stage: self.stage() };
        self.phase = Phase::Failed(error.clone());
        error
    }

    /// When the upgrade must be over; `None` once it is.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Upgraded(_) | Phase::Over | Phase::Failed(_) => None,
            _ => self.deadline,
        }
    }

    /// The outcome, once there is one; what [`poll_transmit`](Self::poll_transmit) gives goes out first.
    #[must_use]
    pub fn poll_upgraded(&mut self, _: Instant) -> Option<Upgraded> {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Upgraded(upgraded) => Some(*upgraded),
            phase => {
                self.phase = phase;
                None
            }
        }
    }

    fn stage(&self) -> Stage {
        match self.phase {
            Phase::Select { .. } => Stage::SecuritySelect,
            Phase::Handshake { .. } => Stage::Handshake,
            _ => Stage::MuxerSelect,
        }
    }

    /// Takes one step; says whether another may follow at once.
    fn step(&mut self, now: Instant, input: &mut BytesMut) -> Result<bool, UpgradeError> {
        match &mut self.phase {
            Phase::Select { negotiation, .. } => {
                let failed = |source| UpgradeError::Negotiation { stage: Stage::SecuritySelect, source };
                let before = self.observation.before(input);
                let agreed = negotiation.handle_input(input, &mut self.outgoing).map_err(failed);
                self.observation.taken(Layer::Negotiation, before, input);
                let agreed = agreed?;
                if let Some(role) = agreed {
                    self.secure(role);
                }
                Ok(agreed.is_some())
            }
            Phase::Handshake { role, handshake } => {
                let role = *role;
                let before = self.observation.before(input);
                let established = handshake.handle_input(input);
                self.observation.taken(Layer::Handshake, before, input);
                let established = established?;
                queue_handshake(&mut self.outgoing, handshake);
                let Some(established) = established else {
                    return Ok(false);
                };
                self.establish(now, role, established)?;
                Ok(true)
            }
            Phase::Muxer(_) => self.step_muxer(now, input),
            Phase::Upgraded(_) | Phase::Over => Ok(false),
            Phase::Failed(error) => Err(error.clone()),
        }
    }

    fn secure(&mut self, role: yamux::Role) {
        if let Phase::Select { handshake, .. } = std::mem::replace(&mut self.phase, Phase::Over) {
            self.phase = Phase::Handshake { role, handshake };
        }
    }

    fn establish(
        &mut self,
        now: Instant,
        role: yamux::Role,
        established: Established,
    ) -> Result<(), UpgradeError> {
        let Established { peer, mut sealer, opener, muxer, .. } = established;
        // Messages of the muxer's choice may answer nothing: they would tell too short a time.
        self.round_trip = Some(now.saturating_duration_since(self.sent_at));
        let inlined = matches!(muxer, MuxerChoice::Inlined(_));
        if !inlined && role == yamux::Role::Server {
            let muxing =
                Muxing { peer, sealer, opener, listener: Listener::new(), plaintext: BytesMut::new() };
            self.phase = Phase::Muxer(Box::new(muxing));
            return Ok(());
        }
        let pending_muxer = if inlined {
            None
        } else {
            let mut dialer = Dialer::new(vec![YAMUX]);
            while let Some(message) = dialer.poll_message() {
                seal(&mut self.outgoing, &mut self.observation, &mut sealer, &message)?;
            }
            Some(PendingMuxer::new(dialer))
        };
        let session = self.new_session(now, role);
        let upgraded = Upgraded { peer, session, sealer, opener, pending_muxer, inlined };
        self.phase = Phase::Upgraded(Box::new(upgraded));
        Ok(())
    }

    /// A session that knows the path from the handshake: its windows grow from the first burst on, and its first ping
    /// may wait behind that burst without harm.
    fn new_session(&self, now: Instant, role: yamux::Role) -> yamux::Session {
        let mut session = yamux::Session::new(now, role, self.yamux.clone());
        if let Some(round_trip) = self.round_trip {
            session.record_round_trip(now, round_trip);
        }
        session
    }

    fn step_muxer(&mut self, now: Instant, input: &mut BytesMut) -> Result<bool, UpgradeError> {
        let Phase::Muxer(muxing) = &mut self.phase else {
            return Ok(false);
        };
        let opened = muxing.opener.open(input)?;
        let progress = opened.is_some();
        if let Some(plaintext) = opened {
            self.observation.observe(Direction::Received, Layer::Record, &plaintext);
            muxing.plaintext.unsplit(plaintext);
        }
        let agreed = muxing.negotiate()?;
        while let Some(message) = muxing.listener.poll_message() {
            seal(&mut self.outgoing, &mut self.observation, &mut muxing.sealer, &message)?;
        }
        if agreed {
            self.finish_muxer(now)?;
        }
        Ok(progress && !agreed)
    }

    fn finish_muxer(&mut self, now: Instant) -> Result<(), UpgradeError> {
        let Phase::Muxer(muxing) = std::mem::replace(&mut self.phase, Phase::Over) else {
            return Ok(());
        };
        let Muxing { peer, sealer, opener, plaintext, .. } = *muxing;
        let mut session = self.new_session(now, yamux::Role::Server);
        // spec: mss/no-byte-loss-after-select — frames may have come in the record of the proposal.
        session.handle_input(now, plaintext.freeze()).map_err(UpgradeError::Session)?;
        let upgraded = Upgraded { peer, session, sealer, opener, pending_muxer: None, inlined: false };
        self.phase = Phase::Upgraded(Box::new(upgraded));
        Ok(())
    }
}

impl Muxing {
    /// Goes on with the choice of the muxer; whether it is made.
    fn negotiate(&mut self) -> Result<bool, UpgradeError> {
        let supported = |name: &str| name == YAMUX.as_str();
        let heard = self.listener.handle_input(&mut self.plaintext, &supported);
        let failed = |source| UpgradeError::Negotiation { stage: Stage::MuxerSelect, source };
        let agreed = heard.map_err(failed)?.is_some();
        if agreed {
            self.listener.accept();
        }
        Ok(agreed)
    }
}

/// Queues one record for each message: go-libp2p fails when one arrives in two, or behind an empty record.
fn seal(
    outgoing: &mut Outgoing,
    observation: &mut Observation,
    sealer: &mut Sealer,
    message: &[u8],
) -> Result<(), CipherError> {
    observation.observe(Direction::Sent, Layer::Record, message);
    let mut record = BytesMut::new();
    sealer.seal(message, &mut record)?;
    outgoing.push_back((Layer::Record, record));
    Ok(())
}

impl Negotiation {
    /// Goes on with the choice of security; our role in the rest, once it is agreed on.
    fn handle_input(
        &mut self,
        input: &mut BytesMut,
        outgoing: &mut Outgoing,
    ) -> Result<Option<yamux::Role>, bowline_multistream::NegotiationError> {
        match self {
            Self::Dialer(dialer) => Ok(dialer.handle_input(input)?.map(|_| yamux::Role::Client)),
            Self::Listener(listener) => {
                // spec: conn/security-first, conn/no-plaintext — nothing but Noise is spoken in the clear.
                let supported = |name: &str| name == NOISE.as_str();
                let result = listener.handle_input(input, &supported);
                let agreed = matches!(result, Ok(Some(_)));
                if agreed {
                    listener.accept();
                }
                queue_messages(outgoing, || listener.poll_message());
                result.map(|_| agreed.then_some(yamux::Role::Server))
            }
        }
    }
}

impl std::fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upgrade").field("stage", &self.stage()).finish_non_exhaustive()
    }
}
