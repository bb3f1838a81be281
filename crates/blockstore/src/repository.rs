//! A folder with everything that a node keeps.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bowline_block::Cid;
use bytes::Bytes;
use redb::{ReadableTable, TableDefinition};

use crate::database::{Commit, Database};
use crate::pack::PackStore;
use crate::{BlockStore, StoreError};

/// The store of a node in one folder: blocks, roots, small values, and the place of its key.
///
/// ```text
///   version     what wrote the folder
///   lock        locked by the operating system while the folder is open
///   key         the private key of the node, written by whoever owns it
///   meta.redb   roots and values
///   blocks/     packs and their index
/// ```
///
/// One process has a folder open at a time. The lock dies with its owner, so a crash leaves nothing to clean
/// up; opening after a crash recovers every block for which [`BlockStore::put_many`] had returned.
#[derive(Debug)]
pub struct Repository {
    folder: PathBuf,
    blocks: Arc<PackStore>,
    meta: Database,
    _lock: Arc<File>,
}

/// How to open a [`Repository`]. Every combination is valid.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Make the folder if it does not exist or is empty. Default: yes.
    pub create: bool,
    /// What `put_many` promises on return. Default: [`Durability::Synced`].
    pub durability: Durability,
    /// Hash every block that is read, and report damage instead of returning it. Costs the speed of hashing
    /// (1 to 2 GB/s with SHA instructions). Default: no, as the receiver hashes anyway.
    pub verify_reads: bool,
    /// The size of a pack in bytes after which the next one begins. Smaller packs are cheaper to compact,
    /// more of them cost open files. Default: 1 GiB.
    pub segment_bytes: u64,
    /// Memory for the index of blocks, in bytes. Default: 16 MiB.
    pub index_cache_bytes: usize,
    /// Forget the index and make a new one from the packs, for when [`StoreError::Corrupt`] names it. Reads
    /// every block once. Blocks deleted before a compaction may come back. Default: no.
    pub rebuild_index: bool,
}

/// What [`BlockStore::put_many`] promises on return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The blocks survive a loss of power. Costs one flush per batch, some milliseconds.
    #[default]
    Synced,
    /// The blocks survive the end of the process, and a loss of power after [`BlockStore::sync`].
    Buffered,
}

/// A CID that somebody wants kept, with everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// What is kept.
    pub cid: Cid,
    /// When it was added, in seconds since 1970.
    pub added: u64,
    /// What it is called; may be empty.
    pub name: String,
}

/// The longest name of a root in bytes: a path as long as Linux allows.
pub const MAX_NAME_LEN: usize = 4096;
/// The longest key of a value in bytes.
pub const MAX_KEY_LEN: usize = 1024;
/// The longest value in bytes, 1 MiB; larger things are blocks.
pub const MAX_VALUE_LEN: usize = 1024 * 1024;

const VERSION: &str = "bowline repository 1";
/// Longer version files are somebody else's.
const MAX_VERSION_LEN: u64 = 256;
const META_CACHE_BYTES: usize = 1024 * 1024;

/// CID to time added and name.
const ROOTS: TableDefinition<'_, &[u8], (u64, &str)> = TableDefinition::new("roots");
const VALUES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("values");

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            create: true,
            durability: Durability::Synced,
            verify_reads: false,
            segment_bytes: 1024 * 1024 * 1024,
            index_cache_bytes: 16 * 1024 * 1024,
            rebuild_index: false,
        }
    }
}

impl Repository {
    /// Opens a folder, and recovers what a crash left behind.
    ///
    /// # Errors
    ///
    /// [`StoreError::InUse`] while another process has it open, [`StoreError::NotARepository`] for a folder
    /// with other things in it, [`StoreError::Version`] for one that a later version wrote,
    /// [`StoreError::ReadOnly`], [`StoreError::Full`], [`StoreError::Corrupt`] or [`StoreError::Io`] as the
    /// disk has it.
    pub fn open(folder: impl AsRef<Path>, options: OpenOptions) -> Result<Self, StoreError> {
        let folder = folder.as_ref().to_owned();
        if options.create {
            fs::create_dir_all(&folder).map_err(|error| StoreError::io(&folder, &folder, &error))?;
        }
        refuse_other_folders(&folder, options.create)?;
        let lock = Arc::new(lock(&folder)?);
        check_version(&folder)?;
        let meta = Database::open(&folder, folder.join("meta.redb"), META_CACHE_BYTES)?;
        meta.write(Commit::Durably, |write| {
            write.open_table(ROOTS)?;
            write.open_table(VALUES)?;
            Ok(())
        })?;
        let blocks = Arc::new(PackStore::open(&folder, &options, Arc::clone(&lock))?);
        Ok(Self { folder, blocks, meta, _lock: lock })
    }

