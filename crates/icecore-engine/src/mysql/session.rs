//! Connections, and what goes wrong on them.

use super::Endpoint;
use super::complaint::Complaint;
use super::programs::Login;
use super::tls::mode;
use super::wire::{Answer, Fault, Place, Value, Wire};
use crate::tls::{Connector, MYSQL, Mode, explain};

/// What no session of ours depends on.
const SETTINGS: &str = "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO', foreign_key_checks = 0, unique_checks = 0, time_zone = '+00:00', autocommit = 1, wait_timeout = 31536000, sql_notes = 0";

/// A lock that somebody holds for as long is not waited for, in seconds: the backup of a whole server may take as long to begin.
const PATIENCE: &str = "SET SESSION lock_wait_timeout = 600";

/// What a server says when somebody holds a lock for too long.
pub(super) const LOCK_WAIT: u16 = 1205;
/// What a server says when it finds at a commit that it cannot.
const ERROR_DURING_COMMIT: u16 = 1180;
/// And to who comes without TLS, if it must not be.
const INSECURE: u16 = 3159;
/// Character sets with bytes that mean something else where they stand alone.
const AMBIGUOUS: [&str; 5] = ["big5", "cp932", "gb18030", "gbk", "sjis"];

/// What a server is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Version {
    /// As it says it: `10.11.14-MariaDB`.
    pub(super) text: String,
    pub(super) is_mariadb: bool,
    /// 101114 for 10.11.14.
    pub(super) number: u32,
}

impl Version {
    pub(super) fn parse(text: &str) -> Self {
        // Some say first what very old replicas want to hear.
        let bare = text.strip_prefix("5.5.5-").unwrap_or(text);
        let mut numbers =
            bare.split(|c: char| !c.is_ascii_digit()).map(|it| it.parse::<u32>().unwrap_or(0).min(999));
        let mut next = || numbers.next().unwrap_or(0);
        let number = next() * 10_000 + next().min(99) * 100 + next().min(99);
        Self { text: bare.to_owned(), is_mariadb: text.contains("MariaDB"), number }
    }

    /// Whether one statement that renames several tables is all done or not at all, even if the server dies.
    pub(super) fn renames_as_one(&self) -> bool {
        self.number >= if self.is_mariadb { 100_600 } else { 80_000 }
    }
}

/// A connection.
pub(super) struct Session {
    wire: Wire,
    endpoint: Endpoint,
    pub(super) version: Version,
    /// Whether names of databases that differ in upper and lower case alone are of different ones.
    heeds_case: bool,
}

/// What goes wrong on a connection, with the database's name, in one sentence.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what}")]
pub(super) struct Trouble {
    pub(super) what: String,
    /// The server's number for it, if it was the server.
    pub(super) code: Option<u16>,
    /// Whether there is no connection: the server is not there, or lets us not in.
    pub(super) is_unreached: bool,
}

impl Session {
    /// Connects to a server, and to none of its databases.
    pub(super) fn open(endpoint: &Endpoint) -> Result<Self, Trouble> {
        let wire = connect(endpoint).map_err(|unreached| unreached.trouble)?;
        let mut session =
            Self { wire, endpoint: endpoint.clone(), version: Version::default(), heeds_case: true };
        session.reset()?;
        session.run(PATIENCE)?;
        session.version = Version::parse(&session.value("SELECT VERSION()")?);
        session.heeds_case = session.value("SELECT @@lower_case_table_names")? == "0";
        if session.version.is_mariadb {
            session.run("SET SESSION max_statement_time = 0")?;
        }
        Ok(session)
    }

    /// Connects to a database of the server.
    pub(super) fn enter(endpoint: &Endpoint, schema: &str) -> Result<Self, Trouble> {
        let mut session = Self::open(endpoint)?;
        session.run(format!("USE {}", ident(schema)))?;
        Ok(session)
    }

    /// Runs a statement. Returns how many rows it changed.
    pub(super) fn run(&mut self, statement: impl AsRef<[u8]>) -> Result<u64, Trouble> {
        self.answer(statement.as_ref()).map(|answer| answer.affected)
    }

