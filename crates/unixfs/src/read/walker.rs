//! The machine that turns blocks back into files and directories.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use bowline_block::{Cid, VerifiedBlock};

use super::config::{Order, ReadConfig};
use super::error::ReadError;
use super::event::{Event, FileId, Supplied};
use super::open::{Links, Open, OpenNode};
use super::work::{Arrived, Position, Role, Want};
use crate::name::TreePath;

/// Walks a tree of files and directories, or lists one directory.
///
/// ```text
///                 ┌───────────────── window ─────────────────┐
///   poll_need ──> │ waiting ··supply··> ready ──poll_event──>│──> consumer
///      ^          └──────────────────────────────────────────┘
///      └── open nodes: the links that have not been followed
/// ```
///
/// The caller fetches every CID of [`poll_need`](Self::poll_need), from a store or from peers, and gives the
/// blocks to [`supply`](Self::supply) in any order. CIDs come in the order in which their content does, so
/// far ahead of [`poll_event`](Self::poll_event) as the window of the [`ReadConfig`] allows; consuming
/// events opens it again. A CID is asked for once however often it stands in the window, and again when the
/// window has left it behind. CIDs that hold their own block are never asked for.
///
/// Whatever the tree declares, content takes at most five quarters of the window and one block, and nodes
/// at most four times `node_bytes`: blocks that turn out larger than declared and are not needed next are
/// dropped, and asked for again when they are.
///
/// The walk is a tree walk, and the tree cannot have cycles, since a block cannot hold its own hash.
#[derive(Debug)]
pub struct Walker {
    pub(super) config: ReadConfig,
    pub(super) scope: Scope,
    /// Which bytes of a file are read, by a reader of one.
    pub(super) range: Range<u64>,
    pub(super) waiting: BTreeMap<Position, Want>,
    /// The positions in `waiting` of nodes whose content is still unknown.
    pub(super) unknown: BTreeSet<Position>,
    /// The positions at which each block is waited for.
    pub(super) wanted: BTreeMap<Cid, Vec<Position>>,
    /// Blocks that have not been asked for yet.
    pub(super) needs: VecDeque<Cid>,
    pub(super) ready: BTreeMap<Position, Event>,
    pub(super) open: Open,
    /// Bytes of the window in use: declared while waiting, actual when ready.
    pub(super) held_bytes: u64,
    /// Content that has not come out, for each file that has begun.
    pub(super) files: BTreeMap<FileId, u64>,
    pub(super) next_file: u64,
    pub(super) links_followed: u64,
    /// The end of a file goes right after its last byte.
    file_end: Option<FileId>,
    pub(super) state: State,
}

/// What is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Everything below the root.
    Tree,
    /// The entries of the root directory, without their blocks.
    Listing,
    /// The root, which must be a file.
    File,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Walking,
    /// An error that has not been reported yet.
    Failing(ReadError),
    Failed,
}

impl Walker {
    /// Walks everything below `root`.
    pub fn new(root: Cid, config: ReadConfig) -> Self {
        Self::with_scope(root, config, Scope::Tree, 0..u64::MAX)
    }

    /// Lists the entries of the directory `root`, without fetching them.
    ///
    /// A root that is a file or symbolic link is walked as by [`new`](Self::new).
    pub fn listing(root: Cid, config: ReadConfig) -> Self {
        Self::with_scope(root, config, Scope::Listing, 0..u64::MAX)
    }

    pub(super) fn with_scope(root: Cid, config: ReadConfig, scope: Scope, range: Range<u64>) -> Self {
        let mut walker = Self {
            config,
            scope,
            range,
            waiting: BTreeMap::new(),
            unknown: BTreeSet::new(),
            wanted: BTreeMap::new(),
            needs: VecDeque::new(),
            ready: BTreeMap::new(),
            open: Open::new(scope == Scope::Listing),
            held_bytes: 0,
            files: BTreeMap::new(),
            next_file: 0,
            links_followed: 0,
            file_end: None,
            state: State::Walking,
        };
        let role = Role::Entry { path: TreePath::root(), tsize: 0 };
        walker.open.insert(OpenNode::new(root, Position::default(), Links::again(root, role)));
        walker
    }

