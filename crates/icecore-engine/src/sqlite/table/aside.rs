//! The table that is replaced is put aside in a small database of its own beside the live one.
//!
//! It is whole and durable as `NAME__ice_gone_TABLE` before the live database changes, and becomes `NAME__ice_old_TABLE` afterwards. In between
//! it says what is about to happen, and where the schema of the live database stood: the exchange moves that number on by [`STRIDE`], further than
//! anybody else does, in the same transaction. So whoever comes after a crash can tell whether it happened.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use icecore_format::Digest;
use tempfile::NamedTempFile;

use super::super::access::Access;
use super::super::aside::{OLD, remove_if_present, sync};
use super::super::companion;
use super::super::pending::{GOING, Swap, identity};
use super::copy::{Count, copy};
use super::definition::Table;
use super::session::Session;
use crate::RestoreError;
use crate::files::file_beside;

/// More changes of a schema than come between a crash and a look at what it left.
const STRIDE: i32 = 1 << 20;
/// What a file that we put aside says that it is for: it begins as `ice` does.
const RESTORE: i32 = 0x6963_6501;
const ROLLBACK: i32 = 0x6963_6502;
/// Of a table's name, so much is in that of its file.
const NAME_LEN_MAX: usize = 64;

/// The names of what is put aside of one table.
#[derive(Debug, Clone)]
pub(super) struct Place {
    live: PathBuf,
    pub(super) going: PathBuf,
    pub(super) old: PathBuf,
}

/// An exchange that a crash interrupted, and that is complete now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Completed {
    pub(super) swap: Swap,
    /// Where the table is that was there, if there was one.
    pub(super) kept: Option<PathBuf>,
}

impl Completed {
    /// Why nothing else is done: what was put aside would be what that puts aside next.
    pub(super) fn told(&self, table: &str, live: &Path) -> String {
        let swap = match self.swap {
            Swap::Restore => "restore",
            Swap::Rollback => "rollback",
        };
        let kept = self.kept.as_ref().map(|kept| format!(": what was there is {}", kept.display()));
        format!(
            "a {swap} of the table {table} of {} was interrupted, and is complete now{}; nothing else was done, so look at it, then roll back or restore again",
            live.display(),
            kept.unwrap_or_default()
        )
    }
}

/// How far an exchange came that nobody is at any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interrupted {
    /// The table is the one that was there.
    Before,
    /// It is the one that was to come; `has_table` if the other one is to be kept.
    After { swap: Swap, has_table: bool },
}

impl Place {
    pub(super) fn of(live: &Path, table: &str) -> Self {
        let of = |suffix: &str| companion(live, &format!("{suffix}_{}", file_name(table)));
        Self { live: live.to_owned(), going: of(GOING), old: of(OLD) }
    }

    /// What a crash interrupted, if it did. Changes nothing.
    pub(super) fn look(&self, is_cancelled: &dyn Fn() -> bool) -> Result<Option<Interrupted>, RestoreError> {
        if identity(&self.going).is_none() {
            return Ok(None);
        }
        let unclear = || {
            RestoreError::Refused(format!(
                "{} is there, and what it was kept for is not known any more: what is there may be a table that a restore replaced; move it away first",
                self.going.display()
            ))
        };
        let aside = Session::of_stranger(&self.going).map_err(|_| unclear())?;
        let number = |name: &str| aside.value::<i32>(&format!("PRAGMA {name}"), []).map_err(|_| unclear());
        let swap = match number("application_id")? {
            RESTORE => Swap::Restore,
            ROLLBACK => Swap::Rollback,
            _ => return Err(unclear()),
        };
        let before = number("user_version")?;
        // Whatever a crash left half done is undone by that.
        let now = match identity(&self.live) {
            Some(_) => schema_version(&Session::for_reading(&self.live, is_cancelled)?)?,
            None => return Err(unclear()),
        };
        match now.wrapping_sub(before) {
            0..STRIDE => Ok(Some(Interrupted::Before)),
            moved if moved >= STRIDE && moved - STRIDE < STRIDE => {
                Ok(Some(Interrupted::After { swap, has_table: is_kept(&aside)? }))
            }
            _ => Err(unclear()),
        }
    }

    /// Undoes what was only begun, and completes what has happened. For whoever has the [`Turn`](super::super::aside::Turn).
    pub(super) fn settle(&self, is_cancelled: &dyn Fn() -> bool) -> Result<Option<Completed>, RestoreError> {
        match self.look(is_cancelled)? {
            None => Ok(None),
            Some(Interrupted::Before) => {
                let removed = remove_if_present(&self.going);
                removed.map_err(RestoreError::write("cannot remove", &self.going)).map(|()| None)
            }
            Some(Interrupted::After { swap, has_table }) => {
                let kept = self.complete(has_table);
                let kept = kept.map_err(RestoreError::write("cannot put aside", &self.going))?;
                Ok(Some(Completed { swap, kept }))
            }
        }
    }

    /// Gives what was replaced the name under which it is kept. Where nothing was, nothing is kept either.
    fn complete(&self, has_table: bool) -> io::Result<Option<PathBuf>> {
        remove_if_present(&self.old)?;
        match has_table {
            true => fs::rename(&self.going, &self.old)?,
            false => remove_if_present(&self.going)?,
        }
        sync(&self.live)?;
        Ok(has_table.then(|| self.old.clone()))
    }

    /// Whether a table is kept that a rollback would bring back.
    pub(super) fn is_taken(&self) -> bool {
        identity(&self.old).is_some()
    }
}

