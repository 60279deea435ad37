//! The tables are where they were: what had to go for them to move comes back.

use icecore_dump::mysql_script::CodeKind;

use super::super::keys;
use super::super::objects::Object;
use super::super::saved::Saved;
use super::super::session::{Session, Trouble};
use super::change::{Change, Changed};
use super::finish::leave;
use super::place::{drop_if_empty, exists, tables};
use super::source::Source;
use super::work::{AFTER, BACK, BEFORE, Work};

/// What had to go for tables to move: triggers, and views in the places of tables.
pub(super) fn is_in_the_way(object: &Object, incoming: &[String]) -> bool {
    object.kind == CodeKind::Trigger || object.kind == CodeKind::View && incoming.contains(&object.name)
}

/// Gives back the code that is missing. Returns what to say.
pub(super) fn undo(server: &mut Session, work: &Work) -> Result<Vec<String>, Trouble> {
    let new = &work.new;
    let is_back = work.owns(server, new, BACK)?;
    if !is_back && !work.owns(server, new, AFTER)? {
        // Nothing was begun.
        return Ok(Vec::new());
    }
    let after = Saved::find(server, new, if is_back { BACK } else { AFTER })?;
    let mut warnings = Vec::new();
    if let Some(source) = Source::of(&after) {
        let changed = source.give_back(server)?;
        warnings.extend(leave(server, &work.live, changed)?);
    }
    drop_if_empty(server, after.kept.as_ref().unwrap_or(&work.aside()))?;
    let changed = undo_live(server, work, &after, is_back)?;
    warnings.extend(leave(server, &work.live, changed)?);
    Ok(warnings)
}

fn undo_live(server: &mut Session, work: &Work, after: &Saved, is_back: bool) -> Result<Changed, Trouble> {
    let (live, new) = (&work.live, &work.new);
    let before = Saved::find(server, new, BEFORE)?;
    if work.makes_database(&before) {
        drop_if_empty(server, live)?;
        return Ok(Changed::default());
    }
    // Whoever has dropped the database meanwhile wants no code of it.
    if !exists(server, live)? {
        return Ok(Changed::default());
    }
    let mut changed = if is_back {
        Change { from: &after.objects, to: &before, with_events: true }.apply(server, live)?
    } else {
        let mut incoming = tables(server, new)?;
        let from = after.source.clone().unwrap_or_else(|| work.aside());
        incoming.extend(tables(server, &from)?);
        give_back(server, live, &before, &incoming)?
    };
    changed.missing_keys = keys::give(server, &before.keys)?;
    Ok(changed)
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
    Change { from: &[], to: &to, with_events: true }.apply(server, live)
}
