//! One entry of a tarball: its header, as every program for tarballs reads it.
//!
//! What the old header has no room for stands in front: long names as GNU has it, for those may be any bytes; times to the
//! nanosecond, large numbers, extended attributes and the map of a sparse file as POSIX and GNU have it.

use icecore_format::{Extent, FileAttributes, Part, PartKind};

/// Everything in a tarball begins at a multiple of this.
pub(super) const BLOCK_LEN: usize = 512;
/// How many zeros end a tarball.
pub(super) const END_LEN: usize = 2 * BLOCK_LEN;
const NAME_LEN: usize = 100;
/// The largest number of eleven octal digits.
const SIZE_MAX: u64 = (1 << 33) - 1;
/// The largest number of seven octal digits.
const ID_MAX: u64 = (1 << 21) - 1;

/// What is said of one entry before its bytes.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    name: Vec<u8>,
    kind: u8,
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: (i64, u32),
    target: Vec<u8>,
    device: u64,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Bytes of the content.
    len: u64,
    /// Which bytes of how long a file those are, if it has holes.
    sparse: Option<(Vec<Extent>, u64)>,
}

impl Entry {
    /// A plain file that nobody captured as one.
    pub(super) fn plain(name: &[u8], mode: u32, len: u64, mtime: i64) -> Self {
        Self {
            name: name.to_vec(),
            kind: b'0',
            mode,
            uid: 0,
            gid: 0,
            mtime: (mtime, 0),
            target: Vec::new(),
            device: 0,
            xattrs: Vec::new(),
            len,
            sparse: None,
        }
    }

    /// A captured file that goes by another name, as `len` bytes.
    pub(super) fn file(name: &[u8], file: &FileAttributes, len: u64) -> Self {
        Self {
            mode: file.mode,
            uid: file.uid,
            gid: file.gid,
            mtime: file.mtime,
            xattrs: file.xattrs.clone(),
            sparse: (!file.extents.is_empty()).then(|| (file.extents.clone(), file.size)),
            ..Self::plain(name, 0o600, len, 0)
        }
    }

    /// A part of a captured tree, below `prefix`. `None` for what a tarball cannot hold: sockets.
    pub(super) fn of_part(prefix: &str, part: &Part) -> Option<Self> {
        let mut name = prefix.as_bytes().to_vec();
        name.extend_from_slice(&part.name);
        let default = FileAttributes { mode: 0o600, ..FileAttributes::default() };
        let file = part.file.as_deref().unwrap_or(&default);
        let mut entry = Self::file(&name, file, part.len);
        match part.kind {
            PartKind::Socket => return None,
            PartKind::Data | PartKind::Schema | PartKind::Table | PartKind::Member | PartKind::File => (),
            PartKind::Directory => {
                entry.kind = b'5';
                if !entry.name.ends_with(b"/") {
                    entry.name.push(b'/');
                }
            }
            PartKind::Symlink => {
                entry.kind = b'2';
                entry.target.clone_from(&file.target);
            }
            PartKind::Hardlink => {
                entry.kind = b'1';
                entry.target = [prefix.as_bytes(), &file.target].concat();
            }
            PartKind::Fifo => entry.kind = b'6',
            PartKind::CharDevice => (entry.kind, entry.device) = (b'3', file.device),
            PartKind::BlockDevice => (entry.kind, entry.device) = (b'4', file.device),
        }
        Some(entry)
    }

    /// Whether the file it becomes has other bytes than those that are stored.
    pub(super) fn is_sparse(&self) -> bool {
        self.sparse.is_some()
    }

