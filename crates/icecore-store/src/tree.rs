//! Building and walking the tree of chunk references.

use std::collections::HashSet;

use icecore_format::{Catalog, ChunkId, ChunkRef, Manifest, NodeRef, Tree, TreeNode};

use crate::absent::Absent;
use crate::store::Store;
use crate::{Result, StoreError};

/// Collects references and closes nodes as they fill. Whoever drives it stores the nodes it hands out.
#[derive(Debug)]
pub(crate) struct TreeBuilder {
    /// One open node a level, the leaves first.
    levels: Vec<TreeNode>,
}

impl TreeBuilder {
    pub(crate) fn new() -> Self {
        Self { levels: vec![TreeNode::new(0)] }
    }

    pub(crate) fn has_chunks(&self) -> bool {
        self.levels.len() > 1 || self.levels.first().is_some_and(|level| level.entry_count() > 0)
    }

    /// Appends a chunk. `store` stores a closed node's bytes as a chunk and returns its reference.
    pub(crate) fn push<E>(
        &mut self,
        chunk: ChunkRef,
        store: &mut impl FnMut(Vec<u8>) -> std::result::Result<ChunkRef, E>,
    ) -> std::result::Result<(), E> {
        if let Some(TreeNode::Leaf(chunks)) = self.levels.first_mut() {
            chunks.push(chunk);
        }
        let mut level = 0;
        while self.levels.get(level).is_some_and(TreeNode::ends_here) {
            self.close(level, store)?;
            level += 1;
        }
        Ok(())
    }

    /// Closes what is open, until one level fits into the manifest.
    pub(crate) fn finish<E>(
        mut self,
        store: &mut impl FnMut(Vec<u8>) -> std::result::Result<ChunkRef, E>,
    ) -> std::result::Result<Tree, E> {
        let mut level = 0;
        loop {
            let is_top = level + 1 == self.levels.len();
            match self.levels.get(level) {
                Some(node) if is_top && node.fits_root() => {
                    return Ok(Tree { root: self.levels.swap_remove(level) });
                }
                Some(node) if node.entry_count() > 0 => self.close(level, store)?,
                _ => (),
            }
            level += 1;
        }
    }

    fn close<E>(
        &mut self,
        level: usize,
        store: &mut impl FnMut(Vec<u8>) -> std::result::Result<ChunkRef, E>,
    ) -> std::result::Result<(), E> {
        let depth = u8::try_from(level).expect("a tree has few levels");
        let Some(open) = self.levels.get_mut(level) else { return Ok(()) };
        let node = std::mem::replace(open, TreeNode::new(depth));
        let (span, chunks) = (node.span(), node.chunk_count());
        let node = store(node.encode())?;
        if self.levels.len() == level + 1 {
            self.levels.push(TreeNode::new(depth + 1));
        }
        if let Some(TreeNode::Inner { nodes, .. }) = self.levels.get_mut(level + 1) {
            nodes.push(NodeRef { node, span, chunks });
        }
        Ok(())
    }
}

/// A node that a walk has still to come to. Read only then: what a stranger's node lists may be far more than fits into memory.
#[derive(Debug)]
enum Pending {
    /// A root, which lies in the manifest.
    Root(TreeNode),
    /// A node below one of this depth.
    Below(NodeRef, u8),
}

/// Walks all nodes of the trees it is given, in no promised order. A node that trees share, or one repeats, is come to once: content can
/// repeat itself so often that walking all of it would take for ever.
#[derive(Debug, Default)]
pub(crate) struct NodeWalk {
    open: Vec<Pending>,
    /// With all that a parent says of them, which a stranger's parents may say differently.
    met: HashSet<(u8, NodeRef)>,
}

impl NodeWalk {
    /// Goes on with the trees of a snapshot.
    pub(crate) fn enter(&mut self, manifest: &Manifest) {
        self.open.push(Pending::Root(manifest.content.root.clone()));
        if let Catalog::Stored(tree) = &manifest.catalog {
            self.open.push(Pending::Root(tree.root.clone()));
        }
    }

    /// The chunks that the next node refers to, nodes below it among them unless they were met before; or a node that cannot be read, and
    /// why. `None` when all were come to.
    pub(crate) fn step(
        &mut self,
        store: &Store,
    ) -> Option<std::result::Result<Vec<ChunkId>, (ChunkId, StoreError)>> {
        self.step_with(|reference, depth| store.read_node(reference, depth))
    }

    /// The same, with nodes from wherever `read` takes them: it is given a node's reference and the depth of its parent.
    pub(crate) fn step_with(
        &mut self,
        read: impl FnOnce(&NodeRef, u8) -> Result<TreeNode>,
    ) -> Option<std::result::Result<Vec<ChunkId>, (ChunkId, StoreError)>> {
        let node = match self.open.pop()? {
            Pending::Root(node) => node,
            Pending::Below(reference, depth) => match read(&reference, depth) {
                Ok(node) => node,
                Err(error) => return Some(Err((reference.node.id, error))),
            },
        };
        Some(Ok(match node {
            TreeNode::Leaf(chunks) => chunks.iter().map(|chunk| chunk.id).collect(),
            TreeNode::Inner { depth, mut nodes } => {
                nodes.retain(|reference| self.met.insert((depth, *reference)));
                self.open.extend(nodes.iter().map(|reference| Pending::Below(*reference, depth)));
                nodes.iter().map(|reference| reference.node.id).collect()
            }
        }))
    }
}

