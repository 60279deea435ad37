//! A PostgreSQL server of our own, and a look at what was restored into one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use super::endpoint::{Endpoint, Host};
use super::programs::{candidates, version};
use super::restore::maintenance;
use super::session::{Session, ident, text};
use crate::RestoreError;
use crate::scratch::{Examined, Folder, Process};
use crate::tls::Settings;

/// Part of the socket's name.
const PORT: u16 = 5432;
const USER: &str = "postgres";
const START_MAX: Duration = Duration::from_secs(60);
/// What a base backup's log takes to be replayed.
const RECOVERY_MAX: Duration = Duration::from_secs(3600);
/// Speed instead of safety, nobody else in, and nothing out: what was captured may say where to send its log, or whose changes to fetch.
const SETTINGS: [&str; 21] = [
    "listen_addresses=",
    // What its processes share lies in its folder, and goes with that even if they are killed.
    "dynamic_shared_memory_type=mmap",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "archive_mode=off",
    "max_logical_replication_workers=0",
    "max_prepared_transactions=100",
    "autovacuum=off",
    "shared_buffers=64MB",
    "max_connections=40",
    "max_wal_size=512MB",
    "jit=off",
    "ssl=off",
    "logging_collector=off",
    "log_destination=stderr",
    "log_min_messages=error",
    "log_min_error_statement=panic",
    "shared_preload_libraries=",
];
/// What a server says to who may not do something.
const NOT_ALLOWED: &str = "42501";
/// Where our own `amcheck` is, if the database has none.
const AMCHECK: &str = "icecore_amcheck";

/// A server that ends with this.
#[derive(Debug)]
pub struct Server {
    process: Process,
    folder: Folder,
    endpoint: Endpoint,
}

/// The programs of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    major: u32,
    postgres: PathBuf,
}

impl Installed {
    /// The server that fits a database of version `wanted` best: of the same, else the oldest that is newer.
    pub fn find(wanted: Option<u32>) -> Result<Self, RestoreError> {
        let all = Self::all();
        let wanted = wanted.or_else(|| all.last().map(|it| it.major)).unwrap_or_default();
        let fits = all.iter().find(|it| it.major >= wanted);
        fits.cloned().ok_or_else(|| Self::missing(wanted, all.last(), "or a newer one"))
    }

    /// The server of this very version, which alone can read a cluster's files.
    pub fn find_exactly(wanted: u32) -> Result<Self, RestoreError> {
        let all = Self::all();
        let fits = all.iter().find(|it| it.major == wanted);
        fits.cloned().ok_or_else(|| Self::missing(wanted, all.last(), "as no other version reads its files"))
    }

    fn missing(wanted: u32, newest: Option<&Self>, or: &str) -> RestoreError {
        let number = if wanted == 0 { String::new() } else { format!(" {wanted}") };
        let package = if wanted == 0 { "postgresql".to_owned() } else { format!("postgresql-{wanted}") };
        let newest = newest.map(|it| format!(" (the newest is {})", it.major)).unwrap_or_default();
        RestoreError::Unreachable(format!(
            "there is no server of PostgreSQL{number} on this machine{newest}: install {package}, {or}"
        ))
    }

    /// All that there are, oldest first.
    fn all() -> Vec<Self> {
        let found = candidates("postgres").into_iter().filter_map(|path| {
            let postgres = path.canonicalize().ok()?;
            // What makes a cluster lies beside it.
            postgres.with_file_name("initdb").is_file().then_some(())?;
            Some(Self { major: version(&postgres)?, postgres })
        });
        let mut all: Vec<Self> = found.collect();
        all.sort_by_key(|it| it.major);
        all
    }
}

/// A folder for a server, empty yet.
pub fn folder() -> Result<Folder, RestoreError> {
    Folder::make(&["postgres"])
}

/// Where in it a cluster's files go: a folder that is there already, and belongs to the server.
pub fn data_folder(folder: &Folder) -> Result<PathBuf, RestoreError> {
    folder.sub("data")
}

