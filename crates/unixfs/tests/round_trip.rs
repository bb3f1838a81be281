//! What goes in comes out: in any split, order and window, within the memory that was promised.

#![allow(clippy::too_many_lines, reason = "transcripts")]

mod common;

use std::collections::BTreeMap;

use bowline_block::{Cid, VerifiedBlock, Version, codec};
use bowline_unixfs::dag_pb::{PbLink, PbNode};
use bowline_unixfs::data::UnixFs;
use bowline_unixfs::{
    ChunkSize, Event, FileImporter, ImportConfig, Kind, MaxLinks, Order, Output, ReadConfig, Reader,
    Sharding, Supplied, Walker, import_bytes,
};
use bytes::Bytes;
use common::{Export, Store, Tree, flatten, import_tree};
use proptest::prelude::*;

fn import_config() -> impl Strategy<Value = ImportConfig> {
    (1..80usize, 2..6usize, any::<bool>(), any::<bool>(), 0..70usize, any::<bool>()).prop_map(
        |(chunk, links, raw_leaves, v1, inline_up_to, shards)| ImportConfig {
            chunk_size: ChunkSize::new(chunk).unwrap(),
            max_links: MaxLinks::new(links).unwrap(),
            raw_leaves,
            cid_version: if v1 { Version::V1 } else { Version::V0 },
            inline_up_to: inline_up_to.saturating_sub(40),
            sharding: Sharding::NamesAndCids(if shards { 0 } else { 1 << 18 }),
            ..ImportConfig::default()
        },
    )
}

fn read_config() -> impl Strategy<Value = ReadConfig> {
    let node_bytes = prop_oneof![Just(16 << 20), 600..4000usize];
    (0..20usize, 0..3000u64, node_bytes, any::<bool>()).prop_map(
        |(window_blocks, window_bytes, node_bytes, arrival)| ReadConfig {
            window_blocks,
            window_bytes,
            node_bytes,
            order: if arrival { Order::Arrival } else { Order::Sequential },
            ..ReadConfig::default()
        },
    )
}

/// Repeats itself, so that equal blocks stand at several places.
fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..2000),
        (any::<u8>(), 0..2000usize).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

/// Makes one choice after another from a finite list, again and again.
#[derive(Debug)]
struct Choices(Vec<u16>, usize);

impl Choices {
    fn below(&mut self, bound: usize) -> usize {
        self.1 += 1;
        // The stride keeps a list of equal numbers from choosing the same thing for ever.
        (usize::from(self.0[self.1 % self.0.len()]) + self.1 / self.0.len()) % bound
    }
}

fn choices() -> impl Strategy<Value = Choices> {
    prop::collection::vec(any::<u16>(), 1..200).prop_map(|list| Choices(list, 0))
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..400).prop_map(Tree::File),
        1 => prop::collection::vec(1..=255u8, 1..30).prop_map(Tree::Symlink),
    ];
    leaf.prop_recursive(4, 60, 12, |entry| {
        prop::collection::btree_map("[a-z]{1,8}", entry, 0..12).prop_map(Tree::Directory)
    })
}

fn store_of(config: ImportConfig, content: &[u8]) -> (Store, Cid) {
    let (blocks, file) = import_bytes(config, Bytes::copy_from_slice(content));
    (blocks.into_iter().map(|block| (*block.cid(), block)).collect(), file.cid)
}

/// The balanced tree by its definition: leaves in groups, groups in groups, until one is left.
fn balanced(content: &[u8], chunk: usize, max_links: usize) -> Cid {
    let leaves = content.chunks(chunk);
    let leaves =
        leaves.map(|leaf| VerifiedBlock::sha2_256(codec::RAW, Bytes::copy_from_slice(leaf)).unwrap());
    // CID, content below, blocks below.
    let mut level: Vec<(Cid, u64, u64)> =
        leaves.map(|leaf| (*leaf.cid(), leaf.len() as u64, leaf.len() as u64)).collect();
    while level.len() > 1 {
        level = level.chunks(max_links).map(parent).collect();
    }
    level[0].0
}

