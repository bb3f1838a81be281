//! The message that this side sends.

use bowline_identity::{Keypair, Multiaddr, PeerRecord, address};
use bowline_wire::{encode_frame, varint};
use bytes::{Bytes, BytesMut};
use prost::Message;

use crate::{
    MAX_ADDRESS_LEN, MAX_PROTOCOL_LEN, MAX_PROTOCOLS, MAX_SENT, MAX_VERSION_LEN, filter,
    generated::identify::Identify, info::cut_at,
};

/// What this side tells one peer about itself.
#[derive(Debug, Clone)]
pub struct Local<'a> {
    /// The node's key: its public half is sent, and it signs the record.
    pub keypair: &'a Keypair,
    /// Such as `ipfs/0.1.0`.
    pub protocol_version: &'a str,
    /// This software, such as `bowline/0.1.0`.
    pub agent_version: &'a str,
    /// The protocols that are accepted inbound, the ones that matter most first.
    pub protocols: Vec<&'a str>,
    /// Where this node listens and is reachable, with or without its own `/p2p`.
    pub listen_addrs: Vec<Multiaddr>,
    /// The peer's socket address. It decides which addresses are told, and is told to the peer as what
    /// we observed.
    pub remote_addr: Multiaddr,
    /// Attaches a signed record with the same addresses as the message. A new one gets this sequence number,
    /// which never falls and grows when the addresses change; the Unix time in nanoseconds is one.
    pub record_seq: Option<u64>,
}

/// Signed records that are kept while the addresses stay the same: a signature costs as much as a fifth of a handshake.
///
/// What peers are told differs by where they are, so there are a few.
#[derive(Debug, Clone, Default)]
pub struct Records {
    /// The addresses that all records are about.
    listen_addrs: Vec<Multiaddr>,
    seq: Option<u64>,
    sealed: Vec<(Vec<Multiaddr>, Bytes)>,
}

/// Records that are kept: for loopback, private and public peers, and one for a message that was cut.
const MAX_RECORDS: usize = 4;

impl Records {
    /// Forgets the records when the addresses have changed.
    fn follow(&mut self, listen_addrs: &[Multiaddr], seq: u64) {
        let grown = match self.seq {
            None => seq,
            // A clock that was set back must not make the newer record look older.
            Some(last) if self.listen_addrs != listen_addrs => seq.max(last.saturating_add(1)),
            Some(_) => return,
        };
        self.listen_addrs = listen_addrs.to_vec();
        self.sealed.clear();
        self.seq = Some(grown);
    }

    /// The record that holds `addrs`.
    fn sealed(&mut self, keypair: &Keypair, addrs: &[Multiaddr]) -> Bytes {
        if let Some((_, record)) = self.sealed.iter().find(|(of, _)| of == addrs) {
            return record.clone();
        }
        let record = PeerRecord {
            peer_id: keypair.peer_id(),
            seq: self.seq.unwrap_or_default(),
            addresses: addrs.to_vec(),
        };
        let record = Bytes::from(record.seal(keypair).to_protobuf());
        if self.sealed.len() == MAX_RECORDS {
            self.sealed.remove(0);
        }
        self.sealed.push((addrs.to_vec(), record.clone()));
        record
    }
}

/// An encoded message, and what did not fit into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The message with its length prefix, at most [`MAX_SENT`] bytes: to be written, then FIN.
    pub bytes: Bytes,
    /// Addresses that were worth telling and found no room.
    pub dropped_addresses: usize,
    /// Protocols that are too long or found no room.
    pub dropped_protocols: usize,
}

/// Encodes the one message that answers an identify stream and that goes out on a push stream.
///
/// At most [`MAX_SENT`] bytes. Key, versions and observed address come first, then protocols, then the
/// addresses with what room is left, in the order public, private, loopback, and within each TCP first.
/// Loopback addresses are told to loopback peers only, unspecified ones to nobody. A signed record comes from
/// `records`, which one node keeps for all its peers, or is added to them.
#[must_use]
pub fn encode(local: &Local<'_>, records: &mut Records) -> Encoded {
    let own = local.keypair.peer_id();
    let protocols: Vec<&str> = local.protocols.iter().copied().filter(|id| is_sendable(id)).collect();
    let (protocol_count, base) =
        largest_fitting(protocols.len().min(MAX_PROTOCOLS), |count| message(local, &protocols[..count]));
    let addrs = filter::to_send(&local.listen_addrs, own, &local.remote_addr);
    if let Some(seq) = local.record_seq {
        records.follow(&local.listen_addrs, seq);
    }
    let (address_count, message) =
        largest_fitting(addrs.len(), |count| with_addresses(&base, local, &addrs[..count], records));

    let mut bytes = BytesMut::with_capacity(framed_len(&message));
    encode_frame(&message.encode_to_vec(), &mut bytes);
    Encoded {
        bytes: bytes.freeze(),
        dropped_addresses: addrs.len() - address_count,
        dropped_protocols: local.protocols.len() - protocol_count,
    }
}

/// The message without addresses: a few hundred bytes and the protocols.
fn message(local: &Local<'_>, protocols: &[&str]) -> Identify {
    // spec: identify/public-key, identify/observed-addr, multiaddr/observed-is-our-socket
    let (observed, _) = address::split_peer_id(&local.remote_addr);
    let observed =
        Some(observed.to_vec()).filter(|bytes| !bytes.is_empty() && bytes.len() <= MAX_ADDRESS_LEN);
    Identify {
        public_key: Some(local.keypair.public().to_protobuf().into()),
        listen_addrs: Vec::new(),
        protocols: protocols.iter().map(|id| (*id).to_owned()).collect(),
        observed_addr: observed.map(Bytes::from),
        protocol_version: Some(cut_at(local.protocol_version, MAX_VERSION_LEN).to_owned()),
        agent_version: Some(cut_at(local.agent_version, MAX_VERSION_LEN).to_owned()),
        signed_peer_record: None,
    }
}

fn with_addresses(
    base: &Identify,
    local: &Local<'_>,
    addrs: &[Multiaddr],
    records: &mut Records,
) -> Identify {
    let wanted = local.record_seq.is_some() && !addrs.is_empty();
    let record = wanted.then(|| records.sealed(local.keypair, addrs));
    Identify {
        listen_addrs: addrs.iter().map(|addr| Bytes::from(addr.to_vec())).collect(),
        signed_peer_record: record,
        ..base.clone()
    }
}

/// The longest message of at most `available` items that fits, with its number of items.
///
/// The one without items always fits: each of its parts is bounded.
fn largest_fitting(available: usize, mut build: impl FnMut(usize) -> Identify) -> (usize, Identify) {
    let all = build(available);
    if framed_len(&all) <= MAX_SENT {
        return (available, all);
    }
    // Item counts `fits..too_many` are undecided; each step builds one message.
    let (mut fits, mut too_many) = (0, available);
    while fits + 1 < too_many {
        let middle = fits.midpoint(too_many);
        if framed_len(&build(middle)) <= MAX_SENT {
            fits = middle;
        } else {
            too_many = middle;
        }
    }
    (fits, build(fits))
}

fn framed_len(message: &Identify) -> usize {
    let len = message.encoded_len();
    varint::encoded_len(len as u64) + len
}

fn is_sendable(protocol: &str) -> bool {
    !protocol.is_empty() && protocol.len() <= MAX_PROTOCOL_LEN
}
