//! The embedded database, made to survive a full disk.
//!
//! After one failed write the database refuses everything, reads included, until it is opened again. A node
//! whose disk is full must go on serving what it has, so the handle here is dropped after a failure and
//! opened again by the next caller.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use redb::{ReadTransaction, ReadableDatabase, WriteTransaction};

use crate::StoreError;

/// A database file that can be opened again in place.
#[derive(Debug)]
pub(crate) struct Database {
    folder: PathBuf,
    path: PathBuf,
    cache_bytes: usize,
    open: RwLock<Option<redb::Database>>,
}

/// When a transaction reaches the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Commit {
    /// With the next durable one.
    Later,
    /// Before the commit returns.
    Durably,
}

/// Files up to this size are checked whole when they are opened, which takes a few hundredths of a second.
/// A damaged file that is larger is found out when the damage is read.
const CHECK_BELOW: u64 = 64 * 1024 * 1024;

impl Database {
    /// Opens or creates the file `path`, which belongs to the repository `folder`.
    pub(crate) fn open(folder: &Path, path: PathBuf, cache_bytes: usize) -> Result<Self, StoreError> {
        let database = Self { folder: folder.to_owned(), path, cache_bytes, open: RwLock::new(None) };
        let size = std::fs::metadata(&database.path).map_or(0, |metadata| metadata.len());
        database.open_file((1..CHECK_BELOW).contains(&size))?;
        Ok(database)
    }

    /// Opens the file again after a failure; does nothing where there was none.
    ///
    /// Commits that were not durable are lost. Writes as little as possible, since there may be no room.
    pub(crate) fn reopen(&self) -> Result<(), StoreError> {
        if self.is_open() { Ok(()) } else { self.open_file(false) }
    }

    /// Whether the last operation left the database usable.
    pub(crate) fn is_open(&self) -> bool {
        self.handle().is_some()
    }

    fn open_file(&self, check: bool) -> Result<(), StoreError> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if open.is_none() {
            let opened = redb::Database::builder()
                .set_cache_size(self.cache_bytes)
                .set_check_integrity_on_open(check)
                .create(&self.path);
            *open = Some(opened.map_err(|error| self.error(&error.into()))?);
        }
        Ok(())
    }

    /// Reads inside one transaction.
    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let result = match self.handle().as_ref() {
            Some(database) => database.begin_read().map_err(redb::Error::from).and_then(|read| work(&read)),
            None => return Err(self.closed()),
        };
        result.map_err(|error| self.give_up(&error))
    }

    /// Writes inside one transaction, which is undone when `work` fails.
    pub(crate) fn write<T>(
        &self,
        commit: Commit,
        work: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let result = match self.handle().as_ref() {
            Some(database) => write(database, commit, work),
            None => return Err(self.closed()),
        };
        result.map_err(|error| self.give_up(&error))
    }

    fn handle(&self) -> RwLockReadGuard<'_, Option<redb::Database>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the handle after a failure that it would not recover from.
    fn give_up(&self, error: &redb::Error) -> StoreError {
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.error(error)
    }

    fn error(&self, error: &redb::Error) -> StoreError {
        StoreError::database(&self.folder, &self.path, error)
    }

    fn closed(&self) -> StoreError {
        StoreError::Io {
            path: self.path.clone(),
            kind: std::io::ErrorKind::NotConnected,
            message: "closed after an earlier failure".to_owned(),
        }
    }
}

fn write<T>(
    database: &redb::Database,
    commit: Commit,
    work: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
) -> Result<T, redb::Error> {
    let mut transaction = database.begin_write()?;
    match commit {
        Commit::Later => transaction.set_durability(redb::Durability::None)?,
        // Two more flushes now spare the walk over the whole file after a crash.
        Commit::Durably => transaction.set_quick_repair(true),
    }
    let result = work(&transaction)?;
    transaction.commit()?;
    Ok(result)
}