    /// The next block to fetch: each once, in the order of their content.
    ///
    /// `None` when the window is full, when nothing is known to be missing, or after an error.
    #[must_use]
    pub fn poll_need(&mut self) -> Option<Cid> {
        self.plan();
        self.needs.pop_front()
    }

    /// Takes a block. Blocks may come in any order, also ones that were not asked for.
    pub fn supply(&mut self, block: &VerifiedBlock) -> Supplied {
        let Some(positions) = self.wanted.remove(block.cid()) else {
            return Supplied::NotWanted;
        };
        // It may come before it was asked for, from a caller that has two walks.
        self.needs.retain(|cid| cid != block.cid());
        let arrived = Arrived::parse(block).map_err(ReadError::from);
        for position in positions {
            let Some(want) = self.waiting.remove(&position) else {
                continue;
            };
            self.held_bytes = self.held_bytes.saturating_sub(want.schedule.reserved);
            self.open.uncount_ahead(want.schedule.class);
            self.unknown.remove(&position);
            let result = arrived.clone().and_then(|node| self.arrive(position, want, node, block.len()));
            if let Err(error) = result {
                self.fail(error);
                break;
            }
        }
        Supplied::Used
    }

    /// What the walk comes to next, or the one error that ends it.
    ///
    /// `None` when blocks are missing ([`outstanding`](Self::outstanding) says which) or at the end
    /// ([`is_finished`](Self::is_finished)).
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Result<Event, ReadError>> {
        self.plan();
        if let State::Failing(error) = &self.state {
            let error = error.clone();
            self.state = State::Failed;
            return Some(Err(error));
        }
        if let Some(file) = self.file_end.take() {
            return Some(Ok(Event::FileEnd { file }));
        }
        let first = self.ready.first_key_value()?.0;
        if self.config.order == Order::Sequential && !self.is_next(first) {
            return None;
        }
        let (_, event) = self.ready.pop_first()?;
        self.consume(&event);
        Some(Ok(event))
    }

    /// Whether everything has come out, or an error has.
    pub fn is_finished(&self) -> bool {
        match self.state {
            State::Walking => {
                self.ready.is_empty()
                    && self.waiting.is_empty()
                    && self.open.first().is_none()
                    && self.file_end.is_none()
            }
            State::Failing(_) => false,
            State::Failed => true,
        }
    }

    /// The blocks that are waited for, asked for or about to be.
    pub fn outstanding(&self) -> impl Iterator<Item = &Cid> {
        self.wanted.keys()
    }

    /// About how many bytes a block that is waited for has, from what its parent says.
    pub fn size_hint(&self, cid: &Cid) -> Option<u64> {
        let position = self.wanted.get(cid)?.first()?;
        self.waiting.get(position).map(|want| want.schedule.reserved)
    }

    /// How many bytes of the window are in use: declared sizes of blocks that are waited for, and content
    /// that has not been consumed.
    pub fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// How many blocks are waited for or have come and not been consumed.
    pub fn held_blocks(&self) -> usize {
        self.waiting.len() + self.ready.len()
    }

    /// How much memory the nodes take whose links have not all been followed, in bytes.
    pub fn node_bytes(&self) -> usize {
        self.open.charge()
    }

    pub(super) fn fail(&mut self, error: ReadError) {
        self.waiting.clear();
        self.unknown.clear();
        self.wanted.clear();
        self.needs.clear();
        self.ready.clear();
        self.open = Open::new(false);
        self.held_bytes = 0;
        self.files.clear();
        self.file_end = None;
        self.state = State::Failing(error);
    }

    fn consume(&mut self, event: &Event) {
        let (file, len) = match event {
            Event::File { file, .. } => (*file, 0),
            Event::Data { file, bytes, .. } => (*file, bytes.len() as u64),
            _ => return,
        };
        self.held_bytes = self.held_bytes.saturating_sub(len);
        let Some(missing) = self.files.get_mut(&file) else {
            return;
        };
        *missing = missing.saturating_sub(len);
        if *missing == 0 {
            self.files.remove(&file);
            self.file_end = Some(file);
        }
    }

    /// Whether nothing that is waited for or not yet asked for comes before `position`.
    pub(super) fn is_next(&self, position: &Position) -> bool {
        self.waiting.first_key_value().is_none_or(|(first, _)| position <= first)
            && self.open.first().is_none_or(|(first, _)| position <= first)
    }
}
