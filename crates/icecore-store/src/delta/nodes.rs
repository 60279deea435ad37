//! Lists of chunks: much of what they hold lies in the pack's own table of contents.

use icecore_chunk::Matcher;
use icecore_format::{ChunkId, Difference, Run, Sketch, TreeNode};

use super::{COPIED_SHARE_MIN, is_worth_it};

/// A table of contents helps with nodes of trees only if it is not out of all proportion to them.
const LISTING_LEN_MAX: usize = 8 << 20;

/// How a run of nodes and of catalog differs from its bases and from a listing of the chunks that lie in its pack. The run itself if that is
/// not worth it.
pub(crate) fn code_listed(
    mut run: Run,
    plain: &[u8],
    mut bases: Vec<u8>,
    listing: &[u8],
    matcher: &mut Matcher,
) -> Result<(Run, Difference), Run> {
    if listing.len() <= LISTING_LEN_MAX {
        bases.extend_from_slice(listing);
        run.is_listed = true;
        run.depth = run.depth.max(1);
    }
    let difference = matcher.difference(&bases, plain);
    // What is only listed costs nobody anything to read.
    let is_worth_it = is_worth_it(&difference, plain.len(), COPIED_SHARE_MIN)
        || (run.bases.is_empty() && difference.copied() * 8 >= plain.len() as u64);
    let again = Difference::apply(&difference.copies, &difference.literals, &bases, plain.len());
    if is_worth_it && run.depth > 0 && again.is_some_and(|again| again == plain) {
        Ok((run, difference))
    } else {
        Err(run)
    }
}

/// What a node of a tree is recognised by: the smallest of the ids that it lists, which is what the next night's node lists too.
pub(super) fn sketch_node(node: &TreeNode) -> Sketch {
    let mut sketch = Sketch::default();
    let mut insert = |id: &ChunkId| sketch.insert(id.first());
    match node {
        TreeNode::Leaf(chunks) => chunks.iter().for_each(|chunk| insert(&chunk.id)),
        TreeNode::Inner { nodes, .. } => nodes.iter().for_each(|reference| insert(&reference.node.id)),
    }
    sketch
}