    /// The blocks. The folder stays locked until the last clone of this is dropped too.
    pub fn blocks(&self) -> Arc<dyn BlockStore> {
        Arc::clone(&self.blocks) as Arc<dyn BlockStore>
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the private key of the node belongs, as a file that only its owner may read.
    pub fn key_path(&self) -> PathBuf {
        self.folder.join("key")
    }

    /// Records that `cid` and everything below it is to be kept. A root that is there already is replaced.
    ///
    /// `added` is in seconds since 1970. Durable on return.
    ///
    /// # Errors
    ///
    /// When the name is longer than [`MAX_NAME_LEN`], or the disk cannot be written.
    pub fn add_root(&self, cid: &Cid, added: u64, name: &str) -> Result<(), StoreError> {
        check_len("name of a root", name.len(), MAX_NAME_LEN)?;
        self.write(|write| {
            write.open_table(ROOTS)?.insert(&*cid.to_bytes(), (added, name))?;
            Ok(())
        })
    }

    /// Forgets a root, and says whether it was there. Its blocks stay until they are deleted.
    ///
    /// # Errors
    ///
    /// When the disk cannot be written.
    pub fn remove_root(&self, cid: &Cid) -> Result<bool, StoreError> {
        self.write(|write| Ok(write.open_table(ROOTS)?.remove(&*cid.to_bytes())?.is_some()))
    }

    /// All roots, oldest first.
    ///
    /// # Errors
    ///
    /// When the disk cannot be read.
    pub fn roots(&self) -> Result<Vec<Root>, StoreError> {
        let mut roots = self.read(|read| {
            let table = read.open_table(ROOTS)?;
            let entries = table.iter()?.map(|entry| {
                let (cid, value) = entry?;
                let (added, name) = value.value();
                let cid = Cid::try_from(cid.value())
                    .map_err(|_| redb::Error::Corrupted("root is not a CID".to_owned()))?;
                Ok(Root { cid, added, name: name.to_owned() })
            });
            entries.collect::<Result<Vec<Root>, redb::Error>>()
        })?;
        roots.sort_by_key(|root| root.added);
        Ok(roots)
    }

    /// A value that was set under `key`.
    ///
    /// # Errors
    ///
    /// When the disk cannot be read.
    pub fn value(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        self.read(|read| {
            let value = read.open_table(VALUES)?.get(key)?;
            Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
        })
    }

    /// All values whose keys begin with `prefix`, in the order of keys.
    ///
    /// # Errors
    ///
    /// When the disk cannot be read.
    pub fn values(&self, prefix: &str) -> Result<Vec<(String, Bytes)>, StoreError> {
        self.read(|read| {
            let mut values = Vec::new();
            for entry in read.open_table(VALUES)?.range(prefix..)? {
                let (key, value) = entry?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                values.push((key.value().to_owned(), Bytes::copy_from_slice(value.value())));
            }
            Ok(values)
        })
    }

    /// Sets the value of `key`. Durable on return.
    ///
    /// # Errors
    ///
    /// When the key is longer than [`MAX_KEY_LEN`] or the value than [`MAX_VALUE_LEN`], or the disk cannot
    /// be written.
    pub fn set_value(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        check_len("key", key.len(), MAX_KEY_LEN)?;
        check_len("value", value.len(), MAX_VALUE_LEN)?;
        self.write(|write| {
            write.open_table(VALUES)?.insert(key, value)?;
            Ok(())
        })
    }

    /// Removes the value of `key`, and says whether there was one. Durable on return.
    ///
    /// # Errors
    ///
    /// When the disk cannot be written.
    pub fn remove_value(&self, key: &str) -> Result<bool, StoreError> {
        self.write(|write| Ok(write.open_table(VALUES)?.remove(key)?.is_some()))
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        self.meta.reopen()?;
        self.meta.read(work)
    }

    fn write<T>(
        &self,
        work: impl FnOnce(&redb::WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        self.meta.reopen()?;
        self.meta.write(Commit::Durably, work)
    }
}

/// Leaves folders alone that hold other things.
fn refuse_other_folders(folder: &Path, create: bool) -> Result<(), StoreError> {
    let io = |error: io::Error| StoreError::io(folder, folder, &error);
    if folder.join("version").try_exists().map_err(io)? {
        return Ok(());
    }
    // A crash right after the folder was made leaves only these.
    let ours = |name: &std::ffi::OsStr| name == "lock" || name == VERSION_DRAFT || name == "key";
    for entry in fs::read_dir(folder).map_err(io)? {
        if !create || !ours(&entry.map_err(io)?.file_name()) {
            return Err(StoreError::NotARepository { folder: folder.to_owned() });
        }
    }
    if create { Ok(()) } else { Err(StoreError::NotARepository { folder: folder.to_owned() }) }
}

/// Takes the lock that the operating system gives back when its owner ends, in whichever way.
fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join("lock");
    let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|error| StoreError::io(folder, &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { folder: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(StoreError::io(folder, &path, &error)),
    }
}

const VERSION_DRAFT: &str = "version.new";

/// Reads the version file, or writes it into a new folder.
fn check_version(folder: &Path) -> Result<(), StoreError> {
    let path = folder.join("version");
    let found = match read_start(&path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return write_version(folder, &path).map_err(|error| StoreError::io(folder, &path, &error));
        }
        Err(error) => return Err(StoreError::io(folder, &path, &error)),
    };
    if found.trim_end() == VERSION {
        return Ok(());
    }
    Err(StoreError::Version {
        folder: folder.to_owned(),
        found: found.trim_end().to_owned(),
        supported: VERSION,
    })
}

fn read_start(path: &Path) -> io::Result<String> {
    let mut start = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(File::open(path)?, MAX_VERSION_LEN), &mut start)?;
    Ok(String::from_utf8_lossy(&start).into_owned())
}

fn write_version(folder: &Path, path: &Path) -> io::Result<()> {
    let draft = folder.join(VERSION_DRAFT);
    let mut file = File::create(&draft)?;
    writeln!(file, "{VERSION}")?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    File::open(folder)?.sync_all()
}

fn check_len(what: &'static str, len: usize, max: usize) -> Result<(), StoreError> {
    if len > max { Err(StoreError::TooLong { what, len, max }) } else { Ok(()) }
}
