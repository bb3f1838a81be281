//! Random operations on two sessions that are joined by pipes, against a model of what a stream is: bytes in are
//! bytes out, in order, to the end, unless somebody reset it. And one session against a peer that sends anything.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use bowline_sim::{Clock, Rng};
use bowline_yamux::{
    CloseReason, Config, Event, OpenError, Read, ReadError, Role, Session, StreamId, WriteError,
    frame::{Flags, Frame, Header, Kind},
    limits,
};
use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, prelude::*};

#[derive(Clone, Debug)]
enum Op {
    Open,
    Write {
        stream: usize,
        len: usize,
    },
    Read {
        stream: usize,
        max: usize,
    },
    Finish {
        stream: usize,
    },
    Reset {
        stream: usize,
        code: u32,
    },
    Release {
        stream: usize,
    },
    /// Lets some bytes of ours into the pipe.
    Transmit {
        limit: usize,
    },
    /// Takes some bytes out of the pipe to us.
    Receive {
        len: usize,
    },
    Wait {
        milliseconds: u64,
    },
}

fn ops() -> impl Strategy<Value = Vec<(bool, Op)>> {
    let stream = || 0..6_usize;
    let op = prop_oneof![
        2 => Just(Op::Open),
        6 => (stream(), prop_oneof![1..100_usize, 1..100_000_usize]).prop_map(|(stream, len)| Op::Write { stream, len }),
        6 => (stream(), prop_oneof![1..100_usize, 1..300_000_usize]).prop_map(|(stream, max)| Op::Read { stream, max }),
        1 => stream().prop_map(|stream| Op::Finish { stream }),
        1 => (stream(), any::<u32>()).prop_map(|(stream, code)| Op::Reset { stream, code }),
        1 => stream().prop_map(|stream| Op::Release { stream }),
        8 => prop_oneof![0..200_usize, 13..70_000_usize].prop_map(|limit| Op::Transmit { limit }),
        8 => prop_oneof![1..30_usize, 1..300_000_usize].prop_map(|len| Op::Receive { len }),
        1 => (1..3_000_u64).prop_map(|milliseconds| Op::Wait { milliseconds }),
    ];
    vec((any::<bool>(), op), 1..250)
}

/// The byte at a place of a stream in one direction: different everywhere nearby.
fn byte(id: StreamId, from_left: bool, place: usize) -> u8 {
    let mixed = place.wrapping_mul(2_654_435_761) ^ (id.value() as usize * 97) ^ usize::from(from_left);
    mixed.to_le_bytes()[1]
}

/// One direction of a stream, as it should be.
#[derive(Default)]
struct Direction {
    written: usize,
    read: usize,
    finished: bool,
    /// The reader saw the end.
    ended: bool,
}

/// One stream, as it should be.
#[derive(Default)]
struct Model {
    /// From left to right, and back.
    directions: [Direction; 2],
    /// Somebody reset it, or gave it up before it was finished, or will have payload refused.
    broken: bool,
    released: [bool; 2],
}

struct Side {
    session: Session,
    held: Vec<StreamId>,
    /// On the way to this side.
    pipe: VecDeque<Bytes>,
}

struct World {
    now: Instant,
    sides: [Side; 2],
    models: BTreeMap<StreamId, Model>,
}

impl World {
    fn new() -> Self {
        let now = Clock::new().now();
        let side = |role| Side {
            session: Session::new(now, role, Config::default()),
            held: Vec::new(),
            pipe: VecDeque::new(),
        };
        Self { now, sides: [side(Role::Client), side(Role::Server)], models: BTreeMap::new() }
    }

    fn stream(&self, side: usize, index: usize) -> Option<StreamId> {
        let held = &self.sides[side].held;
        held.get(index % held.len().max(1)).copied()
    }

    fn apply(&mut self, side: usize, op: Op) {
        match op {
            Op::Open => match self.sides[side].session.open(self.now) {
                Ok(id) => {
                    self.sides[side].held.push(id);
                    self.models.insert(id, Model::default());
                }
                Err(error) => assert_eq!(error, OpenError::Backlog),
            },
            Op::Transmit { limit } => drop(self.transmit(side, limit)),
            Op::Receive { len } => drop(self.receive(side, len)),
            Op::Wait { milliseconds } => self.now += Duration::from_millis(milliseconds),
            Op::Write { stream, .. }
            | Op::Read { stream, .. }
            | Op::Finish { stream }
            | Op::Reset { stream, .. }
            | Op::Release { stream } => {
                if let Some(id) = self.stream(side, stream) {
                    self.apply_to(side, id, &op);
                }
            }
        }
        self.sides[side].session.handle_timeout(self.now);
        self.drain_events(side);
    }

