//! The hashes that are believed, and the one implementation of each.

use ring::digest;
use sha3::Digest;
use shake::{ExtendableOutput, Update, XofReader};

use crate::Multihash;

/// The fewest bytes of digest that are believed, 20; shorter ones can be forged.
///
/// The identity "hash" is exempt, since it is the data itself.
pub const MIN_DIGEST_LEN: usize = 20;

/// The most bytes of digest that a CID of this project holds, 64.
///
/// boxo lets BLAKE3 and identity go up to 128 bytes. Nobody truncates BLAKE3 to more than 64 bytes, and
/// inlining stops at 32 bytes unless somebody raises it by hand.
pub const MAX_DIGEST_LEN: usize = 64;

/// A hash that is believed when a peer names it.
///
/// The set is that of boxo's `verifcid`: a block named by any other hash would be refused by most of the
/// network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashAlgorithm {
    /// The digest is the data (code 0x00).
    Identity,
    /// SHA-1 (0x11): broken against collisions, allowed because Git objects are named by it.
    Sha1,
    /// SHA2-256 (0x12): what nearly every block is named by.
    Sha2_256,
    /// SHA2-512 (0x13).
    Sha2_512,
    /// SHA3-512 (0x14).
    Sha3_512,
    /// SHA3-384 (0x15).
    Sha3_384,
    /// SHA3-256 (0x16).
    Sha3_256,
    /// SHA3-224 (0x17).
    Sha3_224,
    /// SHAKE-256 (0x19), 64 bytes unless truncated.
    Shake256,
    /// Keccak-224 (0x1a).
    Keccak224,
    /// Keccak-256 (0x1b), as Ethereum uses it.
    Keccak256,
    /// Keccak-384 (0x1c).
    Keccak384,
    /// Keccak-512 (0x1d).
    Keccak512,
    /// BLAKE3 (0x1e), 32 bytes unless the CID asks for another length.
    Blake3,
    /// SHA2-256 of the SHA2-256 (0x56), as Bitcoin uses it.
    DoubleSha2_256,
    /// BLAKE2b (0xb214..=0xb240) with its own digest length.
    Blake2b(Blake2bLen),
    /// BLAKE2s (0xb254..=0xb260) with its own digest length.
    Blake2s(Blake2sLen),
}

/// The digest length of a BLAKE2b hash: 20 to 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blake2bLen(u8);

/// The digest length of a BLAKE2s hash: 20 to 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blake2sLen(u8);

/// Why a hash is not believed. Whoever wrote the CID or prefix is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HashError {
    /// The code names no hash, or one that is not believed.
    #[error("hash with code {code:#x} is unknown or not allowed")]
    NotAllowed {
        /// The multihash code.
        code: u64,
    },
    /// The digest is so short that data for it can be made up.
    #[error("digest of {len} bytes is shorter than {MIN_DIGEST_LEN}")]
    DigestTooShort {
        /// The length of the digest in bytes.
        len: u64,
    },
    /// The digest is longer than this hash makes, or than a CID holds.
    #[error("digest of {len} bytes is longer than the {max} bytes of its hash")]
    DigestTooLong {
        /// The length of the digest in bytes.
        len: u64,
        /// The most bytes possible.
        max: u64,
    },
    /// An identity digest must hold the whole data.
    #[error("identity digest of {len} bytes for {data_len} bytes of data")]
    IdentityLength {
        /// The length of the digest in bytes.
        len: u64,
        /// The length of the data in bytes.
        data_len: u64,
    },
}

const SHA1: u64 = 0x11;
const SHA2_256: u64 = 0x12;
const SHA2_512: u64 = 0x13;
const SHA3_512: u64 = 0x14;
const SHA3_384: u64 = 0x15;
const SHA3_256: u64 = 0x16;
const SHA3_224: u64 = 0x17;
const SHAKE_256: u64 = 0x19;
const KECCAK_224: u64 = 0x1a;
const KECCAK_256: u64 = 0x1b;
const KECCAK_384: u64 = 0x1c;
const KECCAK_512: u64 = 0x1d;
const BLAKE3: u64 = 0x1e;
const DOUBLE_SHA2_256: u64 = 0x56;
/// Code of BLAKE2b with no bytes at all; the code of a real one is this plus its digest length.
const BLAKE2B: u64 = 0xb200;
/// The same for BLAKE2s.
const BLAKE2S: u64 = 0xb240;

