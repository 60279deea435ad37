//! All of a database at one moment, as the server's own dump program tells it.

use std::ffi::OsString;
use std::io::Read;
use std::process::{Command, Stdio};

use super::Endpoint;
use super::facts::{Annotated, Facts};
use super::objects::{self, Saved};
use super::programs::first_of;
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
SELECT 'aside', TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '__icecore' AND TABLE_COMMENT LIKE 'icecore: %';
SELECT 'definer', DEFINER FROM (SELECT DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA = DATABASE()
    UNION SELECT DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()
    UNION SELECT DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE()
    UNION SELECT DEFINER FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE()) AS code ORDER BY 2";

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `mysql` or `mariadb`.
    pub engine: &'static str,
    /// Its version.
    pub version: String,
    /// Tables whose rows may change while they are dumped, with their engines: `log (MyISAM)`.
    pub unsteady: Vec<String>,
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
        facts: Facts::default(),
        aside: None,
    };
    let mut is_aside = false;
    for row in ask(endpoint, QUESTIONS, is_cancelled)? {
        let mut values = row.into_iter();
        let (what, mut next) = (values.next().unwrap_or_default(), || values.next().unwrap_or_default());
        match what.as_str() {
            "version" => server.version = next(),
            "unsteady" => server.unsteady.push(next()),
            "texts" => (server.facts.charset, server.facts.collation) = (next(), next()),
            "aside" => is_aside = true,
            "definer" => server.facts.definers.push(next()),
            _ => (),
        }
    }
    if server.version.contains("MariaDB") {
        server.engine = "mariadb";
    }
    if is_aside {
        let rows = ask(endpoint, &format!("SELECT {} ORDER BY n", objects::HEXED), is_cancelled)?;
        let saved = Saved::of_hex(&rows);
        (server.facts.charset, server.facts.collation) = saved.texts.clone().unwrap_or_default();
        server.aside = Some(saved);
    }
    Ok(server)
}

/// The rows of a query, by the program that also reads option files.
fn ask(
    endpoint: &Endpoint,
    query: &str,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<Vec<Vec<String>>, CaptureError> {
    let program = first_of(["mariadb", "mysql"])?;
    let mut argv = vec![OsString::from(program)];
    argv.extend(endpoint.arguments().into_iter().map(OsString::from));
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
    let mut source = CommandSource::spawn_with(&argv, &endpoint.variables())?;
    let mut answer = String::new();
    let read = source.reader(is_cancelled).take(ANSWER_LEN_MAX).read_to_string(&mut answer);
    source.finish(is_cancelled).map_err(|error| match error {
        CaptureError::Source(why) => CaptureError::Source(format!(
            "the database {endpoint} cannot be reached: {why}; a password comes from MYSQL_PWD or ~/.my.cnf"
        )),
        error => error,
    })?;
    read.map_err(|error| {
        CaptureError::Source(format!("the database {endpoint} says nothing that can be read: {error}"))
    })?;
    Ok(answer.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

/// A dump that has begun.
#[derive(Debug)]
pub struct Dump {
    /// The program, whose success decides.
    pub source: CommandSource,
    /// What it is called.
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
}

/// Starts the program that dumps the database. It is complete only when the program succeeded, and its output reached its end marker.
pub fn capture(endpoint: &Endpoint, server: &Server) -> Result<Dump, CaptureError> {
    let program = match server.engine {
        "mariadb" => first_of(["mariadb-dump", "mysqldump"])?,
        _ => first_of(["mysqldump", "mariadb-dump"])?,
    };
    let known = Command::new(program).arg("--help").stdin(Stdio::null()).stderr(Stdio::null()).output();
    let known = known.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let mut argv = vec![OsString::from(program)];
    argv.extend(endpoint.arguments().into_iter().map(OsString::from));
    argv.extend(OPTIONS.map(OsString::from));
    let of_this = OPTIONS_OF_SOME.iter().filter(|(name, _)| known.contains(name));
    argv.extend(of_this.map(|(_, option)| OsString::from(option)));
    if server.aside.is_some() {
        argv.push(format!("--ignore-table={}.{}", endpoint.database, objects::MARK).into());
    }
    argv.extend(["--", endpoint.database.as_str()].map(OsString::from));
    let tail = server.aside.as_ref().map(Saved::script).unwrap_or_default();
    let source = CommandSource::spawn_with(&argv, &endpoint.variables())?;
    Ok(Dump { source, program, line: server.facts.line(), tail })
}
