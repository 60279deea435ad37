//! Writing a snapshot to an archive.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_engine::{RestoreError, Target};
use icecore_format::{Digest, Part};
use icecore_store::{Monitor, Snapshot, SnapshotReader, Store, StoreError};
use jiff::Timestamp;

use super::cuts::{CUT_LEN, for_cuts};
use super::entry::{END_LEN, Entry};
use super::layout::Layout;
use super::manifest::{self, Head, Text};
use super::output::{self, Output};
use super::packing::{Packer, Packing};
use super::readme::readme;
use super::{ARCHIVE_VERSION, CUTS, MANIFEST, README, SUMS};
use crate::restore::{Progress, Restored, blame, refuse_inside};
use crate::{Error, Result};

/// What the user wants of an export.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// The file; `None` is standard output.
    pub to: Option<PathBuf>,
    /// How it is compressed.
    pub packing: Packing,
    /// Replace what is there.
    pub replace: bool,
    /// Write what an encrypted store holds though nothing hides it any more.
    pub decrypt: bool,
    /// The store's own directory: a place for temporary files, and none for exports.
    pub store_dir: PathBuf,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The file, if it was not standard output.
    pub target: Option<PathBuf>,
    /// Parts in it.
    pub parts: u64,
    /// Plain bytes of them.
    pub bytes: u64,
    /// Bytes of the archive.
    pub written_bytes: u64,
}

/// Writes a snapshot to an archive, every chunk and every part of it checked on the way. A file appears when it is whole.
pub fn export(
    store: &Arc<Store>,
    snapshot: &Snapshot,
    options: &ExportOptions,
    monitor: &dyn Monitor,
) -> Result<Exported> {
    let mut current = None;
    let exported = write_all(store, snapshot, options, monitor, &mut current);
    exported.map_err(|error| blame(store, snapshot, current, error))
}

fn write_all(
    store: &Arc<Store>,
    snapshot: &Snapshot,
    options: &ExportOptions,
    monitor: &dyn Monitor,
    current: &mut Option<String>,
) -> Result<Exported> {
    let is_encrypted = store.key().is_encrypted();
    if is_encrypted && !options.decrypt {
        return Err(Error::WouldDecrypt { id: snapshot.id.brief() });
    }
    let output = match &options.to {
        None => Output::stdout(),
        Some(path) => {
            let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            refuse_inside(&absolute, &options.store_dir)?;
            Output::file(path, options.replace)?
        }
    };
    let reader = SnapshotReader::new(Arc::clone(store), snapshot.manifest.clone());
    let info = snapshot.info();
    let passes = if is_encrypted { 2 } else { 1 };
    monitor.expect(info.logical_bytes.saturating_mul(passes));
    // The hashes in an encrypted store are keyed, and mean nothing elsewhere.
    let mut hashes = match is_encrypted {
        true => Some(plain_hashes(&reader, &options.store_dir, monitor, current)?),
        false => None,
    };

    let first = reader.parts().next().transpose()?;
    let only = first.as_ref().filter(|_| info.parts == 1);
    let has_bytes = |part: &std::result::Result<Part, StoreError>| !matches!(part, Ok(part) if part.len == 0);
    let read_first = reader.parts().find(has_bytes).transpose()?;
    *current = read_first.as_ref().map(Part::display_name).filter(|name| !name.is_empty());
    let bytes = match reader.content().next().transpose()? {
        Some((_, bytes)) => bytes,
        None => bytes::Bytes::new(),
    };
    let layout = Layout::of(info, first.as_ref(), &bytes);
    let head = Head {
        archive: ARCHIVE_VERSION,
        id: snapshot.id,
        snapshot: info.clone(),
        tags: snapshot.labels.tags.clone(),
        note: snapshot.labels.note.clone(),
        content: Text::of(layout.name()),
        content_bytes: reader.manifest().content.len(),
    };
    let mtime = info.created_at.parse().map_or(0, Timestamp::as_second);
    let archive_name = match options.to.as_deref().and_then(Path::file_name) {
        Some(name) => name.to_string_lossy().into_owned(),
        None => format!("{}.{}", snapshot.id.brief(), options.packing.ending()),
    };

    let mut archive = Archive::new(output, options, layout, mtime)?;
    let text = readme(&head, &archive.layout, &archive_name, &bytes);
    archive.small(README, text.as_bytes())?;
    let mut counted = Counted(0);
    write_manifest(&reader, &head, hashes.as_mut(), &mut counted).map_err(|error| error.told(&archive))?;
    archive.begin_entry(&Entry::plain(MANIFEST.as_bytes(), 0o644, fitting(counted.0)?, mtime))?;
    write_manifest(&reader, &head, hashes.as_mut(), &mut archive).map_err(|error| error.told(&archive))?;
    archive.end_entry(Some(MANIFEST))?;

    let mut cuts_len = 0;
    for_cuts(&reader, &mut |_| {
        cuts_len += CUT_LEN;
        Ok(())
    })?;
    archive.begin_entry(&Entry::plain(CUTS.as_bytes(), 0o644, fitting(cuts_len)?, mtime))?;
    for_cuts(&reader, &mut |len| Ok(archive.put(&len)?))?;
    archive.end_entry(Some(CUTS))?;

    let file_entry = archive.layout.file_entry(only, reader.manifest().content.len(), mtime);
    if let Some(entry) = &file_entry {
        archive.begin_entry(entry)?;
    }
    let mut progress = Progress::new(&reader, monitor, Restored::default(), current);
    progress.in_order(&mut archive)?;
    let restored = progress.restored;
    if let Some(entry) = &file_entry {
        let name = String::from_utf8(archive.layout.name().to_vec()).ok();
        archive.end_entry(name.filter(|_| !entry.is_sparse()).as_deref())?;
    }
    if restored.parts != info.parts {
        return Err(StoreError::PartDamaged { part: "the list of parts".to_owned() }.into());
    }
    if monitor.is_cancelled() {
        return Err(Error::Cancelled);
    }
    let written_bytes = archive.finish()?;
    let target = options.to.as_ref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    Ok(Exported { target, parts: restored.parts, bytes: restored.bytes, written_bytes })
}

