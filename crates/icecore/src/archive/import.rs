//! Bringing a snapshot back from an archive.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_engine::Grain;
use icecore_engine::files::{check_name, compare};
use icecore_format::{
    Digest, Label, PART_NAME_LEN_MAX, Part, SnapshotId, SnapshotInfo, decode_parts, encode_part,
};
use icecore_store::{Again, Monitor, SnapshotHead, SnapshotWriter, Store};

use super::cuts::{CUT_LEN, KeptCuts};
use super::entry::Entry;
use super::export::sum_line;
use super::layout::Layout;
use super::manifest::{self, Head, Intake};
use super::unpacked::{Passing, Unpacked, scratch};
use super::{ARCHIVE_VERSION, CUTS, MANIFEST, README, SUMS};
use crate::{Error, Result};

/// More files than any cluster has: their names are kept in memory.
const CLUSTER_FILES_MAX: usize = 4 << 20;
/// The list of hashes has some lines only.
const SUMS_LEN_MAX: u64 = 1 << 20;

/// What the user wants of an import.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// What the archive is called in errors.
    pub what: String,
    /// The source's name, if not what it was.
    pub name: Option<String>,
    /// The machine's name.
    pub host: String,
    /// The store's own directory, a place for temporary files.
    pub store_dir: PathBuf,
}

/// What was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Its identity in this store.
    pub id: SnapshotId,
    /// Its identity in the store that it came from.
    pub exported_id: SnapshotId,
    /// What its manifest says.
    pub info: SnapshotInfo,
    /// Whether it was not there before.
    pub is_new: bool,
    /// Bytes it added to the store. Of one that was there before, what the store had lost of it.
    pub added_bytes: u64,
    /// What is not as it was.
    pub findings: Vec<String>,
}

/// Reads an archive and publishes the snapshot in it, once all of it has been read and is what was exported. One that is there already is read as well:
/// whoever imports it wants to know that the archive is whole.
pub fn import(
    store: &Arc<Store>,
    packed: impl BufRead,
    options: &ImportOptions,
    monitor: &Arc<dyn Monitor>,
) -> Result<Imported> {
    let mut archive = Unpacked::new(packed, &options.what)?;
    let name = archive.first_name()?;
    if name != README {
        let why = format!("its first file is {name:?}, where {README} should be");
        return Err(Error::NoArchive { name: options.what.clone(), why });
    }
    let mut sums = String::new();
    let len = archive.plain_entry(README)?;
    pass(&mut archive, len, &mut sums, README, &mut |_| Ok(()))?;
    let (head, layout, mut parts) = read_manifest(&mut archive, &options.store_dir, &mut sums)?;
    let info = SnapshotInfo {
        source: options.name.clone().unwrap_or_else(|| head.snapshot.source.clone()),
        ..head.snapshot.clone()
    };
    let cuts = read_cuts(&mut archive, &options.store_dir, &mut sums)?;

    let begun = SnapshotHead {
        source: info.source.clone(),
        created_at: info.created_at.clone(),
        host: options.host.clone(),
        tool_version: info.tool_version.clone(),
        parent: info.parent,
        deltas: true,
    };
    let mut writer = SnapshotWriter::begin(Arc::clone(store), begun, Arc::clone(monitor))?;
    writer.cut_at(cuts.lens().map_err(Error::scratch)?);
    monitor.expect(head.content_bytes);
    read_content(&mut archive, &head, &layout, &mut parts, &mut writer, &mut sums)?;
    let len = archive.plain_entry(SUMS)?;
    if len > SUMS_LEN_MAX || len != sums.len() as u64 {
        return Err(archive.damaged(format!("{SUMS} is not of these files")));
    }
    archive.expect(sums.as_bytes(), SUMS)?;
    archive.pad(len)?;
    archive.end()?;
    let Again { id, added_bytes, published } = writer.commit_again(&info)?;
    let Some(written) = published else {
        let (exported_id, findings) = (head.id, Vec::new());
        return Ok(Imported { id, exported_id, info, is_new: false, added_bytes, findings });
    };
    let mut findings = Vec::new();
    let tags = head.tags.iter().map(|tag| Label::Tag(tag.clone()));
    for label in tags.chain(head.note.clone().map(Label::Note)) {
        if let Err(error) = store.add_label(&written.id, &label) {
            findings.push(format!("the snapshot is stored, but not labelled: {error}"));
        }
    }
    Ok(Imported {
        id: written.id,
        exported_id: head.id,
        info: written.info,
        is_new: true,
        added_bytes: added_bytes + written.manifest_len,
        findings,
    })
}

