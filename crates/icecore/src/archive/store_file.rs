//! A store in one file, for machines that no network reaches: a tarball of its objects.
//!
//! Or what came after some snapshots of it: such a file begins with another name, and with these snapshots, so that nobody takes it for a whole store.
//!
//! Packs lie in the file as they are, and are read where they lie. All else is small: it is in memory while the file is open, and is
//! written at the end. Names are those of a store's objects and never become paths.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use icecore_format::{Digest, PackId, SnapshotId, names};
use icecore_storage::{Hold, Holder, MemoryStorage, ObjectMeta, PutMode, Storage, Version};
use icecore_store::{Counter, Monitor, StoreError};

use super::entry::{BLOCK_LEN, END_LEN, Entry, padding_of};
use crate::{Error, Result};

/// What comes first, by which such a file is known.
pub(super) const STORE: &str = "STORE.md";
const STORE_TEXT: &str = "A store of icecore in one file. `icecore import FILE` brings its snapshots into the same store elsewhere, `icecore init --from FILE` makes one of it.\n";
/// What comes first instead if what some snapshots need is left out.
pub(super) const LATER: &str = "STORE-LATER.md";
const LATER_TEXT: &str = "What came later in a store of icecore, in one file. It is no whole store: `icecore import FILE` brings its snapshots into the same store where the snapshots are that EARLIER lists, for what these need was left out.\n";
/// And what comes then: the ids of these snapshots, newest first, one a line.
const EARLIER: &str = "EARLIER";
/// What is not a pack has no more than this, together.
const SMALL_LEN_MAX: u64 = 512 << 20;
/// The longest name of an object.
const NAME_LEN_MAX: u64 = 1024;

/// The objects of a store in one file.
#[derive(Debug)]
pub(super) struct StoreFile {
    file: File,
    /// For errors.
    place: String,
    is_writable: bool,
    small: MemoryStorage,
    packs: Mutex<Packs>,
    /// The snapshots of which it lacks what they need, newest first. None if it is a whole store.
    earlier: Vec<SnapshotId>,
}

#[derive(Debug, Default)]
struct Packs {
    /// Offset and length, by name.
    places: BTreeMap<String, (u64, u64)>,
    /// Where the next one goes.
    end: u64,
    /// Packs that somebody has read from end to end, and that are what their names say.
    right: BTreeSet<String>,
}

type StorageResult<T> = icecore_storage::Result<T>;

impl StoreFile {
    /// An empty one in an empty file. What `earlier` snapshots need will be left out, if there are any.
    pub(super) fn create(file: File, path: &Path, earlier: Vec<SnapshotId>) -> Result<Self> {
        let place = path.display().to_string();
        let made = Self { is_writable: true, earlier, ..Self::over(file, place) };
        let listed = made.earlier.iter().map(|id| format!("{id}\n")).collect::<String>();
        let begun: &[(&str, &str)] = match made.earlier.is_empty() {
            true => &[(STORE, STORE_TEXT)],
            false => &[(LATER, LATER_TEXT), (EARLIER, &listed)],
        };
        for (name, text) in begun {
            let appended = made.append(&mut made.packs(), name, text.as_bytes());
            appended.map_err(|error| made.unwritten(error))?;
        }
        Ok(made)
    }

