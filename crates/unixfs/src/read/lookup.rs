//! Finds one name in a directory.

use bowline_block::{Cid, VerifiedBlock};

use super::error::ReadError;
use crate::data::Kind;
use crate::hamt::{Fanout, Trail, hash_name};
use crate::name::Name;
use crate::node::{Entry, Node, NodeError, Problem, ShardNode};

/// Finds one name in a directory, through as many shards as it takes.
///
/// ```
/// use bowline_unixfs::{DirectoryBuilder, Lookup, Name, Profile, Step, import_bytes};
///
/// let config = Profile::V1.config();
/// let (_, file) = import_bytes(config, "hello".into());
/// let mut directory = DirectoryBuilder::new(config);
/// directory.add("greeting", file.cid, file.dag_size)?;
/// let root = directory.finish()?.blocks.remove(0);
///
/// let mut lookup = Lookup::new(Name::new("greeting")?);
/// match lookup.step(&root)? {
///     Step::Found(entry) => assert_eq!(entry.cid, file.cid),
///     Step::Descend(_shard) => unreachable!("one entry fits one block"),
///     Step::Absent => unreachable!("it was added above"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Lookup {
    name: Name,
    hash: u64,
    /// The shards that have been passed.
    shards: Option<(Fanout, Trail)>,
}

/// What a block says about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The entry.
    Found(Entry),
    /// Give the next step this block: the shard that has the entry, if any has.
    Descend(Cid),
    /// The directory has no such entry.
    Absent,
}

impl Lookup {
    /// A search for `name`.
    pub fn new(name: Name) -> Self {
        let hash = hash_name(name.as_bytes());
        Self { name, hash, shards: None }
    }

    /// Looks into the directory's root block, then into each block of [`Step::Descend`].
    ///
    /// # Errors
    ///
    /// When the block is not a sound node, or not a directory.
    pub fn step(&mut self, block: &VerifiedBlock) -> Result<Step, ReadError> {
        let cid = *block.cid();
        match (Node::parse(block)?, self.shards) {
            (Node::Directory(directory), None) => {
                let found = directory.entries.into_iter().find(|entry| entry.name == self.name);
                Ok(found.map_or(Step::Absent, Step::Found))
            }
            (Node::Shard(shard), passed) => self.step_shard(cid, shard, passed),
            (node, passed) => Err(ReadError::WrongKind {
                cid,
                expected: if passed.is_some() { Kind::Shard } else { Kind::Directory },
                actual: node.kind(),
            }),
        }
    }

    fn step_shard(
        &mut self,
        cid: Cid,
        shard: ShardNode,
        passed: Option<(Fanout, Trail)>,
    ) -> Result<Step, ReadError> {
        let (fanout, trail) = passed.unwrap_or((shard.fanout, Trail::default()));
        if fanout != shard.fanout {
            return Err(ReadError::FanoutChanged {
                cid,
                expected: fanout.slots(),
                actual: shard.fanout.slots(),
            });
        }
        shard.check_slots(&cid, trail)?;
        let too_deep = || NodeError::new(&cid, Problem::ShardDepth);
        let index = trail.slot(fanout, self.hash).ok_or_else(too_deep)?;
        let Some(slot) = shard.slots.into_iter().find(|slot| slot.index == index) else {
            return Ok(Step::Absent);
        };
        match slot.name {
            None => {
                self.shards = Some((fanout, trail.descend(fanout, index).ok_or_else(too_deep)?));
                Ok(Step::Descend(slot.cid))
            }
            Some(name) if name == self.name => {
                Ok(Step::Found(Entry { name, cid: slot.cid, tsize: slot.tsize }))
            }
            Some(_) => Ok(Step::Absent),
        }
    }
}
