//! What the tests of the store share.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};

use bowline_block::{Multihash, VerifiedBlock, codec};
use bowline_blockstore::{BlockStore, OpenOptions, Repository};
use bytes::Bytes;

/// The folder that a child process is told to work on.
pub(crate) const CHILD_FOLDER: &str = "BOWLINE_STORE_CHILD_FOLDER";

/// A block of `len` bytes that differ with `seed`.
pub(crate) fn block(seed: u64, len: usize) -> VerifiedBlock {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut data = Vec::with_capacity(len + 8);
    data.extend_from_slice(&seed.to_le_bytes());
    while data.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        data.extend_from_slice(&state.to_le_bytes());
    }
    data.truncate(len);
    VerifiedBlock::sha2_256(codec::RAW, Bytes::from(data)).unwrap()
}

pub(crate) fn open(folder: &Path) -> Repository {
    Repository::open(folder, OpenOptions::default()).unwrap()
}

/// Everything that a store lists, with each block checked against its multihash.
pub(crate) fn list(store: &dyn BlockStore) -> Vec<(Multihash, usize)> {
    let mut listed = Vec::new();
    let mut visit = |hash: &Multihash, size: usize| {
        listed.push((*hash, size));
        ControlFlow::Continue(())
    };
    store.for_each(&mut visit).unwrap();
    for (hash, size) in &listed {
        let data = store.get(hash).unwrap().expect("a listed block can be read");
        assert_eq!(data.len(), *size);
        VerifiedBlock::verify(bowline_block::Cid::new_v1(codec::RAW, *hash), data).unwrap();
    }
    listed
}

/// The folder as it would be found if the process were killed now.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// This test program again, running only the test `name`, which finds `folder` in [`CHILD_FOLDER`].
pub(crate) fn child(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    command.env(CHILD_FOLDER, folder).stdout(Stdio::piped());
    command
}
