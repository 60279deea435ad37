//! Connections, and what goes wrong on them.

use std::error::Error;

use postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use super::connect::{Shut, connect};
use super::endpoint::Endpoint;
use super::unreached::{NOT_LET_IN, Unreached};
use crate::tls::{self, Connector, Mode};

/// What the client says of TLS that does not come about.
const TLS_FAILED: &str = "error performing TLS handshake";
/// And why, if the server has none.
const NO_TLS: &str = "server does not support TLS";
/// Below this, catalogs look different.
pub(super) const VERSION_MIN: u32 = 10;

/// What no session of ours depends on: settings of the role, the database or the server.
const SETTINGS: &str = "\
SET datestyle = 'ISO'; SET intervalstyle = 'postgres'; SET extra_float_digits = 3; SET bytea_output = 'hex'; SET xmloption = content;
SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET row_security = off; SET search_path = '';
SET synchronize_seqscans = off; SET standard_conforming_strings = on; SET client_min_messages = warning; SET quote_all_identifiers = off;";

/// Settings that not every version knows, and that would end a session which waits for another one's work.
const NO_TIMEOUTS: &str = "SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('idle_session_timeout', 'transaction_timeout')";

/// A connection to one database.
pub(super) struct Session {
    pub(super) client: Client,
    /// How it was made private; somebody who wants to stop it does so likewise.
    pub(super) tls: Connector,
    endpoint: Endpoint,
    /// `server_version_num`, such as 150018.
    pub(super) version: u32,
    /// Whether its texts are in UTF-8. Otherwise they are bytes of which nobody knows what they mean (`SQL_ASCII`), and pass as they are.
    pub(super) is_utf8: bool,
}

/// What goes wrong on a connection, with the database's name, in one sentence.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what}")]
pub(super) struct Trouble {
    pub(super) what: String,
    /// `SQLSTATE`, if the server gave one.
    pub(super) code: Option<String>,
}

impl Session {
    /// Connects.
    pub(super) fn open(endpoint: &Endpoint) -> Result<Self, Unreached> {
        let tls = endpoint.connector();
        let tls =
            tls.map_err(|why| Trouble { what: format!("the database {endpoint}: {why}"), code: None })?;
        let (client, tls) = match connect(endpoint, &tls) {
            // As libpq does: it was not asked for.
            Err(Shut::Error(error)) if tls.mode == Mode::Prefer && is_for_plain(&error) => {
                let plain = Connector::none();
                connect(endpoint, &plain).map(|client| (client, plain)).map_err(|_| Shut::Error(error))
            }
            client => client.map(|client| (client, tls)),
        }
        .map_err(|shut| Unreached::of(endpoint, &shut))?;
        let mut session = Self { client, tls, endpoint: endpoint.clone(), version: 0, is_utf8: true };
        session.run(SETTINGS)?;
        session.rows(NO_TIMEOUTS)?;
        let version = session.value("SHOW server_version_num")?;
        session.version = version.parse().unwrap_or_default();
        if session.major() < VERSION_MIN {
            return Err(session.says(&format!("PostgreSQL before {VERSION_MIN} is not supported")).into());
        }
        if session.value("SHOW server_encoding")? == "SQL_ASCII" {
            session.run("SET client_encoding = 'SQL_ASCII'")?;
            session.is_utf8 = false;
        }
        Ok(session)
    }

    /// In which encoding programs say what the database holds.
    pub(super) fn encoding(&self) -> &'static str {
        if self.is_utf8 { "UTF8" } else { "SQL_ASCII" }
    }

    /// The version's first number.
    pub(super) fn major(&self) -> u32 {
        self.version / 10_000
    }

    /// Runs statements; several in one text are one transaction.
    pub(super) fn run(&mut self, statements: &str) -> Result<(), Trouble> {
        self.client.batch_execute(statements).map_err(|error| trouble(&self.endpoint, &error))
    }

    /// The rows of a query, as text.
    pub(super) fn rows(&mut self, query: &str) -> Result<Vec<SimpleQueryRow>, Trouble> {
        let messages = self.client.simple_query(query).map_err(|error| trouble(&self.endpoint, &error))?;
        let rows: Vec<_> = messages
            .into_iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            })
            .collect();
        let is_text = |row: &SimpleQueryRow| (0..row.len()).all(|column| row.try_get(column).is_ok());
        match self.is_utf8 || rows.iter().all(is_text) {
            true => Ok(rows),
            false => {
                Err(self.says("something in it has a name that is not in UTF-8; take what pg_dump prints"))
            }
        }
    }

    /// The first value of the first row; empty for null.
    pub(super) fn value(&mut self, query: &str) -> Result<String, Trouble> {
        let rows = self.rows(query)?;
        Ok(rows.first().map(|row| text(row, 0)).unwrap_or_default())
    }

    /// Something is wrong with this database.
    pub(super) fn says(&self, what: &str) -> Trouble {
        Trouble { what: format!("the database {}: {what}", self.endpoint), code: None }
    }
}

/// A value of a row; empty for null.
pub(super) fn text(row: &SimpleQueryRow, column: usize) -> String {
    row.try_get(column).ok().flatten().unwrap_or_default().to_owned()
}

/// A name as SQL writes it.
pub(super) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL writes it.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Whether the server may let in who comes without TLS: with it, it does not work, or is not let in.
fn is_for_plain(error: &postgres::Error) -> bool {
    let is_refused = error.code().is_some_and(|code| code.code() == NOT_LET_IN);
    is_refused || is_of_tls(error)
}

/// What the server, or the connection, says is wrong.
pub(super) fn trouble(endpoint: &Endpoint, error: &postgres::Error) -> Trouble {
    let (what, code) = match error.as_db_error() {
        Some(error) => {
            let more = error.detail().or(error.hint()).map(|more| format!(" ({more})")).unwrap_or_default();
            (format!("{}{more}", error.message()), Some(error.code().code().to_owned()))
        }
        None if is_of_tls(error) => (of_tls(error), None),
        None => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            // The system's number for it helps nobody.
            let cause = cause.split(" (os error").next().unwrap_or_default();
            (format!("{error}{cause}"), None)
        }
    };
    Trouble { what: format!("the database {endpoint}: {what}").replace('\n', " "), code }
}

/// Whether a connection was not made private, or not well enough.
pub(super) fn is_of_tls(error: &postgres::Error) -> bool {
    error.to_string().starts_with(TLS_FAILED)
}

fn of_tls(error: &postgres::Error) -> String {
    let is_without = error.source().is_some_and(|cause| cause.to_string() == NO_TLS);
    let cause: &(dyn Error + 'static) = if is_without { &tls::NoTls } else { error };
    tls::explain(cause, &tls::POSTGRES).unwrap_or_else(|| {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("TLS does not come about{cause}")
    })
}
