//! What every store does, told once for memory and once for a folder.
#![allow(clippy::too_many_lines, reason = "transcripts")]

mod common;

use std::fs;
use std::ops::ControlFlow;
use std::sync::Arc;

use bowline_block::{Cid, HashAlgorithm, VerifiedBlock, codec};
use bowline_blockstore::{
    BlockStore, Durability, MAX_KEY_LEN, MAX_VALUE_LEN, MemoryStore, OpenOptions, PutReport, Repository,
    Root, StoreError, Usage,
};
use bytes::Bytes;
use common::{block, list, open};

fn with_every_store(test: impl Fn(&dyn BlockStore)) {
    test(&MemoryStore::new());
    for durability in [Durability::Synced, Durability::Buffered] {
        let folder = tempfile::tempdir().unwrap();
        let options = OpenOptions { durability, segment_bytes: 10_000, ..OpenOptions::default() };
        test(&*Repository::open(folder.path(), options).unwrap().blocks());
    }
}

#[test]
fn a_block_comes_back_as_it_was_put() {
    with_every_store(|store| {
        let block = block(1, 3000);
        assert_eq!(store.get(block.hash()), Ok(None));
        assert_eq!(store.size(block.hash()), Ok(None));
        assert_eq!(store.has(block.hash()), Ok(false));

        assert_eq!(store.put(&block), Ok(PutReport { new_blocks: 1, new_bytes: 3000 }));
        assert_eq!(store.get(block.hash()), Ok(Some(block.data().clone())));
        assert_eq!(store.size(block.hash()), Ok(Some(3000)));
        assert_eq!(store.has(block.hash()), Ok(true));
    });
}

#[test]
fn a_block_put_twice_is_stored_once() {
    with_every_store(|store| {
        let (a, b) = (block(1, 100), block(2, 200));
        let report = store.put_many(&[a.clone(), b.clone(), a.clone()]).unwrap();
        assert_eq!(report, PutReport { new_blocks: 2, new_bytes: 300 });
        assert_eq!(store.put_many(&[b, a]), Ok(PutReport::default()));
        assert_eq!(store.usage(), Ok(Usage { blocks: 2, bytes: 300 }));
    });
}

#[test]
fn a_block_is_found_under_every_cid_of_its_multihash() {
    with_every_store(|store| {
        let v1 = VerifiedBlock::sha2_256(codec::DAG_PB, Bytes::from_static(b"node")).unwrap();
        let v0 = VerifiedBlock::v0(Bytes::from_static(b"node")).unwrap();
        store.put(&v1).unwrap();
        assert_eq!(store.get(v0.hash()), Ok(Some(v0.into_data())));
    });
}

#[test]
fn the_empty_block_and_the_longest_digest_are_blocks_like_others() {
    with_every_store(|store| {
        let empty = VerifiedBlock::sha2_256(codec::RAW, Bytes::new()).unwrap();
        let long = VerifiedBlock::new(codec::RAW, HashAlgorithm::Sha2_512, Bytes::from_static(b"x")).unwrap();
        let identity = VerifiedBlock::new(codec::RAW, HashAlgorithm::Identity, vec![7; 64].into()).unwrap();
        store.put_many(&[empty.clone(), long.clone(), identity.clone()]).unwrap();
        assert_eq!(store.get(empty.hash()), Ok(Some(Bytes::new())));
        assert_eq!(store.size(empty.hash()), Ok(Some(0)));
        assert_eq!(store.get(long.hash()), Ok(Some(long.into_data())));
        assert_eq!(store.get(identity.hash()), Ok(Some(identity.into_data())));
    });
}

#[test]
fn an_empty_batch_is_nothing() {
    with_every_store(|store| {
        assert_eq!(store.put_many(&[]), Ok(PutReport::default()));
        assert_eq!(store.delete_many(&[]), Ok(0));
        assert_eq!(store.sizes(&[]), Ok(vec![]));
    });
}

#[test]
fn a_deleted_block_is_gone_and_can_be_put_again() {
    with_every_store(|store| {
        let (a, b) = (block(1, 100), block(2, 200));
        store.put_many(&[a.clone(), b.clone()]).unwrap();
        assert_eq!(store.delete(a.hash()), Ok(true));
        assert_eq!(store.delete(a.hash()), Ok(false));
        assert_eq!(store.delete_many(&[*a.hash(), *b.hash(), *b.hash()]), Ok(1));
        assert_eq!(store.get(a.hash()), Ok(None));
        assert_eq!(store.usage(), Ok(Usage::default()));

        assert_eq!(store.put(&a), Ok(PutReport { new_blocks: 1, new_bytes: 100 }));
        assert_eq!(store.get(a.hash()), Ok(Some(a.into_data())));
    });
}

