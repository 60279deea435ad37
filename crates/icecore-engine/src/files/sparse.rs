//! Where the bytes of a sparse file are.

use std::fs::File;
use std::io;

use icecore_format::Extent;
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use crate::files::node::Node;

/// More runs than this are joined over their smallest holes: zeros deduplicate well, long lists of runs do not.
const RUNS_MAX: usize = 16 << 10;

/// The runs of a file that hold data. None if it has no holes; a single empty run at its end if it is all hole.
pub(super) fn data_runs(file: &File, node: &Node) -> io::Result<Vec<Extent>> {
    if node.allocated >= node.size {
        return Ok(Vec::new());
    }
    let mut runs = Vec::new();
    let mut hole_len_min = 1;
    let mut offset = 0;
    loop {
        let start = match seek(file, SeekFrom::Data(offset)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::NOTSUP) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let end = seek(file, SeekFrom::Hole(start))?.min(node.size);
        // What was appended since the file was looked at is not ours.
        if start >= end {
            break;
        }
        runs.push(Extent { offset: start, len: end - start });
        offset = end;
        while runs.len() >= RUNS_MAX {
            hole_len_min *= 2;
            runs = join(&runs, hole_len_min);
        }
    }
    match runs.as_slice() {
        [] => Ok(vec![Extent { offset: node.size, len: 0 }]),
        [run] if run.len == node.size => Ok(Vec::new()),
        _ => Ok(runs),
    }
}

/// The same runs, joined where the hole between two is shorter than `hole_len_min`.
fn join(runs: &[Extent], hole_len_min: u64) -> Vec<Extent> {
    let mut joined: Vec<Extent> = Vec::new();
    for run in runs {
        match joined.last_mut() {
            Some(last) if run.offset - (last.offset + last.len) < hole_len_min => {
                last.len = run.offset + run.len - last.offset;
            }
            _ => joined.push(*run),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joining_keeps_wide_holes_and_covers_narrow_ones() {
        let runs = [(0, 10), (12, 8), (100, 1)].map(|(offset, len)| Extent { offset, len });
        assert_eq!(join(&runs, 4), [(0, 20), (100, 1)].map(|(offset, len)| Extent { offset, len }));
    }
}
