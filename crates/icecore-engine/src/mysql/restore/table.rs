//! One table of a snapshot goes back into the database that it belongs to: the same steps as for a whole one, with its triggers alone, and with
//! the foreign keys that would follow a table to where it is put aside.

use std::collections::BTreeSet;
use std::io::Read;

use icecore_dump::mysql_script::Code;
use icecore_format::{Part, PartKind};

use super::super::Endpoint;
use super::super::keys::{self, Place};
use super::super::objects::{self, Saved};
use super::super::session::{Session, Trouble, text};
use super::place::{exists, keys_to_one_from_elsewhere};
use super::plan::{Existing, Plan};
use super::survey::Survey;
use super::work::{Work, is_name_of_ours};
use crate::RestoreError;
use crate::database::{Content, Keep, Options};
use crate::sink::SinkError;

/// One table of a snapshot, and how texts are read in it.
pub(super) struct OneTable<'a> {
    content: &'a dyn Content,
    parts: Vec<Part>,
}

impl<'a> OneTable<'a> {
    pub(super) fn of(content: &'a dyn Content, table: &str) -> Result<Self, RestoreError> {
        let parts = content.parts();
        let head = parts.first().filter(|part| part.kind != PartKind::Table);
        let is_it = |part: &&Part| part.kind == PartKind::Table && part.name == table.as_bytes();
        let table = parts
            .iter()
            .find(is_it)
            .ok_or_else(|| RestoreError::Refused(format!("the snapshot has no table {table}")))?;
        Ok(Self { content, parts: head.into_iter().chain([table]).cloned().collect() })
    }
}

impl Content for OneTable<'_> {
    fn parts(&self) -> &[Part] {
        &self.parts
    }

    fn open(&self, part: &Part) -> Result<Box<dyn Read + '_>, SinkError> {
        self.content.open(part)
    }

    fn is_cancelled(&self) -> bool {
        self.content.is_cancelled()
    }
}

/// Looks at the server, and at one table of the snapshot.
pub fn plan_table(
    endpoint: &Endpoint,
    content: &dyn Content,
    table: &str,
    options: &Options,
) -> Result<Plan, RestoreError> {
    let content = OneTable::of(content, table)?;
    let mut server = Session::open(endpoint)?;
    let server = &mut server;
    let mut plan = Plan::of(endpoint, Some(table));
    if !exists(server, &endpoint.database)? {
        plan.blockers
            .push(format!("there is no database {}: restore all of it, or make one", endpoint.database));
        return Ok(plan);
    }
    let place = Place::new(&endpoint.database, table);
    plan.look_at_table(server, &place)?;
    plan.look_at_server(server)?;
    plan.look_at_what_is_aside(server)?;
    plan.look_at_rights(server, &Keep::ForRollback)?;
    plan.look_at_room(server, &content)?;
    let survey = Survey::of(&content, server.reader())?;
    plan.look_at_sequences(server, &survey)?;
    plan.look_at_triggers(server, &place, &survey.triggers)?;
    let mut definers = BTreeSet::new();
    if !options.without_definers {
        plan.look_at_definers(server, &survey.definers)?;
        definers = survey.definers;
    }
    // What cannot be made again could not be brought back.
    let there = objects::read_triggers(server, &place)?;
    definers.extend(there.iter().filter_map(|object| Code::parse(&object.statement)?.definer));
    plan.look_at_rights_to_define(server, definers)?;
    Ok(plan)
}

