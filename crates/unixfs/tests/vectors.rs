//! Content gets the CIDs that Kubo gives it, and blocks that others wrote are read.

#![allow(clippy::too_many_lines, reason = "transcripts")]

mod common;

use std::collections::BTreeMap;

use bowline_block::{Cid, VerifiedBlock, Version};
use bowline_unixfs::dag_pb::PbNode;
use bowline_unixfs::{DirectoryBuilder, FileImporter, ImportConfig, Kind, Node, import_bytes, symlink};
use bytes::Bytes;
use common::{KeyStream, block_of, config};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    files: Vec<FileVector>,
    directories: Vec<DirectoryVector>,
    generated_directories: Vec<GeneratedVector>,
    nodes: Vec<NodeVector>,
    dag_pb: Vec<DagPbVector>,
}

#[derive(Deserialize)]
struct FileVector {
    row: String,
    input: Input,
    mode: String,
    cid: String,
    #[serde(default)]
    slow: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    Text { text: String },
    Seeded { seed: String, len: usize },
    Zeros { zeros: usize },
}

#[derive(Deserialize)]
struct DirectoryVector {
    row: String,
    mode: String,
    tree: Tree,
    cid: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Tree {
    File(String),
    Symlink(String),
    Directory(BTreeMap<String, Tree>),
}

#[derive(Deserialize)]
struct GeneratedVector {
    row: String,
    mode: String,
    seed: String,
    files: usize,
    name_len: usize,
    last_name_len: usize,
    sharded: bool,
    cid: String,
}

#[derive(Deserialize)]
struct NodeVector {
    row: String,
    block: String,
    cid: String,
    kind: String,
    target: Option<String>,
    mode: Option<u32>,
    seconds: Option<i64>,
}

#[derive(Deserialize)]
struct DagPbVector {
    row: String,
    block: String,
    cid: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("vectors/unixfs.json")).unwrap()
}

/// Imports every vector that `select` takes, in pieces that fit no chunk size.
///
/// Vectors that differ in length and settings only share one input: making it takes longer than hashing it.
fn check_files(select: impl Fn(&FileVector) -> bool) {
    let mut sources: BTreeMap<String, Vec<FileVector>> = BTreeMap::new();
    for vector in vectors().files.into_iter().filter(select) {
        let source = match &vector.input {
            Input::Text { text } => format!("text {text}"),
            Input::Seeded { seed, .. } => format!("seed {seed}"),
            Input::Zeros { .. } => "zeros".to_owned(),
        };
        sources.entry(source).or_default().push(vector);
    }
    sources.values().for_each(|vectors| check_source(vectors));
}

fn check_source(vectors: &[FileVector]) {
    const PIECE: usize = 1_000_003;
    let mut seeded = vectors.first().and_then(|vector| match &vector.input {
        Input::Seeded { seed, .. } => Some(KeyStream::new(seed)),
        _ => None,
    });
    let zeros = Bytes::from(vec![0; PIECE]);
    let mut runs: Vec<Run<'_>> = vectors.iter().map(Run::new).collect();
    let longest = runs.iter().map(|run| run.left).max().unwrap_or(0);
    for _ in 0..=longest.div_ceil(PIECE) {
        let piece = match (&vectors[0].input, &mut seeded) {
            (Input::Text { text }, _) => Bytes::from(text.clone()),
            (_, Some(stream)) => stream.next(PIECE),
            _ => zeros.clone(),
        };
        runs.iter_mut().for_each(|run| run.push(&piece));
    }
    assert!(runs.iter().all(|run| run.importer.is_none()), "every import has ended");
}

struct Run<'a> {
    vector: &'a FileVector,
    importer: Option<FileImporter>,
    left: usize,
}

impl<'a> Run<'a> {
    fn new(vector: &'a FileVector) -> Self {
        let left = match &vector.input {
            Input::Text { text } => text.len(),
            Input::Seeded { len, .. } => *len,
            Input::Zeros { zeros } => *zeros,
        };
        let importer = Some(FileImporter::new(config(&vector.mode)));
        Self { vector, importer, left }
    }

    fn push(&mut self, piece: &Bytes) {
        let Some(importer) = &mut self.importer else {
            return;
        };
        let len = piece.len().min(self.left);
        self.left -= len;
        importer.push(piece.slice(..len));
        if self.left == 0 {
            importer.finish();
        }
        importer.hash_leaves();
        while importer.poll_block().is_some() {}
        if let Some(file) = importer.poll_finished() {
            let FileVector { row, mode, cid, .. } = self.vector;
            assert_eq!(file.cid.to_string(), *cid, "row {row} {mode}, {} bytes", file.file_size);
            self.importer = None;
        }
    }
}

