//! Restoring a database: beside the one that is there, which stays as it is until the new one is whole; then the tables of both change places
//! in one statement. What was there is kept in a database of another name, until it is told otherwise.

mod change;
mod exchange;
mod finish;
mod grants;
mod load;
mod place;
mod plan;
mod rollback;
mod script;
mod settle;
mod source;
mod survey;
mod swap;
mod table;
mod turn;
mod undo;
mod words;
mod work;

use std::io::Read as _;

use icecore_dump::mysql_script::{CodeKind, Reader};
use icecore_format::Part;

pub(super) use grants::gives;
pub use plan::{Existing, Plan, plan};
pub use rollback::{bring_back, rollback};
pub use swap::{forget, names, put_aside};
pub use table::plan_table;

use super::session::{Session, Trouble};
use super::wire::Value;
use crate::RestoreError;
use crate::check::{self, Check, Checked};
use crate::database::{Content, Options, Restored, check_cancelled};
use load::{Loaded, Loader};
use settle::settle;
use table::OneTable;
use turn::Turn;
use work::{Kind, Work};

/// Carries out a plan.
///
/// # Errors
/// Whatever happens before the last step, the database that is there stays as it is, and what was begun beside it is dropped.
pub fn restore(plan: &Plan, content: &dyn Content, options: &Options) -> Result<Restored, RestoreError> {
    let only;
    let content = match &plan.table {
        Some(table) => {
            only = OneTable::of(content, table)?;
            &only
        }
        None => content,
    };
    let mut turn = Turn::take(&plan.endpoint)?;
    let live = plan.endpoint.database.as_str();
    let settled = settle(&mut turn.server, live)?;
    if let Some(work) = settled.finished {
        let kept = settled.kept.map(|kept| format!(", and what was there is kept as {kept}"));
        let mut what = format!(
            "a {} of {} that was interrupted is complete now{}: restore again to replace that too",
            work.kind.as_str(),
            work.subject(),
            kept.unwrap_or_default()
        );
        settled.warnings.iter().for_each(|warning| what.push_str(&format!("; {warning}")));
        return Err(RestoreError::Unknown(what));
    }
    let about = (live, plan.table.as_deref());
    let work = Work::begin(&mut turn.server, Kind::Restore, about, plan.texts.as_ref())?;
    let done = make(plan, &work, content, options).and_then(|loaded| {
        turn.renew()?;
        let swapped = swap::put_in_place(&mut turn, plan, &work, &loaded.objects, options, content)?;
        Ok((loaded.restored, swapped))
    });
    match done {
        Ok((restored, swap::Swapped { kept, warnings })) => {
            let warnings = [restored.warnings, settled.warnings, warnings].concat();
            let kept = kept.map(|kept| work.shown(&kept));
            Ok(Restored { kept, mark: Some(work.label()), warnings, ..restored })
        }
        Err(error) => Err(clean_up(&mut turn, &work, error)),
    }
}

/// Undoes what did not succeed. Returns what to say of it.
fn clean_up(turn: &mut Turn, work: &Work, error: RestoreError) -> RestoreError {
    // What is where nobody knows.
    if matches!(error, RestoreError::Unknown(_)) {
        return error;
    }
    let what = match turn.renew().and_then(|()| settle(&mut turn.server, &work.live)) {
        Ok(settled) if settled.finished.is_some() => {
            format!("{error}; but the {} of {} is complete", work.kind.as_str(), work.subject())
        }
        Ok(settled) if settled.warnings.is_empty() => return error,
        Ok(settled) => format!("{error}; {}", settled.warnings.join("; ")),
        Err(left) => format!(
            "{error}; and {} is left behind, which the next restore or rollback settles: {left}",
            work.new
        ),
    };
    RestoreError::Unknown(what)
}

/// The new database, whole and checked.
fn make(plan: &Plan, work: &Work, content: &dyn Content, options: &Options) -> Result<Loaded, RestoreError> {
    let new = work.new.as_str();
    let loader = Loader {
        endpoint: &plan.endpoint,
        schema: new,
        live: &plan.endpoint.database,
        content,
        without_definers: options.without_definers,
    };
    let mut loaded = loader.load()?;
    if plan.table.is_some() {
        // Whatever else a dump says before its first table is none of a table's.
        loaded.objects.retain(|object| object.kind == CodeKind::Trigger);
    }
    let mut session = Session::enter(&plan.endpoint, new)?;
    let endpoint = plan.endpoint.with_database(new);
    let checked = Checked {
        database: new,
        url: endpoint.url(),
        variables: endpoint.variables(),
        is_cancelled: &|| content.is_cancelled(),
    };
    Check::ask_all(&options.checks, &checked, |query| {
        let begun = session.run("START TRANSACTION READ ONLY").err().map(|trouble| trouble.what);
        let objection = begun.or_else(|| objection(&mut session, query, &|| content.is_cancelled()));
        let _ = session.run("ROLLBACK");
        check_cancelled(content)?;
        Ok(objection)
    })?;
    Ok(loaded)
}

/// Why a query does not confirm a database. It may not write.
fn objection(session: &mut Session, query: &str, is_cancelled: &dyn Fn() -> bool) -> Option<String> {
    match session.rows_unless(is_cancelled, query) {
        Err(trouble) => Some(trouble.what),
        Ok(rows) => {
            let first = |row: &Vec<Value>| Some(String::from_utf8_lossy(row.first()?.as_ref()?).into_owned());
            check::objection(rows.first().map(first).as_ref().map(Option::as_deref))
        }
    }
}

impl From<Trouble> for RestoreError {
    fn from(trouble: Trouble) -> Self {
        match trouble.is_unreached {
            true => Self::Unreachable(trouble.what),
            false => Self::Server(trouble.what),
        }
    }
}

impl Session {
    /// What of a dump is for this server.
    fn reader(&self) -> Reader {
        Reader { is_mariadb: self.version.is_mariadb, version: self.version.number }
    }
}

/// All of a part of definitions.
fn read_all(content: &dyn Content, part: &Part) -> Result<Vec<u8>, RestoreError> {
    let mut bytes = Vec::new();
    content.open(part)?.read_to_end(&mut bytes).map_err(RestoreError::of_content)?;
    Ok(bytes)
}
