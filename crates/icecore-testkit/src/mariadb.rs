//! A MariaDB server for tests, and a database that has something of everything.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::template::{Template, unprivileged};

/// SQL that fills an empty database with objects of every kind and with data, for `root` and `mariadb`.
///
/// `mariadb-dump` brings all of it back: two dumps are equal when the databases are.
pub const EVERYTHING: &str = include_str!("mariadb/everything.sql");

const LOG_SIZE: &str = "32M";
const PATIENCE: Duration = Duration::from_secs(60);

static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    let template = Template::new().expect("room for a template");
    let mut install = unprivileged("mariadb-install-db", template.folder());
    install.arg("--no-defaults").args(places(template.folder()));
    install.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
    install.arg(format!("--innodb-log-file-size={LOG_SIZE}"));
    let made = install.output().expect("MariaDB is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    template
});

/// A server's files are its own, those for the moment too.
fn places(folder: &Path) -> [String; 2] {
    let folder = folder.display();
    [format!("--datadir={folder}/data"), format!("--tmpdir={folder}")]
}

/// A server of our own, which lives as long as this does, behind a socket in its own folder. `root` has no password.
#[derive(Debug)]
pub struct MariaDbServer {
    folder: TempDir,
    server: Option<Child>,
    options: Vec<String>,
}

impl MariaDbServer {
    /// An empty server that answers, and does nothing by the clock.
    ///
    /// # Panics
    ///
    /// If MariaDB is not installed or does not start, as all methods do when something is wrong.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, told something more.
    pub fn start_with(options: &[&str]) -> Self {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let folder = TEMPLATE.copy().expect("room for a server");
        let mut server = Self { folder, server: None, options };
        server.launch();
        server
    }

    /// Starts the server again, after [`MariaDbServer::kill`].
    pub fn launch(&mut self) {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let mut command = unprivileged("mariadbd", self.folder.path());
        command
            .arg("--no-defaults")
            .args(places(self.folder.path()))
            .arg(format!("--socket={}", path("socket")));
        command.arg(format!("--pid-file={}", path("pid"))).arg(format!("--log-error={}", path("log")));
        command.args(["--skip-networking", "--event-scheduler=OFF", "--innodb-buffer-pool-size=64M"]);
        command
            .args(["--innodb-flush-log-at-trx-commit=0", &format!("--innodb-log-file-size={LOG_SIZE}")])
            .args(&self.options);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.server = Some(command.spawn().expect("MariaDB is installed"));
        let started = Instant::now();
        while !self.client(&["-e", "SELECT 1"]).output().is_ok_and(|output| output.status.success()) {
            assert!(started.elapsed() < PATIENCE, "mariadbd does not answer");
            sleep(Duration::from_millis(50));
        }
    }

    /// Kills the server as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// A URL of the database.
    pub fn url(&self, database: &str) -> String {
        self.url_as("root", database)
    }

    /// The same as somebody else.
    pub fn url_as(&self, user: &str, database: &str) -> String {
        format!("mariadb://{user}@/{}?socket={}", encoded(database), self.socket().display())
    }

    /// Its own client, as `root`.
    pub fn client(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("mariadb");
        command.arg("--no-defaults").arg("-S").arg(self.socket()).args(["-u", "root"]).args(arguments);
        command.stdin(Stdio::null());
        command
    }

    /// Runs a script, and returns what it prints.
    pub fn sql(&self, database: &str, script: impl AsRef<[u8]>) -> String {
        self.try_sql(database, script).expect("SQL that works")
    }

    /// The same, which may fail.
    ///
    /// # Errors
    ///
    /// With what the server complains of.
    pub fn try_sql(&self, database: &str, script: impl AsRef<[u8]>) -> Result<String, String> {
        let mut command = self.client(&["-N", "-B", "--default-character-set=utf8mb4", database]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("mariadb is installed");
        let mut stdin = child.stdin.take().expect("a pipe");
        let script = script.as_ref().to_owned();
        let feeder = thread::spawn(move || drop(stdin.write_all(&script)));
        let output = child.wait_with_output();
        let _ = feeder.join();
        said(&output.expect("mariadb runs"))
    }

    /// All of a database, to compare with another.
    pub fn dump(&self, database: &str) -> String {
        let mut command = Command::new("mariadb-dump");
        command.arg("--no-defaults").arg("-S").arg(self.socket()).args([
            "-u",
            "root",
            "--skip-comments",
            "--default-character-set=utf8mb4",
        ]);
        command.args([
            "--routines",
            "--events",
            "--triggers",
            "--hex-blob",
            "--skip-dump-date",
            "--",
            database,
        ]);
        let dump = said(&command.output().expect("mariadb-dump is installed")).expect("a dump");
        // What texts it has by default is in no dump.
        let texts = "SELECT @@character_set_database, @@collation_database";
        self.sql(database, texts) + &dump
    }

    /// The databases that are not its own.
    pub fn databases(&self) -> String {
        self.sql(
            "",
            "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA
            WHERE SCHEMA_NAME NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema') ORDER BY 1",
        )
    }

    /// What it has complained of.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for MariaDbServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn said(output: &Output) -> Result<String, String> {
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).into() } else { format!("%{byte:02X}") })
        .collect()
}
