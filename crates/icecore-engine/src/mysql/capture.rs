//! All of a database at one moment, as the server's own dump program tells it.

use std::ffi::OsString;
use std::io::Read as _;
use std::process::{Command, Stdio};

use super::Endpoint;
use crate::{CaptureError, CommandSource};

/// What a server may say of itself, and of its tables.
const ANSWER_LEN_MAX: u64 = 1 << 24;
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

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `mysql` or `mariadb`.
    pub engine: &'static str,
    /// Its version.
    pub version: String,
    /// Tables whose rows may change while they are dumped, with their engines: `log (MyISAM)`.
    pub unsteady: Vec<String>,
}

/// Asks a server that lets us in.
pub fn server(endpoint: &Endpoint, is_cancelled: &dyn Fn() -> bool) -> Result<Server, CaptureError> {
    let program = first_of(["mariadb", "mysql"])?;
    let query =
        "SELECT VERSION(); SELECT CONCAT(TABLE_NAME, ' (', ENGINE, ')') FROM information_schema.TABLES
        WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE' AND ENGINE <> 'InnoDB' ORDER BY 1";
    let mut argv = vec![OsString::from(program)];
    argv.extend(endpoint.arguments().into_iter().map(OsString::from));
    let words = [
        "--batch",
        "--skip-column-names",
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
    let unreadable = |error| {
        CaptureError::Source(format!("the database {endpoint} says nothing that can be read: {error}"))
    };
    read.map_err(unreadable)?;
    let mut lines = answer.lines().map(str::to_owned);
    let version = lines.next().unwrap_or_default();
    let engine = if version.contains("MariaDB") { "mariadb" } else { "mysql" };
    Ok(Server { engine, version, unsteady: lines.collect() })
}

/// Starts the program that dumps the database. It is complete only when the program succeeded, and its output reached its end marker.
pub fn capture(endpoint: &Endpoint, server: &Server) -> Result<(CommandSource, &'static str), CaptureError> {
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
    argv.extend(["--", endpoint.database.as_str()].map(OsString::from));
    Ok((CommandSource::spawn_with(&argv, &endpoint.variables())?, program))
}

/// The first program that is on this machine.
fn first_of(names: [&'static str; 2]) -> Result<&'static str, CaptureError> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let is_there = |name: &&str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    names.into_iter().find(is_there).ok_or_else(|| {
        CaptureError::Source(format!(
            "there is neither {} nor {} on this machine; install mariadb-client",
            names[0], names[1]
        ))
    })
}
