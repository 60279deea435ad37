//! Giving a snapshot back.

use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use icecore_engine::files::{DirectoryTarget, FileTarget, Placement, StreamTarget, Warnings};
use icecore_engine::sqlite::SqliteTarget;
use icecore_engine::{RestoreError, Target};
use icecore_format::{ChunkRef, Digest, Part, PartKind};
use icecore_store::{Counter, Monitor, Piece, Snapshot, SnapshotReader, Store, StoreError};
use rustix::fs::statvfs;

use crate::{Error, Result};

/// Where a snapshot goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Back to where it came from.
    Origin,
    /// To this path.
    Path(PathBuf),
    /// To standard output.
    Stdout,
}

/// What the user wants of a restore.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// Where it goes.
    pub to: Destination,
    /// Only this part.
    pub part: Option<String>,
    /// Rewrite only what differs.
    pub in_place: bool,
    /// Replace what is there.
    pub replace: bool,
    /// Give back what can be read of a damaged snapshot, with zeros in place of the rest.
    pub allow_damaged: bool,
    /// The store's own directory, which no restore may harm.
    pub store_dir: PathBuf,
}

/// What was restored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// The path, if it was not standard output.
    pub target: Option<PathBuf>,
    /// Parts given back.
    pub parts: u64,
    /// Plain bytes given back.
    pub bytes: u64,
    /// Bytes that had to be written; fewer than `bytes` only in place.
    pub written_bytes: u64,
    /// What could not be restored as it should be.
    pub warnings: Vec<String>,
}

/// Restores a snapshot, or one part of it.
pub fn restore(
    store: &Arc<Store>,
    snapshot: &Snapshot,
    options: &RestoreOptions,
    monitor: &dyn Monitor,
) -> Result<Restored> {
    let mut part = None;
    restore_listed(store, snapshot, options, monitor, &mut part).map_err(|error| match error {
        Error::Store(error) => match store.unless_deleted(snapshot, error) {
            source if source.is_damage() => {
                let id = snapshot.id.to_string().get(..8).unwrap_or_default().to_owned();
                Error::Damaged { id, part, source }
            }
            error => error.into(),
        },
        error => error,
    })
}

fn restore_listed(
    store: &Arc<Store>,
    snapshot: &Snapshot,
    options: &RestoreOptions,
    monitor: &dyn Monitor,
    current: &mut Option<String>,
) -> Result<Restored> {
    let reader = SnapshotReader::new(Arc::clone(store), snapshot.manifest.clone());
    let part = options.part.as_deref().map(|name| find_part(&reader, snapshot, name)).transpose()?;
    let path = target_path(snapshot, options, part.is_some())?;
    if let Some(path) = &path {
        // A bare name has no directory above it to look at.
        let path = &std::path::absolute(path).unwrap_or_else(|_| path.clone());
        refuse_store(path, &options.store_dir)?;
        let wants_directory = snapshot.info().form == "directory" && part.is_none();
        refuse_other_kind(path, wants_directory, options.in_place)?;
    }
    if let Some(path) = &path
        && !options.replace
        && path.symlink_metadata().is_ok()
    {
        return Err(Error::TargetExists { path: path.clone() });
    }
    if let Some(path) = &path
        && snapshot.info().form != "sqlite"
    {
        refuse_companions(&reader, part.as_ref(), path)?;
    }
    let needed = part.as_ref().map_or(snapshot.info().logical_bytes, |part| part.len);
    if let Some(path) = &path
        && !options.in_place
    {
        refuse_without_room(&std::path::absolute(path).unwrap_or_else(|_| path.clone()), needed)?;
    }
    let (mut target, warnings) = open_target(snapshot, options, path.as_deref(), part.as_ref())?;
    let restored = Restored { target: path, ..Restored::default() };
    let allow_damaged = options.allow_damaged;
    let mut progress = Progress { reader: &reader, monitor, restored, current, allow_damaged };
    monitor.expect(needed);
    match &part {
        Some(part) => progress.one(part, &mut *target)?,
        None if options.in_place => progress.in_place(&mut *target)?,
        None => progress.all(&mut *target)?,
    }
    let mut restored = progress.restored;
    target.finish()?;
    restored.warnings.extend(warnings.map(|warnings| warnings.take()).unwrap_or_default());
    Ok(restored)
}