    /// The same for one that may take long, for as long as somebody wants to wait.
    pub(super) fn run_unless(
        &mut self,
        is_cancelled: &dyn Fn() -> bool,
        statement: &[u8],
    ) -> Result<u64, Trouble> {
        let answer = self.wire.query(statement, is_cancelled);
        answer.map(|answer| answer.affected).map_err(|fault| trouble(&self.endpoint, fault))
    }

    /// The rows of a query.
    pub(super) fn rows(&mut self, query: impl AsRef<[u8]>) -> Result<Vec<Vec<Value>>, Trouble> {
        self.answer(query.as_ref()).map(|answer| answer.rows)
    }

    /// The same of one that may take long, for as long as somebody wants to wait.
    pub(super) fn rows_unless(
        &mut self,
        is_cancelled: &dyn Fn() -> bool,
        query: &str,
    ) -> Result<Vec<Vec<Value>>, Trouble> {
        let answer = self.wire.query(query.as_bytes(), is_cancelled);
        answer.map(|answer| answer.rows).map_err(|fault| trouble(&self.endpoint, fault))
    }

    /// The first value of each row.
    pub(super) fn column(&mut self, query: &str) -> Result<Vec<String>, Trouble> {
        Ok(self.rows(query)?.iter().map(|row| text(row, 0)).collect())
    }

    /// The first value of the first row; empty for null.
    pub(super) fn value(&mut self, query: &str) -> Result<String, Trouble> {
        Ok(self.column(query)?.into_iter().next().unwrap_or_default())
    }

    /// A condition: a column of a catalog, where all names look alike in upper and lower case, has this name.
    pub(super) fn named(&self, column: &str, name: &str) -> String {
        let name = literal(name);
        match self.heeds_case {
            true => format!("({column} = {name} AND BINARY {column} = {name})"),
            // Collations take letters for the same that are not.
            false => format!("({column} = {name} AND BINARY LOWER({column}) = BINARY LOWER({name}))"),
        }
    }

    /// Whether two names of tables or databases are one to the server.
    pub(super) fn is_same(&self, one: &str, other: &str) -> bool {
        one == other || !self.heeds_case && one.to_lowercase() == other.to_lowercase()
    }

    /// Makes the session what it was when it began, but for its database.
    pub(super) fn reset(&mut self) -> Result<(), Trouble> {
        self.run("SET NAMES utf8mb4")?;
        self.run(SETTINGS).map(drop)
    }

    /// Makes sure that the server reads texts as [`icecore_dump`] does, whatever a script has said.
    ///
    /// # Errors
    /// If it has said that texts are of a character set in which a backslash or a quote may be a part of another character.
    pub(super) fn read_plainly(&mut self) -> Result<(), Trouble> {
        let charset = self.value("SELECT @@character_set_client")?;
        if AMBIGUOUS.contains(&charset.as_str()) {
            return Err(self
                .says(&format!("rows in {charset} are not read here: a client does, by --to - | mariadb")));
        }
        self.run("SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'").map(drop)
    }

    /// Something is wrong with this database.
    pub(super) fn says(&self, what: &str) -> Trouble {
        let start = format!("the database {}: ", self.endpoint);
        Trouble { what: format!("{start}{}", what.replace(&start, "")), code: None, is_unreached: false }
    }

    fn answer(&mut self, statement: &[u8]) -> Result<Answer, Trouble> {
        self.wire.query(statement, &|| false).map_err(|fault| trouble(&self.endpoint, fault))
    }
}

/// A value of a row as text; empty for null.
pub(super) fn text(row: &[Value], column: usize) -> String {
    String::from_utf8_lossy(bytes(row, column)).into_owned()
}

/// A value of a row; empty for null.
pub(super) fn bytes(row: &[Value], column: usize) -> &[u8] {
    row.get(column).and_then(Option::as_deref).unwrap_or_default()
}