    /// One that was written.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let place = path.display().to_string();
        let unread = |source| Error::ArchiveUnread { name: place.clone(), source };
        let file = File::open(path).map_err(unread)?;
        let len = file.metadata().map_err(unread)?.len();
        let mut found = Self::over(file, place);
        found.earlier = found.read_all(len)?;
        Ok(found)
    }

    fn over(file: File, place: String) -> Self {
        let (small, packs) = (MemoryStorage::new(), Mutex::default());
        Self { file, place, is_writable: false, small, packs, earlier: Vec::new() }
    }

    /// What it is called in errors.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// The snapshots without which it is of no use, newest first. None if it is a whole store.
    pub(super) fn earlier(&self) -> &[SnapshotId] {
        &self.earlier
    }

    fn damaged(&self, why: impl Into<String>) -> Error {
        Error::ArchiveDamaged { name: self.place.clone(), why: why.into() }
    }

    fn unwritten(&self, source: io::Error) -> Error {
        super::output::failure(Some(Path::new(&self.place)), source).into()
    }

    fn read_at(&self, at: u64, len: u64, file_len: u64) -> Result<Vec<u8>> {
        if at.checked_add(len).is_none_or(|end| end > file_len) {
            return Err(self.damaged("it ends too early: it was cut off"));
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        let read = self.file.read_exact_at(&mut bytes, at);
        read.map_err(|source| Error::ArchiveUnread { name: self.place.clone(), source })?;
        Ok(bytes)
    }

    /// Learns what there is; returns the earlier snapshots.
    fn read_all(&self, file_len: u64) -> Result<Vec<SnapshotId>> {
        let (mut at, mut small_len) = (0, 0u64);
        let (mut expected, mut earlier) = (Expected::First, Vec::new());
        loop {
            let block = self.read_at(at, BLOCK_LEN as u64, file_len)?;
            if block.iter().all(|byte| *byte == 0) {
                let end = self.read_at(at, END_LEN as u64, file_len)?;
                let is_end = end.iter().all(|byte| *byte == 0) && at + END_LEN as u64 == file_len;
                return match (is_end, expected) {
                    (true, Expected::Object) => Ok(earlier),
                    (true, Expected::First | Expected::Earlier) => {
                        Err(self.damaged("it ends before it says what it is"))
                    }
                    (false, _) => Err(self.damaged("something follows its end")),
                };
            }
            let (name, len, content) = self.read_header(at, block, file_len)?;
            let end = content.checked_add(len).filter(|end| *end <= file_len);
            let end = end.ok_or_else(|| self.damaged("it ends too early: it was cut off"))?;
            match (expected, name.as_str()) {
                (Expected::First, STORE) => expected = Expected::Object,
                (Expected::First, LATER) => expected = Expected::Earlier,
                (Expected::First, _) => return Err(self.damaged(format!("it does not begin with {STORE}"))),
                (Expected::Earlier, EARLIER) => {
                    earlier =
                        self.parse_earlier(&self.read_small(content, len, &mut small_len, file_len)?)?;
                    expected = Expected::Object;
                }
                (Expected::Earlier, name) => {
                    return Err(self.damaged(format!("{EARLIER} should come, and {name:?} does")));
                }
                (Expected::Object, name) if is_large(name) => {
                    if self.packs().places.insert(name.to_owned(), (content, len)).is_some() {
                        return Err(self.damaged(format!("{name} comes twice")));
                    }
                }
                (Expected::Object, name) if is_small(name) => {
                    let bytes = self.read_small(content, len, &mut small_len, file_len)?;
                    let put = self.small.put(name, &bytes, PutMode::CreateNew);
                    put.map_err(|_| self.damaged(format!("{name} comes twice")))?;
                }
                (Expected::Object, name) => {
                    return Err(self.damaged(format!("{name:?} is no object of a store")));
                }
            }
            let padding = self.read_at(end, padding_of(len) as u64, file_len)?;
            if padding.iter().any(|byte| *byte != 0) {
                return Err(self.damaged(format!("what follows {name} is not as it was written")));
            }
            at = end + padding.len() as u64;
        }
    }

    fn read_small(&self, at: u64, len: u64, together: &mut u64, file_len: u64) -> Result<Vec<u8>> {
        *together = together.saturating_add(len);
        match *together > SMALL_LEN_MAX {
            true => Err(self.damaged("it holds more than a store has besides packs")),
            false => self.read_at(at, len, file_len),
        }
    }

    /// There is at least one, or what was left out would be known by nobody.
    fn parse_earlier(&self, bytes: &[u8]) -> Result<Vec<SnapshotId>> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.ends_with('\n'));
        let ids = text.and_then(|text| text.lines().map(|line| line.parse().ok()).collect::<Option<_>>());
        ids.ok_or_else(|| self.damaged(format!("{EARLIER} is not as it was written")))
    }

    /// The name and the length of the entry at `at`, and where its content is. A header must be as it is written here.
    fn read_header(&self, at: u64, mut block: Vec<u8>, file_len: u64) -> Result<(String, u64, u64)> {
        let odd = || self.damaged(format!("the header at byte {at} is not as it was written"));
        let number = |block: &[u8], from: usize, to: usize| {
            let digits = std::str::from_utf8(block.get(from..to)?).ok()?;
            u64::from_str_radix(digits.trim_end_matches('\0'), 8).ok()
        };
        let text = |bytes: &[u8]| {
            let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
            String::from_utf8(name.to_vec()).ok()
        };
        let mut headers = Vec::new();
        let mut name = text(block.get(..100).unwrap_or_default()).ok_or_else(odd)?;
        let mut next = at + BLOCK_LEN as u64;
        if block.get(156) == Some(&b'L') {
            let len = number(&block, 124, 136).filter(|len| *len <= NAME_LEN_MAX).ok_or_else(odd)?;
            let long = self.read_at(next, len + padding_of(len) as u64, file_len)?;
            name = text(&long).ok_or_else(odd)?;
            next += long.len() as u64;
            headers.append(&mut block);
            headers.extend_from_slice(&long);
            block = self.read_at(next, BLOCK_LEN as u64, file_len)?;
            next += BLOCK_LEN as u64;
        }
        let len = number(&block, 124, 136).ok_or_else(odd)?;
        headers.append(&mut block);
        match entry(&name, len).encode() == headers {
            true => Ok((name, len, next)),
            false => Err(odd()),
        }
    }

    fn packs(&self) -> MutexGuard<'_, Packs> {
        self.packs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an entry at the end; returns where its content is.
    fn append(&self, packs: &mut Packs, name: &str, bytes: &[u8]) -> io::Result<u64> {
        let header = entry(name, bytes.len() as u64).encode();
        let content = packs.end + header.len() as u64;
        let padding = vec![0; padding_of(bytes.len() as u64)];
        self.file.write_all_at(&header, packs.end)?;
        self.file.write_all_at(bytes, content)?;
        self.file.write_all_at(&padding, content + bytes.len() as u64)?;
        packs.end = content + (bytes.len() + padding.len()) as u64;
        Ok(content)
    }

    /// Writes all that is small, and the end; says how long the file is.
    pub(super) fn finish(&self) -> Result<u64> {
        let packs = &mut self.packs();
        let listed = self.small.list("").map_err(StoreError::from)?;
        for object in listed.iter().filter(|object| is_small(&object.name)) {
            let bytes = self.small.get(&object.name).map_err(StoreError::from)?;
            self.append(packs, &object.name, &bytes).map_err(|error| self.unwritten(error))?;
        }
        self.file.write_all_at(&[0; END_LEN], packs.end).map_err(|error| self.unwritten(error))?;
        Ok(packs.end + END_LEN as u64)
    }

    /// Packs that are not what their names say, be it where nobody has needed anything of them.
    pub(super) fn damaged_packs(&self, monitor: &dyn Monitor) -> Result<Vec<String>> {
        let doubtful: Vec<String> = {
            let packs = self.packs();
            packs.places.keys().filter(|name| !packs.right.contains(*name)).cloned().collect()
        };
        let mut damaged = Vec::new();
        for name in doubtful {
            if monitor.is_cancelled() {
                return Err(Error::Cancelled);
            }
            // Parity has no hash for a name, and is made anew where the pack is right.
            if names::parse_pack(&name).is_none() {
                continue;
            }
            let bytes = self.get(&name).map_err(StoreError::from)?;
            monitor.count(Counter::ReadBytes, bytes.len() as u64);
            if !self.packs().right.contains(&name) {
                damaged.push(name);
            }
        }
        Ok(damaged)
    }

    fn error(&self, action: &'static str, name: &str, source: io::Error) -> icecore_storage::Error {
        icecore_storage::Error::new(action, format!("{}:{name}", self.place), source)
    }

    fn read(&self, name: &str, wanted: impl FnOnce(u64) -> Range<u64>) -> StorageResult<Bytes> {
        let found = self.packs().places.get(name).copied();
        let cannot = |source| self.error("cannot read", name, source);
        let (offset, len) = found.ok_or_else(|| cannot(io::ErrorKind::NotFound.into()))?;
        let range = wanted(len);
        let wanted = range.end.checked_sub(range.start).filter(|_| range.end <= len);
        let wanted = wanted.and_then(|wanted| usize::try_from(wanted).ok());
        let wanted = wanted.ok_or_else(|| cannot(io::ErrorKind::UnexpectedEof.into()))?;
        let mut bytes = vec![0; wanted];
        self.file.read_exact_at(&mut bytes, offset + range.start).map_err(cannot)?;
        Ok(bytes.into())
    }
}

