//! Why there is no connection, and what to do about it.

use postgres::error::DbError;

use super::connect::Shut;
use super::endpoint::{Endpoint, Host};
use super::session::{Trouble, is_of_tls, trouble};
use crate::{CaptureError, RestoreError};

/// `SQLSTATE` of who may not come at all, or not in this way.
pub(super) const NOT_LET_IN: &str = "28000";
/// Of who proves nothing.
const WRONG_PASSWORD: &str = "28P01";
const NO_SUCH_DATABASE: &str = "3D000";
const TOO_MANY: &str = "53300";
const NOT_NOW: &str = "57P03";
/// The places in the server's code that refuse a role, and whoever `pg_hba.conf` does not let in: what it says there may be in any language.
const OF_ROLE: &str = "InitializeSessionUserId";
const OF_HBA: &str = "ClientAuthentication";
/// What the client says when the server asks for a password, and there is none.
const NO_PASSWORD: &str = "invalid configuration: password missing";

/// A server that is not there, or does not let us in.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub(super) struct Unreached(#[from] pub(super) Trouble);

impl Unreached {
    /// What the connection, or the server, says is wrong, with a hint.
    pub(super) fn of(endpoint: &Endpoint, shut: &Shut) -> Self {
        let Shut::Error(error) = shut else {
            let what =
                format!("the database {endpoint}: nothing answers; is it PostgreSQL that listens there?");
            return Self(Trouble { what, code: None });
        };
        let Trouble { what, code } = trouble(endpoint, error);
        let has_password = endpoint.password.is_some();
        let hint = match error.as_db_error() {
            Some(said) if wants_tls(endpoint, said) => {
                Some("it may want TLS, which sslmode=require asks for")
            }
            Some(said) => of_server(said, has_password),
            None if is_of_tls(error) => None,
            None => of_connection(&what, has_password),
        };
        let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        let what = what.replace(NO_PASSWORD, "it asks for a password");
        Self(Trouble { what: format!("{what}{hint}"), code })
    }

    /// The same, said of the database that was meant, where another one of its server was tried.
    pub(super) fn meant(self, tried: &Endpoint, meant: &Endpoint) -> Self {
        let Self(Trouble { what, code }) = self;
        let start = |endpoint: &Endpoint| format!("the database {endpoint}: ");
        let what = what.replacen(&start(tried), &start(meant), 1);
        Self(Trouble { what, code })
    }
}

/// A socket has no TLS, and nobody wants it there.
fn wants_tls(endpoint: &Endpoint, said: &DbError) -> bool {
    let is_without = ["no encryption", "SSL off"].iter().any(|it| said.message().contains(it));
    said.code().code() == NOT_LET_IN && is_without && matches!(endpoint.host, Host::Tcp(_))
}

fn of_server(said: &DbError, has_password: bool) -> Option<&'static str> {
    Some(match (said.code().code(), said.routine()) {
        (NOT_LET_IN, Some(OF_ROLE)) => {
            "name the role that may: postgres://ROLE@HOST/DATABASE, PGUSER, or user of a service"
        }
        (NOT_LET_IN, Some(OF_HBA)) => "the server's pg_hba.conf says who is let in, and from where",
        (NOT_LET_IN, _) => {
            "the server's pg_hba.conf asks for another proof than a password, such as a user of the system of that name (peer)"
        }
        (WRONG_PASSWORD, _) if has_password => "is it the right role, and the right password?",
        (WRONG_PASSWORD, _) => "give a password by PGPASSWORD or ~/.pgpass",
        (NO_SUCH_DATABASE, _) => "psql -l lists what there is",
        (TOO_MANY, _) => "try again when others have gone, or let the server have more connections",
        (NOT_NOW, _) => "try again in a moment",
        _ => return None,
    })
}

/// What the client says has no numbers.
fn of_connection(what: &str, has_password: bool) -> Option<&'static str> {
    Some(match () {
        () if !has_password && what.contains(NO_PASSWORD) => "give one by PGPASSWORD or ~/.pgpass",
        () if what.contains("lookup address") => "is that the right name of the host?",
        () => "does the server run, and listen there?",
    })
}

impl From<Unreached> for Trouble {
    fn from(Unreached(trouble): Unreached) -> Self {
        trouble
    }
}

impl From<Unreached> for CaptureError {
    fn from(Unreached(trouble): Unreached) -> Self {
        trouble.into()
    }
}

impl From<Unreached> for RestoreError {
    fn from(Unreached(trouble): Unreached) -> Self {
        Self::Unreachable(trouble.what)
    }
}
