//! A database that was kept for longer, and whose tables take the place of what is there. It is one like others until they do: its triggers go
//! right before, for tables that have some cannot leave their database, and come back if nothing moves; what is left of it goes after.

use icecore_dump::mysql_script::CodeKind;

use super::super::objects::{self, Object};
use super::super::saved::Saved;
use super::super::session::{Session, Trouble, ident};
use super::change::{Change, Changed};
use super::place::{exists, refuse_keys, tables};
use super::work::is_name_of_ours;
use crate::RestoreError;

/// Databases without which there is no server.
const OF_THE_SERVER: [&str; 4] = ["information_schema", "mysql", "performance_schema", "sys"];

/// Such a database, and all the code that it had.
pub(super) struct Source<'a> {
    pub(super) name: &'a str,
    objects: &'a [Object],
}

impl<'a> Source<'a> {
    /// Whose code that is, if its tables are to move.
    pub(super) fn of(after: &'a Saved) -> Option<Self> {
        Some(Self { name: after.source.as_deref()?, objects: &after.objects })
    }

    /// Drops its triggers, the last ones first: those that are made again later come after those that stayed.
    pub(super) fn let_go(&self, server: &mut Session) -> Result<(), Trouble> {
        let mut triggers = self.objects.iter().rev().filter(|object| object.kind == CodeKind::Trigger);
        triggers.try_for_each(|trigger| objects::drop_object(server, self.name, trigger))
    }

    /// Makes those again that are not there.
    pub(super) fn give_back(&self, server: &mut Session) -> Result<Changed, Trouble> {
        // Whoever has dropped it meanwhile wants no code of it.
        if !exists(server, self.name)? {
            return Ok(Changed::default());
        }
        let is_trigger = |object: &&Object| object.kind == CodeKind::Trigger;
        let objects = self.objects.iter().filter(is_trigger).cloned().collect();
        let to = Saved { objects, ..Saved::default() };
        Change { from: &[], to: &to, with_events: true }.apply(server, self.name)
    }

    /// Code that somebody has made or changed there since.
    pub(super) fn changed_by_others(&self, server: &mut Session) -> Result<Option<Object>, Trouble> {
        let is_other = |it: &Object| it.kind != CodeKind::View && !self.objects.contains(it);
        Ok(objects::read(server, self.name)?.into_iter().find(is_other))
    }

    /// Drops it once its tables are gone, unless somebody has put something there. Returns why it is still there.
    ///
    /// # Errors
    /// If the connection is lost.
    pub(super) fn drop_it(&self, server: &mut Session) -> Result<Option<String>, Trouble> {
        let dropped = self.what_others_have_put_there(server).and_then(|other| {
            if other.is_none() {
                server.run(format!("DROP DATABASE IF EXISTS {}", ident(self.name)))?;
            }
            Ok(other)
        });
        match dropped {
            Ok(None) => Ok(None),
            Ok(Some(other)) => Ok(Some(format!(
                "{} is still there, without its tables: somebody has put something there meanwhile, {other}",
                self.name
            ))),
            Err(trouble) if trouble.code.is_none() => Err(trouble),
            Err(trouble) => {
                Ok(Some(format!("{} is not needed any more, and still there: {}", self.name, trouble.what)))
            }
        }
    }

    fn what_others_have_put_there(&self, server: &mut Session) -> Result<Option<String>, Trouble> {
        if !exists(server, self.name)? {
            return Ok(None);
        }
        if let Some(table) = tables(server, self.name)?.into_iter().next() {
            return Ok(Some(format!("such as the table {table}")));
        }
        // A view whose tables are gone reads otherwise.
        let is_known = |object: &Object| {
            self.objects.iter().any(|it| {
                it == object
                    || it.kind == CodeKind::View && (object.kind, &object.name) == (it.kind, &it.name)
            })
        };
        let other = objects::read(server, self.name)?.into_iter().find(|object| !is_known(object));
        Ok(other.map(|other| format!("such as the {}", other.display_name())))
    }

    /// Which of its events do not happen where they are now, and what makes them. What is kept has none that do.
    pub(super) fn disabled_events(
        &self,
        server: &mut Session,
        live: &str,
        missing: &[(Object, Trouble)],
    ) -> Result<Vec<String>, Trouble> {
        let mut told = Vec::new();
        for event in self.objects.iter().filter(|object| object.kind == CodeKind::Event) {
            let name = &event.name;
            let (is_in_it, is_it) = (server.named("EVENT_SCHEMA", live), server.named("EVENT_NAME", name));
            let state = format!("SELECT STATUS FROM information_schema.EVENTS WHERE {is_in_it} AND {is_it}");
            match server.column(&state)?.first().map(String::as_str) {
                Some("ENABLED") => (),
                Some(_) => told.push(format!(
                    "the event {name} of {live} is still disabled, as it is in what is kept: ALTER EVENT {}.{} ENABLE makes it happen again",
                    ident(live),
                    ident(name)
                )),
                None if missing.iter().any(|(object, _)| object == event) => (),
                None => told.push(format!("the time of the event {name} has passed: it is not brought back")),
            }
        }
        Ok(told)
    }
}

/// What stands in the way of taking the tables of a database.
pub(super) fn refuse_source(server: &mut Session, live: &str, kept: &str) -> Result<(), RestoreError> {
    let is_of_the_server = OF_THE_SERVER.iter().any(|name| name.eq_ignore_ascii_case(kept));
    let why = if server.is_same(live, kept) || is_of_the_server {
        format!("{kept} is not what a restore of {live} has kept")
    } else if !exists(server, kept)? {
        format!("there is no database {kept}: somebody has dropped or renamed it")
    } else if let Some(table) = tables(server, kept)?.into_iter().find(|table| is_name_of_ours(table)) {
        format!("{kept} has a table {table}, a name that icecore uses for its own")
    } else {
        return refuse_keys(server, kept);
    };
    Err(RestoreError::Refused(why))
}
