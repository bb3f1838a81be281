//! How fast a repository stores and reads, beside plain appending to a file on the same disk.
//!
//! `cargo run --release -p bowline-blockstore --example store_speed -- <folder> [MiB]`
//!
//! Prints the median of five runs. Bytes written are what the kernel counted for this process.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use bowline_block::{VerifiedBlock, codec};
use bowline_blockstore::{OpenOptions, Repository};

const RUNS: usize = 5;
const MIB: usize = 1024 * 1024;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("which folder?")?;
    let total = arguments.next().map_or(Ok(256), |mib| mib.parse::<usize>())? * MIB;
    for (block_len, batch_bytes) in
        [(262_144, 4 * MIB), (262_144, 16 * MIB), (MIB, 4 * MIB), (MIB, 16 * MIB), (1024, 4 * MIB)]
    {
        let total = if block_len < 4096 { total / 4 } else { total };
        let blocks = blocks(block_len, total)?;
        let batches: Vec<_> = blocks.chunks(batch_bytes / block_len).collect();
        let mut runs: Vec<Run> = Vec::new();
        for run in 0..RUNS {
            runs.push(measure(&Path::new(&folder).join(run.to_string()), &batches, total)?);
        }
        let median = |value: fn(&Run) -> f64| {
            let mut values: Vec<f64> = runs.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values.get(RUNS / 2).copied().unwrap_or_default()
        };
        let line = format!(
            "{block_len:>8} B × {:>5}: append {:6.0} MB/s, store {:6.0} MB/s ({:.2}), by two threads {:6.0} MB/s, written {:.3}×, read {:6.0} MB/s\n",
            batch_bytes / block_len,
            median(|run| run.append),
            median(|run| run.store),
            median(|run| run.store / run.append),
            median(|run| run.pair),
            median(|run| run.written),
            median(|run| run.read),
        );
        std::io::stdout().write_all(line.as_bytes())?;
    }
    Ok(())
}

struct Run {
    append: f64,
    store: f64,
    pair: f64,
    written: f64,
    read: f64,
}

/// `total` bytes of blocks that share nothing.
fn blocks(len: usize, total: usize) -> Result<Vec<VerifiedBlock>, Box<dyn std::error::Error>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block = || {
        let mut data = vec![0; len];
        for bytes in data.chunks_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.copy_from_slice(state.to_le_bytes().get(..bytes.len()).unwrap_or_default());
        }
        VerifiedBlock::sha2_256(codec::RAW, data.into())
    };
    Ok((0..total / len).map(|_| block()).collect::<Result<_, _>>()?)
}

fn measure(
    folder: &Path,
    batches: &[&[VerifiedBlock]],
    total: usize,
) -> Result<Run, Box<dyn std::error::Error>> {
    fs::create_dir_all(folder)?;
    let mut file = File::create(folder.join("plain"))?;
    let store = Repository::open(folder.join("store"), OpenOptions::default())?.blocks();
    let (mut append, mut stored, mut written) = (Duration::ZERO, Duration::ZERO, 0);
    // Turn by turn, so that whatever else the machine is doing slows both.
    for batch in batches {
        let start = now();
        for block in *batch {
            file.write_all(block.data())?;
        }
        file.sync_data()?;
        append += now().duration_since(start);

        let before = bytes_written();
        let start = now();
        store.put_many(batch)?;
        stored += now().duration_since(start);
        written += bytes_written().saturating_sub(before);
    }

    let pair = by_two_threads(&folder.join("second"), batches)?;

    let start = now();
    // A stride that shares no factor with the number of blocks: far from the order of writing.
    let blocks: Vec<&VerifiedBlock> = batches.iter().flat_map(|batch| batch.iter()).collect();
    for index in 0..blocks.len() {
        let block = blocks.get(index * 7919 % blocks.len()).ok_or("no blocks")?;
        std::hint::black_box(store.get(block.hash())?);
    }
    let read = now().duration_since(start);
    drop(store);
    fs::remove_dir_all(folder)?;
    Ok(Run {
        append: speed(total, append),
        store: speed(total, stored),
        pair: speed(total, pair),
        written: as_f64(written) / as_f64(total as u64),
        read: speed(total, read),
    })
}

/// How long two threads take that put every second batch each.
fn by_two_threads(
    folder: &Path,
    batches: &[&[VerifiedBlock]],
) -> Result<Duration, Box<dyn std::error::Error>> {
    let store = Repository::open(folder, OpenOptions::default())?.blocks();
    let put = |first: usize| {
        let mut batches = batches.iter().skip(first).step_by(2);
        batches.try_for_each(|batch| store.put_many(batch).map(drop))
    };
    let start = now();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| put(1));
        put(0).and(other.join().unwrap_or(Ok(())))
    })?;
    Ok(now().duration_since(start))
}

#[expect(clippy::disallowed_methods, reason = "a measurement of real time")]
fn now() -> Instant {
    Instant::now()
}

/// Megabytes per second.
fn speed(bytes: usize, time: Duration) -> f64 {
    as_f64(bytes as u64) / 1e6 / time.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "these are megabytes")]
fn as_f64(bytes: u64) -> f64 {
    bytes as f64
}

/// What the kernel has sent to disks for this process; zero where it does not say.
fn bytes_written() -> u64 {
    let counters = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = counters.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or_default()
}
