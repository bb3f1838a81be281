//! Reading from a store alone, whole or with blocks that are missing or damaged.
#![allow(clippy::disallowed_methods, reason = "transcripts that make files")]

use std::{fs, ops::ControlFlow, path::Path, sync::Arc, time::Duration};

use bowline_block::{Cid, Multihash, VerifiedBlock, codec};
use bowline_blockstore::{BlockStore, MemoryStore, PutReport, StoreError, Usage};
use bowline_exchange::{
    OffLoad,
    files::{AddOptions, GetError, GetOptions, Source, add, cat, get, list, list_each},
};
use bytes::Bytes;
use tokio::time::timeout;

/// The patience of a test.
const LONG: Duration = Duration::from_secs(20);
const LEAF: usize = 256 * 1024;
const LEAVES: u8 = 4;

/// A file of four leaves in a store, with its root and the second leaf.
async fn four_leaves(dir: &Path) -> (Arc<dyn BlockStore>, Cid, VerifiedBlock) {
    let path = dir.join("original");
    let leaves: Vec<_> = (0..LEAVES).map(|n| vec![n; LEAF]).collect();
    fs::write(&path, leaves.concat()).unwrap();
    let store: Arc<dyn BlockStore> = Arc::new(MemoryStore::new());
    let root = add(&store, &path, &AddOptions::default()).await.unwrap().cid;
    let leaf = VerifiedBlock::sha2_256(codec::RAW, Bytes::from(leaves[1].clone())).unwrap();
    assert!(store.has(leaf.hash()).unwrap());
    (store, root, leaf)
}

/// What every way of reading a file says.
async fn failures(store: Arc<dyn BlockStore>, root: Cid, dir: &Path) -> [GetError; 2] {
    let (source, options) = (Source::local(store, OffLoad::default()), GetOptions::default());
    let out = dir.join("copy");
    let got = timeout(LONG, get(&source, root, &out, &options)).await.expect("it ends").unwrap_err();
    assert!(!out.exists());
    let mut content = Vec::new();
    let read = timeout(LONG, cat(&source, root, None, &mut content, &options)).await;
    // What comes before it is shown.
    assert_eq!(content, vec![0; LEAF]);
    [got, read.expect("it ends").unwrap_err()]
}

#[tokio::test]
async fn a_leaf_that_is_not_stored_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (store, root, leaf) = four_leaves(dir.path()).await;
    store.delete_many(&[*leaf.hash()]).unwrap();
    for failure in failures(store, root, dir.path()).await {
        assert!(matches!(failure, GetError::NotStored { cid } if cid == *leaf.cid()), "{failure:?}");
    }
}

#[tokio::test]
async fn a_stored_leaf_that_the_store_knows_to_be_damaged_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, root, leaf) = four_leaves(dir.path()).await;
    let damaged = Damaged { whole, hash: *leaf.hash(), noticed: true };
    for failure in failures(Arc::new(damaged), root, dir.path()).await {
        let GetError::Store(StoreError::CorruptBlock { block, .. }) = &failure else {
            panic!("{failure:?}");
        };
        assert_eq!(**block, *leaf.hash());
        assert!(failure.to_string().contains(&leaf.cid().to_string()), "{failure}");
    }
}

#[tokio::test]
async fn a_stored_leaf_that_is_something_else_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, root, leaf) = four_leaves(dir.path()).await;
    let damaged = Damaged { whole, hash: *leaf.hash(), noticed: false };
    for failure in failures(Arc::new(damaged), root, dir.path()).await {
        assert!(matches!(failure, GetError::Damaged { cid } if cid == *leaf.cid()), "{failure:?}");
    }
}

#[tokio::test]
async fn entries_are_told_as_they_come_until_the_listener_has_enough() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for name in ["a", "b", "c"] {
        fs::write(tree.join(name), name).unwrap();
    }
    let store: Arc<dyn BlockStore> = Arc::new(MemoryStore::new());
    let root = add(&store, &tree, &AddOptions::default()).await.unwrap().cid;
    let (source, options) = (Source::local(store, OffLoad::default()), GetOptions::default());
    let all = list(&source, root, &options).await.unwrap();
    assert_eq!(all.iter().map(|entry| &*entry.name).collect::<Vec<_>>(), ["a", "b", "c"]);
    let mut told = Vec::new();
    let two = |entry| {
        told.push(entry);
        if told.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    list_each(&source, root, &options, two).await.unwrap();
    assert_eq!(told, all[..2]);
}

/// A store with one damaged block, which it has noticed or not.
struct Damaged {
    whole: Arc<dyn BlockStore>,
    hash: Multihash,
    noticed: bool,
}

impl BlockStore for Damaged {
    fn get(&self, hash: &Multihash) -> Result<Option<Bytes>, StoreError> {
        if *hash != self.hash {
            return self.whole.get(hash);
        }
        if self.noticed {
            return Err(StoreError::CorruptBlock { block: Box::new(*hash), path: "pack".into() });
        }
        Ok(Some(Bytes::from_static(b"something else")))
    }

    fn size(&self, hash: &Multihash) -> Result<Option<usize>, StoreError> {
        self.whole.size(hash)
    }

    fn put_many(&self, blocks: &[VerifiedBlock]) -> Result<PutReport, StoreError> {
        self.whole.put_many(blocks)
    }

    fn delete_many(&self, hashes: &[Multihash]) -> Result<usize, StoreError> {
        self.whole.delete_many(hashes)
    }

    fn for_each(
        &self,
        visit: &mut dyn FnMut(&Multihash, usize) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.whole.for_each(visit)
    }

    fn usage(&self) -> Result<Usage, StoreError> {
        self.whole.usage()
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.whole.sync()
    }

    fn compact(&self) -> Result<u64, StoreError> {
        self.whole.compact()
    }
}