/// What comes next in a file that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    First,
    Earlier,
    Object,
}

/// Everything is said by its name and its length.
fn entry(name: &str, len: u64) -> Entry {
    Entry::plain(name.as_bytes(), 0o644, len, 0)
}

fn is_large(name: &str) -> bool {
    names::parse_pack(name).is_some() || names::parse_parity(name).is_some()
}

/// What goes along. Claims and what else only concerns those who write stays. Names become paths elsewhere.
fn is_small(name: &str) -> bool {
    if name.split('/').any(|step| ["", ".", ".."].contains(&step)) {
        return false;
    }
    [names::CONFIG, names::EPOCH].contains(&name)
        || [names::KEYS, names::SNAPSHOTS, names::LABELS, names::COPIES]
            .iter()
            .any(|folder| name.starts_with(folder))
}

impl Storage for StoreFile {
    fn get(&self, name: &str) -> StorageResult<Bytes> {
        if !is_large(name) {
            return self.small.get(name);
        }
        let bytes = self.read(name, |len| 0..len)?;
        if names::parse_pack(name) == Some(PackId(Digest::of(&bytes))) {
            self.packs().right.insert(name.to_owned());
        }
        Ok(bytes)
    }

    fn get_versioned(&self, name: &str) -> StorageResult<(Bytes, Version)> {
        if is_large(name) {
            return Ok((self.get(name)?, Version::new(Vec::new())));
        }
        self.small.get_versioned(name)
    }

