//! What a restore would do, and what stands in its way: found out before anything is written.

use std::collections::BTreeSet;

use icecore_format::PartKind;
use rustix::fs::statvfs;

use super::super::endpoint::{Endpoint, Host};
use super::super::facts::Facts;
use super::super::session::{Session, Trouble, literal, text};
use super::{facts, maintenance, read_all, replication, swap};
use crate::RestoreError;
use crate::database::{Content, Options};

/// What a restore would do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The database that would be there.
    pub endpoint: Endpoint,
    /// What is there now; `None` if there is no such database.
    pub existing: Option<Existing>,
    /// Roles that something belongs to, and that the server does not have.
    pub missing_roles: Vec<String>,
    /// Why it cannot be done; empty if it can.
    pub blockers: Vec<String>,
    /// What will not be as it was.
    pub notices: Vec<String>,
    pub(super) facts: Facts,
}

/// A database that would be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Existing {
    /// The server's number for it, by which it is known whatever it is called.
    pub(super) oid: String,
    /// Its size on the server's disk.
    pub bytes: u64,
    /// How many sessions it has; they would be ended.
    pub sessions: u64,
}

/// Looks at the server and the snapshot.
pub fn plan(endpoint: &Endpoint, content: &dyn Content, options: &Options) -> Result<Plan, RestoreError> {
    let mut server = maintenance(endpoint)?;
    let existing = existing(&mut server, &endpoint.database)?;
    let of_snapshot = facts(content)?;
    let owners = match &of_snapshot {
        Some(facts) => facts.roles.iter().cloned().collect(),
        None => owners(content)?,
    };
    let facts = match (of_snapshot, &existing) {
        (Some(facts), _) => facts,
        // A dump does not say what its database was like; the one it replaces does.
        (None, Some(_)) => Facts::ask(&mut Session::open(endpoint)?)?,
        (None, None) => Facts::default(),
    };
    let mut plan = Plan {
        endpoint: endpoint.clone(),
        existing,
        missing_roles: missing_roles(&mut server, &owners)?,
        blockers: Vec::new(),
        notices: Vec::new(),
        facts,
    };
    plan.look_at_rights(&mut server)?;
    plan.look_at_extensions(&mut server)?;
    plan.look_at_users(&mut server, options.with_cdc)?;
    if plan.existing.is_some() {
        plan.notices.extend(swap::dropped(&mut server, &endpoint.database)?);
    }
    plan.look_at_room(&mut server, content)?;
    plan.blockers.extend(roles_blocker(&plan.missing_roles, options));
    plan.blockers.extend(version_blocker(plan.facts.version, server.major()));
    let replication = replication::look(&mut server, &plan.facts, options.with_cdc)?;
    plan.notices.extend(replication.notices);
    plan.blockers.extend(replication.blockers);
    Ok(plan)
}

fn existing(server: &mut Session, database: &str) -> Result<Option<Existing>, Trouble> {
    let rows = server.rows(&format!(
        "SELECT oid, pg_database_size(oid), (SELECT count(*) FROM pg_stat_activity a WHERE a.datid = d.oid AND a.backend_type = 'client backend')
        FROM pg_database d WHERE datname = {}",
        literal(database)
    ))?;
    let number = |row, column| text(row, column).parse().unwrap_or_default();
    Ok(rows.first().map(|row| Existing {
        oid: text(row, 0),
        bytes: number(row, 1),
        sessions: number(row, 2),
    }))
}

/// To whom something belongs in a dump.
fn owners(content: &dyn Content) -> Result<BTreeSet<String>, RestoreError> {
    let mut owners = BTreeSet::new();
    for part in content.parts().iter().filter(|part| part.kind == PartKind::Schema) {
        let script = read_all(content, part)?;
        let entries = icecore_dump::script::entries(&script);
        owners.extend(entries.into_iter().map(|entry| entry.owner).filter(|owner| !owner.is_empty()));
    }
    Ok(owners)
}

pub(super) fn roles_blocker(missing: &[String], options: &Options) -> Option<String> {
    let roles = missing.join(", ");
    (!missing.is_empty() && !options.create_roles).then(|| {
        format!(
            "the server lacks roles that own something or have rights: {roles}; --create-roles makes them"
        )
    })
}

pub(super) fn version_blocker(snapshot: u32, server: u32) -> Option<String> {
    (snapshot > server)
        .then(|| format!("the snapshot is of PostgreSQL {snapshot}, and the server is older: {server}"))
}

pub(super) fn missing_roles(server: &mut Session, owners: &BTreeSet<String>) -> Result<Vec<String>, Trouble> {
    let there: BTreeSet<String> =
        server.rows("SELECT rolname FROM pg_roles")?.iter().map(|row| text(row, 0)).collect();
    Ok(owners.difference(&there).cloned().collect())
}

