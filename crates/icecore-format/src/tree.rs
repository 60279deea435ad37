//! Which chunks make up a content, in order.
//!
//! The list of a large content's chunks is cut into nodes, and each node is stored as a chunk like any other; the nodes'
//! references form the next level, until a level is short enough for the manifest. Where a node ends is decided by the
//! ids in it, so that a change in one place changes one node a level, and an unchanged content costs nothing.

use crate::cursor::Cursor;
use crate::error::{DecodeError, Result};
use crate::{CHUNK_LEN_MAX, ChunkId};

/// A level with at most this many references is kept in the manifest.
const ROOT_ENTRIES_MAX: usize = 32;
/// A node holds at least this many references, but at the end of its level.
const NODE_ENTRIES_MIN: usize = 128;
/// A node holds at most this many references.
const NODE_ENTRIES_MAX: usize = 2048;
/// A node ends after an id whose lowest bits are all zero: one in 512.
const NODE_END_MASK: u16 = 0x01ff;
/// More levels than any content can have.
const DEPTH_MAX: u8 = 8;

const CHUNK_REF_LEN: usize = 36;
const NODE_REF_LEN: usize = 52;

/// A chunk's place in a content: the bytes that follow are those of this chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkRef {
    /// The chunk.
    pub id: ChunkId,
    /// Its plain length in bytes, never zero.
    pub len: u32,
}

/// A stored node, and what lies below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeRef {
    /// The chunk that holds the node.
    pub node: ChunkRef,
    /// Plain bytes of content below it.
    pub span: u64,
    /// References to content chunks below it.
    pub chunks: u64,
}

/// The references of one level: what a node holds, and what the manifest holds of the topmost level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeNode {
    /// References to the content itself.
    Leaf(Vec<ChunkRef>),
    /// References to nodes of the level below. `depth` is 1 just above the leaves.
    Inner {
        /// Levels of nodes below this one.
        depth: u8,
        /// The nodes of the level below, in order.
        nodes: Vec<NodeRef>,
    },
}

/// The references of a whole content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The topmost level.
    pub root: TreeNode,
}

impl Default for Tree {
    fn default() -> Self {
        Self { root: TreeNode::Leaf(Vec::new()) }
    }
}

impl Tree {
    /// Plain bytes of the content.
    pub fn len(&self) -> u64 {
        self.root.span()
    }

    /// Whether the content has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// References to chunks, repeated ones counted each time.
    pub fn chunk_count(&self) -> u64 {
        self.root.chunk_count()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let bytes = self.root.encode();
        out.extend_from_slice(&u32::try_from(bytes.len()).expect("roots are small").to_le_bytes());
        out.extend_from_slice(&bytes);
    }

    pub(crate) fn decode(cursor: &mut Cursor<'_>) -> Result<Self> {
        let len = usize::try_from(cursor.u32()?).map_err(|_| cursor.malformed())?;
        Ok(Self { root: TreeNode::decode(cursor.bytes(len)?)? })
    }
}

impl TreeNode {
    /// An empty node at `depth` levels above the leaves.
    pub fn new(depth: u8) -> Self {
        if depth == 0 { Self::Leaf(Vec::new()) } else { Self::Inner { depth, nodes: Vec::new() } }
    }

    /// Levels of nodes below this one.
    pub fn depth(&self) -> u8 {
        match self {
            Self::Leaf(_) => 0,
            Self::Inner { depth, .. } => *depth,
        }
    }

    /// How many references the node holds.
    pub fn entry_count(&self) -> usize {
        match self {
            Self::Leaf(chunks) => chunks.len(),
            Self::Inner { nodes, .. } => nodes.len(),
        }
    }

    /// Plain bytes of content below this node. Saturates on nonsense, which `decode` refuses.
    pub fn span(&self) -> u64 {
        match self {
            Self::Leaf(chunks) => chunks.iter().map(|chunk| u64::from(chunk.len)).sum(),
            Self::Inner { nodes, .. } => nodes.iter().fold(0, |sum, node| node.span.saturating_add(sum)),
        }
    }

