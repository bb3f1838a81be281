//! The side that proposes.
//!
//! ```text
//!  Header ──header──> Answer ──echo──> agreed
//!                      │  ^
//!                      na │ next proposal, until none is left: refused
//!                      └──┘
//! ```

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::{
    NegotiationError, ProtocolId,
    message::{Budget, HEADER, Message, encode},
};

/// Proposes protocols in order until the listener agrees to one.
#[derive(Debug)]
pub struct Dialer {
    offered: Vec<ProtocolId>,
    /// Which of the offered protocols the next answer is for.
    current: usize,
    header_seen: bool,
    outgoing: VecDeque<Bytes>,
    budget: Budget,
    outcome: Option<Result<ProtocolId, NegotiationError>>,
}

impl Dialer {
    /// Begins a negotiation. The header and the first proposal are there at once.
    ///
    /// // spec: mss/pipelined-header-proposal
    #[must_use]
    pub fn new(protocols: Vec<ProtocolId>) -> Self {
        let mut outgoing = VecDeque::from([encode(HEADER)]);
        outgoing.extend(protocols.first().map(|first| encode(first.as_str())));
        let refused = NegotiationError::Refused { offered: Vec::new() };
        let outcome = protocols.is_empty().then_some(Err(refused));
        Self {
            offered: protocols,
            current: 0,
            header_seen: false,
            outgoing,
            budget: Budget::default(),
            outcome,
        }
    }

    /// The next whole message to send. They may be sent in one piece, or each in a record of its own.
    #[must_use]
    pub fn poll_message(&mut self) -> Option<Bytes> {
        self.outgoing.pop_front()
    }

    /// Takes the listener's messages off `input`; the protocol, once it is agreed on.
    ///
    /// What follows the agreement stays in `input`. `Ok(None)` asks for more bytes, after what
    /// [`poll_message`](Self::poll_message) gives is sent.
    ///
    /// # Errors
    ///
    /// When the listener refuses everything or breaks the rules; the same error from then on.
    pub fn handle_input(&mut self, input: &mut BytesMut) -> Result<Option<ProtocolId>, NegotiationError> {
        while self.outcome.is_none() {
            match self.budget.take(input) {
                Ok(Some(message)) => self.handle_message(&message),
                Ok(None) => return Ok(None),
                Err(error) => self.outcome = Some(Err(error)),
            }
        }
        self.outcome.clone().transpose()
    }

    fn handle_message(&mut self, message: &Message) {
        let Some(proposed) = self.offered.get(self.current).cloned() else {
            return;
        };
        match message {
            // spec: mss/header-first, mss/wrong-header
            Message::Header if !self.header_seen => self.header_seen = true,
            _ if !self.header_seen => self.outcome = Some(Err(NegotiationError::WrongHeader)),
            Message::NotAvailable => self.propose_next(),
            // spec: mss/exact-match
            Message::Protocol(echo) if *echo == proposed.as_str() => self.outcome = Some(Ok(proposed)),
            // spec: mss/initiator-wrong-echo, mss/initiator-junk-answer
            _ => self.outcome = Some(Err(NegotiationError::UnexpectedAnswer { proposed })),
        }
    }

    /// // spec: mss/na-then-retry
    fn propose_next(&mut self) {
        self.current += 1;
        match self.offered.get(self.current) {
            Some(next) => self.outgoing.push_back(encode(next.as_str())),
            None => {
                self.outcome = Some(Err(NegotiationError::Refused { offered: self.offered.clone() }));
            }
        }
    }
}