fn parent(group: &[(Cid, u64, u64)]) -> (Cid, u64, u64) {
    let size = group.iter().map(|(_, size, _)| size).sum();
    let message = UnixFs {
        file_size: Some(size),
        block_sizes: group.iter().map(|(_, size, _)| *size).collect(),
        ..UnixFs::new(Kind::File)
    };
    let links = group.iter().map(|(cid, _, tsize)| PbLink {
        cid: *cid,
        name: Some(Bytes::new()),
        tsize: Some(*tsize),
    });
    let node = PbNode { links: links.collect(), data: Some(message.encode()) };
    let block = VerifiedBlock::sha2_256(codec::DAG_PB, node.encode()).unwrap();
    let below: u64 = group.iter().map(|(_, _, tsize)| tsize).sum();
    (*block.cid(), size, below + block.len() as u64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_split_of_the_input_gives_the_same_blocks(
        config in import_config(),
        content in content(),
        mut choices in choices(),
    ) {
        let (blocks, file) = import_bytes(config, content.clone().into());
        let mut rest = Bytes::from(content);
        let mut importer = FileImporter::new(config);
        let (mut streamed, mut hashed) = (Vec::new(), Vec::new());
        while !rest.is_empty() {
            let len = 1 + choices.below(rest.len().min(100));
            importer.push(rest.split_to(len));
            hashed.extend(std::iter::from_fn(|| importer.poll_leaf()).map(|leaf| leaf.hash()));
            prop_assert!(importer.buffered() < config.chunk_size.bytes());
            if choices.below(3) == 0 {
                let leaf = choices.below(hashed.len().max(1));
                if leaf < hashed.len() {
                    importer.supply(hashed.swap_remove(leaf)).unwrap();
                }
            }
            streamed.extend(std::iter::from_fn(|| importer.poll_block()));
        }
        importer.finish();
        hashed.extend(std::iter::from_fn(|| importer.poll_leaf()).map(|leaf| leaf.hash()));
        for leaf in hashed {
            prop_assert_eq!(importer.poll_finished(), None);
            importer.supply(leaf).unwrap();
        }
        streamed.extend(std::iter::from_fn(|| importer.poll_block()));
        prop_assert_eq!(importer.poll_finished(), Some(file));

        let sorted = |mut blocks: Vec<_>| { blocks.sort_by_key(|block: &bowline_block::VerifiedBlock| *block.cid()); blocks };
        prop_assert_eq!(file.dag_size, blocks.iter().map(|block| block.len() as u64).sum::<u64>());
        prop_assert_eq!(sorted(streamed), sorted(blocks));
    }

    #[test]
    fn the_tree_is_balanced_at_every_length(
        chunk in 1..8usize,
        max_links in 2..5usize,
        content in prop::collection::vec(any::<u8>(), 1..600),
    ) {
        let config = ImportConfig {
            chunk_size: ChunkSize::new(chunk).unwrap(),
            max_links: MaxLinks::new(max_links).unwrap(),
            ..ImportConfig::default()
        };
        let (_, file) = import_bytes(config, content.clone().into());
        prop_assert_eq!(file.cid, balanced(&content, chunk, max_links));
    }

    #[test]
    fn a_file_is_read_back_in_any_order_and_window(
        import in import_config(),
        read in read_config(),
        content in content(),
        mut choices in choices(),
    ) {
        let (store, root) = store_of(import, &content);
        let mut reader = Reader::new(root, read.clone());
        let mut asked: Vec<Cid> = Vec::new();
        let mut out = vec![None; content.len()];
        let mut next = 0;
        let mut steps = 0;
        while !reader.is_finished() {
            steps += 1;
            prop_assert!(steps < 200_000, "the reader goes on");
            while let Some(cid) = reader.poll_need() {
                prop_assert!(!asked.contains(&cid), "asked once while waited for");
                asked.push(cid);
            }
            prop_assert!(asked.iter().all(|cid| reader.outstanding().any(|other| other == cid)));
            prop_assert!(reader.walker().held_blocks() <= 2 * (read.window_blocks * 5 / 4 + 2));
            // What is next may exceed the window by one block, or by what is set aside for one node.
            let one = (content.len() as u64).max(64 * 1024);
            prop_assert!(reader.walker().held_bytes() <= read.window_bytes * 5 / 4 + one);
            prop_assert!(reader.walker().node_bytes() <= 4 * read.node_bytes);
            if !asked.is_empty() && choices.below(3) > 0 {
                let cid = asked.swap_remove(choices.below(asked.len()));
                prop_assert_eq!(reader.supply(&store[&cid]), Supplied::Used);
                prop_assert_eq!(reader.supply(&store[&cid]), Supplied::NotWanted);
            } else {
                match reader.poll_output() {
                    Some(Ok(Output::Data { offset, bytes })) => {
                        let offset = usize::try_from(offset).unwrap();
                        if read.order == Order::Sequential {
                            prop_assert_eq!(offset, next, "no gap and no step back");
                        }
                        next += bytes.len();
                        for (slot, byte) in out[offset..].iter_mut().zip(&bytes) {
                            prop_assert!(slot.replace(*byte).is_none(), "no byte twice");
                        }
                    }
                    Some(Ok(Output::End)) => prop_assert_eq!(next, content.len()),
                    Some(Err(error)) => prop_assert!(false, "{}", error),
                    None => {}
                }
            }
        }
        prop_assert_eq!(reader.file_size(), Some(content.len() as u64));
        prop_assert_eq!(out.into_iter().collect::<Option<Vec<u8>>>(), Some(content));
    }

    #[test]
    fn a_range_holds_its_bytes_and_nothing_else(
        import in import_config(),
        content in content(),
        start in 0..2100u64,
        len in 0..700u64,
    ) {
        let (store, root) = store_of(import, &content);
        let mut reader = Reader::with_range(root, ReadConfig::default(), start..start + len);
        let mut read = Vec::new();
        while !reader.is_finished() {
            while let Some(cid) = reader.poll_need() {
                reader.supply(&store[&cid]);
            }
            while let Some(output) = reader.poll_output() {
                if let Output::Data { offset, bytes } = output.unwrap() {
                    prop_assert_eq!(offset, start + read.len() as u64);
                    read.extend_from_slice(&bytes);
                }
            }
        }
        let start = usize::try_from(start).unwrap().min(content.len());
        let end = (start + usize::try_from(len).unwrap()).min(content.len());
        prop_assert_eq!(&read[..], &content[start..end]);
    }

    #[test]
    fn a_tree_is_walked_back_in_any_order_and_window(
        import in import_config(),
        read in read_config(),
        tree in tree(),
        mut choices in choices(),
    ) {
        let mut store = Store::new();
        let (root, _) = import_tree(&import, &tree, &mut store);
        let mut walker = Walker::new(root, ReadConfig { node_bytes: read.node_bytes.max(6000), ..read });
        let (mut export, mut asked, mut steps) = (Export::default(), Vec::new(), 0);
        while !walker.is_finished() {
            steps += 1;
            prop_assert!(steps < 200_000, "the walk goes on");
            asked.extend(std::iter::from_fn(|| walker.poll_need()));
            if !asked.is_empty() && choices.below(2) == 0 {
                let cid = asked.swap_remove(choices.below(asked.len()));
                prop_assert_eq!(walker.supply(&store[&cid]), Supplied::Used);
            } else if let Some(event) = walker.poll_event() {
                export.take(event.unwrap());
            }
        }
        prop_assert_eq!(export.finish(), flatten(&tree));
    }

    #[test]
    fn a_listing_names_every_entry_once(
        import in import_config(),
        read in read_config(),
        names in prop::collection::btree_map("[a-z]{1,8}", 0..1000u64, 0..300),
    ) {
        let (_, file) = import_bytes(import, "x".into());
        let mut builder = bowline_unixfs::DirectoryBuilder::new(import);
        for (name, tsize) in &names {
            builder.add(name.clone(), file.cid, *tsize).unwrap();
        }
        let directory = builder.finish().unwrap();
        let store: Store = directory.blocks.into_iter().map(|block| (*block.cid(), block)).collect();
        let walker = Walker::listing(directory.cid, ReadConfig { node_bytes: 16 << 20, ..read });
        let mut listed = BTreeMap::new();
        for event in common::walk_all(walker, &store).unwrap() {
            if let Event::Entry { path, tsize, cid } = event {
                prop_assert_eq!(cid, file.cid);
                prop_assert_eq!(listed.insert(path.to_str().unwrap().to_owned(), tsize), None);
            }
        }
        prop_assert_eq!(listed, names);
    }
}
