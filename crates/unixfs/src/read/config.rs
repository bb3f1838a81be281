//! How far a reader runs ahead.

/// How a [`Reader`](crate::Reader) or [`Walker`](crate::Walker) runs ahead of its consumer. Every
/// combination of values is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadConfig {
    /// In which order content comes out. Default: [`Order::Sequential`].
    pub order: Order,
    /// The most blocks that are asked for, or have come and are not consumed. Zero counts as one.
    /// Default: 512, half of what a Bitswap peer lets one client ask for.
    pub window_blocks: usize,
    /// The most bytes in these blocks, by the sizes that the tree declares. One block is always asked for.
    /// Default: 16 MiB, a second at 134 Mbit/s.
    pub window_bytes: u64,
    /// The memory for nodes whose links have not all been asked for, in bytes.
    ///
    /// Beyond it, nodes that are not needed next are dropped and asked for again; when those that are
    /// needed next exceed four times this, reading fails. Default: 16 MiB.
    pub node_bytes: usize,
    /// The most links between the root and any block. Default: 1024.
    pub max_depth: usize,
    /// The most links that are followed in all: a small tree can refer to the same blocks again and again.
    /// Default: 2^24, enough for 4 TiB in chunks of 256 KiB.
    pub max_links: u64,
}

/// In which order content comes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// From the first byte to the last, for a consumer that streams. One late block holds everything up
    /// behind it once the window is full.
    #[default]
    Sequential,
    /// As blocks come, with their offsets, for a consumer that writes to a file. A late block holds nothing
    /// up but itself.
    Arrival,
}

impl Default for ReadConfig {
    fn default() -> Self {
        Self {
            order: Order::Sequential,
            window_blocks: 512,
            window_bytes: 16 * 1024 * 1024,
            node_bytes: 16 * 1024 * 1024,
            max_depth: 1024,
            max_links: 1 << 24,
        }
    }
}