/// A name as SQL writes it.
pub(super) fn ident(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text as SQL writes it in the mode that our sessions have.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Bytes as SQL writes them.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    let mut text = String::with_capacity(bytes.len() * 2 + 3);
    text.push_str("x'");
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\'');
    text
}

/// Why there is no connection.
struct Unreached {
    is_of_tls: bool,
    trouble: Trouble,
}

/// Whether a server that must speak TLS does, and is who it should be. Whether it lets us in is not asked.
pub(super) fn check_tls(endpoint: &Endpoint) -> Result<(), Trouble> {
    match connect(endpoint) {
        Err(unreached) if unreached.is_of_tls => Err(unreached.trouble),
        _ => Ok(()),
    }
}

fn connect(endpoint: &Endpoint) -> Result<Wire, Unreached> {
    let Login { place, user, password, tls } = Login::of(endpoint);
    let tls = match place {
        Place::Socket(_) => Ok(Connector::none()),
        Place::Tcp(..) => Connector::new(&tls, mode(&tls).unwrap_or(Mode::Prefer), &MYSQL),
    };
    let tls = tls.map_err(|why| {
        let what = format!("the database {endpoint}: {why}");
        Unreached { is_of_tls: true, trouble: Trouble { what, code: None, is_unreached: true } }
    })?;
    let wire = match Wire::open(&place, &user, &password, &tls) {
        Err(Fault::Connection(error)) if tls.mode == Mode::Prefer && explain(&error, &MYSQL).is_some() => {
            Wire::open(&place, &user, &password, &Connector::none())
        }
        wire => wire,
    };
    let has_password = !password.is_empty();
    let is_without_tls = matches!(place, Place::Tcp(..)) && tls.mode == Mode::Disable;
    wire.map_err(|fault| unreachable(endpoint, has_password, is_without_tls, fault))
}

fn unreachable(endpoint: &Endpoint, has_password: bool, is_without_tls: bool, fault: Fault) -> Unreached {
    let is_of_tls = matches!(&fault, Fault::Connection(error) if explain(error, &MYSQL).is_some());
    let (complaint, code) = match fault {
        Fault::Server { code, message } => (Complaint { code: Some(code), text: message }, Some(code)),
        Fault::Connection(error) => (of_connection(&error), None),
    };
    let mut what = complaint.about(endpoint, has_password);
    match code {
        // MariaDB says no more of who should come by TLS.
        Some(1045) if has_password && is_without_tls => {
            what.push_str(" Or must one come by TLS (ssl-mode=REQUIRED)?");
        }
        Some(INSECURE) => what.push_str("; ssl-mode=REQUIRED asks for TLS"),
        _ => (),
    }
    Unreached { is_of_tls, trouble: Trouble { what, code, is_unreached: true } }
}

fn of_connection(error: &std::io::Error) -> Complaint {
    explain(error, &MYSQL)
        .map_or_else(|| Complaint::of_connection(error), |text| Complaint { code: None, text })
}

fn trouble(endpoint: &Endpoint, fault: Fault) -> Trouble {
    let (text, code) = match fault {
        // Rows that were loaded at once are looked at when they are committed, and nothing else is said of them.
        Fault::Server { code: code @ ERROR_DURING_COMMIT, message } => {
            (format!("{message}; does a key come twice, or is there no room?"), Some(code))
        }
        Fault::Server { code, message } => (message, Some(code)),
        Fault::Connection(error) => (of_connection(&error).text, None),
    };
    Trouble { what: Complaint { code, text }.about(endpoint, true), code, is_unreached: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_tell_their_versions_in_many_ways() {
        let check = |text: &str, is_mariadb: bool, number: u32| {
            let version = Version::parse(text);
            assert_eq!((version.is_mariadb, version.number), (is_mariadb, number), "{text}");
        };
        check("10.11.14-MariaDB-0+deb12u2", true, 101_114);
        check("5.5.5-10.4.8-MariaDB-log", true, 100_408);
        check("8.0.36-28", false, 80_036);
        check("", false, 0);
        check("99999999999.7.x", false, 700);
    }
}