/// The bytes of an entry and what fills it up; its hash is added to `sums`.
fn pass(
    archive: &mut Unpacked<'_>,
    len: u64,
    sums: &mut String,
    name: &str,
    visit: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut hasher = blake3::Hasher::new();
    archive.pieces(len, &mut |piece| {
        hasher.update(piece);
        visit(piece)
    })?;
    sums.push_str(&sum_line(&hasher, name));
    archive.pad(len)
}

fn read_manifest(
    archive: &mut Unpacked<'_>,
    store_dir: &Path,
    sums: &mut String,
) -> Result<(Head, Layout, KeptParts)> {
    let len = archive.plain_entry(MANIFEST)?;
    let mut intake = Taken::new(scratch(store_dir)?);
    let mut hashers = [blake3::Hasher::new()];
    let mut passing = Passing { archive, left: len, hashers: &mut hashers };
    let read = manifest::read(&mut passing, &mut intake);
    if let Some(failure) = intake.failure.take() {
        return Err(Error::scratch(failure));
    }
    read.map_err(|error| match error.io_error_kind() {
        Some(io::ErrorKind::UnexpectedEof) => archive.damaged("it ends too early: it was cut off"),
        _ => archive.damaged(format!("its {MANIFEST} cannot be understood: {error}")),
    })?;
    let [hasher] = hashers;
    sums.push_str(&sum_line(&hasher, MANIFEST));
    archive.pad(len)?;
    intake.finish().map_err(|why| archive.damaged(why))?.map_err(Error::scratch)
}

fn read_cuts(archive: &mut Unpacked<'_>, store_dir: &Path, sums: &mut String) -> Result<KeptCuts> {
    let len = archive.plain_entry(CUTS)?;
    if len % CUT_LEN != 0 {
        return Err(archive.damaged(format!("{CUTS} is not a whole number of lengths")));
    }
    let mut cuts = KeptCuts(scratch(store_dir)?);
    pass(archive, len, sums, CUTS, &mut |piece| cuts.write(piece).map_err(Error::scratch))?;
    Ok(cuts)
}

/// Hands the content to `writer`, part by part, each held to its hash.
fn read_content(
    archive: &mut Unpacked<'_>,
    head: &Head,
    layout: &Layout,
    parts: &mut KeptParts,
    writer: &mut SnapshotWriter,
    sums: &mut String,
) -> Result<()> {
    let mtime = head.snapshot.created_at.parse().map_or(0, jiff::Timestamp::as_second);
    let mut hashers = [blake3::Hasher::new(), blake3::Hasher::new()];
    let mut file = None;
    let mut is_first = true;
    loop {
        let part = parts.next().map_err(Error::scratch)?;
        if is_first {
            let only = part.as_ref().filter(|_| head.snapshot.parts == 1);
            file = layout.file_entry(only, head.content_bytes, mtime);
            if let Some(entry) = &file {
                archive.expect(&entry.encode(), "the header of its content")?;
            }
            is_first = false;
        }
        let Some(part) = part else { break };
        let entry = match layout {
            Layout::Tree(prefix) => Entry::of_part(prefix, &part),
            Layout::File(_) => None,
        };
        if let Some(entry) = &entry {
            archive.expect(&entry.encode(), &format!("the header of {}", part.display_name()))?;
        } else if part.len > 0 && file.is_none() {
            return Err(archive.damaged(format!("{} cannot have bytes", part.display_name())));
        }
        let [of_part, _] = &mut hashers;
        of_part.reset();
        writer.begin_part(&part.name, part.kind, Grain::Byte, false)?;
        let mut passing = Passing { archive, left: part.len, hashers: &mut hashers };
        let copied = writer.copy(&mut passing, part.len)?;
        copied.map_err(|error| archive.failure(error))?;
        let [of_part, _] = &hashers;
        if Digest(*of_part.finalize().as_bytes()) != part.hash {
            return Err(archive.damaged(match part.name.is_empty() {
                true => "its content has another hash than it had".to_owned(),
                false => format!("{} has another hash than it had", part.display_name()),
            }));
        }
        writer.end_part(part.rows, part.file)?;
        if entry.is_some() {
            archive.pad(part.len)?;
        }
    }
    if let (Some(entry), Layout::File(name)) = (file, layout) {
        let [_, of_file] = &hashers;
        if let (false, Ok(name)) = (entry.is_sparse(), std::str::from_utf8(name)) {
            sums.push_str(&sum_line(of_file, name));
        }
        archive.pad(head.content_bytes)?;
    }
    Ok(())
}

/// What a manifest has said so far.
struct Taken {
    head: Option<(Head, Layout)>,
    parts: BufWriter<File>,
    failure: Option<io::Error>,
    count: u64,
    bytes: u64,
    last: Option<Vec<u8>>,
    /// The names of a cluster's files, which come in any order.
    seen: HashSet<Digest>,
}