    /// Everything that comes before the content's bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (kind, text) in [(b'L', &self.name), (b'K', &self.target)] {
            if text.len() > NAME_LEN {
                let mut text = text.clone();
                text.push(0);
                let long = Self { kind, ..Self::plain(b"././@LongLink", 0o644, text.len() as u64, 0) };
                long.put_header(&mut out, &long.name, long.len);
                put_padded(&mut out, &text);
            }
        }
        let map = self.sparse_map();
        let len = map.len() as u64 + self.len;
        let records = self.records(len);
        if !records.is_empty() {
            let extended =
                Self { kind: b'x', ..Self::plain(b"PaxHeaders/entry", 0o644, records.len() as u64, 0) };
            extended.put_header(&mut out, &extended.name, extended.len);
            put_padded(&mut out, &records);
        }
        match self.is_sparse() {
            true => self.put_header(&mut out, b"GNUSparseFile.0/entry", len),
            false => self.put_header(&mut out, &self.name, len),
        }
        out.extend_from_slice(&map);
        out
    }

    /// The zeros behind the content.
    pub(super) fn padding(&self) -> usize {
        padding_of(self.len)
    }

    /// How many runs of bytes a sparse file has, and where they belong.
    fn sparse_map(&self) -> Vec<u8> {
        let Some((extents, size)) = &self.sparse else { return Vec::new() };
        let end = extents.last().map_or(0, |extent| extent.offset + extent.len);
        // A hole at the end is told by a run of no bytes.
        let last = (end < *size).then_some(Extent { offset: *size, len: 0 });
        let mut text = format!("{}\n", extents.len() + usize::from(last.is_some()));
        for extent in extents.iter().chain(&last) {
            text.push_str(&format!("{}\n{}\n", extent.offset, extent.len));
        }
        let mut map = Vec::new();
        put_padded(&mut map, text.as_bytes());
        map
    }

    /// What the old header cannot say.
    fn records(&self, len: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let mut put = |key: &[u8], value: &[u8]| put_record(&mut out, key, value);
        if let Some((_, size)) = &self.sparse {
            put(b"GNU.sparse.major", b"1");
            put(b"GNU.sparse.minor", b"0");
            put(b"GNU.sparse.name", &self.name);
            put(b"GNU.sparse.realsize", size.to_string().as_bytes());
        }
        if len > SIZE_MAX {
            put(b"size", len.to_string().as_bytes());
        }
        for (key, id) in [(b"uid", self.uid), (b"gid", self.gid)] {
            if u64::from(id) > ID_MAX {
                put(key, id.to_string().as_bytes());
            }
        }
        match self.mtime {
            (0..=0o77_777_777_777, 0) => (),
            (seconds, nanos) if seconds < 0 && nanos > 0 => {
                let (seconds, nanos) = ((seconds + 1).unsigned_abs(), 1_000_000_000 - nanos);
                put(b"mtime", format!("-{seconds}.{nanos:09}").as_bytes());
            }
            (seconds, nanos) => put(b"mtime", format!("{seconds}.{nanos:09}").as_bytes()),
        }
        for (name, value) in &self.xattrs {
            let mut key = b"SCHILY.xattr.".to_vec();
            for byte in name {
                match byte {
                    b'%' => key.extend_from_slice(b"%25"),
                    b'=' => key.extend_from_slice(b"%3D"),
                    byte => key.push(*byte),
                }
            }
            put(&key, value);
        }
        out
    }

    fn put_header(&self, out: &mut Vec<u8>, name: &[u8], len: u64) {
        let start = out.len();
        put_text(out, name, NAME_LEN);
        put_octal(out, u64::from(self.mode & 0o7777), 8);
        put_octal(out, u64::from(self.uid).min(ID_MAX), 8);
        put_octal(out, u64::from(self.gid).min(ID_MAX), 8);
        put_octal(out, len.min(SIZE_MAX), 12);
        put_octal(out, u64::try_from(self.mtime.0).unwrap_or(0).min(SIZE_MAX), 12);
        out.extend_from_slice(b"        ");
        out.push(self.kind);
        put_text(out, &self.target, NAME_LEN);
        out.extend_from_slice(b"ustar\x0000");
        out.extend_from_slice(&[0; 64]);
        put_octal(out, rustix::fs::major(self.device).into(), 8);
        put_octal(out, rustix::fs::minor(self.device).into(), 8);
        out.resize(start + BLOCK_LEN, 0);
        let sum: u64 = out.iter().skip(start).map(|byte| u64::from(*byte)).sum();
        let field = format!("{sum:06o}\0 ");
        out.splice(start + 148..start + 156, field.bytes());
    }
}

/// How many zeros follow `len` bytes.
pub(super) fn padding_of(len: u64) -> usize {
    let block = BLOCK_LEN as u64;
    usize::try_from((block - len % block) % block).unwrap_or(0)
}

fn put_padded(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
    out.resize(out.len() + padding_of(bytes.len() as u64), 0);
}

fn put_text(out: &mut Vec<u8>, text: &[u8], len: usize) {
    let text = text.get(..len).unwrap_or(text);
    out.extend_from_slice(text);
    out.resize(out.len() + len - text.len(), 0);
}

fn put_octal(out: &mut Vec<u8>, number: u64, len: usize) {
    let digits = format!("{number:0width$o}\0", width = len - 1);
    // A device's number may be larger: then it is cut, and nobody gets another device for it, for only root makes any.
    let digits = digits.get(digits.len() - len..).unwrap_or(&digits);
    out.extend_from_slice(digits.as_bytes());
}

/// `LENGTH KEY=VALUE`, where the length counts itself.
fn put_record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while rest + len.to_string().len() != len {
        len = rest + len.to_string().len();
    }
    out.extend_from_slice(format!("{len} ").as_bytes());
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}
