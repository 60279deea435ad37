//! Recognising files that did not change since the parent snapshot.

use std::cmp::Ordering;
use std::iter::Peekable;

use icecore_format::{FileAttributes, Part, PartKind};
use rustix::fs::FileType;

use crate::files::beneath::compare;
use crate::files::node::Node;

/// The parts of the parent snapshot, in the order of its catalog.
pub type ParentParts<'a> = Box<dyn Iterator<Item = Part> + 'a>;

/// A change time this near to the capture may hide a later change within the clock's tick.
const RACY_SECONDS: i64 = 2;

/// The parent's parts, walked along with the directory: both have the same order.
pub(super) struct ParentWalk<'a> {
    parts: Option<Peekable<ParentParts<'a>>>,
}

impl<'a> ParentWalk<'a> {
    pub(super) fn new(parts: Option<ParentParts<'a>>) -> Self {
        Self { parts: parts.map(Iterator::peekable) }
    }

    /// The parent's part of this name. Names must be asked for in their order.
    pub(super) fn find(&mut self, name: &[u8]) -> Option<Part> {
        let parts = self.parts.as_mut()?;
        while let Some(part) = parts.peek() {
            match compare(&part.name, name) {
                Ordering::Less => drop(parts.next()),
                Ordering::Equal => return parts.next(),
                Ordering::Greater => return None,
            }
        }
        None
    }
}

/// The attributes recorded with `part`, if the file is still what was stored then.
pub(super) fn unchanged<'p>(part: &'p Part, node: &Node) -> Option<&'p FileAttributes> {
    let known = part.file.as_deref()?;
    let same = part.kind == PartKind::File
        && node.kind == FileType::RegularFile
        && known.ctime != (0, 0)
        && known.ctime == node.ctime
        && known.mtime == node.mtime
        && known.size == node.size
        && known.inode == node.inode
        && (known.mode, known.uid, known.gid) == (node.mode, node.uid, node.gid);
    let whole = part.len == known.size || !known.extents.is_empty();
    (same && whole).then_some(known)
}

/// The change time to record: zero, which nobody trusts, if the file may change again without its moving on.
pub(super) fn trusted_ctime(ctime: (i64, u32), now: (i64, u32)) -> (i64, u32) {
    let settled = (now.0.saturating_sub(RACY_SECONDS), now.1);
    if ctime < settled { ctime } else { (0, 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_or_future_change_time_is_not_trusted() {
        assert_eq!(trusted_ctime((97, 5), (100, 0)), (97, 5));
        assert_eq!(trusted_ctime((98, 0), (100, 0)), (0, 0));
        assert_eq!(trusted_ctime((500, 0), (100, 0)), (0, 0));
    }
}
