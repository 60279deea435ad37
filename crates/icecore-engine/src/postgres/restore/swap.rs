//! Names of databases change places.
//!
//! What icecore makes or puts aside beside a database says so in its comment; nothing else is ever dropped.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::super::endpoint::Endpoint;
use super::super::facts::{ASIDE_MARK, unmarked};
use super::super::session::{Session, Trouble, ident, literal, text};
use super::plan::Plan;
use super::{Turn, maintenance};
use crate::RestoreError;
use crate::database::{Keep, Undone, name_beside};

/// What is being made; some digits follow.
const NEW: &str = "__ice_new_";
/// What a rollback brings back.
const OLD: &str = "__ice_old";
/// What is on its way out, or between two names.
const GOING: &str = "__ice_gone";
/// No name of a database is longer, in bytes.
const NAME_LEN_MAX: usize = 63;
/// How often sessions that came back are ended once more.
const TRIES_MAX: usize = 6;
const PAUSE: Duration = Duration::from_millis(50);

/// A name beside that of a database.
fn name(database: &str, suffix: &str) -> String {
    name_beside(database, suffix, NAME_LEN_MAX)
}

/// A name for a new database that nobody else takes.
pub(super) fn new_name(database: &str) -> String {
    let number = RandomState::new().build_hasher().finish();
    format!("{}{:08x}", new_start(database), number & 0xffff_ffff)
}

/// How the names of new databases begin; eight digits follow, for which there is room.
fn new_start(database: &str) -> String {
    name_beside(database, NEW, NAME_LEN_MAX - 8)
}

/// A database, by its name.
struct Known {
    oid: String,
    comment: String,
}

fn look_up(server: &mut Session, name: &str) -> Result<Option<Known>, Trouble> {
    let rows = server.rows(&format!(
        "SELECT oid, shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = {}",
        literal(name)
    ))?;
    Ok(rows.first().map(|row| Known { oid: text(row, 0), comment: text(row, 1) }))
}

/// Says that a database is one of ours.
pub(super) fn mark_new(server: &mut Session, name: &str, live: &str) -> Result<(), Trouble> {
    server.run(&format!(
        "COMMENT ON DATABASE {} IS {}",
        ident(name),
        literal(&format!("{ASIDE_MARK}made by a restore of {live}"))
    ))
}

