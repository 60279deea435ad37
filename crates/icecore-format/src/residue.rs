//! How runs of chunks differ from their bases, written down.
//!
//! A [`Difference`] says a run as ranges of a base and literal bytes. A [`Residue`] is the differences of several runs in one piece. Like lies
//! beside like there, which is what makes it small under zstd: for each run the number of its copies; then, of all runs, the literals before
//! each copy; the copies' lengths; how far each copy's place is from where the last one would have gone on; the literals. Numbers are LEB128.

use std::ops::Range;

use crate::cursor::{Cursor, put_varint};
use crate::error::Result;

/// Bytes that lie in the base, after literal bytes that do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copy {
    /// Literal bytes before it.
    pub literals: u32,
    /// Its length in bytes, never 0.
    pub len: u32,
    /// Where it starts in the base.
    pub from: u32,
}

/// A run as ranges of a base and literal bytes: each copy comes after its literals, and what literals are left come last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// In the order of the run's bytes.
    pub copies: Vec<Copy>,
    /// The literal bytes, one after the other.
    pub literals: Vec<u8>,
}

impl Difference {
    /// How many bytes of the run are in the base.
    pub fn copied(&self) -> u64 {
        self.copies.iter().map(|copy| u64::from(copy.len)).sum()
    }

    /// The run's bytes, if they are `len`; `None` if a range is not in the base or the lengths do not fit.
    pub fn apply(copies: &[Copy], literals: &[u8], base: &[u8], len: usize) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(len);
        let mut rest = literals;
        for copy in copies {
            let (before, after) = rest.split_at_checked(copy.literals as usize)?;
            rest = after;
            let from = copy.from as usize;
            let same = base.get(from..from.checked_add(copy.len as usize)?)?;
            // Checked before each step: what is wrong never grows beyond what was promised.
            if before.len() + same.len() > len - out.len() {
                return None;
            }
            out.extend_from_slice(before);
            out.extend_from_slice(same);
        }
        if rest.len() != len - out.len() {
            return None;
        }
        out.extend_from_slice(rest);
        Some(out)
    }
}

/// What runs are, besides what is in their bases: as it was written, for that is the least that it can take in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Residue {
    bytes: Vec<u8>,
    runs: Vec<Columns>,
    /// Where the literals of all runs start.
    literals: usize,
}

/// Where in a residue lies what is said of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Columns {
    /// Bytes of the run.
    len: u32,
    /// How many copies it has.
    copies: usize,
    /// How many literals come before each.
    before: usize,
    /// How long each is.
    lens: usize,
    /// From where each is.
    places: usize,
    /// The run's literals among all literals: where they start, and how many they are.
    literals: (usize, usize),
}

/// What one run is made from: copies, each with its place, and literals between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    copies: Vec<Placed>,
    /// Bytes of the run.
    len: u32,
    /// Where its literals start among those of the residue, and how many they are.
    literals: (usize, usize),
}

/// A copy and where it comes to lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Placed {
    /// Where it starts in the run.
    at: u32,
    len: u32,
    /// Where it starts in the base.
    from: u32,
    /// Literals of the run up to here.
    literals: u32,
}

/// Some bytes of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment {
    /// They are literals of the residue.
    Literal {
        /// Where they start among all literals.
        from: usize,
        /// How many they are.
        len: u32,
    },
    /// They lie in the base.
    Base {
        /// Where they start there.
        from: u32,
        /// How many they are.
        len: u32,
    },
}

impl Residue {
    /// Writes differences down.
    pub fn encode(differences: &[Difference]) -> Vec<u8> {
        let mut out = Vec::new();
        for difference in differences {
            put_varint(&mut out, difference.copies.len() as u64);
        }
        let copies = || differences.iter().flat_map(|difference| &difference.copies);
        for copy in copies() {
            put_varint(&mut out, copy.literals.into());
        }
        for copy in copies() {
            put_varint(&mut out, copy.len.into());
        }
        for difference in differences {
            let mut expected = Expected::default();
            for copy in &difference.copies {
                put_varint(&mut out, zigzag(i64::from(copy.from) - expected.from(copy)));
                expected.pass(copy);
            }
        }
        for difference in differences {
            out.extend_from_slice(&difference.literals);
        }
        out
    }

    /// Reads what [`Residue::encode`] wrote, of runs that have these lengths. What is said of a single run is read by
    /// [`Residue::layout`].
    pub fn decode(bytes: Vec<u8>, run_lens: &[u32]) -> Result<Self> {
        let mut cursor = Cursor::new("residue", &bytes);
        let mut runs = Vec::with_capacity(run_lens.len());
        let mut total = 0usize;
        for len in run_lens {
            let copies = usize::try_from(cursor.varint()?).map_err(|_| cursor.malformed())?;
            total = total.saturating_add(copies);
            // Each copy takes three bytes at least: the bound on what is read for them.
            if total > bytes.len() / 3 {
                return Err(cursor.malformed());
            }
            runs.push(Columns { len: *len, copies, before: 0, lens: 0, places: 0, literals: (0, 0) });
        }
        for run in &mut runs {
            run.before = cursor.offset();
            cursor.skip_varints(run.copies)?;
        }
        let mut literals = 0usize;
        for run in &mut runs {
            run.lens = cursor.offset();
            let mut rest = u64::from(run.len);
            for _ in 0..run.copies {
                rest = rest.checked_sub(cursor.varint()?).ok_or_else(|| cursor.malformed())?;
            }
            let count = usize::try_from(rest).map_err(|_| cursor.malformed())?;
            run.literals = (literals, count);
            literals = literals.checked_add(count).ok_or_else(|| cursor.malformed())?;
        }
        for run in &mut runs {
            run.places = cursor.offset();
            cursor.skip_varints(run.copies)?;
        }
        if cursor.remaining() != literals {
            return Err(cursor.malformed());
        }
        let literals = cursor.offset();
        Ok(Self { runs, literals, bytes })
    }

