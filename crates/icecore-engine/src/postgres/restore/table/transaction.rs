//! The transaction in which a table changes: its end may be lost on the way, and is looked for then.

use std::thread::sleep;
use std::time::Duration;

use super::super::super::endpoint::Endpoint;
use super::super::super::session::{Session, Trouble};
use super::super::super::unreached::Unreached;
use super::super::load;
use crate::RestoreError;

/// How long to wait for those who use a table.
const LOCK_WAIT: &str = "30s";
const TRIES_MAX: usize = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// A transaction that has begun. Whoever drops it undoes it.
pub(super) struct Transaction<'a> {
    pub(super) session: Session,
    endpoint: &'a Endpoint,
    number: String,
}

impl<'a> Transaction<'a> {
    pub(super) fn begin(endpoint: &'a Endpoint) -> Result<Self, Unreached> {
        let mut session = load::open(endpoint)?;
        // What one waits for here is live at once.
        session.run(&format!("SET synchronous_commit = on; SET lock_timeout = '{LOCK_WAIT}'; BEGIN"))?;
        let number = session.value("SELECT txid_current()")?;
        Ok(Self { session, endpoint, number })
    }

    /// Makes all of it true. `what` is what may have happened if nobody can say.
    pub(super) fn commit(mut self, what: &str) -> Result<Session, RestoreError> {
        match self.session.run("COMMIT") {
            Ok(()) => Ok(self.session),
            Err(trouble) if trouble.code.is_some() => Err(trouble.into()),
            Err(trouble) => self.look(&trouble, what),
        }
    }

    /// Asks the server how the transaction ended whose answer was lost.
    fn look(self, trouble: &Trouble, what: &str) -> Result<Session, RestoreError> {
        for _ in 0..TRIES_MAX {
            let asked = Session::open(self.endpoint).and_then(|mut session| {
                let status = session.value(&format!("SELECT txid_status({})", self.number))?;
                Ok((session, status))
            });
            match asked {
                Ok((session, status)) if status == "committed" => return Ok(session),
                Ok((_, status)) if status == "aborted" => {
                    return Err(RestoreError::Server(trouble.what.clone()));
                }
                _ => sleep(PAUSE),
            }
        }
        Err(RestoreError::Unknown(format!("{}; and it is not known whether {what}", trouble.what)))
    }
}
