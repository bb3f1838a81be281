//! The pack files of a store.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::{Position, lock};
use crate::StoreError;
use crate::pack::record::PACK_START;

/// The folder `blocks/` and the packs in it that are open for reading.
#[derive(Debug)]
pub(super) struct Segments {
    /// The repository, for errors.
    repository: PathBuf,
    folder: PathBuf,
    open: Mutex<BTreeMap<u32, Arc<File>>>,
}

/// How many packs are kept open for reading, so that a large store does not run out of file descriptors.
const MAX_OPEN: usize = 128;

impl Segments {
    pub(super) fn new(repository: &Path, folder: PathBuf) -> Self {
        Self { repository: repository.to_owned(), folder, open: Mutex::default() }
    }

    /// Where a pack is, or would be.
    pub(super) fn path(&self, segment: u32) -> PathBuf {
        self.folder.join(name(segment))
    }

    pub(super) fn error(&self, segment: u32, error: &io::Error) -> StoreError {
        StoreError::io(&self.repository, &self.path(segment), error)
    }

    pub(super) fn corrupt(&self, segment: u32, detail: &str) -> StoreError {
        StoreError::Corrupt { path: self.path(segment), detail: detail.to_owned() }
    }

    /// The numbers of all packs, lowest first.
    pub(super) fn list(&self) -> Result<Vec<u32>, StoreError> {
        let error = |error: &io::Error| StoreError::io(&self.repository, &self.folder, error);
        let mut segments = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(|e| error(&e))? {
            let name = entry.map_err(|e| error(&e))?.file_name();
            segments.extend(name.to_str().and_then(number));
        }
        segments.sort_unstable();
        Ok(segments)
    }

    /// A pack, open for reading.
    ///
    /// # Errors
    ///
    /// Among others when it was removed, which a reader with an old location may meet.
    pub(super) fn read(&self, segment: u32) -> io::Result<Arc<File>> {
        if let Some(file) = lock(&self.open).get(&segment) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(File::open(self.path(segment))?);
        let mut open = lock(&self.open);
        if open.len() >= MAX_OPEN {
            // Old packs are read least.
            open.pop_first();
        }
        open.insert(segment, Arc::clone(&file));
        Ok(file)
    }

    /// Opens the last pack for writing, cut to `end`.
    pub(super) fn continue_at(&self, end: Position) -> Result<Arc<File>, StoreError> {
        let file = File::options().read(true).write(true).open(self.path(end.segment));
        let file = file.map_err(|error| self.error(end.segment, &error))?;
        let len = file.metadata().map_err(|error| self.error(end.segment, &error))?.len();
        if len > end.offset {
            file.set_len(end.offset).map_err(|error| self.error(end.segment, &error))?;
        }
        Ok(Arc::new(file))
    }

    /// Makes an empty pack that survives a crash from now on.
    pub(super) fn create(&self, segment: u32) -> Result<Arc<File>, StoreError> {
        let path = self.path(segment);
        self.write_new(&path).map_err(|error| {
            // What is left of it would be taken for the last pack.
            let _ = fs::remove_file(&path);
            self.error(segment, &error)
        })
    }

    fn write_new(&self, path: &Path) -> io::Result<Arc<File>> {
        use std::os::unix::fs::FileExt;

        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        file.write_all_at(&super::record::PACK_MAGIC, 0)?;
        file.sync_all()?;
        self.sync_folder()?;
        Ok(Arc::new(file))
    }

    /// Removes a pack to which no block belongs any more. Readers that have it open still read it.
    pub(super) fn remove(&self, segment: u32) -> Result<(), StoreError> {
        lock(&self.open).remove(&segment);
        fs::remove_file(self.path(segment))
            .and_then(|()| self.sync_folder())
            .map_err(|error| self.error(segment, &error))
    }

    /// Makes the names of created and removed packs durable.
    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

fn name(segment: u32) -> String {
    format!("{segment:08}.pack")
}

/// The number in the name of a pack; files that somebody named otherwise are none.
fn number(file_name: &str) -> Option<u32> {
    let segment = file_name.strip_suffix(".pack")?.parse().ok()?;
    (name(segment) == file_name).then_some(segment)
}

/// The place before the first record of a pack.
pub(super) fn start_of(segment: u32) -> Position {
    Position { segment, offset: PACK_START }
}
