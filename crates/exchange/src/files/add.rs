//! Adding files and trees.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use bowline_block::{Cid, VerifiedBlock};
use bowline_blockstore::{BlockStore, StoreError};
use bowline_unixfs::{DirectoryBuilder, FileImporter, HashedLeaf, ImportConfig, Leaf, Profile, symlink};
use bytes::BytesMut;

use super::{AddError, OnProgress, Progress};
use crate::{Exchange, OffLoad};

/// Content is read and hashed in rounds of this many bytes.
const ROUND_BYTES: usize = 8 * 1024 * 1024;

/// Blocks are stored in batches of about this many bytes, each synced once.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Threads that store batches: one copies while the other waits for the disk.
const WRITERS: usize = 2;

/// How to add.
#[derive(Clone, Default)]
pub struct AddOptions {
    /// Which of Kubo's ways of making blocks.
    pub profile: Profile,
    /// Where the work runs.
    pub off_load: OffLoad,
    /// Is told how far it has come.
    pub on_progress: Option<OnProgress>,
    /// Is told about new blocks, so that peers who wait for them are served.
    pub exchange: Option<Exchange>,
}

/// What was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The root.
    pub cid: Cid,
    /// The last part of the path.
    pub name: String,
    /// Content, in bytes.
    pub bytes: u64,
    /// Blocks that were made, equal ones counted each time.
    pub blocks: u64,
}

/// Adds a file, a symbolic link, or a directory with all that is in it. Hidden entries of directories are left
/// out, as `ipfs add -r` does.
///
/// Content is hashed on every core and stored in batches; when it returns, everything is durable as the store
/// promises. Memory does not grow with the file.
///
/// # Errors
///
/// When something cannot be read or the store refuses; the path is named.
///
/// # Cancel safety
///
/// Work that has begun runs to its end when the future is dropped; blocks that are stored stay stored.
pub async fn add(store: &Arc<dyn BlockStore>, path: &Path, options: &AddOptions) -> Result<Added, AddError> {
    let (store, path, options) = (Arc::clone(store), path.to_owned(), options.clone());
    options.off_load.run(move || add_now(&*store, &path, &options)).await
}

fn add_now(store: &dyn BlockStore, path: &Path, options: &AddOptions) -> Result<Added, AddError> {
    let (sender, receiver) = sync_channel(1);
    let receiver = Mutex::new(Some(receiver));
    thread::scope(|scope| {
        let writers = [(); WRITERS].map(|()| scope.spawn(|| write_batches(store, &receiver, options)));
        let mut adding = Adding {
            config: options.profile.config(),
            sender,
            batch: Vec::new(),
            batch_bytes: 0,
            progress: Progress { total: size_of(path).ok(), ..Progress::default() },
            on_progress: options.on_progress.as_ref(),
        };
        let added = adding.add(path).and_then(|node| adding.flush().map(|()| node));
        let progress = adding.progress;
        drop(adding);
        for writer in writers {
            // What the store said matters more than that nobody took the batches after it.
            writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_else(|| path.display().to_string());
        Ok(Added { cid: added?.cid, name, bytes: progress.bytes, blocks: progress.blocks })
    })
}

/// The batches that wait to be stored; gone once a writer has ended, so that nobody waits to hand over more.
type Batches = Mutex<Option<Receiver<Vec<VerifiedBlock>>>>;

struct CloseOnDrop<'a>(&'a Batches);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Stores batches until there are no more or the store refuses.
fn write_batches(store: &dyn BlockStore, batches: &Batches, options: &AddOptions) -> Result<(), StoreError> {
    // However this writer ends, by an error, a panic or because there are no more batches.
    let _closing = CloseOnDrop(batches);
    let take = || {
        let batches = batches.lock().unwrap_or_else(PoisonError::into_inner);
        batches.as_ref().and_then(|batches| batches.recv().ok())
    };
    while let Some(batch) = take() {
        store.put_many(&batch)?;
        if let Some(exchange) = &options.exchange {
            exchange.announce(&batch);
        }
    }
    Ok(())
}

/// The content below a path, in bytes, hidden entries left out.
fn size_of(path: &Path) -> io::Result<u64> {
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() {
        return Ok(if found.is_file() { found.len() } else { 0 });
    }
    let sizes = visible_entries(path)?.iter().map(|entry| size_of(entry)).collect::<io::Result<Vec<_>>>();
    Ok(sizes?.into_iter().sum())
}

