//! Nodes whose links have not all been followed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use bowline_block::Cid;

use super::error::ReadError;
use super::event::FileId;
use super::work::{Class, Position, Role, Schedule, ShardRole, Want};
use crate::hamt::Trail;
use crate::name::{Name, TreePath};
use crate::node::{DirectoryNode, FileNode, NodeError, Problem, ShardNode, Slot};

/// A node whose links are being followed, one by one.
#[derive(Debug)]
pub(super) struct OpenNode {
    cid: Cid,
    /// The position of the node itself.
    position: Position,
    links: Links,
    /// The link to follow next.
    next: usize,
    /// The memory that the node is charged for, in bytes.
    charge: usize,
    /// How the node was scheduled, until its first link is followed: till then it counts as fetched ahead.
    ahead: Option<Class>,
}

/// The links of a node.
#[derive(Debug)]
pub(super) enum Links {
    /// To the parts of a file; the next one starts at `offset`.
    Parts { node: Arc<FileNode>, file: FileId, offset: u64 },
    /// To the entries of a directory.
    Entries { node: Arc<DirectoryNode>, path: TreePath },
    /// To the entries and child shards of a shard.
    Slots { node: Arc<ShardNode>, path: TreePath, trail: Trail },
    /// To the block itself, which had to be dropped.
    Again(Option<Want>),
}

impl OpenNode {
    pub(super) fn new(cid: Cid, position: Position, links: Links) -> Self {
        Self { cid, position, links, next: 0, charge: 0, ahead: None }
    }

    /// Books the memory that the node takes, and that it was fetched ahead.
    pub(super) fn booked(self, charge: usize, class: Class) -> Self {
        Self { charge, ahead: Some(class), ..self }
    }

    /// The position of the next link's target. Number 0 below a node is its own content.
    pub(super) fn key(&self) -> Position {
        match self.links {
            Links::Again(_) => self.position.clone(),
            _ => self.position.child(u32::try_from(self.next).unwrap_or(u32::MAX).saturating_add(1)),
        }
    }

    /// How the next link's target is scheduled, or `None` when all links have been followed.
    pub(super) fn next_schedule(&self) -> Option<Schedule> {
        match &self.links {
            Links::Parts { node, .. } => {
                let part = node.parts.get(self.next)?;
                Some(Schedule::of(&part.cid, part.size, false))
            }
            Links::Entries { node, .. } => {
                let entry = node.entries.get(self.next)?;
                Some(Schedule::of(&entry.cid, entry.tsize, false))
            }
            Links::Slots { node, .. } => {
                let slot = node.slots.get(self.next)?;
                Some(Schedule::of(&slot.cid, slot.tsize, slot.name.is_none()))
            }
            Links::Again(want) => want.as_ref().map(|want| want.schedule),
        }
    }

    /// Follows the next link: `None` when all have been followed.
    pub(super) fn follow(&mut self) -> Result<Option<Want>, ReadError> {
        let index = self.next;
        self.next += 1;
        match &mut self.links {
            Links::Parts { node, file, offset } => Ok(node.parts.get(index).map(|part| {
                let role = Role::Part { file: *file, offset: *offset, size: part.size };
                *offset = offset.saturating_add(part.size);
                Want::new(part.cid, role, part.size)
            })),
            Links::Entries { node, path } => {
                let entry = node.entries.get(index);
                entry.map(|entry| entry_want(path, &entry.name, entry.cid, entry.tsize)).transpose()
            }
            Links::Slots { node, path, trail } => {
                let slot = node.slots.get(index);
                slot.map(|slot| slot_want(&self.cid, node, path, *trail, slot)).transpose()
            }
            Links::Again(want) => Ok(want.take()),
        }
    }

    /// Passes over the parts of a file that lie outside `range`.
    pub(super) fn skip_outside(&mut self, range: &Range<u64>) {
        let Links::Parts { node, offset, .. } = &mut self.links else {
            return;
        };
        while let Some(part) = node.parts.get(self.next)
            && !overlaps(range, *offset, part.size)
        {
            *offset = offset.saturating_add(part.size);
            self.next += 1;
        }
    }
}

fn entry_want(directory: &TreePath, name: &Name, cid: Cid, tsize: u64) -> Result<Want, ReadError> {
    let path = directory.join(name).ok_or(ReadError::LongPath { cid })?;
    Ok(Want::new(cid, Role::Entry { path, tsize }, tsize))
}

