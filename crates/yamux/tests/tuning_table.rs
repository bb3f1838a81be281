//! What tuning makes of many paths, as a table that is checked in: `UPDATE_EXPECT=1` writes it anew.

#[allow(dead_code, reason = "the table needs a part of it")]
#[path = "common/path.rs"]
mod path;

use std::{fmt::Write as _, time::Duration};

use bowline_yamux::Config;
use expect_test::expect_file;
use path::{MIB, Path};

const ROUND_TRIPS_MS: [u64; 4] = [1, 10, 100, 300];
const MEGABITS: [u64; 4] = [10, 100, 1_000, 10_000];
const STREAMS: [usize; 3] = [1, 8, 64];

/// How a path is measured: so many samples, each at least this long, which 10 Mbit/s need for one frame, and a
/// round trip.
const SAMPLES: u32 = 20;
const SHORTEST_SAMPLE: Duration = Duration::from_millis(60);

/// Bytes that a sample has to bring to count as the full rate, in percent of the best.
const FULL: usize = 90;

struct Row {
    full_after: Duration,
    share_of_wire: f64,
    largest_window: u32,
    all_grown: u64,
}

/// Streams that send as fast as they can over a cold path, to a reader that takes everything.
fn measure(round_trip: Duration, megabits: u64, streams: usize) -> Row {
    let wire = megabits * 1_000_000 / 8;
    let mut path = Path::new(round_trip, Some(wire), Config::default());
    path.pair.left.wire = Some(wire);
    for _ in 0..streams {
        path.send(usize::MAX / 2);
    }
    let length = round_trip.max(SHORTEST_SAMPLE);
    let samples: Vec<usize> = (0..SAMPLES)
        .map(|_| {
            let before = path.pair.right.received;
            path.run_for(length);
            path.pair.right.received - before
        })
        .collect();
    let steady = &samples[samples.len() / 2..];
    let best = steady.iter().copied().max().expect("samples");
    let full = samples.iter().position(|bytes| *bytes * 100 >= best * FULL).expect("the best is one");
    let taken = steady.iter().sum::<usize>() as f64;
    let stats = path.pair.right.session.stats();
    Row {
        full_after: length * u32::try_from(full).expect("few samples"),
        share_of_wire: taken / (wire as f64 * length.as_secs_f64() * steady.len() as f64),
        largest_window: path.largest_window(),
        all_grown: stats.grown_bytes,
    }
}

#[test]
fn a_table_of_paths() {
    let mut table = String::from(
        "round trip ms | Mbit/s | streams | full rate after ms | share of the wire % | largest window KiB | grown MiB\n",
    );
    for round_trip in ROUND_TRIPS_MS {
        for megabits in MEGABITS {
            for streams in STREAMS {
                let row = measure(Duration::from_millis(round_trip), megabits, streams);
                writeln!(
                    table,
                    "{round_trip:>13} | {megabits:>6} | {streams:>7} | {:>18} | {:>19.0} | {:>18} | {:>9.1}",
                    row.full_after.as_millis(),
                    row.share_of_wire * 100.0,
                    row.largest_window / 1024,
                    row.all_grown as f64 / MIB as f64,
                )
                .expect("a string takes everything");
            }
        }
    }
    expect_file!["tables/tuning.txt"].assert_eq(&table);
}
