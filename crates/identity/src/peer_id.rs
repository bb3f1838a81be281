//! Peer ids: the name of a peer, made from its public key.

use std::{fmt, str::FromStr};

use cid::Cid;
use multibase::Base;
use multihash::Multihash;
use sha2::{Digest, Sha256};

use crate::PublicKey;

/// The longest encoded public key that a peer id holds whole, in bytes. Longer ones are hashed.
///
/// Source: peer-ids.md §Peer Ids.
pub const MAX_INLINE_KEY: usize = 42;

const IDENTITY: u64 = 0x00;
const SHA2_256: u64 = 0x12;
const SHA2_256_LEN: usize = 32;
/// The multicodec of a CID that names a public key.
const LIBP2P_KEY: u64 = 0x72;

/// The longest text that is parsed, in bytes: a CID in base 2, one digit for each bit. Most bases take time that
/// grows with the square of the length.
pub const MAX_PEER_ID_TEXT: usize = 1 + 8 * (4 + MAX_INLINE_KEY);

/// The id of a peer: a multihash of its encoded public key.
///
/// It is shown in base58 (`12D3KooW…`, `Qm…`) and parsed from that form and from both CID forms (`bafz…`,
/// `k51…`, and any other base that a CID can have).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId {
    multihash: Multihash<MAX_INLINE_KEY>,
}

/// Why something is no peer id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerIdError {
    /// The text is neither base58 nor a CID.
    #[error("peer id is neither base58 nor a cid: {text:?}")]
    Text {
        /// The text, cut to 100 characters.
        text: String,
    },
    /// The CID is not one of a public key.
    #[error("cid has codec {codec:#x}, not that of a public key (0x72)")]
    Codec {
        /// The codec that it has.
        codec: u64,
    },
    /// The bytes are no multihash, or have bytes behind it.
    #[error("peer id is not a multihash")]
    Multihash,
    /// The multihash is of a kind or length that no peer id has.
    #[error(
        "peer id has hash {code:#x} of {len} bytes; it must be identity up to {MAX_INLINE_KEY} or sha2-256"
    )]
    Hash {
        /// The hash function's code.
        code: u64,
        /// The digest's length in bytes.
        len: usize,
    },
}

impl PeerId {
    /// The id of the holder of a key, from the key's canonical encoding.
    // spec: peerid/derive-identity, peerid/derive-sha256
    pub(crate) fn from_encoded_key(encoded: &[u8]) -> Self {
        let (code, digest) = if encoded.len() <= MAX_INLINE_KEY {
            (IDENTITY, encoded.to_vec())
        } else {
            (SHA2_256, Sha256::digest(encoded).to_vec())
        };
        Self { multihash: Multihash::wrap(code, &digest).expect("42 bytes hold either digest") }
    }

    /// Reads a peer id in its binary form, a multihash.
    ///
    /// # Errors
    ///
    /// When the bytes are something else, or go on behind the multihash.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PeerIdError> {
        let multihash = Multihash::<64>::from_bytes(bytes).map_err(|_| PeerIdError::Multihash)?;
        Self::from_parts(multihash.code(), multihash.digest())
    }

    fn from_parts(code: u64, digest: &[u8]) -> Result<Self, PeerIdError> {
        let legal = match code {
            IDENTITY => digest.len() <= MAX_INLINE_KEY,
            SHA2_256 => digest.len() == SHA2_256_LEN,
            _ => false,
        };
        let hash = PeerIdError::Hash { code, len: digest.len() };
        if !legal {
            return Err(hash);
        }
        Multihash::wrap(code, digest).map(|multihash| Self { multihash }).map_err(|_| hash)
    }

    /// The binary form, a multihash.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.multihash.to_bytes()
    }

    /// The text form `bafz…`: a CID in base32.
    #[must_use]
    pub fn to_cid_string(&self) -> String {
        self.to_cid_in(Base::Base32Lower)
    }

    /// The text form `k51…`: a CID in base36, as in names of subdomains.
    #[must_use]
    pub fn to_base36_string(&self) -> String {
        self.to_cid_in(Base::Base36Lower)
    }

    fn to_cid_in(self, base: Base) -> String {
        let multihash = Multihash::<64>::wrap(self.multihash.code(), self.multihash.digest());
        let cid = Cid::new_v1(LIBP2P_KEY, multihash.expect("64 bytes hold what 42 held"));
        multibase::encode(base, cid.to_bytes())
    }

    /// The public key itself, where the id holds it whole.
    ///
    /// None also where the id holds something else than the canonical encoding of a key: nobody can have that id.
    #[must_use]
    pub fn public_key(&self) -> Option<PublicKey> {
        if self.multihash.code() != IDENTITY {
            return None;
        }
        let key = PublicKey::from_protobuf(self.multihash.digest()).ok()?;
        (key.peer_id() == *self).then_some(key)
    }
}

impl FromStr for PeerId {
    type Err = PeerIdError;

