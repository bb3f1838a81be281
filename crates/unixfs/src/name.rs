//! Names of directory entries, and paths made of them.

use std::fmt;

use bytes::Bytes;

/// The most bytes that a name may have.
///
/// File systems stop at 255 bytes (Linux) or 255 UTF-16 units, which are at most 765 bytes of UTF-8.
pub const MAX_NAME_LEN: usize = 1024;

/// The most bytes that a [`TreePath`] may have: what the longest-winded operating system takes.
pub const MAX_PATH_LEN: usize = 32 * 1024;

/// The name of a directory entry that is safe to join to a path.
///
/// Never empty, `.` or `..`; never holds `/` or NUL; at most [`MAX_NAME_LEN`] bytes; not always UTF-8. A
/// directory from a stranger therefore cannot write outside the folder that it is exported to, as long as
/// the exporter does not follow symbolic links that it has just made. Windows has further separators and
/// reserved names, which an exporter has to refuse there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Bytes);

/// Why bytes are not a [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// No bytes at all.
    #[error("name is empty")]
    Empty,
    /// `.` names the directory itself.
    #[error("name is `.`")]
    Dot,
    /// `..` leads out of the directory.
    #[error("name is `..`")]
    DotDot,
    /// `/` separates names.
    #[error("name holds `/`")]
    Slash,
    /// NUL ends a path in the calls of the operating system.
    #[error("name holds a NUL byte")]
    Nul,
    /// Longer than [`MAX_NAME_LEN`].
    #[error("name of {len} bytes is longer than {MAX_NAME_LEN}")]
    TooLong {
        /// The length in bytes.
        len: usize,
    },
}

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// When the bytes could lead out of their directory or are longer than [`MAX_NAME_LEN`].
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, NameError> {
        let bytes = bytes.into();
        match &bytes[..] {
            [] => Err(NameError::Empty),
            b"." => Err(NameError::Dot),
            b".." => Err(NameError::DotDot),
            name if name.contains(&b'/') => Err(NameError::Slash),
            name if name.contains(&0) => Err(NameError::Nul),
            name if name.len() > MAX_NAME_LEN => Err(NameError::TooLong { len: name.len() }),
            _ => Ok(Self(bytes)),
        }
    }

    /// The bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name as text, when it is UTF-8.
    pub fn to_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Display for Name {
    /// Writes the name with control characters and broken UTF-8 escaped, fit for a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(&self.0, f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

/// Where an entry is below the root of a tree: names joined by `/`. The root's path is empty.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Bytes);

impl TreePath {
    /// The path of the root.
    pub fn root() -> Self {
        Self::default()
    }

    /// The path of an entry of the directory at this path, or `None` beyond [`MAX_PATH_LEN`] bytes.
    pub fn join(&self, name: &Name) -> Option<Self> {
        if self.is_root() {
            // A path outlives the block that the name is a slice of.
            return Some(Self(Bytes::copy_from_slice(&name.0)));
        }
        let len = self.0.len() + 1 + name.0.len();
        (len <= MAX_PATH_LEN).then(|| Self([&self.0[..], b"/", &name.0[..]].concat().into()))
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The names from the root down.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
    }

    /// The names joined by `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path as text, when it is UTF-8.
    pub fn to_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Display for TreePath {
    /// Writes the path with control characters and broken UTF-8 escaped, fit for a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(&self.0, f)
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreePath({self})")
    }
}

fn write_escaped(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        write!(f, "{}", chunk.invalid().escape_ascii())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &'static str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn names_that_lead_out_of_their_directory_are_refused() {
        let cases: [(&[u8], NameError); 7] = [
            (b"", NameError::Empty),
            (b".", NameError::Dot),
            (b"..", NameError::DotDot),
            (b"/etc", NameError::Slash),
            (b"a/../b", NameError::Slash),
            (b"a\0", NameError::Nul),
            (&[b'a'; MAX_NAME_LEN + 1], NameError::TooLong { len: MAX_NAME_LEN + 1 }),
        ];
        for (bytes, error) in cases {
            assert_eq!(Name::new(bytes.to_vec()), Err(error));
        }
    }

    #[test]
    fn names_that_only_look_odd_are_kept() {
        for bytes in [&b"..."[..], b"..a", b" ", b"\\", b"\xff\xfe", &[b'a'; MAX_NAME_LEN]] {
            assert_eq!(Name::new(bytes.to_vec()).unwrap().as_bytes(), bytes);
        }
    }

    #[test]
    fn display_cannot_drive_a_terminal() {
        assert_eq!(Name::new(&b"a\x1b[31m\xff\xc3\xa9"[..]).unwrap().to_string(), "a\\u{1b}[31m\\xff\u{e9}");
    }

    #[test]
    fn paths_join_names_and_stop_at_their_limit() {
        let path = TreePath::root().join(&name("a")).unwrap().join(&name("b")).unwrap();
        assert_eq!(path.to_str(), Some("a/b"));
        assert_eq!(path.names().collect::<Vec<_>>(), [b"a", b"b"]);

        let long = Name::new(vec![b'x'; MAX_NAME_LEN]).unwrap();
        let mut path = TreePath::root();
        while let Some(longer) = path.join(&long) {
            path = longer;
        }
        assert!(path.as_bytes().len() <= MAX_PATH_LEN);
        assert!(path.as_bytes().len() + 1 + MAX_NAME_LEN > MAX_PATH_LEN);
    }
}
