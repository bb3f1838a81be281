//! The side that answers.
//!
//! ```text
//!  Header ──header──> Waiting ──proposal──> Decide ──accept()──> agreed
//!                        ^                     │
//!                        └──────── na ──── refuse()
//! ```

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::{
    NegotiationError, ProtocolId,
    message::{Budget, HEADER, Message, NA, encode},
};

/// Answers proposals until one is accepted.
#[derive(Debug, Default)]
pub struct Listener {
    state: State,
    outgoing: VecDeque<Bytes>,
    budget: Budget,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Header,
    Waiting,
    /// A proposal waits for [`Listener::accept`] or [`Listener::refuse`].
    Decide(ProtocolId),
    Agreed(ProtocolId),
    Failed(NegotiationError),
}

impl Listener {
    /// Waits for a dialer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next whole message to send.
    #[must_use]
    pub fn poll_message(&mut self) -> Option<Bytes> {
        self.outgoing.pop_front()
    }

    /// Takes the dialer's messages off `input`; a proposal, once there is one that is supported.
    ///
    /// The caller then decides: until [`accept`](Self::accept) or [`refuse`](Self::refuse) is called, the same
    /// proposal comes back and nothing more is read. What is not supported is refused here. What follows an
    /// accepted proposal stays in `input`.
    ///
    /// # Errors
    ///
    /// When the dialer breaks the rules; the same error from then on.
    pub fn handle_input(
        &mut self,
        input: &mut BytesMut,
        supported: &dyn Fn(&str) -> bool,
    ) -> Result<Option<ProtocolId>, NegotiationError> {
        loop {
            match &self.state {
                State::Decide(protocol) => return Ok(Some(protocol.clone())),
                State::Agreed(_) => return Ok(None),
                State::Failed(error) => return Err(error.clone()),
                State::Header | State::Waiting => {}
            }
            match self.budget.take(input) {
                Ok(Some(message)) => self.handle_message(message, supported),
                Ok(None) => return Ok(None),
                Err(error) => self.state = State::Failed(error),
            }
        }
    }

    fn handle_message(&mut self, message: Message, supported: &dyn Fn(&str) -> bool) {
        match (&self.state, message) {
            (State::Header, Message::Header) => {
                self.outgoing.push_back(encode(HEADER));
                self.state = State::Waiting;
            }
            // spec: mss/wrong-header, mss/no-header
            (State::Header, _) => self.state = State::Failed(NegotiationError::WrongHeader),
            (_, Message::Protocol(name)) if supported(&name) => match ProtocolId::new(name) {
                Ok(protocol) => self.state = State::Decide(protocol),
                Err(_) => self.outgoing.push_back(encode(NA)),
            },
            // spec: mss/na, mss/duplicate-header, mss/ls-optional, mss/initiator-sends-na
            (_, _) => self.outgoing.push_back(encode(NA)),
        }
    }

    /// Agrees to the proposal that waits. Without one, does nothing.
    ///
    /// // spec: mss/echo
    pub fn accept(&mut self) {
        if let State::Decide(protocol) = &self.state {
            self.outgoing.push_back(encode(protocol.as_str()));
            self.state = State::Agreed(protocol.clone());
        }
    }

    /// Refuses the proposal that waits; the dialer may make another. Without one, does nothing.
    pub fn refuse(&mut self) {
        if matches!(self.state, State::Decide(_)) {
            self.outgoing.push_back(encode(NA));
            self.state = State::Waiting;
        }
    }

    /// The protocol that was agreed on.
    #[must_use]
    pub fn agreed(&self) -> Option<&ProtocolId> {
        match &self.state {
            State::Agreed(protocol) => Some(protocol),
            _ => None,
        }
    }
}
