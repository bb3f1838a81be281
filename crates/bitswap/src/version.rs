//! The four protocol versions and what each can say.

use std::fmt;

/// A version of the Bitswap protocol, as negotiated for one stream.
///
/// The version decides only how *we* encode. The decoder accepts every form on every stream, as all
/// other implementations do.
///
/// // spec: bitswap/versions
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// `/ipfs/bitswap/1.2.0`: want-have, DONT_HAVE, presences and pending bytes.
    V1_2_0,
    /// `/ipfs/bitswap/1.1.0`: blocks carry the prefix of their CID.
    V1_1_0,
    /// `/ipfs/bitswap/1.0.0`: blocks are bare bytes, hashed with SHA2-256.
    V1_0_0,
    /// `/ipfs/bitswap`: the name before names had versions; same bytes as 1.0.0.
    Unversioned,
}

impl Version {
    /// All versions, the preferred one first: the order in which a dialer proposes them.
    pub const ALL: [Self; 4] = [Self::V1_2_0, Self::V1_1_0, Self::V1_0_0, Self::Unversioned];

    /// The protocol id of this version.
    #[must_use]
    pub const fn protocol(self) -> &'static str {
        match self {
            Self::V1_2_0 => "/ipfs/bitswap/1.2.0",
            Self::V1_1_0 => "/ipfs/bitswap/1.1.0",
            Self::V1_0_0 => "/ipfs/bitswap/1.0.0",
            Self::Unversioned => "/ipfs/bitswap",
        }
    }

    /// The version with this protocol id.
    #[must_use]
    pub fn from_protocol(protocol: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.protocol() == protocol)
    }

    /// Whether messages may say HAVE and DONT_HAVE, and wants may ask for them.
    ///
    /// // spec: bitswap/v110-no-presence
    #[must_use]
    pub const fn has_presences(self) -> bool {
        matches!(self, Self::V1_2_0)
    }

    /// Whether blocks travel with the prefix of their CID (field 3) rather than bare (field 2).
    ///
    /// // spec: bitswap/v100-blocks-field
    #[must_use]
    pub const fn has_prefixes(self) -> bool {
        matches!(self, Self::V1_2_0 | Self::V1_1_0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.protocol())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protocol_id_finds_its_version_back() {
        for version in Version::ALL {
            assert_eq!(Version::from_protocol(version.protocol()), Some(version));
        }
        assert_eq!(Version::from_protocol("/ipfs/bitswap/1.3.0"), None);
    }

    #[test]
    fn the_newest_version_is_proposed_first() {
        let ids = Version::ALL.map(Version::protocol);
        assert_eq!(
            ids,
            ["/ipfs/bitswap/1.2.0", "/ipfs/bitswap/1.1.0", "/ipfs/bitswap/1.0.0", "/ipfs/bitswap"]
        );
    }
}
