//! How far a reader runs ahead, and what it does about late and lying blocks.

#![allow(clippy::too_many_lines, reason = "transcripts")]

mod common;

use std::collections::BTreeSet;

use bowline_block::{Cid, VerifiedBlock};
use bowline_unixfs::{
    ChunkSize, DirectoryBuilder, Event, ImportConfig, MaxLinks, Node, Order, Output, Profile, ReadConfig,
    Reader, Supplied, Walker, import_bytes,
};
use bytes::Bytes;
use common::{KeyStream, Store};

fn store(blocks: Vec<VerifiedBlock>) -> Store {
    blocks.into_iter().map(|block| (*block.cid(), block)).collect()
}

fn needs(reader: &mut Reader) -> Vec<Cid> {
    std::iter::from_fn(|| reader.poll_need()).collect()
}

/// The parts of a file's node.
fn parts(store: &Store, cid: &Cid) -> Vec<Cid> {
    match Node::parse(&store[cid]).unwrap() {
        Node::File(file) => file.parts.iter().map(|part| part.cid).collect(),
        node => panic!("{node:?}"),
    }
}

/// 40 leaves of 256 KiB, ten to a node, four nodes below the root.
fn forty_leaves() -> (Store, Cid) {
    let config = ImportConfig { max_links: MaxLinks::new(10).unwrap(), ..Profile::V1.config() };
    let content: Vec<u8> = (0..40).flat_map(|leaf| vec![leaf; 256 * 1024]).collect();
    let (blocks, file) = import_bytes(config, content.into());
    (store(blocks), file.cid)
}

#[test]
fn needs_come_in_the_order_of_content_with_inner_nodes_ahead() {
    let (store, root) = forty_leaves();
    let config = ReadConfig { window_blocks: 10, ..ReadConfig::default() };
    let mut reader = Reader::new(root, config);
    assert_eq!(needs(&mut reader), [root]);
    reader.supply(&store[&root]);
    let nodes = parts(&store, &root);
    assert_eq!(needs(&mut reader), nodes);

    reader.supply(&store[&nodes[1]]);
    assert_eq!(needs(&mut reader), [], "content behind an unknown node would fill the window");
    reader.supply(&store[&nodes[0]]);
    let first = needs(&mut reader);
    // Two nodes and the start of the file, which has not been consumed, are in the window too.
    assert_eq!(first, parts(&store, &nodes[0])[..7]);
}

#[test]
fn the_window_moves_only_as_content_is_consumed() {
    let (store, root) = forty_leaves();
    let window = 1024 * 1024;
    let mut reader = Reader::new(root, ReadConfig { window_bytes: window, ..ReadConfig::default() });
    let mut asked = needs(&mut reader);
    let mut supplied = 0;
    while let Some(cid) = asked.pop() {
        supplied += 1;
        assert_eq!(reader.supply(&store[&cid]), Supplied::Used);
        asked.extend(needs(&mut reader));
        assert!(reader.walker().held_bytes() <= window + window / 4 + 2 * 1024 * 1024);
    }
    // The root, nodes, and four leaves.
    assert!((5..=10).contains(&supplied), "{supplied}");

    let mut consumed = 0;
    while let Some(output) = reader.poll_output() {
        if let Output::Data { bytes, .. } = output.unwrap() {
            consumed += bytes.len();
        }
        for cid in needs(&mut reader) {
            reader.supply(&store[&cid]);
        }
        assert!(reader.walker().held_bytes() <= window + window / 4 + 2 * 1024 * 1024);
    }
    assert_eq!(consumed, 40 * 256 * 1024);
    assert!(reader.is_finished());
}

/// Reads with one leaf missing: how many bytes come out before it does.
fn bytes_without(order: Order, missing: usize) -> usize {
    let (store, root) = forty_leaves();
    let config = ReadConfig { order, window_bytes: 1024 * 1024, ..ReadConfig::default() };
    let missing = parts(&store, &parts(&store, &root)[0])[missing];
    let mut reader = Reader::new(root, config);
    let mut read = 0;
    loop {
        let asked = needs(&mut reader);
        asked
            .iter()
            .filter(|cid| **cid != missing)
            .for_each(|cid| assert_eq!(reader.supply(&store[cid]), Supplied::Used));
        let before = read;
        while let Some(output) = reader.poll_output() {
            if let Output::Data { bytes, .. } = output.unwrap() {
                read += bytes.len();
            }
        }
        if asked.is_empty() && read == before {
            assert!(reader.outstanding().any(|cid| *cid == missing));
            assert!(!reader.is_finished());
            return read;
        }
    }
}

#[test]
fn a_late_block_stalls_a_sequential_reader_and_no_other() {
    assert_eq!(bytes_without(Order::Sequential, 1), 256 * 1024);
    assert_eq!(bytes_without(Order::Arrival, 1), 39 * 256 * 1024);
}

#[test]
fn equal_blocks_are_asked_for_once_in_a_window_and_used_everywhere() {
    let (blocks, file) = import_bytes(Profile::V1.config(), vec![0; 100 * 256 * 1024].into());
    let store = store(blocks);
    let mut reader = Reader::new(file.cid, ReadConfig::default());
    let (mut asked, mut read) = (0, 0);
    while !reader.is_finished() {
        for cid in needs(&mut reader) {
            asked += 1;
            reader.supply(&store[&cid]);
        }
        while let Some(output) = reader.poll_output() {
            if let Output::Data { bytes, .. } = output.unwrap() {
                read += bytes.len();
            }
        }
    }
    assert_eq!(read, 100 * 256 * 1024);
    assert!(asked < 10, "{asked}");
}

