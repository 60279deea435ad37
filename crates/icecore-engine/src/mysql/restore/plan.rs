//! What a restore would do, and what stands in its way: found out before anything is written.

use std::collections::BTreeSet;

use icecore_format::PartKind;
use rustix::fs::statvfs;

use super::super::Endpoint;
use super::super::facts::Facts;
use super::super::objects::Saved;
use super::super::session::{Session, Trouble, ident, literal, text};
use super::survey::Survey;
use super::swap::{NEW, OLD, beside};
use crate::RestoreError;
use crate::database::{Content, Options};

/// What who connects must be able to do in the database, and in those beside it.
const RIGHTS: [&str; 5] = ["SELECT", "INSERT", "CREATE", "DROP", "ALTER"];

/// What a restore would do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The database that would be there.
    pub endpoint: Endpoint,
    /// What is there now; `None` if there is no such database.
    pub existing: Option<Existing>,
    /// Why it cannot be done; empty if it can.
    pub blockers: Vec<String>,
    /// What will not be as it was.
    pub notices: Vec<String>,
    /// What texts the new database has by default; `None` is what the server says.
    pub(super) texts: Option<(String, String)>,
}

/// A database that would be replaced.
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
    let mut plan =
        Plan { endpoint: endpoint.clone(), existing, blockers: Vec::new(), notices: Vec::new(), texts };
    plan.look_at_server(&mut server)?;
    plan.look_at_rights(&mut server)?;
    plan.look_at_texts(&mut server)?;
    plan.look_at_keys(&mut server)?;
    plan.look_at_room(&mut server, content)?;
    let survey = Survey::of(content, server.reader())?;
    plan.notices.extend(survey.notice());
    plan.look_at_sequences(&mut server, &survey)?;
    if !options.without_definers {
        plan.look_at_definers(&mut server, &survey.definers)?;
    }
    if plan.existing.is_some() {
        // What cannot be read could not be put aside.
        Saved::read(&mut server, &endpoint.database)?;
    }
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
    fn look_at_server(&mut self, server: &mut Session) -> Result<(), Trouble> {
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

    /// Rights that are given by a role are not looked at: what is missing is then found when it is needed.
    fn look_at_rights(&mut self, server: &mut Session) -> Result<(), Trouble> {
        let grants = server.column("SHOW GRANTS")?;
        let names = [
            self.endpoint.database.clone(),
            beside(&self.endpoint.database, NEW),
            beside(&self.endpoint.database, OLD),
        ];
        let has_roles = grants.iter().any(|grant| !grant.contains(" ON "));
        let missing: BTreeSet<&str> = RIGHTS
            .into_iter()
            .filter(|right| names.iter().any(|name| !grants.iter().any(|grant| gives(grant, right, name))))
            .collect();
        if !missing.is_empty() && !has_roles {
            let user = server.value("SELECT CURRENT_USER()")?;
            let missing = missing.into_iter().collect::<Vec<_>>().join(", ");
            let pattern = self.endpoint.database.replace('_', "\\_");
            self.blockers.push(format!(
                "{user} lacks {missing} on the database, or on those beside it: GRANT ALL ON {}.* and ON {}.*",
                ident(&self.endpoint.database),
                ident(&format!("{pattern}\\_\\_ice\\_%"))
            ));
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

    /// A key that leads here from elsewhere would lead to what is put aside.
    fn look_at_keys(&mut self, server: &mut Session) -> Result<(), Trouble> {
        let database = &self.endpoint.database;
        let leads_here = server.named("REFERENCED_TABLE_SCHEMA", database);
        let is_here = server.named("TABLE_SCHEMA", database);
        let keys = server.column(&format!(
            "SELECT DISTINCT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) FROM information_schema.KEY_COLUMN_USAGE
            WHERE {leads_here} AND NOT {is_here} ORDER BY 1"
        ))?;
        if !keys.is_empty() {
            self.blockers.push(format!(
                "foreign keys of other databases lead here, and would follow what is put aside: {}; drop them, and add them again after the restore",
                keys.join(", ")
            ));
        }
        Ok(())
    }

    /// Columns name the sequences of their defaults with a database, which need not be the new one; no server defines them without those.
    fn look_at_sequences(&mut self, server: &mut Session, survey: &Survey) -> Result<(), Trouble> {
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
    fn look_at_room(&mut self, server: &mut Session, content: &dyn Content) -> Result<(), Trouble> {
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

    fn look_at_definers(&mut self, server: &mut Session, definers: &BTreeSet<String>) -> Result<(), Trouble> {
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

/// Whether a line of `SHOW GRANTS` gives a right on a database.
pub(in crate::mysql) fn gives(grant: &str, right: &str, database: &str) -> bool {
    let Some((rights, rest)) = grant.strip_prefix("GRANT ").and_then(|grant| grant.split_once(" ON ")) else {
        return false;
    };
    let all = rights
        .split(',')
        .any(|given| matches!(given.trim(), "ALL PRIVILEGES" | "ALL") || given.trim() == right);
    let place = rest.split(" TO ").next().unwrap_or_default();
    let pattern = place.strip_suffix(".*").unwrap_or_default();
    let pattern =
        pattern.strip_prefix('`').and_then(|it| it.strip_suffix('`')).map(|it| it.replace("``", "`"));
    all && (place == "*.*" || pattern.is_some_and(|pattern| is_like(database.as_bytes(), pattern.as_bytes())))
}

/// Whether a text is like a pattern, where `%` is anything and `_` any one byte, unless a backslash comes before.
fn is_like(text: &[u8], pattern: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'%', rest)) => {
            (0..=text.len()).any(|skip| is_like(text.get(skip..).unwrap_or_default(), rest))
        }
        Some((b'_', rest)) => text.split_first().is_some_and(|(_, text)| is_like(text, rest)),
        Some((byte, rest)) => {
            let (byte, rest) = match (byte, rest.split_first()) {
                (b'\\', Some((next, after))) => (next, after),
                _ => (byte, rest),
            };
            text.split_first().is_some_and(|(first, text)| first == byte && is_like(text, rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_understood_as_the_server_does() {
        let check = |grant: &str, right: &str, database: &str, gives_it: bool| {
            assert_eq!(gives(grant, right, database), gives_it, "{grant} {right} {database}");
        };
        check("GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION", "DROP", "shop", true);
        check("GRANT SELECT, DROP ON `shop`.* TO `a`@`%`", "DROP", "shop", true);
        check("GRANT SELECT ON `shop`.* TO `a`@`%`", "DROP", "shop", false);
        check("GRANT ALL PRIVILEGES ON `shop\\_\\_ice%`.* TO `a`@`%`", "DROP", "shop__ice_old", true);
        check("GRANT ALL PRIVILEGES ON `shop\\_x`.* TO `a`@`%`", "DROP", "shopyx", false);
        check("GRANT ALL PRIVILEGES ON `sh_p`.* TO `a`@`%`", "DROP", "shop", true);
        check("GRANT `role` TO `a`@`%`", "DROP", "shop", false);
    }
}