    fn apply_to(&mut self, side: usize, id: StreamId, op: &Op) {
        match *op {
            Op::Write { len, .. } => self.write(side, id, len),
            Op::Read { max, .. } => drop(self.read(side, id, max)),
            Op::Finish { .. } => {
                let model = self.models.get_mut(&id).expect("opened");
                match self.sides[side].session.finish(self.now, id) {
                    Ok(()) => model.directions[side].finished = true,
                    Err(error) => assert!(model.broken, "{error}"),
                }
            }
            Op::Reset { code, .. } => {
                self.sides[side].session.reset(self.now, id, code);
                self.models.get_mut(&id).expect("opened").broken = true;
            }
            Op::Release { .. } => {
                self.sides[side].session.release(self.now, id);
                self.sides[side].held.retain(|held| *held != id);
                let model = self.models.get_mut(&id).expect("opened");
                model.released[side] = true;
                // What the other still sends is refused, unless it has all been read.
                let other = &model.directions[1 - side];
                model.broken |= !model.directions[side].finished || !other.ended;
            }
            _ => unreachable!("not about a stream"),
        }
    }

    fn write(&mut self, side: usize, id: StreamId, len: usize) {
        let model = self.models.get_mut(&id).expect("opened");
        let direction = &mut model.directions[side];
        let start = direction.written;
        let bytes: Vec<_> = (start..start + len).map(|place| byte(id, side == 0, place)).collect();
        let mut data = Bytes::from(bytes);
        match self.sides[side].session.write(self.now, id, &mut data) {
            Ok(taken) => {
                assert_eq!(taken + data.len(), len);
                direction.written += taken;
            }
            Err(WriteError::Finished) => assert!(direction.finished),
            Err(error) => assert!(model.broken, "{error}"),
        }
    }