#[test]
fn sizes_come_in_the_order_asked_for() {
    with_every_store(|store| {
        let (a, b, absent) = (block(1, 100), block(2, 200), block(3, 300));
        store.put_many(&[a.clone(), b.clone()]).unwrap();
        let sizes = store.sizes(&[*b.hash(), *absent.hash(), *a.hash()]);
        assert_eq!(sizes, Ok(vec![Some(200), None, Some(100)]));
    });
}

#[test]
fn a_visit_sees_every_block_once_and_may_change_the_store() {
    with_every_store(|store| {
        let blocks: Vec<_> = (0..2500).map(|seed| block(seed, 20)).collect();
        store.put_many(&blocks).unwrap();
        let mut hashes: Vec<_> = blocks.iter().map(|block| *block.hash()).collect();
        hashes.sort();
        let seen: Vec<_> = list(store).into_iter().map(|(hash, _)| hash).collect();
        assert_eq!(seen, hashes);

        let mut visited = 0;
        let mut delete_half = |hash: &_, _: usize| {
            visited += 1;
            if visited % 100 == 0 {
                assert_eq!(store.delete(hash), Ok(true));
            }
            ControlFlow::Continue(())
        };
        store.for_each(&mut delete_half).unwrap();
        assert_eq!((visited, store.usage().unwrap().blocks), (2500, 2475));

        let mut first = 0;
        let mut stop = |_: &_, _: usize| {
            first += 1;
            ControlFlow::Break(())
        };
        store.for_each(&mut stop).unwrap();
        assert_eq!(first, 1);
    });
}

#[test]
fn threads_put_the_same_blocks_and_none_is_lost_or_counted_twice() {
    with_every_store(|store| {
        let blocks: Vec<_> = (0..60).map(|seed| block(seed, 500)).collect();
        let new: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|thread| {
                    let blocks = &blocks;
                    scope.spawn(move || {
                        let mine = blocks.iter().cycle().skip(thread * 15).take(45);
                        mine.map(|block| store.put(block).unwrap().new_blocks).sum::<usize>()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(new, 60);
        assert_eq!(store.usage(), Ok(Usage { blocks: 60, bytes: 30_000 }));
        assert_eq!(list(store).len(), 60);
    });
}

#[test]
fn a_capped_memory_store_refuses_a_batch_whole() {
    let store = MemoryStore::with_cap(250);
    let (a, b) = (block(1, 100), block(2, 200));
    assert_eq!(store.put_many(&[a.clone(), b.clone()]), Err(StoreError::CapReached { cap: 250 }));
    assert_eq!(store.usage(), Ok(Usage::default()));
    store.put(&b).unwrap();
    assert_eq!(store.put(&b), Ok(PutReport::default()));
    assert_eq!(store.put(&a), Err(StoreError::CapReached { cap: 250 }));
    store.delete(b.hash()).unwrap();
    store.put(&a).unwrap();
}

#[test]
fn a_repository_keeps_blocks_roots_and_values_when_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let kept = block(1, 5000);
    let root = Root { cid: *kept.cid(), added: 1_700_000_000, name: "photos".to_owned() };
    {
        let repository = open(folder.path());
        repository.blocks().put(&kept).unwrap();
        repository.add_root(&root.cid, root.added, &root.name).unwrap();
        repository.set_value("peers/a", b"1").unwrap();
    }
    let repository = open(folder.path());
    assert_eq!(repository.blocks().get(kept.hash()), Ok(Some(kept.data().clone())));
    assert_eq!(repository.roots(), Ok(vec![root]));
    assert_eq!(repository.value("peers/a"), Ok(Some(Bytes::from_static(b"1"))));
    assert_eq!(repository.key_path(), folder.path().join("key"));
}

#[test]
fn roots_are_listed_oldest_first_and_replaced_by_cid() {
    let folder = tempfile::tempdir().unwrap();
    let repository = open(folder.path());
    let (a, b) = (*block(1, 10).cid(), *block(2, 10).cid());
    repository.add_root(&a, 200, "a").unwrap();
    repository.add_root(&b, 100, "").unwrap();
    let names = |repository: &Repository| -> Vec<(Cid, String)> {
        repository.roots().unwrap().into_iter().map(|root| (root.cid, root.name)).collect()
    };
    assert_eq!(names(&repository), [(b, String::new()), (a, "a".to_owned())]);

    repository.add_root(&a, 50, "first").unwrap();
    assert_eq!(names(&repository), [(a, "first".to_owned()), (b, String::new())]);
    assert_eq!(repository.remove_root(&b), Ok(true));
    assert_eq!(repository.remove_root(&b), Ok(false));
    assert_eq!(names(&repository).len(), 1);
}

#[test]
fn values_are_found_by_key_and_by_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let repository = open(folder.path());
    for key in ["peer/b", "peer/a", "peers", "other"] {
        repository.set_value(key, key.as_bytes()).unwrap();
    }
    let keys: Vec<String> = repository.values("peer/").unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["peer/a", "peer/b"]);
    assert_eq!(repository.remove_value("peer/a"), Ok(true));
    assert_eq!(repository.remove_value("peer/a"), Ok(false));
    assert_eq!(repository.value("peer/a"), Ok(None));
}

