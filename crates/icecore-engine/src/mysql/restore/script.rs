//! A part of a dump as what it does, statement by statement.

use std::io::Read;

use icecore_dump::mysql_script::{Action, Piece, Reader, Splitter, action};
use icecore_format::Part;

use crate::RestoreError;
use crate::database::{Content, check_cancelled};

/// How much is read of a part at once.
const BLOCK_LEN: usize = 256 << 10;
/// No server takes a longer statement.
const STATEMENT_LEN_MAX: usize = 1 << 30;

/// A part that is being read.
pub(super) struct Script<'a> {
    content: &'a dyn Content,
    bytes: Box<dyn Read + 'a>,
    name: String,
    reader: Reader,
    splitter: Splitter,
    held: Vec<u8>,
    /// How much of that is done with.
    done: usize,
    /// How many lines came before.
    lines: usize,
    last: bool,
}

impl<'a> Script<'a> {
    pub(super) fn open(content: &'a dyn Content, part: &Part, reader: Reader) -> Result<Self, RestoreError> {
        Ok(Self {
            content,
            bytes: content.open(part)?,
            name: part.display_name(),
            reader,
            splitter: Splitter::default(),
            held: Vec::new(),
            done: 0,
            lines: 1,
            last: false,
        })
    }

    /// The next thing to do; `None` at the end, where all of the part was what was captured.
    ///
    /// # Errors
    /// If it is something that dumps do not do: with its place.
    pub(super) fn next(&mut self) -> Result<Option<Action>, RestoreError> {
        loop {
            let rest = self.held.get(self.done..).unwrap_or_default();
            let (len, end) = match self.splitter.next(rest, self.last) {
                Piece::Nothing(len) => (0, len),
                Piece::Statement(len, end) => (len, end),
                Piece::Command(_) => return Err(self.refused("a command for a client")),
                Piece::More if self.last => return Ok(None),
                Piece::More => {
                    self.more()?;
                    continue;
                }
            };
            let statement = rest.get(..len).unwrap_or_default();
            let done = (len > 0).then(|| action(statement, self.reader)).transpose();
            let done = done.map_err(|head| self.refused(&head))?;
            if let Some(Action::Set(setting)) = &done
                && memchr::memmem::find(&setting.to_ascii_lowercase(), b"sql_mode").is_some()
            {
                self.splitter.set_mode(setting);
            }
            let passed = self.held.get(self.done..self.done + end).unwrap_or_default();
            self.lines += memchr::memchr_iter(b'\n', passed).count();
            self.done += end;
            match done {
                None | Some(Action::Skip) => (),
                done => return Ok(done),
            }
        }
    }

    fn more(&mut self) -> Result<(), RestoreError> {
        check_cancelled(self.content)?;
        self.held.drain(..self.done);
        self.done = 0;
        if self.held.len() > STATEMENT_LEN_MAX {
            return Err(self.refused("a statement longer than 1 GiB"));
        }
        // As much again as there is: a long statement is looked at a few times, not once for each block of it.
        let len = BLOCK_LEN.max(self.held.len()) as u64;
        let read = self.bytes.by_ref().take(len).read_to_end(&mut self.held);
        self.last = read.map_err(RestoreError::of_content)? == 0;
        Ok(())
    }

    /// What comes next is none of a dump's business.
    fn refused(&self, what: &str) -> RestoreError {
        RestoreError::Refused(format!(
            "the snapshot does what no dump of one database does, in line {} of its part {}: {what}; what was there was not touched",
            self.lines, self.name
        ))
    }
}
