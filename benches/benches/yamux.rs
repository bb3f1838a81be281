//! The frame codec, and a session's way from a write to a frame and from a frame to a read.

use std::{hint::black_box, time::Instant};

use bowline_yamux::{
    Config, Event, Read, Role, Session, StreamId,
    frame::{HEADER_LEN, Header},
};
use bytes::{Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// What one record holds.
const RECORD: usize = 65_519;

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("header");
    let header = Header::data(StreamId::new(5), 65_507);
    let encoded: [u8; HEADER_LEN] = header.encode();
    group.bench_function("encode", |bencher| bencher.iter(|| black_box(&header).encode()));
    group.bench_function("decode", |bencher| bencher.iter(|| Header::decode(black_box(&encoded))));
}

/// Two sessions with one stream between them.
struct Pair {
    now: Instant,
    writer: Session,
    reader: Session,
    stream: StreamId,
    wire: BytesMut,
}

impl Pair {
    fn new() -> Self {
        let now = now();
        let mut writer = Session::new(now, Role::Client, Config::default());
        let reader = Session::new(now, Role::Server, Config::default());
        let stream = writer.open(now).expect("the first stream");
        Self { now, writer, reader, stream, wire: BytesMut::new() }
    }

    /// Frames to the reader, what it reads, and its credit back.
    fn deliver(&mut self) -> usize {
        let mut read = 0;
        while self.writer.poll_transmit(self.now, &mut self.wire, RECORD) {
            let frames = self.wire.split().freeze();
            self.reader.handle_input(self.now, frames).expect("a peer that keeps the rules");
            while let Some(event) = self.reader.poll_event() {
                black_box(matches!(event, Event::Incoming(_)));
            }
            while let Ok(Read::Data(data)) = self.reader.read(self.now, self.stream, usize::MAX) {
                read += data.len();
            }
            while self.reader.poll_transmit(self.now, &mut self.wire, RECORD) {
                let credit = self.wire.split().freeze();
                self.writer.handle_input(self.now, credit).expect("a peer that keeps the rules");
            }
            while self.writer.poll_event().is_some() {}
        }
        read
    }
}

fn session(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("write to read");
    for len in [1, 1024, 16 * 1024, 64 * 1024] {
        group.throughput(Throughput::Bytes(len as u64));
        let mut pair = Pair::new();
        let data = vec![0; len];
        group.bench_function(BenchmarkId::new("copied", len), |bencher| {
            bencher.iter(|| {
                let mut left = &data[..];
                while !left.is_empty() {
                    let taken = pair.writer.write_slice(pair.now, pair.stream, left).expect("open");
                    left = &left[taken..];
                    pair.deliver();
                }
            });
        });
        let mut pair = Pair::new();
        let data = Bytes::from(data);
        group.bench_function(BenchmarkId::new("shared", len), |bencher| {
            bencher.iter(|| {
                let mut left = data.clone();
                while !left.is_empty() {
                    pair.writer.write(pair.now, pair.stream, &mut left).expect("open");
                    pair.deliver();
                }
            });
        });
    }
}

criterion_group!(yamux, codec, session);
criterion_main!(yamux);
