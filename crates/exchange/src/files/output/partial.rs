//! The folder beside the final place in which a get is written, claimed by one get at a time.

use std::{
    ffi::{OsStr, OsString},
    fmt::Write as _,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::ErrorKind,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use bowline_block::HashAlgorithm;

use super::super::GetError;

/// The longest name that file systems take, in bytes.
const MAX_NAME: usize = 255;

/// What the folder's name ends in. The same for every run, so that a get finds what a killed one has left.
const SUFFIX: &str = ".bowline-part";

/// Bytes of the hash that stands for the rest of a name that is cut.
const HASH_BYTES: usize = 8;

/// How often another get may end, and take the folder with it, just while it is claimed.
const MAX_TRIES: usize = 100;

/// The folder `.NAME.bowline-part` beside `NAME`.
///
/// ```text
///   .NAME.bowline-part/lock      locked by the get that writes here; the lock dies with its process
///   .NAME.bowline-part/content   what will be NAME
/// ```
///
/// Dropping it removes these two, and the folder unless it holds anything else.
pub(super) struct Partial {
    folder: PathBuf,
    /// Held for its lock.
    _lock: File,
}

impl Partial {
    /// Takes the folder for the output `out`, with what a get that was killed has left in it removed.
    pub(super) fn claim(out: &Path) -> Result<Self, GetError> {
        let folder = out.with_file_name(folder_name(out.file_name().unwrap_or_else(|| OsStr::new("out"))));
        for _ in 0..MAX_TRIES {
            if let Some(lock) = try_lock(&folder, out)? {
                let partial = Self { folder, _lock: lock };
                remove(&partial.content());
                return Ok(partial);
            }
        }
        Err(GetError::Busy { path: out.to_owned() })
    }

    /// Where the content is written.
    pub(super) fn content(&self) -> PathBuf {
        self.folder.join("content")
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        remove(&self.content());
        remove(&lock_path(&self.folder));
        // It stays when there is something else in it: another get's lock already, or what is not ours.
        let _not_empty = fs::remove_dir(&self.folder);
    }
}

fn lock_path(folder: &Path) -> PathBuf {
    folder.join("lock")
}

/// Locks the folder; `None` when it was removed meanwhile by the get that had it before.
fn try_lock(folder: &Path, out: &Path) -> Result<Option<File>, GetError> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(GetError::io(folder, &error)),
        _ => {}
    }
    match fs::symlink_metadata(folder) {
        Ok(found) if found.is_dir() => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        // Nothing that a get has made.
        _ => return Err(GetError::Exists { path: folder.to_owned() }),
    }
    let path = lock_path(folder);
    let lock = match OpenOptions::new().write(true).create(true).truncate(false).open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| GetError::io(&path, &error))?,
    };
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(GetError::Busy { path: out.to_owned() }),
        Err(TryLockError::Error(error)) => return Err(GetError::io(&path, &error)),
    }
    // Whoever had it may have removed it after it was opened here: a lock on what is no longer there keeps nobody out.
    let locked = lock.metadata().map_err(|error| GetError::io(&path, &error))?;
    let current = fs::symlink_metadata(&path);
    let same = current.is_ok_and(|found| (found.dev(), found.ino()) == (locked.dev(), locked.ino()));
    Ok(same.then_some(lock))
}

/// `.NAME.bowline-part`, or with a name that would be too long, its beginning and a hash of the whole.
fn folder_name(name: &OsStr) -> OsString {
    let mut folder = OsString::from(".");
    if 1 + name.len() + SUFFIX.len() <= MAX_NAME {
        folder.push(name);
    } else {
        let hash = HashAlgorithm::Sha2_256.hash(name.as_bytes()).expect("SHA2-256 takes any input");
        let tail = hash.digest().iter().take(HASH_BYTES).fold(String::from("-"), |mut tail, byte| {
            let _written = write!(tail, "{byte:02x}");
            tail
        });
        let name = name.to_string_lossy();
        folder.push(&name[..name.floor_char_boundary(MAX_NAME - 1 - tail.len() - SUFFIX.len())]);
        folder.push(tail);
    }
    folder.push(SUFFIX);
    folder
}

/// Removes the leavings of a get that did not end well.
fn remove(path: &Path) {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => return,
    };
    if let Err(error) = removed {
        tracing::warn!(path = %path.display(), %error, "a partial output cannot be removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leaves_no_room_is_cut_and_stays_unlike_others() {
        assert_eq!(folder_name(OsStr::new("film")), ".film.bowline-part");
        let longest = "x".repeat(MAX_NAME - 1 - SUFFIX.len());
        assert_eq!(folder_name(OsStr::new(&longest)).len(), MAX_NAME);
        let names = ["a", "b"].map(|end| format!("{}{end}", "ü".repeat(127)));
        let folders = names.each_ref().map(|name| folder_name(OsStr::new(name)));
        assert_ne!(folders[0], folders[1]);
        for folder in folders {
            assert!(folder.len() <= MAX_NAME && folder.to_str().unwrap().starts_with(".üü"), "{folder:?}");
        }
    }

    #[test]
    fn a_folder_is_claimed_by_one_at_a_time_and_what_is_not_ours_stays_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("film");
        let first = Partial::claim(&out).unwrap();
        assert!(matches!(Partial::claim(&out), Err(GetError::Busy { path }) if path == out));
        drop(first);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let second = Partial::claim(&out).unwrap();
        let other = second.folder.join("other");
        fs::write(&other, "kept").unwrap();
        drop(second);
        assert_eq!(fs::read(&other).unwrap(), b"kept");
        assert!(!dir.path().join(".film.bowline-part/lock").exists());
    }

    #[test]
    fn something_else_under_the_folders_name_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".film.bowline-part");
        fs::write(&file, "mine").unwrap();
        let claimed = Partial::claim(&dir.path().join("film"));
        assert!(matches!(claimed, Err(GetError::Exists { path }) if path == file));
        assert_eq!(fs::read(&file).unwrap(), b"mine");
    }
}
