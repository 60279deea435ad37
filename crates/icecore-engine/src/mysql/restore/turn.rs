//! One restore of a database at a time.

use icecore_format::Digest;

use super::super::Endpoint;
use super::super::session::{Session, literal};
use crate::RestoreError;

/// How long somebody else may take to end, in seconds.
const PATIENCE: u32 = 1;

/// The right to change what is where, which only one has at a time. It ends with the connection that changes it, and not before the
/// statement that runs there has.
pub(super) struct Turn {
    pub(super) server: Session,
    pub(super) endpoint: Endpoint,
    lock: String,
    /// The server's number of the connection.
    id: String,
}

impl Turn {
    pub(super) fn take(endpoint: &Endpoint) -> Result<Self, RestoreError> {
        let mut server = Session::open(endpoint)?;
        let database = &endpoint.database;
        // A name of a lock has 64 characters at most.
        let hash = Digest::of(database.to_lowercase().as_bytes()).to_hex();
        let lock = literal(&format!("icecore_{}", hash.get(..32).unwrap_or(&hash)));
        let id = server.value("SELECT CONNECTION_ID()")?;
        match server.value(&format!("SELECT GET_LOCK({lock}, {PATIENCE})"))?.as_str() {
            "1" => Ok(Self { server, endpoint: endpoint.clone(), lock, id }),
            _ => {
                Err(RestoreError::Busy(format!("the database {database} is being restored by somebody else")))
            }
        }
    }

    /// Makes sure of it after a long while: a connection on which nothing is said may be gone.
    pub(super) fn renew(&mut self) -> Result<(), RestoreError> {
        let is_ours = self.server.value(&format!("SELECT IS_USED_LOCK({}) = CONNECTION_ID()", self.lock));
        match is_ours.as_deref() {
            Ok("1") => Ok(()),
            _ => Self::take(&self.endpoint).map(|turn| *self = turn),
        }
    }

    /// Takes it again where an answer was lost: what runs on the old connection is over then.
    pub(super) fn take_again(&mut self) -> Result<(), RestoreError> {
        let taken = Self::take(&self.endpoint);
        if matches!(taken, Err(RestoreError::Busy(_))) {
            // The server may not know yet that nobody listens.
            let mut session = Session::open(&self.endpoint)?;
            if session.value(&format!("SELECT IS_USED_LOCK({})", self.lock))? == self.id {
                session.run(format!("KILL {}", self.id))?;
            }
        }
        taken.map(|turn| *self = turn)
    }
}
