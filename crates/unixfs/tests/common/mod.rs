//! Inputs and drivers that several tests share.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::BTreeMap;

use bowline_block::{Cid, HashAlgorithm, VerifiedBlock, Version, codec};
use bowline_unixfs::dag_pb::{PbLink, PbNode};
use bowline_unixfs::data::UnixFs;
use bowline_unixfs::{
    DirectoryBuilder, Event, FileId, ImportConfig, Kind, MaxLinks, Profile, ReadError, Sharding, Walker,
    import_bytes, symlink,
};
use bytes::{Bytes, BytesMut};
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};

/// Blocks by CID.
pub(crate) type Store = BTreeMap<Cid, VerifiedBlock>;

/// The deterministic bytes of Kubo's tests: the ChaCha20 key stream of the hash of a seed.
pub(crate) struct KeyStream(ChaCha20);

impl KeyStream {
    pub(crate) fn new(seed: &str) -> Self {
        let hash = HashAlgorithm::Sha2_256.hash(seed.as_bytes()).unwrap();
        let key: [u8; 32] = hash.digest().try_into().unwrap();
        Self(ChaCha20::new(&key.into(), &[0; 12].into()))
    }

    pub(crate) fn next(&mut self, len: usize) -> Bytes {
        let mut bytes = BytesMut::zeroed(len);
        self.0.apply_keystream(&mut bytes);
        bytes.freeze()
    }

    /// A name of `len` symbols; '0' is in the alphabet twice.
    pub(crate) fn name(&mut self, len: usize) -> String {
        const ALPHABET: &[u8; 39] = b"abcdefghijklmnopqrstuvwxyz01234567890-_";
        let symbols = self.next(len);
        symbols.iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % 39])).collect()
    }
}

/// The settings that a vector names.
pub(crate) fn config(mode: &str) -> ImportConfig {
    let (v0, v1) = (Profile::V0.config(), Profile::V1.config());
    let hashed = |code| ImportConfig { hash: HashAlgorithm::from_code(code).unwrap(), ..v1 };
    match mode {
        "v0" => v0,
        "v0-raw-leaves" => ImportConfig { raw_leaves: true, ..v0 },
        "v0-sharded" => ImportConfig { sharding: Sharding::NamesAndCids(0), ..v0 },
        "v0-wide" => ImportConfig { max_links: MaxLinks::WIDE, ..v0 },
        "v1" => v1,
        "v1-dag-pb-leaves" => ImportConfig { raw_leaves: false, ..v1 },
        "v1-sha2-512" => hashed(0x13),
        "v1-blake2b-256" => hashed(0xb220),
        "v1-identity" => ImportConfig { hash: HashAlgorithm::Identity, ..v1 },
        "v1-2025" => Profile::V1_2025.config(),
        _ => panic!("unknown mode {mode}"),
    }
}

/// A tree of files, directories and symbolic links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tree {
    File(Vec<u8>),
    Symlink(Vec<u8>),
    Directory(BTreeMap<String, Tree>),
}

/// Imports a tree into `store`: its root, and the length of all its blocks.
pub(crate) fn import_tree(config: &ImportConfig, tree: &Tree, store: &mut Store) -> (Cid, u64) {
    let (cid, dag_size, blocks) = match tree {
        Tree::File(content) => {
            let (blocks, file) = import_bytes(*config, content.clone().into());
            (file.cid, file.dag_size, blocks)
        }
        Tree::Symlink(target) => {
            let node = symlink(config, target.clone()).unwrap();
            (node.cid, node.dag_size, node.blocks)
        }
        Tree::Directory(entries) => {
            let mut builder = DirectoryBuilder::new(*config);
            for (name, entry) in entries {
                let (cid, tsize) = import_tree(config, entry, store);
                builder.add(name.clone(), cid, tsize).unwrap();
            }
            let node = builder.finish().unwrap();
            (node.cid, node.dag_size, node.blocks)
        }
    };
    store.extend(blocks.into_iter().map(|block| (*block.cid(), block)));
    (cid, dag_size)
}

/// What the events of a walk say, whatever their order.
#[derive(Default)]
pub(crate) struct Export {
    pub(crate) paths: BTreeMap<String, Tree>,
    open: BTreeMap<FileId, (String, Vec<u8>, u64)>,
}

