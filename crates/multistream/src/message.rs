//! The messages of a negotiation: a length, a line of text, a newline.

use bowline_wire::varint;
use bytes::{Buf, Bytes, BytesMut};

use crate::NegotiationError;

/// The longest token that is read, in bytes with its newline. go-libp2p, js-libp2p and nim-libp2p have the same.
///
/// // spec: mss/limit
pub const MAX_TOKEN: usize = 1024;

/// Tokens that a peer may send in one negotiation, its header among them.
pub const MAX_TOKENS: usize = 64;

/// Bytes that a peer may send in one negotiation, lengths among them.
pub const MAX_TOTAL: usize = 16 * 1024;

/// The header that both sides begin with.
pub(crate) const HEADER: &str = "/multistream/1.0.0";

/// The listener's refusal.
pub(crate) const NA: &str = "na";

/// One message, without its length and newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// `/multistream/1.0.0`, with which both sides begin.
    Header,
    /// `na`: the listener does not speak what was proposed.
    NotAvailable,
    /// `ls`: a question that nobody needs; it is answered like an unknown protocol.
    List,
    /// A protocol id, as a proposal or as the agreement to it.
    Protocol(String),
    /// The answer to `ls` that some peers give: protocol ids, each a message inside of this one.
    Protocols(Vec<String>),
}

impl Message {
    /// Takes the next whole message off `input`, and exactly its bytes; `Ok(None)` when more are needed.
    ///
    /// # Errors
    ///
    /// When the bytes are no message.
    ///
    /// // spec: mss/framing, uvarint/split
    pub fn take(input: &mut BytesMut) -> Result<Option<Self>, NegotiationError> {
        // spec: uvarint/reject-nonminimal, uvarint/huge-length-bounded
        let Some((len, prefix)) = varint::decode(input)? else {
            return Ok(None);
        };
        let body = usize::try_from(len).ok().filter(|len| *len <= MAX_TOKEN);
        let body = body.ok_or(NegotiationError::TokenTooLong { len })?;
        if input.len() < prefix + body {
            return Ok(None);
        }
        input.advance(prefix);
        let token = input.split_to(body);
        // spec: mss/no-newline, mss/empty-message
        let line = token.strip_suffix(b"\n").ok_or(NegotiationError::NoNewline)?;
        Self::parse(line).map(Some).ok_or(NegotiationError::NotText)
    }

    fn parse(line: &[u8]) -> Option<Self> {
        match std::str::from_utf8(line) {
            Ok(text) if !text.contains('\n') => Some(Self::from_text(text)),
            // spec: mss/bad-utf8, mss/ls-format
            _ => read_list(line).map(Self::Protocols),
        }
    }

    fn from_text(text: &str) -> Self {
        match text {
            HEADER => Self::Header,
            NA => Self::NotAvailable,
            "ls" => Self::List,
            protocol => Self::Protocol(protocol.to_owned()),
        }
    }

    /// The message with its length and newline, whether or not a peer would read it.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Header => encode(HEADER),
            Self::NotAvailable => encode(NA),
            Self::List => encode("ls"),
            Self::Protocol(protocol) => encode(protocol),
            Self::Protocols(protocols) => {
                let list: Vec<_> = protocols.iter().flat_map(|protocol| encode(protocol)).collect();
                encode_line(&list)
            }
        }
    }
}

/// Reads the messages inside of a list.
fn read_list(mut rest: &[u8]) -> Option<Vec<String>> {
    let mut protocols = Vec::new();
    while !rest.is_empty() {
        let (len, prefix) = varint::decode(rest).ok()??;
        let (token, behind) = rest[prefix..].split_at_checked(usize::try_from(len).ok()?)?;
        let text = std::str::from_utf8(token.strip_suffix(b"\n")?).ok()?;
        if text.contains('\n') {
            return None;
        }
        protocols.push(text.to_owned());
        rest = behind;
    }
    Some(protocols)
}

/// One token with its length and newline.
pub(crate) fn encode(text: &str) -> Bytes {
    encode_line(text.as_bytes())
}

fn encode_line(line: &[u8]) -> Bytes {
    let len = line.len() as u64 + 1;
    let mut out = BytesMut::with_capacity(varint::encoded_len(len) + line.len() + 1);
    varint::encode(len, &mut out);
    out.extend_from_slice(line);
    out.extend_from_slice(b"\n");
    out.freeze()
}

/// Counts what a peer sends in one negotiation.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    tokens: usize,
    bytes: usize,
}

impl Budget {
    /// Takes the next message and books it.
    pub(crate) fn take(&mut self, input: &mut BytesMut) -> Result<Option<Message>, NegotiationError> {
        let before = input.len();
        let Some(message) = Message::take(input)? else {
            return Ok(None);
        };
        self.tokens += 1;
        self.bytes += before - input.len();
        if self.tokens > MAX_TOKENS {
            return Err(NegotiationError::TooManyTokens);
        }
        if self.bytes > MAX_TOTAL {
            return Err(NegotiationError::TooManyBytes);
        }
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(bytes: &[u8]) -> Result<Option<Message>, NegotiationError> {
        Message::take(&mut BytesMut::from(bytes))
    }

    #[test]
    fn every_prefix_asks_for_more_and_takes_nothing() {
        let whole = Message::Protocol("/a".repeat(100)).encode();
        for len in 0..whole.len() {
            let mut input = BytesMut::from(&whole[..len]);
            assert_eq!(Message::take(&mut input), Ok(None));
            assert_eq!(input.len(), len);
        }
    }

    #[test]
    fn malformed_tokens_are_refused() {
        assert_eq!(take(b"\x00"), Err(NegotiationError::NoNewline));
        assert_eq!(take(b"\x02na"), Err(NegotiationError::NoNewline));
        assert_eq!(take(b"\x03\xff\xfe\n"), Err(NegotiationError::NotText));
        assert_eq!(take(b"\x04a\nb\n"), Err(NegotiationError::NotText));
        assert_eq!(take(b"\x94\x00"), Err(NegotiationError::Length(varint::VarintError::NotMinimal)));
        assert_eq!(take(&[0x80; 10]), Err(NegotiationError::Length(varint::VarintError::TooLong)));
    }

    #[test]
    fn a_token_of_1024_bytes_is_read_and_one_more_is_refused_by_its_length_alone() {
        let longest = Message::Protocol("a".repeat(1023));
        assert_eq!(take(&longest.encode()), Ok(Some(longest)));
        assert_eq!(take(&[0x81, 0x08]), Err(NegotiationError::TokenTooLong { len: 1025 }));
    }
}
