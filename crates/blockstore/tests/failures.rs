//! Disks that are full, read-only or damaged, and folders of somebody else.
#![allow(clippy::too_many_lines, reason = "transcripts")]

mod common;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use bowline_blockstore::{OpenOptions, PutReport, Repository, StoreError, Usage};
use common::{CHILD_FOLDER, block, child, list, open};

fn refusal(folder: &Path) -> StoreError {
    Repository::open(folder, OpenOptions::default()).unwrap_err()
}

#[test]
fn a_folder_with_other_things_in_it_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.tex"), "…").unwrap();
    assert_eq!(refusal(folder.path()), StoreError::NotARepository { folder: folder.path().to_owned() });
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_folder_is_made_only_when_asked_for() {
    let parent = tempfile::tempdir().unwrap();
    let options = OpenOptions { create: false, ..OpenOptions::default() };
    let absent = parent.path().join("absent");
    let refused = Repository::open(&absent, options.clone()).unwrap_err();
    assert!(matches!(&refused, StoreError::Io { path, .. } if *path == absent), "{refused}");
    let refused = Repository::open(parent.path(), options.clone()).unwrap_err();
    assert_eq!(refused, StoreError::NotARepository { folder: parent.path().to_owned() });

    drop(open(&absent));
    Repository::open(&absent, options).unwrap();
}

#[test]
fn a_start_that_was_interrupted_is_continued() {
    for left in [&["lock"][..], &["lock", "version.new"], &["key"]] {
        let folder = tempfile::tempdir().unwrap();
        for name in left {
            File::create(folder.path().join(name)).unwrap();
        }
        drop(open(folder.path()));
        assert_eq!(fs::read_to_string(folder.path().join("version")).unwrap(), "bowline repository 1\n");
    }
}

#[test]
fn a_repository_of_another_version_says_which() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    for (text, found) in
        [("bowline repository 2\n", "bowline repository 2"), ("", ""), ("\u{fffd}", "\u{fffd}")]
    {
        fs::write(folder.path().join("version"), text).unwrap();
        let expected = StoreError::Version {
            folder: folder.path().to_owned(),
            found: found.to_owned(),
            supported: "bowline repository 1",
        };
        assert_eq!(refusal(folder.path()), expected);
    }
}

#[test]
fn damaged_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).blocks().put(&block(1, 1000)).unwrap();
    let pack = folder.path().join("blocks/00000001.pack");
    let good = fs::read(&pack).unwrap();
    let corrupt = |folder: &Path| match refusal(folder) {
        StoreError::Corrupt { path, .. } => path,
        other => panic!("{other}"),
    };

    fs::write(&pack, &good[..good.len() - 1]).unwrap();
    assert_eq!(corrupt(folder.path()), pack, "shorter than its index says");
    let mut other = good.clone();
    other[0] ^= 1;
    fs::write(&pack, &other).unwrap();
    assert_eq!(corrupt(folder.path()), pack, "begins as another file");
    fs::remove_file(&pack).unwrap();
    assert_eq!(corrupt(folder.path()), pack, "missing");
    fs::write(&pack, &good).unwrap();
    drop(open(folder.path()));

    let meta = folder.path().join("meta.redb");
    fs::write(&meta, vec![7; 10_000]).unwrap();
    assert_eq!(corrupt(folder.path()), meta);
}

