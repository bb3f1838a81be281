//! Trees that were written to harm their reader.

#![allow(clippy::too_many_lines, reason = "transcripts")]

mod common;

use bowline_block::{Cid, VerifiedBlock, codec};
use bowline_unixfs::dag_pb::{PbLink, PbNode};
use bowline_unixfs::data::UnixFs;
use bowline_unixfs::{
    Event, Kind, Lookup, Name, NameError, Node, Output, Problem, Profile, ReadConfig, ReadError, Reader,
    Step, Supplied, Walker, import_bytes,
};
use bytes::Bytes;
use common::{Store, file_node, walk_all};
use proptest::prelude::*;

fn leaf(content: &'static str) -> VerifiedBlock {
    VerifiedBlock::sha2_256(codec::RAW, content.into()).unwrap()
}

fn link(name: &[u8], cid: Cid, tsize: u64) -> PbLink {
    PbLink { cid, name: Some(Bytes::copy_from_slice(name)), tsize: Some(tsize) }
}

fn node(links: Vec<PbLink>, message: &UnixFs) -> VerifiedBlock {
    let node = PbNode { links, data: Some(message.encode()) };
    VerifiedBlock::sha2_256(codec::DAG_PB, node.encode()).unwrap()
}

fn directory(entries: &[(&[u8], Cid)]) -> VerifiedBlock {
    let links = entries.iter().map(|(name, cid)| link(name, *cid, 1)).collect();
    node(links, &UnixFs::new(Kind::Directory))
}

fn shard(fanout: u64, entries: &[(&[u8], Cid)]) -> VerifiedBlock {
    let links = entries.iter().map(|(name, cid)| link(name, *cid, 1)).collect();
    let message = UnixFs { hash_type: Some(0x22), fanout: Some(fanout), ..UnixFs::new(Kind::Shard) };
    node(links, &message)
}

fn store(blocks: &[VerifiedBlock]) -> Store {
    blocks.iter().map(|block| (*block.cid(), block.clone())).collect()
}

fn walk(root: &VerifiedBlock, others: &[VerifiedBlock]) -> Result<Vec<Event>, ReadError> {
    let mut store = store(others);
    store.insert(*root.cid(), root.clone());
    walk_all(Walker::new(*root.cid(), ReadConfig::default()), &store)
}

