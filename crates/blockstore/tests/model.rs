//! A repository against a store in memory, over any sequence of operations, closings and crashes.

mod common;

use std::path::Path;

use bowline_block::{Multihash, VerifiedBlock};
use bowline_blockstore::{BlockStore, Durability, MemoryStore, OpenOptions, Repository};
use common::{block, copy_folder, list};
use proptest::prelude::*;

const POOL: usize = 24;

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<usize>),
    Delete(Vec<usize>),
    Compact,
    Close,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let some = || prop::collection::vec(0..POOL, 1..8);
    prop_oneof![
        6 => some().prop_map(Step::Put),
        4 => some().prop_map(Step::Delete),
        1 => Just(Step::Compact),
        1 => Just(Step::Close),
        2 => Just(Step::Crash),
    ]
}

fn pool() -> Vec<VerifiedBlock> {
    (0..POOL).map(|seed| block(seed as u64, 8 + seed * 40)).collect()
}

fn open(folder: &Path, segment_bytes: u64) -> Repository {
    let options = OpenOptions {
        segment_bytes,
        durability: Durability::Buffered,
        verify_reads: true,
        ..OpenOptions::default()
    };
    Repository::open(folder, options).unwrap()
}

fn apply(step: &Step, pool: &[VerifiedBlock], store: &dyn BlockStore, model: &MemoryStore) {
    match step {
        Step::Put(which) => {
            let blocks: Vec<VerifiedBlock> = which.iter().map(|index| pool[*index].clone()).collect();
            assert_eq!(store.put_many(&blocks), model.put_many(&blocks));
        }
        Step::Delete(which) => {
            let hashes: Vec<Multihash> = which.iter().map(|index| *pool[*index].hash()).collect();
            assert_eq!(store.delete_many(&hashes), model.delete_many(&hashes));
        }
        Step::Compact => drop(store.compact().unwrap()),
        Step::Close | Step::Crash => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn a_repository_does_what_a_store_in_memory_does(
        steps in prop::collection::vec(step(), 1..24),
        segment_bytes in prop::sample::select(vec![1_u64, 1500, 6000, 1 << 30]),
    ) {
        let (pool, model, folders) = (pool(), MemoryStore::new(), tempfile::tempdir().unwrap());
        let mut folder = folders.path().join("0");
        let mut repository = open(&folder, segment_bytes);
        for (number, step) in steps.iter().enumerate() {
            apply(step, &pool, &*repository.blocks(), &model);
            match step {
                Step::Close => {
                    drop(repository);
                    repository = open(&folder, segment_bytes);
                }
                Step::Crash => {
                    let found = folders.path().join((number + 1).to_string());
                    copy_folder(&folder, &found);
                    folder = found;
                    repository = open(&folder, segment_bytes);
                }
                Step::Put(_) | Step::Delete(_) | Step::Compact => {}
            }
            let store = repository.blocks();
            prop_assert_eq!(list(&*store), list(&model));
            prop_assert_eq!(store.usage(), model.usage());
            let hashes: Vec<Multihash> = pool.iter().map(|block| *block.hash()).collect();
            prop_assert_eq!(store.sizes(&hashes), model.sizes(&hashes));
        }
    }
}