/// What is no content must have a length that the plainest of headers can say.
fn fitting(len: u64) -> Result<u64> {
    const LEN_MAX: u64 = (8 << 30) - 1;
    match len <= LEN_MAX {
        true => Ok(len),
        false => Err(Error::Unfitting("the list of its parts is too long for an archive".to_owned())),
    }
}

/// The manifest comes to nothing, either because it cannot be read, or because it cannot be written.
enum ManifestError {
    Read(Error),
    Write(io::Error),
}

impl ManifestError {
    fn told(self, archive: &Archive) -> Error {
        match self {
            Self::Read(error) => error,
            Self::Write(error) => archive.failure(error).into(),
        }
    }
}

fn write_manifest(
    reader: &SnapshotReader,
    head: &Head,
    mut hashes: Option<&mut Hashes>,
    out: &mut dyn Write,
) -> std::result::Result<(), ManifestError> {
    use ManifestError::{Read, Write};
    // Many small pieces.
    let mut out = BufWriter::with_capacity(64 << 10, out);
    manifest::write_head(&mut out, head).map_err(Write)?;
    if let Some(hashes) = &mut hashes {
        hashes.rewind().map_err(Read)?;
    }
    for (index, part) in reader.parts().enumerate() {
        let part = part.map_err(|error| Read(error.into()))?;
        let hash = match &mut hashes {
            Some(hashes) => hashes.next().map_err(Read)?,
            None => part.hash,
        };
        manifest::write_part(&mut out, &part, hash, index == 0).map_err(Write)?;
    }
    manifest::write_end(&mut out).map_err(Write)?;
    out.flush().map_err(Write)
}

/// The plain hashes of all parts, in a file that has no name.
struct Hashes(BufReader<File>);

impl Hashes {
    fn rewind(&mut self) -> Result<()> {
        self.0.seek(SeekFrom::Start(0)).map(drop).map_err(Error::scratch)
    }

    fn next(&mut self) -> Result<Digest> {
        let mut hash = [0; 32];
        self.0.read_exact(&mut hash).map_err(Error::scratch)?;
        Ok(Digest(hash))
    }
}

fn plain_hashes(
    reader: &SnapshotReader,
    store_dir: &Path,
    monitor: &dyn Monitor,
    current: &mut Option<String>,
) -> Result<Hashes> {
    let file = super::unpacked::scratch(store_dir)?;
    let mut target = HashTarget { out: BufWriter::new(file), hasher: blake3::Hasher::new() };
    Progress::new(reader, monitor, Restored::default(), current).in_order(&mut target)?;
    let file = target.out.into_inner().map_err(|error| Error::scratch(error.into_error()))?;
    Ok(Hashes(BufReader::new(file)))
}

/// Hashes each part, and writes down the hashes.
struct HashTarget {
    out: BufWriter<File>,
    hasher: blake3::Hasher,
}