impl Export {
    pub(crate) fn take(&mut self, event: Event) {
        let text = |path: &bowline_unixfs::TreePath| path.to_str().unwrap().to_owned();
        match event {
            Event::Directory { path, .. } => {
                self.paths.insert(text(&path), Tree::Directory(BTreeMap::new()));
            }
            Event::Symlink { path, target, .. } => {
                self.paths.insert(text(&path), Tree::Symlink(target.to_vec()));
            }
            Event::File { file, path, size, .. } => {
                let content = vec![0; usize::try_from(size).unwrap()];
                self.open.insert(file, (text(&path), content, 0));
            }
            Event::Data { file, offset, bytes } => {
                let (_, content, written) = self.open.get_mut(&file).expect("a file begins before its data");
                let offset = usize::try_from(offset).unwrap();
                content[offset..offset + bytes.len()].copy_from_slice(&bytes);
                *written += bytes.len() as u64;
            }
            Event::FileEnd { file } => {
                let (path, content, written) = self.open.remove(&file).expect("a file ends once");
                assert_eq!(written, content.len() as u64, "a file ends after its last byte");
                self.paths.insert(path, Tree::File(content));
            }
            event => panic!("not part of a walk: {event:?}"),
        }
    }

    pub(crate) fn finish(self) -> BTreeMap<String, Tree> {
        assert!(self.open.is_empty(), "every file ends");
        self.paths
    }
}

/// The paths of a tree, with directories emptied.
pub(crate) fn flatten(tree: &Tree) -> BTreeMap<String, Tree> {
    fn visit(path: String, tree: &Tree, paths: &mut BTreeMap<String, Tree>) {
        let Tree::Directory(entries) = tree else {
            paths.insert(path, tree.clone());
            return;
        };
        for (name, entry) in entries {
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            visit(path, entry, paths);
        }
        paths.insert(path, Tree::Directory(BTreeMap::new()));
    }
    let mut paths = BTreeMap::new();
    visit(String::new(), tree, &mut paths);
    paths
}

/// Walks to the end with every block at hand.
pub(crate) fn walk_all(mut walker: Walker, store: &Store) -> Result<Vec<Event>, ReadError> {
    let mut events = Vec::new();
    while !walker.is_finished() {
        let before = events.len();
        let mut supplied = 0;
        while let Some(cid) = walker.poll_need() {
            walker.supply(store.get(&cid).unwrap_or_else(|| panic!("{cid} is not in the store")));
            supplied += 1;
        }
        while let Some(event) = walker.poll_event() {
            events.push(event?);
        }
        assert!(supplied > 0 || events.len() > before || walker.is_finished(), "the walk goes on");
    }
    Ok(events)
}

/// An inner node of a file, with the content length below each part.
pub(crate) fn file_node(parts: &[(Cid, u64)]) -> VerifiedBlock {
    let message = UnixFs {
        file_size: Some(parts.iter().map(|(_, size)| size).sum()),
        block_sizes: parts.iter().map(|(_, size)| *size).collect(),
        ..UnixFs::new(Kind::File)
    };
    let links =
        parts.iter().map(|(cid, size)| PbLink { cid: *cid, name: Some(Bytes::new()), tsize: Some(*size) });
    let node = PbNode { links: links.collect(), data: Some(message.encode()) };
    VerifiedBlock::sha2_256(codec::DAG_PB, node.encode()).unwrap()
}

pub(crate) fn block_of(codec: u64, version: Version, bytes: Vec<u8>) -> VerifiedBlock {
    match version {
        Version::V0 => VerifiedBlock::v0(bytes.into()).unwrap(),
        Version::V1 => VerifiedBlock::sha2_256(codec, bytes.into()).unwrap(),
    }
}

/// The blocks of a CARv1 file, each checked against its CID.
pub(crate) fn read_car(bytes: &[u8]) -> Vec<VerifiedBlock> {
    fn section<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
        let (mut len, mut shift) = (0usize, 0);
        loop {
            let (byte, rest) = bytes.split_first()?;
            *bytes = rest;
            len |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (section, rest) = bytes.split_at(len);
        *bytes = rest;
        Some(section)
    }
    let mut rest = bytes;
    section(&mut rest).expect("header");
    let mut blocks = Vec::new();
    while let Some(mut block) = section(&mut rest) {
        let cid = Cid::read_bytes(&mut block).unwrap();
        blocks.push(VerifiedBlock::verify(cid, Bytes::copy_from_slice(block)).unwrap());
    }
    blocks
}
