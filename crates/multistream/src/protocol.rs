//! Names of protocols.

use std::{borrow::Borrow, fmt, sync::Arc};

use crate::message::MAX_TOKEN;

/// The longest protocol id, in bytes: a token less its newline.
pub const MAX_PROTOCOL_ID: usize = MAX_TOKEN - 1;

/// The name of a protocol, such as `/ipfs/ping/1.0.0`. Compared byte by byte; cheap to clone.
#[derive(Clone)]
pub struct ProtocolId {
    name: Name,
}

#[derive(Clone)]
enum Name {
    Static(&'static str),
    Shared(Arc<str>),
}

/// Why a text is no protocol id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolIdError {
    /// The text is empty.
    #[error("protocol id is empty")]
    Empty,
    /// The text holds a newline, which ends a token.
    #[error("protocol id holds a newline")]
    Newline,
    /// The text is longer than peers read.
    #[error("protocol id of {len} bytes exceeds the limit of {MAX_PROTOCOL_ID}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The text means something else in a negotiation.
    #[error("{0:?} is a word of the negotiation and no protocol id")]
    Reserved(&'static str),
}

impl ProtocolId {
    /// Names a protocol of the program's own text.
    ///
    /// # Panics
    ///
    /// When the text is no protocol id; in a constant this is an error of the build.
    #[must_use]
    pub const fn from_static(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty() && bytes.len() <= MAX_PROTOCOL_ID, "a protocol id has 1 to 1,023 bytes");
        let mut index = 0;
        while index < bytes.len() {
            assert!(bytes[index] != b'\n', "a protocol id holds no newline");
            index += 1;
        }
        Self { name: Name::Static(name) }
    }

    /// Names a protocol.
    ///
    /// # Errors
    ///
    /// When the text is empty, too long, or holds a newline.
    pub fn new(name: impl Into<String>) -> Result<Self, ProtocolIdError> {
        let name = name.into();
        if name.is_empty() {
            return Err(ProtocolIdError::Empty);
        }
        if name.len() > MAX_PROTOCOL_ID {
            return Err(ProtocolIdError::TooLong { len: name.len() });
        }
        if name.contains('\n') {
            return Err(ProtocolIdError::Newline);
        }
        if let Some(word) = ["na", "ls"].into_iter().find(|word| *word == name) {
            return Err(ProtocolIdError::Reserved(word));
        }
        Ok(Self { name: Name::Shared(name.into()) })
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.name {
            Name::Static(name) => name,
            Name::Shared(name) => name,
        }
    }
}

impl TryFrom<&str> for ProtocolId {
    type Error = ProtocolIdError;

    fn try_from(name: &str) -> Result<Self, ProtocolIdError> {
        Self::new(name)
    }
}

impl TryFrom<String> for ProtocolId {
    type Error = ProtocolIdError;

    fn try_from(name: String) -> Result<Self, ProtocolIdError> {
        Self::new(name)
    }
}

impl Borrow<str> for ProtocolId {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for ProtocolId {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for ProtocolId {}

impl PartialOrd for ProtocolId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ProtocolId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl std::hash::Hash for ProtocolId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for ProtocolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for ProtocolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProtocolId({})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_cannot_be_proposed_are_refused() {
        assert_eq!(ProtocolId::new(""), Err(ProtocolIdError::Empty));
        assert_eq!(ProtocolId::new("/a\n"), Err(ProtocolIdError::Newline));
        assert_eq!(ProtocolId::new("na"), Err(ProtocolIdError::Reserved("na")));
        assert_eq!(ProtocolId::new("a".repeat(1024)), Err(ProtocolIdError::TooLong { len: 1024 }));
        assert!(ProtocolId::new("a".repeat(1023)).is_ok());
    }

    #[test]
    fn a_static_and_a_shared_name_are_the_same_protocol() {
        assert_eq!(ProtocolId::from_static("/noise"), ProtocolId::new("/noise").unwrap());
    }
}