#[test]
fn an_index_with_any_page_overwritten_is_an_error_and_not_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let blocks: Vec<_> = (0..200).map(|seed| block(seed, 10)).collect();
    open(folder.path()).blocks().put_many(&blocks).unwrap();
    let index = folder.path().join("blocks/index.redb");
    let good = fs::read(&index).unwrap();
    let pages = good.len() / 4096;
    for page in (0..pages).step_by((pages / 12).max(1)) {
        let mut bad = good.clone();
        bad[page * 4096..(page + 1) * 4096].fill(0xa5);
        fs::write(&index, &bad).unwrap();
        match Repository::open(folder.path(), OpenOptions::default()) {
            Ok(repository) => assert_eq!(list(&*repository.blocks()).len(), 200, "an unused page"),
            Err(StoreError::Corrupt { path, .. }) => assert_eq!(path, index),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn a_block_that_rots_on_the_disk_is_named_when_reads_are_verified() {
    let folder = tempfile::tempdir().unwrap();
    let (rotten, sound) = (block(1, 1000), block(2, 1000));
    open(folder.path()).blocks().put_many(&[rotten.clone(), sound.clone()]).unwrap();
    let pack = folder.path().join("blocks/00000001.pack");
    let mut bytes = fs::read(&pack).unwrap();
    bytes[500] ^= 1;
    fs::write(&pack, bytes).unwrap();

    let options = OpenOptions { verify_reads: true, ..OpenOptions::default() };
    let store = Repository::open(folder.path(), options).unwrap().blocks();
    let expected = StoreError::CorruptBlock { block: Box::new(*rotten.hash()), path: pack };
    assert_eq!(store.get(rotten.hash()), Err(expected.clone()));
    assert!(expected.to_string().contains(&rotten.cid().to_string()));
    assert_eq!(store.get(sound.hash()), Ok(Some(sound.into_data())));

    // It can be let go of and stored again.
    assert_eq!(store.delete(rotten.hash()), Ok(true));
    store.put(&rotten).unwrap();
    assert_eq!(store.get(rotten.hash()), Ok(Some(rotten.into_data())));
}

/// Flips a bit of the one byte at `offset` of the first pack.
fn damage(folder: &Path, offset: usize) {
    let pack = folder.join("blocks/00000001.pack");
    let mut bytes = fs::read(&pack).unwrap();
    bytes[offset] ^= 1;
    fs::write(&pack, bytes).unwrap();
}

#[test]
fn a_block_that_is_damaged_is_mended_by_storing_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let block = block(1, 1);
    open(folder.path()).blocks().put(&block).unwrap();
    let pack_len = fs::metadata(folder.path().join("blocks/00000001.pack")).unwrap().len();
    damage(folder.path(), usize::try_from(pack_len).unwrap() - 1);

    let repository = open(folder.path());
    let store = repository.blocks();
    // It was held before, so it is not new.
    assert_eq!(store.put(&block), Ok(PutReport::default()));
    assert_eq!(store.get(block.hash()), Ok(Some(block.data().clone())));
    assert_eq!(store.usage(), Ok(Usage { blocks: 1, bytes: 1 }));

    // What is held intact is not written a second time.
    let mended_len = fs::metadata(folder.path().join("blocks/00000001.pack")).unwrap().len();
    store.put(&block).unwrap();
    assert_eq!(fs::metadata(folder.path().join("blocks/00000001.pack")).unwrap().len(), mended_len);
    drop((store, repository));

    // The new copy is what is found after a crash, in a new index, and after the old copy was compacted away.
    let crashed = tempfile::tempdir().unwrap();
    common::copy_folder(folder.path(), crashed.path());
    fs::remove_file(crashed.path().join("blocks/index.redb")).unwrap();
    for folder in [folder.path(), crashed.path()] {
        let store = open(folder).blocks();
        assert_eq!(list(&*store), [(*block.hash(), 1)]);
        store.compact().unwrap();
        assert_eq!(list(&*store), [(*block.hash(), 1)]);
    }
}

#[test]
fn a_block_whose_pack_was_cut_short_is_mended_by_storing_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let block = block(1, 1000);
    let store = open(folder.path()).blocks();
    store.put(&block).unwrap();
    let pack = folder.path().join("blocks/00000001.pack");
    File::options().write(true).open(&pack).unwrap().set_len(600).unwrap();
    store.put(&block).unwrap();
    assert_eq!(store.get(block.hash()), Ok(Some(block.into_data())));
}

#[test]
fn a_pack_cut_short_behind_our_back_names_the_block() {
    let folder = tempfile::tempdir().unwrap();
    let lost = block(1, 1000);
    let store = open(folder.path()).blocks();
    store.put(&lost).unwrap();
    let pack = folder.path().join("blocks/00000001.pack");
    File::options().write(true).open(&pack).unwrap().set_len(600).unwrap();
    let expected = StoreError::CorruptBlock { block: Box::new(*lost.hash()), path: pack };
    assert_eq!(store.get(lost.hash()), Err(expected));
}

