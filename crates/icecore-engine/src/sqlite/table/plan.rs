//! What restoring a table would do, and what stands in its way: found out before anything changes.

use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::super::SqliteTarget;
use super::super::interrupt::interruptible;
use super::super::pending::{Identity, identity};
use super::aside::{Interrupted, Place, schema_version};
use super::definition::{Object, Table};
use super::session::Session;
use crate::RestoreError;
use crate::files::Placement;

/// What restoring a table would do.
#[derive(Debug)]
pub struct TablePlan {
    /// The database that it would be in: the file itself, not a link to it.
    pub path: PathBuf,
    /// The table, as the snapshot writes it.
    pub table: String,
    /// What would come.
    pub comes: TableSize,
    /// The table that is there, if there is one.
    pub existing: Option<TableSize>,
    /// Why it cannot be done; empty if it can.
    pub blockers: Vec<String>,
    /// What one might not expect.
    pub notices: Vec<String>,
    /// The snapshot, whole and sound.
    pub(super) beside: NamedTempFile,
    pub(super) definition: Table,
    pub(super) there: Option<Table>,
    pub(super) identity: Identity,
    /// Where the schema of the database stood.
    pub(super) schema: i32,
}

/// How large a table is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableSize {
    /// Its rows.
    pub rows: u64,
    /// Its bytes in the file of its database, with its indexes.
    pub bytes: u64,
}

/// Where a snapshot is written before one of its tables is restored to the database at `path`, which must be there and readable.
pub fn target(path: &Path, is_cancelled: &dyn Fn() -> bool) -> Result<SqliteTarget, RestoreError> {
    if identity(path).is_none() {
        return Err(RestoreError::Refused(format!(
            "there is no database {} that a table could be restored into",
            path.display()
        )));
    }
    Session::for_reading(path, is_cancelled)?;
    SqliteTarget::new(path, Placement::Replace)
}

/// The tables and views of what was written to a target, SQLite's own left out.
pub fn names(target: &SqliteTarget, is_cancelled: &dyn Fn() -> bool) -> Result<Vec<String>, RestoreError> {
    const NAMES: &str = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    let beside = target.beside();
    let source = Session::of_stranger(beside)?;
    let interrupts = [source.interrupt()];
    interruptible(beside, &interrupts, is_cancelled, move || source.rows(NAMES, [], |row| row.get(0)))?
}

