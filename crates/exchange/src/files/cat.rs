//! Streaming a file's content.

use std::{ops::Range, path::Path};

use bowline_block::Cid;
use bowline_unixfs::{Output, ReadConfig, Reader};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{GetError, GetOptions, Source, source::Feeder};

/// Writes the content of the file `root`, or the part of it that `range` names, to `out`, in order.
///
/// Memory is bounded by the reader's window, whatever the file's size.
///
/// # Errors
///
/// When a block is not to be had, the root is no file, or `out` refuses. What was written by then is right.
///
/// # Cancel safety
///
/// Dropping the future leaves a prefix written.
pub async fn cat(
    source: &Source,
    root: Cid,
    range: Option<Range<u64>>,
    out: &mut (impl AsyncWrite + Unpin),
    options: &GetOptions,
) -> Result<u64, GetError> {
    let mut feeder = Feeder::new(source, options);
    let reader = Reader::with_range(root, ReadConfig::default(), range.unwrap_or(0..u64::MAX));
    let read = read(reader, &mut feeder, out).await;
    // What came is kept also when the rest did not come.
    let kept = feeder.finish().await;
    read.and(kept)?;
    Ok(feeder.progress.bytes)
}

/// Feeds the reader until it is over, and hands on what it reads.
async fn read(
    mut reader: Reader,
    feeder: &mut Feeder,
    out: &mut (impl AsyncWrite + Unpin),
) -> Result<(), GetError> {
    let refused = |error: std::io::Error| GetError::io(Path::new("output"), &error);
    loop {
        while let Some(output) = reader.poll_output() {
            match output? {
                Output::Data { bytes, .. } => {
                    out.write_all(&bytes).await.map_err(refused)?;
                    feeder.progress.bytes += bytes.len() as u64;
                }
                Output::End => return out.flush().await.map_err(refused),
            }
        }
        feeder.progress.total = reader.file_size();
        feeder.report();
        let needs = std::iter::from_fn(|| reader.poll_need()).collect::<Vec<_>>();
        let needs = needs.into_iter().map(|cid| (cid, reader.size_hint(&cid))).collect();
        for block in feeder.feed(needs).await? {
            let _supplied = reader.supply(&block);
        }
    }
}
