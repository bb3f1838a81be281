//! Bowline against other implementations, on this machine's loopback only.

pub(crate) mod bowline;
pub(crate) mod data;
pub(crate) mod kubo;
pub(crate) mod kubo_node;
pub(crate) mod matrix;
pub(crate) mod rust_libp2p;
