//! Sealing and opening records in place.

use std::hint::black_box;

use bowline_noise::{MAX_PLAINTEXT, Opener, Sealer};
use bytes::BytesMut;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const KEY: [u8; 32] = [7; 32];

fn seal(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("seal");
    for len in [64, 1024, 16 * 1024, MAX_PLAINTEXT] {
        let (mut sealer, plaintext) = (Sealer::new(&KEY), vec![0; len]);
        let mut out = BytesMut::with_capacity(2 * MAX_PLAINTEXT);
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::from_parameter(len), |bencher| {
            bencher.iter(|| {
                out.clear();
                let start = sealer.begin(&mut out);
                out.extend_from_slice(&plaintext);
                sealer.finish(&mut out, start).expect("a key that is not used up");
                black_box(out.len())
            });
        });
    }
}

fn open(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("open");
    for len in [64, 1024, 16 * 1024, MAX_PLAINTEXT] {
        let (mut sealer, mut opener) = (Sealer::new(&KEY), Opener::new(&KEY));
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::from_parameter(len), |bencher| {
            // Records have to be opened in their order: each is sealed right before it is opened, outside of the time.
            let record = || {
                let mut record = BytesMut::new();
                sealer.seal(&vec![0; len], &mut record).expect("a key that is not used up");
                record
            };
            bencher.iter_batched(
                record,
                |mut record| opener.open(&mut record).expect("its turn").expect("a whole record"),
                BatchSize::PerIteration,
            );
        });
    }
}

criterion_group!(records, seal, open);
criterion_main!(records);
