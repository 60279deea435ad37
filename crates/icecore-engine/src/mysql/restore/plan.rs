//! What a restore would do, and what stands in its way: found out before anything is written.

use std::collections::BTreeSet;

use icecore_dump::mysql_script::Code;
use icecore_format::PartKind;
use rustix::fs::statvfs;

use super::super::Endpoint;
use super::super::facts::Facts;
use super::super::saved::Saved;
use super::super::session::{Session, Trouble, ident, literal, text};
use super::grants::{gives, gives_everywhere, has_roles};
use super::place::{exists, is_ours, keys_from_elsewhere, tables};
use super::survey::Survey;
use super::work::{NEW, aside, beside, is_name_of_ours};
use crate::RestoreError;
use crate::database::{Content, Keep, Options};

/// What who connects must be able to do in the database, and in those beside it.
const RIGHTS: [&str; 13] = [
    "SELECT",
    "INSERT",
    "CREATE",
    "DROP",
    "ALTER",
    "INDEX",
    "REFERENCES",
    "CREATE VIEW",
    "SHOW VIEW",
    "CREATE ROUTINE",
    "ALTER ROUTINE",
    "EVENT",
    "TRIGGER",
];
/// Any of these lets who connects make code of others.
const DEFINER_RIGHTS: [&str; 4] = ["SET USER", "SET_USER_ID", "SET_ANY_DEFINER", "SUPER"];
/// Any of these lets who connects read routines of others.
const ROUTINE_RIGHTS: [&str; 3] = ["SELECT", "SHOW_ROUTINE", "SHOW CREATE ROUTINE"];

/// What a restore would do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The database that would be there.
    pub endpoint: Endpoint,
    /// The table, if it is about one alone.
    pub table: Option<String>,
    /// What is there now; `None` if there is no such database, or table.
    pub existing: Option<Existing>,
    /// Why it cannot be done; empty if it can.
    pub blockers: Vec<String>,
    /// What will not be as it was.
    pub notices: Vec<String>,
    /// What texts the new database has by default; `None` is what the server says.
    pub(super) texts: Option<(String, String)>,
}

/// A database or a table that would be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Existing {
    /// Its size on the server's disk, as far as the server keeps count.
    pub bytes: u64,
}

/// Looks at the server and the snapshot.
pub fn plan(endpoint: &Endpoint, content: &dyn Content, options: &Options) -> Result<Plan, RestoreError> {
    let mut server = Session::open(endpoint)?;
    let existing = existing(&mut server, &endpoint.database)?;
    let facts = facts(content)?;
    let texts = match &facts {
        Some(facts) => Some((facts.charset.clone(), facts.collation.clone())),
        // A dump does not say what its database was like; the one that it replaces does.
        None => Saved::read(&mut server, &endpoint.database)?.texts,
    };
    let mut plan = Plan { existing, texts, ..Plan::of(endpoint, None) };
    plan.look_at_server(&mut server)?;
    plan.look_at_what_is_aside(&mut server)?;
    plan.look_at_rights(&mut server, &options.keep)?;
    plan.look_at_texts(&mut server)?;
    plan.look_at_names(&mut server, content)?;
    plan.blockers.extend(keys_from_elsewhere(&mut server, &endpoint.database)?);
    plan.look_at_room(&mut server, content)?;
    let survey = Survey::of(content, server.reader())?;
    plan.notices.extend(survey.notice());
    plan.look_at_sequences(&mut server, &survey)?;
    let mut definers = BTreeSet::new();
    if !options.without_definers {
        plan.look_at_definers(&mut server, &survey.definers)?;
        definers = survey.definers;
    }
    if plan.existing.is_some() {
        // What cannot be read could not be put aside, and what cannot be made again could not be brought back.
        let there = Saved::read(&mut server, &endpoint.database)?;
        let codes = there.objects.iter().filter_map(|object| Code::parse(&object.statement));
        definers.extend(codes.filter_map(|code| code.definer));
    }
    plan.look_at_rights_to_define(&mut server, definers)?;
    Ok(plan)
}

/// What the snapshot says of its database, if it was captured from a server.
fn facts(content: &dyn Content) -> Result<Option<Facts>, RestoreError> {
    let head = content.parts().first().filter(|part| part.kind == PartKind::Schema);
    let Some(part) = head else { return Ok(None) };
    Ok(Facts::find(&super::read_all(content, part)?))
}