impl Plan {
    fn look_at_table(&mut self, server: &mut Session, place: &Place) -> Result<(), Trouble> {
        if is_name_of_ours(&place.table) {
            self.blockers.push(format!("{} is a name that icecore uses for its own", place.table));
        }
        let (is_in_it, is_it) =
            (server.named("TABLE_SCHEMA", &place.schema), server.named("TABLE_NAME", &place.table));
        let rows = server.rows(format!(
            "SELECT TABLE_TYPE, DATA_LENGTH + INDEX_LENGTH FROM information_schema.TABLES WHERE {is_in_it} AND {is_it}"
        ))?;
        let Some(row) = rows.first() else { return Ok(()) };
        let kind = text(row, 0);
        if matches!(kind.as_str(), "VIEW" | "SEQUENCE") {
            self.blockers.push(format!(
                "{} is a {} in the database that is there: drop or rename it first",
                place.table,
                kind.to_lowercase()
            ));
            return Ok(());
        }
        self.existing = Some(Existing { bytes: text(row, 1).parse().unwrap_or_default() });
        self.blockers.extend(keys_to_one_from_elsewhere(server, place)?);
        Ok(())
    }

    /// A database has one trigger of a name.
    fn look_at_triggers(
        &mut self,
        server: &mut Session,
        place: &Place,
        names: &BTreeSet<String>,
    ) -> Result<(), Trouble> {
        let (is_in_it, is_it) =
            (server.named("TRIGGER_SCHEMA", &place.schema), server.named("EVENT_OBJECT_TABLE", &place.table));
        let others = server.rows(format!(
            "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS WHERE {is_in_it} AND NOT ({is_it})"
        ))?;
        for (name, table) in others.iter().map(|row| (text(row, 0), text(row, 1))) {
            if names.contains(&name) {
                self.blockers.push(format!(
                    "the table {table} has a trigger {name}, which {} has in the snapshot: drop or rename it first",
                    place.table
                ));
            }
        }
        Ok(())
    }
}

/// The keys that there are to be once a new table is in its place: its own, and those of others that lead to it. Takes its own away from it
/// until then, for they lead nowhere where it was made.
///
/// # Errors
/// If rows would lead nowhere.
pub(super) fn keys_after(
    server: &mut Session,
    work: &Work,
    content: &dyn Content,
) -> Result<Vec<keys::Key>, RestoreError> {
    let Some(table) = &work.table else { return Ok(Vec::new()) };
    let (live, new) = (Place::new(&work.live, table), Place::new(&work.new, table));
    let mut after = Vec::new();
    for key in keys::of(server, &new)? {
        key.drop_it(server)?;
        let schema = if key.to.schema == work.new { &work.live } else { &key.to.schema };
        let to = Place::new(schema, &key.to.table);
        if !to.is_there(server)? {
            return Err(RestoreError::Refused(format!(
                "the {} leads to {}, and there is no such table: restore that first",
                key.display_name(),
                to.table
            )));
        }
        refuse_astray(server, &key.between(new.clone(), to.clone()), content)?;
        after.push(key.between(live.clone(), to));
    }
    for key in keys::to(server, &live)? {
        refuse_astray(server, &key.between(key.from.clone(), new.clone()), content)?;
        after.push(key);
    }
    Ok(after)
}

fn refuse_astray(server: &mut Session, key: &keys::Key, content: &dyn Content) -> Result<(), RestoreError> {
    let cannot = |trouble: Trouble| {
        RestoreError::Server(format!("the {} cannot be looked at: {}", key.display_name(), trouble.what))
    };
    match key.astray(server, &|| content.is_cancelled()).map_err(cannot)? {
        0 => Ok(()),
        count => Err(RestoreError::Refused(format!(
            "{count} rows of {} lead to rows that {} would not have, by the {}: restore that table too, or all of the database elsewhere",
            key.from.table,
            key.to.table,
            key.display_name()
        ))),
    }
}

/// The same for one that comes back: its own as they were, and those of others as they are.
pub(super) fn keys_back(server: &mut Session, work: &Work, after: &mut Saved) -> Result<(), Trouble> {
    let Some(table) = &work.table else { return Ok(()) };
    let live = Place::new(&work.live, table);
    after.texts = None;
    after.keys.retain(|key| key.from == live);
    after.keys.extend(keys::to(server, &live)?);
    Ok(())
}
