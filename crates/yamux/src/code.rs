//! The numbers that tell a peer why: RST and go-away frames carry them in their length field.
//!
//! The two rows of the table in the libp2p specifications are one apart: `0x1002` is "too fast" for a
//! connection and "limit reached" for a stream. So they live in two modules.

/// Codes of a go-away frame.
pub mod connection {
    /// The session ends as planned.
    pub const NORMAL: u32 = 0;
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: u32 = 1;
    /// We failed.
    pub const INTERNAL_ERROR: u32 = 2;
    /// No protocol could be agreed on.
    pub const NEGOTIATION_FAILED: u32 = 0x1000;
    /// A limit on resources was reached.
    pub const RESOURCE_LIMIT: u32 = 0x1001;
    /// The peer asked for too much in too short a time.
    pub const RATE: u32 = 0x1002;
    /// The peer broke the rules of an upper protocol.
    pub const VIOLATION: u32 = 0x1003;
    /// Another connection to the same peer took over.
    pub const SUPPLANTED: u32 = 0x1004;
    /// The connection was pruned.
    pub const GARBAGE_COLLECTED: u32 = 0x1005;
    /// The node shuts down.
    pub const SHUTDOWN: u32 = 0x1006;
    /// The node does not want this peer.
    pub const GATED: u32 = 0x1007;
}

/// Codes of an RST.
pub mod stream {
    /// No reason given: what a dropped stream sends.
    pub const NONE: u32 = 0;
    /// No protocol could be agreed on.
    pub const NEGOTIATION_FAILED: u32 = 0x1001;
    /// A limit on resources was reached.
    pub const RESOURCE_LIMIT: u32 = 0x1002;
    /// The peer asked for too much in too short a time.
    pub const RATE: u32 = 0x1003;
    /// The peer broke the protocol on this stream.
    pub const VIOLATION: u32 = 0x1004;
    /// Another connection to the same peer took over.
    pub const SUPPLANTED: u32 = 0x1005;
    /// The connection was pruned.
    pub const GARBAGE_COLLECTED: u32 = 0x1006;
    /// The node shuts down.
    pub const SHUTDOWN: u32 = 0x1007;
    /// The node does not want this peer.
    pub const GATED: u32 = 0x1008;
}
