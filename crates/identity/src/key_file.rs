//! A private key in a file: the libp2p protobuf message, as `ipfs key export -f libp2p-protobuf-cleartext` writes it.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use zeroize::Zeroizing;

use crate::{KeyError, Keypair, MAX_PRIVATE_KEY};

/// Why a key file cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file system refused.
    #[error("key file {path}: {message}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The kind of error.
        kind: io::ErrorKind,
        /// What the operating system said.
        message: String,
    },
    /// The file holds no key.
    #[error("key file {path} holds no usable key", path = path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with its content.
        source: KeyError,
    },
}

/// Reads a key.
///
/// # Errors
///
/// When the file cannot be read or holds no key; both name the file. Of a file that is larger than any key, no more
/// than [`MAX_PRIVATE_KEY`] bytes and one are read.
pub fn read(path: &Path) -> Result<Keypair, KeyFileError> {
    let bytes = read_bounded(path).map_err(|error| io_error(path, &error))?;
    Keypair::from_protobuf(&bytes).map_err(|source| KeyFileError::Key { path: path.to_owned(), source })
}

/// Writes a key so that only its owner can read it, also where a file with other rights was there before.
///
/// The file is whole or not there, also after a loss of power: it is written beside its place, synced, and renamed,
/// and the folder is synced. A link at `path` is replaced, not followed. On systems that are not Unix, the file has the
/// rights that its folder gives.
///
/// # Errors
///
/// When the file system refuses. A key that stood there before is then still there, unless it was only the last
/// step, syncing the folder, that failed.
pub fn write(path: &Path, keypair: &Keypair) -> Result<(), KeyFileError> {
    write_beside_and_rename(path, &keypair.to_protobuf()).map_err(|error| io_error(path, &error))
}

fn io_error(path: &Path, error: &io::Error) -> KeyFileError {
    KeyFileError::Io { path: path.to_owned(), kind: error.kind(), message: error.to_string() }
}

fn read_bounded(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    // One byte more than a key has tells that there is more. The vector never grows, which would leave copies behind.
    let limit = MAX_PRIVATE_KEY + 1;
    let mut bytes = Zeroizing::new(vec![0; limit]);
    let mut file = File::open(path)?;
    let mut filled = 0;
    while filled < limit {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn write_beside_and_rename(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path_beside(path)?;
    if let Err(error) = write_new(&beside, bytes).and_then(|()| fs::rename(&beside, path)) {
        // The failure to write is what counts, not whether its leavings could be removed.
        let _removed = fs::remove_file(&beside);
        return Err(error);
    }
    sync_folder(path)
}

/// A name in the same folder that no other write of this or another process uses at the same time.
fn path_beside(path: &Path) -> io::Result<PathBuf> {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let nameless = || io::Error::new(io::ErrorKind::InvalidInput, "path has no file name");
    let mut name = OsString::from(path.file_name().ok_or_else(nameless)?);
    let write = WRITES.fetch_add(1, Ordering::Relaxed);
    name.push(format!(".{}.{write}.new", std::process::id()));
    Ok(path.with_file_name(name))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Left over from a process that was killed here; a new file is made, so that its rights are ours.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the new name last. Elsewhere than on Unix a folder cannot be opened, and the rename is all there is.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keypair(seed: u8) -> Keypair {
        Keypair::from_ed25519_seed([seed; 32])
    }

    #[test]
    fn a_key_that_was_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write(&path, &keypair(3)).unwrap();
        assert_eq!(read(&path).unwrap().peer_id(), keypair(3).peer_id());
        assert_eq!(fs::read(&path).unwrap(), *keypair(3).to_protobuf());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[cfg(unix)]
    fn mode(path: &Path) -> u32 {
        use std::os::unix::fs::PermissionsExt;
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[cfg(unix)]
    #[test]
    fn a_key_file_is_private_also_where_a_public_file_was() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write(&path, &keypair(3)).unwrap();
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write(&path, &keypair(4)).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(read(&path).unwrap().peer_id(), keypair(4).peer_id());
    }

    #[cfg(unix)]
    #[test]
    fn who_has_the_old_file_open_does_not_see_the_new_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, b"old").unwrap();
        let mut open = File::open(&path).unwrap();
        write(&path, &keypair(3)).unwrap();
        let mut seen = Vec::new();
        open.read_to_end(&mut seen).unwrap();
        assert_eq!(seen, b"old");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_replaced_and_its_target_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (target, path) = (folder.path().join("target"), folder.path().join("key"));
        fs::write(&target, b"other").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        write(&path, &keypair(3)).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"other");
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn a_write_that_fails_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::create_dir_all(path.join("not empty")).unwrap();
        assert!(matches!(write(&path, &keypair(3)), Err(KeyFileError::Io { .. })));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let nameless = write(Path::new(".."), &keypair(3)).unwrap_err();
        assert!(matches!(nameless, KeyFileError::Io { kind: io::ErrorKind::InvalidInput, .. }));
    }

    #[test]
    fn writes_at_the_same_time_each_use_a_name_of_their_own() {
        let path = Path::new("folder/key");
        assert_ne!(path_beside(path).unwrap(), path_beside(path).unwrap());
        assert_eq!(path_beside(path).unwrap().parent(), path.parent());
    }

    #[test]
    fn a_file_that_is_larger_than_any_key_is_not_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        File::create(&path).unwrap().set_len(1 << 30).unwrap();
        let source = KeyError::TooLarge { len: MAX_PRIVATE_KEY + 1 };
        assert_eq!(read(&path).unwrap_err(), KeyFileError::Key { path, source });
    }

    #[test]
    fn errors_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let missing = read(&path).unwrap_err();
        assert!(matches!(missing, KeyFileError::Io { kind: io::ErrorKind::NotFound, .. }));
        assert!(missing.to_string().contains(&*path.to_string_lossy()), "{missing}");
        fs::write(&path, b"no key").unwrap();
        let broken = read(&path).unwrap_err();
        assert!(matches!(broken, KeyFileError::Key { .. }));
        assert!(broken.to_string().contains(&*path.to_string_lossy()), "{broken}");
        let nowhere = folder.path().join("no/such/folder/key");
        assert!(write(&nowhere, &keypair(3)).is_err());
    }
}