fn slot_want(
    shard: &Cid,
    node: &ShardNode,
    directory: &TreePath,
    trail: Trail,
    slot: &Slot,
) -> Result<Want, ReadError> {
    if let Some(name) = &slot.name {
        return entry_want(directory, name, slot.cid, slot.tsize);
    }
    let too_deep = || NodeError::new(shard, Problem::ShardDepth);
    let role = Role::Shard(ShardRole {
        path: directory.clone(),
        fanout: node.fanout,
        trail: trail.descend(node.fanout, slot.index).ok_or_else(too_deep)?,
    });
    Ok(Want::new(slot.cid, role, slot.tsize))
}

impl Links {
    /// To a block that has to be dropped, or to the root.
    pub(super) fn again(cid: Cid, role: Role) -> Self {
        Self::Again(Some(Want::again(cid, role)))
    }
}

/// Whether a part has anything to do with `range`. Reading all of a file includes its empty parts.
fn overlaps(range: &Range<u64>, offset: u64, size: u64) -> bool {
    *range == (0..u64::MAX) || (offset < range.end && offset.saturating_add(size) > range.start)
}

/// The nodes whose links have not all been followed, and what is fetched ahead of their content.
#[derive(Debug)]
pub(super) struct Open {
    /// Entries are listed and not fetched.
    listing: bool,
    /// By the position of the next link's target.
    nodes: BTreeMap<Position, OpenNode>,
    /// The keys of those whose next link is to a branch, or to a shard.
    branch_next: BTreeSet<Position>,
    shard_next: BTreeSet<Position>,
    /// The memory of all of them, in bytes.
    charge: usize,
    /// Branches that are waited for, or have come and none of their links has been followed.
    branches_ahead: usize,
}

impl Open {
    pub(super) fn new(listing: bool) -> Self {
        Self {
            listing,
            nodes: BTreeMap::new(),
            branch_next: BTreeSet::new(),
            shard_next: BTreeSet::new(),
            charge: 0,
            branches_ahead: 0,
        }
    }

    /// Takes a node in, unless it has no links to follow.
    pub(super) fn insert(&mut self, node: OpenNode) {
        let Some(schedule) = self.schedule(&node) else {
            return;
        };
        let key = node.key();
        match schedule.class {
            Class::Branch => drop(self.branch_next.insert(key.clone())),
            Class::Shard => drop(self.shard_next.insert(key.clone())),
            Class::Content | Class::Again => {}
        }
        self.charge += node.charge;
        if let Some(class) = node.ahead {
            self.count_ahead(class);
        }
        self.nodes.insert(key, node);
    }

    /// Takes a node out to follow its next link.
    pub(super) fn remove(&mut self, key: &Position) -> Option<OpenNode> {
        let mut node = self.nodes.remove(key)?;
        self.branch_next.remove(key);
        self.shard_next.remove(key);
        self.charge -= node.charge;
        if let Some(class) = node.ahead.take() {
            self.uncount_ahead(class);
        }
        Some(node)
    }

    /// The node whose next link comes first in the order of content.
    pub(super) fn first(&self) -> Option<(&Position, &OpenNode)> {
        self.nodes.first_key_value()
    }

    /// The next branch to fetch ahead, while fewer than `max` are.
    pub(super) fn next_branch(&self, max: usize) -> Option<&Position> {
        self.branch_next.first().filter(|_| self.branches_ahead < max)
    }

    /// The next child shard to fetch ahead.
    pub(super) fn next_shard(&self) -> Option<&Position> {
        self.shard_next.first()
    }

    /// How the next link's target of a node is scheduled: entries that are only listed take nothing.
    pub(super) fn schedule(&self, node: &OpenNode) -> Option<Schedule> {
        let schedule = node.next_schedule()?;
        let is_entry = matches!(node.links, Links::Entries { .. } | Links::Slots { .. })
            && matches!(schedule.class, Class::Content | Class::Branch);
        let is_listed = self.listing && is_entry;
        Some(if is_listed { Schedule::NOTHING } else { schedule })
    }

    pub(super) fn count_ahead(&mut self, class: Class) {
        self.branches_ahead += usize::from(class == Class::Branch);
    }

    pub(super) fn uncount_ahead(&mut self, class: Class) {
        self.branches_ahead -= usize::from(class == Class::Branch);
    }

    /// The memory of all open nodes, in bytes.
    pub(super) fn charge(&self) -> usize {
        self.charge
    }
}
