//! Options of restores that only databases have.

use icecore_engine::Check;
use icecore_engine::database::Options;

use crate::failure::{CommandError, Result};

/// Options for databases of PostgreSQL, MySQL, MariaDB and SQLite.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "For databases of PostgreSQL, MySQL, MariaDB and SQLite")]
pub(crate) struct DatabaseArgs {
    /// Keep the database that is there under a name of its own, for longer than until the next restore
    #[arg(long, conflicts_with = "replace")]
    pub(super) preserve: bool,
    /// Drop the database that was there, when a snapshot of it has been taken
    #[arg(long)]
    pub(super) replace: bool,
    /// Make roles that are missing, without a password (PostgreSQL)
    #[arg(long)]
    pub(super) create_roles: bool,
    /// Make subscriptions, disabled, and replication slots again (PostgreSQL)
    #[arg(long)]
    pub(super) with_cdc: bool,
    /// Make who connects the definer of views, triggers, routines and events (MySQL, MariaDB)
    #[arg(long)]
    pub(super) without_definers: bool,
    /// Go back if this query fails on what was restored, gives no row, or says false, 0 or null, or if this command fails: '!psql -f smoke.sql'; may be repeated
    #[arg(long = "check", value_name = "SQL|!CMD")]
    pub(super) checks: Vec<String>,
}

impl DatabaseArgs {
    /// What the restored database must stand.
    pub(super) fn checks(&self) -> Vec<Check> {
        self.checks.iter().map(|text| Check::from(text.as_str())).collect()
    }

    /// Refuses a check that asks nothing.
    pub(super) fn refuse_empty(&self) -> Result<()> {
        match self.checks.iter().any(|check| check.trim_start_matches('!').trim().is_empty()) {
            true => {
                Err(CommandError::usage("--check asks nothing").hint("give it a query, or '!' and a command"))
            }
            false => Ok(()),
        }
    }

    /// What they mean for one table.
    pub(super) fn of_table(&self) -> Result<Options> {
        self.refuse_empty()?;
        match self.preserve || self.replace {
            true => Err(CommandError::usage("--preserve and --replace are for whole databases")
                .hint("a table that was replaced is kept until it is restored once more")),
            false => Ok(Options {
                create_roles: self.create_roles,
                without_definers: self.without_definers,
                checks: self.checks(),
                ..Options::default()
            }),
        }
    }

    /// Whether anything is asked for that only databases have.
    pub(super) fn is_used(&self) -> bool {
        self.preserve || self.replace || self.is_of_a_server() || !self.checks.is_empty()
    }

    /// Whether anything is asked for that only servers have.
    pub(super) fn is_of_a_server(&self) -> bool {
        self.create_roles || self.with_cdc || self.without_definers
    }

    /// Refuses what means nothing for files.
    pub(super) fn refuse_others(&self) -> Result<()> {
        match self.is_used() {
            true => Err(CommandError::usage(
                "--preserve, --replace, --create-roles, --with-cdc, --without-definers and --check are for databases of PostgreSQL, MySQL, MariaDB and SQLite",
            )),
            false => Ok(()),
        }
    }
}
