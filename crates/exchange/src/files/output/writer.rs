//! Writes batches of steps into a partial output, with few descriptors, and puts it into its place.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io,
    os::unix::{ffi::OsStrExt, fs::FileExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use bowline_unixfs::FileId;
use bytes::Bytes;

use super::{super::GetError, partial::Partial};

/// Files that are open at the same time; then the one that began first is closed, and opened again when needed.
const MAX_OPEN: usize = 64;

/// Whole files that are synced at the same time, each by a thread: file systems flush their journal once for all
/// that wait, which makes small files ten times as fast as one after the other.
const SYNCED_TOGETHER: usize = 16;

/// A file of the output.
pub(super) struct Target {
    pub(super) id: FileId,
    pub(super) path: PathBuf,
    pub(super) size: u64,
}

/// A symbolic link of the output.
pub(super) struct Link {
    pub(super) path: PathBuf,
    pub(super) target: Bytes,
}

/// One thing to do. A file is created, then written, then ended.
pub(super) enum Step {
    Directory(PathBuf),
    Create(Arc<Target>),
    Write(Arc<Target>, u64, Bytes),
    End(Arc<Target>),
}

/// Does the steps, in their order.
pub(super) struct Writer {
    /// Where it writes; gone when there is nothing more to do.
    partial: Option<Partial>,
    durable: bool,
    open: BTreeMap<FileId, File>,
    /// Whole files that are not synced yet.
    whole: Vec<(Arc<Target>, File)>,
}

impl Writer {
    pub(super) fn new(partial: Partial, durable: bool) -> Self {
        Self { partial: Some(partial), durable, open: BTreeMap::new(), whole: Vec::new() }
    }

    /// Does a batch of steps, unless it is told to stop.
    pub(super) fn write(&mut self, steps: Vec<Step>, stopped: &AtomicBool) -> Result<(), GetError> {
        for step in steps {
            if stopped.load(Ordering::Relaxed) {
                return Ok(());
            }
            match step {
                Step::Directory(path) => {
                    fs::create_dir(&path).map_err(|error| GetError::io(&path, &error))?;
                }
                Step::Create(target) => self.create(&target).map_err(at(&target.path))?,
                Step::Write(target, offset, bytes) => {
                    let file = self.file(&target).map_err(at(&target.path))?;
                    file.write_all_at(&bytes, offset).map_err(at(&target.path))?;
                }
                Step::End(target) => self.end(target)?,
            }
        }
        Ok(())
    }

    fn create(&mut self, target: &Target) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).open(&target.path)?;
        file.set_len(target.size)?;
        self.keep_open(target.id, file);
        Ok(())
    }

    fn file(&mut self, target: &Target) -> io::Result<&File> {
        if !self.open.contains_key(&target.id) {
            let file = OpenOptions::new().write(true).open(&target.path)?;
            self.keep_open(target.id, file);
        }
        Ok(&self.open[&target.id])
    }

    fn keep_open(&mut self, id: FileId, file: File) {
        if self.open.len() >= MAX_OPEN {
            self.open.pop_first();
        }
        self.open.insert(id, file);
    }

    fn end(&mut self, target: Arc<Target>) -> Result<(), GetError> {
        if !self.durable {
            self.open.remove(&target.id);
            return Ok(());
        }
        // A sync covers what was written through descriptors that are closed by now as well.
        self.file(&target).map_err(at(&target.path))?;
        self.whole.extend(self.open.remove(&target.id).map(|file| (target, file)));
        if self.whole.len() >= SYNCED_TOGETHER { self.sync_whole() } else { Ok(()) }
    }

    fn sync_whole(&mut self) -> Result<(), GetError> {
        let whole = std::mem::take(&mut self.whole);
        let sync = |(target, file): (Arc<Target>, File)| file.sync_all().map_err(at(&target.path));
        if whole.len() == 1 {
            return whole.into_iter().try_for_each(sync);
        }
        thread::scope(|scope| {
            let syncing: Vec<_> = whole.into_iter().map(|file| scope.spawn(move || sync(file))).collect();
            let synced = syncing.into_iter().map(|sync| sync.join());
            // All are waited for, and the first error is told.
            let synced: Vec<_> =
                synced.map(|sync| sync.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect();
            synced.into_iter().collect()
        })
    }

    /// Makes the links and puts everything in its place, unless it is told to stop.
    pub(super) fn finish(
        &mut self,
        path: &Path,
        links: Vec<Link>,
        stopped: &AtomicBool,
    ) -> Result<(), GetError> {
        let Some(content) = self.partial.as_ref().map(Partial::content) else { return Ok(()) };
        for link in links {
            let linked = std::os::unix::fs::symlink(OsStr::from_bytes(&link.target), &link.path);
            linked.map_err(at(&link.path))?;
        }
        self.sync_whole()?;
        // Opened before anything stands under the final name: nothing does when it is refused.
        let parent = match path.parent().filter(|_| self.durable) {
            Some(parent) => {
                sync_folders(&content)?;
                let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
                Some(File::open(parent).map_err(at(parent))?)
            }
            None => None,
        };
        if stopped.load(Ordering::Relaxed) {
            return Ok(());
        }
        fs::rename(&content, path).map_err(at(path))?;
        if let Some(parent) = parent {
            sync_folder(&parent).map_err(at(path))?;
        }
        self.partial = None;
        Ok(())
    }

    /// Gives up what is not in its place.
    pub(super) fn discard(&mut self) {
        self.open.clear();
        self.whole.clear();
        self.partial = None;
    }
}

