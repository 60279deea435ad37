//! What restores and rollbacks have left that ended in the middle is undone or finished, by what their tables say.

use icecore_dump::mysql_script::CodeKind;

use super::super::keys::{self, Place};
use super::super::objects::{MARK, Object, Saved};
use super::super::session::{Session, Trouble, ident};
use super::change::{Change, Changed};
use super::place::{OVER, drop_database, drop_if_empty, exists, tables};
use super::work::{AFTER, BACK, BEFORE, GOING, OLD, Work, beside, label_of, left_name, new_start};
use crate::RestoreError;

/// What became of them.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// The tables had not moved: what was there is as it was.
    pub(super) undone: Option<Work>,
    /// They had: what is there is as it was to be.
    pub(super) finished: Option<Work>,
    /// And what was there before is kept under this name.
    pub(super) kept: Option<String>,
    /// What is not.
    pub(super) warnings: Vec<String>,
}

/// Finishes or undoes what has ended in the middle, and drops what it made.
pub(super) fn settle(server: &mut Session, live: &str) -> Result<Settled, RestoreError> {
    let start = new_start(live);
    let begins = server.named(&format!("LEFT(SCHEMA_NAME, {})", start.chars().count()), &start);
    let names =
        server.column(&format!("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE {begins}"))?;
    let mut settled = Settled::default();
    for schema in names {
        let Some(work) = Work::find(server, live, &schema)? else {
            match label_of(server, &schema, MARK)?.as_deref() {
                Some(OVER) => drop_database(server, &schema)?,
                _ => drop_if_empty(server, &schema)?,
            }
            continue;
        };
        let is_before = work.owns(server, &schema, BEFORE)?;
        if !is_before && work.owns(server, &schema, AFTER)? {
            if let Some(table) = work.tables(server, &schema)?.first() {
                return Err(RestoreError::Unknown(format!(
                    "the server died while tables of {live} changed places with those of {schema}, and some are still there, such as {table}"
                )));
            }
            settled.kept = kept(server, &work)?;
            let changed = finish(server, &work)?;
            settled.warnings.extend(leave(server, live, changed)?);
            settled.warnings.extend(release(server, &work)?);
            settled.finished = Some(work);
        } else {
            if is_before {
                settled.warnings.extend(undo(server, &work)?);
            }
            settled.undone = Some(work);
        }
        drop_database(server, &schema)?;
    }
    let going = beside(live, GOING);
    if let Err(error) = drop_database(server, &going) {
        settled.warnings.push(format!("{going} is not needed any more, and still there: {error}"));
    }
    drop_if_empty(server, &beside(live, OLD))?;
    Ok(settled)
}

/// What had to go for tables to move: triggers, and views in the places of tables.
pub(super) fn is_in_the_way(object: &Object, incoming: &[String]) -> bool {
    object.kind == CodeKind::Trigger || object.kind == CodeKind::View && incoming.contains(&object.name)
}

/// The tables are where they were: gives back the code that is missing.
fn undo(server: &mut Session, work: &Work) -> Result<Vec<String>, RestoreError> {
    let (live, new) = (&work.live, &work.new);
    let before = Saved::find(server, new, BEFORE)?;
    let is_back = work.owns(server, new, BACK)?;
    let is_after = work.owns(server, new, AFTER)?;
    if !is_back && !is_after {
        // Nothing was begun.
        return Ok(Vec::new());
    }
    let after = Saved::find(server, new, if is_back { BACK } else { AFTER })?;
    drop_if_empty(server, after.kept.as_ref().unwrap_or(&work.aside()))?;
    if work.makes_database(&before) {
        drop_if_empty(server, live)?;
        return Ok(Vec::new());
    }
    // Whoever has dropped the database meanwhile wants no code of it.
    if !exists(server, live)? {
        return Ok(Vec::new());
    }
    let mut changed = if is_back {
        Change { from: &after.objects, is_exact: false, to: &before, with_events: true }
            .apply(server, live)?
    } else {
        let mut incoming = tables(server, new)?;
        incoming.extend(tables(server, &work.aside())?);
        give_back(server, live, &before, &incoming)?
    };
    changed.missing_keys = keys::give(server, &before.keys)?;
    Ok(leave(server, live, changed)?)
}