#[test]
fn names_keys_and_values_have_limits() {
    let folder = tempfile::tempdir().unwrap();
    let repository = open(folder.path());
    let too_long = |what, max| Err(StoreError::TooLong { what, len: max + 1, max });
    let long_key = "k".repeat(MAX_KEY_LEN + 1);
    assert_eq!(repository.set_value(&long_key, b""), too_long("key", MAX_KEY_LEN));
    assert_eq!(repository.set_value(&long_key[1..], b""), Ok(()));
    let long_value = vec![0; MAX_VALUE_LEN + 1];
    assert_eq!(repository.set_value("k", &long_value), too_long("value", MAX_VALUE_LEN));
    let name = "n".repeat(4097);
    assert_eq!(repository.add_root(block(1, 1).cid(), 0, &name), too_long("name of a root", 4096));
}

#[test]
fn compaction_gives_the_space_of_deleted_blocks_back() {
    let folder = tempfile::tempdir().unwrap();
    let options = OpenOptions { segment_bytes: 100_000, ..OpenOptions::default() };
    let repository = Repository::open(folder.path(), options.clone()).unwrap();
    let store = repository.blocks();
    let blocks: Vec<_> = (0..100).map(|seed| block(seed, 5000)).collect();
    store.put_many(&blocks).unwrap();
    assert_eq!(store.compact(), Ok(0), "nothing is dead yet");

    let (kept, deleted): (Vec<_>, Vec<_>) = blocks.into_iter().enumerate().partition(|(i, _)| i % 5 == 0);
    let hashes: Vec<_> = deleted.iter().map(|(_, block)| *block.hash()).collect();
    assert_eq!(store.delete_many(&hashes), Ok(80));
    let before = pack_bytes(&repository);
    let reclaimed = store.compact().unwrap();
    let after = pack_bytes(&repository);
    assert_eq!(before - after, reclaimed);
    assert!(after < 150_000, "{after} bytes for 100,000 bytes of blocks");

    for reopened in [false, true] {
        let held = list(&*store);
        assert_eq!(held.len(), 20, "reopened: {reopened}");
        assert!(kept.iter().all(|(_, block)| store.has(block.hash()).unwrap()));
    }
    drop((store, repository));
    let repository = Repository::open(folder.path(), options).unwrap();
    assert_eq!(list(&*repository.blocks()).len(), 20);
}

fn pack_bytes(repository: &Repository) -> u64 {
    let packs = fs::read_dir(repository.folder().join("blocks")).unwrap();
    packs
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "pack"))
        .map(|entry| entry.metadata().unwrap().len())
        .sum()
}

#[test]
fn readers_and_writers_go_on_during_compaction() {
    let folder = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        segment_bytes: 50_000,
        durability: Durability::Buffered,
        verify_reads: true,
        ..OpenOptions::default()
    };
    let store = Repository::open(folder.path(), options).unwrap().blocks();
    let kept: Vec<_> = (0..50).map(|seed| block(seed, 2000)).collect();
    store.put_many(&kept).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn({
            let store = Arc::clone(&store);
            move || {
                for seed in 1000..1100 {
                    let garbage = block(seed, 2000);
                    store.put(&garbage).unwrap();
                    store.delete(garbage.hash()).unwrap();
                    if seed % 10 == 0 {
                        store.compact().unwrap();
                    }
                }
            }
        });
        while !writer.is_finished() {
            for block in &kept {
                assert_eq!(store.get(block.hash()), Ok(Some(block.data().clone())));
            }
        }
    });
    store.compact().unwrap();
    assert_eq!(list(&*store).len(), 50);
}