fn existing(server: &mut Session, database: &str) -> Result<Option<Existing>, Trouble> {
    let (is_it, is_in_it) = (server.named("SCHEMA_NAME", database), server.named("TABLE_SCHEMA", database));
    let rows = server.rows(format!(
        "SELECT (SELECT SUM(DATA_LENGTH + INDEX_LENGTH) FROM information_schema.TABLES WHERE {is_in_it}) FROM information_schema.SCHEMATA WHERE {is_it}"
    ))?;
    Ok(rows.first().map(|row| Existing { bytes: text(row, 0).parse().unwrap_or_default() }))
}

impl Plan {
    pub(super) fn of(endpoint: &Endpoint, table: Option<&str>) -> Self {
        Self {
            endpoint: endpoint.clone(),
            table: table.map(str::to_owned),
            existing: None,
            blockers: Vec::new(),
            notices: Vec::new(),
            texts: None,
        }
    }

    pub(super) fn look_at_server(&mut self, server: &mut Session) -> Result<(), Trouble> {
        // What one server does not know another may.
        let mut says = |name: &str| server.value(&format!("SELECT @@{name}")).unwrap_or_default();
        let (is_read_only, is_super) = (says("read_only"), says("super_read_only"));
        if matches!(is_read_only.as_str(), "1" | "ON") || is_super == "1" {
            self.blockers.push("the server is read-only: restore to the one that it follows".to_owned());
        }
        if says("wsrep_on") == "1" {
            self.notices.push(
                "the server is one of a Galera cluster: restore there from one place at a time".to_owned(),
            );
        }
        if !server.version.renames_as_one() {
            self.notices.push(format!(
                "{} may lose count of tables if it dies while they change their names; a snapshot of what is there is a safe way back",
                server.version.text
            ));
        }
        Ok(())
    }

    /// Only one is kept: what this restore replaces, or nothing.
    pub(super) fn look_at_what_is_aside(&mut self, server: &mut Session) -> Result<(), Trouble> {
        let old = aside(&self.endpoint.database, self.table.as_deref());
        if (self.existing.is_some() || self.table.is_some())
            && exists(server, &old)?
            && is_ours(server, &old)?
        {
            self.notices.push(format!(
                "{old}, which the restore before put aside, is dropped once this one has succeeded"
            ));
        }
        Ok(())
    }

    /// Rights that are given by a role are not looked at: what is missing is then found when it is needed.
    pub(super) fn look_at_rights(&mut self, server: &mut Session, keep: &Keep) -> Result<(), Trouble> {
        let grants = server.column("SHOW GRANTS")?;
        let database = self.endpoint.database.as_str();
        let mut names =
            vec![database.to_owned(), beside(database, NEW), aside(database, self.table.as_deref())];
        let pattern = |name: &str| ident(&name.replace('_', "\\_"));
        let mut places = vec![
            format!("{}.*", ident(database)),
            format!("{}.*", ident(&format!("{}\\_\\_ice\\_%", database.replace('_', "\\_")))),
        ];
        if let Keep::As(name) = keep {
            names.push(name.clone());
            places.push(format!("{}.*", pattern(name)));
        }
        let missing: BTreeSet<&str> = RIGHTS
            .into_iter()
            .filter(|right| names.iter().any(|name| !grants.iter().any(|grant| gives(grant, right, name))))
            .collect();
        if !missing.is_empty() && !has_roles(&grants) {
            let user = server.value("SELECT CURRENT_USER()")?;
            let missing = missing.into_iter().collect::<Vec<_>>().join(", ");
            self.blockers.push(format!(
                "{user} lacks {missing} on the database, or on those beside it: GRANT ALL ON {}",
                places.join(" and ON ")
            ));
        }
        Ok(())
    }

    /// Who connects must be able to make code of others, now and when it is brought back.
    pub(super) fn look_at_rights_to_define(
        &mut self,
        server: &mut Session,
        definers: BTreeSet<String>,
    ) -> Result<(), Trouble> {
        let me = server.value("SELECT CURRENT_USER()")?;
        let others: Vec<String> = definers.into_iter().filter(|definer| *definer != me).collect();
        let grants = server.column("SHOW GRANTS")?;
        if others.is_empty() || has_roles(&grants) {
            return Ok(());
        }
        let gives_any = |rights: &[&str]| {
            rights.iter().any(|right| grants.iter().any(|grant| gives_everywhere(grant, right)))
        };
        let others = others.join(", ");
        if !gives_any(&DEFINER_RIGHTS) {
            self.blockers.push(format!(
                "views, triggers, routines or events run as {others}, here or in the snapshot, and {me} may not make them so: GRANT SET USER ON *.* (MariaDB) or SET_ANY_DEFINER (MySQL)"
            ));
        }
        if !gives_any(&ROUTINE_RIGHTS) && server.value("SELECT COUNT(*) FROM mysql.proc").is_err() {
            self.blockers.push(format!(
                "{me} may not read routines of {others}: GRANT SELECT ON mysql.proc (MariaDB) or SHOW_ROUTINE ON *.* (MySQL)"
            ));
        }
        Ok(())
    }

