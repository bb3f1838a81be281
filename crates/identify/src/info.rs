//! What a peer told, checked and bounded.

use std::collections::BTreeSet;

use bowline_identity::{Multiaddr, PeerId, PeerRecord, PublicKey, address};

use crate::{
    MAX_PROTOCOL_LEN, MAX_PROTOCOLS, MAX_VERSION_LEN,
    filter::{self, Keeper},
    generated::identify::Identify,
};

/// What a peer told about itself.
///
/// Only [`peer`](Self::peer) is proven, by the handshake, and [`record`](Self::record), by its
/// signature. Everything else is the peer's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The peer at the other end of the connection.
    pub peer: PeerId,
    /// What the message said about the peer's key.
    pub key: KeyStatus,
    /// Such as `ipfs/0.1.0`; informative, at most [`MAX_VERSION_LEN`] bytes, no control characters.
    pub protocol_version: Option<String>,
    /// The peer's software, such as `kubo/0.43.0`; at most [`MAX_VERSION_LEN`] bytes, no control
    /// characters.
    pub agent: Option<String>,
    /// The protocols that the peer serves, in its order, without repetition, at most
    /// [`MAX_PROTOCOLS`]. Empty when the peer said nothing.
    pub protocols: Vec<String>,
    /// True when [`protocols`](Self::protocols) was cut or had illegal entries: a protocol that is not
    /// in it may be served nonetheless.
    pub protocols_partial: bool,
    /// Where the peer can be dialed, without `/p2p`, at most [`MAX_ADDRESSES`](crate::MAX_ADDRESSES):
    /// those of the record where there is one, else the ones in the message. Filtered by where the
    /// peer is: of a public peer only public addresses, of a peer in our network no loopback ones.
    pub listen_addrs: Vec<Multiaddr>,
    /// Our address as the peer sees it, without `/p2p`.
    pub observed_addr: Option<Multiaddr>,
    /// The signed record, when it verified and is the peer's own.
    pub record: Option<PeerRecord>,
    /// What was left out.
    pub skipped: Skipped,
}

/// What an identify message said about the peer's public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStatus {
    /// It carried no key. Legal: the handshake has proven it already.
    Absent,
    /// It carried the key that the handshake has proven.
    Matches,
    /// It carried another key: addresses and record of the message were not taken.
    Foreign,
    /// It carried something that is no key.
    Malformed,
}

/// What a message contained and an [`Info`] does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Skipped {
    /// Addresses that are empty, too long, or no multiaddr that we know.
    pub addresses_malformed: usize,
    /// Addresses that name another peer.
    pub addresses_foreign: usize,
    /// Unspecified addresses, and those that cannot be reached from where we see the peer.
    pub addresses_unreachable: usize,
    /// Addresses beyond [`MAX_ADDRESSES`](crate::MAX_ADDRESSES).
    pub addresses_over_limit: usize,
    /// Protocol ids that are empty, too long, or contain control characters.
    pub protocols_malformed: usize,
    /// Protocols beyond [`MAX_PROTOCOLS`].
    pub protocols_over_limit: usize,
    /// A signed record that does not verify or is not the peer's own.
    pub record_refused: bool,
}

impl Info {
    /// Checks a merged message of `peer`, whose socket address is `remote_addr`.
    pub(crate) fn from_message(message: Identify, peer: PeerId, remote_addr: &Multiaddr) -> Self {
        let mut skipped = Skipped::default();
        let key = key_status(message.public_key.as_deref(), peer);
        // spec: identify/rx-wrong-key, push/wrong-key
        let trusted = key != KeyStatus::Foreign;
        let envelope = message.signed_peer_record.as_deref().filter(|envelope| !envelope.is_empty());
        let record = envelope.and_then(|envelope| open_record(envelope, peer)).filter(|_| trusted);
        skipped.record_refused = envelope.is_some() && record.is_none();

        let mut keeper = Keeper::new(peer, remote_addr, &mut skipped);
        match &record {
            Some(record) => record.addresses.iter().for_each(|addr| keeper.offer(addr)),
            None if trusted => message.listen_addrs.iter().for_each(|bytes| keeper.offer_bytes(bytes)),
            None => {}
        }
        let listen_addrs = keeper.into_kept();
        let protocols = protocols(message.protocols, &mut skipped);
        Self {
            peer,
            key,
            protocol_version: message.protocol_version.map(|text| readable(&text)),
            agent: message.agent_version.map(|text| readable(&text)),
            protocols,
            protocols_partial: skipped.protocols_over_limit + skipped.protocols_malformed > 0,
            listen_addrs,
            observed_addr: observed(message.observed_addr.as_deref(), &mut skipped),
            record,
            skipped,
        }
    }

