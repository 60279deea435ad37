//! Databases of servers: restored as always, into a server of our own or beside the databases of another one.

use icecore_engine::database::Options;
use icecore_engine::scratch::Examined;
use icecore_engine::{RestoreError, mysql, postgres};

use super::failure::Failure;
use super::{Found, Job};
use crate::Database;
use crate::restore::{plan_database, restore_database};

/// What a restored database is called in a server of our own.
const NAME: &str = "icecore_proof";
const OR_SCRATCH: &str =
    "or give the URL of a server, on which a database is made and dropped: --scratch URL";

impl Job<'_> {
    pub(super) fn restore_postgres(&self) -> Result<Found, Failure> {
        if let Some(database @ Database::Postgres(_)) = &self.options.scratch {
            return self.restore_beside(database);
        }
        let installed = postgres::scratch::Installed::find(self.major());
        let installed = installed.map_err(Failure::without_server(OR_SCRATCH))?;
        self.need_room_for_server()?;
        let is_cancelled = || self.is_cancelled();
        let folder = postgres::scratch::folder().map_err(Failure::before)?;
        let server = postgres::scratch::Server::start(&installed, folder, &is_cancelled);
        let mut server = server.map_err(Failure::without_server(OR_SCRATCH))?;
        let database = Database::Postgres(server.endpoint(NAME));
        let found = self.restore_into(&database, true);
        found.map_err(|failure| or_death(failure, server.death()))
    }

    pub(super) fn restore_mysql(&self) -> Result<Found, Failure> {
        if let Some(database @ Database::Mysql(_)) = &self.options.scratch {
            return self.restore_beside(database);
        }
        let installed = mysql::scratch::Installed::find(&self.snapshot.info().engine);
        let installed = installed.map_err(Failure::without_server(OR_SCRATCH))?;
        self.need_room_for_server()?;
        let is_cancelled = || self.is_cancelled();
        let folder = mysql::scratch::folder().map_err(Failure::before)?;
        let server = mysql::scratch::Server::start(&installed, folder, &is_cancelled);
        let mut server = server.map_err(Failure::without_server(OR_SCRATCH))?;
        let database = Database::Mysql(server.endpoint(NAME));
        let found = self.restore_into(&database, true);
        found.map_err(|failure| or_death(failure, server.death()))
    }

    /// On a server of somebody's, where the database is dropped again whatever comes of it.
    fn restore_beside(&self, server: &Database) -> Result<Found, Failure> {
        let name = format!("{NAME}_{}_{}", self.snapshot.id.brief(), std::process::id());
        let database = match server {
            Database::Postgres(endpoint) => Database::Postgres(endpoint.with_database(&name)),
            Database::Mysql(endpoint) => Database::Mysql(endpoint.with_database(&name)),
        };
        if database.names().map_err(Failure::before)?.contains(&name) {
            return Err(Failure::Impossible {
                why: format!("{server} has a database {name} already"),
                hint: None,
            });
        }
        let found = self.restore_into(&database, false);
        let dropped = match &database {
            Database::Postgres(endpoint) => postgres::scratch::drop_database(endpoint),
            Database::Mysql(endpoint) => mysql::scratch::drop_database(endpoint),
        };
        match (found, dropped) {
            (Ok(mut found), Err(error)) => {
                found.examined.unproved.push(format!("the database {name} was left behind: {error}"));
                Ok(found)
            }
            (found, _) => found,
        }
    }

    fn restore_into(&self, database: &Database, is_our_own: bool) -> Result<Found, Failure> {
        let options = Options {
            // Rights are given to those who are there.
            create_roles: is_our_own,
            without_definers: is_our_own,
            ..Options::default()
        };
        let (store, snapshot) = (self.store, self.snapshot);
        let plan =
            plan_database(store, snapshot, database, &options, true, self.watch).map_err(Failure::during)?;
        if !plan.blockers.is_empty() {
            return Err(Failure::Impossible { why: plan.blockers.join("; "), hint: None });
        }
        let restored = restore_database(store, snapshot, database, &plan, &options, self.watch);
        let restored = restored.map_err(Failure::during)?;
        let is_cancelled = || self.is_cancelled();
        let (product, looked) = match database {
            Database::Postgres(endpoint) => {
                ("PostgreSQL", postgres::scratch::examine(endpoint, &is_cancelled))
            }
            Database::Mysql(endpoint) => {
                let product = if snapshot.info().engine == "mysql" { "MySQL" } else { "MariaDB" };
                (product, mysql::scratch::examine(endpoint, &is_cancelled))
            }
        };
        let (version, mut examined) = looked.map_err(Failure::during)?;
        (examined.tables, examined.rows) = (restored.tables, restored.rows);
        let of_tables = match snapshot.info().form.as_str() {
            "pg_schema" => "tables without rows",
            _ => "tables with all their rows",
        };
        examined.checks.insert(0, (of_tables, restored.tables));
        examined.unproved.extend(restored.warnings);
        Ok(Found {
            engine: Some(format!("{product} {}", first_word(&version))),
            examined,
            has_tables: true,
            has_rows: true,
        })
    }

    /// The first number of the version of the server that was captured.
    pub(super) fn major(&self) -> Option<u32> {
        let version = self.snapshot.info().engine_version.as_deref()?;
        version.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty())?.parse().ok()
    }
}

/// `15.18 (Debian 15.18-0+deb12u1)` is 15.18.
pub(super) fn first_word(version: &str) -> &str {
    version.split(' ').next().unwrap_or(version)
}

/// A server that died says more than what was noticed of it. What the user wanted stays what it is, and so does damage.
pub(super) fn or_death(failure: Failure, death: Option<RestoreError>) -> Failure {
    match (failure, death) {
        (Failure::Fault { is_damage: false, .. }, Some(death)) => Failure::during(death),
        (failure, _) => failure,
    }
}

/// What was found in all of them.
pub(super) fn found(product: &str, version: &str, examined: Examined) -> Found {
    Found {
        engine: Some(format!("{product} {}", first_word(version))),
        examined,
        has_tables: true,
        has_rows: true,
    }
}