    /// Tables that are called as ours are could be taken for ours.
    fn look_at_names(&mut self, server: &mut Session, content: &dyn Content) -> Result<(), Trouble> {
        let of_snapshot = content.parts().iter().filter(|part| part.kind == PartKind::Table);
        let of_snapshot = of_snapshot.map(|part| String::from_utf8_lossy(&part.name).into_owned());
        let there = tables(server, &self.endpoint.database)?;
        for (whose, names) in [("the snapshot", of_snapshot.collect()), ("the database", there)] {
            let names: Vec<String> = names;
            for name in names.iter().filter(|name| is_name_of_ours(name)) {
                self.blockers
                    .push(format!("{whose} has a table {name}, a name that icecore uses for its own"));
            }
        }
        Ok(())
    }

    fn look_at_texts(&mut self, server: &mut Session) -> Result<(), Trouble> {
        let Some((charset, collation)) = &self.texts else { return Ok(()) };
        let known = server.value(&format!(
            "SELECT COUNT(*) FROM information_schema.COLLATIONS WHERE COLLATION_NAME = {0} OR {0} LIKE CONCAT('%', COLLATION_NAME)",
            literal(collation)
        ))?;
        if known == "0" {
            self.blockers.push(format!(
                "the server does not know the collation {collation} of {charset}, which the database has"
            ));
        }
        Ok(())
    }

    /// Columns name the sequences of their defaults with a database, which need not be the new one; no server defines them without those.
    pub(super) fn look_at_sequences(&mut self, server: &mut Session, survey: &Survey) -> Result<(), Trouble> {
        for (database, name) in &survey.sequences {
            let (is_in_it, is_it) =
                (server.named("TABLE_SCHEMA", database), server.named("TABLE_NAME", name));
            let there = server.value(&format!(
                "SELECT COUNT(*) FROM information_schema.TABLES WHERE {is_in_it} AND {is_it}"
            ))?;
            if there == "0" {
                let (database, name) = (ident(database), ident(name));
                self.blockers.push(format!(
                    "a column has the next number of the sequence {database}.{name} by default, and no server defines it before there is one: CREATE DATABASE IF NOT EXISTS {database}; CREATE SEQUENCE {database}.{name}"
                ));
            }
        }
        Ok(())
    }

    /// Only for a server on this machine that says where its files are.
    pub(super) fn look_at_room(
        &mut self,
        server: &mut Session,
        content: &dyn Content,
    ) -> Result<(), Trouble> {
        let is_here = self
            .endpoint
            .host
            .as_deref()
            .is_none_or(|host| matches!(host, "localhost" | "127.0.0.1" | "::1"));
        if !is_here {
            return Ok(());
        }
        let folder = server.value("SELECT @@datadir")?;
        let needed: u64 = content.parts().iter().map(|part| part.len).sum();
        if let Ok(room) = statvfs(folder.as_str()) {
            let free = room.f_bavail.saturating_mul(room.f_frsize);
            if free < needed {
                self.blockers
                    .push(format!("the server has {free} bytes free in {folder}, and {needed} are needed"));
            }
        }
        Ok(())
    }

    pub(super) fn look_at_definers(
        &mut self,
        server: &mut Session,
        definers: &BTreeSet<String>,
    ) -> Result<(), Trouble> {
        let me = server.value("SELECT CURRENT_USER()")?;
        let others: Vec<&String> = definers.iter().filter(|definer| **definer != me).collect();
        if others.is_empty() {
            return Ok(());
        }
        // A role is a user without a host.
        let there = match server.column("SELECT CONCAT(User, IF(Host = '', '', '@'), Host) FROM mysql.user") {
            Ok(there) => there,
            Err(trouble) if trouble.code.is_some() => {
                let others = others.into_iter().cloned().collect::<Vec<_>>().join(", ");
                self.notices
                    .push(format!("who connects cannot see whether the server has the definers {others}"));
                return Ok(());
            }
            Err(trouble) => return Err(trouble),
        };
        let missing: Vec<&str> = others
            .into_iter()
            .map(String::as_str)
            .filter(|definer| !there.iter().any(|it| it == definer))
            .collect();
        if !missing.is_empty() {
            self.blockers.push(format!(
                "the server lacks users as whom views, triggers, routines or events run: {}; create them, or --without-definers makes {me} run them",
                missing.join(", ")
            ));
        }
        Ok(())
    }
}
