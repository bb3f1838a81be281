//! Files and directory trees, in and out of blocks.
//!
//! ```text
//!  add:  read ──> chunk ──> hash on every core ──> batches ──> store (durable)
//!  get:  Walker: which blocks next ──> store, else Fetch ──> blocks ──┬─> batches ──> store
//!                                                                     └─> content ──> file, at its offset
//! ```

mod add;
mod cat;
mod error;
mod get;
mod list;
mod output;
mod source;

use std::sync::Arc;

pub use add::{AddOptions, Added, add};
pub use bowline_unixfs::Profile;
pub use cat::cat;
pub use error::{AddError, GetError};
pub use get::{Got, get};
pub use list::{Listed, list, list_each};
pub use source::{GetOptions, Source};

/// How far a long piece of work has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Content that is done, in bytes.
    pub bytes: u64,
    /// Content in all, in bytes, where it is known.
    pub total: Option<u64>,
    /// Blocks that are done.
    pub blocks: u64,
}

/// Is told how far work has come. Called often, so it must be quick.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;