/// The entries of a directory that are not hidden, by name.
fn visible_entries(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if !entry.file_name().as_bytes().starts_with(b".") {
            entries.push(entry.path());
        }
    }
    entries.sort();
    Ok(entries)
}

/// A root and the length of all its blocks.
struct Node {
    cid: Cid,
    dag_size: u64,
}

/// One call of [`add`].
struct Adding<'a> {
    config: ImportConfig,
    sender: SyncSender<Vec<VerifiedBlock>>,
    batch: Vec<VerifiedBlock>,
    batch_bytes: usize,
    progress: Progress,
    on_progress: Option<&'a OnProgress>,
}

impl Adding<'_> {
    fn add(&mut self, path: &Path) -> Result<Node, AddError> {
        let refused = |error: io::Error| AddError::io(path, &error);
        let kind = fs::symlink_metadata(path).map_err(refused)?.file_type();
        if kind.is_file() {
            return self.add_file(path);
        }
        let build = |source| AddError::Build { path: path.to_owned(), source };
        let made = if kind.is_symlink() {
            let target = fs::read_link(path).map_err(refused)?;
            symlink(&self.config, target.as_os_str().as_bytes().to_vec()).map_err(build)?
        } else if kind.is_dir() {
            let mut directory = DirectoryBuilder::new(self.config);
            for entry in visible_entries(path).map_err(refused)? {
                let node = self.add(&entry)?;
                let name = entry.file_name().unwrap_or_default().as_bytes().to_vec();
                directory.add(name, node.cid, node.dag_size).map_err(build)?;
            }
            directory.finish().map_err(build)?
        } else {
            return Err(AddError::Unsupported { path: path.to_owned() });
        };
        self.store(made.blocks)?;
        Ok(Node { cid: made.cid, dag_size: made.dag_size })
    }

    fn add_file(&mut self, path: &Path) -> Result<Node, AddError> {
        let refused = |error: io::Error| AddError::io(path, &error);
        let mut file = File::open(path).map_err(refused)?;
        let mut importer = FileImporter::new(self.config);
        loop {
            let mut round = BytesMut::zeroed(ROUND_BYTES);
            let len = read_full(&mut file, &mut round).map_err(refused)?;
            round.truncate(len);
            importer.push(round.freeze());
            if len < ROUND_BYTES {
                importer.finish();
            }
            let leaves: Vec<_> = std::iter::from_fn(|| importer.poll_leaf()).collect();
            for leaf in hash_all(leaves) {
                importer.supply(leaf).expect("the leaf came from this importer");
            }
            self.store(std::iter::from_fn(|| importer.poll_block()))?;
            self.progress.bytes += len as u64;
            if let Some(on_progress) = self.on_progress {
                on_progress(self.progress);
            }
            if let Some(made) = importer.poll_finished() {
                return Ok(Node { cid: made.cid, dag_size: made.dag_size });
            }
        }
    }

    fn store(&mut self, blocks: impl IntoIterator<Item = VerifiedBlock>) -> Result<(), AddError> {
        for block in blocks {
            self.progress.blocks += 1;
            self.batch_bytes += block.len();
            self.batch.push(block);
            if self.batch_bytes >= BATCH_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), AddError> {
        self.batch_bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        // The writers are gone only when the store refused or panicked, which they report.
        let refused = io::Error::new(io::ErrorKind::BrokenPipe, "the store takes no more blocks");
        self.sender.send(batch).map_err(|_| AddError::io(Path::new("store"), &refused))
    }
}

/// Reads until the buffer is full or the file ends.
fn read_full(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// Hashes leaves on every core.
fn hash_all(leaves: Vec<Leaf>) -> Vec<HashedLeaf> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    if leaves.len() < 2 || cores < 2 {
        return leaves.into_iter().map(Leaf::hash).collect();
    }
    let share = leaves.len().div_ceil(cores);
    let mut leaves = leaves.into_iter();
    thread::scope(|scope| {
        let mut shares = Vec::new();
        while leaves.len() > 0 {
            let part: Vec<_> = leaves.by_ref().take(share).collect();
            shares.push(scope.spawn(move || part.into_iter().map(Leaf::hash).collect::<Vec<_>>()));
        }
        let joined = shares
            .into_iter()
            .map(|share| share.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.flatten().collect()
    })
}
