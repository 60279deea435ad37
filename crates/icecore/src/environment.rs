//! What surrounds a command: where it runs, who runs it, and what its variables say.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use icecore_engine::{postgres, tls};

use crate::{Error, Result};

/// Where a command runs, and the variables that say how servers are reached.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// Relative paths start here.
    pub cwd: &'a Path,
    /// The value of a variable.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// Who runs it, as the system knows him.
    pub user: &'a dyn Fn() -> Option<String>,
}

/// The password for Redis, as redis-cli takes it.
pub(crate) const REDIS_PASSWORD: &str = "REDISCLI_AUTH";
/// Where programs of MySQL look for a password.
pub(crate) const MYSQL_PASSWORD: &str = "MYSQL_PWD";

impl Environment<'_> {
    /// The value of a variable that is set and not empty.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>> {
        let value = (self.variable)(name).filter(|value| !value.is_empty());
        let unreadable = |_| Error::Unfitting(format!("the variable {name} is not UTF-8"));
        value.map(|value| value.into_string().map_err(unreadable)).transpose()
    }

    /// What programs of PostgreSQL would take from the variables.
    pub(crate) fn postgres(&self) -> Result<postgres::Defaults> {
        let port = self.text("PGPORT")?;
        let port =
            port.map(|port| port.parse().map_err(|_| Error::Unfitting("PGPORT is no port".to_owned())));
        // Those ask the system alone; where it does not know, as in some containers, the variables may.
        let user = match self.text("PGUSER")?.or_else(self.user) {
            Some(user) => Some(user),
            None => self.text("USER")?.or(self.text("LOGNAME")?),
        };
        let home = self.text("HOME")?.map(PathBuf::from);
        Ok(postgres::Defaults {
            host: self.text("PGHOST")?,
            port: port.transpose()?,
            user,
            password: self.text("PGPASSWORD")?,
            database: self.text("PGDATABASE")?,
            passfile: match self.text("PGPASSFILE")? {
                Some(file) => Some(file.into()),
                None => home.as_ref().map(|home| home.join(".pgpass")),
            },
            tls: self.postgres_tls()?,
            needs_binding: self.postgres_binding()?,
            tls_folder: home.map(|home| home.join(".postgresql")),
        })
    }

    fn postgres_tls(&self) -> Result<tls::Settings> {
        const MODE: &str = "PGSSLMODE";
        let mode = self.text(MODE)?.map(|mode| tls::Mode::parse(MODE, &mode)).transpose();
        let path = |name| Ok::<_, Error>(self.text(name)?.map(|path| self.cwd.join(path)));
        Ok(tls::Settings {
            mode: mode.map_err(|error| Error::Unfitting(error.to_string()))?,
            roots: self.text("PGSSLROOTCERT")?.map(|roots| tls::Roots::parse(&roots).below(self.cwd)),
            cert: path("PGSSLCERT")?,
            key: path("PGSSLKEY")?,
        })
    }

    fn postgres_binding(&self) -> Result<Option<bool>> {
        const BINDING: &str = "PGCHANNELBINDING";
        let needed = self.text(BINDING)?.map(|word| postgres::needs_binding(BINDING, &word)).transpose();
        needed.map_err(|error| Error::Unfitting(error.to_string()))
    }
}
