//! One table of a snapshot goes back into the database that it belongs to: the same steps as for a whole one, with its triggers alone, and with
//! the foreign keys that would follow a table to where it is put aside.

use std::collections::BTreeSet;
use std::io::Read;

use icecore_dump::mysql_script::Code;
use icecore_format::{Part, PartKind};

use super::super::Endpoint;
use super::super::keys::{self, Place};
use super::super::objects;
use super::super::saved::Saved;
use super::super::session::{Session, Trouble, text};
use super::place::{exists, keys_to_one_from_elsewhere};
use super::plan::{Existing, Plan};
use super::survey::Survey;
use super::work::{Work, is_name_of_ours};
use crate::RestoreError;
use crate::database::{Content, Keep, Options, check_cancelled};
use crate::sink::SinkError;

/// A table like another one, on which is tried what is to happen to that.
const LIKE: &str = "__icecore_like";

/// One table of a snapshot, and how texts are read in it.
pub(super) struct OneTable<'a> {
    content: &'a dyn Content,
    parts: Vec<Part>,
}

impl<'a> OneTable<'a> {
    pub(super) fn of(content: &'a dyn Content, table: &str) -> Result<Self, RestoreError> {
        let parts = content.parts();
        let head = parts.first().filter(|part| part.kind != PartKind::Table);
        let again = format!("{table} (2)");
        if parts.iter().any(|part| part.name == again.as_bytes()) {
            return Err(RestoreError::Refused(format!(
                "the dump comes to the table {table} more than once: restore all of it elsewhere, and take the table from there"
            )));
        }
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
    if !new.is_there(server)? {
        return Err(RestoreError::Refused(format!(
            "the snapshot does not make the table {table} in its part"
        )));
    }
    for key in keys::of(server, &new)? {
        key.drop_it(server)?;
        let is_beside = server.is_same(&key.to.schema, &work.new);
        let to = Place::new(if is_beside { &work.live } else { &key.to.schema }, &key.to.table);
        if !to.is_there(server)? {
            return Err(RestoreError::Refused(format!(
                "the {} leads to {}, and there is no such table: restore that first",
                key.display_name(),
                to.table
            )));
        }
        let tried = key.between(new.clone(), to.clone());
        tried.try_out(server).map_err(|trouble| cannot(&key, &trouble))?;
        refuse_astray(server, &tried, content)?;
        after.push(key.between(live.clone(), to));
    }
    for key in keys::to(server, &live)? {
        // A table like the other one is as good as that, and nobody else uses it.
        let like = Place::new(&work.new, LIKE);
        server.run(format!("DROP TABLE IF EXISTS {}", like.ident()))?;
        server.run(format!("CREATE TABLE {} LIKE {}", like.ident(), key.from.ident()))?;
        let tried = key.between(like.clone(), new.clone()).try_out(server);
        server.run(format!("DROP TABLE {}", like.ident()))?;
        tried.map_err(|trouble| cannot(&key, &trouble))?;
        refuse_astray(server, &key.between(key.from.clone(), new.clone()), content)?;
        after.push(key);
    }
    refuse_taken(server, &live, &after)?;
    Ok(after)
}

fn cannot(key: &keys::Key, trouble: &Trouble) -> RestoreError {
    RestoreError::Server(format!("the {} would not hold: {}", key.display_name(), trouble.what))
}

/// A database has one foreign key of a name.
fn refuse_taken(server: &mut Session, live: &Place, keys: &[keys::Key]) -> Result<(), RestoreError> {
    let (is_in_it, is_it) =
        (server.named("CONSTRAINT_SCHEMA", &live.schema), server.named("TABLE_NAME", &live.table));
    let others = server.column(&format!(
        "SELECT CONSTRAINT_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE {is_in_it} AND NOT ({is_it})"
    ))?;
    let own = keys.iter().filter(|key| key.from == *live);
    match own.into_iter().find(|key| others.iter().any(|other| key.is_called(other))) {
        Some(key) => Err(RestoreError::Refused(format!(
            "another table of {} has a foreign key of the name of the {}: drop or rename it first",
            live.schema,
            key.display_name()
        ))),
        None => Ok(()),
    }
}

fn refuse_astray(server: &mut Session, key: &keys::Key, content: &dyn Content) -> Result<(), RestoreError> {
    let astray = key.astray(server, &|| content.is_cancelled());
    check_cancelled(content)?;
    match astray.map_err(|trouble| cannot(key, &trouble))? {
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
    after.texts = objects::texts(server, &work.live)?;
    after.keys.retain(|key| key.from.is_same(server, &live));
    after.keys.extend(keys::to(server, &live)?);
    Ok(())
}
