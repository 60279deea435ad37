//! The catalog: which part of a snapshot's content is what.
//!
//! A snapshot's content is one sequence of bytes. A part is a named range of it: a file, a table's rows, a tarball's
//! member. Parts lie one after the other and cover the content without gaps. The catalog lists them in order, and is
//! stored like the content itself when it is large.

use crate::Digest;
use crate::cursor::{Cursor, put_prefixed, put_varint};
use crate::error::Result;

/// No part's name or link's target is longer than this (Linux's `PATH_MAX` is 4096).
pub const PART_NAME_LEN_MAX: usize = 64 << 10;
const FLAG_ROWS: u8 = 1;
const FLAG_FILE: u8 = 2;
const FLAG_HASH: u8 = 4;

/// What a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartKind {
    /// Bytes with no known meaning: a whole file or stream, or what lies between other parts.
    Data,
    /// Statements that define: the head and the tail of a dump.
    Schema,
    /// One table: its rows, and in MySQL's dumps its definition.
    Table,
    /// The content of one member of a tarball.
    Member,
    /// A regular file of a directory.
    File,
    /// A directory. The root of a captured directory has the empty name.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Another name of an earlier file.
    Hardlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

impl PartKind {
    const ALL: [(Self, u8, &'static str); 12] = [
        (Self::Data, 0, "data"),
        (Self::Schema, 1, "schema"),
        (Self::Table, 2, "table"),
        (Self::Member, 3, "member"),
        (Self::File, 4, "file"),
        (Self::Directory, 5, "directory"),
        (Self::Symlink, 6, "symlink"),
        (Self::Hardlink, 7, "hardlink"),
        (Self::Fifo, 8, "fifo"),
        (Self::Socket, 9, "socket"),
        (Self::CharDevice, 10, "character device"),
        (Self::BlockDevice, 11, "block device"),
    ];

    fn byte(self) -> u8 {
        Self::ALL.iter().find(|(kind, ..)| *kind == self).map_or(u8::MAX, |(_, byte, _)| *byte)
    }

    fn from_byte(found: u8) -> Option<Self> {
        Self::ALL.iter().find(|(_, byte, _)| *byte == found).map(|(kind, ..)| *kind)
    }

    /// What the word for it means.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(.., known)| *known == word).map(|(kind, ..)| *kind)
    }

    /// The word for it in tables and JSON.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(kind, ..)| *kind == self).map_or("", |(.., word)| word)
    }
}

/// A run of bytes of a sparse file that are not a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where it starts in the file.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
}

/// What a file system knows about a file besides its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileAttributes {
    /// Permission bits with setuid, setgid and sticky: the lowest twelve bits of `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time: seconds since 1970 and nanoseconds.
    pub mtime: (i64, u32),
    /// Change time, to recognise an unchanged file; zero if it was too fresh to be trusted.
    pub ctime: (i64, u32),
    /// To recognise an unchanged file.
    pub inode: u64,
    /// The file's length in bytes, holes included.
    pub size: u64,
    /// What a symbolic link points to; the earlier name of a hard link.
    pub target: Vec<u8>,
    /// A device's number.
    pub device: u64,
    /// Extended attributes, by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// What of a sparse file is stored; empty if all of it is.
    pub extents: Vec<Extent>,
}

/// A named, ordered piece of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// A path with `/` between components, a table's name; bytes, because file names are. Empty for what has no name.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: PartKind,
    /// Where it starts in the content. Not stored: the sum of the lengths before.
    pub offset: u64,
    /// Its plain length in bytes.
    pub len: u64,
    /// The blake3 hash of its plain bytes, keyed if the store is encrypted. That of nothing if `len` is zero.
    pub hash: Digest,
    /// For a table, how many rows it has.
    pub rows: Option<u64>,
    /// For what came from a file system.
    pub file: Option<Box<FileAttributes>>,
}

impl Part {
    /// The name as text, what is not UTF-8 replaced.
    pub fn display_name(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }
}

/// Appends a part to a catalog.
pub fn encode_part(part: &Part, out: &mut Vec<u8>) {
    let mut record = Vec::with_capacity(96 + part.name.len());
    let flags = if part.rows.is_some() { FLAG_ROWS } else { 0 }
        | if part.file.is_some() { FLAG_FILE } else { 0 }
        | if part.len > 0 { FLAG_HASH } else { 0 };
    record.push(part.kind.byte());
    record.push(flags);
    put_prefixed(&mut record, &part.name);
    put_varint(&mut record, part.len);
    if part.len > 0 {
        record.extend_from_slice(&part.hash.0);
    }
    if let Some(rows) = part.rows {
        put_varint(&mut record, rows);
    }
    if let Some(file) = &part.file {
        encode_file(file, &mut record);
    }
    put_prefixed(out, &record);
}