    /// About how many bytes of memory the layout of a run takes.
    pub fn layout_weight(&self, run: usize) -> usize {
        self.runs.get(run).map_or(0, |columns| columns.copies * size_of::<Placed>())
    }

    /// What a run is made from. `None` if there is no such run, or if what is said of it does not fit its length.
    pub fn layout(&self, run: usize) -> Option<Layout> {
        let columns = self.runs.get(run)?;
        let column = |at: usize| self.bytes.get(at..).map(|bytes| Cursor::new("residue", bytes));
        let (mut before, mut lens) = (column(columns.before)?, column(columns.lens)?);
        let mut places = column(columns.places)?;
        let mut copies = Vec::with_capacity(columns.copies);
        let mut expected = Expected::default();
        let (mut at, mut literals) = (0u32, 0u32);
        for _ in 0..columns.copies {
            let mut copy = Copy { literals: before.small()?, len: lens.small()?, from: 0 };
            let from = unzigzag(places.varint().ok()?).checked_add(expected.from(&copy))?;
            copy.from = u32::try_from(from).ok()?;
            copy.from.checked_add(copy.len)?;
            expected.pass(&copy);
            at = at.checked_add(copy.literals)?;
            // What is left of the run bounds both.
            if copy.len == 0 || at.checked_add(copy.len)? > columns.len {
                return None;
            }
            literals += copy.literals;
            copies.push(Placed { at, len: copy.len, from: copy.from, literals });
            at += copy.len;
        }
        Some(Layout { copies, len: columns.len, literals: columns.literals })
    }

    /// The bytes of a run, `len` of them, from its base. `None` if there is no such run, or if it wants what the base does not have.
    pub fn apply(&self, run: usize, base: &[u8], len: usize) -> Option<Vec<u8>> {
        let layout = self.layout(run)?;
        if layout.len as usize != len {
            return None;
        }
        let mut out = Vec::with_capacity(len);
        for segment in layout.segments(0..layout.len, 0)? {
            let (bytes, from, len) = match segment {
                Segment::Literal { from, len } => (self.literals(), from, len),
                Segment::Base { from, len } => (base, from as usize, len),
            };
            out.extend_from_slice(bytes.get(from..)?.get(..len as usize)?);
        }
        Some(out)
    }

    /// The literals of all runs.
    pub fn literals(&self) -> &[u8] {
        self.bytes.get(self.literals..).unwrap_or_default()
    }

    /// How many bytes it was written in.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it was written in none: it is of no runs.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// How many copies are looked at before one is searched for.
const NEAR: usize = 8;

impl Layout {
    /// About how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.copies.len() * size_of::<Placed>()
    }

    /// What a range of the run is made from, in order. `None` if there is no such range. `near` is which copy it may start with: what
    /// [`Segments::near`] said of the range before it.
    pub fn segments(&self, range: Range<u32>, near: usize) -> Option<Segments<'_>> {
        if range.end > self.len {
            return None;
        }
        let is_behind = |copy: &Placed| copy.at + copy.len <= range.start;
        // It is likely there, or a few copies further.
        let is_near = near == 0 || self.copies.get(near - 1).is_some_and(is_behind);
        let after = self.copies.iter().skip(near).take(if is_near { NEAR } else { 0 });
        let passed = after.take_while(|copy| is_behind(copy)).count();
        let next = match self.copies.get(near + passed) {
            Some(copy) if is_near && !is_behind(copy) => near + passed,
            _ => self.copies.partition_point(is_behind),
        };
        Some(Segments { layout: self, range, next })
    }
}

/// What a range of a run is made from.
#[derive(Debug)]
pub struct Segments<'a> {
    layout: &'a Layout,
    /// What is left of it.
    range: Range<u32>,
    /// The first copy that does not lie before it.
    next: usize,
}

impl Segments<'_> {
    /// The copy that the next range is likely to start with.
    pub fn near(&self) -> usize {
        self.next
    }
}

impl Iterator for Segments<'_> {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        let Range { start: at, end } = self.range;
        if at >= end {
            return None;
        }
        let Layout { copies, len, literals } = self.layout;
        let copy = copies.get(self.next);
        let literals_end = copy.map_or(*len, |copy| copy.at).min(end);
        if at < literals_end {
            // Counted back from where the next copy starts, or the run ends.
            let (known_at, known) = copy.map_or((*len, literals.1), |copy| (copy.at, copy.literals as usize));
            self.range.start = literals_end;
            return Some(Segment::Literal {
                from: literals.0 + known - (known_at - at) as usize,
                len: literals_end - at,
            });
        }
        let copy = copy?;
        let copy_end = copy.at + copy.len;
        let stop = copy_end.min(end);
        self.range.start = stop;
        if stop == copy_end {
            self.next += 1;
        }
        Some(Segment::Base { from: copy.from + (at - copy.at), len: stop - at })
    }
}

/// Where the next copy would start if nothing but single bytes had changed since the last one.
#[derive(Default)]
struct Expected {
    after: i64,
}

impl Expected {
    fn from(&self, copy: &Copy) -> i64 {
        self.after + i64::from(copy.literals)
    }

    fn pass(&mut self, copy: &Copy) {
        self.after = i64::from(copy.from) + i64::from(copy.len);
    }
}

/// Small numbers of either sign as small numbers.
fn zigzag(number: i64) -> u64 {
    (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}
