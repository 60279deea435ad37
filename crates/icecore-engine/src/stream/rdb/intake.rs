//! Reading an RDB: every byte comes to lie in a piece.

use std::io::{self, Read};
use std::ops::Range;

use icecore_dump::rdb::{Place, Visitor, Within};

use super::CHECKSUM;
use super::run::{Rank, Run};
use super::spill::{Extent, Spill, Stored};
use crate::Sink;

/// By how much of a key or an element it is sorted.
const NAME_LEN_MAX: usize = 64 << 10;

/// Why the reading stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// The input failed.
    Input(io::Error),
    /// It ended too early.
    Cut,
    /// No room, as a rule, for what must be written down.
    Scratch(io::Error),
    /// The user wants to stop.
    Cancelled,
}

/// How much is held in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// How much pieces may take before they are sorted and written down.
    pub(super) run_len: usize,
    /// How much is read at once.
    pub(super) read_len: usize,
}

/// What has been read of an RDB.
pub(super) struct Intake<'a> {
    input: &'a mut dyn Read,
    sink: &'a dyn Sink,
    limits: Limits,
    pub(super) run: Run,
    pub(super) spill: Spill,
    /// Of all pieces.
    pub(super) checksum: crc::Digest<'static, u64, crc::Table<16>>,
    /// Whether there is a checksum at the end; zero stands for none.
    pub(super) is_checked: bool,
    /// Where the run's bytes start in the input.
    base: u64,
    /// In the run's bytes, where the piece begins that is being read.
    start: usize,
    /// And what comes next.
    at: usize,
    rank: Rank,
    /// Where the name begins that is being read, or that was read last.
    name_at: u64,
    /// What of it is not in the run's bytes any more.
    name: Vec<u8>,
    /// Where the element's name lies in the input.
    element: Range<u64>,
    /// Whether this piece is of another key than the last one.
    is_new: bool,
    /// Where the piece that is being read lies in the file, if it is too large to be held.
    single: Option<Extent>,
}

impl<'a> Intake<'a> {
    pub(super) fn new(input: &'a mut dyn Read, limits: Limits, spill: Spill, sink: &'a dyn Sink) -> Self {
        Self {
            input,
            sink,
            limits,
            run: Run::default(),
            spill,
            checksum: CHECKSUM.digest(),
            is_checked: false,
            base: 0,
            start: 0,
            at: 0,
            rank: Rank { place: Place::Head, key: Vec::new(), number: 0, element: Vec::new() },
            name_at: 0,
            name: Vec::new(),
            element: 0..0,
            is_new: true,
            single: None,
        }
    }

