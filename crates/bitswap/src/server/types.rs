//! What goes into a [`Server`](super::Server) and comes out of it.

use std::time::Duration;

use bowline_block::Multihash;
use bowline_identity::PeerId;

use crate::{Message, Version};

/// How a [`Server`](super::Server) serves. Every combination is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The most wants kept for one peer; default 1,024, as in boxo and Helia. Each costs about 300 bytes.
    /// A want beyond it is refused with DONT_HAVE where the peer allows.
    pub max_wants_per_peer: usize,
    /// The most HAVE and DONT_HAVE that wait for one peer; default 16,384. Each costs about 100 bytes.
    pub max_presences_per_peer: usize,
    /// A want-have for a block of at most this many bytes gets the block; default 1,024, boxo's value.
    pub have_replace_max_bytes: u64,
    /// How many bytes of blocks go into one message; default 1 MiB. Smaller lets cancels take effect
    /// sooner, larger saves frames. One block is sent even when it is larger.
    pub message_target_bytes: u64,
    /// The most bytes of blocks read for one peer and not yet accepted by its muxer; default 4 MiB.
    /// Must cover bandwidth × delay of the path; never above [`MAX_OUTSTANDING_PER_PEER`].
    pub max_outstanding_per_peer_bytes: u64,
    /// The same for all peers together; default 64 MiB. As it fills, each peer's share shrinks.
    pub max_outstanding_bytes: u64,
    /// How many reads from the store run at once; default 16.
    pub max_loads: usize,
    /// How long a peer may accept nothing of a reply before its stream is reset; default 10 s.
    pub stall_timeout: Duration,
}

/// The highest value that takes effect for [`ServerConfig::max_outstanding_per_peer_bytes`].
pub const MAX_OUTSTANDING_PER_PEER: u64 = 16 * 1024 * 1024;

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            max_wants_per_peer: 1024,
            max_presences_per_peer: 16 * 1024,
            have_replace_max_bytes: 1024,
            message_target_bytes: 1024 * 1024,
            max_outstanding_per_peer_bytes: 4 * 1024 * 1024,
            max_outstanding_bytes: 64 * 1024 * 1024,
            max_loads: 16,
            stall_timeout: Duration::from_secs(10),
        }
    }
}

/// Names one load or one message until its fate is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub(crate) u64);

/// What a [`Server`](super::Server) asks its caller to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Open a reply stream to the peer, then call [`handle_reply_open`](super::Server::handle_reply_open)
    /// or [`handle_reply_failed`](super::Server::handle_reply_failed).
    OpenReply {
        /// Whom to reply to.
        peer: PeerId,
    },
    /// The peer accepts nothing: reset its reply stream. The unsent answers are queued again already.
    ResetReply {
        /// Whose reply stream to reset.
        peer: PeerId,
    },
    /// Find out which blocks are there and how long, and call
    /// [`handle_lookup`](super::Server::handle_lookup).
    Lookup {
        /// For whom; to be given back with the answer.
        peer: PeerId,
        /// The blocks in question.
        hashes: Vec<Multihash>,
    },
    /// Read the blocks and call [`handle_loaded`](super::Server::handle_loaded).
    Load {
        /// To be given back with the blocks.
        token: Token,
        /// The blocks to read.
        hashes: Vec<Multihash>,
    },
    /// Write the message to the peer's reply stream, after what was written there before, then call
    /// [`handle_sent`](super::Server::handle_sent) or
    /// [`handle_reply_failed`](super::Server::handle_reply_failed).
    Send {
        /// To whom.
        peer: PeerId,
        /// To be given back once the bytes are accepted.
        token: Token,
        /// The version of the peer's reply stream, in whose form the message is to be encoded.
        version: Version,
        /// What to say.
        message: Message,
    },
}

/// What a [`Server`](super::Server) has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerStats {
    /// Messages from connected peers, wantlist or not.
    pub messages_received: u64,
    /// Messages from peers that are not connected; ignored.
    pub strangers: u64,
    /// Wants taken in, repeated ones included.
    pub wants: u64,
    /// Cancels that removed a want.
    pub cancels: u64,
    /// Wants refused because the peer's list was full.
    pub refused_wants: u64,
    /// Refused wants that could not even be answered with DONT_HAVE.
    pub silent_refusals: u64,
    /// Messages accepted by muxers.
    pub messages_sent: u64,
    /// Blocks accepted by muxers.
    pub blocks_sent: u64,
    /// Bytes of those blocks.
    pub bytes_sent: u64,
    /// HAVE accepted by muxers.
    pub haves_sent: u64,
    /// DONT_HAVE accepted by muxers.
    pub dont_haves_sent: u64,
    /// Answers queued again because they could not be sent.
    pub put_back: u64,
    /// Reply streams reset because the peer accepted nothing.
    pub stalls: u64,
}

/// The ledger of one peer, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServedPeer {
    /// Wants that are not satisfied.
    pub wants: usize,
    /// Bytes of blocks queued and not yet read from the store.
    pub queued_bytes: u64,
    /// Bytes of blocks read, or being read, and not yet accepted by the muxer.
    pub outstanding_bytes: u64,
    /// Blocks accepted by the muxer.
    pub blocks_sent: u64,
    /// Bytes of those blocks.
    pub bytes_sent: u64,
}
