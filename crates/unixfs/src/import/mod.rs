//! Content becomes blocks.

pub(crate) mod chunker;
pub(crate) mod directory;
pub(crate) mod file;
pub(crate) mod layout;
