//! Whether a source is there.

use std::io;
use std::path::Path;

use icecore_engine::{CaptureError, mysql, postgres, redis, sqlite};

use crate::{Error, Result, Source};

/// A source that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// The engine, as a snapshot of it would say it: also whether a server is of MySQL or of MariaDB.
    pub engine: &'static str,
    /// The version of its server; of a file, nothing.
    pub version: String,
}

/// Reaches for a source.
///
/// # Errors
/// As a capture would fail at once.
pub fn probe(source: &Source) -> Result<Probed> {
    let mut probed = Probed { engine: source.engine(), version: String::new() };
    match source {
        Source::Postgres(endpoint) => probed.version = postgres::version(endpoint)?,
        Source::Mysql(endpoint) => {
            let server = mysql::server(endpoint, &|| false)?;
            (probed.engine, probed.version) = (server.engine, server.version);
        }
        Source::Redis(endpoint) => probed.version = redis::version(endpoint)?,
        Source::Sqlite(path) => match sqlite::is_sqlite(path) {
            Ok(true) => (),
            Ok(false) => {
                let path = path.display();
                return Err(CaptureError::Source(format!("{path} is no SQLite database")).into());
            }
            Err(source) => return Err(unreadable(path, source)),
        },
        Source::Path(path) => {
            path.metadata().map_err(|source| unreadable(path, source))?;
        }
        Source::Stdin | Source::Command(_) => (),
    }
    Ok(probed)
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    CaptureError::Read { action: "cannot read", path: path.to_owned(), source }.into()
}
