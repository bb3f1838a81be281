//! The balanced tree over the leaves of a file.

use bowline_block::{Cid, VerifiedBlock};

use crate::config::ImportConfig;
use crate::dag_pb::{PbLink, PbNode};
use crate::data::{Kind, UnixFs};

/// A block with what its parent writes about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Child {
    pub(crate) cid: Cid,
    /// Bytes of content below.
    pub(crate) size: u64,
    /// Bytes of all blocks below, this one's included.
    pub(crate) tsize: u64,
}

/// Nodes that are being filled, one per level, lowest first.
///
/// ```text
///   level 1    [n n n]                     full nodes move up as one link
///   level 0    [l l l] [l l l] [l ·  ·]    the last node may have one link and is a node all the same
/// ```
///
/// All leaves are equally deep. A level never holds more than `max_links`, so memory grows with the depth
/// and not with the file.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    levels: Vec<Vec<Child>>,
}

impl Layout {
    /// Adds the next leaf; nodes that it fills go to `out`.
    pub(crate) fn add_leaf(
        &mut self,
        config: &ImportConfig,
        leaf: Child,
        out: &mut impl Extend<VerifiedBlock>,
    ) {
        self.add(config, 0, leaf, out);
    }

    fn add(
        &mut self,
        config: &ImportConfig,
        mut level: usize,
        mut child: Child,
        out: &mut impl Extend<VerifiedBlock>,
    ) {
        loop {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(children) = self.levels.get_mut(level) else {
                return;
            };
            children.push(child);
            if children.len() < config.max_links.count() {
                return;
            }
            let (block, node) = file_node(config, children);
            children.clear();
            out.extend([block]);
            child = node;
            level += 1;
        }
    }

    /// Closes the tree after the last leaf, and returns its root: `None` when there was no leaf.
    ///
    /// Every open node below the top is closed, also one with a single link; importers that skip that node
    /// get other CIDs from the first file with one chunk more than a node has links.
    pub(crate) fn finish(
        &mut self,
        config: &ImportConfig,
        out: &mut impl Extend<VerifiedBlock>,
    ) -> Option<Child> {
        let mut level = 0;
        loop {
            let is_top = level + 1 == self.levels.len();
            let children = self.levels.get_mut(level)?;
            if let ([root], true) = (&children[..], is_top) {
                return Some(*root);
            }
            if !children.is_empty() {
                let (block, node) = file_node(config, children);
                children.clear();
                out.extend([block]);
                self.add(config, level + 1, node, out);
            }
            level += 1;
        }
    }

    /// How many children are waiting for their node.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.levels.iter().map(Vec::len).sum()
    }
}

fn file_node(config: &ImportConfig, children: &[Child]) -> (VerifiedBlock, Child) {
    let size = children.iter().map(|child| child.size).sum();
    let message = UnixFs {
        file_size: Some(size),
        block_sizes: children.iter().map(|child| child.size).collect(),
        ..UnixFs::new(Kind::File)
    };
    let links = children.iter().map(|child| PbLink {
        cid: child.cid,
        name: Some(bytes::Bytes::new()),
        tsize: Some(child.tsize),
    });
    let node = PbNode { links: links.collect(), data: Some(message.encode()) };
    let block = config.node_block(node.encode());
    let below: u64 = children.iter().map(|child| child.tsize).sum();
    let child = Child { cid: *block.cid(), size, tsize: block.len() as u64 + below };
    (block, child)
}
