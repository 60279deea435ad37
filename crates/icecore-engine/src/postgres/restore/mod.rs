//! Restoring a database: beside the one that is there, which stays as it is until the new one is whole; then their names change in one
//! transaction. What was there is kept under another name, until it is told otherwise.

mod load;
mod plan;
mod post_data;
mod replication;
mod rows;
mod swap;
pub mod table;

use std::io::Read as _;

use icecore_format::Part;

pub use plan::{Existing, Plan, plan};
pub use swap::{bring_back, forget, names, put_aside, rollback};

use super::endpoint::Endpoint;
use super::facts::Facts;
use super::session::{Session, Trouble, ident, literal};
use super::unreached::Unreached;
use crate::RestoreError;
use crate::check::{self, Check, Checked};
use crate::database::{Content, Options, Restored};

/// Carries out a plan.
///
/// # Errors
/// Whatever happens before the last step, the database that is there stays as it is, and what was begun beside it is dropped.
pub fn restore(plan: &Plan, content: &dyn Content, options: &Options) -> Result<Restored, RestoreError> {
    let _turn = Turn::take(&plan.endpoint)?;
    let mut server = maintenance(&plan.endpoint)?;
    swap::drop_leftovers(&plan.endpoint, &mut server)?;
    let new = swap::new_name(&plan.endpoint.database);
    let done = make(&mut server, plan, &new, content, options).and_then(|restored| {
        let swapped = swap::swap(&mut server, plan, &new, &options.keep, &|| content.is_cancelled())?;
        Ok((restored, swapped))
    });
    match done {
        Ok((restored, swap::Swapped { kept, warning })) => {
            let mut warnings: Vec<String> = warning.into_iter().collect();
            if options.with_cdc {
                warnings.extend(replication::make_slots(&plan.endpoint, &plan.facts, kept.as_deref()));
            }
            Ok(Restored { kept, warnings, ..restored })
        }
        // What it is called now nobody knows.
        Err(error @ RestoreError::Unknown(_)) => Err(error),
        Err(error) => dropping(&plan.endpoint, &new, Err(error)),
    }
}

/// What was to be done with a database that is not needed any more, which is dropped.
fn dropping<T>(endpoint: &Endpoint, name: &str, done: Result<T, RestoreError>) -> Result<T, RestoreError> {
    let left = maintenance(endpoint).map_err(RestoreError::from);
    let left = left.and_then(|mut server| swap::drop_database(endpoint, &mut server, name));
    match (done, left) {
        (done, Ok(())) => done,
        (done, Err(left)) => Err(RestoreError::Server(format!(
            "{}{name} is left behind, which the next restore drops: {left}",
            done.err().map(|error| format!("{error}; and ")).unwrap_or_default()
        ))),
    }
}

/// The new database, whole and checked.
fn make(
    server: &mut Session,
    plan: &Plan,
    new: &str,
    content: &dyn Content,
    options: &Options,
) -> Result<Restored, RestoreError> {
    if options.create_roles {
        for role in &plan.missing_roles {
            server.run(&format!("CREATE ROLE {} NOLOGIN", ident(role)))?;
        }
    }
    server.run(&plan.facts.create(new, server.major()))?;
    swap::mark_new(server, new, &plan.endpoint.database)?;
    // What is computed from rows may depend on them.
    server.run(&plan.facts.settings(new))?;
    let endpoint = plan.endpoint.with_database(new);
    let restored = load::load(&endpoint, content)?;
    let mut session = Session::open(&endpoint)?;
    let checked = Checked {
        database: new,
        url: endpoint.url(),
        variables: endpoint.variables(),
        is_cancelled: &|| content.is_cancelled(),
    };
    Check::ask_all(&options.checks, &checked, |query| {
        let begun = session.run("BEGIN").err().map(|trouble| trouble.what);
        let objection = begun.or_else(|| objection(&mut session, query));
        let _ = session.run("ROLLBACK");
        Ok(objection)
    })?;
    if options.with_cdc {
        replication::subscribe(&mut session, &plan.facts)?;
    }
    drop(session);
    server.run(&plan.facts.statements(new))?;
    Ok(restored)
}

/// Why a query does not confirm a database. It may not write, and names are found as the database finds them.
fn objection(session: &mut Session, query: &str) -> Option<String> {
    let ask = |session: &mut Session| -> Result<Option<String>, Trouble> {
        session.run("SET LOCAL transaction_read_only = on; SET LOCAL search_path TO DEFAULT")?;
        let rows = session.rows(query)?;
        Ok(check::objection(rows.first().map(|row| row.try_get(0).ok().flatten())))
    };
    ask(session).unwrap_or_else(|trouble| Some(trouble.what))
}

/// The right to rename a database, which only one has at a time; it ends with the connection.
struct Turn {
    _session: Session,
}

impl Turn {
    fn take(endpoint: &Endpoint) -> Result<Self, RestoreError> {
        let mut session = maintenance(endpoint)?;
        let database = &endpoint.database;
        let name = literal(&format!("icecore {database}"));
        let key = format!("('x' || substr(md5({name}), 1, 15))::bit(60)::bigint");
        match session.value(&format!("SELECT pg_try_advisory_lock({key})"))?.as_str() {
            "t" => Ok(Self { _session: session }),
            _ => {
                Err(RestoreError::Busy(format!("the database {database} is being restored by somebody else")))
            }
        }
    }
}

impl From<Trouble> for RestoreError {
    fn from(trouble: Trouble) -> Self {
        Self::Server(trouble.what)
    }
}

/// A connection to a database of the same server that is neither restored nor left out.
pub(super) fn maintenance(endpoint: &Endpoint) -> Result<Session, Unreached> {
    let names = ["postgres", "template1"].into_iter().filter(|name| *name != endpoint.database);
    let mut last = None;
    for name in names {
        let tried = endpoint.with_database(name);
        match Session::open(&tried) {
            Ok(session) => return Ok(session),
            // There, but not for us, or not there at all.
            Err(unreached) if matches!(unreached.0.code.as_deref(), Some("3D000" | "42501" | "55000")) => {
                last = Some(unreached);
            }
            Err(unreached) => return Err(unreached.meant(&tried, endpoint)),
        }
    }
    let none = || Trouble { what: "no database to connect to".to_owned(), code: None }.into();
    Err(last.unwrap_or_else(none))
}

/// What the snapshot says of its database, if it was captured from a server.
pub(super) fn facts(content: &dyn Content) -> Result<Option<Facts>, RestoreError> {
    let Some(part) = content.parts().first().filter(|part| part.name == b"database") else { return Ok(None) };
    Ok(Facts::find(&read_all(content, part)?))
}

/// All of a part of definitions.
fn read_all(content: &dyn Content, part: &Part) -> Result<Vec<u8>, RestoreError> {
    let mut bytes = Vec::new();
    content.open(part)?.read_to_end(&mut bytes).map_err(RestoreError::of_content)?;
    Ok(bytes)
}