    /// References to content chunks below this node.
    pub fn chunk_count(&self) -> u64 {
        match self {
            Self::Leaf(chunks) => chunks.len() as u64,
            Self::Inner { nodes, .. } => nodes.iter().fold(0, |sum, node| node.chunks.saturating_add(sum)),
        }
    }

    /// Whether the node must be closed after the reference it ends with: content-defined, so that equal lists have
    /// equal nodes wherever they start.
    pub fn ends_here(&self) -> bool {
        let last = match self {
            Self::Leaf(chunks) => chunks.last().map(|chunk| chunk.id),
            Self::Inner { nodes, .. } => nodes.last().map(|node| node.node.id),
        };
        let Some([low, high, ..]) = last.map(|id| *id.as_bytes()) else { return false };
        let count = self.entry_count();
        let chosen = u16::from_le_bytes([low, high]) & NODE_END_MASK == 0;
        count >= NODE_ENTRIES_MAX || (count >= NODE_ENTRIES_MIN && chosen)
    }

    /// Whether a level that is complete fits into the manifest.
    pub fn fits_root(&self) -> bool {
        self.entry_count() <= ROOT_ENTRIES_MAX
    }

    /// The node's bytes: depth, count, references.
    pub fn encode(&self) -> Vec<u8> {
        let count = u32::try_from(self.entry_count()).expect("nodes are bounded");
        let mut out = Vec::with_capacity(8 + self.entry_count() * NODE_REF_LEN);
        out.push(self.depth());
        out.extend_from_slice(&count.to_le_bytes());
        match self {
            Self::Leaf(chunks) => chunks.iter().for_each(|chunk| put_chunk_ref(&mut out, chunk)),
            Self::Inner { nodes, .. } => {
                for node in nodes {
                    put_chunk_ref(&mut out, &node.node);
                    out.extend_from_slice(&node.span.to_le_bytes());
                    out.extend_from_slice(&node.chunks.to_le_bytes());
                }
            }
        }
        out
    }

    /// Decodes a node.
    ///
    /// # Errors
    /// Also if lengths are zero, too large, or do not add up within 63 bits.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new("tree node", bytes);
        let depth = cursor.u8()?;
        let count = usize::try_from(cursor.u32()?).map_err(|_| cursor.malformed())?;
        let entry_len = if depth == 0 { CHUNK_REF_LEN } else { NODE_REF_LEN };
        if depth > DEPTH_MAX || count.checked_mul(entry_len) != Some(cursor.remaining()) {
            return Err(cursor.malformed());
        }
        let node = if depth == 0 {
            Self::Leaf((0..count).map(|_| read_chunk_ref(&mut cursor)).collect::<Result<_>>()?)
        } else {
            let nodes = (0..count).map(|_| read_node_ref(&mut cursor)).collect::<Result<_>>()?;
            Self::Inner { depth, nodes }
        };
        if node.span() > i64::MAX as u64 || node.chunk_count() > i64::MAX as u64 {
            return Err(DecodeError::Malformed { what: "tree node", offset: 0 });
        }
        Ok(node)
    }
}

fn put_chunk_ref(out: &mut Vec<u8>, chunk: &ChunkRef) {
    out.extend_from_slice(chunk.id.as_bytes());
    out.extend_from_slice(&chunk.len.to_le_bytes());
}

fn read_chunk_ref(cursor: &mut Cursor<'_>) -> Result<ChunkRef> {
    let id = ChunkId::from_bytes(cursor.array()?);
    let len = cursor.u32()?;
    if len == 0 || len > CHUNK_LEN_MAX {
        return Err(cursor.malformed());
    }
    Ok(ChunkRef { id, len })
}

fn read_node_ref(cursor: &mut Cursor<'_>) -> Result<NodeRef> {
    let node = read_chunk_ref(cursor)?;
    Ok(NodeRef { node, span: cursor.u64()?, chunks: cursor.u64()? })
}