/// Nothing is restored over or into the store itself.
fn refuse_store(target: &Path, store_dir: &Path) -> Result<()> {
    let Ok(store_dir) = store_dir.canonicalize() else { return Ok(()) };
    // What does not exist yet lies where its nearest existing ancestor does.
    let existing = target.ancestors().find_map(|path| path.canonicalize().ok());
    if existing.is_some_and(|path| path.starts_with(&store_dir)) {
        return Err(Error::Unfitting(format!("{} lies in the store itself", target.display())));
    }
    Ok(())
}

/// Refuses what could not take the snapshot's place, before anybody is asked to confirm it.
fn refuse_other_kind(target: &Path, wants_directory: bool, in_place: bool) -> Result<()> {
    let Ok(there) = target.metadata() else { return Ok(()) };
    let (fits, wanted) = match wants_directory {
        true => (there.is_dir(), "directory"),
        false => (there.is_file() || (in_place && there.file_type().is_block_device()), "regular file"),
    };
    match fits {
        true => Ok(()),
        false => {
            Err(RestoreError::Refused(format!("{} is there, and is no {wanted}", target.display())).into())
        }
    }
}

/// Refuses what cannot fit beside what is there, before a disk is filled. A stranger's snapshot may say that it has exabytes.
fn refuse_without_room(target: &Path, needed: u64) -> Result<()> {
    let Some(existing) = target.ancestors().skip(1).find(|dir| dir.is_dir()) else { return Ok(()) };
    // Whoever cannot tell gets to try.
    let Ok(room) = statvfs(existing) else { return Ok(()) };
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    match needed <= free {
        true => Ok(()),
        false => Err(Error::NoRoom { path: target.to_owned(), needed, free }),
    }
}