/// Names the place of an error.
fn at(path: &Path) -> impl FnOnce(io::Error) -> GetError + '_ {
    move |error| GetError::io(path, &error)
}

/// Syncs every folder of a tree, so that the names in it last.
fn sync_folders(root: &Path) -> Result<(), GetError> {
    if !fs::symlink_metadata(root).map_err(at(root))?.is_dir() {
        return Ok(());
    }
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(at(&folder))? {
            let entry = entry.map_err(at(&folder))?;
            if entry.file_type().map_err(at(&folder))?.is_dir() {
                folders.push(entry.path());
            }
        }
        File::open(&folder).and_then(|open| sync_folder(&open)).map_err(at(&folder))?;
    }
    Ok(())
}

fn sync_folder(folder: &File) -> io::Result<()> {
    match folder.sync_all() {
        // File systems on which a folder cannot be synced, such as some over a network, have no other way either.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use bowline_block::VerifiedBlock;
    use bowline_blockstore::{BlockStore, MemoryStore};
    use bowline_unixfs::{Event, ReadConfig, Walker};

    use super::*;
    use crate::files::{AddOptions, add};

    /// Targets in `dir` for as many files, named by a walk over a tree of them.
    async fn targets(dir: &Path, count: usize) -> Vec<Arc<Target>> {
        let (tree, store) = (dir.join("tree"), Arc::new(MemoryStore::new()));
        fs::create_dir(&tree).unwrap();
        (0..count).for_each(|n| fs::write(tree.join(n.to_string()), "x").unwrap());
        let dyn_store: Arc<dyn BlockStore> = Arc::<MemoryStore>::clone(&store);
        let root = add(&dyn_store, &tree, &AddOptions::default()).await.unwrap().cid;
        let (mut walker, mut targets) = (Walker::new(root, ReadConfig::default()), Vec::new());
        while !walker.is_finished() {
            while let Some(event) = walker.poll_event() {
                if let Event::File { file: id, .. } = event.unwrap() {
                    let path = dir.join(targets.len().to_string());
                    targets.push(Arc::new(Target { id, path, size: 1 }));
                }
            }
            while let Some(cid) = walker.poll_need() {
                let data = store.get(cid.hash()).unwrap().unwrap();
                let _supplied = walker.supply(&VerifiedBlock::verify(cid, data).unwrap());
            }
        }
        targets
    }

    #[tokio::test]
    async fn files_that_have_begun_and_files_that_wait_for_a_sync_hold_few_descriptors() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::new(Partial::claim(&dir.path().join("out")).unwrap(), true);
        let (targets, go_on) = (targets(dir.path(), 200).await, AtomicBool::new(false));
        assert_eq!(targets.len(), 200);
        for target in &targets {
            writer.write(vec![Step::Create(Arc::clone(target))], &go_on).unwrap();
            assert!(writer.open.len() <= 64, "{} begun files are open", writer.open.len());
        }
        for target in &targets {
            let bytes = Bytes::from_static(b"x");
            let steps = vec![Step::Write(Arc::clone(target), 0, bytes), Step::End(Arc::clone(target))];
            writer.write(steps, &go_on).unwrap();
            assert!(writer.whole.len() < 16, "{} whole files wait for a sync", writer.whole.len());
        }
        assert!(targets.iter().all(|target| fs::read(&target.path).unwrap() == b"x"));
    }
}
