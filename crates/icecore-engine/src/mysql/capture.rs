//! All of a database at one moment, as the server's own dump program tells it.

use std::ffi::OsString;
use std::io::Read;

use super::Endpoint;
use super::complaint::Complaint;
use super::facts::{Annotated, Facts};
use super::programs::{Login, first_of, said};
use super::restore::gives;
use super::saved::{self, Saved};
use super::session::{check_tls, ident};
use crate::command::Messages;
use crate::{CaptureError, CommandSource};

/// What a server may say of itself, and of its tables.
const ANSWER_LEN_MAX: u64 = 1 << 27;
/// The same for every night: no date, no positions; and what programs leave out if nobody asks.
const OPTIONS: [&str; 12] = [
    "--single-transaction",
    "--quick",
    "--skip-lock-tables",
    "--routines",
    "--events",
    "--triggers",
    "--hex-blob",
    "--tz-utc",
    "--default-character-set=utf8mb4",
    "--max-allowed-packet=1G",
    "--skip-dump-date",
    "--no-tablespaces",
];
/// What only some programs know.
const OPTIONS_OF_SOME: [(&str, &str); 2] =
    [("--set-gtid-purged", "--set-gtid-purged=OFF"), ("--column-statistics", "--column-statistics=0")];
/// Every row says first what it is of.
const QUESTIONS: &str = "SELECT 'version', VERSION();
SELECT 'unsteady', CONCAT(TABLE_NAME, ' (', ENGINE, ')') FROM information_schema.TABLES
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE' AND ENGINE <> 'InnoDB' ORDER BY 2;
SELECT 'texts', DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = DATABASE();
SELECT 'aside', TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '__icecore' AND TABLE_COMMENT LIKE 'icecore: %'";

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `mysql` or `mariadb`.
    pub engine: &'static str,
    /// Its version.
    pub version: String,
    /// Tables whose rows may change while they are dumped, with their engines: `log (MyISAM)`.
    pub unsteady: Vec<String>,
    /// What the dump may leave out without a word, as who connects may not see it, and what would help.
    pub unseen: Vec<String>,
    /// What the dump does not say.
    pub facts: Facts,
    /// The code of a database that was put aside, where it is in a table.
    aside: Option<Saved>,
}

/// Asks a server that lets us in.
pub fn server(endpoint: &Endpoint, is_cancelled: &dyn Fn() -> bool) -> Result<Server, CaptureError> {
    let mut server = Server {
        engine: "mysql",
        version: String::new(),
        unsteady: Vec::new(),
        unseen: Vec::new(),
        facts: Facts::default(),
        aside: None,
    };
    if endpoint.insists_on_tls() {
        check_tls(endpoint).map_err(|trouble| CaptureError::Source(trouble.what))?;
    }
    let mut is_aside = false;
    for row in ask(endpoint, QUESTIONS, is_cancelled)? {
        let mut values = row.into_iter();
        let (what, mut next) = (values.next().unwrap_or_default(), || values.next().unwrap_or_default());
        match what.as_str() {
            "version" => server.version = next(),
            "unsteady" => server.unsteady.push(next()),
            "texts" => (server.facts.charset, server.facts.collation) = (next(), next()),
            "aside" => is_aside = true,
            _ => (),
        }
    }
    if server.version.contains("MariaDB") {
        server.engine = "mariadb";
    }
    server.unseen = unseen(&endpoint.database, &grants(endpoint, is_cancelled)?, server.engine == "mariadb");
    if is_aside {
        let rows = ask(endpoint, &format!("SELECT {} ORDER BY n", saved::HEXED), is_cancelled)?;
        let saved = Saved::of_hex(&rows).map_err(|why| {
            let what = format!("the database {endpoint}: the table {} {why}", saved::MARK);
            CaptureError::Source(what)
        })?;
        (server.facts.charset, server.facts.collation) = saved.texts.clone().unwrap_or_default();
        server.aside = Some(saved);
    }
    Ok(server)
}

/// What who connects may do, a line each. A server that knows no rights tells none.
fn grants(endpoint: &Endpoint, is_cancelled: &dyn Fn() -> bool) -> Result<Vec<String>, CaptureError> {
    match ask(endpoint, "SHOW GRANTS", is_cancelled) {
        Err(CaptureError::Source(_)) => Ok(Vec::new()),
        // A program doubles backslashes.
        rows => Ok(rows?.into_iter().flatten().map(|grant| grant.replace("\\\\", "\\")).collect()),
    }
}

