//! The three messages of XX.
//!
//! ```text
//!  initiator: ── AwaitReply ──message 2──> established, message 3 queued
//!  responder: ── AwaitHello ──message 1──> message 2 queued, AwaitFinal ──message 3──> established
//! ```
//!
//! Each state is consumed by the next message.

use std::fmt;

use bowline_identity::{PeerId, PublicKey};
use bytes::{Bytes, BytesMut};

use crate::{
    HandshakeError, Identity, MuxerChoice, Opener, Sealer,
    exchange::{Exchange, Keys, MAX_OVERHEAD, Role, message_len, take_message},
    payload::{self, Verified},
};

/// The largest payload of a handshake message, in bytes. Real ones have 100 to 1,400.
pub const MAX_HANDSHAKE_PAYLOAD: usize = 8 * 1024;

/// The largest handshake message, in bytes without its length.
///
/// // spec: noise/large-handshake-payload
pub const MAX_HANDSHAKE_MESSAGE: usize = MAX_HANDSHAKE_PAYLOAD + MAX_OVERHEAD;

/// A peer that proved to hold its identity key. Only the check of its signature makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedPeer {
    peer_id: PeerId,
    public_key: PublicKey,
}

impl VerifiedPeer {
    pub(crate) fn new(peer_id: PeerId, public_key: PublicKey) -> Self {
        Self { peer_id, public_key }
    }

    /// The peer's id.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// The peer's identity key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }
}

/// What a handshake ends in.
#[derive(Debug)]
pub struct Established {
    /// Who the peer is.
    pub peer: VerifiedPeer,
    /// Seals what we send.
    pub sealer: Sealer,
    /// Opens what the peer sends.
    pub opener: Opener,
    /// How the muxer is chosen.
    pub muxer: MuxerChoice,
    /// The hash over the whole handshake, which both ends share.
    pub handshake_hash: [u8; 32],
}

/// One end of a handshake.
pub struct Handshake {
    state: State,
    outgoing: Option<Bytes>,
}

enum State {
    AwaitReply(AwaitReply),
    AwaitHello(AwaitHello),
    AwaitFinal(AwaitFinal),
    Done,
    Failed(HandshakeError),
}

/// What every state carries on.
struct Ours {
    exchange: Exchange,
    payload: Vec<u8>,
    muxers: Vec<String>,
    expected: Option<PeerId>,
}

/// The initiator has sent message 1.
struct AwaitReply(Ours);

/// The responder has heard nothing.
struct AwaitHello(Ours);

/// The responder has sent message 2.
struct AwaitFinal(Ours);

impl Ours {
    fn new(
        identity: &Identity,
        expected: Option<PeerId>,
        muxers: &[&str],
        seed: [u8; 32],
        role: Role,
    ) -> Self {
        let muxers: Vec<_> = muxers.iter().map(|muxer| (*muxer).to_owned()).collect();
        Self {
            exchange: Exchange::with_key(role, identity.static_key(), seed),
            payload: payload::encode(identity, &muxers),
            muxers,
            expected,
        }
    }

    /// Writes a handshake message with its length before it.
    fn write(&mut self, payload: &[u8], number: u8) -> Result<Bytes, HandshakeError> {
        let mut framed = BytesMut::new();
        let written = self.exchange.write(payload, &mut framed);
        written.map_err(|problem| HandshakeError::Message { message: number, problem })?;
        Ok(framed.freeze())
    }

    /// Reads a handshake message and gives its payload.
    fn read(&mut self, message: &[u8], number: u8) -> Result<Vec<u8>, HandshakeError> {
        let read = self.exchange.read(message);
        read.map_err(|problem| HandshakeError::Message { message: number, problem })
    }

    fn verify(&self, payload: &[u8]) -> Result<Verified, HandshakeError> {
        let static_key = self.exchange.remote_static().unwrap_or_default();
        payload::verify(payload, &static_key, self.expected)
    }

    fn establish(self, peer: VerifiedPeer, muxer: MuxerChoice) -> Established {
        let keys = self.exchange.finish().expect("all three messages have passed");
        let Keys { sealer, opener, handshake_hash } = keys;
        Established { peer, sealer, opener, muxer, handshake_hash }
    }
}

impl AwaitReply {
    /// Message 3 is made only for a peer that proved to be the expected one: a wrong host never learns who we are.
    fn handle(self, message: &[u8]) -> Result<(Bytes, Established), HandshakeError> {
        let mut ours = self.0;
        let payload = ours.read(message, 2)?;
        let Verified { peer, muxers } = ours.verify(&payload)?;
        let muxer = payload::choose(&ours.muxers, &muxers)?;
        let payload = std::mem::take(&mut ours.payload);
        let reply = ours.write(&payload, 3)?;
        Ok((reply, ours.establish(peer, muxer)))
    }
}

