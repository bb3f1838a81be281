//! The bare XX handshake: messages with payloads of the caller's choice, and nothing of libp2p's meaning.
//!
//! [`Handshake`](crate::Handshake) is built on it. On its own it is for whoever plays a peer that breaks the rules:
//! payloads without keys, with signatures over other bytes, or in messages where none belongs.
//!
//! ```
//! use bowline_noise::exchange::{Exchange, Role, take_message};
//! use bytes::BytesMut;
//!
//! let mut alice = Exchange::new(Role::Initiator, [1; 32], [2; 32]);
//! let mut bob = Exchange::new(Role::Responder, [3; 32], [4; 32]);
//! let mut wire = BytesMut::new();
//! for turn in 0..3 {
//!     let (from, to) = if turn == 1 { (&mut bob, &mut alice) } else { (&mut alice, &mut bob) };
//!     from.write(b"anything", &mut wire)?;
//!     let message = take_message(&mut wire).expect("it is whole");
//!     assert_eq!(to.read(&message)?, b"anything");
//! }
//! let (alice, bob) = (alice.finish().unwrap(), bob.finish().unwrap());
//! assert_eq!(alice.handshake_hash, bob.handshake_hash);
//! # Ok::<(), bowline_noise::exchange::ExchangeError>(())
//! ```

use std::fmt;

use bytes::{Buf, BytesMut};
use snow::{Builder, HandshakeState, error::StateProblem};
use zeroize::Zeroizing;

use crate::{
    LENGTH_PREFIX, Opener, Sealer, TAG_LEN,
    crypto::{KEY_LEN, KeyPair, Resolver},
};

/// The name of the protocol, which is the first thing that the handshake hash covers.
///
/// // spec: noise/responder-happy, noise/initiator-happy, noise/prologue-empty
pub const PROTOCOL_NAME: &str = "Noise_XX_25519_ChaChaPoly_SHA256";

/// The most that a message has besides its payload, in bytes: two keys and two tags, in message 2.
pub const MAX_OVERHEAD: usize = 2 * KEY_LEN + 2 * TAG_LEN;

/// Which side of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends messages 1 and 3.
    Initiator,
    /// Sends message 2.
    Responder,
}

/// One side of an XX handshake.
pub struct Exchange {
    role: Role,
    state: Box<HandshakeState>,
}

/// What a finished handshake leaves.
#[derive(Debug)]
pub struct Keys {
    /// For what we send.
    pub sealer: Sealer,
    /// For what we receive.
    pub opener: Opener,
    /// The hash over the whole handshake, which both ends share.
    pub handshake_hash: [u8; 32],
}

/// Why a message was not read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The peer's message is too short for the keys that belong in it.
    #[error("message is too short")]
    TooShort,
    /// The peer's message was not made by whoever holds the keys, or was changed on the way.
    #[error("message does not authenticate")]
    NotAuthentic,
    /// The peer sent a key that makes every shared secret zero.
    #[error("key is a point of small order")]
    WeakKey,
    /// Our payload does not fit into a message.
    #[error("our payload does not fit into a message")]
    PayloadTooLong,
    /// The caller read when it was to write, wrote when it was to read, or went on after the end.
    #[error("it is not this side's turn")]
    OutOfTurn,
}

impl Exchange {
    /// Begins a handshake with a static and an ephemeral secret of 32 bytes each.
    ///
    /// The ephemeral secret must be unpredictable, and never be used twice.
    #[must_use]
    pub fn new(role: Role, static_secret: [u8; 32], ephemeral_secret: [u8; 32]) -> Self {
        Self::with_key(role, &KeyPair::new(static_secret), ephemeral_secret)
    }

    pub(crate) fn with_key(role: Role, static_key: &KeyPair, ephemeral_secret: [u8; 32]) -> Self {
        let parameters = PROTOCOL_NAME.parse().expect("the protocol is one that snow knows");
        let resolver = Resolver::new(static_key, ephemeral_secret);
        let builder = Builder::with_resolver(parameters, Box::new(resolver))
            .local_private_key(static_key.secret())
            .expect("the key is set once");
        let built = match role {
            Role::Initiator => builder.build_initiator(),
            Role::Responder => builder.build_responder(),
        };
        let state = Box::new(built.expect("the resolver has every primitive of the protocol"));
        Self { role, state }
    }

