//! Nodes of the trees of chunk references.

use icecore_format::{CHUNK_LEN_MAX, TreeNode};

pub(crate) fn node(input: &[u8]) {
    let Ok(node) = TreeNode::decode(input) else { return };
    assert_eq!(node.encode(), input);
    assert!(node.span() <= i64::MAX as u64 && node.chunk_count() <= i64::MAX as u64);
    assert!(node.depth() <= 8 && node.entry_count() <= input.len() / 36);
    let _ = (node.ends_here(), node.fits_root());
    let lens: Vec<u32> = match &node {
        TreeNode::Leaf(chunks) => chunks.iter().map(|chunk| chunk.len).collect(),
        TreeNode::Inner { nodes, .. } => nodes.iter().map(|node| node.node.len).collect(),
    };
    assert!(lens.iter().all(|len| (1..=CHUNK_LEN_MAX).contains(len)));
}
