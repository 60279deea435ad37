//! Names of databases change places.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use icecore_format::Digest;

use super::super::endpoint::Endpoint;
use super::super::session::{Session, Trouble, ident, literal};
use super::plan::Plan;
use super::{Keep, Turn, maintenance};
use crate::RestoreError;

/// What is being made.
pub(super) const NEW: &str = "__ice_new";
/// What a rollback brings back.
const OLD: &str = "__ice_old";
/// What is on its way out, or between two names.
const GOING: &str = "__ice_gone";
/// No name of a database is longer, in bytes.
const NAME_LEN_MAX: usize = 63;
/// How often sessions that came back are ended once more.
const TRIES_MAX: usize = 6;
const PAUSE: Duration = Duration::from_millis(50);

/// A name beside that of a database. One that would be too long is cut, and told apart by a hash.
pub(super) fn name(database: &str, suffix: &str) -> String {
    if database.len() + suffix.len() <= NAME_LEN_MAX {
        return format!("{database}{suffix}");
    }
    let hash = Digest::of(database.as_bytes()).to_hex();
    let mark = format!("_{}{suffix}", hash.get(..8).unwrap_or(&hash));
    let mut len = NAME_LEN_MAX - mark.len();
    while !database.is_char_boundary(len) {
        len -= 1;
    }
    format!("{}{mark}", database.get(..len).unwrap_or_default())
}

/// Drops a database, whoever uses it, if there is one of this name.
pub(super) fn drop_database(server: &mut Session, name: &str) -> Result<(), Trouble> {
    if server.major() >= 13 {
        return server.run(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", ident(name)));
    }
    end_sessions(server, &[name])?;
    server.run(&format!("DROP DATABASE IF EXISTS {}", ident(name)))
}

fn exists(server: &mut Session, name: &str) -> Result<bool, Trouble> {
    server.has(&format!("SELECT FROM pg_database WHERE datname = {}", literal(name)))
}

/// What became of the database that was there.
pub(super) struct Swapped {
    /// Under what name it is kept.
    pub(super) kept: Option<String>,
    /// Why it, or one before it, is still there though it should not be.
    pub(super) warning: Option<String>,
}

/// Puts the new database in place of the one that is there.
pub(super) fn swap(
    server: &mut Session,
    plan: &Plan,
    new: &str,
    keep: &Keep,
) -> Result<Swapped, RestoreError> {
    let live = plan.endpoint.database.as_str();
    if !exists(server, live)? {
        rename(&plan.endpoint, server, &[(new, live)])?;
        return Ok(Swapped { kept: None, warning: None });
    }
    let (old, going) = (name(live, OLD), name(live, GOING));
    drop_database(server, &going)?;
    let mut names = match keep {
        Keep::As(kept) => vec![(live, kept.as_str())],
        Keep::Nothing => vec![(live, going.as_str())],
        Keep::ForRollback if exists(server, &old)? => {
            vec![(old.as_str(), going.as_str()), (live, old.as_str())]
        }
        Keep::ForRollback => vec![(live, old.as_str())],
    };
    names.push((new, live));
    rename(&plan.endpoint, server, &names)?;
    // From here on it has happened.
    let dropped = drop_database(server, &going);
    let warning = dropped
        .err()
        .map(|trouble| format!("{going} is not needed any more, and still there: {}", trouble.what));
    let kept = match keep {
        Keep::As(kept) => Some(kept.clone()),
        Keep::Nothing => None,
        Keep::ForRollback => Some(old),
    };
    Ok(Swapped { kept, warning })
}

/// What a rollback did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// Under what name the database that was there is kept; another rollback brings it back.
    pub kept: String,
}

/// Brings back what the last restore put aside; `None` if there is no such database.
pub fn rollback(endpoint: &Endpoint) -> Result<Option<Undone>, RestoreError> {
    let _turn = Turn::take(endpoint)?;
    let mut server = maintenance(endpoint)?;
    let live = &endpoint.database;
    let (old, going) = (name(live, OLD), name(live, GOING));
    if !exists(&mut server, &old)? {
        return Ok(None);
    }
    if exists(&mut server, live)? {
        drop_database(&mut server, &going)?;
        rename(endpoint, &mut server, &[(live, &going), (&old, live), (&going, &old)])?;
    } else {
        rename(endpoint, &mut server, &[(&old, live)])?;
    }
    Ok(Some(Undone { kept: old }))
}

/// Renames databases, one after the other, in one transaction: all of it happens or nothing.
///
/// The first renaming locks its database. Sessions that want to begin wait then, and find another database, or none; those that are there
/// are ended meanwhile by another connection.
fn rename(endpoint: &Endpoint, server: &mut Session, names: &[(&str, &str)]) -> Result<(), RestoreError> {
    let statements: String = names
        .iter()
        .map(|(from, to)| format!("ALTER DATABASE {} RENAME TO {};\n", ident(from), ident(to)))
        .collect();
    let affected: Vec<&str> = names.iter().map(|(from, _)| *from).collect();
    let mut last = None;
    for _ in 0..TRIES_MAX {
        let mut ender = maintenance(endpoint)?;
        let is_done = AtomicBool::new(false);
        let renamed = thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) && end_sessions(&mut ender, &affected).is_ok() {
                    thread::sleep(PAUSE);
                }
            });
            let renamed = server.run(&format!("BEGIN; {statements} COMMIT"));
            is_done.store(true, Ordering::Relaxed);
            renamed
        });
        match renamed {
            Ok(()) => return Ok(()),
            // Somebody is still connected.
            Err(trouble) if trouble.code.as_deref() == Some("55006") => {
                server.run("ROLLBACK")?;
                last = Some(trouble);
            }
            Err(trouble) => {
                let _ = server.run("ROLLBACK");
                return Err(trouble.into());
            }
        }
    }
    let why = last.map(|trouble| trouble.what).unwrap_or_default();
    Err(RestoreError::Server(format!("{why}; nothing was renamed")))
}

fn end_sessions(server: &mut Session, databases: &[&str]) -> Result<(), Trouble> {
    let names: Vec<_> = databases.iter().map(|name| literal(name)).collect();
    server.rows(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ({}) AND pid <> pg_backend_pid()",
        names.join(", ")
    ))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beside_a_database_are_never_too_long_and_never_the_same() {
        assert_eq!(name("shop", OLD), "shop__ice_old");
        let long = "ä".repeat(31);
        let other = format!("{}x", "ä".repeat(31));
        let names = [name(&long, OLD), name(&other, OLD), name(&long, NEW)];
        assert!(names.iter().all(|name| name.len() <= NAME_LEN_MAX), "{names:?}");
        assert!(names[0] != names[1] && names[0] != names[2]);
    }
}
