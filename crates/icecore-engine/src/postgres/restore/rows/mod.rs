//! Filling one table: its rows go in frozen, in binary where all types are known, and else as they were captured.
//!
//! Frozen rows (`COPY ... FREEZE`) need no later look by whoever reads them first, nor by a vacuum that would otherwise begin on every restored table
//! at once. The server allows it only in the transaction that has made or emptied the table.

mod encoder;
mod moment;
mod numeric;
mod source;
#[cfg(test)]
mod tests;
mod value;
mod way;

use std::io::Write as _;
use std::sync::mpsc::sync_channel;
use std::thread;

use icecore_dump::script::{self, CopyTarget};
use icecore_format::Part;
use postgres::CopyInWriter;

use super::super::endpoint::Endpoint;
use super::super::session::{Session, trouble};
use crate::RestoreError;
use crate::database::Content;
use encoder::{Encoder, HEADER, TRAILER};
use source::{BLOCK_LEN, BLOCKS_MAX, Source, read_ahead};
use way::Way;

/// Tables of which less was captured are not worth the questions.
const LARGE_LEN: u64 = BLOCK_LEN as u64;

/// In whose transaction rows go in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    /// One of their own.
    Own,
    /// The caller's, which has made the table.
    Callers,
}

/// Fills one table, and returns how many rows it has and what stands behind them. While the server takes rows, the next ones are read.
pub(super) fn fill(
    session: &mut Session,
    endpoint: &Endpoint,
    content: &dyn Content,
    part: &Part,
    within: Within,
) -> Result<(u64, Vec<u8>), RestoreError> {
    thread::scope(|scope| {
        let (blocks, ahead) = sync_channel(BLOCKS_MAX);
        scope.spawn(move || read_ahead(content, part, &blocks));
        let mut source = Source::new(content, part.display_name(), ahead);
        let table = Table { endpoint, part };
        let count = table.fill(session, &mut source, within)?;
        match part.rows {
            Some(expected) if expected != count => {
                let name = part.display_name();
                let why = format!("the table {name} has {count} rows, and {expected} were captured");
                Err(RestoreError::Server(why))
            }
            _ => Ok((count, source.into_rest())),
        }
    })
}

/// A table that is being filled.
struct Table<'a> {
    endpoint: &'a Endpoint,
    part: &'a Part,
}

impl Table<'_> {
    fn fill(
        &self,
        session: &mut Session,
        source: &mut Source<'_>,
        within: Within,
    ) -> Result<u64, RestoreError> {
        let statement = source.statement()?;
        let target = script::copy_target(statement.as_bytes()).filter(|_| self.part.len > LARGE_LEN);
        let Some(target) = target else { return self.copy_text(session, &statement, source, &[]) };
        let way = Way::of(session, &target)?;
        if within == Within::Callers {
            return self.copy_known(session, &target, way.encoder, way.can_empty, source);
        }
        session.run("BEGIN")?;
        let is_frozen = way.can_empty && way::empty(session, &target)?;
        let count = self.copy_known(session, &target, way.encoder, is_frozen, source)?;
        session.run("COMMIT")?;
        Ok(count)
    }

    /// Copies in binary as far as rows are understood, and the others as text.
    fn copy_known(
        &self,
        session: &mut Session,
        target: &CopyTarget<'_>,
        encoder: Option<Encoder>,
        is_frozen: bool,
        source: &mut Source<'_>,
    ) -> Result<u64, RestoreError> {
        let statement = |format: &str| {
            format!("COPY {} FROM STDIN WITH (FORMAT {format}, FREEZE {is_frozen})", target.text)
        };
        let Some(encoder) = encoder else { return self.copy_text(session, &statement("text"), source, &[]) };
        let (count, rest) = self.copy_binary(session, &statement("binary"), encoder, source)?;
        if rest.is_empty() {
            return Ok(count);
        }
        Ok(count + self.copy_text(session, &statement("text"), source, &rest)?)
    }

    /// Copies rows as they were captured, `first` before all others. Returns how many there are.
    fn copy_text(
        &self,
        session: &mut Session,
        statement: &str,
        source: &mut Source<'_>,
        first: &[u8],
    ) -> Result<u64, RestoreError> {
        let mut writer = self.begin(session, statement)?;
        self.write(&mut writer, first)?;
        while let Some(rows) = source.next_rows()? {
            self.write(&mut writer, rows)?;
        }
        source.finish()?;
        writer.finish().map_err(|error| self.of_server(&error))
    }

    /// Copies rows until one is not understood. Returns how many went in, and what was read of the others.
    fn copy_binary(
        &self,
        session: &mut Session,
        statement: &str,
        mut encoder: Encoder,
        source: &mut Source<'_>,
    ) -> Result<(u64, Vec<u8>), RestoreError> {
        let mut writer = self.begin(session, statement)?;
        let mut out = HEADER.to_vec();
        let mut is_understood = true;
        while is_understood && let Some(rows) = source.next_rows()? {
            is_understood = encoder.encode(rows, &mut out);
            self.write(&mut writer, &out)?;
            out.clear();
        }
        // More than nothing too if only the end of the last line is missing.
        let rest = encoder.into_rest();
        if rest.is_empty() {
            source.finish()?;
        }
        out.extend(TRAILER);
        self.write(&mut writer, &out)?;
        let count = writer.finish().map_err(|error| self.of_server(&error))?;
        Ok((count, rest))
    }

    fn begin<'s>(&self, session: &'s mut Session, statement: &str) -> Result<CopyInWriter<'s>, RestoreError> {
        session.client.copy_in(statement).map_err(|error| self.of_server(&error))
    }

    fn write(&self, writer: &mut CopyInWriter<'_>, bytes: &[u8]) -> Result<(), RestoreError> {
        writer.write_all(bytes).map_err(|error| match error.downcast::<postgres::Error>() {
            Ok(error) => self.of_server(&error),
            Err(error) => self.failed(&error.to_string()),
        })
    }

    fn of_server(&self, error: &postgres::Error) -> RestoreError {
        self.failed(&trouble(self.endpoint, error).what)
    }

    fn failed(&self, why: &str) -> RestoreError {
        RestoreError::Server(format!("cannot restore the table {}: {why}", self.part.display_name()))
    }
}
