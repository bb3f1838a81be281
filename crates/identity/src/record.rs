//! Peer records: where a peer says that it can be reached.

use bowline_wire::protobuf::{self, Limit};
use multiaddr::Multiaddr;
use prost::Message;

use crate::{
    EnvelopeError, Keypair, PeerId, PeerIdError, PublicKey, SignedEnvelope,
    generated::peer_record::{PeerRecord as Wire, peer_record::AddressInfo},
};

/// Addresses that one record may hold. What is stored of a peer needs a bound (CVE-2023-40583).
pub const MAX_RECORD_ADDRESSES: usize = 128;

/// What is counted before a record is decoded: the entries, and the addresses within them.
const ADDRESSES: [Limit; 2] =
    [Limit { path: &[3], max: MAX_RECORD_ADDRESSES }, Limit { path: &[3, 1], max: MAX_RECORD_ADDRESSES }];

/// The purpose that deployed peers sign for.
// spec: envelope/domain, envelope/payload-type
const DEPLOYED: (&str, &[u8]) = ("libp2p-peer-record", &[0x03, 0x01]);

/// The purpose that RFC 0003 names, which rust-libp2p signs for by default.
const RFC_0003: (&str, &[u8]) = ("libp2p-routing-state", b"/libp2p/routing-state-record");

/// Where a peer can be reached, as it says itself.
///
/// ```
/// use bowline_identity::{Keypair, PeerRecord};
///
/// let keypair = Keypair::from_ed25519_seed([7; 32]);
/// let addresses = vec!["/ip4/192.0.2.1/tcp/4001".parse().expect("an address")];
/// let record = PeerRecord { peer_id: keypair.peer_id(), seq: 1, addresses };
/// let envelope = record.seal(&keypair).to_protobuf();
/// assert_eq!(PeerRecord::open(&envelope)?, (record, keypair.public().clone()));
/// # Ok::<(), bowline_identity::RecordError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRecord {
    /// The peer.
    pub peer_id: PeerId,
    /// Grows with every record of the peer; a record with a lower number is out of date.
    pub seq: u64,
    /// Its addresses, at most [`MAX_RECORD_ADDRESSES`]. When a record is read, ones that are empty or cannot be
    /// parsed are left out.
    pub addresses: Vec<Multiaddr>,
}

/// Why bytes are no valid peer record. The sender is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The envelope around it is not valid.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The payload is no record, or holds too many addresses.
    #[error("peer record is no protobuf message, or has too many addresses")]
    Check(#[from] protobuf::CheckError),
    /// The payload is no record.
    #[error("peer record is malformed")]
    Malformed,
    /// The record names no peer.
    #[error("peer record names no peer")]
    PeerId(#[from] PeerIdError),
    /// Somebody else than the peer it names signed the record.
    #[error("peer record of {named} is signed by {signer}")]
    ForeignSigner {
        /// The peer that the record names.
        named: PeerId,
        /// The peer that signed it.
        signer: PeerId,
    },
}

impl PeerRecord {
    /// Signs the record with the key of its peer, in the form that deployed peers read.
    ///
    /// Nobody accepts a record that is signed with another key than its peer's, or that is larger than
    /// [`MAX_RECORD_ADDRESSES`] and [`MAX_ENVELOPE`](crate::MAX_ENVELOPE) allow.
    #[must_use]
    pub fn seal(&self, keypair: &Keypair) -> SignedEnvelope {
        let info = |addr: &Multiaddr| AddressInfo { multiaddr: addr.to_vec().into() };
        let wire = Wire {
            peer_id: self.peer_id.to_bytes().into(),
            seq: self.seq,
            addresses: self.addresses.iter().map(info).collect(),
        };
        SignedEnvelope::seal(keypair, DEPLOYED.0, DEPLOYED.1, wire.encode_to_vec())
    }

    /// Reads a signed record in the deployed form or that of RFC 0003.
    ///
    /// # Errors
    ///
    /// When the bytes are no record, or one that its peer did not sign. It is then no record, and no fault of the
    /// connection that it came on: implementations differ in what they sign.
    // spec: envelope/key-matches, envelope/rx-foreign-signer, envelope/addresses
    pub fn open(envelope: &[u8]) -> Result<(Self, PublicKey), RecordError> {
        let envelope = SignedEnvelope::open(envelope, &[DEPLOYED, RFC_0003])?;
        protobuf::check(envelope.payload(), &ADDRESSES)?;
        let wire = Wire::decode(envelope.payload().clone()).map_err(|_| RecordError::Malformed)?;
        let peer_id = PeerId::from_bytes(&wire.peer_id)?;
        let signer = envelope.signer().peer_id();
        if signer != peer_id {
            return Err(RecordError::ForeignSigner { named: peer_id, signer });
        }
        let addresses =
            wire.addresses.iter().filter_map(|info| Multiaddr::try_from(info.multiaddr.to_vec()).ok());
        let addresses = addresses.filter(|addr| !addr.is_empty()).collect();
        let record = Self { peer_id, seq: wire.seq, addresses };
        Ok((record, envelope.signer().clone()))
    }
}
