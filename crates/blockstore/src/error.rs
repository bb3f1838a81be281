//! What can go wrong in a store.

use std::io;
use std::path::{Path, PathBuf};

use bowline_block::{Cid, Multihash, codec};

/// Why a store did not do what it was asked. Names the folder, file or block concerned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process, or another `Repository` of this one, has the folder open.
    #[error("{} is in use by another process", folder.display())]
    InUse {
        /// The folder of the repository.
        folder: PathBuf,
    },
    /// The folder holds something else than a repository.
    #[error("{} is not a repository", folder.display())]
    NotARepository {
        /// The folder.
        folder: PathBuf,
    },
    /// The repository was written by another version of this program.
    #[error("{} is a repository of version {found:?}, this program reads {supported:?}", folder.display())]
    Version {
        /// The folder of the repository.
        folder: PathBuf,
        /// What its version file says.
        found: String,
        /// What it would have to say.
        supported: &'static str,
    },
    /// The folder may not be written: a read-only file system, or missing permission.
    #[error("{} cannot be written: read-only or not permitted", folder.display())]
    ReadOnly {
        /// The folder of the repository.
        folder: PathBuf,
    },
    /// No room is left on the disk, or within the quota of the user.
    #[error("no room is left for {}", folder.display())]
    Full {
        /// The folder of the repository.
        folder: PathBuf,
    },
    /// A store in memory has reached the cap it was given.
    #[error("store in memory has reached its cap of {cap} bytes")]
    CapReached {
        /// The cap in bytes.
        cap: u64,
    },
    /// A file of the repository is damaged.
    #[error("{} is damaged: {detail}", path.display())]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The data of one block does not match its multihash any more. Storing it again mends it.
    #[error("block {} is damaged in {}", named(block), path.display())]
    CorruptBlock {
        /// The block.
        block: Box<Multihash>,
        /// The file it is in.
        path: PathBuf,
    },
    /// The disk does not give one block back.
    #[error("block {} cannot be read from {}: {message}", named(block), path.display())]
    Unreadable {
        /// The block.
        block: Box<Multihash>,
        /// The file it is in.
        path: PathBuf,
        /// What kind of failure the operating system reported.
        kind: io::ErrorKind,
        /// Its words.
        message: String,
    },
    /// A key, name or value given to the repository is longer than allowed.
    #[error("{what} of {len} bytes is longer than {max}")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The most bytes allowed.
        max: usize,
    },
    /// The disk failed in some other way.
    #[error("{}: {message}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What kind of failure the operating system reported.
        kind: io::ErrorKind,
        /// Its words.
        message: String,
    },
}

impl StoreError {
    /// Sorts a failure of the operating system at `path` inside the repository `folder`.
    pub(crate) fn io(folder: &Path, path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            // A limit on the size of files is one more way of having no room.
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full { folder: folder.to_owned() }
            }
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::ReadOnly { folder: folder.to_owned() }
            }
            kind => Self::Io { path: path.to_owned(), kind, message: error.to_string() },
        }
    }

    /// Sorts a failure of the embedded database in the file `path` of the repository `folder`.
    pub(crate) fn database(folder: &Path, path: &Path, error: &redb::Error) -> Self {
        match error {
            redb::Error::Io(error) if error.kind() != io::ErrorKind::InvalidData => {
                Self::io(folder, path, error)
            }
            redb::Error::DatabaseAlreadyOpen => Self::InUse { folder: folder.to_owned() },
            error => Self::Corrupt { path: path.to_owned(), detail: error.to_string() },
        }
    }
}

/// A block as people know it: the CID that its raw bytes would have.
fn named(block: &Multihash) -> Cid {
    Cid::new_v1(codec::RAW, *block)
}