    /// Whether there was something.
    fn read(&mut self, side: usize, id: StreamId, max: usize) -> bool {
        let model = self.models.get_mut(&id).expect("opened");
        let direction = &mut model.directions[1 - side];
        match self.sides[side].session.read(self.now, id, max) {
            Ok(Read::Data(data)) => {
                assert!(data.len() <= max);
                for byte_read in &data {
                    assert_eq!(*byte_read, byte(id, side == 1, direction.read), "at {}", direction.read);
                    direction.read += 1;
                }
                assert!(direction.read <= direction.written);
                true
            }
            Ok(Read::Pending) => false,
            Ok(Read::Finished) => {
                assert!(direction.finished && direction.read == direction.written, "a clean end is whole");
                direction.ended = true;
                false
            }
            Err(ReadError::Reset { .. }) => {
                assert!(model.broken);
                false
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn transmit(&mut self, side: usize, limit: usize) -> bool {
        let mut out = BytesMut::new();
        let appended = self.sides[side].session.poll_transmit(self.now, &mut out, limit);
        assert!(out.len() <= limit);
        if appended {
            self.sides[1 - side].pipe.push_back(out.freeze());
        }
        appended
    }

    fn receive(&mut self, side: usize, len: usize) -> bool {
        let side = &mut self.sides[side];
        let Some(mut bytes) = side.pipe.pop_front() else { return false };
        let rest = bytes.split_off(len.min(bytes.len()));
        if !rest.is_empty() {
            side.pipe.push_front(rest);
        }
        side.session.handle_input(self.now, bytes).expect("the other keeps the rules");
        true
    }

    fn drain_events(&mut self, side: usize) {
        while let Some(event) = self.sides[side].session.poll_event() {
            match event {
                Event::Incoming(id) => self.sides[side].held.push(id),
                Event::Closed(reason) => panic!("closed: {reason}"),
                _ => {}
            }
        }
    }

    /// Moves and reads everything until nothing moves any more.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            for side in 0..2 {
                while self.transmit(side, 65_519) {
                    moved = true;
                }
                while self.receive(side, usize::MAX) {
                    moved = true;
                }
                self.drain_events(side);
                for id in self.sides[side].held.clone() {
                    while self.read(side, id, usize::MAX) {
                        moved = true;
                    }
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Nothing that was written on a stream that nobody broke is missing.
    fn check(&self) {
        for (id, model) in &self.models {
            for (from, direction) in model.directions.iter().enumerate() {
                let reader_is_there = self.sides[1 - from].held.contains(id);
                if model.broken || !reader_is_there {
                    continue;
                }
                assert_eq!(direction.read, direction.written, "{id} stands still");
                assert_eq!(direction.ended, direction.finished, "{id} has no end");
            }
        }
    }

    /// After everything is given up, nothing is left.
    fn check_for_leaks(&mut self) {
        for side in 0..2 {
            for id in std::mem::take(&mut self.sides[side].held) {
                self.sides[side].session.release(self.now, id);
            }
        }
        for _ in 0..2 {
            self.settle();
            self.now += Duration::from_secs(10);
            self.sides.iter_mut().for_each(|side| side.session.handle_timeout(self.now));
        }
        self.settle();
        for side in &self.sides {
            let stats = side.session.stats();
            let left = (stats.streams, stats.unread_bytes, stats.queued_bytes, stats.grown_bytes);
            assert_eq!(left, (0, 0, 0, 0));
            assert!(!side.session.has_transmit());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn bytes_in_are_bytes_out(ops in ops()) {
        let mut world = World::new();
        for (left, op) in ops {
            world.apply(usize::from(!left), op);
        }
        world.settle();
        world.check();
        world.check_for_leaks();
    }

    #[test]
    fn the_same_input_gives_the_same_output(ops in ops()) {
        let run = |ops: Vec<(bool, Op)>| {
            let mut world = World::new();
            let start = world.now;
            for (left, op) in ops {
                world.apply(usize::from(!left), op);
            }
            let pipes = world.sides.each_ref().map(|side| side.pipe.clone());
            let deadlines = world.sides.map(|side| side.session.poll_timeout().map(|due| due - start));
            (pipes, deadlines)
        };
        prop_assert_eq!(run(ops.clone()), run(ops));
    }

    #[test]
    fn any_bytes_in_any_pieces_end_in_an_error_or_not_at_all(seed: u64, pieces in vec(1..3_000_usize, 1..60)) {
        let mut rng = Rng::new(seed);
        let now = Clock::new().now();
        let config = any_limits(&mut rng);
        let mut session = Session::new(now, Role::Server, config.clone());
        let (mut held, mut out) = (Vec::new(), BytesMut::new());
        for piece in pieces {
            let mut wire = BytesMut::new();
            while wire.len() < piece {
                frame(&mut rng).encode(&mut wire);
            }
            let _ = session.handle_input(now, wire.split_to(piece).freeze());
            assert_bounded(&session, &config);
            held.extend(misuse(&mut session, &mut rng, now, &mut out));
            assert_bounded(&session, &config);
        }
        while session.poll_transmit(now, &mut out, 65_519) {}
        let reason = session.close_reason();
        let events: Vec<_> = std::iter::from_fn(|| session.poll_event()).collect();
        let told = events.iter().any(|event| matches!(event, Event::Closed(_)));
        prop_assert!(!told || reason.is_some());
        held.extend(events.iter().filter_map(incoming));
        if let Some(CloseReason::Violation(error)) = reason {
            prop_assert_eq!(session.handle_input(now, Bytes::from_static(b"x")), Err(error.clone()));
            prop_assert!(out.ends_with(&Header::go_away(error.go_away_code()).encode()));
        }
        prop_assert!(!session.has_transmit());
        assert_nothing_leaks(session, held, now);
    }

    #[test]
    fn noise_never_panics(pieces in vec(vec(any::<u8>(), 0..200), 0..50), client: bool) {
        let now = Clock::new().now();
        let role = if client { Role::Client } else { Role::Server };
        let mut session = Session::new(now, role, Config::default());
        let _ = session.open(now);
        for piece in pieces {
            let _ = session.handle_input(now, piece.into());
            assert_bounded(&session, &Config::default());
        }
    }
}

/// Some limits so small that they are met.
fn any_limits(rng: &mut Rng) -> Config {
    let mut config = Config::default();
    if rng.below(2) == 0 {
        config.max_inbound_streams = rng.length(4);
        config.max_outbound_streams = rng.length(4);
        config.max_unread_bytes = rng.length(10_000);
        config.growth_budget_bytes = rng.below(1_000_000);
    }
    config
}

fn assert_bounded(session: &Session, config: &Config) {
    let stats = session.stats();
    assert!(stats.inbound <= config.max_inbound_streams);
    assert!(stats.streams - stats.inbound <= config.max_outbound_streams.max(1));
    assert!(stats.unread_bytes <= config.max_unread_bytes);
    assert!(stats.grown_bytes <= config.growth_budget_bytes);
    assert!(stats.queued_bytes <= stats.streams * limits::MAX_STREAM_QUEUE);
}

fn incoming(event: &Event) -> Option<StreamId> {
    match event {
        Event::Incoming(id) => Some(*id),
        _ => None,
    }
}

/// Gives everything up; whatever the peer did before, nothing is left.
fn assert_nothing_leaks(mut session: Session, held: Vec<StreamId>, now: Instant) {
    // Ours are among the first few.
    for id in held.into_iter().chain((0..200).map(StreamId::new)) {
        session.release(now, id);
    }
    let mut out = BytesMut::new();
    for _ in 0..2 {
        session.handle_timeout(now + Duration::from_secs(60));
        while session.poll_transmit(now, &mut out, 65_519) {}
    }
    let stats = session.stats();
    assert_eq!((stats.streams, stats.unread_bytes, stats.queued_bytes, stats.grown_bytes), (0, 0, 0, 0));
}

/// A frame that is mostly legal, on few streams, so that they meet.
fn frame(rng: &mut Rng) -> Frame {
    let kinds = [Kind::Data, Kind::Data, Kind::WindowUpdate, Kind::WindowUpdate, Kind::Ping, Kind::GoAway];
    let kind = match rng.below(500) {
        0 => Kind::from_wire(u8::try_from(rng.below(256)).expect("a byte")),
        n => kinds[usize::try_from(n).expect("small") % if n < 490 { 5 } else { 6 }],
    };
    let flags = match rng.below(6) {
        0 => Flags::from_bits(u16::try_from(rng.below(16)).expect("small")),
        1 => Flags::SYN,
        2 => Flags::FIN,
        _ => Flags::NONE,
    };
    let stream = StreamId::new(match rng.below(100) {
        0 => u32::try_from(rng.below(1 << 32)).expect("32 bits"),
        n => u32::try_from(2 * (n % 6) + 1).expect("small"),
    });
    let length = match rng.below(50) {
        0 => rng.below(1 << 32),
        1 => 0,
        _ => rng.below(2_000),
    };
    let header =
        Header { flags, ..Header { kind, ..Header::data(stream, u32::try_from(length).expect("32 bits")) } };
    let body = if kind == Kind::Data {
        vec![0; usize::try_from(length.min(5_000)).expect("small")]
    } else {
        Vec::new()
    };
    Frame { header, body: body.into() }
}

/// Any call on any stream.
fn misuse(session: &mut Session, rng: &mut Rng, now: Instant, out: &mut BytesMut) -> Option<StreamId> {
    let id = StreamId::new(u32::try_from(rng.below(13)).expect("small"));
    match rng.below(12) {
        0 => drop(session.open(now)),
        1 => drop(session.write(now, id, &mut Bytes::from(vec![0; rng.length(100_000)]))),
        2 | 3 => drop(session.read(now, id, rng.length(10_000))),
        4 => drop(session.finish(now, id)),
        5 => session.reset(now, id, 7),
        6 => session.release(now, id),
        7 => {
            let later = now + Duration::from_secs(rng.below(60));
            session.handle_timeout(later);
            assert!(session.poll_timeout().is_none_or(|deadline| deadline > later), "what passed is done");
        }
        8 if rng.below(20) == 0 => session.go_away(now, 3),
        9 => return session.poll_event().as_ref().and_then(incoming),
        _ => {
            let (before, limit) = (out.len(), rng.length(70_000));
            let appended = session.poll_transmit(now, out, limit);
            assert!(out.len() <= before + limit && appended == (out.len() > before));
        }
    }
    None
}