#[test]
fn files_get_the_cids_that_kubo_gives_them() {
    check_files(|vector| !vector.slow);
}

#[test]
#[ignore = "hashes six gigabytes, a few seconds in a release build; owner: unixfs"]
fn large_files_get_the_cids_that_kubo_gives_them() {
    check_files(|vector| vector.slow);
}

/// The root and the length of all blocks.
fn build(config: &ImportConfig, tree: &Tree) -> (Cid, u64) {
    match tree {
        Tree::File(text) => {
            let (_, file) = import_bytes(*config, text.clone().into());
            (file.cid, file.dag_size)
        }
        Tree::Symlink(target) => {
            let node = symlink(config, target.clone()).unwrap();
            (node.cid, node.dag_size)
        }
        Tree::Directory(entries) => {
            let mut builder = DirectoryBuilder::new(*config);
            for (name, entry) in entries.iter().rev() {
                let (cid, tsize) = build(config, entry);
                builder.add(name.clone(), cid, tsize).unwrap();
            }
            let node = builder.finish().unwrap();
            (node.cid, node.dag_size)
        }
    }
}

#[test]
fn directories_and_symlinks_get_the_cids_that_kubo_gives_them() {
    for vector in vectors().directories {
        let (cid, _) = build(&config(&vector.mode), &vector.tree);
        assert_eq!(cid.to_string(), vector.cid, "row {}", vector.row);
    }
}

#[test]
fn directories_on_both_sides_of_the_threshold_get_the_cids_that_kubo_gives_them() {
    for vector in vectors().generated_directories {
        let config = config(&vector.mode);
        let (_, file) = import_bytes(config, "x".into());
        let mut names = KeyStream::new(&vector.seed);
        let mut builder = DirectoryBuilder::new(config);
        for index in 1..=vector.files {
            let is_last = index == vector.files;
            let len = if is_last { vector.last_name_len } else { vector.name_len };
            builder.add(names.name(len), file.cid, file.dag_size).unwrap();
        }
        let directory = builder.finish().unwrap();
        assert_eq!(directory.cid.to_string(), vector.cid, "row {}", vector.row);
        let kind = Node::parse(directory.blocks.last().unwrap()).unwrap().kind();
        assert_eq!(kind == Kind::Shard, vector.sharded, "row {}", vector.row);
    }
}

fn block(cid: &str, bytes: &str) -> VerifiedBlock {
    let cid = Cid::try_from(cid).unwrap();
    VerifiedBlock::verify(cid, hex::decode(bytes).unwrap().into()).unwrap()
}

#[test]
fn mode_time_and_target_of_nodes_are_exposed() {
    for vector in vectors().nodes {
        let row = &vector.row;
        let node = Node::parse(&block(&vector.cid, &vector.block)).unwrap();
        let (kind, metadata, target) = match &node {
            Node::File(file) => ("file", file.metadata, None),
            Node::Directory(directory) => ("directory", directory.metadata, None),
            Node::Shard(shard) => ("shard", shard.metadata, None),
            Node::Symlink(link) => ("symlink", link.metadata, Some(link.target.clone())),
        };
        assert_eq!(kind, vector.kind, "row {row}");
        assert_eq!(metadata.mode, vector.mode, "row {row}");
        assert_eq!(metadata.modified.map(|time| time.seconds), vector.seconds, "row {row}");
        assert_eq!(target, vector.target.map(Bytes::from), "row {row}");
    }
}

#[test]
fn dag_pb_blocks_encode_to_the_bytes_they_were_decoded_from() {
    for vector in vectors().dag_pb {
        let cid = Cid::try_from(vector.cid.as_str()).unwrap();
        let node = PbNode::decode(&hex::decode(&vector.block).unwrap().into()).unwrap();
        assert_eq!(hex::encode(node.encode()), vector.block, "row {}", vector.row);
        let block = match cid.version() {
            Version::V0 => VerifiedBlock::v0(node.encode()).unwrap(),
            Version::V1 => block_of(0x70, Version::V1, node.encode().to_vec()),
        };
        assert_eq!(*block.cid(), cid, "row {}", vector.row);
    }
}
