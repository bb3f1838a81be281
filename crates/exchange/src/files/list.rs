//! Listing a directory.

use std::ops::ControlFlow;

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
/// All entries are held in memory; [`list_each`] hands them out as they come.
///
/// # Errors
///
/// When a block of the directory is not to be had, and when `root` is no directory.
///
/// # Cancel safety
///
/// Cancel-safe: nothing is left.
pub async fn list(source: &Source, root: Cid, options: &GetOptions) -> Result<Vec<Listed>, GetError> {
    let mut entries = Vec::new();
    let collect = |entry| {
        entries.push(entry);
        ControlFlow::Continue(())
    };
    list_each(source, root, options, collect).await?;
    Ok(entries)
}

/// Tells `on_entry` the entries of the directory `root`, sharded or not, in their order and as their blocks come,
/// until there are no more or it breaks off.
///
/// Memory is bounded by the walk's window, however many entries there are.
///
/// # Errors
///
/// As [`list`]. Entries that were told by then are right.
///
/// # Cancel safety
///
/// Cancel-safe: nothing is left.
pub async fn list_each(
    source: &Source,
    root: Cid,
    options: &GetOptions,
    on_entry: impl FnMut(Listed) -> ControlFlow<()>,
) -> Result<(), GetError> {
    let mut feeder = Feeder::new(source, options);
    let walked = walk(root, &mut feeder, on_entry).await;
    // What came is kept also when the rest did not come.
    let kept = feeder.finish().await;
    walked.and(kept)
}

async fn walk(
    root: Cid,
    feeder: &mut Feeder,
    mut on_entry: impl FnMut(Listed) -> ControlFlow<()>,
) -> Result<(), GetError> {
    let mut walker = Walker::listing(root, ReadConfig::default());
    loop {
        while let Some(event) = walker.poll_event() {
            match event? {
                Event::Entry { path, cid, tsize } => {
                    let name = String::from_utf8_lossy(path.as_bytes()).into_owned();
                    if on_entry(Listed { name, cid, tsize }).is_break() {
                        return Ok(());
                    }
                }
                Event::Directory { .. } => {}
                _ => return Err(GetError::WrongKind { cid: root, what: "a file, not a directory" }),
            }
        }
        if walker.is_finished() {
            return Ok(());
        }
        let needs = std::iter::from_fn(|| walker.poll_need()).map(|cid| (cid, None)).collect();
        for block in feeder.feed(needs).await? {
            let _supplied = walker.supply(&block);
        }
    }
}
