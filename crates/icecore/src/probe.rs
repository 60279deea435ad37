//! Whether a source is there.

use icecore_engine::{CaptureError, mysql, postgres, redis};

use crate::{Result, Source};

/// Reaches for a source, and returns the version of its server; for a file, nothing.
///
/// # Errors
/// As a capture would fail at once.
pub fn probe(source: &Source) -> Result<String> {
    match source {
        Source::Postgres(endpoint) => Ok(postgres::version(endpoint)?),
        Source::Mysql(endpoint) => Ok(mysql::server(endpoint, &|| false)?.version),
        Source::Redis(endpoint) => Ok(redis::version(endpoint)?),
        Source::Path(path) | Source::Sqlite(path) => match path.metadata() {
            Ok(_) => Ok(String::new()),
            Err(source) => {
                Err(CaptureError::Read { action: "cannot read", path: path.clone(), source }.into())
            }
        },
        Source::Stdin | Source::Command(_) => Ok(String::new()),
    }
}
