//! The tables have moved: the code is made that there is to be, keys lead to where tables are now, and what was put aside is made what it is to
//! be. All of it can be done again where it ended in the middle.

use super::super::keys::{self, Key, Place};
use super::super::objects::Object;
use super::super::saved::{MARK, Saved};
use super::super::session::{Session, Trouble, ident};
use super::change::{Change, Changed};
use super::source::Source;
use super::work::{AFTER, Work, left_name};

/// Where the tables and the code are that were there before, unless nothing was, or that is a database like others by now.
pub(super) fn kept(server: &mut Session, work: &Work) -> Result<Option<String>, Trouble> {
    let kept = Saved::find(server, &work.new, AFTER)?.kept.unwrap_or_else(|| work.aside());
    Ok(work.owns(server, &kept, MARK)?.then_some(kept))
}

/// Makes the code that there is to be, and the keys of one table that has moved alone.
pub(super) fn finish(server: &mut Session, work: &Work) -> Result<Changed, Trouble> {
    let after = Saved::find(server, &work.new, AFTER)?;
    let kept = kept(server, work)?;
    let before = match &kept {
        Some(kept) => Saved::find(server, kept, MARK)?,
        None => Saved::default(),
    };
    let mut changed =
        Change { from: &before.objects, to: &after, with_events: true }.apply(server, &work.live)?;
    if let Some(to) = work.place(&work.live) {
        changed.given = after.keys;
        if let Some(kept) = kept {
            let aside = Place::new(&kept, &to.table);
            changed.given.extend(followed(server, &aside, &to)?);
            changed.binding = unbind(server, &aside)?;
        }
        changed.missing_keys = keys::give(server, &changed.given)?;
    }
    Ok(changed)
}

/// Keys that others have added meanwhile, and that have followed a table to where it was put aside, as they are to be.
fn followed(server: &mut Session, aside: &Place, to: &Place) -> Result<Vec<Key>, Trouble> {
    let mut keys = keys::to(server, aside)?;
    keys.retain(|key| server.is_same(&key.from.schema, &to.schema));
    Ok(keys.into_iter().map(|key| key.between(key.from.clone(), to.clone())).collect())
}

/// What is put aside binds nobody. Returns what still does, and why.
fn unbind(server: &mut Session, aside: &Place) -> Result<Vec<(Key, Trouble)>, Trouble> {
    let mut binding = Vec::new();
    for key in keys::of(server, aside)? {
        match key.drop_it(server) {
            Ok(()) => (),
            Err(trouble) if trouble.code.is_none() => return Err(trouble),
            Err(trouble) => binding.push((key, trouble)),
        }
    }
    Ok(binding)
}

/// What comes after that: what could not be made is kept as text, what is kept for longer becomes a database like others, and what has given its
/// tables away goes. Returns what to say.
pub(super) fn round_off(server: &mut Session, work: &Work, changed: Changed) -> Result<Vec<String>, Trouble> {
    let after = Saved::find(server, &work.new, AFTER)?;
    let source = Source::of(&after);
    let disabled = match &source {
        Some(source) => source.disabled_events(server, &work.live, &changed.missing)?,
        None => Vec::new(),
    };
    let mut warnings = leave(server, &work.live, changed)?;
    warnings.extend(disabled);
    if let Some(kept) = &after.kept {
        warnings.extend(release(server, work, kept)?);
    }
    if let Some(source) = source {
        warnings.extend(source.drop_it(server)?);
    }
    Ok(warnings)
}

/// What is kept for longer becomes a database like others, but for what happens by the clock.
fn release(server: &mut Session, work: &Work, kept: &str) -> Result<Vec<String>, Trouble> {
    if !work.owns(server, kept, MARK)? {
        return Ok(Vec::new());
    }
    let to = Saved::find(server, kept, MARK)?;
    let Changed { missing, .. } = Change { from: &[], to: &to, with_events: false }.apply(server, kept)?;
    let warnings = leave(server, &work.live, Changed { missing, ..Changed::default() })?;
    server.run(format!("DROP TABLE {}.{}", ident(kept), ident(MARK)))?;
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
