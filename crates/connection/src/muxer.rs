//! A muxer that was proposed and not yet agreed to.

use bowline_multistream::{Dialer, NegotiationError};
use bytes::{Bytes, BytesMut};

use crate::{Stage, UpgradeError};

/// The answer to the dialer's muxer proposal, which comes before the peer's first frame.
///
/// The dialer offers one muxer, so it need not wait: its frames follow the proposal. What it receives goes through
/// here until the peer has agreed.
#[derive(Debug)]
pub struct PendingMuxer {
    dialer: Dialer,
    input: BytesMut,
}

impl PendingMuxer {
    pub(crate) fn new(dialer: Dialer) -> Self {
        Self { dialer, input: BytesMut::new() }
    }

    /// Takes the plaintext of a record. Once the peer has agreed, gives what followed its answer: the first bytes for
    /// the session. From then on this is of no more use.
    ///
    /// # Errors
    ///
    /// When the peer refuses or breaks the rules: the connection cannot go on.
    pub fn handle_input(&mut self, plaintext: &[u8]) -> Result<Option<Bytes>, UpgradeError> {
        let failed = |source| UpgradeError::Negotiation { stage: Stage::MuxerSelect, source };
        self.negotiate(plaintext).map_err(failed)
    }

    pub(crate) fn negotiate(&mut self, plaintext: &[u8]) -> Result<Option<Bytes>, NegotiationError> {
        self.input.extend_from_slice(plaintext);
        let agreed = self.dialer.handle_input(&mut self.input)?;
        Ok(agreed.map(|_| self.input.split().freeze()))
    }
}