/// Refuses to put the bytes of a SQLite database where another one's log lies beside: SQLite would replay it onto them.
fn refuse_companions(reader: &SnapshotReader, part: Option<&Part>, path: &Path) -> Result<()> {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    let (offset, len) = match part {
        Some(part) => (part.offset, part.len),
        None => (0, reader.manifest().content.len()),
    };
    let mut head = Vec::new();
    for piece in reader.range(offset, len.min(MAGIC.len() as u64))? {
        match piece {
            Ok(piece) => head.extend_from_slice(&piece),
            // The restore itself says so, or goes on without it.
            Err(error) if error.is_damage() => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    if head != MAGIC {
        return Ok(());
    }
    for suffix in ["-wal", "-journal"] {
        let mut companion = path.as_os_str().to_owned();
        companion.push(suffix);
        let companion = PathBuf::from(companion);
        if companion.symlink_metadata().is_ok() {
            return Err(Error::Unfitting(format!(
                "{} belongs to the database that is there, and SQLite would apply it to what is restored",
                companion.display()
            )));
        }
    }
    Ok(())
}

/// `None` is standard output.
fn target_path(snapshot: &Snapshot, options: &RestoreOptions, is_part: bool) -> Result<Option<PathBuf>> {
    match &options.to {
        Destination::Stdout if options.in_place => {
            Err(Error::Unfitting("standard output cannot be rewritten in place".to_owned()))
        }
        Destination::Stdout => Ok(None),
        Destination::Path(path) => Ok(Some(path.clone())),
        // A part alone must not take the place of the whole.
        Destination::Origin if is_part => Err(Error::Unfitting(
            "a single part needs a target of its own: give --to PATH, or --to -".to_owned(),
        )),
        Destination::Origin => match &snapshot.info().origin {
            Some(origin) => Ok(Some(PathBuf::from(origin))),
            None => {
                let id = snapshot.id.to_string().get(..8).unwrap_or_default().to_owned();
                Err(Error::NoTarget { id, source_name: snapshot.info().source.clone() })
            }
        },
    }
}

fn open_target(
    snapshot: &Snapshot,
    options: &RestoreOptions,
    path: Option<&Path>,
    part: Option<&Part>,
) -> Result<(Box<dyn Target>, Option<Warnings>)> {
    let form = snapshot.info().form.as_str();
    let Some(path) = path else {
        if form == "directory" && part.is_none() {
            let advice =
                "a directory cannot go to standard output: give --to PATH, or one file with --part NAME";
            return Err(Error::Unfitting(advice.to_owned()));
        }
        return Ok((Box::new(StreamTarget::new(io::stdout())), None));
    };
    let placement = match (options.in_place, options.replace) {
        (true, _) => Placement::InPlace,
        (false, true) => Placement::Replace,
        (false, false) => Placement::CreateNew,
    };
    if part.is_none() && form == "directory" {
        let target =
            DirectoryTarget::new(path, placement)?.protect(std::slice::from_ref(&options.store_dir))?;
        let warnings = target.warnings();
        return Ok((Box::new(target), Some(warnings)));
    }
    if form == "sqlite" {
        if options.in_place {
            let advice =
                "a SQLite database is not rewritten in place: without --in-place it is replaced safely";
            return Err(Error::Unfitting(advice.to_owned()));
        }
        let target = SqliteTarget::new(path, placement)?;
        return Ok(match options.allow_damaged {
            true => (Box::new(target.accept_unsound()), None),
            false => (Box::new(target), None),
        });
    }
    let target = FileTarget::new(path, placement)?;
    let warnings = target.warnings();
    Ok((Box::new(target), Some(warnings)))
}

fn find_part(reader: &SnapshotReader, snapshot: &Snapshot, name: &str) -> Result<Part> {
    let mut similar = Vec::new();
    for part in reader.parts() {
        let part = part?;
        if part.name == name.as_bytes() {
            return match part.kind {
                PartKind::Directory => {
                    Err(Error::Unfitting(format!("{name} is a directory; name one of its files")))
                }
                PartKind::Symlink
                | PartKind::Fifo
                | PartKind::CharDevice
                | PartKind::BlockDevice
                | PartKind::Socket => Err(Error::Unfitting(format!(
                    "{name} is a {}: only what has bytes is restored alone",
                    part.kind.as_str()
                ))),
                // The earlier name has the content. One step: what a stranger's catalog links in a circle is not followed.
                PartKind::Hardlink => {
                    let target = part.file.map(|file| file.target).unwrap_or_default();
                    let found = reader.parts().find(|part| {
                        part.as_ref().map_or(true, |part| part.name == target && part.kind == PartKind::File)
                    });
                    found
                        .unwrap_or_else(|| Err(StoreError::PartDamaged { part: name.to_owned() }))
                        .map_err(Error::from)
                }
                _ => Ok(part),
            };
        }
        let shown = part.display_name();
        if similar.len() < 5 && !shown.is_empty() && (shown.contains(name) || name.contains(&shown)) {
            similar.push(shown);
        }
    }
    let hint = if similar.is_empty() { String::new() } else { format!("; it has {}", similar.join(", ")) };
    let id = snapshot.id.to_string().get(..8).unwrap_or_default().to_owned();
    Err(Error::NoPart { id, part: name.to_owned(), hint })
}

struct Progress<'a> {
    reader: &'a SnapshotReader,
    monitor: &'a dyn Monitor,
    restored: Restored,
    /// The part that is being restored.
    current: &'a mut Option<String>,
    /// Zeros take the place of what cannot be read.
    allow_damaged: bool,
}

/// Bytes on their way to a target, and whether they are those that were captured.
type Pieces<'a> = Box<dyn Iterator<Item = Result<(Bytes, bool)>> + 'a>;

impl<'a> Progress<'a> {
    /// Everything, from front to back.
    fn all(&mut self, target: &mut dyn Target) -> Result<()> {
        let mut content = Stream { pieces: self.pieces(0, u64::MAX)?, rest: Bytes::new(), whole: true };
        let mut end = 0;
        for part in self.reader.parts() {
            match part {
                Ok(part) => {
                    self.deliver(&part, &mut content, target)?;
                    end = part.offset + part.len;
                }
                Err(error) if self.allow_damaged && error.is_damage() => {
                    return self.deliver_unnamed(end, &error, &mut content, target);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// One part.
    fn one(&mut self, part: &Part, target: &mut dyn Target) -> Result<()> {
        let pieces = self.pieces(part.offset, part.len)?;
        self.deliver(part, &mut Stream { pieces, rest: Bytes::new(), whole: true }, target)
    }

    /// The content from `offset` on, at least `len` bytes of it.
    fn pieces(&self, offset: u64, len: u64) -> Result<Pieces<'a>> {
        let reader = self.reader;
        if self.allow_damaged {
            return Ok(Box::new(reader.salvage(offset).flat_map(|piece| match piece {
                Ok(Piece::Bytes(bytes)) => zeros_or(Some(bytes), 0),
                Ok(Piece::Lost(len)) => zeros_or(None, len),
                Err(error) => Box::new(std::iter::once(Err(error.into()))),
            })));
        }
        if offset == 0 && len == u64::MAX {
            return Ok(Box::new(reader.content().map(|piece| Ok((piece?.1, true)))));
        }
        Ok(Box::new(reader.range(offset, len)?.map(|piece| Ok((piece?, true)))))
    }

    fn deliver(&mut self, part: &Part, content: &mut Stream<'_>, target: &mut dyn Target) -> Result<()> {
        target.begin(part)?;
        *self.current = Some(named(part));
        let mut check = PartCheck::new(self.reader, part);
        let mut lost = 0;
        while check.left > 0 {
            let (piece, whole) = content.take(&check)?.ok_or_else(|| short(part))?;
            check.update(&piece);
            lost += if whole { 0 } else { piece.len() as u64 };
            target.write(&piece)?;
            self.written(piece.len())?;
        }
        match lost {
            0 => check.finish()?,
            lost => self.restored.warnings.push(format!(
                "{}: {lost} of {} bytes could not be read, and are zeros now",
                named(part),
                part.len
            )),
        }
        target.end()?;
        self.restored.parts += 1;
        Ok(())
    }

    /// What comes behind the last part of which anything is known: bytes of a dump or a file, nothing that could be told of a directory.
    fn deliver_unnamed(
        &mut self,
        offset: u64,
        error: &StoreError,
        content: &mut Stream<'_>,
        target: &mut dyn Target,
    ) -> Result<()> {
        let info = &self.reader.manifest().info;
        let len = self.reader.manifest().content.len().saturating_sub(offset);
        self.restored
            .warnings
            .push(format!("the list of parts ends after {} of {}: {error}", self.restored.parts, info.parts));
        if info.form == "directory" || len == 0 {
            return Ok(());
        }
        let hash = Digest(*self.reader.part_hasher().finalize().as_bytes());
        let part = Part { name: Vec::new(), kind: PartKind::Data, offset, len, hash, rows: None, file: None };
        target.begin(&part)?;
        let mut check = PartCheck::new(self.reader, &part);
        while check.left > 0 {
            let Some((piece, _)) = content.take(&check)? else { break };
            check.update(&piece);
            target.write(&piece)?;
            self.written(piece.len())?;
        }
        target.end()?;
        Ok(())
    }

    /// Everything, but chunks that already lie where they belong are neither read from the store nor written.
    fn in_place(&mut self, target: &mut dyn Target) -> Result<()> {
        let mut tree = self.reader.tree();
        let mut chunk: Option<(Bytes, bool)> = None;
        for part in self.reader.parts() {
            let part = part?;
            target.begin(&part)?;
            *self.current = Some(named(&part));
            let mut check = PartCheck::new(self.reader, &part);
            while check.left > 0 {
                let (mut rest, is_there) = match chunk.take() {
                    Some(rest) => rest,
                    None => {
                        let (_, next) = tree.next_chunk()?.ok_or_else(|| short(&part))?;
                        // A chunk that reaches into the next part is not looked for: the target knows this part only.
                        if u64::from(next.len) <= check.left {
                            self.present_or_stored(&next, target)?
                        } else {
                            (self.reader.chunk(&next)?, false)
                        }
                    }
                };
                let piece = rest.split_to(check.fitting(rest.len()));
                check.update(&piece);
                if is_there {
                    target.keep(piece.len())?;
                    self.kept(piece.len())?;
                } else {
                    target.write(&piece)?;
                    self.written(piece.len())?;
                }
                if !rest.is_empty() {
                    chunk = Some((rest, is_there));
                }
            }
            check.finish()?;
            target.end()?;
            self.restored.parts += 1;
        }
        Ok(())
    }

    /// A chunk's bytes, and whether they are in their place already.
    fn present_or_stored(&self, chunk: &ChunkRef, target: &mut dyn Target) -> Result<(Bytes, bool)> {
        if let Some(found) = target.existing(chunk.len as usize)?
            && self.reader.store().key().chunk_id(&found) == chunk.id
        {
            return Ok((found.into(), true));
        }
        Ok((self.reader.chunk(chunk)?, false))
    }

    fn written(&mut self, len: usize) -> Result<()> {
        self.restored.written_bytes += len as u64;
        self.kept(len)
    }

    fn kept(&mut self, len: usize) -> Result<()> {
        self.restored.bytes += len as u64;
        self.monitor.count(Counter::PlainBytes, len as u64);
        if self.monitor.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// A content, taken part by part.
struct Stream<'a> {
    pieces: Pieces<'a>,
    rest: Bytes,
    whole: bool,
}

impl Stream<'_> {
    /// Bytes of the part that is checked; none at the content's end.
    fn take(&mut self, check: &PartCheck<'_>) -> Result<Option<(Bytes, bool)>> {
        while self.rest.is_empty() {
            let Some(piece) = self.pieces.next() else { return Ok(None) };
            (self.rest, self.whole) = piece?;
        }
        Ok(Some((self.rest.split_to(check.fitting(self.rest.len())), self.whole)))
    }
}

/// Bytes as they are, or so many zeros.
fn zeros_or<'a>(bytes: Option<Bytes>, len: u64) -> Pieces<'a> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    if let Some(bytes) = bytes {
        return Box::new(std::iter::once(Ok((bytes, true))));
    }
    let mut left = len;
    Box::new(std::iter::from_fn(move || {
        let now = usize::try_from(left).unwrap_or(ZEROS.len()).min(ZEROS.len());
        left -= now as u64;
        (now > 0).then(|| Ok((Bytes::from_static(ZEROS.get(..now).unwrap_or_default()), false)))
    }))
}

/// A part as a person knows it.
fn named(part: &Part) -> String {
    if part.name.is_empty() { "the content".to_owned() } else { part.display_name() }
}

/// Holds a part to its length and hash while it passes.
struct PartCheck<'p> {
    part: &'p Part,
    hasher: icecore_store::PartHasher,
    left: u64,
}

impl<'p> PartCheck<'p> {
    fn new(reader: &SnapshotReader, part: &'p Part) -> Self {
        Self { part, hasher: reader.part_hasher(), left: part.len }
    }

    /// How many of `len` bytes belong to this part.
    fn fitting(&self, len: usize) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX).min(len)
    }

    fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.left = self.left.saturating_sub(bytes.len() as u64);
    }

    fn finish(self) -> Result<()> {
        if self.left == 0 && Digest(*self.hasher.finalize().as_bytes()) == self.part.hash {
            Ok(())
        } else {
            Err(StoreError::PartDamaged { part: self.part.display_name() }.into())
        }
    }
}

/// The content ends before its parts do.
fn short(part: &Part) -> Error {
    StoreError::PartDamaged { part: part.display_name() }.into()
}
