//! One restore of a database at a time.

use icecore_format::Digest;

use super::super::Endpoint;
use super::super::session::{Session, literal};
use crate::RestoreError;

/// The right to change what is where, which only one has at a time; it ends with the connection.
pub(super) struct Turn {
    _session: Session,
}

impl Turn {
    pub(super) fn take(endpoint: &Endpoint) -> Result<Self, RestoreError> {
        let mut session = Session::open(endpoint)?;
        let database = &endpoint.database;
        // A name of a lock has 64 characters at most.
        let hash = Digest::of(database.to_lowercase().as_bytes()).to_hex();
        let name = format!("icecore_{}", hash.get(..32).unwrap_or(&hash));
        match session.value(&format!("SELECT GET_LOCK({}, 0)", literal(&name)))?.as_str() {
            "1" => Ok(Self { _session: session }),
            _ => {
                Err(RestoreError::Busy(format!("the database {database} is being restored by somebody else")))
            }
        }
    }
}
