//! Getting a file or a tree into the file system.

use std::path::Path;

use bowline_block::Cid;
use bowline_identity::PeerId;
use bowline_unixfs::{Event, Order, ReadConfig, Walker};
use tokio::time::Instant;

use super::{GetError, GetOptions, Source, output::Output, source::Feeder};

/// What a get came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Got {
    /// The root.
    pub cid: Cid,
    /// Content, in bytes.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// Blocks, of the store and of peers.
    pub blocks: u64,
    /// Blocks that came more than once.
    pub duplicate_blocks: u64,
    /// Bytes of those.
    pub duplicate_bytes: u64,
    /// The peers that sent blocks.
    pub peers: Vec<PeerId>,
}

/// Bytes of content that are on their way at once: enough for a gigabit over 200 ms.
const WINDOW_BYTES: u64 = 24 * 1024 * 1024;

/// Gets what is below `root` and writes it to `path`: a file, a directory with all that is in it, or a link.
///
/// It is written beside `path` and renamed when it is whole. Blocks are wanted over the whole tree, as far ahead as
/// the window reaches, and content is written at its offset as it comes. What a get of the same `path` has left that
/// was killed is removed.
///
/// # Errors
///
/// When a block is not to be had, the tree is malformed, the file system refuses, or another get is writing to
/// `path`: nothing stands under `path` then, and what the source keeps is kept, so that a second call goes on from
/// there. When only the last sync is refused, of the folder that holds `path`, it stands there whole.
///
/// # Cancel safety
///
/// Dropping the future leaves the same as an error; dropped at its very end, `path` may stand there, whole.
pub async fn get(source: &Source, root: Cid, path: &Path, options: &GetOptions) -> Result<Got, GetError> {
    let begun = Instant::now();
    let mut feeder = Feeder::new(source, options);
    let mut output = Output::new(path, source.off_load(), options.durable)?;
    let config = ReadConfig { order: Order::Arrival, window_bytes: WINDOW_BYTES, ..ReadConfig::default() };
    let walked = walk(Walker::new(root, config), &mut feeder, &mut output).await;
    // What came is kept also when the rest did not come.
    let kept = feeder.finish().await;
    walked.and(kept)?;
    output.finish().await?;
    let (duplicate_blocks, duplicate_bytes) = feeder.duplicates();
    Ok(Got {
        cid: root,
        bytes: feeder.progress.bytes,
        seconds: begun.elapsed().as_secs_f64(),
        blocks: feeder.progress.blocks,
        duplicate_blocks,
        duplicate_bytes,
        peers: feeder.peers.into_iter().collect(),
    })
}

/// Feeds the walk until it is over, and hands on what it finds.
async fn walk(mut walker: Walker, feeder: &mut Feeder, output: &mut Output) -> Result<(), GetError> {
    loop {
        while let Some(event) = walker.poll_event() {
            let event = event?;
            match &event {
                Event::Data { bytes, .. } => feeder.progress.bytes += bytes.len() as u64,
                Event::File { size, path, .. } if path.is_root() => feeder.progress.total = Some(*size),
                _ => {}
            }
            output.take(event).await?;
        }
        feeder.report();
        if walker.is_finished() {
            return Ok(());
        }
        let needs = std::iter::from_fn(|| walker.poll_need()).collect::<Vec<_>>();
        let needs = needs.into_iter().map(|cid| (cid, walker.size_hint(&cid))).collect();
        for block in feeder.feed(needs).await? {
            let _supplied = walker.supply(&block);
        }
    }
}
