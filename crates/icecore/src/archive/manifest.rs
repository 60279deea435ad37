//! `manifest.json`: what a snapshot is, and its parts, one a line.
//!
//! It may be as long as a directory has files, so that neither side ever holds more than one part of it in memory.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read, Write};

use icecore_format::{Digest, Extent, FileAttributes, Part, PartKind, SnapshotId, SnapshotInfo};
use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::ARCHIVE_VERSION;

/// What is said before the parts is never longer, with a hundred findings and a long note.
const HEAD_LEN_MAX: usize = 16 << 20;
/// Nor is what is said of one part, with all its holes.
const PART_LEN_MAX: usize = 64 << 20;

/// What is said of a snapshot before its parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// The version of the archive.
    pub(super) archive: u32,
    /// The snapshot's id where it came from.
    pub(super) id: SnapshotId,
    /// What it was there.
    pub(super) snapshot: SnapshotInfo,
    pub(super) tags: BTreeSet<String>,
    pub(super) note: Option<String>,
    /// The name of its content in the archive.
    pub(super) content: Text,
    pub(super) content_bytes: u64,
}

/// Bytes that are text more often than not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Text {
    Text(String),
    Bytes { hex: String },
}

impl Text {
    pub(super) fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Bytes { hex: bytes.iter().map(|byte| format!("{byte:02x}")).collect() },
        }
    }

    /// `None` if the digits are none.
    pub(super) fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text.clone().into_bytes()),
            Self::Bytes { hex } => {
                let pairs = hex.as_bytes().chunks(2);
                pairs
                    .map(|pair| match pair {
                        [_, _] => u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok(),
                        _ => None,
                    })
                    .collect()
            }
        }
    }
}

/// One part, as a line says it.
#[derive(Debug, Serialize, Deserialize)]
struct PartLine {
    name: Text,
    kind: String,
    bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    blake3: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<Box<FileLine>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FileLine {
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: (i64, u32),
    ctime: (i64, u32),
    inode: u64,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<Text>,
    #[serde(default, skip_serializing_if = "is_zero")]
    device: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    xattrs: Vec<(Text, Text)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    extents: Vec<(u64, u64)>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl PartLine {
    fn of(part: &Part, hash: Digest) -> Self {
        let file = part.file.as_deref().map(|file| {
            Box::new(FileLine {
                mode: file.mode,
                uid: file.uid,
                gid: file.gid,
                mtime: file.mtime,
                ctime: file.ctime,
                inode: file.inode,
                size: file.size,
                target: (!file.target.is_empty()).then(|| Text::of(&file.target)),
                device: file.device,
                xattrs: file.xattrs.iter().map(|(name, value)| (Text::of(name), Text::of(value))).collect(),
                extents: file.extents.iter().map(|extent| (extent.offset, extent.len)).collect(),
            })
        });
        let (name, kind, rows) = (Text::of(&part.name), part.kind.as_str().to_owned(), part.rows);
        Self { name, kind, bytes: part.len, rows, blake3: hash.to_hex(), file }
    }

    /// `None` if it says what no part can be.
    fn part(self, offset: u64) -> Option<Part> {
        let file = match self.file {
            None => None,
            Some(file) => Some(Box::new(file.attributes()?)),
        };
        Some(Part {
            name: self.name.bytes()?,
            kind: PartKind::parse(&self.kind)?,
            offset,
            len: self.bytes,
            hash: self.blake3.parse().ok()?,
            rows: self.rows,
            file,
        })
    }
}

impl FileLine {
    fn attributes(self) -> Option<FileAttributes> {
        let xattrs = self.xattrs.iter().map(|(name, value)| Some((name.bytes()?, value.bytes()?)));
        Some(FileAttributes {
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            mtime: self.mtime,
            ctime: self.ctime,
            inode: self.inode,
            size: self.size,
            target: self.target.map_or(Some(Vec::new()), |target| target.bytes())?,
            device: self.device,
            xattrs: xattrs.collect::<Option<_>>()?,
            extents: self.extents.into_iter().map(|(offset, len)| Extent { offset, len }).collect(),
        })
    }
}

/// Writes all but the parts.
pub(super) fn write_head(out: &mut dyn Write, head: &Head) -> io::Result<()> {
    let text = serde_json::to_string_pretty(head)?;
    let open = text.strip_suffix("\n}").unwrap_or(&text);
    write!(out, "{open},\n  \"parts\": [")
}

/// Writes a part, whose plain bytes have this hash.
pub(super) fn write_part(out: &mut dyn Write, part: &Part, hash: Digest, is_first: bool) -> io::Result<()> {
    out.write_all(if is_first { b"\n" } else { b",\n" })?;
    Ok(serde_json::to_writer(out, &PartLine::of(part, hash))?)
}

/// Ends it.
pub(super) fn write_end(out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"\n]}\n")
}

/// Takes what a manifest says as it is read. What is returned as an error is why it is refused.
pub(super) trait Intake {
    fn head(&mut self, head: Head) -> Result<(), String>;
    fn part(&mut self, part: Part) -> Result<(), String>;
}

/// Reads a manifest to its end.
pub(super) fn read(input: &mut dyn Read, intake: &mut dyn Intake) -> Result<(), serde_json::Error> {
    let left = Cell::new(HEAD_LEN_MAX);
    let input = Bounded { input, left: &left };
    let mut json = serde_json::Deserializer::from_reader(io::BufReader::new(input));
    Document { intake, left: &left }.deserialize(&mut json)?;
    json.end()
}

/// Refuses what would take too much memory: so much is read, until somebody allows more.
struct Bounded<'a> {
    input: &'a mut dyn Read,
    left: &'a Cell<usize>,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.input.read(buf)?;
        let left = self.left.get().checked_sub(len);
        self.left.set(left.ok_or_else(|| io::Error::other("what it says of one thing is too long"))?);
        Ok(len)
    }
}

struct Document<'a> {
    intake: &'a mut dyn Intake,
    left: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a manifest")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut fields = serde_json::Map::new();
        let mut has_parts = false;
        while let Some(key) = map.next_key::<String>()? {
            if has_parts {
                return Err(de::Error::custom("something follows the parts"));
            }
            if key != "parts" {
                match fields.len() < 64 {
                    true => drop(fields.insert(key, map.next_value()?)),
                    false => drop(map.next_value::<IgnoredAny>()?),
                }
                continue;
            }
            has_parts = true;
            let version = fields.get("archive").and_then(serde_json::Value::as_u64);
            if version.is_some_and(|version| version > u64::from(ARCHIVE_VERSION)) {
                return Err(de::Error::custom("it is from a newer version of icecore"));
            }
            let head = serde_json::from_value(std::mem::take(&mut fields).into());
            let head: Head = head.map_err(de::Error::custom)?;
            self.intake.head(head).map_err(de::Error::custom)?;
            map.next_value_seed(Parts { intake: &mut *self.intake, left: self.left })?;
        }
        if has_parts { Ok(()) } else { Err(de::Error::missing_field("parts")) }
    }
}

struct Parts<'a> {
    intake: &'a mut dyn Intake,
    left: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Parts<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Parts<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of parts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut offset = 0u64;
        self.left.set(PART_LEN_MAX);
        while let Some(line) = seq.next_element::<PartLine>()? {
            let unlikely = || de::Error::custom("a part is what none can be");
            let part = line.part(offset).ok_or_else(unlikely)?;
            offset = offset.checked_add(part.len).ok_or_else(unlikely)?;
            self.intake.part(part).map_err(de::Error::custom)?;
            self.left.set(PART_LEN_MAX);
        }
        Ok(())
    }
}