    /// Takes what a later push of the same peer says.
    ///
    /// What the push leaves out stays: an absent field and an empty list both mean "unchanged", since
    /// the format cannot tell an emptied list from a missing one. A record older than the one held is
    /// ignored together with its addresses. A push of another peer changes nothing.
    pub fn update(&mut self, push: Self) {
        if push.peer != self.peer {
            return;
        }
        // spec: push/partial
        self.protocol_version = push.protocol_version.or(self.protocol_version.take());
        self.agent = push.agent.or(self.agent.take());
        self.observed_addr = push.observed_addr.or(self.observed_addr.take());
        if !push.protocols.is_empty() {
            self.protocols = push.protocols;
            self.protocols_partial = push.protocols_partial;
        }
        // spec: envelope/rx-old-seq
        let held = self.record.as_ref().map(|record| record.seq);
        let outdated = push.record.as_ref().is_some_and(|record| held.is_some_and(|held| record.seq < held));
        if !outdated {
            self.record = push.record.or(self.record.take());
            if !push.listen_addrs.is_empty() {
                self.listen_addrs = push.listen_addrs;
            }
        }
        self.key = push.key;
        self.skipped = push.skipped;
    }

    /// Whether the peer said that it serves `protocol`; `None` when it may, because the list is missing
    /// or partial.
    #[must_use]
    pub fn serves(&self, protocol: &str) -> Option<bool> {
        if self.protocols.iter().any(|served| served == protocol) {
            return Some(true);
        }
        let complete = !self.protocols.is_empty() && !self.protocols_partial;
        complete.then_some(false)
    }
}

fn key_status(bytes: Option<&[u8]>, peer: PeerId) -> KeyStatus {
    // spec: identify/public-key, identify/rx-no-key
    let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else {
        return KeyStatus::Absent;
    };
    match PublicKey::from_protobuf(bytes) {
        Ok(key) if key.peer_id() == peer => KeyStatus::Matches,
        Ok(_) => KeyStatus::Foreign,
        Err(_) => KeyStatus::Malformed,
    }
}

/// The record in `envelope` if it verifies and is `peer`'s own; a record that fails is no record.
fn open_record(envelope: &[u8], peer: PeerId) -> Option<PeerRecord> {
    // spec: envelope/key-matches, envelope/rx-bad-signature, envelope/rx-foreign-signer
    let (record, signer) = PeerRecord::open(envelope).ok()?;
    (record.peer_id == peer && signer.peer_id() == peer).then_some(record)
}

fn protocols(sent: Vec<String>, skipped: &mut Skipped) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut kept = Vec::new();
    for protocol in sent {
        if protocol.is_empty() || protocol.len() > MAX_PROTOCOL_LEN || protocol.chars().any(char::is_control)
        {
            skipped.protocols_malformed += 1;
        } else if seen.contains(&protocol) {
            // spec: identify/protocols-unique-utf8; said twice is said once.
        } else if kept.len() >= MAX_PROTOCOLS {
            skipped.protocols_over_limit += 1;
        } else {
            seen.insert(protocol.clone());
            kept.push(protocol);
        }
    }
    kept
}

/// Our address as the peer sees it. Some peers send an empty value for "unknown", some append `/p2p`.
fn observed(bytes: Option<&[u8]>, skipped: &mut Skipped) -> Option<Multiaddr> {
    // spec: identify/observed-addr
    let bytes = bytes.filter(|bytes| !bytes.is_empty())?;
    let parsed = filter::parse(bytes).map(|addr| address::split_peer_id(&addr).0);
    if parsed.as_ref().is_none_or(Multiaddr::is_empty) {
        skipped.addresses_malformed += 1;
        return None;
    }
    parsed
}

/// Cuts a peer's text and takes the control characters out of it: it will be printed on terminals.
fn readable(text: &str) -> String {
    // spec: identify/agent-version
    let cut = cut_at(text, MAX_VERSION_LEN);
    cut.chars().filter(|character| !character.is_control()).collect()
}

/// The longest prefix of `text` of at most `max` bytes that ends between characters.
pub(crate) fn cut_at(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}