    /// What follows the last piece: all of it, or the first `len` bytes.
    pub(super) fn what_follows(&mut self, len: usize) -> Result<Vec<u8>, Stop> {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            match self.byte() {
                Ok(byte) => bytes.push(byte),
                Err(Stop::Cut) => break,
                Err(stop) => return Err(stop),
            }
        }
        Ok(bytes)
    }

    /// What a piece that is not finished has written down counts as one.
    pub(super) fn give_up(&mut self) {
        if let Some(extent) = self.single.take() {
            self.spill.runs.push(Stored::Single(self.rank.clone(), extent));
        }
    }

    /// Makes sure that there is a next byte.
    fn more(&mut self) -> Result<(), Stop> {
        if self.at < self.run.bytes.len() {
            return Ok(());
        }
        if self.sink.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        // What follows the last piece is none.
        if self.rank.place != Place::End {
            self.make_room()?;
        }
        let (needed, most) = (self.at + self.limits.read_len, self.limits.run_len + self.limits.read_len);
        if needed > self.run.bytes.capacity() {
            let capacity = needed.max(most.min(2 * self.run.bytes.capacity()));
            self.run.bytes.reserve_exact(capacity - self.at);
        }
        self.run.bytes.resize(self.at + self.limits.read_len, 0);
        let room = self.run.bytes.get_mut(self.at..).unwrap_or_default();
        let read = loop {
            match self.input.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                read => break read,
            }
        };
        self.run.bytes.truncate(self.at + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(Stop::Cut),
            Ok(_) => Ok(()),
            Err(error) => Err(Stop::Input(error)),
        }
    }

    /// Where the bytes are all used up.
    fn make_room(&mut self) -> Result<(), Stop> {
        if self.run.bytes.len() >= self.limits.run_len {
            self.flush()?;
        }
        // A piece that takes most of a run by itself.
        if self.run.bytes.len() >= self.limits.run_len / 2 && self.run.pieces.is_empty()
            || self.single.is_some()
        {
            self.append()?;
        }
        Ok(())
    }

    /// Writes down what has been read of a large piece.
    fn append(&mut self) -> Result<(), Stop> {
        self.name = self.name_so_far();
        let bytes = self.run.bytes.get(..self.at).unwrap_or_default();
        self.checksum.update(bytes);
        self.single = Some(self.spill.append(self.single.clone(), bytes).map_err(Stop::Scratch)?);
        self.let_go(self.at);
        Ok(())
    }

    /// Writes down all pieces.
    fn flush(&mut self) -> Result<(), Stop> {
        if !self.run.pieces.is_empty() {
            self.spill.push(&mut self.run).map_err(Stop::Scratch)?;
            self.let_go(self.start);
        }
        Ok(())
    }

    fn let_go(&mut self, len: usize) {
        self.run.clear(len);
        self.base += len as u64;
        self.at -= len;
        self.start = 0;
    }

    /// The name from its beginning to here, or the first of it.
    fn name_so_far(&self) -> Vec<u8> {
        let from = usize::try_from(self.name_at.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let here = self.run.bytes.get(from..self.at).unwrap_or_default();
        let here = here.get(..NAME_LEN_MAX.saturating_sub(self.name.len())).unwrap_or(here);
        [&self.name, here].concat()
    }
}

impl Visitor for Intake<'_> {
    type Error = Stop;

    fn byte(&mut self) -> Result<u8, Stop> {
        self.more()?;
        let byte = self.run.bytes.get(self.at).copied().ok_or(Stop::Cut)?;
        self.at += 1;
        Ok(byte)
    }

    fn pass(&mut self, mut len: u64) -> Result<(), Stop> {
        while len > 0 {
            self.more()?;
            let now = len.min((self.run.bytes.len() - self.at) as u64);
            self.at += usize::try_from(now).unwrap_or_default();
            len -= now;
        }
        Ok(())
    }

    fn begin_name(&mut self) {
        self.name_at = self.base + self.at as u64;
        self.name.clear();
    }

    fn end_key(&mut self) {
        self.rank.key = self.name_so_far();
        self.rank.number += 1;
        self.is_new = true;
    }

    fn end_element(&mut self) {
        self.rank.element = self.name_so_far();
        self.element = self.name_at..self.name_at + self.rank.element.len() as u64;
    }

    fn piece(&mut self, place: Place) -> Result<(), Stop> {
        self.rank.place = place;
        match place {
            Place::Database(_, Within::Record) => (),
            // Libraries, and what is said about slots, come in the order of a table too.
            Place::Function | Place::Database(_, Within::Slot) => {
                let piece = self.run.bytes.get(self.start..self.at).unwrap_or_default();
                self.rank.key = piece.get(..NAME_LEN_MAX).unwrap_or(piece).to_vec();
                self.is_new = true;
            }
            Place::Head | Place::Database(..) | Place::Tail | Place::End => {
                self.rank.key.clear();
                self.is_new = true;
            }
        }
        if place == Place::End {
            let checksum = self.run.bytes.get(self.start + 1..self.at).unwrap_or_default();
            self.is_checked = checksum.iter().any(|byte| *byte != 0);
        }
        if self.single.is_some() {
            self.append()?;
            self.give_up();
        } else {
            self.checksum.update(self.run.bytes.get(self.start..self.at).unwrap_or_default());
            let within = |at: u64| usize::try_from(at.saturating_sub(self.base)).unwrap_or_default();
            let element = within(self.element.start)..within(self.element.end);
            self.run.push(&self.rank, self.start..self.at, element, self.is_new);
            self.start = self.at;
        }
        self.rank.element.clear();
        self.element = 0..0;
        self.is_new = false;
        if self.run.weight(self.at) >= self.limits.run_len {
            self.flush()?;
        }
        Ok(())
    }
}