/// Looks at the database and at what was written to a target for it, of which `table` is one of the [`names`].
pub fn plan(
    target: SqliteTarget,
    table: &str,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<TablePlan, RestoreError> {
    let (path, beside) = target.into_beside();
    let Some(identity) = identity(&path) else {
        return Err(RestoreError::Refused(format!("{} is not there any more", path.display())));
    };
    let place = Place::of(&path, table);
    let interrupted = place.look(is_cancelled);
    let source = Session::of_stranger(beside.path())?;
    let live = Session::for_reading(&path, is_cancelled)?;
    let interrupts = [source.interrupt(), live.interrupt()];
    let mut looked =
        interruptible(&path, &interrupts, is_cancelled, move || Looked::at(&source, &live, table))??;
    match interrupted {
        Ok(Some(Interrupted::After { .. })) => looked.notices.push(format!(
            "a restore or rollback of {table} was interrupted, with what was there as {}: that is completed, and nothing else is done",
            place.going.display()
        )),
        Ok(None | Some(Interrupted::Before)) => (),
        Err(error) => looked.blockers.push(error.to_string()),
    }
    if place.is_taken() {
        looked.notices.push(format!(
            "{}, which the restore before put aside, goes once this one has succeeded",
            place.old.display()
        ));
    }
    let Looked { definition, there, schema, comes, existing, blockers, notices } = looked;
    let table = definition.name.clone();
    Ok(TablePlan {
        path,
        table,
        comes,
        existing,
        blockers,
        notices,
        beside,
        definition,
        there,
        identity,
        schema,
    })
}

/// What can be said of both databases.
struct Looked {
    definition: Table,
    there: Option<Table>,
    schema: i32,
    comes: TableSize,
    existing: Option<TableSize>,
    blockers: Vec<String>,
    notices: Vec<String>,
}

impl Looked {
    fn at(source: &Session, live: &Session, table: &str) -> Result<Self, RestoreError> {
        let Some(definition) = Table::find(source, table)? else {
            return Err(RestoreError::Damaged(format!("the snapshot lists {table}, and does not have it")));
        };
        let there = Table::find(live, table)?;
        let mut looked = Self {
            blockers: obstacles(live, &definition, there.as_ref())?,
            notices: strange_triggers(&definition, there.as_ref()),
            schema: schema_version(live)?,
            comes: TableSize::default(),
            existing: None,
            definition,
            there,
        };
        if looked.blockers.is_empty() {
            looked.comes = TableSize::of(source, &looked.definition)?;
            looked.existing = looked.there.as_ref().map(|there| TableSize::of(live, there)).transpose()?;
        }
        Ok(looked)
    }
}

impl TableSize {
    fn of(session: &Session, table: &Table) -> Result<Self, RestoreError> {
        const BYTES: &str = "SELECT coalesce(sum(pgsize), 0) FROM dbstat('main', 1) WHERE name = ?1";
        const BTREES: &str = "SELECT name FROM sqlite_schema WHERE tbl_name = ?1 AND rootpage > 0";
        let mut bytes = 0;
        for name in session.rows(BTREES, [&table.name], |row| row.get::<_, String>(0))? {
            bytes += session.number(BYTES, [name])?;
        }
        Ok(Self { rows: session.number(&format!("SELECT count(*) FROM main.{}", table.ident()), [])?, bytes })
    }
}

/// Why a table cannot take its place in a live database, in words.
pub(super) fn obstacles(
    live: &Session,
    table: &Table,
    there: Option<&Table>,
) -> Result<Vec<String>, RestoreError> {
    let name = &table.name;
    let mut obstacles = Vec::new();
    if let Some(what) = table.obstacle() {
        return Ok(vec![format!("{name} is {what} in the snapshot, and only tables are restored alone")]);
    }
    if let Some(why) = table.objection() {
        obstacles.push(format!("the snapshot's {name} cannot be made here: {why}"));
    }
    if let Some(there) = there {
        if let Some(what) = there.obstacle() {
            return Ok(vec![format!("{name} is {what} in the database that is there")]);
        }
        if let Some(why) = there.objection() {
            obstacles.push(format!("the {name} that is there cannot be put aside: {why}"));
        }
    }
    for object in table.indexes().chain(table.triggers()) {
        // Triggers have names of their own.
        const TAKEN: &str = "SELECT type, tbl_name FROM sqlite_schema
            WHERE name = ?1 COLLATE NOCASE AND tbl_name <> ?2 COLLATE NOCASE AND (type = 'trigger') = (?3 = 'trigger')";
        let taken = live.first(TAKEN, [&object.name, name, &object.kind], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })?;
        if let Some((kind, of)) = taken {
            let of = if of == object.name { String::new() } else { format!(" of {of}") };
            let Object { kind: comes, name: taken, .. } = object;
            obstacles.push(format!(
                "the {comes} {taken} comes with {name}, and in the database that is there the {kind} of that name{of} is in its way"
            ));
        }
    }
    Ok(obstacles)
}

/// Triggers that come with a table, and are not there now: they run whenever somebody writes to it.
fn strange_triggers(table: &Table, there: Option<&Table>) -> Vec<String> {
    let is_there =
        |object: &&Object| there.is_some_and(|there| there.triggers().any(|known| known == *object));
    let strange = table.triggers().filter(|object| !is_there(object));
    strange
        .map(|object| format!("the trigger {} comes with {}, and is not there now", object.name, table.name))
        .collect()
}
