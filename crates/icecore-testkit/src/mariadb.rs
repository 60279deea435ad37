//! A MariaDB server for tests, and a database that has something of everything.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use rustix::process::geteuid;
use tempfile::TempDir;

/// SQL that fills an empty database with objects of every kind and with data, for `root` and `mariadb`.
///
/// `mariadb-dump` brings all of it back: two dumps are equal when the databases are.
pub const EVERYTHING: &str = include_str!("mariadb/everything.sql");

const NOBODY: u32 = 65_534;
const PATIENCE: Duration = Duration::from_secs(60);

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
        let folder = TempDir::new_in("/tmp").expect("room for a server");
        if geteuid().is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("root may");
        }
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let mut server = Self { folder, server: None, options };
        let mut install = unprivileged("mariadb-install-db");
        install.arg("--no-defaults").args(server.places());
        install.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
        let made = install.output().expect("MariaDB is installed");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.launch();
        server
    }

    /// Its files are its own, those for the moment too.
    fn places(&self) -> [String; 2] {
        let folder = self.folder.path().display();
        [format!("--datadir={folder}/data"), format!("--tmpdir={folder}")]
    }

    /// Starts the server again, after [`MariaDbServer::kill`].
    pub fn launch(&mut self) {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let mut command = unprivileged("mariadbd");
        command.arg("--no-defaults").args(self.places()).arg(format!("--socket={}", path("socket")));
        command.arg(format!("--pid-file={}", path("pid"))).arg(format!("--log-error={}", path("log")));
        command.args(["--skip-networking", "--event-scheduler=OFF", "--innodb-buffer-pool-size=64M"]);
        command
            .args(["--innodb-flush-log-at-trx-commit=0", "--innodb-log-file-size=32M"])
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

/// A command that is not root's and that dies with the thread that starts it.
fn unprivileged(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    if geteuid().is_root() {
        let nobody = NOBODY.to_string();
        command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]);
    }
    command.args(["--pdeathsig", "KILL", "--", program]).current_dir(Path::new("/tmp"));
    command
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