/// Decodes the parts at the front of `bytes`, of which the first starts at `offset` in the content. `empty_hash` is the hash
/// of nothing. Returns the parts, and how many bytes they took: an unfinished part at the end is left.
pub fn decode_parts(bytes: &[u8], mut offset: u64, empty_hash: Digest) -> Result<(Vec<Part>, usize)> {
    let mut parts = Vec::new();
    let mut cursor = Cursor::new("catalog", bytes);
    let mut consumed = 0;
    while !cursor.is_empty() {
        let mut ahead = cursor.clone();
        let Ok(record) = ahead.prefixed() else { break };
        let part = decode_part(record, offset, empty_hash)?;
        offset = offset.checked_add(part.len).ok_or_else(|| cursor.malformed())?;
        parts.push(part);
        consumed = ahead.offset();
        cursor = ahead;
    }
    Ok((parts, consumed))
}

fn decode_part(record: &[u8], offset: u64, empty_hash: Digest) -> Result<Part> {
    let mut cursor = Cursor::new("part", record);
    let kind = PartKind::from_byte(cursor.u8()?).ok_or_else(|| cursor.malformed())?;
    let flags = cursor.u8()?;
    let name = cursor.prefixed()?;
    if name.len() > PART_NAME_LEN_MAX || flags & !(FLAG_ROWS | FLAG_FILE | FLAG_HASH) != 0 {
        return Err(cursor.malformed());
    }
    let len = cursor.varint()?;
    if (len > 0) != (flags & FLAG_HASH != 0) || len > i64::MAX as u64 {
        return Err(cursor.malformed());
    }
    let hash = if len > 0 { Digest(cursor.array()?) } else { empty_hash };
    let rows = if flags & FLAG_ROWS != 0 { Some(cursor.varint()?) } else { None };
    let file = if flags & FLAG_FILE != 0 { Some(Box::new(decode_file(&mut cursor, len)?)) } else { None };
    cursor.finish()?;
    Ok(Part { name: name.to_vec(), kind, offset, len, hash, rows, file })
}

fn encode_file(file: &FileAttributes, out: &mut Vec<u8>) {
    for number in [file.mode, file.uid, file.gid] {
        put_varint(out, number.into());
    }
    for (seconds, nanos) in [file.mtime, file.ctime] {
        out.extend_from_slice(&seconds.to_le_bytes());
        out.extend_from_slice(&nanos.to_le_bytes());
    }
    for number in [file.inode, file.size, file.device] {
        put_varint(out, number);
    }
    put_prefixed(out, &file.target);
    put_varint(out, file.xattrs.len() as u64);
    for (name, value) in &file.xattrs {
        put_prefixed(out, name);
        put_prefixed(out, value);
    }
    put_varint(out, file.extents.len() as u64);
    for extent in &file.extents {
        put_varint(out, extent.offset);
        put_varint(out, extent.len);
    }
}

fn decode_file(cursor: &mut Cursor<'_>, part_len: u64) -> Result<FileAttributes> {
    let mut file = FileAttributes {
        mode: read_u32(cursor)?,
        uid: read_u32(cursor)?,
        gid: read_u32(cursor)?,
        mtime: read_time(cursor)?,
        ctime: read_time(cursor)?,
        inode: cursor.varint()?,
        size: cursor.varint()?,
        device: cursor.varint()?,
        target: cursor.prefixed()?.to_vec(),
        ..FileAttributes::default()
    };
    for _ in 0..cursor.varint()? {
        file.xattrs.push((cursor.prefixed()?.to_vec(), cursor.prefixed()?.to_vec()));
    }
    let mut end = 0u64;
    let mut stored = 0u64;
    for _ in 0..cursor.varint()? {
        let extent = Extent { offset: cursor.varint()?, len: cursor.varint()? };
        // In order and apart: a reader writes them one after the other and never over one another.
        if extent.offset < end {
            return Err(cursor.malformed());
        }
        end = extent.offset.checked_add(extent.len).ok_or_else(|| cursor.malformed())?;
        stored = stored.checked_add(extent.len).ok_or_else(|| cursor.malformed())?;
        file.extents.push(extent);
    }
    let fits = file.extents.is_empty() || (end <= file.size && stored == part_len);
    if fits && file.target.len() <= PART_NAME_LEN_MAX { Ok(file) } else { Err(cursor.malformed()) }
}

fn read_u32(cursor: &mut Cursor<'_>) -> Result<u32> {
    u32::try_from(cursor.varint()?).map_err(|_| cursor.malformed())
}

fn read_time(cursor: &mut Cursor<'_>) -> Result<(i64, u32)> {
    let seconds = i64::from_le_bytes(cursor.array()?);
    let nanos = cursor.u32()?;
    if nanos < 1_000_000_000 { Ok((seconds, nanos)) } else { Err(cursor.malformed()) }
}
