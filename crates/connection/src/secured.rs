//! A secured, muxed connection in one piece, without I/O.

use std::time::Instant;

use bowline_multistream::NegotiationError;
use bowline_noise::{CipherError, MAX_PLAINTEXT, Opener, Sealer, VerifiedPeer};
use bowline_yamux::{Session, SessionError};
use bytes::{Bytes, BytesMut};

use crate::{PendingMuxer, Upgraded};

/// The cipher of a connection: what stands between the socket and the session.
///
/// It is apart from the session because a driver shares the session with its streams, behind a lock, and neither opens
/// nor seals under it:
///
/// ```text
///  while let Some(plaintext) = cipher.open(&mut input)? { plaintexts.push(plaintext) }   outside of the lock
///  for plaintext in plaintexts.drain(..) { session.handle_input(now, plaintext)? }        under it
/// ```
#[derive(Debug)]
pub struct Cipher {
    sealer: Sealer,
    opener: Opener,
    pending_muxer: Option<PendingMuxer>,
}

/// A connection after its upgrade: the peer, the cipher and the session.
///
/// Drivers that share the session take the parts; simulations and tests use it whole.
#[derive(Debug)]
pub struct Secured {
    /// Who the peer proved to be.
    pub peer: VerifiedPeer,
    /// Opens and seals.
    pub cipher: Cipher,
    /// The muxer's session.
    pub session: Session,
}

/// Why a connection cannot go on. The peer is at fault, or somebody who changed its bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// A record did not open, or the counter of records is used up.
    #[error("record: {0}")]
    Record(#[from] CipherError),
    /// The peer did not agree to the muxer that was proposed.
    #[error("agreeing on a muxer: {0}")]
    Muxer(#[from] NegotiationError),
    /// The peer's frames broke the muxer's rules.
    #[error("muxer: {0}")]
    Session(#[from] SessionError),
}

impl Cipher {
    /// Takes the next record off `input` and gives the plaintext that is the session's; `Ok(None)` asks for more bytes.
    ///
    /// The peer's answer to a muxer proposal is read and checked here, before any frame comes out. Nothing is
    /// copied but that answer.
    ///
    /// # Errors
    ///
    /// When a record does not open, or the peer does not agree to the muxer.
    pub fn open(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, ConnectionError> {
        while let Some(plaintext) = self.opener.open(input)? {
            let Some(pending) = &mut self.pending_muxer else {
                return Ok(Some(plaintext.freeze()));
            };
            if let Some(frames) = pending.negotiate(&plaintext)? {
                self.pending_muxer = None;
                if !frames.is_empty() {
                    return Ok(Some(frames));
                }
            }
        }
        Ok(None)
    }

    /// Appends one record with what `fill` appends, at most [`MAX_PLAINTEXT`] bytes; `false` when that is nothing.
    ///
    /// # Errors
    ///
    /// When `fill` appends more, or the counter of records is used up.
    pub fn seal_with(
        &mut self,
        out: &mut BytesMut,
        fill: impl FnOnce(&mut BytesMut),
    ) -> Result<bool, ConnectionError> {
        Ok(self.sealer.seal_with(out, fill)?)
    }

    /// Whether the peer has still to agree to the muxer; its frames count only after that.
    #[must_use]
    pub fn awaits_muxer(&self) -> bool {
        self.pending_muxer.is_some()
    }
}

impl Secured {
    /// Opens every whole record of `input` and feeds the session.
    ///
    /// # Errors
    ///
    /// When the connection cannot go on. What came before is in the session, which may have a farewell to send.
    pub fn handle_ciphertext(&mut self, now: Instant, input: &mut BytesMut) -> Result<(), ConnectionError> {
        while let Some(plaintext) = self.cipher.open(input)? {
            self.session.handle_input(now, plaintext)?;
        }
        Ok(())
    }

    /// Appends one record of the frames that the session has to send; `false` when it has none.
    ///
    /// # Errors
    ///
    /// When the counter of records is used up.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut BytesMut) -> Result<bool, ConnectionError> {
        let Self { cipher, session, .. } = self;
        // An empty record would be no frame at all, so what the session appended decides.
        cipher.seal_with(out, |out| {
            let _some = session.poll_transmit(now, out, MAX_PLAINTEXT);
        })
    }
}

impl From<Upgraded> for Secured {
    fn from(upgraded: Upgraded) -> Self {
        let Upgraded { peer, session, sealer, opener, pending_muxer, .. } = upgraded;
        Self { peer, cipher: Cipher { sealer, opener, pending_muxer }, session }
    }
}