/// What a walk comes to.
#[derive(Debug)]
pub(crate) enum Step {
    /// A reference, and where its bytes start in the content.
    Chunk(u64, ChunkRef),
    /// A node that cannot be read, over so many bytes.
    Lost { span: u64, error: StoreError },
}

/// Walks the references of a content in order, and can move to any place in it.
#[derive(Debug)]
pub struct TreeReader<'a> {
    store: &'a Store,
    root: TreeNode,
    /// The nodes on the way to the next reference, each with the number of its next entry.
    path: Vec<(TreeNode, usize)>,
    offset: u64,
}

impl<'a> TreeReader<'a> {
    /// Starts at the beginning of the content.
    pub fn new(store: &'a Store, tree: &Tree) -> Self {
        let root = tree.root.clone();
        Self { store, path: vec![(root.clone(), 0)], root, offset: 0 }
    }

    /// Where the next reference's bytes start in the content.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next reference, and where its bytes start in the content.
    pub fn next_chunk(&mut self) -> Result<Option<(u64, ChunkRef)>> {
        match self.step() {
            None => Ok(None),
            Some(Step::Chunk(offset, chunk)) => Ok(Some((offset, chunk))),
            Some(Step::Lost { error, .. }) => Err(error),
        }
    }

    /// Goes on to the next reference, or past a node that cannot be read.
    pub(crate) fn step(&mut self) -> Option<Step> {
        loop {
            let (node, at) = self.path.last_mut()?;
            let found = match node {
                TreeNode::Leaf(chunks) => match chunks.get(*at) {
                    Some(chunk) => {
                        *at += 1;
                        let offset = self.offset;
                        self.offset += u64::from(chunk.len);
                        return Some(Step::Chunk(offset, *chunk));
                    }
                    None => None,
                },
                TreeNode::Inner { nodes, .. } => nodes.get(*at).copied(),
            };
            let Some(reference) = found else {
                self.path.pop();
                continue;
            };
            *at += 1;
            let depth = node.depth();
            match self.store.read_node(&reference, depth) {
                Ok(child) => self.path.push((child, 0)),
                Err(error) => {
                    self.offset += reference.span;
                    return Some(Step::Lost { span: reference.span, error });
                }
            }
        }
    }

    /// Moves on so that the next reference is the one whose bytes include `target`. Cheap for a near target ahead.
    pub fn seek(&mut self, target: u64) -> Result<()> {
        if target < self.offset {
            self.path = vec![(self.root.clone(), 0)];
            self.offset = 0;
        }
        loop {
            let Some((node, at)) = self.path.last_mut() else { return Ok(()) };
            match node {
                TreeNode::Leaf(chunks) => {
                    while let Some(chunk) = chunks.get(*at) {
                        if self.offset + u64::from(chunk.len) > target {
                            return Ok(());
                        }
                        self.offset += u64::from(chunk.len);
                        *at += 1;
                    }
                    self.path.pop();
                }
                TreeNode::Inner { depth, nodes } => {
                    let depth = *depth;
                    match nodes.get(*at).copied() {
                        None => drop(self.path.pop()),
                        Some(reference) if self.offset + reference.span <= target => {
                            self.offset += reference.span;
                            *at += 1;
                        }
                        Some(reference) => {
                            *at += 1;
                            let child = self.store.read_node(&reference, depth)?;
                            self.path.push((child, 0));
                        }
                    }
                }
            }
        }
    }
}

impl Store {
    /// Whether everything that a manifest refers to lies in packs that are not absent, its trees' nodes included.
    pub(crate) fn holds(&self, manifest: &Manifest, absent: &Absent) -> Result<bool> {
        let mut walk = NodeWalk::default();
        walk.enter(manifest);
        while let Some(step) = walk.step(self) {
            match step {
                Ok(ids) if self.known_chunks(ids.iter(), absent)?.contains(&false) => return Ok(false),
                Ok(_) => (),
                Err((_, error)) if error.is_out_of_reach() => return Ok(false),
                Err((_, error)) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Reads a node whose parent is `parent_depth` levels above the leaves, and checks that it is what the parent says:
    /// depths only fall, so that no cycle can be followed.
    pub(crate) fn read_node(&self, reference: &NodeRef, parent_depth: u8) -> Result<TreeNode> {
        let bytes = self.read_chunk(&reference.node.id)?;
        let object = || format!("tree node {}", reference.node.id);
        let node = TreeNode::decode(&bytes).map_err(StoreError::damaged(object()))?;
        let consistent = node.depth() + 1 == parent_depth
            && node.span() == reference.span
            && node.chunk_count() == reference.chunks
            && bytes.len() == reference.node.len as usize;
        if consistent {
            Ok(node)
        } else {
            Err(StoreError::damaged(object())(icecore_format::DecodeError::Damaged))
        }
    }
}
