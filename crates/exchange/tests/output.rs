//! What a get leaves in the file system, and beside it.
#![allow(clippy::disallowed_methods, reason = "transcripts that make and read files")]

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use bowline_block::Cid;
use bowline_blockstore::{BlockStore, MemoryStore};
use bowline_exchange::{
    OffLoad,
    files::{AddOptions, GetError, GetOptions, Source, add, get},
};

async fn added(path: &Path) -> (Source, Cid) {
    let store: Arc<dyn BlockStore> = Arc::new(MemoryStore::new());
    let root = add(&store, path, &AddOptions::default()).await.unwrap().cid;
    (Source::local(store, OffLoad::default()), root)
}

async fn a_small_file(dir: &Path) -> (Source, Cid) {
    let path = dir.join("original");
    fs::write(&path, "content").unwrap();
    added(&path).await
}

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[cfg(target_os = "linux")]
fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_directory_of_many_tiny_files_needs_few_descriptors() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    const FILES: usize = 3000;
    /// More than the writer has open, with those of the other tests of this process.
    const FEW: usize = 300;
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for n in 0..FILES {
        fs::write(tree.join(n.to_string()), format!("{n:05}")).unwrap();
    }
    let (source, root) = added(&tree).await;
    let out = dir.path().join("copy");
    let most = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&most);
    let count = move |_| {
        seen.fetch_max(open_descriptors(), Ordering::Relaxed);
    };
    // Without syncs, which bound nothing and take their time.
    let options = GetOptions { durable: false, on_progress: Some(Arc::new(count)), ..GetOptions::default() };
    get(&source, root, &out, &options).await.unwrap();
    let most = most.load(Ordering::Relaxed);
    assert!(most < FEW, "{most} descriptors");
    assert_eq!(names(&out).len(), FILES);
    assert_eq!(fs::read(out.join("2999")).unwrap(), b"02999");
}

#[tokio::test]
async fn files_that_come_side_by_side_are_written_each_to_its_own() {
    // More files than are open at the same time, each of several blocks, in batches that each of them crosses.
    const FILES: usize = 80;
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for n in 0..FILES {
        let content = [vec![0; 256 * 1024], vec![1; n], b"end".to_vec()].concat();
        fs::write(tree.join(n.to_string()), content).unwrap();
    }
    fs::write(tree.join("empty"), "").unwrap();
    let (source, root) = added(&tree).await;
    let out = dir.path().join("copy");
    get(&source, root, &out, &GetOptions::default()).await.unwrap();
    assert_eq!(names(&out), names(&tree));
    for name in names(&tree) {
        assert!(fs::read(out.join(&name)).unwrap() == fs::read(tree.join(&name)).unwrap(), "{name}");
    }
}

#[tokio::test]
async fn what_a_killed_get_has_left_is_taken_over_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let (source, root) = a_small_file(dir.path()).await;
    // As after a kill: the lock is there, and nobody holds it.
    let left = dir.path().join(".copy.bowline-part");
    fs::create_dir_all(left.join("content/half")).unwrap();
    fs::write(left.join("content/half/way"), "half").unwrap();
    fs::write(left.join("lock"), "").unwrap();
    // Other names are left alone.
    fs::write(dir.path().join(".copy.4711.part"), "another program's").unwrap();
    let out = dir.path().join("copy");
    get(&source, root, &out, &GetOptions::default()).await.unwrap();
    assert_eq!(fs::read(&out).unwrap(), b"content");
    assert_eq!(names(dir.path()), [".copy.4711.part", "copy", "original"].map(String::from).into());
}

#[tokio::test]
async fn two_gets_of_one_output_at_once_are_one_get_and_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (source, root) = a_small_file(dir.path()).await;
    let (out, options) = (dir.path().join("copy"), GetOptions::default());
    let (first, second) =
        tokio::join!(get(&source, root, &out, &options), get(&source, root, &out, &options));
    first.unwrap();
    assert!(matches!(second, Err(GetError::Busy { path }) if path == out));
    assert_eq!(fs::read(&out).unwrap(), b"content");
    // The place is free again.
    get(&source, root, &out, &options).await.unwrap();
    assert_eq!(names(dir.path()), ["copy", "original"].map(String::from).into());
}

#[tokio::test]
async fn the_longest_name_that_a_file_may_have_is_got() {
    let dir = tempfile::tempdir().unwrap();
    let (source, root) = a_small_file(dir.path()).await;
    let name = "n".repeat(255);
    get(&source, root, &dir.path().join(&name), &GetOptions::default()).await.unwrap();
    assert_eq!(names(dir.path()), [name, "original".to_owned()].into());
}