/// What programs that dump do not find if one may not do this.
fn unseen(database: &str, grants: &[String], is_mariadb: bool) -> Vec<String> {
    // What a role gives is told by MariaDB alone.
    let has_roles = !is_mariadb && grants.iter().any(|grant| !grant.contains(" ON "));
    if grants.is_empty() || has_roles {
        return Vec::new();
    }
    let has = |right, database| grants.iter().any(|grant| gives(grant, right, database));
    // Who may do anything with routines sees their names, and the dump fails if it does not see all of them.
    let of_routines = ["EXECUTE", "ALTER ROUTINE", "CREATE ROUTINE", "SHOW CREATE ROUTINE", "SHOW_ROUTINE"];
    let sees_routines = has("SELECT", "mysql")
        || grants.iter().any(|grant| grant.contains(" ON `mysql`.`proc` "))
        || of_routines.into_iter().any(|right| has(right, database));
    let place = ident(database);
    let of_all = if is_mariadb { "SELECT ON mysql.proc" } else { "SHOW_ROUTINE ON *.*" };
    let lacks = |what: &str, grant: &str| {
        format!(
            "{what} of the database are not in it, if it has any: who connects may not see them; GRANT {grant}"
        )
    };
    let triggers = (!has("TRIGGER", database)).then(|| lacks("triggers", &format!("TRIGGER ON {place}.*")));
    let routines = (!sees_routines).then(|| lacks("routines", of_all));
    triggers.into_iter().chain(routines).collect()
}

/// The rows of a query, by the program that also reads option files.
fn ask(
    endpoint: &Endpoint,
    query: &str,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<Vec<Vec<String>>, CaptureError> {
    let program = first_of(["mariadb", "mysql"])?;
    let mut argv = vec![OsString::from(program)];
    let arguments = endpoint.arguments().into_iter().chain(endpoint.tls_arguments(program));
    argv.extend(arguments.map(OsString::from));
    let words = [
        "--batch",
        "--skip-column-names",
        "--default-character-set=utf8mb4",
        "--connect-timeout=10",
        "--execute",
        query,
        "--",
        &endpoint.database,
    ];
    argv.extend(words.map(OsString::from));
    let messages = Messages::new()?;
    let mut source = CommandSource::spawn_telling(&argv, &endpoint.variables(), &messages)?;
    let mut answer = String::new();
    let read = source.reader(is_cancelled).take(ANSWER_LEN_MAX).read_to_string(&mut answer);
    source.finish(is_cancelled).map_err(|error| explain(error, &messages.text(), endpoint))?;
    read.map_err(|error| {
        CaptureError::Source(format!("the database {endpoint} says nothing that can be read: {error}"))
    })?;
    Ok(answer.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

/// Why a program failed: it has said so.
fn explain(error: CaptureError, printed: &str, endpoint: &Endpoint) -> CaptureError {
    match error {
        CaptureError::Source(_) if !printed.trim().is_empty() => {
            let has_password = Login::of(endpoint).has_password();
            CaptureError::Source(Complaint::of_program(printed).about(endpoint, has_password))
        }
        error => error,
    }
}

/// A dump that has begun.
#[derive(Debug)]
pub struct Dump {
    source: CommandSource,
    messages: Messages,
    endpoint: Endpoint,
    /// What the program is called.
    pub program: &'static str,
    line: String,
    tail: Vec<u8>,
}

impl Dump {
    /// The script, with what the program leaves out.
    pub fn reader<'a>(&'a mut self, is_cancelled: &'a dyn Fn() -> bool) -> Annotated<Box<dyn Read + 'a>> {
        let reader = Box::new(self.source.reader(is_cancelled));
        Annotated::new(reader, self.line.clone(), self.tail.clone())
    }

    /// Waits for the program to end: only its success makes the dump complete. Returns what it had to say, a line each.
    pub fn finish(self, is_cancelled: &dyn Fn() -> bool) -> Result<Vec<String>, CaptureError> {
        let Self { source, messages, endpoint, .. } = self;
        source.finish(is_cancelled).map_err(|error| explain(error, &messages.text(), &endpoint))?;
        Ok(messages.text().lines().map(str::to_owned).collect())
    }
}

/// Starts the program that dumps the database. It is complete only when the program succeeded, and its output reached its end marker.
pub fn capture(endpoint: &Endpoint, server: &Server) -> Result<Dump, CaptureError> {
    let program = match server.engine {
        "mariadb" => first_of(["mariadb-dump", "mysqldump"])?,
        _ => first_of(["mysqldump", "mariadb-dump"])?,
    };
    let known = said(program, &["--help"]);
    let mut argv = vec![OsString::from(program)];
    let arguments = endpoint.arguments().into_iter().chain(endpoint.tls_arguments(program));
    argv.extend(arguments.map(OsString::from));
    argv.extend(OPTIONS.map(OsString::from));
    let of_this = OPTIONS_OF_SOME.iter().filter(|(name, _)| known.contains(name));
    argv.extend(of_this.map(|(_, option)| OsString::from(option)));
    if server.aside.is_some() {
        argv.push(format!("--ignore-table={}.{}", endpoint.database, saved::MARK).into());
    }
    argv.extend(["--", endpoint.database.as_str()].map(OsString::from));
    let tail = server.aside.as_ref().map(Saved::script).unwrap_or_default();
    let messages = Messages::new()?;
    let source = CommandSource::spawn_telling(&argv, &endpoint.variables(), &messages)?;
    let endpoint = endpoint.clone();
    Ok(Dump { source, messages, endpoint, program, line: server.facts.line(), tail })
}