type Checked<T> = std::result::Result<T, String>;

impl Taken {
    fn new(file: File) -> Self {
        Self {
            head: None,
            parts: BufWriter::new(file),
            failure: None,
            count: 0,
            bytes: 0,
            last: None,
            seen: HashSet::new(),
        }
    }

    /// The outer error is the archive's, the inner one the disk's.
    fn finish(self) -> Checked<io::Result<(Head, Layout, KeptParts)>> {
        let Some((head, layout)) = self.head else { return Err(format!("{MANIFEST} says nothing")) };
        if (self.count, self.bytes) != (head.snapshot.parts, head.content_bytes) {
            return Err(format!("its parts are not those that {MANIFEST} counts"));
        }
        let kept = self.parts.into_inner().map_err(io::IntoInnerError::into_error).and_then(|mut file| {
            file.seek(SeekFrom::Start(0))?;
            Ok((head, layout, KeptParts { file: BufReader::new(file), offset: 0 }))
        });
        Ok(kept)
    }

    /// Names lead nowhere else, and there is one of each.
    fn check_tree_name(&mut self, name: &[u8], is_sorted: bool) -> Checked<()> {
        let shown = String::from_utf8_lossy(name);
        check_name(name).map_err(|_| format!("it holds an unsafe name, {shown:?}"))?;
        let is_new = match is_sorted {
            true => {
                let last = self.last.replace(name.to_vec());
                last.is_none_or(|last| compare(&last, name).is_lt())
            }
            false if self.seen.len() >= CLUSTER_FILES_MAX => {
                return Err("it has more files than any cluster".to_owned());
            }
            false => self.seen.insert(Digest::of(name)),
        };
        if is_new { Ok(()) } else { Err(format!("the name {shown:?} comes twice, or out of order")) }
    }
}

impl Intake for Taken {
    fn head(&mut self, head: Head) -> Checked<()> {
        if head.archive != ARCHIVE_VERSION {
            return Err(format!("it is of version {}, which is not known here", head.archive));
        }
        let name = head.content.bytes().unwrap_or_default();
        let layout = Layout::parse(&head.snapshot, &name);
        let layout = layout.ok_or_else(|| "its content has a name that none has".to_owned())?;
        if head.snapshot.logical_bytes != head.content_bytes || i64::try_from(head.content_bytes).is_err() {
            return Err("its content is not as long as it was".to_owned());
        }
        if head.snapshot.created_at.parse::<jiff::Timestamp>().is_err() {
            return Err("it was taken at a time that is none".to_owned());
        }
        self.head = Some((head, layout));
        Ok(())
    }

    fn part(&mut self, part: Part) -> Checked<()> {
        let Some((head, layout)) = &self.head else { return Err("parts come too early".to_owned()) };
        if part.name.len() > PART_NAME_LEN_MAX {
            return Err("a part's name is too long".to_owned());
        }
        if matches!(layout, Layout::Tree(_)) {
            let is_sorted = head.snapshot.form == "directory";
            self.check_tree_name(&part.name, is_sorted)?;
        }
        self.count += 1;
        self.bytes = self.bytes.checked_add(part.len).ok_or("its parts are too long")?;
        let mut record = Vec::new();
        encode_part(&part, &mut record);
        let unlikely = || format!("{:?} is what no part can be", part.display_name());
        let (back, _) = decode_parts(&record, part.offset, part.hash).map_err(|_| unlikely())?;
        let empty = Digest::of(&[]);
        if back.first() != Some(&part) || (part.len == 0 && part.hash != empty) {
            return Err(unlikely());
        }
        let len = u32::try_from(record.len()).map_err(|_| unlikely())?;
        let written = self.parts.write_all(&len.to_le_bytes()).and_then(|()| self.parts.write_all(&record));
        written.map_err(|error| {
            let why = error.to_string();
            self.failure = Some(error);
            why
        })
    }
}

/// Parts that wait on disk until their bytes come.
struct KeptParts {
    file: BufReader<File>,
    offset: u64,
}

impl KeptParts {
    fn next(&mut self) -> io::Result<Option<Part>> {
        if self.file.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut len = [0; 4];
        self.file.read_exact(&mut len)?;
        let mut record = vec![0; u32::from_le_bytes(len) as usize];
        self.file.read_exact(&mut record)?;
        let (parts, _) = decode_parts(&record, self.offset, Digest::of(&[])).map_err(io::Error::other)?;
        let part = parts.into_iter().next();
        self.offset += part.as_ref().map_or(0, |part| part.len);
        Ok(part)
    }
}
