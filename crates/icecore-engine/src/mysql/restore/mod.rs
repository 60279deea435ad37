//! Restoring a database: beside the one that is there, which stays as it is until the new one is whole; then the tables of both change places
//! in one statement. What was there is kept in a database of another name, until it is told otherwise.

mod exchange;
mod load;
mod plan;
mod script;
mod survey;
mod swap;
mod turn;

use std::io::Read as _;

use icecore_dump::mysql_script::Reader;
use icecore_format::Part;

pub(super) use plan::gives;
pub use plan::{Existing, Plan, plan};
pub use swap::{forget, rollback};

use super::objects::{self, MARK};
use super::session::{Session, Trouble, ident, literal, text};
use crate::RestoreError;
use crate::check::Checked;
use crate::database::{Content, Options, Restored};
use load::{Loaded, Loader};
use turn::Turn;

/// Carries out a plan.
///
/// # Errors
/// Whatever happens before the last step, the database that is there stays as it is, and what was begun beside it is dropped.
pub fn restore(plan: &Plan, content: &dyn Content, options: &Options) -> Result<Restored, RestoreError> {
    let _turn = Turn::take(&plan.endpoint)?;
    let mut server = Session::open(&plan.endpoint)?;
    swap::settle(&mut server, &plan.endpoint.database)?;
    let new = swap::new_name(&plan.endpoint.database);
    let done = make(&mut server, plan, &new, content, options).and_then(|loaded| {
        let swapped = swap::put_in_place(&mut server, plan, &new, &loaded.objects, options, content)?;
        Ok((loaded.restored, swapped))
    });
    match done {
        Ok((mut restored, swap::Swapped { kept, warnings })) => {
            restored.warnings.extend(warnings);
            Ok(Restored { kept, ..restored })
        }
        // What is where nobody knows.
        Err(error @ RestoreError::Unknown(_)) => Err(error),
        Err(error) => {
            let left = Session::open(&plan.endpoint).map_err(RestoreError::from);
            let left = left.and_then(|mut server| swap::settle(&mut server, &plan.endpoint.database));
            match left {
                Ok(_) => Err(error),
                Err(left) => Err(RestoreError::Unknown(format!(
                    "{error}; and {new} is left behind, which the next restore or rollback settles: {left}"
                ))),
            }
        }
    }
}

/// The new database, whole and checked.
fn make(
    server: &mut Session,
    plan: &Plan,
    new: &str,
    content: &dyn Content,
    options: &Options,
) -> Result<Loaded, RestoreError> {
    let texts = plan.texts.as_ref().map(|(charset, collation)| {
        format!(" CHARACTER SET {} COLLATE {}", literal(charset), literal(collation))
    });
    server.run(format!("CREATE DATABASE {}{}", ident(new), texts.unwrap_or_default()))?;
    objects::make_table(server, new, MARK, &format!("made by a restore of {}", plan.endpoint.database))?;
    let loader = Loader {
        endpoint: &plan.endpoint,
        schema: new,
        live: &plan.endpoint.database,
        content,
        without_definers: options.without_definers,
    };
    let loaded = loader.load()?;
    let mut session = Session::enter(&plan.endpoint, new)?;
    let endpoint = plan.endpoint.with_database(new);
    for check in &options.checks {
        let checked = Checked {
            database: new,
            url: endpoint.url(),
            variables: endpoint.variables(),
            is_cancelled: &|| content.is_cancelled(),
        };
        check.ask(checked, |query| objection(&mut session, query))?;
    }
    Ok(loaded)
}

/// Why a query does not confirm a database: it fails, or what it says first is false or null.
fn objection(session: &mut Session, query: &str) -> Option<String> {
    match session.rows(query) {
        Err(trouble) => Some(trouble.what),
        Ok(rows) => {
            let first = rows.first().map(Vec::as_slice).unwrap_or_default();
            match first.first() {
                Some(None) => Some("it is null".to_owned()),
                Some(Some(_)) if text(first, 0) == "0" => Some("it is false".to_owned()),
                _ => None,
            }
        }
    }
}

impl From<Trouble> for RestoreError {
    fn from(trouble: Trouble) -> Self {
        Self::Server(trouble.what)
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