/// What two tables of a database never have in common, and every file system takes.
fn file_name(table: &str) -> String {
    let name = table.to_ascii_lowercase();
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.len() <= NAME_LEN_MAX && !name.is_empty() && name.chars().all(is_plain) {
        return name;
    }
    let hash = Digest::of(name.as_bytes()).to_hex();
    let shown: String =
        name.chars().map(|c| if is_plain(c) { c } else { '_' }).take(NAME_LEN_MAX / 2).collect();
    // No plain name has such a dash.
    format!("{shown}-{}", hash.get(..16).unwrap_or(&hash))
}

fn is_kept(aside: &Session) -> Result<bool, RestoreError> {
    const TABLES: &str =
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    aside.value(TABLES, [])
}

pub(super) fn schema_version(session: &Session) -> Result<i32, RestoreError> {
    session.value("PRAGMA schema_version", [])
}

/// Whether there was an exchange since the number of a schema was `before`, or may have been.
pub(super) fn has_exchanged(before: i32, now: i32) -> bool {
    !(0..STRIDE).contains(&now.wrapping_sub(before))
}

/// The name of the one table that was put aside in a file.
pub(super) fn table_in(aside: &Session) -> Result<Option<String>, RestoreError> {
    const NAME: &str =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    aside.first(NAME, [], |row| row.get(0))
}

/// A table on its way aside: a file that goes when this is dropped, unless it has got its name and the exchange has happened.
pub(super) struct Aside {
    file: NamedTempFile,
    pub(super) session: Session,
    has_table: bool,
}

impl Aside {
    /// An empty file beside the live database.
    pub(super) fn begin(live: &Path) -> Result<Self, RestoreError> {
        let (Some(parent), Some(name)) = (live.parent(), live.file_name()) else {
            return Err(RestoreError::Refused(format!("{} is no database", live.display())));
        };
        let file = file_beside(parent, name).map_err(RestoreError::write("cannot write in", parent))?;
        let session = Session::of_empty(file.path())?;
        Ok(Self { file, session, has_table: false })
    }

    /// Takes the table that is there, if one is, and writes down what is about to happen.
    pub(super) fn fill(
        &mut self,
        live: &Session,
        there: Option<&Table>,
        swap: Swap,
        count: Count<'_>,
    ) -> Result<(), RestoreError> {
        let encoding: String = live.value("PRAGMA encoding", [])?;
        let (mark, before) = (if swap == Swap::Restore { RESTORE } else { ROLLBACK }, schema_version(live)?);
        self.session.run(&format!(
            "PRAGMA encoding = '{encoding}'; PRAGMA application_id = {mark}; PRAGMA user_version = {before}; BEGIN"
        ))?;
        if let Some(table) = there {
            if live.has("sqlite_stat1")? {
                self.session.run("ANALYZE")?;
            }
            copy(live, table, &self.session, count)?;
            self.has_table = true;
        }
        self.session.run("COMMIT")
    }

    /// Moves the number of the schema on: the sign, in the live database, that the exchange happened. Nobody who has read the schema before
    /// may take it for the same.
    pub(super) fn mark(&self, live: &Session) -> Result<(), RestoreError> {
        let before: i32 = self.session.value("PRAGMA user_version", [])?;
        live.run(&format!("PRAGMA schema_version = {}", before.wrapping_add(STRIDE)))
    }

    /// Makes it durable under the name that tells of an exchange. For whoever has the turn.
    pub(super) fn place(self, place: &Place) -> Result<Placed<'_>, RestoreError> {
        let Self { file, session, has_table } = self;
        drop(session);
        let write = RestoreError::write("cannot put aside what is there as", &place.going);
        let placed = || -> io::Result<()> {
            Access::from(&place.live.metadata()?).give(file.as_file())?;
            file.as_file().sync_all()?;
            file.persist(&place.going)?;
            Ok(())
        };
        placed().map_err(write)?;
        let placed = Placed { place, has_table };
        sync(&place.live).map_err(RestoreError::write("cannot sync the directory of", &place.live))?;
        Ok(placed)
    }
}

/// A table that is durable beside the live database. Dropped, it goes: nothing has taken its place.
pub(super) struct Placed<'p> {
    place: &'p Place,
    has_table: bool,
}

impl Placed<'_> {
    /// Gives it the name under which it is kept, now that the exchange has happened; returns that, if there was a table.
    pub(super) fn complete(self) -> io::Result<Option<PathBuf>> {
        let (place, has_table) = (self.place, self.has_table);
        self.leave();
        place.complete(has_table)
    }

    /// Leaves the file to whoever finds out what happened.
    pub(super) fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for Placed<'_> {
    fn drop(&mut self) {
        // If it stays, the next exchange removes it.
        let _ = remove_if_present(&self.place.going);
    }
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn no_two_tables_have_a_file_in_common() {
        assert_eq!(file_name("Orders"), "orders");
        assert_eq!(file_name("orders"), "orders");
        let names = ["a/b", "a.b", "a b", "..", "", "ä", "Ä", &"a".repeat(65), &"a".repeat(66), "a_b-"];
        let mut files: Vec<_> = names.iter().map(|name| file_name(name)).collect();
        assert!(files.iter().all(|file| file.len() <= 64 && !file.contains(['/', '.'])), "{files:?}");
        files.sort();
        files.dedup();
        assert_eq!(files.len(), names.len());
    }
}