impl HashAlgorithm {
    /// The hash with this multihash code.
    ///
    /// # Errors
    ///
    /// [`HashError::NotAllowed`] for a code that is unknown or not believed.
    pub fn from_code(code: u64) -> Result<Self, HashError> {
        Ok(match code {
            0x00 => Self::Identity,
            SHA1 => Self::Sha1,
            SHA2_256 => Self::Sha2_256,
            SHA2_512 => Self::Sha2_512,
            SHA3_512 => Self::Sha3_512,
            SHA3_384 => Self::Sha3_384,
            SHA3_256 => Self::Sha3_256,
            SHA3_224 => Self::Sha3_224,
            SHAKE_256 => Self::Shake256,
            KECCAK_224 => Self::Keccak224,
            KECCAK_256 => Self::Keccak256,
            KECCAK_384 => Self::Keccak384,
            KECCAK_512 => Self::Keccak512,
            BLAKE3 => Self::Blake3,
            DOUBLE_SHA2_256 => Self::DoubleSha2_256,
            _ => Self::blake2_from_code(code).ok_or(HashError::NotAllowed { code })?,
        })
    }

    fn blake2_from_code(code: u64) -> Option<Self> {
        let bytes_of = |base: u64| u8::try_from(code.checked_sub(base)?).ok();
        match (bytes_of(BLAKE2B), bytes_of(BLAKE2S)) {
            (Some(len @ 20..=64), _) => Some(Self::Blake2b(Blake2bLen(len))),
            (_, Some(len @ 20..=32)) => Some(Self::Blake2s(Blake2sLen(len))),
            _ => None,
        }
    }

    /// The hash of a multihash whose digest length the policy allows.
    ///
    /// # Errors
    ///
    /// When the code is not allowed or the digest is too short or too long for it.
    pub fn of(hash: &Multihash) -> Result<Self, HashError> {
        let algorithm = Self::from_code(hash.code())?;
        if algorithm != Self::Identity {
            algorithm.check_len(u64::from(hash.size()))?;
        }
        Ok(algorithm)
    }

    /// The multihash code.
    pub fn code(self) -> u64 {
        match self {
            Self::Identity => 0x00,
            Self::Sha1 => SHA1,
            Self::Sha2_256 => SHA2_256,
            Self::Sha2_512 => SHA2_512,
            Self::Sha3_512 => SHA3_512,
            Self::Sha3_384 => SHA3_384,
            Self::Sha3_256 => SHA3_256,
            Self::Sha3_224 => SHA3_224,
            Self::Shake256 => SHAKE_256,
            Self::Keccak224 => KECCAK_224,
            Self::Keccak256 => KECCAK_256,
            Self::Keccak384 => KECCAK_384,
            Self::Keccak512 => KECCAK_512,
            Self::Blake3 => BLAKE3,
            Self::DoubleSha2_256 => DOUBLE_SHA2_256,
            Self::Blake2b(len) => BLAKE2B + u64::from(len.0),
            Self::Blake2s(len) => BLAKE2S + u64::from(len.0),
        }
    }

