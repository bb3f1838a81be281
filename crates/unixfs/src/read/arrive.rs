//! What a block means at its position.

use std::sync::Arc;

use bowline_block::Cid;
use bytes::Bytes;

use super::error::ReadError;
use super::event::{Event, FileId};
use super::open::{Links, OpenNode};
use super::walker::{Scope, Walker};
use super::work::{Arrived, Class, Position, Role, Want};
use crate::data::{Kind, Metadata};
use crate::hamt::Trail;
use crate::name::TreePath;
use crate::node::{FileNode, ShardNode};

/// Nodes on the way to the next block may take this many times `node_bytes`.
const NEXT_NODES_FACTOR: usize = 4;

/// A block at its position, with what its node will be charged for.
struct Place {
    position: Position,
    cid: Cid,
    class: Class,
    charge: usize,
}

impl Walker {
    /// Takes a block that was wanted. The window no longer counts it as waiting.
    pub(super) fn arrive(
        &mut self,
        position: Position,
        want: Want,
        node: Arrived,
        block_len: usize,
    ) -> Result<(), ReadError> {
        let Want { cid, role, schedule } = want;
        let charge = node.charge(block_len);
        if self.must_drop(&position, cid, &node, charge, schedule.reserved)? {
            self.open.insert(OpenNode::new(cid, position, Links::again(cid, role)));
            return Ok(());
        }
        let place = Place { position, cid, class: schedule.class, charge };
        match role {
            Role::Entry { path, .. } => self.arrive_entry(place, path, node),
            Role::Part { file, offset, size } => match node {
                Arrived::File(node) if node.size == size => {
                    self.open_file(place, node, file, offset);
                    Ok(())
                }
                Arrived::File(node) => {
                    Err(ReadError::SizeMismatch { cid, declared: size, actual: node.size })
                }
                node => Err(wrong_kind(cid, Kind::File, &node)),
            },
            Role::Shard(role) => match node {
                Arrived::Shard(node) if node.fanout == role.fanout => {
                    self.open_shard(place, node, role.path, role.trail)
                }
                Arrived::Shard(node) => Err(ReadError::FanoutChanged {
                    cid,
                    expected: role.fanout.slots(),
                    actual: node.fanout.slots(),
                }),
                node => Err(wrong_kind(cid, Kind::Shard, &node)),
            },
        }
    }

    /// Whether a block is larger than its parent said and there is no room for it before its time.
    fn must_drop(
        &self,
        position: &Position,
        cid: Cid,
        node: &Arrived,
        charge: usize,
        reserved: u64,
    ) -> Result<bool, ReadError> {
        let nodes = self.open.charge().saturating_add(charge);
        if self.precedes_all(position) {
            let max = self.config.node_bytes.saturating_mul(NEXT_NODES_FACTOR);
            if charge > 0 && nodes > max {
                return Err(ReadError::NodesTooLarge { cid, max });
            }
            return Ok(false);
        }
        let content = node.content_len();
        let too_much_content =
            content > reserved && self.held_bytes.saturating_add(content) > self.most_bytes();
        Ok(too_much_content || (charge > 0 && nodes > self.config.node_bytes))
    }

    fn arrive_entry(&mut self, place: Place, path: TreePath, node: Arrived) -> Result<(), ReadError> {
        if self.scope == Scope::File && !matches!(node, Arrived::File(_)) {
            return Err(wrong_kind(place.cid, Kind::File, &node));
        }
        let cid = place.cid;
        match node {
            Arrived::File(node) => {
                self.begin_file(place, path, node);
                Ok(())
            }
            Arrived::Directory(node) => {
                self.emit_directory(&place, path.clone(), node.metadata);
                self.open_node(place, Links::Entries { node, path });
                Ok(())
            }
            Arrived::Shard(node) => {
                self.emit_directory(&place, path.clone(), node.metadata);
                self.open_shard(place, node, path, Trail::default())
            }
            Arrived::Symlink(node) => {
                let (target, metadata) = (node.target, node.metadata);
                let event = Event::Symlink { path, cid, target, metadata };
                self.ready.insert(place.position, event);
                Ok(())
            }
        }
    }

    fn begin_file(&mut self, place: Place, path: TreePath, node: Arc<FileNode>) {
        let file = FileId(self.next_file);
        self.next_file += 1;
        let wanted = node.size.min(self.range.end).saturating_sub(self.range.start);
        self.files.insert(file, wanted);
        let (cid, size, metadata) = (place.cid, node.size, node.metadata);
        let event = Event::File { file, path, cid, size, metadata };
        self.ready.insert(place.position.clone(), event);
        self.open_file(place, node, file, 0);
    }

    fn emit_directory(&mut self, place: &Place, path: TreePath, metadata: Metadata) {
        let cid = place.cid;
        self.ready.insert(place.position.clone(), Event::Directory { path, cid, metadata });
    }

    fn open_file(&mut self, place: Place, node: Arc<FileNode>, file: FileId, offset: u64) {
        self.emit_data(&place.position, file, offset, node.content.clone());
        let offset = offset.saturating_add(node.content.len() as u64);
        self.open_node(place, Links::Parts { node, file, offset });
    }

    fn open_shard(
        &mut self,
        place: Place,
        node: Arc<ShardNode>,
        path: TreePath,
        trail: Trail,
    ) -> Result<(), ReadError> {
        node.check_slots(&place.cid, trail)?;
        self.open_node(place, Links::Slots { node, path, trail });
        Ok(())
    }

    fn open_node(&mut self, place: Place, links: Links) {
        let mut node = OpenNode::new(place.cid, place.position, links).booked(place.charge, place.class);
        node.skip_outside(&self.range);
        self.open.insert(node);
    }

    /// Makes content ready, less what lies outside the range that is read.
    fn emit_data(&mut self, position: &Position, file: FileId, offset: u64, mut bytes: Bytes) {
        let len = bytes.len() as u64;
        let start = self.range.start.saturating_sub(offset).min(len);
        let end = self.range.end.saturating_sub(offset).min(len);
        if start >= end {
            return;
        }
        // Both are at most the length of `bytes`.
        bytes.truncate(usize::try_from(end).unwrap_or(usize::MAX));
        let bytes = bytes.slice(usize::try_from(start).unwrap_or(usize::MAX)..);
        self.held_bytes = self.held_bytes.saturating_add(bytes.len() as u64);
        let offset = offset.saturating_add(start);
        self.ready.insert(position.child(0), Event::Data { file, offset, bytes });
    }
}

fn wrong_kind(cid: Cid, expected: Kind, node: &Arrived) -> ReadError {
    ReadError::WrongKind { cid, expected, actual: node.kind() }
}
