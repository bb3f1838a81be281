//! Signed envelopes: a payload, who vouches for it, and for what purpose.

use bowline_wire::{
    protobuf::{self, CheckError, Limit},
    varint,
};
use bytes::{BufMut, Bytes};
use prost::Message;

use crate::{KeyError, Keypair, PublicKey, SignatureError, generated::envelope::Envelope as Wire};

/// The largest encoded envelope that is looked at, in bytes.
pub const MAX_ENVELOPE: usize = 16 * 1024;

/// Each field may occur once. Decoders differ in which of two they take, so two readers could see two envelopes.
const FIELDS: [Limit; 4] = [
    Limit { path: &[1], max: 1 },
    Limit { path: &[2], max: 1 },
    Limit { path: &[3], max: 1 },
    Limit { path: &[5], max: 1 },
];

/// A payload that is signed for one purpose. It is made by signing or by checking a signature, and in no other way.
///
/// ```
/// use bowline_identity::{Keypair, SignedEnvelope};
///
/// let keypair = Keypair::from_ed25519_seed([7; 32]);
/// let sealed = SignedEnvelope::seal(&keypair, "my-domain", b"/my/type", b"hello".to_vec());
/// let opened = SignedEnvelope::open(&sealed.to_protobuf(), &[("my-domain", b"/my/type")])?;
/// assert_eq!(&opened.payload()[..], b"hello");
/// assert_eq!(opened.signer(), keypair.public());
/// # Ok::<(), bowline_identity::EnvelopeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedEnvelope {
    signer: PublicKey,
    payload_type: Bytes,
    payload: Bytes,
    signature: Bytes,
}

/// Why bytes are no valid envelope. The sender is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The envelope is larger than any that is looked at.
    #[error("envelope of {len} bytes is larger than {MAX_ENVELOPE}")]
    TooLarge {
        /// Its length in bytes.
        len: usize,
    },
    /// The bytes are no protobuf message, or have a field twice.
    #[error("envelope is not the protobuf message that it should be")]
    Check(#[from] CheckError),
    /// The fields are not those of an envelope.
    #[error("envelope is malformed")]
    Malformed,
    /// The signer's key is unusable.
    #[error("envelope's key is unusable")]
    Key(#[from] KeyError),
    /// The payload is of another type than the purpose asks for.
    #[error("envelope holds another type of payload")]
    PayloadType,
    /// The signature is not the signer's over this payload and purpose.
    #[error("envelope's signature does not match its key, purpose and payload")]
    Signature(#[from] SignatureError),
}

impl SignedEnvelope {
    /// Signs `payload` for the purpose that `domain` names.
    #[must_use]
    pub fn seal(keypair: &Keypair, domain: &str, payload_type: &[u8], payload: Vec<u8>) -> Self {
        let signature = keypair.sign(&signed_bytes(domain, payload_type, &payload)).into();
        Self {
            signer: keypair.public().clone(),
            payload_type: Bytes::copy_from_slice(payload_type),
            payload: payload.into(),
            signature,
        }
    }

    /// Reads an envelope and checks that it was signed for one of `purposes`, each a domain and a payload type.
    ///
    /// An envelope of up to [`MAX_ENVELOPE`] bytes is looked at; the signature is checked last.
    ///
    /// # Errors
    ///
    /// When the bytes are no envelope, or one that was signed by nobody or for another purpose.
    // spec: envelope/signature, envelope/rx-bad-signature, envelope/rx-empty-payload-type
    pub fn open(bytes: &[u8], purposes: &[(&str, &[u8])]) -> Result<Self, EnvelopeError> {
        if bytes.len() > MAX_ENVELOPE {
            return Err(EnvelopeError::TooLarge { len: bytes.len() });
        }
        protobuf::check(bytes, &FIELDS)?;
        let wire = Wire::decode(bytes).map_err(|_| EnvelopeError::Malformed)?;
        let purpose = purposes.iter().find(|(_, payload_type)| *payload_type == wire.payload_type);
        let (domain, payload_type) = purpose.ok_or(EnvelopeError::PayloadType)?;
        let signer = PublicKey::from_protobuf(&wire.public_key)?;
        signer.verify(&signed_bytes(domain, payload_type, &wire.payload), &wire.signature)?;
        Ok(Self { signer, payload_type: wire.payload_type, payload: wire.payload, signature: wire.signature })
    }

    /// The encoded envelope.
    // spec: envelope/wire
    #[must_use]
    pub fn to_protobuf(&self) -> Vec<u8> {
        let wire = Wire {
            public_key: self.signer.to_protobuf().into(),
            payload_type: self.payload_type.clone(),
            payload: self.payload.clone(),
            signature: self.signature.clone(),
        };
        wire.encode_to_vec()
    }

    /// Who signed.
    #[must_use]
    pub fn signer(&self) -> &PublicKey {
        &self.signer
    }

    /// What was signed.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }
}

/// What the signature covers: each part behind its length, so that no two envelopes share these bytes.
fn signed_bytes(domain: &str, payload_type: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in [domain.as_bytes(), payload_type, payload] {
        varint::encode(part.len() as u64, &mut bytes);
        bytes.put_slice(part);
    }
    bytes
}