impl AwaitHello {
    /// spec: noise/msg1-nonempty — a payload of message 1 is tolerated and means nothing.
    fn handle(self, message: &[u8]) -> Result<(Bytes, AwaitFinal), HandshakeError> {
        let mut ours = self.0;
        ours.read(message, 1)?;
        let payload = std::mem::take(&mut ours.payload);
        let reply = ours.write(&payload, 2)?;
        Ok((reply, AwaitFinal(ours)))
    }
}

impl AwaitFinal {
    fn handle(self, message: &[u8]) -> Result<Established, HandshakeError> {
        let mut ours = self.0;
        let payload = ours.read(message, 3)?;
        let Verified { peer, muxers } = ours.verify(&payload)?;
        let muxer = payload::choose(&muxers, &ours.muxers)?;
        Ok(ours.establish(peer, muxer))
    }
}

impl Handshake {
    /// Begins a handshake as the dialer. `seed` must be secret and never used before; its bytes are the ephemeral key.
    ///
    /// `expected` is the peer that was dialed: anybody else is refused before our identity is sent. An empty list of
    /// muxers leaves the choice to a negotiation.
    #[must_use]
    pub fn initiator(identity: &Identity, expected: Option<PeerId>, muxers: &[&str], seed: [u8; 32]) -> Self {
        let mut ours = Ours::new(identity, expected, muxers, seed, Role::Initiator);
        // spec: noise/msg1-has-no-payload
        let hello = ours.write(&[], 1).expect("the initiator begins, and a key is a whole message");
        Self { state: State::AwaitReply(AwaitReply(ours)), outgoing: Some(hello) }
    }

    /// Awaits a handshake as the listener. `seed` must be secret and never used before.
    #[must_use]
    pub fn responder(identity: &Identity, expected: Option<PeerId>, muxers: &[&str], seed: [u8; 32]) -> Self {
        let ours = Ours::new(identity, expected, muxers, seed, Role::Responder);
        Self { state: State::AwaitHello(AwaitHello(ours)), outgoing: None }
    }

    /// Appends the next whole message, with its length before it; `false` when there is none.
    #[must_use]
    pub fn poll_transmit(&mut self, out: &mut BytesMut) -> bool {
        let Some(message) = self.outgoing.take() else {
            return false;
        };
        out.extend_from_slice(&message);
        true
    }

    /// Takes the peer's messages off `input`; the outcome, once there is one.
    ///
    /// What [`poll_transmit`](Self::poll_transmit) gives after it is still to be sent. Records that follow the
    /// handshake stay in `input`.
    ///
    /// # Errors
    ///
    /// When the handshake fails; the same error from then on. Nothing more is to be sent then.
    pub fn handle_input(&mut self, input: &mut BytesMut) -> Result<Option<Established>, HandshakeError> {
        while let Some(message) = self.take_message(input)? {
            match self.step(&message) {
                Ok(None) => {}
                Ok(Some(established)) => return Ok(Some(established)),
                Err(error) => {
                    self.outgoing = None;
                    self.state = State::Failed(error.clone());
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    fn take_message(&mut self, input: &mut BytesMut) -> Result<Option<BytesMut>, HandshakeError> {
        match &self.state {
            State::Failed(error) => return Err(error.clone()),
            State::Done => return Ok(None),
            _ => {}
        }
        // Bounded on the length alone.
        if let Some(len) = message_len(input).filter(|len| *len > MAX_HANDSHAKE_MESSAGE) {
            let error = HandshakeError::TooLong { len };
            self.state = State::Failed(error.clone());
            return Err(error);
        }
        Ok(take_message(input))
    }

    fn step(&mut self, message: &[u8]) -> Result<Option<Established>, HandshakeError> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::AwaitReply(state) => {
                let (reply, established) = state.handle(message)?;
                self.outgoing = Some(reply);
                Ok(Some(established))
            }
            State::AwaitHello(state) => {
                let (reply, next) = state.handle(message)?;
                self.outgoing = Some(reply);
                self.state = State::AwaitFinal(next);
                Ok(None)
            }
            State::AwaitFinal(state) => state.handle(message).map(Some),
            State::Done => Ok(None),
            State::Failed(error) => Err(error),
        }
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::AwaitReply(_) => "AwaitReply",
            State::AwaitHello(_) => "AwaitHello",
            State::AwaitFinal(_) => "AwaitFinal",
            State::Done => "Done",
            State::Failed(_) => "Failed",
        };
        f.debug_struct("Handshake").field("state", &state).finish_non_exhaustive()
    }
}