/// Makes again what was dropped to make way, and is not there.
pub(super) fn give_back(
    server: &mut Session,
    live: &str,
    before: &Saved,
    incoming: &[String],
) -> Result<Changed, Trouble> {
    let dropped = before.objects.iter().filter(|object| is_in_the_way(object, incoming)).cloned().collect();
    let to = Saved { objects: dropped, ..before.clone() };
    Change { from: &[], is_exact: true, to: &to, with_events: true }.apply(server, live)
}

/// Where the tables and the code are that were there before, unless nothing was, or that is a database like others by now.
fn kept(server: &mut Session, work: &Work) -> Result<Option<String>, Trouble> {
    let kept = Saved::find(server, &work.new, AFTER)?.kept.unwrap_or_else(|| work.aside());
    Ok(work.owns(server, &kept, MARK)?.then_some(kept))
}

/// The tables have moved: makes the code that there is to be, and the keys of one that has moved alone.
pub(super) fn finish(server: &mut Session, work: &Work) -> Result<Changed, Trouble> {
    let live = &work.live;
    let after = Saved::find(server, &work.new, AFTER)?;
    let kept = kept(server, work)?;
    let before = match &kept {
        Some(kept) => Saved::find(server, kept, MARK)?,
        None => Saved::default(),
    };
    let mut changed = Change { from: &before.objects, is_exact: true, to: &after, with_events: true }
        .apply(server, live)?;
    let Some(to) = work.place(live) else { return Ok(changed) };
    let mut given = after.keys;
    if let Some(kept) = &kept {
        let aside = Place::new(kept, &to.table);
        // What others have added meanwhile has followed.
        let followed =
            keys::to(server, &aside)?.into_iter().filter(|key| server.is_same(&key.from.schema, live));
        given.extend(followed.map(|key| key.between(key.from.clone(), to.clone())));
        // What is put aside binds nobody.
        for key in keys::of(server, &aside)? {
            match key.drop_it(server) {
                Err(trouble) if trouble.code.is_none() => return Err(trouble),
                dropped => changed.binding.extend(dropped.err().map(|trouble| (key, trouble))),
            }
        }
    }
    changed.missing_keys.extend(keys::give(server, &given)?);
    changed.given = given;
    Ok(changed)
}

/// What is kept for longer becomes a database like others, but for what happens by the clock.
pub(super) fn release(server: &mut Session, work: &Work) -> Result<Vec<String>, Trouble> {
    let Some(kept) = Saved::find(server, &work.new, AFTER)?.kept else { return Ok(Vec::new()) };
    if !work.owns(server, &kept, MARK)? {
        return Ok(Vec::new());
    }
    let to = Saved::find(server, &kept, MARK)?;
    let Changed { missing, .. } =
        Change { from: &[], is_exact: true, to: &to, with_events: false }.apply(server, &kept)?;
    let warnings = leave(server, &work.live, Changed { missing, ..Changed::default() })?;
    server.run(format!("DROP TABLE {}.{}", ident(&kept), ident(MARK)))?;
    Ok(warnings)
}

/// Puts code that cannot be made into a database of its own, which nobody drops. Returns what to say.
pub(super) fn leave(server: &mut Session, live: &str, changed: Changed) -> Result<Vec<String>, Trouble> {
    let Changed { stays: mut warnings, missing, missing_keys, binding, .. } = changed;
    warnings.extend(
        binding.into_iter().map(|(key, why)| {
            format!("the {} still binds what is put aside: {}", key.display_name(), why.what)
        }),
    );
    warnings.extend(missing_keys.into_iter().map(|(key, why)| {
        format!("the {} could not be added: {}; {} adds it", key.display_name(), why.what, key.statement())
    }));
    if missing.is_empty() {
        return Ok(warnings);
    }
    let left = left_name(live);
    server.run(format!("CREATE DATABASE {}", ident(&left)))?;
    let (objects, troubles): (Vec<Object>, Vec<Trouble>) = missing.into_iter().unzip();
    let saved = Saved { objects, ..Saved::default() };
    saved.write(server, &left, MARK, &format!("code of {live} that could not be made"))?;
    warnings.extend(
        troubles.into_iter().map(|why| format!("{}; its statement is kept in {left}.{MARK}", why.what)),
    );
    Ok(warnings)
}
