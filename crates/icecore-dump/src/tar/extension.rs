//! Headers that say more about the header after them: pax records, and GNU's long names.

use super::header::{Entry, Header, text};
use super::{at_most, padding};
use crate::drive::len64;

/// Longer extensions are passed over: no path is that long.
const EXTENSION_MAX: u64 = 64 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExtensionKind {
    /// Pax records for the next entry.
    Next,
    /// Pax records for all entries that follow.
    Global,
    LongName,
    /// The target of a link, which is of no interest here.
    LongLink,
}

impl ExtensionKind {
    pub(crate) fn of(kind: u8) -> Option<Self> {
        match kind {
            b'x' | b'X' => Some(Self::Next),
            b'g' => Some(Self::Global),
            b'L' => Some(Self::LongName),
            b'K' => Some(Self::LongLink),
            _ => None,
        }
    }
}

/// The content of an extension as far as it has been read.
#[derive(Debug)]
pub(crate) struct Extension {
    kind: ExtensionKind,
    size: u64,
    left: u64,
    content: Vec<u8>,
}

impl Extension {
    pub(crate) fn new(kind: ExtensionKind, size: u64) -> Self {
        Self { kind, size, left: size, content: Vec::new() }
    }

    pub(crate) fn read(&mut self, rest: &[u8]) -> usize {
        let n = at_most(rest, self.left);
        if self.size <= EXTENSION_MAX {
            self.content.extend_from_slice(rest.get(..n).unwrap_or_default());
        }
        self.left -= len64(n);
        n
    }

    pub(crate) fn padding_if_done(&self) -> Option<u64> {
        (self.left == 0).then(|| padding(self.size))
    }
}

/// What extensions have said and no entry has used yet.
#[derive(Debug, Default)]
pub(crate) struct Overrides {
    /// Also holds the name of an entry until its content begins.
    pub(crate) name: Option<Vec<u8>>,
    size: Option<u64>,
    global_name: Option<Vec<u8>>,
    global_size: Option<u64>,
}

impl Overrides {
    pub(crate) fn learn(&mut self, extension: &Extension) {
        match extension.kind {
            ExtensionKind::LongLink => (),
            ExtensionKind::LongName => self.name = Some(text(&extension.content).to_vec()),
            ExtensionKind::Next => {
                let records = Records::read(&extension.content);
                self.name = records.path.or(self.name.take());
                self.size = records.size.or(self.size);
            }
            ExtensionKind::Global => {
                let records = Records::read(&extension.content);
                self.global_name = records.path.or(self.global_name.take());
                self.global_size = records.size.or(self.global_size);
            }
        }
    }

    /// Uses up what was said about the next entry.
    pub(crate) fn apply(&mut self, header: Header) -> Entry {
        let size = self.size.take().or(self.global_size).unwrap_or(header.size);
        let size = if header.has_content() { size } else { 0 };
        let name = self.name.take().or_else(|| self.global_name.clone());
        Entry { size, sparse_map_goes_on: header.sparse_map_goes_on, name: name.unwrap_or(header.name) }
    }
}

/// The pax records of interest.
#[derive(Debug, Default)]
struct Records {
    path: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Records {
    /// Reads `length key=value\n` again and again, as far as that makes sense.
    fn read(mut content: &[u8]) -> Self {
        let mut records = Self::default();
        let mut sparse_name = None;
        while let Some((record, rest)) = split_record(content) {
            match record {
                (b"path", value) => records.path = Some(value.to_vec()),
                (b"size", value) => records.size = decimal(value),
                (b"GNU.sparse.name", value) => sparse_name = Some(value.to_vec()),
                _ => (),
            }
            content = rest;
        }
        records.path = sparse_name.or(records.path);
        records
    }
}

type Record<'a> = (&'a [u8], &'a [u8]);

fn split_record(content: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let blank = memchr::memchr(b' ', content)?;
    let len = usize::try_from(decimal(content.get(..blank)?)?).ok()?;
    let (record, rest) = content.split_at_checked(len)?;
    let record = record.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = memchr::memchr(b'=', record)?;
    Some(((record.get(..equals)?, record.get(equals + 1..)?), rest))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    str::from_utf8(digits).ok()?.parse().ok()
}