/// Drops a database of ours, whoever uses it, if there is one of this name.
pub(super) fn drop_database(
    endpoint: &Endpoint,
    server: &mut Session,
    name: &str,
) -> Result<(), RestoreError> {
    let Some(known) = look_up(server, name)? else { return Ok(()) };
    if !known.comment.starts_with(ASIDE_MARK) {
        return Err(RestoreError::Refused(format!(
            "there is a database {name} that icecore did not make: rename it, or drop it, and try again"
        )));
    }
    drop_subscriptions(&endpoint.with_database(name))?;
    if server.major() >= 13 {
        server.run(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", ident(name)))?;
    } else {
        end_sessions(server, &[name])?;
        server.run(&format!("DROP DATABASE IF EXISTS {}", ident(name)))?;
    }
    Ok(())
}

/// What was left of restores that were killed.
pub(super) fn drop_leftovers(endpoint: &Endpoint, server: &mut Session) -> Result<(), RestoreError> {
    let start = new_start(&endpoint.database);
    let rows = server.rows(&format!(
        "SELECT datname FROM pg_database WHERE left(shobj_description(oid, 'pg_database'), {}) = {}",
        ASIDE_MARK.len(),
        literal(ASIDE_MARK)
    ))?;
    let names = rows.iter().map(|row| text(row, 0)).filter(|name| name.starts_with(&start));
    names.into_iter().try_for_each(|name| drop_database(endpoint, server, &name))
}

/// A database with a subscription cannot be dropped; what it subscribes to elsewhere is left alone.
fn drop_subscriptions(endpoint: &Endpoint) -> Result<(), Trouble> {
    let of_this = "SELECT subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE datname = current_database()";
    // One that lets nobody in has been nobody's for long.
    let Ok(mut session) = Session::open(endpoint) else { return Ok(()) };
    for name in session.rows(of_this)?.iter().map(|row| ident(&text(row, 0))) {
        session.run(&format!("ALTER SUBSCRIPTION {name} DISABLE"))?;
        session.run(&format!("ALTER SUBSCRIPTION {name} SET (slot_name = NONE)"))?;
        session.run(&format!("DROP SUBSCRIPTION {name}"))?;
    }
    Ok(())
}

/// What a restore drops that the one before put aside; in words.
pub(super) fn dropped(server: &mut Session, live: &str) -> Result<Option<String>, Trouble> {
    let old = name(live, OLD);
    if look_up(server, &old)?.is_none() {
        return Ok(None);
    }
    let slots = server.value(&format!(
        "SELECT string_agg(slot_name, ', ' ORDER BY slot_name) FROM pg_replication_slots WHERE database = {}",
        literal(&old)
    ))?;
    let slots =
        if slots.is_empty() { String::new() } else { format!(" with its replication slots, {slots}") };
    Ok(Some(format!(
        "{old}, which the restore before put aside, is dropped{slots} once this one has succeeded"
    )))
}

/// What became of the database that was there.
pub(super) struct Swapped {
    /// Under what name it is kept.
    pub(super) kept: Option<String>,
    /// Why one that was put aside before is still there though it should not be.
    pub(super) warning: Option<String>,
}

/// Puts the new database in place of the one that is there, which must be the one that was planned for.
pub(super) fn swap(
    server: &mut Session,
    plan: &Plan,
    new: &str,
    keep: &Keep,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<Swapped, RestoreError> {
    let live = plan.endpoint.database.as_str();
    let (old, going) = (name(live, OLD), name(live, GOING));
    let made = look_up(server, new)?.ok_or_else(|| RestoreError::Server(format!("{new} is gone")))?;
    let there = look_up(server, live)?;
    let is_planned =
        there.as_ref().map(|it| it.oid.as_str()) == plan.existing.as_ref().map(|it| it.oid.as_str());
    if !is_planned {
        return Err(RestoreError::Refused(format!(
            "the database {live} is another one than when it was looked at: somebody made, dropped or restored it meanwhile"
        )));
    }
    let mut exchange = Exchange::default();
    let mut kept = None;
    if let Some(there) = &there {
        drop_database(&plan.endpoint, server, &going)?;
        if let Some(before) = look_up(server, &old)? {
            ours(&old, &before)?;
            exchange.push(&old, &going, &before.oid, &before.comment);
        }
        let to = match keep {
            Keep::ForRollback => old.clone(),
            Keep::As(kept) => kept.clone(),
        };
        let comment = match keep {
            Keep::ForRollback => format!("{ASIDE_MARK}put aside by a restore of {live}\n{}", there.comment),
            Keep::As(_) => there.comment.clone(),
        };
        exchange.push(live, &to, &there.oid, &comment);
        kept = Some(to);
    }
    exchange.push(new, live, &made.oid, &plan.facts.comment);
    exchange.run(&plan.endpoint, server, is_cancelled)?;
    // From here on it has happened.
    let going_is_used = exchange.end.contains_key(&going);
    let dropped = match going_is_used {
        true => maintenance(&plan.endpoint)
            .map_err(RestoreError::from)
            .and_then(|mut server| drop_database(&plan.endpoint, &mut server, &going)),
        false => Ok(()),
    };
    let warning =
        dropped.err().map(|error| format!("{going} is not needed any more, and still there: {error}"));
    Ok(Swapped { kept, warning })
}

/// Brings back what the last restore put aside; `None` if there is no such database.
pub fn rollback(endpoint: &Endpoint) -> Result<Option<Undone>, RestoreError> {
    let _turn = Turn::take(endpoint)?;
    let mut server = maintenance(endpoint)?;
    let live = endpoint.database.as_str();
    let (old, going) = (name(live, OLD), name(live, GOING));
    let Some(before) = look_up(&mut server, &old)? else { return Ok(None) };
    ours(&old, &before)?;
    let comment = unmarked(&before.comment);
    let mut exchange = Exchange::default();
    let there = look_up(&mut server, live)?;
    if let Some(there) = &there {
        drop_database(endpoint, &mut server, &going)?;
        let aside = displaced(live, there);
        exchange.push(live, &going, &there.oid, &aside);
        exchange.push(&old, live, &before.oid, comment);
        exchange.push(&going, &old, &there.oid, &aside);
    } else {
        exchange.push(&old, live, &before.oid, comment);
    }
    exchange.run(endpoint, &mut server, &|| false)?;
    Ok(Some(Undone { kept: there.map(|_| old), ..Undone::default() }))
}

/// The same with what a restore kept for good under the name `kept`, which it has no more afterwards; `None` if there is no such database.
///
/// # Errors
/// Refuses if something is put aside, which would have to go for it.
pub fn bring_back(endpoint: &Endpoint, kept: &str) -> Result<Option<Undone>, RestoreError> {
    let _turn = Turn::take(endpoint)?;
    let mut server = maintenance(endpoint)?;
    let live = endpoint.database.as_str();
    let old = name(live, OLD);
    if look_up(&mut server, &old)?.is_some() {
        return Err(RestoreError::Refused(format!(
            "there is a database {old} meanwhile, which would be lost: roll back to that, or rename it"
        )));
    }
    let Some(comes) = look_up(&mut server, kept)? else { return Ok(None) };
    if kept == live || comes.comment.starts_with(ASIDE_MARK) {
        return Err(RestoreError::Refused(format!(
            "the database {kept} is not what a restore kept of {live}"
        )));
    }
    let there = look_up(&mut server, live)?;
    let mut exchange = Exchange::default();
    if let Some(there) = &there {
        exchange.push(live, &old, &there.oid, &displaced(live, there));
    }
    exchange.push(kept, live, &comes.oid, &comes.comment);
    exchange.run(endpoint, &mut server, &|| false)?;
    Ok(Some(Undone { kept: there.map(|_| old), ..Undone::default() }))
}

/// What a database says of itself that a rollback put aside.
fn displaced(live: &str, known: &Known) -> String {
    format!("{ASIDE_MARK}put aside by a rollback of {live}\n{}", known.comment)
}

/// What the last restore put aside and [`rollback`] brings back, if there is anything.
pub fn put_aside(endpoint: &Endpoint) -> Result<Option<String>, RestoreError> {
    let old = name(&endpoint.database, OLD);
    let known = look_up(&mut maintenance(endpoint)?, &old)?;
    Ok(known.filter(|known| known.comment.starts_with(ASIDE_MARK)).map(|_| old))
}

/// The databases of a server.
pub fn names(endpoint: &Endpoint) -> Result<Vec<String>, RestoreError> {
    let rows = maintenance(endpoint)?.rows("SELECT datname FROM pg_database ORDER BY 1")?;
    Ok(rows.iter().map(|row| text(row, 0)).collect())
}

/// Drops what the last restore put aside.
pub fn forget(endpoint: &Endpoint) -> Result<(), RestoreError> {
    let mut server = maintenance(endpoint)?;
    drop_database(endpoint, &mut server, &name(&endpoint.database, OLD))
}

fn ours(name: &str, known: &Known) -> Result<(), RestoreError> {
    match known.comment.starts_with(ASIDE_MARK) {
        true => Ok(()),
        false => Err(RestoreError::Refused(format!(
            "there is a database {name} that icecore did not put aside: rename it, and try again"
        ))),
    }
}

/// Renamings, one after the other, in one transaction: all of it happens or nothing.
#[derive(Default)]
struct Exchange {
    statements: String,
    /// The databases that lose their name.
    affected: Vec<String>,
    /// Which database has which name in the end.
    end: BTreeMap<String, String>,
}

impl Exchange {
    fn push(&mut self, from: &str, to: &str, oid: &str, comment: &str) {
        let comment = if comment.is_empty() { "NULL".to_owned() } else { literal(comment) };
        self.statements += &format!(
            "ALTER DATABASE {} RENAME TO {};\nCOMMENT ON DATABASE {} IS {comment};\n",
            ident(from),
            ident(to),
            ident(to)
        );
        self.affected.push(from.to_owned());
        self.end.retain(|_, known| known != oid);
        self.end.insert(to.to_owned(), oid.to_owned());
    }

    /// The first renaming locks its database. Sessions that want to begin wait then, and find another database, or none; those that are there
    /// are ended meanwhile by another connection.
    fn run(
        &self,
        endpoint: &Endpoint,
        server: &mut Session,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<(), RestoreError> {
        let affected: Vec<&str> = self.affected.iter().map(String::as_str).collect();
        let checks: Vec<String> = self
            .end
            .iter()
            .map(|(name, oid)| {
                format!(
                    "(SELECT oid FROM pg_database WHERE datname = {}) IS DISTINCT FROM {oid}::oid",
                    literal(name)
                )
            })
            .collect();
        let check = format!(
            "DO $ice$ BEGIN IF {} THEN RAISE EXCEPTION 'another database has taken a name'; END IF; END $ice$;",
            checks.join(" OR ")
        );
        let batch = format!("BEGIN; SET LOCAL lock_timeout = '5s';\n{}{check}\nCOMMIT", self.statements);
        let mut last = None;
        for _ in 0..TRIES_MAX {
            if is_cancelled() {
                return Err(RestoreError::Cancelled);
            }
            let mut ender = maintenance(endpoint)?;
            let is_done = AtomicBool::new(false);
            let renamed = thread::scope(|scope| {
                scope.spawn(|| {
                    while !is_done.load(Ordering::Relaxed) && end_sessions(&mut ender, &affected).is_ok() {
                        thread::sleep(PAUSE);
                    }
                });
                let renamed = server.run(&batch);
                is_done.store(true, Ordering::Relaxed);
                renamed
            });
            match renamed {
                Ok(()) => return Ok(()),
                // Somebody is still connected, or holds a lock.
                Err(trouble) if matches!(trouble.code.as_deref(), Some("55006" | "55P03")) => {
                    server.run("ROLLBACK")?;
                    last = Some(trouble);
                }
                Err(trouble) if trouble.code.is_some() => {
                    let _ = server.run("ROLLBACK");
                    return Err(trouble.into());
                }
                // The answer is lost; what it said is not.
                Err(trouble) => return self.look(endpoint, &trouble),
            }
        }
        let why = last.map(|trouble| trouble.what).unwrap_or_default();
        Err(RestoreError::Server(format!("{why}; what was there was not touched")))
    }

    /// Whether the transaction happened whose answer was lost.
    fn look(&self, endpoint: &Endpoint, trouble: &Trouble) -> Result<(), RestoreError> {
        let unknown = |why: &str| {
            let names: Vec<&str> = self.end.keys().map(String::as_str).collect();
            RestoreError::Unknown(format!(
                "{}; and it is not known whether the databases changed their names ({}): {why}",
                trouble.what,
                names.join(", ")
            ))
        };
        for _ in 0..TRIES_MAX {
            let Ok(mut server) = maintenance(endpoint) else {
                thread::sleep(PAUSE * 10);
                continue;
            };
            for (name, oid) in &self.end {
                let known = look_up(&mut server, name).map_err(|trouble| unknown(&trouble.what))?;
                if known.is_none_or(|known| known.oid != *oid) {
                    return Err(RestoreError::Server(trouble.what.clone()));
                }
            }
            return Ok(());
        }
        Err(unknown("the server does not answer"))
    }
}

fn end_sessions(server: &mut Session, databases: &[&str]) -> Result<(), Trouble> {
    let names: Vec<_> = databases.iter().map(|name| literal(name)).collect();
    let sessions = server.rows(&format!(
        "SELECT pid FROM pg_stat_activity WHERE datname IN ({}) AND pid <> pg_backend_pid() AND backend_type <> 'autovacuum worker'",
        names.join(", ")
    ))?;
    for pid in sessions.iter().map(|row| text(row, 0)) {
        // One that we may not end is told of when names cannot change.
        match server.rows(&format!("SELECT pg_terminate_backend({pid})")) {
            Err(trouble) if trouble.code.is_none() => return Err(trouble),
            _ => (),
        }
    }
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
        let names = [name(&long, OLD), name(&other, OLD), name(&long, NEW), new_name(&long)];
        assert!(names.iter().all(|name| name.len() <= NAME_LEN_MAX), "{names:?}");
        assert!(names[0] != names[1] && names[0] != names[2]);
        assert!(new_name("shop") != new_name("shop"));
        // What a restore that was killed left is found.
        assert!(new_name(&long).len() <= NAME_LEN_MAX && new_name(&long).starts_with(&new_start(&long)));
    }
}
