//! Listing a directory.

use bowline_block::Cid;
use bowline_unixfs::{Event, ReadConfig, Walker};

use super::{GetError, GetOptions, Source, source::Feeder};

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name. Bytes that are not UTF-8 are replaced.
    pub name: String,
    /// Its root.
    pub cid: Cid,
    /// The length of all its blocks together, in bytes, as the maker of the directory says.
    pub tsize: u64,
}

/// Lists the directory `root`, sharded or not, without fetching what is in it.
///
/// # Errors
///
/// When a block of the directory is not to be had, and when `root` is no directory.
///
/// # Cancel safety
///
/// Cancel-safe: nothing is left.
pub async fn list(source: &Source, root: Cid, options: &GetOptions) -> Result<Vec<Listed>, GetError> {
    let mut feeder = Feeder::new(source, options);
    let mut walker = Walker::listing(root, ReadConfig::default());
    let mut entries = Vec::new();
    loop {
        while let Some(event) = walker.poll_event() {
            match event? {
                Event::Entry { path, cid, tsize } => {
                    let name = String::from_utf8_lossy(path.as_bytes()).into_owned();
                    entries.push(Listed { name, cid, tsize });
                }
                Event::Directory { .. } => {}
                _ => return Err(GetError::WrongKind { cid: root, what: "a file, not a directory" }),
            }
        }
        if walker.is_finished() {
            return Ok(entries);
        }
        let needs = std::iter::from_fn(|| walker.poll_need()).map(|cid| (cid, None)).collect();
        for block in feeder.feed(needs).await? {
            let _supplied = walker.supply(&block);
        }
    }
}
