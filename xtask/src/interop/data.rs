//! What is added, fetched and compared: the same bytes on every machine, without a file in the repository.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use chacha20::{
    ChaCha20,
    cipher::{KeyIvInit, StreamCipher},
};
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const BUFFER: usize = 64 * 1024;

/// One thing that both sides add and fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    /// The name on the command line and in the table; also the seed of the content.
    pub(crate) name: &'static str,
    pub(crate) content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    File {
        bytes: u64,
    },
    /// 200 files in nested folders, some of them empty, with names from many scripts.
    Tree,
}

/// The edges of the default chunker: nothing, one byte, one full chunk, one more byte, a full row of links,
/// the first tree of three levels (174 × 256 KiB + 1), and something large.
pub(crate) const CASES: [Case; 8] = [
    file("0B", 0),
    file("1B", 1),
    file("256KiB", 256 * KIB),
    file("256KiB+1", 256 * KIB + 1),
    file("1MiB", MIB),
    file("45613057B", 45_613_057),
    file("100MiB", 100 * MIB),
    Case { name: "tree", content: Content::Tree },
];

const fn file(name: &'static str, bytes: u64) -> Case {
    Case { name, content: Content::File { bytes } }
}

impl Case {
    /// Writes the content into a folder and gives its path.
    pub(crate) fn create(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join(self.name);
        match self.content {
            Content::File { bytes } => write_stream(&path, self.name, bytes)?,
            Content::Tree => write_tree(&path)?,
        }
        Ok(path)
    }

    /// About how many bytes a transfer moves, for its deadline.
    pub(crate) fn bytes(&self) -> u64 {
        match self.content {
            Content::File { bytes } => bytes,
            Content::Tree => 8 * MIB,
        }
    }
}

/// Writes the ChaCha20 key stream whose key is the SHA-256 of the seed: what Kubo's own tests use, so that
/// their published CIDs hold here too.
pub(crate) fn write_stream(path: &Path, seed: &str, bytes: u64) -> Result<()> {
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    let mut out = BufWriter::with_capacity(BUFFER, file);
    let mut stream = ChaCha20::new(&Sha256::digest(seed), &[0; 12].into());
    let mut buffer = vec![0; BUFFER];
    let mut left = bytes;
    while left > 0 {
        let n = usize::try_from(left).map_or(BUFFER, |left| left.min(BUFFER));
        buffer.fill(0);
        stream.apply_keystream(&mut buffer[..n]);
        out.write_all(&buffer[..n])?;
        left -= n as u64;
    }
    out.flush()?;
    Ok(())
}

/// Folders of the tree; the ones called `empty` hold nothing.
const FOLDERS: [&str; 10] = [
    "",
    "plain",
    "plain/deeper/still deeper",
    "grüße aus Köln",
    "日本語/フォルダ",
    "кириллица",
    "العربية",
    "e\u{301} decomposed",
    "é composed",
    "🦀 crab",
];

const EMPTY_FOLDERS: [&str; 4] = ["empty", "plain/empty", "日本語/空", "grüße aus Köln/leer/ganz leer"];

/// File names; each folder gets all of them.
const NAMES: [&str; 20] = [
    "a",
    "readme.txt",
    "two words",
    "  spaces around  ",
    "-leading-dash",
    "percent %20 and # and ?",
    "quote ' and \" and `",
    "semi;colon & ampersand",
    "ünïcödé",
    "naïve café.txt",
    "日本.txt",
    "한국어",
    "ไทย",
    "हिन्दी",
    "עברית.md",
    "Ωμέγα",
    "emoji 👩‍👩‍👧‍👦 family",
    "zero\u{200b}width",
    "long-name-long-name-long-name-long-name-long-name-long-name-long-name-long-name-long-name-long-name",
    "archive.tar.gz",
];

/// Which of the 200 files is the empty one.
const EMPTY_FILE: usize = 77;

fn write_tree(root: &Path) -> Result<()> {
    for folder in FOLDERS.iter().chain(&EMPTY_FOLDERS) {
        fs::create_dir_all(root.join(folder))?;
    }
    let files = FOLDERS.iter().flat_map(|folder| NAMES.iter().map(move |name| (folder, name)));
    for (index, (folder, name)) in files.enumerate() {
        write_stream(&root.join(folder).join(name), &format!("tree {index}"), tree_file_bytes(index))?;
    }
    Ok(())
}

/// Mostly small, as in real folders; every fortieth file is more than one chunk.
fn tree_file_bytes(index: usize) -> u64 {
    match index {
        EMPTY_FILE => 0,
        index if index % 40 == 39 => 256 * KIB + index as u64 * 1000,
        index => 1 + (index as u64 * 7919) % 20_000,
    }
}

/// Compares two files or folders: names, kinds and every byte.
pub(crate) fn same(expected: &Path, actual: &Path) -> Result<()> {
    let (expected_kinds, actual_kinds) = (kinds(expected)?, kinds(actual)?);
    for (name, kind) in &expected_kinds {
        match actual_kinds.get(name) {
            None => bail!("{kind} {} is missing", name.display()),
            Some(other) if other != kind => bail!("{} is a {other}, not a {kind}", name.display()),
            Some(_) => {}
        }
    }
    if let Some(name) = actual_kinds.keys().find(|name| !expected_kinds.contains_key(*name)) {
        bail!("{} is too much", name.display());
    }
    for (name, _) in expected_kinds.iter().filter(|(_, kind)| **kind == "file") {
        same_bytes(&join(expected, name), &join(actual, name))
            .with_context(|| format!("comparing {}", name.display()))?;
    }
    Ok(())
}