    // spec: peerid/parse-cid-form
    fn from_str(text: &str) -> Result<Self, PeerIdError> {
        let unknown = || PeerIdError::Text { text: text.chars().take(100).collect() };
        if text.len() > MAX_PEER_ID_TEXT {
            return Err(unknown());
        }
        // Base58 ids begin with the multihash's own bytes: `1` for identity, `Qm` for sha2-256.
        if text.starts_with('1') || text.starts_with("Qm") {
            let bytes = Base::Base58Btc.decode(text).map_err(|_| unknown())?;
            return Self::from_bytes(&bytes);
        }
        // The CID's own text parser would skip everything up to `/ipfs/`, and its byte parser what follows the CID.
        let (_, bytes) = multibase::decode(text).map_err(|_| unknown())?;
        let mut rest = bytes.as_slice();
        let cid = Cid::read_bytes(&mut rest).map_err(|_| unknown())?;
        if !rest.is_empty() {
            return Err(unknown());
        }
        if cid.codec() != LIBP2P_KEY {
            return Err(PeerIdError::Codec { codec: cid.codec() });
        }
        Self::from_parts(cid.hash().code(), cid.hash().digest())
    }
}

impl fmt::Display for PeerId {
    // spec: peerid/display-base58
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&Base::Base58Btc.encode(self.to_bytes()))
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

impl From<&PublicKey> for PeerId {
    fn from(key: &PublicKey) -> Self {
        key.peer_id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Keypair;

    #[test]
    fn all_three_text_forms_name_the_same_peer() {
        let peer = Keypair::from_ed25519_seed([1; 32]).peer_id();
        let forms = [peer.to_string(), peer.to_cid_string(), peer.to_base36_string()];
        for (form, prefix) in forms.iter().zip(["12D3KooW", "bafz", "k51"]) {
            assert!(form.starts_with(prefix), "{form}");
            assert_eq!(form.parse(), Ok(peer));
        }
    }

    #[test]
    fn an_inline_key_gives_the_key_back() {
        let keypair = Keypair::from_ed25519_seed([1; 32]);
        assert_eq!(keypair.peer_id().public_key().as_ref(), Some(keypair.public()));
    }

    #[test]
    fn a_cid_of_content_is_no_peer_id() {
        let text = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e";
        assert_eq!(text.parse::<PeerId>(), Err(PeerIdError::Codec { codec: 0x55 }));
    }

    #[test]
    fn text_around_an_id_is_not_skipped() {
        let peer = Keypair::from_ed25519_seed([1; 32]).peer_id();
        let cid = peer.to_cid_string();
        for text in [format!("/ipfs/{cid}"), format!("{cid}/"), format!(" {cid}"), format!("{peer}\n")] {
            assert!(matches!(text.parse::<PeerId>(), Err(PeerIdError::Text { .. })), "{text:?}");
        }
        let mut bytes = multibase::decode(&cid).unwrap().1;
        bytes.push(0);
        let longer = multibase::encode(Base::Base32Lower, bytes);
        assert!(matches!(longer.parse::<PeerId>(), Err(PeerIdError::Text { .. })));
    }

    #[test]
    fn the_longest_text_form_is_parsed_and_longer_text_is_not_looked_at() {
        let longest = PeerId::from_bytes(&[&[0x00, 42][..], &[7; 42]].concat()).unwrap();
        let binary = longest.to_cid_in(Base::Base2);
        assert_eq!(binary.len(), MAX_PEER_ID_TEXT);
        assert_eq!(binary.parse(), Ok(longest));
        let longer = "1".repeat(MAX_PEER_ID_TEXT + 1);
        assert_eq!(longer.parse::<PeerId>(), Err(PeerIdError::Text { text: "1".repeat(100) }));
    }

    #[test]
    fn an_id_of_a_key_in_another_encoding_is_nobodys() {
        let key = Keypair::from_ed25519_seed([1; 32]).public().to_protobuf();
        let padded = [&[0x08, 0x81, 0x00][..], &key[2..]].concat();
        let id = PeerId::from_bytes(&[&[0x00, 37][..], &padded].concat()).unwrap();
        assert_eq!(id.public_key(), None);
    }

    #[test]
    fn padded_varints_in_a_multihash_are_refused() {
        let bytes = Keypair::from_ed25519_seed([1; 32]).peer_id().to_bytes();
        let code = [&[0x80, 0x00][..], &bytes[1..]].concat();
        let length = [&[0x00, 0xa4, 0x00][..], &bytes[2..]].concat();
        assert_eq!(PeerId::from_bytes(&code), Err(PeerIdError::Multihash));
        assert_eq!(PeerId::from_bytes(&length), Err(PeerIdError::Multihash));
    }

    #[test]
    fn malformed_ids_are_refused_with_their_reason() {
        assert!(matches!("not a peer".parse::<PeerId>(), Err(PeerIdError::Text { .. })));
        assert!(matches!("".parse::<PeerId>(), Err(PeerIdError::Text { .. })));
        assert_eq!(PeerId::from_bytes(&[]), Err(PeerIdError::Multihash));
        let long = [&[0x00, 43][..], &[7; 43]].concat();
        assert_eq!(PeerId::from_bytes(&long), Err(PeerIdError::Hash { code: 0, len: 43 }));
        let short = [&[0x12, 31][..], &[7; 31]].concat();
        assert_eq!(PeerId::from_bytes(&short), Err(PeerIdError::Hash { code: 0x12, len: 31 }));
        let sha1 = [&[0x11, 20][..], &[7; 20]].concat();
        assert_eq!(PeerId::from_bytes(&sha1), Err(PeerIdError::Hash { code: 0x11, len: 20 }));
        let mut trailing = Keypair::from_ed25519_seed([1; 32]).peer_id().to_bytes();
        trailing.push(0);
        assert_eq!(PeerId::from_bytes(&trailing), Err(PeerIdError::Multihash));
    }
}
