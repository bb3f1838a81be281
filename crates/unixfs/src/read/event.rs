//! What a walk comes to.

use bowline_block::Cid;
use bytes::Bytes;

use crate::data::Metadata;
use crate::name::TreePath;

/// Tells the files of one walk apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub(super) u64);

/// What a walk comes to.
///
/// Whatever the order, a directory comes before its entries and a file before its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A directory.
    Directory {
        /// Where it is.
        path: TreePath,
        /// Its root block.
        cid: Cid,
        /// Its permissions and time.
        metadata: Metadata,
    },
    /// A file. Its data follows, and then its end.
    File {
        /// Names the file in the events that follow.
        file: FileId,
        /// Where it is.
        path: TreePath,
        /// Its root block.
        cid: Cid,
        /// Its length in bytes.
        size: u64,
        /// Its permissions and time.
        metadata: Metadata,
    },
    /// Some content of a file: never empty, no byte twice.
    Data {
        /// The file.
        file: FileId,
        /// Where in the file the bytes belong.
        offset: u64,
        /// The bytes.
        bytes: Bytes,
    },
    /// All content of a file has come out.
    FileEnd {
        /// The file.
        file: FileId,
    },
    /// A symbolic link. Its target may lead anywhere, also out of the tree.
    Symlink {
        /// Where it is.
        path: TreePath,
        /// Its block.
        cid: Cid,
        /// Where it points, as written.
        target: Bytes,
        /// Its permissions and time.
        metadata: Metadata,
    },
    /// An entry of the directory that is listed.
    Entry {
        /// Its name, as a path from the root.
        path: TreePath,
        /// Its root block.
        cid: Cid,
        /// The length of all its blocks together, as the writer of the directory says. Zero when unknown.
        tsize: u64,
    },
}

/// What became of a supplied block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supplied {
    /// It was waited for.
    Used,
    /// Nobody waits for it: it came before, or the walk has ended.
    NotWanted,
}