    /// Appends our next message to `out`, behind its length.
    ///
    /// # Errors
    ///
    /// When it is not our turn, the payload is too long, or the peer's ephemeral key is of small order; `out` is then
    /// as it was.
    ///
    /// // spec: noise/frame-length-be
    pub fn write(&mut self, payload: &[u8], out: &mut BytesMut) -> Result<(), ExchangeError> {
        let mut message = vec![0; payload.len() + MAX_OVERHEAD];
        let written = self.state.write_message(payload, &mut message);
        let len = written.map_err(|error| match error {
            // Message 2 is the first to use the peer's key: here a weak one shows.
            // spec: noise/low-order-point
            snow::Error::Dh => ExchangeError::WeakKey,
            snow::Error::Input => ExchangeError::PayloadTooLong,
            _ => ExchangeError::OutOfTurn,
        })?;
        let prefix = u16::try_from(len).map_err(|_| ExchangeError::PayloadTooLong)?;
        out.extend_from_slice(&prefix.to_be_bytes());
        out.extend_from_slice(&message[..len]);
        Ok(())
    }

    /// Reads the peer's next message, without its length, and gives the payload.
    ///
    /// # Errors
    ///
    /// When it is not the peer's turn, or the message is not what the handshake needs; the handshake cannot go on.
    ///
    /// // spec: noise/msg1-short, noise/msg1-empty-frame, noise/tampered-msg2, noise/tampered-msg3
    pub fn read(&mut self, message: &[u8]) -> Result<Vec<u8>, ExchangeError> {
        let mut payload = vec![0; message.len()];
        let read = self.state.read_message(message, &mut payload);
        let len = read.map_err(|error| match error {
            snow::Error::Input => ExchangeError::TooShort,
            snow::Error::Dh => ExchangeError::WeakKey,
            snow::Error::State(StateProblem::NotTurnToRead | StateProblem::HandshakeAlreadyFinished) => {
                ExchangeError::OutOfTurn
            }
            _ => ExchangeError::NotAuthentic,
        })?;
        payload.truncate(len);
        Ok(payload)
    }

    /// The peer's static public key, once a message brought it.
    #[must_use]
    pub fn remote_static(&self) -> Option<[u8; 32]> {
        self.state.get_remote_static()?.try_into().ok()
    }

    /// The keys of the connection; `None` while messages are missing.
    #[must_use]
    pub fn finish(mut self) -> Option<Keys> {
        if !self.state.is_handshake_finished() {
            return None;
        }
        let mut handshake_hash = [0; 32];
        handshake_hash.copy_from_slice(self.state.get_handshake_hash());
        let (to_responder, to_initiator) = self.state.dangerously_get_raw_split();
        let (to_responder, to_initiator) = (Zeroizing::new(to_responder), Zeroizing::new(to_initiator));
        let (send, receive) = match self.role {
            Role::Initiator => (to_responder, to_initiator),
            Role::Responder => (to_initiator, to_responder),
        };
        Some(Keys { sealer: Sealer::new(&send), opener: Opener::new(&receive), handshake_hash })
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("role", &self.role).finish_non_exhaustive()
    }
}

/// How long the next message of `input` is, without its length; `None` when the length itself is not there yet.
#[must_use]
pub fn message_len(input: &[u8]) -> Option<usize> {
    let prefix = input.first_chunk::<LENGTH_PREFIX>()?;
    Some(usize::from(u16::from_be_bytes(*prefix)))
}

/// Takes the next whole message off `input`, without its length; `None` when more bytes are needed.
#[must_use]
pub fn take_message(input: &mut BytesMut) -> Option<BytesMut> {
    let len = message_len(input)?;
    if input.len() < LENGTH_PREFIX + len {
        return None;
    }
    input.advance(LENGTH_PREFIX);
    Some(input.split_to(len))
}