#[test]
fn a_folder_that_may_not_be_written_is_read_only() {
    // Whoever runs the tests as root may write everywhere but here.
    let folder = PathBuf::from("/sys/kernel/bowline");
    if cfg!(target_os = "linux") {
        assert_eq!(refusal(&folder), StoreError::ReadOnly { folder });
    }

    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let mut permissions = fs::metadata(folder.path().join("lock")).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(folder.path().join("lock"), permissions).unwrap();
    let may_write_anyway = File::options().write(true).open(folder.path().join("lock")).is_ok();
    if !may_write_anyway {
        assert_eq!(refusal(folder.path()), StoreError::ReadOnly { folder: folder.path().to_owned() });
    }
}

/// Not a test by itself: writes until files may grow no further, and goes on reading then.
#[test]
fn writes_until_the_disk_is_full() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else {
        return;
    };
    let folder = Path::new(&folder);
    let len = std::env::var("BOWLINE_STORE_BLOCK_LEN").unwrap().parse().unwrap();
    let per_batch = std::env::var("BOWLINE_STORE_BATCH").unwrap().parse::<u64>().unwrap();
    let repository = open(folder);
    let store = repository.blocks();
    let mut stored = 0;
    let error = loop {
        let blocks: Vec<_> = (stored..stored + per_batch).map(|seed| block(seed, len)).collect();
        match store.put_many(&blocks) {
            Ok(_) => stored += per_batch,
            Err(error) => break error,
        }
    };
    assert_eq!(error, StoreError::Full { folder: folder.to_owned() });
    assert!(stored > 0);
    for block in (0..stored).map(|seed| block(seed, len)) {
        match store.get(block.hash()) {
            Ok(data) => assert_eq!(data, Some(block.into_data()), "of {stored} blocks"),
            // Where there is no room even to complete the index, the store says so and does not deny the block.
            Err(refused) => assert_eq!((refused, len < 100), (error.clone(), true)),
        }
    }
    // Nothing is stuck: a block either fits after all or is refused for the same reason.
    let large = block(u64::MAX, 1_500_000);
    match store.put(&large) {
        Ok(_) => assert_eq!(store.get(large.hash()), Ok(Some(large.into_data()))),
        Err(refused) => assert_eq!(refused, error),
    }
    fs::write(folder.join("key"), stored.to_string()).unwrap();
}

/// Runs the test above with files limited to `file_kib` KiB; how many blocks it stored.
fn fill(folder: &Path, file_kib: u64, block_len: u64, batch: u64) -> u64 {
    let test = child("writes_until_the_disk_is_full", folder);
    // Without the trap the signal for too long files ends the process.
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", file_kib * 2);
    let mut shell = Command::new("sh");
    shell.args(["-c", &script, "sh"]).arg(test.get_program()).args(test.get_args());
    shell.env(CHILD_FOLDER, folder);
    shell.env("BOWLINE_STORE_BLOCK_LEN", block_len.to_string()).env("BOWLINE_STORE_BATCH", batch.to_string());
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read_to_string(folder.join("key")).unwrap().parse().unwrap()
}

#[test]
fn a_disk_that_fills_up_with_packs_tears_nothing_and_is_read_on() {
    let folder = tempfile::tempdir().unwrap();
    let stored = fill(folder.path(), 8 * 1024, 262_144, 5);
    let store = open(folder.path()).blocks();
    assert_eq!(list(&*store).len() as u64, stored);
    store.put(&block(u64::MAX, 1_500_000)).unwrap();
}

#[test]
fn a_disk_that_fills_up_with_the_index_tears_nothing_and_is_read_on() {
    let folder = tempfile::tempdir().unwrap();
    // Blocks so small that the index grows faster than the pack.
    let stored = fill(folder.path(), 3 * 1024, 8, 500);
    let store = open(folder.path()).blocks();
    // The batch that failed may have reached the pack, and the large block after it.
    let held = list(&*store).len() as u64;
    assert!((stored..=stored + 501).contains(&held), "{held} held, {stored} acknowledged");
}