/// The problem of the block that is at fault.
fn problem(result: Result<Vec<Event>, ReadError>, at_fault: &VerifiedBlock) -> Problem {
    match result {
        Err(ReadError::Node(error)) => {
            assert_eq!(error.cid(), at_fault.cid());
            error.problem().clone()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_name_that_leads_out_of_its_directory_is_refused_and_named() {
    let file = leaf("x");
    let cases: [(&[u8], NameError); 6] = [
        (b"", NameError::Empty),
        (b".", NameError::Dot),
        (b"..", NameError::DotDot),
        (b"../../etc/passwd", NameError::Slash),
        (b"a/b", NameError::Slash),
        (b"a\0b", NameError::Nul),
    ];
    for (name, reason) in cases {
        let root = directory(&[(b"fine", *file.cid()), (name, *file.cid())]);
        let problem = problem(walk(&root, std::slice::from_ref(&file)), &root);
        assert_eq!(problem, Problem::UnsafeName { entry: 1, reason });
    }
    let name = "./x".as_bytes();
    let sharded = shard(256, &[(&[b"00", name].concat(), *file.cid())]);
    let problem = problem(walk(&sharded, &[file]), &sharded);
    assert_eq!(problem, Problem::UnsafeName { entry: 0, reason: NameError::Slash });
}

#[test]
fn the_first_entry_of_a_name_counts() {
    let (first, second) = (leaf("first"), leaf("second"));
    let root = directory(&[(b"a", *first.cid()), (b"b", *second.cid()), (b"a", *second.cid())]);
    let mut lookup = Lookup::new(Name::new("a").unwrap());
    assert!(matches!(lookup.step(&root), Ok(Step::Found(entry)) if entry.cid == *first.cid()));
    let events = walk(&root, &[first, second]).unwrap();
    let files = events.iter().filter(|event| matches!(event, Event::File { .. })).count();
    assert_eq!(files, 2);
}

#[test]
fn sizes_that_do_not_add_up_are_refused_with_the_block_that_lies() {
    let (a, b) = (leaf("aa"), leaf("bbb"));
    let parts = |message: UnixFs| node(vec![link(b"", *a.cid(), 2), link(b"", *b.cid(), 3)], &message);
    let file = |size, block_sizes| UnixFs { file_size: size, block_sizes, ..UnixFs::new(Kind::File) };

    let missing = parts(file(Some(2), vec![2]));
    assert_eq!(problem(walk(&missing, &[]), &missing), Problem::LinkCount { links: 2, sizes: 1 });
    let short = parts(file(Some(4), vec![2, 3]));
    assert_eq!(problem(walk(&short, &[]), &short), Problem::FileSize { declared: 4, actual: 5 });
    let huge = parts(file(None, vec![u64::MAX, 1]));
    assert!(matches!(problem(walk(&huge, &[]), &huge), Problem::FileSize { actual: u64::MAX, .. }));

    let wrong = parts(file(Some(6), vec![2, 4]));
    let error = walk(&wrong, &[a.clone(), b.clone()]).unwrap_err();
    assert_eq!(error, ReadError::SizeMismatch { cid: *b.cid(), declared: 4, actual: 3 });

    let fine = parts(file(None, vec![2, 3]));
    assert!(walk(&fine, &[a, b]).is_ok(), "a file size may be absent");
}

#[test]
fn a_block_of_another_kind_is_refused_where_a_part_belongs() {
    let inner = directory(&[]);
    let inner =
        VerifiedBlock::new(codec::DAG_PB, bowline_block::HashAlgorithm::Sha2_512, inner.into_data()).unwrap();
    let root = file_node(&[(*inner.cid(), 5)]);
    let error = walk(&root, std::slice::from_ref(&inner)).unwrap_err();
    let expected = ReadError::WrongKind { cid: *inner.cid(), expected: Kind::File, actual: Kind::Directory };
    assert_eq!(error, expected);

    let mut reader = Reader::new(*inner.cid(), ReadConfig::default());
    assert_eq!(reader.poll_need(), Some(*inner.cid()));
    reader.supply(&inner);
    assert_eq!(reader.poll_output(), Some(Err(expected)));
    assert_eq!(reader.poll_output(), None);
    assert!(reader.is_finished());
    assert_eq!(reader.outstanding().count(), 0);
}

#[test]
fn other_codecs_and_obsolete_types_are_refused() {
    let cbor = VerifiedBlock::sha2_256(codec::DAG_CBOR, Bytes::from_static(&[0xa0])).unwrap();
    assert_eq!(problem(walk(&cbor, &[]), &cbor), Problem::Codec { codec: codec::DAG_CBOR });
    let metadata = node(Vec::new(), &UnixFs::new(Kind::Metadata));
    assert_eq!(problem(walk(&metadata, &[]), &metadata), Problem::Unsupported { kind: Kind::Metadata });
    let bare = VerifiedBlock::sha2_256(
        codec::DAG_PB,
        PbNode { links: vec![link(b"a", *cbor.cid(), 1)], data: None }.encode(),
    )
    .unwrap();
    assert_eq!(problem(walk(&bare, &[]), &bare), Problem::NoData);
}

#[test]
fn a_tree_deeper_than_allowed_is_refused() {
    let mut below = directory(&[]);
    let mut blocks = vec![below.clone()];
    for _ in 0..10 {
        below = directory(&[(b"d", *below.cid())]);
        blocks.push(below.clone());
    }
    let walk = |max_depth| {
        let config = ReadConfig { max_depth, ..ReadConfig::default() };
        walk_all(Walker::new(*below.cid(), config), &store(&blocks))
    };
    assert!(walk(10).is_ok());
    assert!(matches!(walk(9), Err(ReadError::TooDeep { max: 9, .. })));
}

/// Sixty blocks of two links to the one below would be 2^60 leaves.
#[test]
fn a_small_tree_that_unfolds_without_end_is_stopped() {
    let empty = leaf("");
    let mut below = file_node(&[(*empty.cid(), 0), (*empty.cid(), 0)]);
    let mut blocks = vec![empty, below.clone()];
    for _ in 0..60 {
        below = file_node(&[(*below.cid(), 0), (*below.cid(), 0)]);
        blocks.push(below.clone());
    }
    let config = ReadConfig { max_links: 10_000, ..ReadConfig::default() };
    let error = walk_all(Walker::new(*below.cid(), config), &store(&blocks)).unwrap_err();
    assert!(matches!(error, ReadError::TooManyLinks { max: 10_000, .. }), "{error}");
}

#[test]
fn nodes_that_need_more_memory_than_allowed_are_refused() {
    let file = leaf("x");
    let names: Vec<String> = (0..1000).map(|index| format!("{index:04}")).collect();
    let entries: Vec<(&[u8], Cid)> = names.iter().map(|name| (name.as_bytes(), *file.cid())).collect();
    let root = directory(&entries);
    let config = ReadConfig { node_bytes: 1000, ..ReadConfig::default() };
    let error = walk_all(Walker::new(*root.cid(), config), &store(&[root.clone(), file])).unwrap_err();
    assert_eq!(error, ReadError::NodesTooLarge { cid: *root.cid(), max: 4000 });
}

/// CVE-2023-23625: the fan-out decided how much memory a reader set aside.
#[test]
fn cve_2023_23625_fan_out_is_bounded() {
    for fanout in [0, 3, 4, 2048, 1 << 50] {
        let root = shard(fanout, &[]);
        let problem = problem(walk(&root, &[]), &root);
        assert_eq!(problem, Problem::ShardKind { hash_type: 0x22, fanout });
    }
}

#[test]
fn a_name_in_the_wrong_slot_is_refused() {
    let file = leaf("x");
    // "470.txt" hashes to 00 6E …
    let right = shard(256, &[(b"00470.txt", *file.cid())]);
    assert!(walk(&right, std::slice::from_ref(&file)).is_ok());
    for entry in [&b"01470.txt"[..], b"0", b"0g470.txt"] {
        let wrong = shard(256, &[(entry, *file.cid())]);
        let problem = problem(walk(&wrong, std::slice::from_ref(&file)), &wrong);
        assert_eq!(problem, Problem::WrongSlot { entry: 0 });
        let mut lookup = Lookup::new(Name::new("470.txt").unwrap());
        assert!(lookup.step(&wrong).is_err());
    }
    let child = shard(256, &[(b"6E470.txt", *file.cid())]);
    let root = shard(256, &[(b"00", *child.cid())]);
    assert!(walk(&root, &[child.clone(), file.clone()]).is_ok());
    let root = shard(256, &[(b"01", *child.cid())]);
    assert_eq!(problem(walk(&root, &[child.clone(), file]), &child), Problem::WrongSlot { entry: 0 });
}

#[test]
fn a_shard_with_another_fan_out_than_its_parent_is_refused() {
    let child = shard(16, &[]);
    let root = shard(256, &[(b"00", *child.cid())]);
    let expected = ReadError::FanoutChanged { cid: *child.cid(), expected: 256, actual: 16 };
    assert_eq!(walk(&root, std::slice::from_ref(&child)).unwrap_err(), expected);
    let mut lookup = Lookup::new(Name::new("470.txt").unwrap());
    assert_eq!(lookup.step(&root), Ok(Step::Descend(*child.cid())));
    assert_eq!(lookup.step(&child), Err(expected));
}

/// Eight levels of one slot use up the hash; the ninth could go on for ever.
#[test]
fn shards_end_with_the_hash() {
    let mut below = shard(256, &[]);
    let mut blocks = vec![below.clone()];
    for _ in 0..9 {
        below = shard(256, &[(b"00", *below.cid())]);
        blocks.push(below.clone());
    }
    let result = walk_all(Walker::new(*below.cid(), ReadConfig::default()), &store(&blocks));
    assert!(matches!(result, Err(ReadError::Node(error)) if *error.problem() == Problem::ShardDepth));
}

#[test]
fn blocks_nobody_asked_for_are_ignored() {
    let (blocks, file) = import_bytes(Profile::V1.config(), "x".into());
    let mut reader = Reader::new(file.cid, ReadConfig::default());
    reader.supply(&leaf("other"));
    assert_eq!(reader.poll_output(), None);
    assert_eq!(reader.poll_need(), Some(file.cid));
    reader.supply(&blocks[0]);
    assert!(matches!(reader.poll_output(), Some(Ok(Output::Data { .. }))));
}

/// A node that is nearly sound: some kind, some links to the blocks before it, some sizes.
fn any_message() -> impl Strategy<Value = UnixFs> {
    let kind = prop::sample::select(vec![
        Kind::Raw,
        Kind::File,
        Kind::File,
        Kind::File,
        Kind::Directory,
        Kind::Directory,
        Kind::Shard,
        Kind::Shard,
        Kind::Symlink,
        Kind::Metadata,
    ]);
    let sizes = prop::collection::vec(prop_oneof![0..4u64, any::<u64>()], 0..4);
    let data = prop::collection::vec(any::<u8>(), 0..4);
    (kind, data, any::<Option<u8>>(), sizes, 0..12u32).prop_map(|(kind, data, size, block_sizes, fanout)| {
        UnixFs {
            data: data.into(),
            file_size: size.map(u64::from).filter(|size| *size < 8),
            block_sizes,
            hash_type: Some(0x22),
            fanout: Some(1 << fanout),
            ..UnixFs::new(kind)
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_blocks_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let block = VerifiedBlock::sha2_256(codec::DAG_PB, bytes.clone().into()).unwrap();
        let _ = Node::parse(&block);
        if let Ok(node) = PbNode::decode(&bytes.into()) {
            let encoded = node.encode();
            prop_assert_eq!(node.encoded_len(), encoded.len());
            prop_assert_eq!(PbNode::decode(&encoded), Ok(node));
        }
    }

    #[test]
    fn a_flipped_bit_never_panics(
        content in prop::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        bit in 0..8u8,
    ) {
        let config = bowline_unixfs::ImportConfig {
            chunk_size: bowline_unixfs::ChunkSize::new(40).unwrap(),
            ..Profile::V0.config()
        };
        let (blocks, file) = import_bytes(config, content.into());
        let mut store = store(&blocks);
        let mut bytes = store[&file.cid].data().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let root = VerifiedBlock::sha2_256(codec::DAG_PB, bytes.into()).unwrap();
        store.insert(*root.cid(), root.clone());
        let mut walker = Walker::new(*root.cid(), ReadConfig::default());
        let mut steps = 0;
        loop {
            let needs: Vec<Cid> = std::iter::from_fn(|| walker.poll_need()).collect();
            needs.iter().filter_map(|cid| store.get(cid)).for_each(|block| assert_eq!(walker.supply(block), Supplied::Used));
            let events = std::iter::from_fn(|| walker.poll_event()).count();
            steps += 1;
            prop_assert!(steps < 1000);
            if needs.is_empty() && events == 0 {
                break;
            }
        }
    }

    #[test]
    fn arbitrary_trees_never_panic_and_never_go_on_for_ever(
        messages in prop::collection::vec((any_message(), prop::collection::vec((any::<prop::sample::Index>(), "(0[0-9])?[ab]?"), 0..4)), 1..30),
        window_blocks in 0..8usize,
        window_bytes in 0..20u64,
        node_bytes in 0..2000usize,
    ) {
        let mut blocks = vec![leaf(""), leaf("abc")];
        for (message, links) in &messages {
            let links = links.iter().map(|(index, name)| {
                let target = blocks[index.index(blocks.len())].cid();
                link(name.as_bytes(), *target, name.len() as u64)
            });
            let block = node(links.collect(), message);
            blocks.push(block);
        }
        let config = ReadConfig { window_blocks, window_bytes, node_bytes, max_links: 5000, ..ReadConfig::default() };
        let root = *blocks.last().unwrap().cid();
        let mut walker = Walker::new(root, config);
        let store = store(&blocks);
        let mut steps = 0;
        while !walker.is_finished() {
            steps += 1;
            prop_assert!(steps < 20_000, "the walk ends");
            while let Some(cid) = walker.poll_need() {
                walker.supply(&store[&cid]);
            }
            while let Some(event) = walker.poll_event() {
                if let Ok(Event::Data { bytes, .. }) = event {
                    prop_assert!(!bytes.is_empty());
                }
            }
        }
    }
}
