//! Reading one regular file into a sink, watching that it stays what it is.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use icecore_format::{Extent, FileAttributes, PartKind};
use rustix::fs::{Advice, fadvise};

use crate::files::attributes::xattrs_of;
use crate::files::node::Node;
use crate::files::parent::trusted_ctime;
use crate::files::report::cause;
use crate::files::sparse::data_runs;
use crate::{CaptureError, Grain, PartEnd, PartStart, Sink};

/// How much is read between two looks at whether the user wants to stop.
const STRETCH: u64 = 64 << 20;
/// Below this, telling the kernel how we read costs more than it brings.
const ADVICE_SIZE_MIN: u64 = 1 << 20;

/// The start of a file's part.
pub(super) fn file_start(name: &[u8], grain: Grain) -> PartStart {
    PartStart { name: name.to_vec(), kind: PartKind::File, grain, own_chunks: true }
}

/// Reads `file` into the part that is open, and ends it. `node` is the file as it was after it was opened.
pub(super) fn read_open_part(
    file: &File,
    node: &Node,
    shown: &Path,
    sink: &mut dyn Sink,
    now: (i64, u32),
) -> Result<(), CaptureError> {
    let mut attributes = node.attributes();
    match xattrs_of(file) {
        Ok(xattrs) => attributes.xattrs = xattrs,
        Err(error) => sink.finding(format!(
            "cannot read the extended attributes of {}: {}",
            shown.display(),
            cause(&error)
        )),
    }
    // Whoever cannot tell us about holes can still be read as a whole.
    let runs = data_runs(file, node).unwrap_or_default();
    let copied = copy_runs(file, node.size, runs, sink)?;
    let after = Node::of(file).ok();
    let same = copied.size == node.size
        && after.is_some_and(|after| after.size == node.size && after.mtime == node.mtime);
    let untouched = same && after.is_some_and(|after| after.ctime == node.ctime);
    attributes.ctime = if untouched { trusted_ctime(node.ctime, now) } else { (0, 0) };
    attributes.size = copied.size;
    attributes.extents = copied.extents;
    end_file(sink, attributes)?;
    match copied.error {
        Some(error) => sink.finding(format!("cannot read {}: {}", shown.display(), cause(&error))),
        None if !same => sink.finding(format!("{} changed while it was read", shown.display())),
        None => {}
    }
    Ok(())
}

/// Ends the open part of a file.
pub(super) fn end_file(sink: &mut dyn Sink, attributes: FileAttributes) -> Result<(), CaptureError> {
    Ok(sink.end(PartEnd { rows: None, file: Some(Box::new(attributes)) })?)
}

/// What reached the sink.
struct Copied {
    size: u64,
    extents: Vec<Extent>,
    error: Option<io::Error>,
}

/// Copies the runs of a file, or all of it if there are none; up to where it ends if that is earlier than it should be.
fn copy_runs(
    mut file: &File,
    size: u64,
    runs: Vec<Extent>,
    sink: &mut dyn Sink,
) -> Result<Copied, CaptureError> {
    if size >= ADVICE_SIZE_MIN {
        // A hint; reading works without.
        let _ = fadvise(file, 0, None, Advice::Sequential);
    }
    let whole = [Extent { offset: 0, len: size }];
    let dense = runs.is_empty();
    for (index, run) in (if dense { whole.as_slice() } else { runs.as_slice() }).iter().enumerate() {
        let (read, error) = match file.seek(SeekFrom::Start(run.offset)) {
            Ok(_) => copy_run(file, run.len, sink)?,
            Err(error) => (0, Some(error)),
        };
        if read < run.len || error.is_some() {
            let mut extents = runs.get(..index).unwrap_or_default().to_vec();
            if !dense {
                extents.push(Extent { offset: run.offset, len: read });
            }
            return Ok(Copied { size: run.offset + read, extents, error });
        }
    }
    Ok(Copied { size, extents: runs, error: None })
}

fn copy_run(file: &File, len: u64, sink: &mut dyn Sink) -> Result<(u64, Option<io::Error>), CaptureError> {
    let mut counted = Counted { file, bytes: 0 };
    while counted.bytes < len {
        sink.check_cancelled()?;
        let before = counted.bytes;
        if let Err(error) = sink.copy(&mut counted, STRETCH.min(len - before))? {
            return Ok((counted.bytes, Some(error)));
        }
        if counted.bytes == before {
            break;
        }
    }
    Ok((counted.bytes, None))
}

/// Counts what it hands over: after an error, nobody else knows.
struct Counted<'a> {
    file: &'a File,
    bytes: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buf)?;
        self.bytes += read as u64;
        Ok(read)
    }
}