impl Target for HashTarget {
    fn begin(&mut self, _part: &Part) -> std::result::Result<(), RestoreError> {
        self.hasher.reset();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> std::result::Result<(), RestoreError> {
        self.hasher.update(bytes);
        Ok(())
    }

    fn existing(&mut self, _len: usize) -> std::result::Result<Option<Vec<u8>>, RestoreError> {
        Ok(None)
    }

    fn keep(&mut self, _len: usize) -> std::result::Result<(), RestoreError> {
        Err(kept_nothing())
    }

    fn end(&mut self) -> std::result::Result<(), RestoreError> {
        let written = self.out.write_all(self.hasher.finalize().as_bytes());
        written.map_err(|source| RestoreError::Write {
            action: "cannot write to",
            path: "the store's folder for temporary files".into(),
            source,
        })
    }

    fn finish(self: Box<Self>) -> std::result::Result<(), RestoreError> {
        Ok(())
    }
}

fn kept_nothing() -> RestoreError {
    RestoreError::Refused("an archive keeps nothing".to_owned())
}

/// A tarball that is being written.
struct Archive {
    out: Packer<Counting>,
    /// For errors.
    path: Option<PathBuf>,
    layout: Layout,
    mtime: i64,
    /// The bytes of the open entry.
    hasher: blake3::Hasher,
    padding: usize,
    /// The hashes of entries, as `b3sum` writes them.
    sums: String,
    /// Whether the open part has an entry.
    has_entry: bool,
}

impl Archive {
    fn new(output: Output, options: &ExportOptions, layout: Layout, mtime: i64) -> Result<Self> {
        let path = options.to.clone();
        let out = options.packing.pack(Counting { output, written: 0 });
        let out = out.map_err(|error| output::failure(path.as_deref(), error))?;
        let (hasher, sums) = (blake3::Hasher::new(), String::new());
        Ok(Self { out, path, layout, mtime, hasher, padding: 0, sums, has_entry: false })
    }

    fn failure(&self, error: io::Error) -> RestoreError {
        output::failure(self.path.as_deref(), error)
    }

    fn put(&mut self, bytes: &[u8]) -> std::result::Result<(), RestoreError> {
        self.hasher.update(bytes);
        self.out.write_all(bytes).map_err(|error| self.failure(error))
    }

    fn begin_entry(&mut self, entry: &Entry) -> std::result::Result<(), RestoreError> {
        self.put(&entry.encode())?;
        self.hasher.reset();
        self.padding = entry.padding();
        Ok(())
    }

    /// `name` is what its hash is listed under.
    fn end_entry(&mut self, name: Option<&str>) -> std::result::Result<(), RestoreError> {
        if let Some(name) = name {
            self.sums.push_str(&sum_line(&self.hasher, name));
        }
        let zeros = [0; super::entry::BLOCK_LEN];
        self.put(zeros.get(..self.padding).unwrap_or_default())
    }

    /// A whole entry.
    fn small(&mut self, name: &str, bytes: &[u8]) -> std::result::Result<(), RestoreError> {
        self.begin_entry(&Entry::plain(name.as_bytes(), 0o644, bytes.len() as u64, self.mtime))?;
        self.put(bytes)?;
        self.end_entry(Some(name))
    }

    /// Ends it and lets it appear; says how long it is.
    fn finish(mut self) -> Result<u64> {
        let sums = std::mem::take(&mut self.sums);
        self.small(SUMS, sums.as_bytes())?;
        self.put(&[0; END_LEN])?;
        let counting = self.out.finish().map_err(|error| output::failure(self.path.as_deref(), error))?;
        counting.output.finish()?;
        Ok(counting.written)
    }
}

/// A line as `b3sum` writes it.
pub(super) fn sum_line(hasher: &blake3::Hasher, name: &str) -> String {
    // A name with a line end or a backslash is written in another way, and not worth it.
    match name.contains(['\n', '\r', '\\']) {
        true => String::new(),
        false => format!("{}  {name}\n", hasher.finalize().to_hex()),
    }
}

impl Write for Archive {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.out.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Target for Archive {
    fn begin(&mut self, part: &Part) -> std::result::Result<(), RestoreError> {
        let Layout::Tree(prefix) = self.layout else { return Ok(()) };
        if !part.name.is_empty() {
            icecore_engine::files::check_name(&part.name)?;
        }
        let entry = Entry::of_part(prefix, part);
        self.has_entry = entry.is_some();
        match entry {
            Some(entry) => self.begin_entry(&entry),
            None => Ok(()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> std::result::Result<(), RestoreError> {
        self.put(bytes)
    }

    fn existing(&mut self, _len: usize) -> std::result::Result<Option<Vec<u8>>, RestoreError> {
        Ok(None)
    }

    fn keep(&mut self, _len: usize) -> std::result::Result<(), RestoreError> {
        Err(kept_nothing())
    }

    fn end(&mut self) -> std::result::Result<(), RestoreError> {
        match (&self.layout, self.has_entry) {
            (Layout::Tree(_), true) => self.end_entry(None),
            (Layout::Tree(_), false) | (Layout::File(_), _) => Ok(()),
        }
    }

    fn finish(self: Box<Self>) -> std::result::Result<(), RestoreError> {
        Ok(())
    }
}

/// Counts what goes to an output.
#[derive(Debug)]
struct Counting {
    output: Output,
    written: u64,
}

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.output.write(bytes)?;
        self.written += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// Counts what would be written.
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
