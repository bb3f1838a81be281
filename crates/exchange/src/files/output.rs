//! The files that a get writes: beside their place, until they are whole.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs::{self, File, OpenOptions},
    io,
    os::unix::{ffi::OsStrExt, fs::FileExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use bowline_unixfs::{Event, FileId, TreePath};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesOrdered};

use super::GetError;
use crate::OffLoad;

/// Content is written in batches of about this many bytes.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Batches that are being written at the same time; then the walk waits.
const MAX_BATCHES: usize = 2;

/// What a get writes. Dropped before [`finish`](Self::finish), it leaves nothing behind.
pub(super) struct Output {
    /// The final place.
    path: PathBuf,
    /// Where it is written.
    partial: PathBuf,
    off_load: OffLoad,
    /// Whether files are synced when they are whole.
    sync: bool,
    open: BTreeMap<FileId, Arc<OpenFile>>,
    /// Made last, so that nothing is ever written through one.
    links: Vec<(PathBuf, Bytes)>,
    batch: Vec<Write>,
    batch_bytes: usize,
    writing: FuturesOrdered<BoxFuture<'static, Result<(), GetError>>>,
    finished: bool,
}

struct OpenFile {
    path: PathBuf,
    file: File,
}

enum Write {
    At(Arc<OpenFile>, u64, Bytes),
    Sync(Arc<OpenFile>),
}

impl Output {
    /// Prepares to write `path`. A file there is replaced once the new one is whole; a directory is not.
    pub(super) fn new(path: &Path, off_load: OffLoad, sync: bool) -> Result<Self, GetError> {
        if fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
            return Err(GetError::Exists { path: path.to_owned() });
        }
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_else(|| OsStr::new("out")));
        name.push(format!(".{}.part", std::process::id()));
        let partial = path.with_file_name(name);
        remove(&partial);
        Ok(Self {
            path: path.to_owned(),
            partial,
            off_load,
            sync,
            open: BTreeMap::new(),
            links: Vec::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            writing: FuturesOrdered::new(),
            finished: false,
        })
    }

    /// Where an entry of the tree is written. Names were checked when their directory was read.
    fn place(&self, path: &TreePath) -> PathBuf {
        let mut place = self.partial.clone();
        place.extend(path.names().map(OsStr::from_bytes));
        place
    }

    /// Takes in what the walk found.
    pub(super) async fn take(&mut self, event: Event) -> Result<(), GetError> {
        match event {
            Event::Directory { path, .. } => {
                let place = self.place(&path);
                fs::create_dir(&place).map_err(|error| GetError::io(&place, &error))?;
            }
            Event::File { file, path, size, .. } => {
                let place = self.place(&path);
                let opened = create(&place, size).map_err(|error| GetError::io(&place, &error))?;
                self.open.insert(file, Arc::new(OpenFile { path: place, file: opened }));
            }
            Event::Data { file, offset, bytes } => {
                if let Some(file) = self.open.get(&file) {
                    self.batch_bytes += bytes.len();
                    self.batch.push(Write::At(Arc::clone(file), offset, bytes));
                }
            }
            Event::FileEnd { file } => {
                if let Some(file) = self.open.remove(&file).filter(|_| self.sync) {
                    self.batch.push(Write::Sync(file));
                }
            }
            Event::Symlink { path, target, .. } => self.links.push((self.place(&path), target)),
            _ => {}
        }
        if self.batch_bytes >= BATCH_BYTES {
            self.write_batch();
        }
        while self.writing.len() > MAX_BATCHES {
            self.writing.next().await.transpose()?;
        }
        Ok(())
    }

    fn write_batch(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let written = self.off_load.run(move || batch.into_iter().try_for_each(write));
        self.writing.push_back(written.boxed());
    }

    /// Writes what is left and puts everything in its place.
    pub(super) async fn finish(mut self) -> Result<(), GetError> {
        self.write_batch();
        while let Some(written) = self.writing.next().await {
            written?;
        }
        for (place, target) in std::mem::take(&mut self.links) {
            let linked = std::os::unix::fs::symlink(OsStr::from_bytes(&target), &place);
            linked.map_err(|error| GetError::io(&place, &error))?;
        }
        fs::rename(&self.partial, &self.path).map_err(|error| GetError::io(&self.path, &error))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.finished {
            remove(&self.partial);
        }
    }
}

fn create(path: &Path, size: u64) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.set_len(size)?;
    Ok(file)
}

fn write(write: Write) -> Result<(), GetError> {
    match write {
        Write::At(file, offset, bytes) => {
            file.file.write_all_at(&bytes, offset).map_err(|error| GetError::io(&file.path, &error))
        }
        Write::Sync(file) => file.file.sync_all().map_err(|error| GetError::io(&file.path, &error)),
    }
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
