//! The code of a database becomes another one. What others have made meanwhile stays.

use icecore_dump::mysql_script::CodeKind;

use super::super::keys::Key;
use super::super::objects::{self, Object};
use super::super::saved::Saved;
use super::super::session::{LOCK_WAIT, Session, Trouble, ident, literal};

/// What is to be done.
pub(super) struct Change<'a> {
    /// What there was, in the words of the server, and may go.
    pub(super) from: &'a [Object],
    /// What there is to be.
    pub(super) to: &'a Saved,
    /// Whether events happen.
    pub(super) with_events: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// What is there as somebody else has made it, or cannot be dropped; a sentence each.
    pub(super) stays: Vec<String>,
    /// What could not be made, and why.
    pub(super) missing: Vec<(Object, Trouble)>,
    /// Keys that could not be added, and why.
    pub(super) missing_keys: Vec<(Key, Trouble)>,
    /// Keys that could not be dropped from what is put aside, and why.
    pub(super) binding: Vec<(Key, Trouble)>,
    /// The keys that there are to be.
    pub(super) given: Vec<Key>,
}

impl Changed {
    /// Whether somebody else held on to what was to be changed.
    pub(super) fn is_locked(&self) -> bool {
        let keys = self.missing_keys.iter().chain(&self.binding).map(|(_, trouble)| trouble);
        let mut troubles = self.missing.iter().map(|(_, trouble)| trouble).chain(keys);
        troubles.any(|trouble| trouble.code == Some(LOCK_WAIT))
    }
}

fn same<'a>(objects: &'a [Object], object: &Object) -> Option<&'a Object> {
    objects.iter().find(|it| (it.kind, &it.name) == (object.kind, &object.name))
}

impl Change<'_> {
    /// Does it. What is as it should be is not touched.
    ///
    /// # Errors
    /// If the connection is lost.
    pub(super) fn apply(&self, session: &mut Session, schema: &str) -> Result<Changed, Trouble> {
        let there = objects::read(session, schema)?;
        let mut changed = Changed::default();
        let mut staying = Vec::new();
        for object in there.iter().filter(|object| !self.to.objects.contains(object)) {
            // How a view reads depends on what it is of.
            let is_known =
                same(self.from, object).is_some_and(|it| it.kind == CodeKind::View || it == object);
            let wanted = same(&self.to.objects, object);
            // Whoever died in the middle of this had made it, and the server says it so.
            if !is_known && wanted.is_some_and(|it| it.may_be(object, schema)) {
                staying.push(object);
                continue;
            }
            let is_replaced = wanted.is_some();
            let why = match is_known {
                // Whoever calls a view finds one all the time.
                true if object.kind == CodeKind::View && is_replaced => None,
                true => match objects::drop_object(session, schema, object) {
                    Err(trouble) if trouble.code.is_none() => return Err(trouble),
                    dropped => dropped.err().map(|trouble| trouble.what),
                },
                false => Some("somebody made or changed it meanwhile".to_owned()),
            };
            if let Some(why) = why {
                staying.push(object);
                if is_replaced || is_known {
                    changed.stays.push(format!("the {} of {schema} stays: {why}", object.display_name()));
                }
            }
        }
        if let Some((charset, collation)) = &self.to.texts {
            session.run(format!(
                "ALTER DATABASE {} CHARACTER SET {} COLLATE {}",
                ident(schema),
                literal(charset),
                literal(collation)
            ))?;
        }
        let is_missing = |object: &&Object| {
            !there.contains(object)
                && !staying.iter().any(|it| (it.kind, &it.name) == (object.kind, &object.name))
        };
        let mut missing: Vec<&Object> = self.to.objects.iter().filter(is_missing).collect();
        // Nothing may happen without the triggers of these tables for longer than must be.
        missing.sort_by_key(|object| object.kind != CodeKind::Trigger);
        // A view may need another one, which may come later by name.
        while !missing.is_empty() {
            let mut late = Vec::new();
            let count = missing.len();
            for object in missing {
                match object.create(session, self.with_events) {
                    Ok(()) => (),
                    Err(trouble) if trouble.code.is_none() => return Err(trouble),
                    Err(trouble) => {
                        let what = format!("cannot create the {}: {}", object.display_name(), trouble.what);
                        late.push((object, Trouble { code: trouble.code, ..session.says(&what) }));
                    }
                }
            }
            if late.len() == count {
                changed.missing = late.into_iter().map(|(object, why)| (object.clone(), why)).collect();
                break;
            }
            missing = late.into_iter().map(|(object, _)| object).collect();
        }
        Ok(changed)
    }
}
