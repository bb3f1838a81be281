//! Ends of processes and of power, in the middle of everything.
#![allow(clippy::too_many_lines, reason = "transcripts")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use bowline_block::{Multihash, VerifiedBlock};
use bowline_blockstore::{OpenOptions, Repository, StoreError};
use common::{CHILD_FOLDER, block, child, copy_folder, list, open};

fn say(line: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

fn small_packs() -> OpenOptions {
    OpenOptions { segment_bytes: 2 * 1024 * 1024, ..OpenOptions::default() }
}

/// The block that the writing child puts under this number.
fn numbered(number: u64) -> VerifiedBlock {
    let len = [40, 1024, 70_000, 262_144][usize::try_from(number % 4).unwrap()];
    block(number, len)
}

/// Not a test by itself: the process that is killed. Puts batches, deletes every third block, compacts now
/// and then, and says what is done.
#[test]
fn writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else {
        return;
    };
    let repository = Repository::open(&folder, small_packs()).unwrap();
    let first = repository
        .value("next")
        .unwrap()
        .map_or(0, |next| String::from_utf8(next.to_vec()).unwrap().parse().unwrap());
    let store = repository.blocks();
    for batch in 0.. {
        let from = first + batch * 5;
        repository.set_value("next", (from + 5).to_string().as_bytes()).unwrap();
        let blocks: Vec<_> = (from..from + 5).map(numbered).collect();
        store.put_many(&blocks).unwrap();
        say(&format!("\nput {from} {}", from + 5));
        for number in (from..from + 5).filter(|number| number % 3 == 0) {
            say(&format!("\ndeleting {number}"));
            store.delete(numbered(number).hash()).unwrap();
            say(&format!("\ndeleted {number}"));
        }
        if batch % 4 == 3 {
            store.compact().unwrap();
        }
    }
}

/// What a block is known to be after the child said something about it; `None` is either.
type Known = BTreeMap<u64, Option<bool>>;

fn learn(known: &mut Known, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let number = |index: usize| words.get(index).and_then(|word| word.parse::<u64>().ok());
    match (words.first(), number(1), number(2)) {
        (Some(&"put"), Some(from), Some(to)) => known.extend((from..to).map(|number| (number, Some(true)))),
        (Some(&"deleting"), Some(number), None) => drop(known.insert(number, None)),
        (Some(&"deleted"), Some(number), None) => drop(known.insert(number, Some(false))),
        _ => {}
    }
}

#[test]
fn a_process_killed_while_writing_loses_no_block_it_had_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut known = Known::new();
    let mut hashes = BTreeMap::new();
    for round in 0..20_u64 {
        let mut writer = child("writes_until_it_is_killed", folder.path()).spawn().unwrap();
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        // Killed after a number of lines that differs from round to round, wherever it is by then.
        let patience = 3 + usize::try_from(round * 7 % 23).unwrap();
        for line in lines.by_ref().map_while(Result::ok).filter(|line| !line.is_empty()).take(patience) {
            learn(&mut known, &line);
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            learn(&mut known, &line);
        }

        let store = Repository::open(folder.path(), small_packs()).unwrap().blocks();
        let listed: BTreeSet<Multihash> = list(&*store).into_iter().map(|(hash, _)| hash).collect();
        for (number, held) in &known {
            let hash = hashes.entry(*number).or_insert_with(|| *numbered(*number).hash());
            if let Some(held) = held {
                assert_eq!(listed.contains(hash), *held, "block {number} after round {round}");
            }
        }
    }
    assert!(known.len() > 50, "{} blocks were written in all", known.len());
}

/// Not a test by itself: the process that holds a folder until it is killed.
#[test]
fn holds_the_folder() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else {
        return;
    };
    let _repository = open(Path::new(&folder));
    say("\nopen");
    io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
fn a_folder_belongs_to_one_process_until_that_ends_however_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let in_use = StoreError::InUse { folder: folder.path().to_owned() };
    let try_open = || Repository::open(folder.path(), OpenOptions::default());

    let mut owner =
        child("holds_the_folder", folder.path()).stdin(std::process::Stdio::piped()).spawn().unwrap();
    let opened = BufReader::new(owner.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(opened.into_iter().any(|line| line == "open"));
    assert_eq!(try_open().unwrap_err(), in_use);
    assert!(in_use.to_string().contains(&folder.path().display().to_string()));

    owner.kill().unwrap();
    owner.wait().unwrap();
    let repository = try_open().unwrap();
    assert_eq!(try_open().unwrap_err(), in_use, "the same process has no second handle either");

    let blocks = repository.blocks();
    drop(repository);
    assert_eq!(try_open().unwrap_err(), in_use, "somebody still uses the blocks");
    drop(blocks);
    try_open().unwrap();
}