    /// The most bytes of digest that this hash makes.
    pub fn max_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha3_224 | Self::Keccak224 => 28,
            Self::Sha2_256 | Self::DoubleSha2_256 | Self::Sha3_256 | Self::Keccak256 => 32,
            Self::Sha3_384 | Self::Keccak384 => 48,
            Self::Sha2_512 | Self::Sha3_512 | Self::Keccak512 => 64,
            Self::Identity | Self::Shake256 | Self::Blake3 => MAX_DIGEST_LEN,
            Self::Blake2b(len) => usize::from(len.0),
            Self::Blake2s(len) => usize::from(len.0),
        }
    }

    /// Hashes `data` to the length that this hash has by default.
    ///
    /// # Errors
    ///
    /// Only identity can fail: when the data is longer than [`MAX_DIGEST_LEN`].
    pub fn hash(self, data: &[u8]) -> Result<Multihash, HashError> {
        let len = match self {
            Self::Identity => data.len(),
            Self::Blake3 => 32,
            _ => self.max_len(),
        };
        self.hash_truncated(data, len as u64)
    }

    /// Hashes `data` and keeps the first `len` bytes of the digest.
    ///
    /// # Errors
    ///
    /// When `len` is below [`MIN_DIGEST_LEN`] or above what this hash makes; for identity, when it is not
    /// the length of the data.
    pub fn hash_truncated(self, data: &[u8], len: u64) -> Result<Multihash, HashError> {
        let len = match self {
            Self::Identity => identity_len(data, len)?,
            _ => self.check_len(len)?,
        };
        let mut full = [0; MAX_DIGEST_LEN];
        self.digest_into(data, &mut full);
        let digest = full.get(..len).expect("length is checked against MAX_DIGEST_LEN");
        Ok(Multihash::wrap(self.code(), digest).expect("digest fits the multihash"))
    }

    fn check_len(self, len: u64) -> Result<usize, HashError> {
        let max = self.max_len();
        match usize::try_from(len) {
            Ok(short) if short < MIN_DIGEST_LEN => Err(HashError::DigestTooShort { len }),
            Ok(len) if len <= max => Ok(len),
            _ => Err(HashError::DigestTooLong { len, max: max as u64 }),
        }
    }

    /// Fills the start of `out` with the longest digest.
    fn digest_into(self, data: &[u8], out: &mut [u8; MAX_DIGEST_LEN]) {
        match self {
            Self::Identity => fill(out, data),
            Self::Sha1 => fill(out, digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, data)),
            Self::Sha2_256 => fill(out, sha2_256(data)),
            Self::Sha2_512 => fill(out, digest::digest(&digest::SHA512, data)),
            Self::DoubleSha2_256 => fill(out, sha2_256(sha2_256(data).as_ref())),
            Self::Sha3_224 => fill(out, sha3::Sha3_224::digest(data)),
            Self::Sha3_256 => fill(out, sha3::Sha3_256::digest(data)),
            Self::Sha3_384 => fill(out, sha3::Sha3_384::digest(data)),
            Self::Sha3_512 => fill(out, sha3::Sha3_512::digest(data)),
            Self::Keccak224 => fill(out, sha3::Keccak224::digest(data)),
            Self::Keccak256 => fill(out, sha3::Keccak256::digest(data)),
            Self::Keccak384 => fill(out, sha3::Keccak384::digest(data)),
            Self::Keccak512 => fill(out, sha3::Keccak512::digest(data)),
            Self::Shake256 => {
                let mut hasher = shake::Shake256::default();
                Update::update(&mut hasher, data);
                hasher.finalize_xof().read(out);
            }
            Self::Blake3 => blake3::Hasher::new().update(data).finalize_xof().fill(out),
            Self::Blake2b(len) => {
                let params = blake2b_simd::Params::new().hash_length(usize::from(len.0)).to_owned();
                fill(out, params.hash(data));
            }
            Self::Blake2s(len) => {
                let params = blake2s_simd::Params::new().hash_length(usize::from(len.0)).to_owned();
                fill(out, params.hash(data));
            }
        }
    }
}

/// SHA2-256 of everything this node stores and serves, so its speed is the node's.
///
/// ring and the sha2 crate tie where the CPU has SHA instructions (both 1.4 GiB/s on a 256 KiB block);
/// without them ring's assembler beats sha2's portable code, about 300 to 200 MB/s.
fn sha2_256(data: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, data)
}

fn identity_len(data: &[u8], len: u64) -> Result<usize, HashError> {
    let data_len = data.len() as u64;
    if len != data_len {
        return Err(HashError::IdentityLength { len, data_len });
    }
    if data.len() > MAX_DIGEST_LEN {
        return Err(HashError::DigestTooLong { len, max: MAX_DIGEST_LEN as u64 });
    }
    Ok(data.len())
}

fn fill(out: &mut [u8; MAX_DIGEST_LEN], digest: impl AsRef<[u8]>) {
    for (out, byte) in out.iter_mut().zip(digest.as_ref()) {
        *out = *byte;
    }
}
