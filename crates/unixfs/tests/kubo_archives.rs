//! Trees that Kubo wrote, from the test data of boxo's gateway (MIT OR Apache-2.0).

mod common;

use std::collections::BTreeMap;

use bowline_block::Cid;
use bowline_unixfs::{Event, Lookup, Name, Order, ReadConfig, Step, Walker};
use common::{Export, Store, Tree, read_car, walk_all};

fn archive(bytes: &[u8]) -> Store {
    read_car(bytes).into_iter().map(|block| (*block.cid(), block)).collect()
}

#[test]
fn modes_and_times_of_a_tree_are_exposed() {
    let store = archive(include_bytes!("vectors/unixfs-dir-with-mode-mtime.car"));
    let root = Cid::try_from("bafybeifup24mfbx6iv4xo7k664gzlezzurdnyb36pogxulrb7ed23cxtym").unwrap();
    let mut found = BTreeMap::new();
    for event in walk_all(Walker::new(root, ReadConfig::default()), &store).unwrap() {
        if let Event::Directory { path, metadata, .. }
        | Event::File { path, metadata, .. }
        | Event::Symlink { path, metadata, .. } = event
        {
            found.insert(path.to_string(), (metadata.mode, metadata.modified.map(|time| time.seconds)));
        }
    }
    let expected = [
        ("", Some(0o700), 1_655_158_632),
        ("dir1", Some(0o755), 1_655_158_722),
        ("dir2", Some(0o755), 1_655_158_682),
        ("dir2/sub1", Some(0o755), 1_655_158_672),
        ("dir2/sub1/link1", None, 1_655_158_652),
        ("dir2/sub1/sub2", Some(0o755), 1_655_158_662),
        ("dir2/sub1/sub2/file3", Some(0o644), 1_655_158_642),
        ("dir3", Some(0o755), 1_655_158_702),
        ("dir3/file2", Some(0o644), 1_655_158_692),
        ("file1", Some(0o644), 1_655_158_712),
    ];
    let expected = expected.map(|(path, mode, seconds)| (path.to_owned(), (mode, Some(seconds))));
    assert_eq!(found, BTreeMap::from(expected));
}

const MULTILAYER: &[u8] = include_bytes!("vectors/directory-with-multilayer-hamt-and-multiblock-files.car");
const MULTILAYER_ROOT: &str = "bafybeid3fd2xxdcd3dbj7trb433h2aqssn6xovjbwnkargjv7fuog4xjdi";

#[test]
fn shards_within_shards_and_files_of_several_blocks_are_read() {
    let store = archive(MULTILAYER);
    for order in [Order::Sequential, Order::Arrival] {
        let config = ReadConfig { order, ..ReadConfig::default() };
        let root = Cid::try_from(MULTILAYER_ROOT).unwrap();
        let mut export = Export::default();
        for event in walk_all(Walker::new(root, config), &store).unwrap() {
            export.take(event);
        }
        let paths = export.finish();
        let files = paths.iter().filter_map(|(path, entry)| match entry {
            Tree::File(content) => Some((path.as_str(), content.len())),
            _ => None,
        });
        let expected = [
            ("basicDir/exampleA", 1026),
            ("basicDir/exampleB", 887),
            ("hamtDir/exampleA", 1026),
            ("hamtDir/exampleB", 887),
            ("hamtDir/exampleC-hamt-collide-exampleA-seed-52", 962),
            ("hamtDir/exampleD-hamt-collide-exampleB-seed-364", 1283),
        ];
        assert_eq!(files.collect::<Vec<_>>(), expected);
        assert_eq!(paths["basicDir/exampleA"], paths["hamtDir/exampleA"]);
    }
}

/// Follows a path from the root: the entry's CID, or `None`.
fn resolve(store: &Store, path: &[&'static str]) -> Option<Cid> {
    let mut cid = Cid::try_from(MULTILAYER_ROOT).unwrap();
    for name in path {
        let mut lookup = Lookup::new(Name::new(*name).unwrap());
        cid = loop {
            match lookup.step(&store[&cid]).unwrap() {
                Step::Found(entry) => break entry.cid,
                Step::Descend(shard) => cid = shard,
                Step::Absent => return None,
            }
        };
    }
    Some(cid)
}

#[test]
fn names_are_found_in_directories_and_through_shards() {
    let store = archive(MULTILAYER);
    let found = resolve(&store, &["hamtDir", "exampleA"]).unwrap();
    assert_eq!(found.to_string(), "bafybeigcisqd7m5nf3qmuvjdbakl5bdnh4ocrmacaqkpuh77qjvggmt2sa");
    assert_eq!(resolve(&store, &["basicDir", "exampleA"]), Some(found));
    assert!(resolve(&store, &["hamtDir", "exampleC-hamt-collide-exampleA-seed-52"]).is_some());
    assert_eq!(resolve(&store, &["hamtDir", "exampleE"]), None);
    assert_eq!(resolve(&store, &["basicDir", "exampleC"]), None);
}
