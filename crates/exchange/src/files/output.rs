//! The files that a get writes: beside their place, until they are whole.
//!
//! ```text
//!   events ──> Output ── batches of steps, one after the other ──> off-load: Writer ──> Partial (a folder)
//!                                                                              └ finish: rename ──> path
//! ```

mod partial;
mod writer;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bowline_unixfs::{Event, FileId, TreePath};
use futures_util::{FutureExt, future::BoxFuture};

use self::{
    partial::Partial,
    writer::{Link, Step, Target, Writer},
};
use super::GetError;
use crate::OffLoad;

/// Content is written in batches of about this many bytes.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// The most steps of a batch: a tree of tiny files has many and few bytes.
const BATCH_STEPS: usize = 1024;

/// What a get writes. Dropped before [`finish`](Self::finish), it leaves nothing behind.
pub(super) struct Output {
    /// The final place.
    path: PathBuf,
    /// Where it is written.
    content: PathBuf,
    off_load: OffLoad,
    writer: Arc<Mutex<Writer>>,
    /// Ends the batch that is being written.
    stopped: Arc<AtomicBool>,
    /// Files that have begun and not ended. None of them is open: how many there are is the tree's choice.
    begun: BTreeMap<FileId, Arc<Target>>,
    /// Made last, so that nothing is ever written through one.
    links: Vec<Link>,
    batch: Vec<Step>,
    batch_bytes: usize,
    /// The batch that is being written; the next one waits for it, since a file's steps have an order.
    writing: Option<BoxFuture<'static, Result<(), GetError>>>,
}

impl Output {
    /// Prepares to write `path`. A file there is replaced once the new one is whole; a directory is not. With
    /// `durable`, what is written outlives a loss of power once [`finish`](Self::finish) returns.
    pub(super) fn new(path: &Path, off_load: OffLoad, durable: bool) -> Result<Self, GetError> {
        if fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
            return Err(GetError::Exists { path: path.to_owned() });
        }
        let partial = Partial::claim(path)?;
        Ok(Self {
            path: path.to_owned(),
            content: partial.content(),
            off_load,
            writer: Arc::new(Mutex::new(Writer::new(partial, durable))),
            stopped: Arc::default(),
            begun: BTreeMap::new(),
            links: Vec::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            writing: None,
        })
    }

    /// Where an entry of the tree is written. Names were checked when their directory was read.
    fn place(&self, path: &TreePath) -> PathBuf {
        let mut place = self.content.clone();
        place.extend(path.names().map(OsStr::from_bytes));
        place
    }

    /// Takes in what the walk found.
    pub(super) async fn take(&mut self, event: Event) -> Result<(), GetError> {
        match event {
            Event::Directory { path, .. } => self.batch.push(Step::Directory(self.place(&path))),
            Event::File { file, path, size, .. } => {
                let target = Arc::new(Target { id: file, path: self.place(&path), size });
                self.begun.insert(file, Arc::clone(&target));
                self.batch.push(Step::Create(target));
            }
            Event::Data { file, offset, bytes } => {
                if let Some(target) = self.begun.get(&file) {
                    self.batch_bytes += bytes.len();
                    self.batch.push(Step::Write(Arc::clone(target), offset, bytes));
                }
            }
            Event::FileEnd { file } => self.batch.extend(self.begun.remove(&file).map(Step::End)),
            Event::Symlink { path, target, .. } => {
                self.links.push(Link { path: self.place(&path), target });
            }
            _ => {}
        }
        if self.batch_bytes >= BATCH_BYTES || self.batch.len() >= BATCH_STEPS {
            self.write_batch().await?;
        }
        Ok(())
    }

    /// Begins to write what has gathered, once what was begun before is written.
    async fn write_batch(&mut self) -> Result<(), GetError> {
        self.settle().await?;
        let (batch, writer) = (std::mem::take(&mut self.batch), Arc::clone(&self.writer));
        self.batch_bytes = 0;
        let stopped = Arc::clone(&self.stopped);
        let written = self.off_load.run(move || lock(&writer).write(batch, &stopped));
        self.writing = Some(written.boxed());
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), GetError> {
        let Some(writing) = &mut self.writing else { return Ok(()) };
        let written = writing.await;
        self.writing = None;
        written
    }

    /// Writes what is left and puts everything in its place.
    pub(super) async fn finish(mut self) -> Result<(), GetError> {
        self.write_batch().await?;
        self.settle().await?;
        let (links, writer) = (std::mem::take(&mut self.links), Arc::clone(&self.writer));
        let (path, stopped) = (self.path.clone(), Arc::clone(&self.stopped));
        self.off_load.run(move || lock(&writer).finish(&path, links, &stopped)).await
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Waits for the step that is being done, so that nothing appears after what is there has been removed.
        lock(&self.writer).discard();
    }
}

fn lock(writer: &Mutex<Writer>) -> std::sync::MutexGuard<'_, Writer> {
    writer.lock().unwrap_or_else(PoisonError::into_inner)
}
