//! The rows of a part, read ahead.

use std::io::Read;
use std::sync::mpsc::{Receiver, SyncSender};

use icecore_dump::script::{self, CopyRows};
use icecore_format::Part;

use crate::RestoreError;
use crate::database::{Content, check_cancelled};

/// How much is read of a part at once.
pub(super) const BLOCK_LEN: usize = 256 << 10;
/// How many of those are read ahead.
pub(super) const BLOCKS_MAX: usize = 4;
/// No statement before rows is longer.
const HEAD_LEN_MAX: usize = 4 << 20;

/// Reads a part to its end, where it is checked.
pub(super) fn read_ahead(
    content: &dyn Content,
    part: &Part,
    blocks: &SyncSender<Result<Vec<u8>, RestoreError>>,
) {
    let read = || -> Result<(), RestoreError> {
        let mut reader = content.open(part)?;
        loop {
            let mut block = Vec::with_capacity(BLOCK_LEN);
            let read = reader.by_ref().take(BLOCK_LEN as u64).read_to_end(&mut block);
            let len = read.map_err(RestoreError::of_content)?;
            // An empty one says that all came, and was checked. Nobody may be listening any more.
            if blocks.send(Ok(block)).is_err() || len == 0 {
                return Ok(());
            }
        }
    };
    if let Err(error) = read() {
        let _ = blocks.send(Err(error));
    }
}

/// What has been read of a part: the statement that copies its rows in, the rows, and what stands behind them.
pub(super) struct Source<'a> {
    content: &'a dyn Content,
    name: String,
    ahead: Receiver<Result<Vec<u8>, RestoreError>>,
    held: Vec<u8>,
    last: bool,
    rows: CopyRows,
    /// How much of what is held has been given.
    passed: usize,
    ended: bool,
}

impl<'a> Source<'a> {
    pub(super) fn new(
        content: &'a dyn Content,
        name: String,
        ahead: Receiver<Result<Vec<u8>, RestoreError>>,
    ) -> Self {
        let held = Vec::with_capacity(2 * BLOCK_LEN);
        Self { content, name, ahead, held, last: false, rows: CopyRows::default(), passed: 0, ended: false }
    }

    /// The statement before the rows. To be asked for once, and first.
    pub(super) fn statement(&mut self) -> Result<String, RestoreError> {
        loop {
            if let Some((statement, start)) = script::copy_statement(&self.held) {
                let statement = String::from_utf8(statement.to_vec());
                self.passed = start;
                return statement.map_err(|_| {
                    RestoreError::Server(format!(
                        "cannot restore the table {}: its name is not UTF-8",
                        self.name
                    ))
                });
            }
            if self.last || self.held.len() > HEAD_LEN_MAX {
                return Err(RestoreError::Refused(format!(
                    "the rows of {} are INSERT statements, which psql restores: icecore restore SNAPSHOT --to - | psql -d NEW_DATABASE",
                    self.name
                )));
            }
            self.more()?;
        }
    }

    /// The next bytes of rows; `None` at their end.
    pub(super) fn next_rows(&mut self) -> Result<Option<&[u8]>, RestoreError> {
        let mut len = 0;
        while len == 0 {
            self.held.drain(..std::mem::take(&mut self.passed));
            if self.ended {
                return Ok(None);
            }
            (len, self.passed, self.ended) = self.rows.read(&self.held, self.last);
            if len == 0 && !self.ended {
                if self.last {
                    return Err(RestoreError::Damaged(format!("the rows of {} do not end", self.name)));
                }
                self.held.drain(..std::mem::take(&mut self.passed));
                self.more()?;
            }
        }
        Ok(self.held.get(..len))
    }

    /// Reads on to the end of the part, where it is checked: before that, no row may count.
    pub(super) fn finish(&mut self) -> Result<(), RestoreError> {
        while !self.last {
            self.more()?;
        }
        Ok(())
    }

    /// What stands behind the rows.
    pub(super) fn into_rest(mut self) -> Vec<u8> {
        self.held.drain(..self.passed);
        self.held
    }

    /// Waits for more, or the end.
    fn more(&mut self) -> Result<(), RestoreError> {
        check_cancelled(self.content)?;
        let lost = |_| RestoreError::Server("the reading of a snapshot was lost".to_owned());
        let block = self.ahead.recv().map_err(lost)??;
        self.last = block.is_empty();
        self.held.extend_from_slice(&block);
        Ok(())
    }
}
