//! What messages 2 and 3 carry: the identity, its signature, and the muxers.

use bowline_identity::{PeerId, PublicKey};
use bowline_wire::protobuf::{self, Limit};
use prost::Message;

use crate::{
    HandshakeError, Identity,
    generated::noise::{NoiseExtensions, NoiseHandshakePayload},
    handshake::VerifiedPeer,
    identity::signed_bytes,
};

/// Muxers that a peer may list.
pub const MAX_MUXERS: usize = 100;

const LIMITS: &[Limit] = &[
    Limit { path: &[4, 2], max: MAX_MUXERS },
    // Certificate hashes are of no use here, and may not cost anything.
    Limit { path: &[4, 1], max: 100 },
];

/// How the muxer of the connection is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MuxerChoice {
    /// It was agreed on in the handshake: its frames follow at once.
    Inlined(String),
    /// A negotiation inside the secured connection follows.
    Negotiate,
}

/// A payload whose signature is checked.
pub(crate) struct Verified {
    pub(crate) peer: VerifiedPeer,
    pub(crate) muxers: Vec<String>,
}

/// Our payload.
pub(crate) fn encode(identity: &Identity, muxers: &[String]) -> Vec<u8> {
    let extensions = NoiseExtensions { webtransport_certhashes: Vec::new(), stream_muxers: muxers.to_vec() };
    let payload = NoiseHandshakePayload {
        identity_key: Some(identity.public_key().to_vec().into()),
        identity_sig: Some(identity.signature().to_vec().into()),
        // spec: inline/absent-fallback
        extensions: (!muxers.is_empty()).then_some(extensions),
    };
    payload.encode_to_vec()
}

/// Checks that whoever holds the static key also holds the identity key, and that it is the expected peer.
///
/// // spec: noise/bad-signature, noise/missing-key, noise/missing-signature, noise/sig-by-other-key,
/// // noise/sig-wrong-domain, noise/sig-replay, noise/garbage-payload, conn/peer-id-checked
pub(crate) fn verify(
    bytes: &[u8],
    static_key: &[u8],
    expected: Option<PeerId>,
) -> Result<Verified, HandshakeError> {
    protobuf::check(bytes, LIMITS).map_err(|error| match error {
        protobuf::CheckError::TooMany { path: &[4, 2], .. } => HandshakeError::TooManyMuxers,
        error => HandshakeError::Payload(error),
    })?;
    let payload = NoiseHandshakePayload::decode(bytes).map_err(|_| HandshakeError::Malformed)?;
    let key = payload.identity_key.ok_or(HandshakeError::NoKey)?;
    let key = PublicKey::from_protobuf(&key)?;
    let signature = payload.identity_sig.unwrap_or_default();
    key.verify(&signed_bytes(static_key), &signature)?;
    let actual = key.peer_id();
    if let Some(expected) = expected.filter(|expected| *expected != actual) {
        return Err(HandshakeError::WrongPeer { expected, actual });
    }
    let muxers = payload.extensions.map(|extensions| extensions.stream_muxers).unwrap_or_default();
    Ok(Verified { peer: VerifiedPeer::new(actual, key), muxers })
}

/// The initiator's first muxer that the responder lists too.
///
/// // spec: inline/initiator-preference, inline/unknown-entries-skipped, inline/no-overlap-fails
pub(crate) fn choose(initiator: &[String], responder: &[String]) -> Result<MuxerChoice, HandshakeError> {
    // spec: inline/absent-fallback, inline/ignored-by-nonsupporter, inline/empty-list
    if initiator.is_empty() || responder.is_empty() {
        return Ok(MuxerChoice::Negotiate);
    }
    let common = initiator.iter().find(|muxer| responder.contains(muxer));
    common.map(|muxer| MuxerChoice::Inlined(muxer.clone())).ok_or(HandshakeError::NoCommonMuxer)
}
