//! Tarballs: headers, and the contents between them.
//!
//! Understands ustar, pax, and GNU's long names, big sizes and sparse files. Contents are passed over without a look.
//! A header that makes no sense ends the understanding: all that follows is one part.

mod extension;
mod header;

use icecore_format::PartKind;

use crate::Grain;
use crate::drive::{Machine, len64};
use crate::mark::Mark;
use crate::outcome::{Completeness, Outcome};
use extension::{Extension, ExtensionKind, Overrides};
use header::{BLOCK, Entry, Header, is_zero};

/// Whether `head` is the start of a tarball: a header with the magic and a right checksum.
pub(crate) fn is_archive(head: &[u8]) -> bool {
    head.first_chunk::<BLOCK>()
        .is_some_and(|block| Header::parse(block).is_some_and(|header| header.is_ustar))
}

/// Where in a tarball the next byte lies.
#[derive(Debug)]
enum Place {
    Header,
    /// Blocks that say where the holes of a sparse file are; then the content.
    SparseMap(Entry),
    Extension(Extension),
    Content {
        left: u64,
        padding: u64,
    },
    Padding {
        left: u64,
    },
    /// After the end-of-archive blocks.
    Ended,
    /// After something that is not a header.
    Lost,
}

/// What the open part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    Between,
    Member,
}

/// Scans a tarball.
#[derive(Debug)]
pub(crate) struct Tar {
    place: Place,
    open: Open,
    overrides: Overrides,
    cut: bool,
}

impl Tar {
    pub(crate) fn new() -> Self {
        Self { place: Place::Header, open: Open::Nothing, overrides: Overrides::default(), cut: false }
    }

    pub(crate) fn outcome(self) -> Outcome {
        let completeness = match self.place {
            Place::Ended => Completeness::Complete,
            Place::Lost if !self.cut => Completeness::Unknown,
            _ => Completeness::Cut { expected: "the end-of-archive blocks" },
        };
        Outcome { completeness, engine: None, engine_version: None, database: None }
    }

    /// Makes sure that the byte at `at` belongs to a part that is not a member.
    fn between(&mut self, at: u64, marks: &mut Vec<Mark>) {
        if self.open != Open::Between {
            self.begin(at, Vec::new(), PartKind::Data, marks);
            self.open = Open::Between;
        }
    }

    fn begin(&mut self, at: u64, name: Vec<u8>, kind: PartKind, marks: &mut Vec<Mark>) {
        if self.open != Open::Nothing {
            marks.push(Mark::End { at, rows: None });
        }
        marks.push(Mark::Begin { at, name, kind, grain: Grain::Byte });
    }

    fn header(&mut self, rest: &[u8], last: bool) -> usize {
        let Some(block) = rest.first_chunk::<BLOCK>() else {
            if !last {
                return 0;
            }
            self.cut = true;
            self.place = Place::Lost;
            return rest.len();
        };
        self.place = match Header::parse(block) {
            Some(header) => self.after(header),
            None if is_zero(block) => Place::Ended,
            None => Place::Lost,
        };
        BLOCK
    }

    /// What follows a header.
    fn after(&mut self, header: Header) -> Place {
        if let Some(kind) = ExtensionKind::of(header.kind) {
            return Place::Extension(Extension::new(kind, header.size));
        }
        let entry = self.overrides.apply(header);
        if entry.sparse_map_goes_on { Place::SparseMap(entry) } else { self.content(entry) }
    }

    fn content(&mut self, entry: Entry) -> Place {
        if entry.size == 0 {
            return Place::Header;
        }
        let place = Place::Content { left: entry.size, padding: padding(entry.size) };
        self.overrides.name = Some(entry.name);
        place
    }
}

impl Machine for Tar {
    fn step(&mut self, rest: &[u8], at: u64, last: bool, marks: &mut Vec<Mark>) -> usize {
        match std::mem::replace(&mut self.place, Place::Lost) {
            Place::Header => {
                self.place = Place::Header;
                let n = self.header(rest, last);
                if n > 0 {
                    self.between(at, marks);
                }
                n
            }
            Place::SparseMap(mut entry) => {
                self.between(at, marks);
                let Some(block) = rest.first_chunk::<BLOCK>() else {
                    self.place = Place::SparseMap(entry);
                    return if last { rest.len() } else { 0 };
                };
                entry.sparse_map_goes_on = header::sparse_block_goes_on(block);
                self.place =
                    if entry.sparse_map_goes_on { Place::SparseMap(entry) } else { self.content(entry) };
                BLOCK
            }
            Place::Extension(mut extension) => {
                self.between(at, marks);
                let n = extension.read(rest);
                self.place = match extension.padding_if_done() {
                    None => Place::Extension(extension),
                    Some(left) => {
                        self.overrides.learn(&extension);
                        if left == 0 { Place::Header } else { Place::Padding { left } }
                    }
                };
                // An empty extension takes no bytes; its header has already moved on.
                if n == 0 { self.step(rest, at, last, marks) } else { n }
            }
            Place::Content { left, padding } => {
                if let Some(name) = self.overrides.name.take() {
                    self.begin(at, name, PartKind::Member, marks);
                    self.open = Open::Member;
                }
                let n = at_most(rest, left);
                self.place = match (left - len64(n), padding) {
                    (0, 0) => Place::Header,
                    (0, left) => Place::Padding { left },
                    (left, padding) => Place::Content { left, padding },
                };
                n
            }
            Place::Padding { left } => {
                self.between(at, marks);
                let n = at_most(rest, left);
                let left = left - len64(n);
                self.place = if left == 0 { Place::Header } else { Place::Padding { left } };
                n
            }
            place @ (Place::Ended | Place::Lost) => {
                self.between(at, marks);
                self.place = place;
                rest.len()
            }
        }
    }

    fn held(&self) -> Option<u64> {
        None
    }

    fn settle(&mut self, _at: u64, _marks: &mut Vec<Mark>) {}

    fn close(&mut self, at: u64, marks: &mut Vec<Mark>) {
        if self.open != Open::Nothing {
            marks.push(Mark::End { at, rows: None });
            self.open = Open::Nothing;
        }
    }
}

/// As much of `rest` as there is, but not more than `left`.
fn at_most(rest: &[u8], left: u64) -> usize {
    usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()))
}

/// What fills the last block after so many bytes.
fn padding(size: u64) -> u64 {
    let block = len64(BLOCK);
    (block - size % block) % block
}

#[cfg(test)]
pub(crate) mod tests;