/// A folder with one block that was acknowledged and one whose record is damaged by `damage`, which is given
/// the bytes of the pack from that record on.
fn after_damage(damage: impl FnOnce(&mut Vec<u8>)) -> (tempfile::TempDir, [VerifiedBlock; 2]) {
    let live = tempfile::tempdir().unwrap();
    let found = tempfile::tempdir().unwrap();
    let blocks = [block(1, 300), block(2, 9)];
    let pack = |folder: &Path| folder.join("blocks/00000001.pack");
    let repository = open(live.path());
    repository.blocks().put(&blocks[0]).unwrap();
    let whole = usize::try_from(fs::metadata(pack(live.path())).unwrap().len()).unwrap();
    repository.blocks().put(&blocks[1]).unwrap();
    copy_folder(live.path(), found.path());

    let mut bytes = fs::read(pack(found.path())).unwrap();
    let mut tail = bytes.split_off(whole);
    damage(&mut tail);
    bytes.extend(tail);
    fs::write(pack(found.path()), bytes).unwrap();
    (found, blocks)
}

/// Bytes of a record of 9 bytes of data: head, multihash, data.
const RECORD_LEN: usize = 16 + 34 + 9;

#[test]
fn a_record_cut_anywhere_is_cut_off_and_the_ones_before_it_stay() {
    for len in (0..=RECORD_LEN).step_by(4).chain([15, 17, 49, 50, 51, RECORD_LEN - 1]) {
        let (folder, [whole, torn]) = after_damage(|tail| {
            assert_eq!(tail.len(), RECORD_LEN);
            tail.truncate(len);
        });
        let store = open(folder.path()).blocks();
        assert_eq!(store.get(whole.hash()), Ok(Some(whole.into_data())), "{len} bytes left");
        let expected = (len == RECORD_LEN).then(|| torn.data().clone());
        assert_eq!(store.get(torn.hash()), Ok(expected), "{len} bytes left");

        // What is appended now is found by the next crash.
        let next = block(3, 100);
        store.put(&next).unwrap();
        let again = tempfile::tempdir().unwrap();
        copy_folder(folder.path(), again.path());
        assert_eq!(
            open(again.path()).blocks().get(next.hash()),
            Ok(Some(next.into_data())),
            "{len} bytes left"
        );
    }
}

#[test]
fn space_that_was_allocated_and_never_filled_is_cut_off() {
    let (folder, [whole, torn]) = after_damage(|tail| tail.fill(0));
    let store = open(folder.path()).blocks();
    assert_eq!(store.get(whole.hash()), Ok(Some(whole.into_data())));
    assert_eq!(store.get(torn.hash()), Ok(None));
    let pack = fs::metadata(folder.path().join("blocks/00000001.pack")).unwrap();
    assert_eq!(pack.len(), 16 + (16 + 34 + 300));
}

#[test]
fn a_record_whose_data_did_not_reach_the_disk_is_not_a_block() {
    let (folder, [whole, torn]) = after_damage(|tail| *tail.last_mut().unwrap() ^= 1);
    let store = open(folder.path()).blocks();
    assert_eq!(store.get(whole.hash()), Ok(Some(whole.into_data())));
    assert_eq!(store.get(torn.hash()), Ok(None));
    assert_eq!(store.put(&torn).unwrap().new_blocks, 1);
    assert_eq!(store.get(torn.hash()), Ok(Some(torn.into_data())));
}

#[test]
fn good_records_after_a_damaged_one_are_kept() {
    let (folder, [whole, torn]) = after_damage(|tail| {
        let good = tail.clone();
        *tail.last_mut().unwrap() ^= 1;
        tail.extend(good);
    });
    let store = open(folder.path()).blocks();
    assert_eq!(store.get(whole.hash()), Ok(Some(whole.into_data())));
    assert_eq!(store.get(torn.hash()), Ok(Some(torn.into_data())));
}

#[test]
fn a_pack_that_was_only_just_begun_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    let kept = block(1, 100);
    open(folder.path()).blocks().put(&kept).unwrap();
    for begun in [0, 7] {
        fs::write(folder.path().join("blocks/00000002.pack"), &b"bowline pack 1\n\0"[..begun]).unwrap();
        let store = open(folder.path()).blocks();
        assert_eq!(store.get(kept.hash()), Ok(Some(kept.data().clone())));
        let next = block(begun as u64 + 2, 100);
        store.put(&next).unwrap();
        drop(store);
        assert_eq!(open(folder.path()).blocks().get(next.hash()), Ok(Some(next.into_data())));
        fs::remove_dir_all(folder.path()).unwrap();
        fs::create_dir(folder.path()).unwrap();
        open(folder.path()).blocks().put(&kept).unwrap();
    }
}

#[test]
fn the_index_can_be_made_anew_from_the_packs() {
    let folder = tempfile::tempdir().unwrap();
    let blocks: Vec<_> = (0..40).map(numbered).collect();
    let before = {
        let store = Repository::open(folder.path(), small_packs()).unwrap().blocks();
        store.put_many(&blocks).unwrap();
        store.delete(blocks[7].hash()).unwrap();
        list(&*store)
    };
    let index = folder.path().join("blocks/index.redb");
    fs::write(&index, b"not a database").unwrap();
    let refused = Repository::open(folder.path(), small_packs()).unwrap_err();
    assert!(matches!(&refused, StoreError::Corrupt { path, .. } if *path == index), "{refused}");

    let options = OpenOptions { rebuild_index: true, ..small_packs() };
    let store = Repository::open(folder.path(), options).unwrap().blocks();
    assert_eq!(list(&*store), before);
}
