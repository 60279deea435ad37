//! One table of a database is exchanged for another, in one transaction: nobody sees anything of it until it ends, and whatever goes wrong
//! leaves nothing.
//!
//! Others may have the database open. Who reads goes on; who writes waits. Only the end needs the whole database for a moment, and only if it
//! has no log.

use std::path::{Path, PathBuf};

use super::super::aside::Turn;
use super::super::check::verdict;
use super::super::interrupt::interruptible;
use super::super::pending::{Identity, Swap, identity};
use super::aside::{Aside, Interrupted, Place, Placed, has_exchanged, schema_version};
use super::copy::{Count, copy};
use super::definition::{Table, others};
use super::dependents::Dependents;
use super::plan::obstacles;
use super::session::Session;
use crate::{Check, RestoreError};

/// What is to happen.
pub(super) struct Exchange<'a> {
    pub(super) swap: Swap,
    /// The live database.
    pub(super) path: &'a Path,
    pub(super) place: Place,
    /// The table that comes, and where it comes from.
    pub(super) table: &'a Table,
    pub(super) source: &'a Path,
    /// What must be there, if anybody looked before.
    pub(super) expected: Option<Expected<'a>>,
    pub(super) checks: &'a [Check],
}

/// What somebody has looked at.
#[derive(Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) file: Identity,
    /// Where its schema stood.
    pub(super) schema: i32,
    pub(super) table: Option<&'a Table>,
}

/// What has happened.
#[derive(Debug, Default)]
pub(super) struct Exchanged {
    /// How many rows came.
    pub(super) rows: u64,
    /// Where the table is that was there, if there was one.
    pub(super) kept: Option<PathBuf>,
    /// What does not fit the one that is there now.
    pub(super) warnings: Vec<String>,
}

impl Exchange<'_> {
    pub(super) fn run(
        &self,
        count: Count<'_>,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Exchanged, RestoreError> {
        let mut source = Session::of_stranger(self.source)?;
        let mut live = self.begin(is_cancelled)?;
        let mut aside = Aside::begin(self.path)?;
        let interrupts = [live.interrupt(), source.interrupt(), aside.session.interrupt()];
        let work = || self.work(&mut source, &mut live, &mut aside, count);
        let mut exchanged = interruptible(self.path, &interrupts, is_cancelled, work)??;
        // Until the end nobody settles what we are at.
        let _turn = Turn::for_restore(self.path)?;
        let placed = aside.place(&self.place)?;
        exchanged.kept = self.end(live, placed, is_cancelled)?;
        Ok(exchanged)
    }

    /// Begins the transaction: from here on nobody else writes.
    pub(super) fn begin(&self, is_cancelled: &dyn Fn() -> bool) -> Result<Session, RestoreError> {
        let path = self.path;
        let _turn = Turn::for_restore(path)?;
        if let Some(completed) = self.place.settle(is_cancelled)? {
            return Err(RestoreError::Refused(completed.told(&self.table.name, path)));
        }
        if self.expected.is_some_and(|expected| identity(path) != Some(expected.file)) {
            let why = format!("{} is another one than when it was looked at", path.display());
            return Err(RestoreError::Refused(why));
        }
        let live = Session::for_exchange(path, self.source, is_cancelled)?;
        live.run_patiently("BEGIN IMMEDIATE", is_cancelled)?;
        Ok(live)
    }

    /// Everything but the end.
    pub(super) fn work(
        &self,
        source: &mut Session,
        live: &mut Session,
        aside: &mut Aside,
        count: Count<'_>,
    ) -> Result<Exchanged, RestoreError> {
        let (table, name) = (self.table, &self.table.name);
        let there = Table::find(live, name)?;
        let schema = schema_version(live)?;
        let is_other = |expected: Expected<'_>| {
            expected.table.map(Table::objects) != there.as_ref().map(Table::objects)
                || has_exchanged(expected.schema, schema)
        };
        if self.expected.is_some_and(is_other) {
            return Err(RestoreError::Refused(format!(
                "the table {name} is another one than when it was looked at: somebody made, dropped, altered or restored it meanwhile"
            )));
        }
        // Somebody may have taken a name since it was looked at.
        if let Some(obstacle) = obstacles(live, table, there.as_ref())?.first() {
            return Err(RestoreError::Refused(obstacle.clone()));
        }
        aside.fill(live, there.as_ref(), self.swap, count)?;
        let (before, untouched) = (Dependents::look(live, name)?, others(live, name)?);
        if let Some(there) = &there {
            live.run(&format!("DROP TABLE main.{}", there.ident()))?;
        }
        let rows = copy(source, table, live, count)?;
        let made = Table::find(live, name)?;
        if made.as_ref().map(Table::names) != Some(table.names()) || others(live, name)? != untouched {
            return Err(RestoreError::Refused(format!("what makes {name} makes something else too")));
        }
        let warnings = Dependents::look(live, name)?.worse_than(&before);
        self.ask(live)?;
        aside.mark(live)?;
        Ok(Exchanged { rows, kept: None, warnings })
    }

    /// Puts the user's questions to what only this transaction sees.
    fn ask(&self, live: &Session) -> Result<(), RestoreError> {
        live.run("PRAGMA query_only = ON")?;
        for check in self.checks {
            check.judge(match check {
                Check::Query(query) => objection(live, query),
                Check::Command(_) => {
                    Some("a command sees nothing of it before all is done: ask by a query".to_owned())
                }
            })?;
        }
        live.run("PRAGMA query_only = OFF")
    }

    /// Makes it true, and gives what was there the name under which it is kept.
    pub(super) fn end(
        &self,
        live: Session,
        placed: Placed<'_>,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Option<PathBuf>, RestoreError> {
        let (name, path) = (&self.table.name, self.path.display());
        if let Err(error) = live.run_patiently("COMMIT", is_cancelled) {
            if !live.connection.is_autocommit() && live.run("ROLLBACK").is_ok() {
                return Err(error);
            }
            // Its locks end, so that one can look what has become of it.
            drop(live);
            match self.place.look(&|| false) {
                Ok(Some(Interrupted::After { .. })) => (),
                Ok(_) => return Err(error),
                Err(_) => {
                    placed.leave();
                    return Err(RestoreError::Unknown(format!(
                        "{error}; and it is not known whether the table {name} of {path} was replaced"
                    )));
                }
            }
        }
        placed.complete().map_err(|error| {
            RestoreError::Unknown(format!(
                "the table {name} of {path} was replaced, but what was there could not get its name, and is {}: {error}",
                self.place.going.display()
            ))
        })
    }
}

/// Why a query does not confirm what it finds. It may not write, nor end the transaction.
fn objection(live: &Session, query: &str) -> Option<String> {
    let asked = || -> rusqlite::Result<Option<String>> {
        let statement = live.connection.prepare(query)?;
        match (statement.readonly(), statement.column_count()) {
            (false, _) => Ok(Some("it writes".to_owned())),
            (true, 0) => Ok(Some("it asks nothing".to_owned())),
            (true, _) => verdict(&live.connection, query),
        }
    };
    asked().unwrap_or_else(|error| Some(error.to_string()))
}