#[test]
fn a_range_fetches_only_the_blocks_that_lead_to_it() {
    let (store, root) = forty_leaves();
    let leaf = 256 * 1024;
    let mut reader = Reader::with_range(root, ReadConfig::default(), 15 * leaf + 1..17 * leaf);
    let mut asked = Vec::new();
    while !reader.is_finished() {
        for cid in needs(&mut reader) {
            asked.push(cid);
            reader.supply(&store[&cid]);
        }
        while let Some(output) = reader.poll_output() {
            output.unwrap();
        }
    }
    let node = parts(&store, &root)[1];
    let leaves = parts(&store, &node);
    assert_eq!(asked, [root, node, leaves[5], leaves[6]]);
}

#[test]
fn a_chain_of_500_nodes_is_a_file() {
    let mut blocks: Vec<VerifiedBlock> = Vec::new();
    let (leaf_blocks, leaf) = import_bytes(Profile::V1.config(), "ab".into());
    blocks.extend(leaf_blocks);
    let (mut below, mut size) = (leaf.cid, 2u64);
    for _ in 0..500 {
        let node = common::file_node(&[(leaf.cid, 2), (below, size)]);
        below = *node.cid();
        size += 2;
        blocks.push(node);
    }
    let store = store(blocks);
    let events = common::walk_all(Walker::new(below, ReadConfig::default()), &store).unwrap();
    let read: usize =
        events.iter().map(|event| if let Event::Data { bytes, .. } = event { bytes.len() } else { 0 }).sum();
    assert_eq!(read, 1002);
}

/// A directory of files that are longer than its writer says.
#[test]
fn files_that_are_larger_than_declared_do_not_take_more_memory_than_the_window() {
    let mut stream = KeyStream::new("larger than declared");
    let config = ImportConfig { chunk_size: ChunkSize::MIB_1, ..Profile::V1.config() };
    let mut builder = DirectoryBuilder::new(config);
    let mut blocks = Vec::new();
    for index in 0..60 {
        let (file_blocks, file) = import_bytes(config, stream.next(100 * 1024));
        builder.add(format!("{index:02}"), file.cid, 1).unwrap();
        blocks.extend(file_blocks);
    }
    let directory = builder.finish().unwrap();
    blocks.extend(directory.blocks);
    let store = store(blocks);

    for order in [Order::Sequential, Order::Arrival] {
        let window = 1024 * 1024;
        let config = ReadConfig { order, window_bytes: window, ..ReadConfig::default() };
        let mut walker = Walker::new(directory.cid, config);
        let (mut read, mut files) = (0, BTreeSet::new());
        while !walker.is_finished() {
            // The first file comes last, and nothing is consumed before it.
            let mut asked: Vec<Cid> = std::iter::from_fn(|| walker.poll_need()).collect();
            asked.reverse();
            for cid in asked {
                walker.supply(&store[&cid]);
                assert!(walker.held_bytes() <= window + window / 4 + 100 * 1024);
            }
            while let Some(event) = walker.poll_event() {
                match event.unwrap() {
                    Event::Data { bytes, .. } => read += bytes.len(),
                    Event::File { path, .. } => assert!(files.insert(path), "no file twice"),
                    _ => {}
                }
            }
        }
        assert_eq!((read, files.len()), (60 * 100 * 1024, 60));
    }
}

#[test]
fn a_sharded_directory_is_listed_in_as_many_rounds_as_it_has_levels() {
    let config = Profile::V0.config();
    let (_, file) = import_bytes(config, "x".into());
    let mut names = KeyStream::new("rounds");
    let mut builder = DirectoryBuilder::new(config);
    for _ in 0..10_000 {
        builder.add(names.name(20), file.cid, 9).unwrap();
    }
    let directory = builder.finish().unwrap();
    let store: Store = store(directory.blocks);
    let mut walker =
        Walker::listing(directory.cid, ReadConfig { order: Order::Arrival, ..ReadConfig::default() });
    let (mut rounds, mut entries) = (0, 0);
    while !walker.is_finished() {
        let asked: Vec<Cid> = std::iter::from_fn(|| walker.poll_need()).collect();
        rounds += usize::from(!asked.is_empty());
        asked.iter().for_each(|cid| assert_eq!(walker.supply(&store[cid]), Supplied::Used));
        while let Some(event) = walker.poll_event() {
            entries += usize::from(matches!(event.unwrap(), Event::Entry { .. }));
        }
    }
    assert_eq!(entries, 10_000);
    assert!(store.len() > 250, "{}", store.len());
    assert!(rounds <= 5, "{rounds} rounds for {} blocks", store.len());
}

#[test]
fn listing_a_file_keeps_to_the_window() {
    let (store, root) = forty_leaves();
    let window = 1024 * 1024;
    let mut walker = Walker::listing(root, ReadConfig { window_bytes: window, ..ReadConfig::default() });
    let mut asked = 0;
    while let Some(cid) = walker.poll_need() {
        asked += 1;
        walker.supply(&store[&cid]);
    }
    assert!(asked <= 10, "{asked}");
    assert!(walker.held_bytes() <= window + window / 4);
}

#[test]
fn blocks_that_hold_themselves_are_never_asked_for() {
    let config = ImportConfig { inline_up_to: 64, ..Profile::V1.config() };
    let (_, file) = import_bytes(config, "inlined".into());
    let mut reader = Reader::new(file.cid, ReadConfig::default());
    assert_eq!(reader.poll_need(), None);
    let bytes = Bytes::from_static(b"inlined");
    assert_eq!(reader.poll_output(), Some(Ok(Output::Data { offset: 0, bytes })));
    assert_eq!(reader.poll_output(), Some(Ok(Output::End)));
    assert_eq!(reader.poll_output(), None);
}
