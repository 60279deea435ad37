//! The part that is open, and the names that are taken.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use icecore_format::PartKind;

use crate::Grain;
use crate::mark::Mark;

/// No dump has more parts than this; what comes after is one part more. Bounds the memory a hostile dump can claim.
const PARTS_MAX: usize = 1 << 18;

/// Opens and closes the parts of a dump.
#[derive(Debug)]
pub(crate) struct Parts {
    /// What the stream's first bytes are called, if no part begins with them.
    first: &'static [u8],
    open: Option<Open>,
    /// How often each name was used, by its hash: a collision only numbers a name that needed no number.
    taken: HashMap<u64, u32>,
    full: bool,
}

#[derive(Debug)]
struct Open {
    table: Option<Vec<u8>>,
    rows: Option<u64>,
    is_uncounted: bool,
}

impl Parts {
    pub(crate) fn new(first: &'static [u8]) -> Self {
        Self { first, open: None, taken: HashMap::new(), full: false }
    }

    pub(crate) fn begin_schema(&mut self, at: u64, name: &[u8], marks: &mut Vec<Mark>) {
        self.begin(at, name, PartKind::Schema, Grain::Line, marks);
    }

    pub(crate) fn begin_table(&mut self, at: u64, name: &[u8], grain: Grain, marks: &mut Vec<Mark>) {
        self.begin(at, name, PartKind::Table, grain, marks);
    }

    /// Whether the open part is a table.
    pub(crate) fn in_table(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.table.is_some())
    }

    /// Whether the open part is this table, whatever number was added to its name.
    pub(crate) fn in_table_named(&self, name: &[u8]) -> bool {
        self.open.as_ref().and_then(|open| open.table.as_deref()).is_some_and(|table| table == name)
    }

    /// The open table has data, so its rows are known, if only to be none.
    pub(crate) fn add_rows(&mut self, rows: u64) {
        if self.full {
            return;
        }
        if let Some(open) = self.open.as_mut().filter(|open| open.table.is_some() && !open.is_uncounted) {
            open.rows = Some(open.rows.unwrap_or(0).saturating_add(rows));
        }
    }

    /// The open table has data that cannot be counted.
    pub(crate) fn forget_rows(&mut self) {
        if let Some(open) = self.open.as_mut() {
            (open.rows, open.is_uncounted) = (None, true);
        }
    }

    /// Bytes before `at` are settled, so they must belong to a part.
    pub(crate) fn settle(&mut self, at: u64, marks: &mut Vec<Mark>) {
        if self.open.is_none() && at > 0 {
            self.begin_schema(0, self.first, marks);
        }
    }

    pub(crate) fn close(&mut self, at: u64, marks: &mut Vec<Mark>) {
        if let Some(open) = self.open.take() {
            marks.push(Mark::End { at, rows: open.rows });
        }
    }

    fn begin(&mut self, at: u64, name: &[u8], kind: PartKind, grain: Grain, marks: &mut Vec<Mark>) {
        if self.full {
            return;
        }
        self.settle(at, marks);
        self.close(at, marks);
        self.full = self.taken.len() >= PARTS_MAX;
        let table = (kind == PartKind::Table && !self.full).then(|| name.to_vec());
        let name = if self.full { b"rest".to_vec() } else { self.unique(name) };
        marks.push(Mark::Begin { at, name, kind, grain });
        self.open = Some(Open { table, rows: None, is_uncounted: false });
    }

    /// `name`, or `name (2)` if that is taken, and so on.
    fn unique(&mut self, name: &[u8]) -> Vec<u8> {
        let uses = self.taken.entry(hash(name)).or_insert(0);
        *uses += 1;
        let mut number = *uses;
        if number == 1 {
            return name.to_vec();
        }
        loop {
            let numbered = [name, format!(" ({number})").as_bytes()].concat();
            let uses = self.taken.entry(hash(&numbered)).or_insert(0);
            *uses += 1;
            if *uses == 1 {
                self.taken.insert(hash(name), number);
                return numbered;
            }
            number += 1;
        }
    }
}

fn hash(name: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_unique_even_beside_tables_that_look_numbered() {
        let mut parts = Parts::new(b"head");
        let names = [&b"t"[..], b"t (2)", b"t", b"t", b"t (2)"].map(|name| parts.unique(name));
        assert_eq!(names, [&b"t"[..], b"t (2)", b"t (3)", b"t (4)", b"t (2) (3)"]);
    }
}