/// The kind of every entry below a path, the path itself included under the empty name.
fn kinds(root: &Path) -> Result<BTreeMap<PathBuf, &'static str>> {
    WalkDir::new(root)
        .into_iter()
        .map(|entry| {
            let entry = entry?;
            let kind = match entry.file_type() {
                kind if kind.is_dir() => "folder",
                kind if kind.is_file() => "file",
                _ => "special file",
            };
            Ok((entry.path().strip_prefix(root)?.to_path_buf(), kind))
        })
        .collect()
}

/// `Path::join` with an empty name would add a slash, which a file does not bear.
fn join(root: &Path, name: &Path) -> PathBuf {
    if name.as_os_str().is_empty() { root.to_path_buf() } else { root.join(name) }
}

fn same_bytes(expected: &Path, actual: &Path) -> Result<()> {
    let (expected_len, actual_len) = (fs::metadata(expected)?.len(), fs::metadata(actual)?.len());
    if expected_len != actual_len {
        bail!("{actual_len} bytes instead of {expected_len}");
    }
    let mut expected = BufReader::new(File::open(expected)?);
    let mut actual = BufReader::new(File::open(actual)?);
    let (mut left, mut right) = (vec![0; BUFFER], vec![0; BUFFER]);
    let mut position = 0;
    while position < expected_len {
        let n = usize::try_from(expected_len - position).map_or(BUFFER, |left| left.min(BUFFER));
        expected.read_exact(&mut left[..n])?;
        actual.read_exact(&mut right[..n])?;
        if left[..n] != right[..n] {
            let offset = left.iter().zip(&right).take_while(|(left, right)| left == right).count();
            bail!("byte {} differs", position + offset as u64);
        }
        position += n as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(seed: &str, bytes: u64) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stream");
        write_stream(&path, seed, bytes).unwrap();
        fs::read(path).unwrap()
    }

    #[test]
    fn the_stream_is_the_one_of_kubos_tests() {
        // The CID that Kubo's import tests publish for one raw leaf of this seed:
        // bafkreiacndfy443ter6qr2tmbbdhadvxxheowwf75s6zehscklu6ezxmta
        let digest = Sha256::digest(stream("chunk-v1-seed", MIB));
        let expected = "0268cb8e7373247d08ea6c0846700eb7b9c8eb58bfecbd921e4252e9e266ec98";
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
    }

    #[test]
    fn a_longer_stream_begins_like_a_shorter_one() {
        let (short, long) = (stream("seed", 100_000), stream("seed", 200_000));
        assert_eq!(short, long[..100_000]);
        assert_ne!(stream("other", 32), short[..32]);
    }

    #[test]
    fn the_tree_has_200_files_one_of_them_empty_and_four_empty_folders() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Case { name: "tree", content: Content::Tree }.create(folder.path()).unwrap();
        let kinds = kinds(&tree).unwrap();
        let files: Vec<PathBuf> =
            kinds.iter().filter(|(_, kind)| **kind == "file").map(|(name, _)| tree.join(name)).collect();
        assert_eq!(files.len(), 200);
        let empty_files = files.iter().filter(|file| fs::metadata(file).unwrap().len() == 0).count();
        assert_eq!(empty_files, 1);
        let empty_folders = kinds
            .iter()
            .filter(|(name, kind)| {
                **kind == "folder" && fs::read_dir(tree.join(name)).unwrap().next().is_none()
            })
            .count();
        assert_eq!(empty_folders, 4);
        same(&tree, &tree).unwrap();
    }

    #[test]
    fn every_difference_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let root = folder.path().join(name);
            fs::create_dir_all(root.join("sub/empty")).unwrap();
            fs::write(root.join("sub/file"), [1; 100_000]).unwrap();
            root
        };
        let original = make("original");
        let problem = |change: &dyn Fn(&Path)| {
            let copy = make("copy");
            change(&copy);
            let error = same(&original, &copy).err().map(|error| format!("{error:#}"));
            fs::remove_dir_all(copy).unwrap();
            error
        };
        assert_eq!(problem(&|_| {}), None);
        let changed = |change: &dyn Fn(&Path)| problem(change).unwrap();
        assert!(changed(&|copy| fs::remove_dir(copy.join("sub/empty")).unwrap()).contains("missing"));
        assert!(changed(&|copy| fs::write(copy.join("more"), []).unwrap()).contains("too much"));
        assert!(changed(&|copy| fs::write(copy.join("sub/file"), []).unwrap()).contains("0 bytes"));
        let last_byte = |copy: &Path| {
            let mut bytes = vec![1; 100_000];
            bytes[99_999] = 2;
            fs::write(copy.join("sub/file"), bytes).unwrap();
        };
        assert!(changed(&last_byte).contains("byte 99999 differs"));
    }
}