impl Plan {
    fn look_at_rights(&mut self, server: &mut Session) -> Result<(), Trouble> {
        let rows = server.rows(&format!(
            "SELECT r.rolsuper, r.rolcreatedb, coalesce((SELECT pg_has_role(d.datdba, 'USAGE') FROM pg_database d WHERE d.datname = {}), true),
                NOT EXISTS (SELECT FROM pg_stat_activity a LEFT JOIN pg_roles o ON o.oid = a.usesysid
                    WHERE a.datname = {} AND a.backend_type = 'client backend'
                        AND (o.rolsuper OR NOT pg_has_role('pg_signal_backend', 'USAGE') AND NOT pg_has_role(a.usesysid, 'USAGE')))
            FROM pg_roles r WHERE r.rolname = current_user",
            literal(&self.endpoint.database),
            literal(&self.endpoint.database)
        ))?;
        let Some(row) = rows.first() else { return Ok(()) };
        let [is_super, may_create, is_owner, may_end] = [0, 1, 2, 3].map(|column| text(row, column) == "t");
        let (user, database) = (&self.endpoint.user, &self.endpoint.database);
        if !is_super && !may_create {
            self.blockers.push(format!("{user} may not make databases: ALTER ROLE {user} CREATEDB"));
        }
        if !is_super && !is_owner {
            self.blockers.push(format!("{database} does not belong to {user}, who may not rename it"));
        }
        if !is_super && !may_end {
            self.blockers.push(format!(
                "{database} has sessions that {user} may not end: GRANT pg_signal_backend TO {user}; those of a superuser must be ended by one"
            ));
        }
        Ok(())
    }

    fn look_at_extensions(&mut self, server: &mut Session) -> Result<(), Trouble> {
        let there: BTreeSet<String> =
            server.rows("SELECT name FROM pg_available_extensions")?.iter().map(|row| text(row, 0)).collect();
        for extension in self.facts.extensions.iter().filter(|extension| !there.contains(&extension.name)) {
            self.blockers.push(format!(
                "the server does not have the extension {} {}: install it there",
                extension.name, extension.version
            ));
        }
        Ok(())
    }

    /// What holds on to the database so that it cannot be renamed, or would come back at once.
    fn look_at_users(&mut self, server: &mut Session, with_cdc: bool) -> Result<(), Trouble> {
        let database = literal(&self.endpoint.database);
        let mut names = |query: &str| -> Result<Vec<String>, Trouble> {
            Ok(server
                .rows(&format!("{query} {database} ORDER BY 1"))?
                .iter()
                .map(|row| text(row, 0))
                .collect())
        };
        for id in names("SELECT gid FROM pg_prepared_xacts WHERE database =")? {
            self.blockers.push(format!(
                "a transaction is prepared: COMMIT PREPARED or ROLLBACK PREPARED {}",
                literal(&id)
            ));
        }
        for slot in names("SELECT slot_name FROM pg_replication_slots WHERE active AND database =")? {
            self.blockers.push(format!("the replication slot {slot} is in use: stop who reads it"));
        }
        for slot in names("SELECT slot_name FROM pg_replication_slots WHERE NOT active AND database =")? {
            if with_cdc && self.facts.replication.slots.iter().any(|known| known.name == slot) {
                continue;
            }
            self.notices.push(format!(
                "the replication slot {slot} stays with the database that is there now, and keeps its WAL"
            ));
        }
        let subscriptions = names(
            "SELECT subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE subenabled AND datname =",
        );
        for name in subscriptions? {
            self.blockers
                .push(format!("the subscription {name} is enabled: ALTER SUBSCRIPTION {name} DISABLE"));
        }
        Ok(())
    }

    /// Only for a server on this machine that says where its files are.
    fn look_at_room(&mut self, server: &mut Session, content: &dyn Content) -> Result<(), Trouble> {
        let is_here = match &self.endpoint.host {
            Host::Folder(_) => true,
            Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
        };
        if !is_here {
            return Ok(());
        }
        let folder = match server.value("SELECT setting FROM pg_settings WHERE name = 'data_directory'") {
            Ok(folder) if !folder.is_empty() => folder,
            _ => return Ok(()),
        };
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
}

#[cfg(test)]
mod tests {
    use super::version_blocker;

    #[test]
    fn a_snapshot_of_a_newer_server_stays_away_from_an_older_one() {
        for (snapshot, server) in [(15, 15), (10, 18), (0, 10)] {
            assert_eq!(version_blocker(snapshot, server), None);
        }
        let said = version_blocker(18, 15).unwrap();
        assert!(said.contains("PostgreSQL 18") && said.contains("older: 15"), "{said}");
    }
}