    fn get_range(&self, name: &str, range: Range<u64>) -> StorageResult<Bytes> {
        if is_large(name) { self.read(name, |_| range) } else { self.small.get_range(name, range) }
    }

    fn put(&self, name: &str, bytes: &[u8], mode: PutMode<'_>) -> StorageResult<()> {
        if !is_large(name) {
            return self.small.put(name, bytes, mode);
        }
        let cannot = |source| self.error("cannot write", name, source);
        if !self.is_writable {
            return Err(cannot(io::ErrorKind::ReadOnlyFilesystem.into()));
        }
        let mut packs = self.packs();
        // Packs are what their names say: the same name is the same pack.
        match (packs.places.contains_key(name), mode) {
            (true, PutMode::CreateNew | PutMode::Replace(_)) => {
                return Err(cannot(io::ErrorKind::AlreadyExists.into()));
            }
            (true, PutMode::Overwrite) => return Ok(()),
            (false, _) => (),
        }
        let content = self.append(&mut packs, name, bytes).map_err(cannot)?;
        packs.places.insert(name.to_owned(), (content, bytes.len() as u64));
        Ok(())
    }

    fn list(&self, prefix: &str) -> StorageResult<Vec<ObjectMeta>> {
        let mut listed = self.small.list(prefix)?;
        let packs = self.packs();
        let large = packs.places.iter().filter(|(name, _)| name.starts_with(prefix));
        listed.extend(large.map(|(name, (_, len))| ObjectMeta { name: name.clone(), len: *len }));
        listed.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(listed)
    }

    fn len(&self, name: &str) -> StorageResult<u64> {
        if !is_large(name) {
            return self.small.len(name);
        }
        let found = self.packs().places.get(name).map(|(_, len)| *len);
        found.ok_or_else(|| self.error("cannot read", name, io::ErrorKind::NotFound.into()))
    }

    fn delete(&self, name: &str) -> StorageResult<()> {
        match is_large(name) {
            true => Err(self.error("cannot delete", name, io::ErrorKind::ReadOnlyFilesystem.into())),
            false => self.small.delete(name),
        }
    }

    fn hold(&self, name: &str, bytes: &[u8]) -> StorageResult<Box<dyn Hold>> {
        self.small.hold(name, bytes)
    }

    fn holder(&self, name: &str) -> StorageResult<Holder> {
        self.small.holder(name)
    }

    fn concurrency(&self) -> NonZeroUsize {
        NonZeroUsize::MIN.saturating_add(3)
    }
}
