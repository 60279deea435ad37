//! A MySQL or MariaDB server of our own, and a look at what was restored into one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use super::Endpoint;
use super::session::{Session, ident, literal, text};
use crate::RestoreError;
use crate::scratch::{Examined, Folder, Process, Programs};
use crate::tls::Settings;

const USER: &str = "root";
const START_MAX: Duration = Duration::from_secs(120);
/// Speed instead of safety, nobody else in, and nothing done by the clock.
const SETTINGS: [&str; 7] = [
    "--skip-networking",
    "--skip-log-bin",
    "--event-scheduler=OFF",
    "--innodb-buffer-pool-size=64M",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--max-allowed-packet=1G",
];

/// A server that ends with this.
#[derive(Debug)]
pub struct Server {
    process: Process,
    folder: Folder,
}

/// The programs of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    server: PathBuf,
    /// What makes its first files; the server does that itself if it is MySQL.
    maker: Option<PathBuf>,
}

impl Installed {
    /// The server of the same product, as manifests call it: `mysql` or `mariadb`.
    pub fn find(product: &str) -> Result<Self, RestoreError> {
        let wants_mariadb = product == "mariadb";
        let servers = ["mariadbd", "mysqld"].iter().flat_map(|name| Programs::find(name));
        let fits = |path: &PathBuf| {
            Programs::version(path).is_some_and(|version| version.contains("MariaDB") == wants_mariadb)
        };
        let makers =
            || ["mariadb-install-db", "mysql_install_db"].iter().flat_map(|name| Programs::find(name));
        let found = servers.filter(|path| path.is_file()).find(fits).and_then(|server| {
            let maker = if wants_mariadb { Some(makers().next()?) } else { None };
            Some(Self { server, maker })
        });
        let (name, package) =
            if wants_mariadb { ("MariaDB", "mariadb-server") } else { ("MySQL", "mysql-server") };
        found.ok_or_else(|| {
            RestoreError::Unreachable(format!(
                "there is no server of {name} on this machine: install {package}"
            ))
        })
    }
}

/// A folder for a server, empty yet.
pub fn folder() -> Result<Folder, RestoreError> {
    Folder::make(&["mysql"])
}

impl Server {
    /// An empty server that answers.
    pub fn start(
        installed: &Installed,
        folder: Folder,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, RestoreError> {
        let data = folder.sub("data")?;
        let at = |option: &str, path: &Path| format!("--{option}={}", path.display());
        let places = [at("datadir", &data), at("tmpdir", folder.path())];
        let begin = |program: &Path, arguments: &[&str]| {
            let arguments = ["--no-defaults"]
                .into_iter()
                .chain(places.iter().map(String::as_str))
                .chain(arguments.iter().copied());
            Process::start(program, arguments, &folder, Signal::KILL)
        };
        let made = match &installed.maker {
            Some(maker) => begin(maker, &["--auth-root-authentication-method=normal", "--skip-test-db"]),
            None => begin(&installed.server, &["--initialize-insecure"]),
        };
        made?.finish(is_cancelled)?;
        let socket = at("socket", &folder.path().join("socket"));
        let pid = at("pid-file", &folder.path().join("pid"));
        let arguments: Vec<&str> = [socket.as_str(), pid.as_str()].into_iter().chain(SETTINGS).collect();
        let mut process = begin(&installed.server, &arguments)?;
        let endpoint = endpoint(folder.path(), "");
        process.wait_ready(is_cancelled, START_MAX, || Session::open(&endpoint).is_ok())?;
        Ok(Self { process, folder })
    }

    /// A database of it, there or not.
    pub fn endpoint(&self, database: &str) -> Endpoint {
        endpoint(self.folder.path(), database)
    }

    /// What it died of, if it did: then that is what is wrong, and not what was noticed of it.
    pub fn death(&mut self) -> Option<RestoreError> {
        self.process.death()
    }
}

fn endpoint(folder: &Path, database: &str) -> Endpoint {
    Endpoint {
        host: None,
        port: None,
        socket: Some(folder.join("socket")),
        user: Some(USER.to_owned()),
        // None, whatever option files say.
        password: Some(String::new()),
        database: database.to_owned(),
        tls: Settings::default(),
    }
}

/// Looks at a restored database. Returns the server's version, too.
pub fn examine(
    endpoint: &Endpoint,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<(String, Examined), RestoreError> {
    let mut session = Session::open(endpoint)?;
    let database = &endpoint.database;
    let tables = session.column(&format!(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND TABLE_TYPE = 'BASE TABLE' ORDER BY 1",
        literal(database)
    ))?;
    let mut examined = Examined { tables: tables.len() as u64, ..Examined::default() };
    for table in &tables {
        if is_cancelled() {
            return Err(RestoreError::Cancelled);
        }
        let said = session.rows(format!("CHECK TABLE {}.{}", ident(database), ident(table)))?;
        let wrong = said.iter().find(|row| {
            let (kind, what) = (text(row, 2).to_lowercase(), text(row, 3));
            kind == "error" || kind == "status" && what != "OK"
        });
        if let Some(row) = wrong {
            let fault = format!("the table {table} is not sound: {}", text(row, 3));
            examined.fault.get_or_insert(fault);
        }
    }
    examined.checks.push(("tables checked", examined.tables));
    examined.unproved.push("foreign keys are as the dump has them, and were not asked for".to_owned());
    Ok((session.version.text.clone(), examined))
}

/// Drops a database that was restored to be looked at.
pub fn drop_database(endpoint: &Endpoint) -> Result<(), RestoreError> {
    let mut session = Session::open(endpoint)?;
    session.run(format!("DROP DATABASE IF EXISTS {}", ident(&endpoint.database)))?;
    Ok(())
}
