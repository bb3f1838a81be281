//! Blocks become content.

mod arrive;
mod config;
mod error;
mod event;
mod lookup;
mod open;
mod plan;
mod reader;
mod walker;
mod work;

pub use config::{Order, ReadConfig};
pub use error::ReadError;
pub use event::{Event, FileId, Supplied};
pub use lookup::{Lookup, Step};
pub use reader::{Output, Reader};
pub use walker::Walker;