impl Server {
    /// An empty server that answers.
    pub fn start(
        installed: &Installed,
        folder: Folder,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, RestoreError> {
        let data = data_folder(&folder)?;
        let initdb = installed.postgres.with_file_name("initdb");
        let data = data.display().to_string();
        let arguments =
            ["--auth=trust", "--username", USER, "-E", "UTF8", "--no-locale", "--no-sync", "-D", &data];
        Process::start(&initdb, arguments, &folder, Signal::TERM)?.finish(is_cancelled)?;
        Self::launch(installed, folder, USER, START_MAX, is_cancelled)
    }

    /// A server on the files of a base backup, which lie in its [`data_folder`]. One of `users` is asked, whom its cluster knows.
    pub fn recover(
        installed: &Installed,
        folder: Folder,
        users: &[&str],
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, RestoreError> {
        let data = folder.path().join("data");
        // What it was told on its machine holds there: where to go on as a standby, what to load, whom to send its log to.
        for name in ["standby.signal", "recovery.signal", "postgresql.auto.conf"] {
            match fs::remove_file(data.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(RestoreError::write("cannot remove", &data.join(name))(error));
                }
                _ => (),
            }
        }
        let mut server = Self::launch(installed, folder, USER, RECOVERY_MAX, is_cancelled)?;
        server.endpoint.user = server.superuser(users)?;
        Ok(server)
    }

    /// Who may read everything: the cluster's own roles say so, to one of them that we guess.
    fn superuser(&self, users: &[&str]) -> Result<String, RestoreError> {
        let opened = [USER].iter().chain(users).find_map(|user| {
            maintenance(&Endpoint { user: (*user).to_owned(), ..self.endpoint.clone() }).ok()
        });
        let Some(mut session) = opened else {
            return Err(RestoreError::Unreachable(format!(
                "the cluster has no role {USER}, and nothing says which one it has"
            )));
        };
        let asked = "SELECT rolname FROM pg_roles WHERE rolsuper AND rolcanlogin ORDER BY oid LIMIT 1";
        Ok(session.value(asked)?)
    }

    fn launch(
        installed: &Installed,
        folder: Folder,
        user: &str,
        most: Duration,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, RestoreError> {
        let config = folder.put("postgresql.conf", "")?.display().to_string();
        let hba = folder.put("pg_hba.conf", "local all all trust\n")?.display().to_string();
        let ident = folder.put("pg_ident.conf", "")?.display().to_string();
        let (data, socket) = (folder.path().join("data").display().to_string(), folder.path().display());
        let own = [
            format!("config_file={config}"),
            format!("hba_file={hba}"),
            format!("ident_file={ident}"),
            format!("unix_socket_directories={socket}"),
            format!("port={PORT}"),
        ];
        let settings = own.iter().map(String::as_str).chain(SETTINGS).flat_map(|setting| ["-c", setting]);
        let arguments = ["-D", &data].into_iter().chain(settings);
        // At once: what it has is not needed any more.
        let mut process = Process::start(&installed.postgres, arguments, &folder, Signal::QUIT)?;
        let endpoint = Endpoint {
            host: Host::Folder(folder.path().to_owned()),
            port: PORT,
            user: user.to_owned(),
            password: None,
            database: USER.to_owned(),
            tls: Settings::default(),
            needs_binding: false,
            tls_folder: None,
        };
        process.wait_ready(is_cancelled, most, || match Session::open(&endpoint) {
            Ok(_) => true,
            // It answers, though it does not know this user or this database.
            Err(unreached) => matches!(unreached.0.code.as_deref(), Some("28000" | "3D000" | "55000")),
        })?;
        Ok(Self { process, folder, endpoint })
    }

    /// A database of it, there or not.
    pub fn endpoint(&self, database: &str) -> Endpoint {
        self.endpoint.with_database(database)
    }

    /// What it died of, if it did: then that is what is wrong, and not what was noticed of it.
    pub fn death(&mut self) -> Option<RestoreError> {
        self.process.death()
    }

    /// The folder of its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Looks at all databases that let somebody in.
    pub fn examine_all(&self, is_cancelled: &dyn Fn() -> bool) -> Result<(String, Examined), RestoreError> {
        let mut server = maintenance(&self.endpoint)?;
        let databases = server.rows("SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1")?;
        let mut all = Examined::default();
        let mut version = String::new();
        for row in &databases {
            let (said, examined) = look(&self.endpoint(&text(row, 0)), Scope::Cluster, is_cancelled)?;
            version = said;
            all.add(examined);
        }
        all.checks.insert(0, ("databases", databases.len() as u64));
        Ok((version, all))
    }
}

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// What was restored, whose rows were counted.
    Database,
    /// All, and the rows are counted.
    Cluster,
}

/// Looks at a restored database. Returns the server's version, too.
pub fn examine(
    endpoint: &Endpoint,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<(String, Examined), RestoreError> {
    look(endpoint, Scope::Database, is_cancelled)
}

/// Drops a database that was restored to be looked at.
pub fn drop_database(endpoint: &Endpoint) -> Result<(), RestoreError> {
    let mut server = maintenance(endpoint)?;
    let force = if server.major() >= 13 { " WITH (FORCE)" } else { "" };
    Ok(server.run(&format!("DROP DATABASE IF EXISTS {}{force}", ident(&endpoint.database)))?)
}

fn look(
    endpoint: &Endpoint,
    scope: Scope,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<(String, Examined), RestoreError> {
    let mut session = Session::open(endpoint)?;
    let version = session.value("SHOW server_version")?;
    let mut examined = Examined::default();
    count_rows(&mut session, scope, &mut examined, is_cancelled)?;
    check_indexes(&mut session, scope, &mut examined, is_cancelled)?;
    let of_ours = "connamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_' OR nspname = 'information_schema')";
    let constraints = session.rows(&format!(
        "SELECT count(*), count(*) FILTER (WHERE NOT convalidated) FROM pg_constraint WHERE {of_ours}"
    ))?;
    let number = |column| constraints.first().and_then(|row| text(row, column).parse().ok()).unwrap_or(0_u64);
    examined.checks.push(("constraints", number(0) - number(1)));
    if number(1) > 0 {
        let unproved =
            format!("constraints that never were validated (NOT VALID), and are not now: {}", number(1));
        examined.unproved.push(unproved);
    }
    Ok((version, examined))
}

/// Reads every row of every table.
fn count_rows(
    session: &mut Session,
    scope: Scope,
    examined: &mut Examined,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<(), RestoreError> {
    let tables = session.rows(
        "SELECT nspname, relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
         WHERE relkind IN ('r', 'm') AND relispopulated AND nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1, 2",
    )?;
    examined.tables = tables.len() as u64;
    if scope == Scope::Database {
        return Ok(());
    }
    for row in &tables {
        if is_cancelled() {
            return Err(RestoreError::Cancelled);
        }
        let table = format!("{}.{}", ident(&text(row, 0)), ident(&text(row, 1)));
        match session.value(&format!("SELECT count(*) FROM ONLY {table}")) {
            Ok(count) => examined.rows += count.parse::<u64>().unwrap_or_default(),
            Err(trouble) => {
                examined.fault.get_or_insert(format!("{table} cannot be read: {}", trouble.what));
            }
        }
    }
    Ok(())
}

/// Compares each B-tree with its table.
fn check_indexes(
    session: &mut Session,
    scope: Scope,
    examined: &mut Examined,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<(), RestoreError> {
    let system = match scope {
        Scope::Database => "AND nspname !~ '^pg_' AND nspname <> 'information_schema'",
        Scope::Cluster => "",
    };
    let indexes = session.rows(&format!(
        "SELECT c.oid, nspname || '.' || relname, indisvalid, amname FROM pg_index JOIN pg_class c ON c.oid = indexrelid
         JOIN pg_am a ON a.oid = relam JOIN pg_namespace n ON n.oid = relnamespace
         WHERE relkind = 'i' AND relpersistence = 'p' AND indisready {system} ORDER BY 2"
    ))?;
    let others = indexes.iter().filter(|row| text(row, 3) != "btree").count();
    if others > 0 {
        examined
            .unproved
            .push(format!("indexes that are no B-trees, and were not compared with their tables: {others}"));
    }
    if let Some(invalid) = indexes.iter().find(|row| text(row, 2) != "t") {
        let fault = format!("the index {} is not valid", text(invalid, 1));
        examined.fault.get_or_insert(fault);
    }
    let without_amcheck = |examined: &mut Examined| {
        examined.checks.push(("indexes", indexes.len() as u64));
        examined.unproved.push(
            "indexes were not compared with their tables: that takes a superuser, and the extension amcheck"
                .to_owned(),
        );
        Ok(())
    };
    let Some(schema) = amcheck(session)? else { return without_amcheck(examined) };
    let mut checked = 0;
    for row in indexes.iter().filter(|row| text(row, 3) == "btree" && text(row, 2) == "t") {
        if is_cancelled() {
            return Err(RestoreError::Cancelled);
        }
        let asked = session.run(&format!("SELECT {schema}.bt_index_check({}::regclass, true)", text(row, 0)));
        match asked {
            Ok(()) => checked += 1,
            Err(trouble) if trouble.code.as_deref() == Some(NOT_ALLOWED) => return without_amcheck(examined),
            Err(trouble) => {
                let fault = format!("the index {} does not fit its table: {}", text(row, 1), trouble.what);
                examined.fault.get_or_insert(fault);
            }
        }
    }
    examined.checks.push(("indexes", checked));
    Ok(())
}

/// The schema in which `amcheck` is, made if the server has it; it is thrown away with the database.
fn amcheck(session: &mut Session) -> Result<Option<String>, RestoreError> {
    let there = "SELECT nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'amcheck'";
    let known = session.value(there)?;
    if !known.is_empty() {
        return Ok(Some(ident(&known)));
    }
    if session.value("SELECT name FROM pg_available_extensions WHERE name = 'amcheck'")?.is_empty() {
        return Ok(None);
    }
    let made = session.run(&format!("CREATE SCHEMA {AMCHECK}; CREATE EXTENSION amcheck SCHEMA {AMCHECK}"));
    Ok(made.is_ok().then(|| AMCHECK.to_owned()))
}
