//! A PostgreSQL server for tests, and a database that has something of everything.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{LazyLock, mpsc};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};
use std::{env, iter};

use rustix::io::retry_on_intr;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, geteuid, kill_process, kill_process_group, waitid,
};
use tempfile::TempDir;

use crate::template::{self, Template, give_away};

/// SQL that fills an empty database with objects of every kind and with data, for a superuser and `psql`.
///
/// `pg_dump` brings all of it back: two dumps are equal when the databases are.
pub const EVERYTHING: &str = include_str!("postgres/everything.sql");

const NOBODY: u32 = 65_534;
const USER: &str = "postgres";
const PATIENCE: Duration = Duration::from_secs(60);
/// What a server for tests needs: speed instead of safety, and room for replication.
const SETTINGS: [&str; 10] = [
    "listen_addresses=127.0.0.1",
    "fsync=off",
    // What it shares goes with its folder, also when it is killed.
    "dynamic_shared_memory_type=mmap",
    "full_page_writes=off",
    "wal_level=logical",
    "max_wal_senders=8",
    "max_replication_slots=8",
    "max_prepared_transactions=8",
    "shared_buffers=32MB",
    "max_connections=60",
];

/// A server of our own, which lives as long as this does. Tests may share it.
///
/// It listens on a socket in its own folder, where it trusts everybody, and on 127.0.0.1, where it wants the password.
#[derive(Debug)]
pub struct PostgresServer {
    folder: TempDir,
    port: u16,
    server: Option<Server>,
    /// The size of the disk that its databases lie on, if that is one of its own.
    disk: Option<String>,
}

impl PostgresServer {
    /// An empty server that answers.
    ///
    /// # Panics
    ///
    /// If PostgreSQL is not installed or does not start, as all methods do when something is wrong.
    pub fn start() -> Self {
        Self::start_on(None)
    }

    /// A server with a database, whose name is as plain as can be, filled by SQL.
    ///
    /// # Panics
    ///
    /// If the SQL fails.
    #[track_caller]
    pub fn with_database(name: &str, sql: &str) -> Self {
        let server = Self::start();
        server.sql(USER, &format!("CREATE DATABASE {name}"));
        server.sql(name, sql);
        server
    }

    /// A server whose databases lie on a disk of so many bytes, as `mount` understands them; its log of changes does not. Nobody else sees
    /// that disk, and what is on it ends with the server.
    ///
    /// # Panics
    ///
    /// Also where the machine lets nobody mount anything.
    pub fn start_on_small_disk(size: &str) -> Self {
        Self::start_on(Some(size.to_owned()))
    }

    fn start_on(disk: Option<String>) -> Self {
        let folder = TEMPLATE.template.copy().expect("room for a copy");
        let mut server = Self { folder, port: 0, server: None, disk };
        server.launch(free_port);
        server
    }

    /// A URL of the database behind the socket.
    pub fn url(&self, database: &str) -> String {
        self.url_as(USER, database)
    }

    /// The same as somebody else.
    pub fn url_as(&self, user: &str, database: &str) -> String {
        let dir = encoded(self.socket_dir().as_os_str());
        format!("postgres://{}@/{}?host={dir}&port={}", encoded(user), encoded(database), self.port)
    }

    /// A URL of the database behind the TCP port, without the password.
    pub fn tcp_url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{}", self.port, encoded(database))
    }

    /// What the server wants to hear over TCP. It has characters that URLs and password files escape.
    pub fn password(&self) -> &str {
        &TEMPLATE.password
    }

    /// The TCP port, which the socket is named after.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the socket.
    pub fn socket_dir(&self) -> &Path {
        self.folder.path()
    }

    /// Where its files are.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The server's process.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn pid(&self) -> u32 {
        self.server.as_ref().expect("the server runs").pid.as_raw_pid().unsigned_abs()
    }

    /// What `psql` prints for the SQL: a line a row, columns parted by `|`, without the end of the last line.
    ///
    /// # Panics
    ///
    /// If the SQL fails.
    #[track_caller]
    pub fn sql(&self, database: &str, sql: &str) -> String {
        match self.try_sql(database, sql) {
            Ok(printed) => printed,
            Err(error) => panic!("{database}: {error}"),
        }
    }

    /// Like [`Self::sql`], but gives back what `psql` says of the first statement that fails.
    pub fn try_sql(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut psql = self.client("psql", database);
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"]);
        let printed = said(psql.stdin(input(sql).expect("room for the SQL")))?;
        Ok(printed.strip_suffix('\n').unwrap_or(&printed).to_owned())
    }

    /// What `pg_dump` with these arguments writes, without the lines that differ for each dump or version.
    ///
    /// # Panics
    ///
    /// If `pg_dump` fails.
    #[track_caller]
    pub fn dump(&self, database: &str, arguments: &[&str]) -> String {
        const VARYING: [&str; 4] = ["\\restrict", "\\unrestrict", "-- Dumped from", "-- Dumped by"];
        let varies = |line: &str| VARYING.iter().any(|varying| line.starts_with(varying));
        match said(self.client("pg_dump", database).args(arguments)) {
            Ok(dump) => dump.split_inclusive('\n').filter(|line| !varies(line)).collect(),
            Err(error) => panic!("{database}: {error}"),
        }
    }

    /// Ends the server and all its children at once, as a crash would.
    ///
    /// After the next start unlogged tables are empty, and sequences may have skipped some numbers.
    pub fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.kill();
        }
    }

    /// Ends the server in good order, though not waiting for its clients.
    pub fn stop(&mut self) {
        if let Some(server) = &self.server {
            server.ask_to_end();
        }
        self.kill();
    }

    /// Starts the server again with its data, on the same port, whether it runs, was stopped or was killed.
    pub fn restart(&mut self) {
        self.stop();
        let port = self.port;
        self.launch(|| port);
    }

    /// Tries again if it does not start: somebody else may have the port by now.
    fn launch(&mut self, port: impl Fn() -> u16) {
        for _ in 0..10 {
            self.port = port();
            self.server = Some(self.spawn().expect("a log"));
            if self.answers() {
                return;
            }
            self.kill();
            sleep(Duration::from_millis(100));
        }
        panic!("the server does not start: {}", fs::read_to_string(self.log()).unwrap_or_default());
    }

    fn spawn(&self) -> io::Result<Server> {
        let folder = self.folder.path();
        let mut command = match &self.disk {
            Some(size) => on_small_disk(size, &unprivileged("postgres", folder)),
            None => unprivileged("postgres", folder),
        };
        command.arg("-D").arg(self.data_dir()).arg("-k").arg(folder).args(["-p", &self.port.to_string()]);
        command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(self.log())?).process_group(0);
        Ok(Server::spawn(command))
    }

    fn answers(&self) -> bool {
        let mut answered = false;
        wait_until(|| {
            answered = self.try_sql(USER, "SELECT").is_ok();
            answered || self.server.as_ref().is_none_or(Server::has_ended)
        });
        answered
    }

    /// What the server has written to its log since it was started, each database's statements in its own encoding.
    ///
    /// # Panics
    ///
    /// If it cannot be read.
    pub fn logged(&self) -> String {
        let bytes = fs::read(self.log()).expect("a log");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn client(&self, program: &str, database: &str) -> Command {
        let mut command = Command::new(installed(program));
        without_settings(&mut command);
        command.env("PGHOST", self.socket_dir()).env("PGPORT", self.port.to_string());
        command.env("PGUSER", USER).env("PGDATABASE", database).env("PGCLIENTENCODING", "UTF8");
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The processes of a server.
#[derive(Debug)]
struct Server {
    pid: Pid,
    keeper: JoinHandle<Child>,
}

impl Server {
    /// The server dies with the thread that starts it, and that of a test may end first: it gets one of its own.
    fn spawn(mut command: Command) -> Self {
        let (sender, receiver) = mpsc::channel();
        let keeper = thread::spawn(move || {
            let child = command.spawn().expect("setpriv is there");
            let pid = Pid::from_child(&child);
            let _ = sender.send(pid);
            // Not reaped yet: its number must not become somebody else's.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let _ = retry_on_intr(|| waitid(WaitId::Pid(pid), options));
            child
        });
        Self { pid: receiver.recv().expect("setpriv is there"), keeper }
    }

    fn has_ended(&self) -> bool {
        self.keeper.is_finished()
    }

    fn ask_to_end(&self) {
        let _ = kill_process(self.pid, Signal::INT);
        wait_until(|| self.has_ended());
    }

    /// Each child is in a group of its own. A stopped server starts no more of them.
    fn kill(self) {
        let _ = kill_process(self.pid, Signal::STOP);
        let family: Vec<Pid> = iter::once(self.pid).chain(children(self.pid)).collect();
        for pid in &family {
            let _ = kill_process_group(*pid, Signal::KILL);
        }
        if let Ok(mut child) = self.keeper.join() {
            let _ = child.wait();
        }
        wait_until(|| !family.iter().any(|pid| runs(*pid)));
    }
}

static TEMPLATE: LazyLock<Cluster> = LazyLock::new(|| Cluster::make().expect("room for a template"));

/// What every new server begins with.
struct Cluster {
    template: Template,
    password: String,
}

impl Cluster {
    fn make() -> io::Result<Self> {
        let template = Template::new()?;
        let password = format!("a secret: 100% {}", random()?);
        let secret = template.folder().join("password");
        fs::write(&secret, &password)?;
        give_away(&secret)?;
        let mut initdb = unprivileged("initdb", template.folder());
        initdb.args(["--auth-local=trust", "--auth-host=scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8"]);
        initdb.args(["--no-sync", "-U", USER, "--pwfile"]).arg(secret).arg("-D").arg(template.data());
        said(&mut initdb).map_err(io::Error::other)?;
        Ok(Self { template, password })
    }
}

fn random() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}

/// A command that is not root's and that dies with the thread that starts it.
fn unprivileged(program: &str, folder: &Path) -> Command {
    let mut command = template::unprivileged(installed(program), folder);
    without_settings(&mut command);
    command
}

/// The same command where the databases lie on a small disk. Root mounts it for itself; others do so as the root of a name space, and the server,
/// which does not serve root, is somebody else in one further below.
fn on_small_disk(size: &str, command: &Command) -> Command {
    const SCRIPT: &str = r#"mkdir small && mount -t tmpfs -o "size=$0" none small && cp -a data/base/. small/ && mount --bind small data/base"#;
    let (unshare, server) = match geteuid().is_root() {
        true => ("-m", "chown --reference=data data/base && exec \"$@\"".to_owned()),
        false => ("-rm", format!("exec unshare -U --map-user={NOBODY} --map-group={NOBODY} \"$@\"")),
    };
    let script = format!("{SCRIPT} && chmod 700 data/base && {server}");
    let mut wrapped = Command::new("unshare");
    wrapped.args([unshare, "sh", "-c", &script, size]).arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    without_settings(&mut wrapped);
    wrapped
}

/// What the user has set for other servers is none of ours.
fn without_settings(command: &mut Command) {
    for (name, _) in env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C.UTF-8");
}

/// Debian has a folder for each version; the newest that has a server. Others have all in the `PATH`.
fn installed(program: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions
        .map(|entry| entry.path())
        .filter(|path| path.join("bin/postgres").exists())
        .max_by_key(number);
    newest.map_or_else(|| program.into(), |folder| folder.join("bin").join(program))
}

/// A port that nobody listens at yet.
///
/// # Panics
///
/// If there is none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("a bound port").port()
}

/// In a file, as `psql` may print much before it has read all.
fn input(text: &str) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

/// What a command prints, or what it complains of.
fn said(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_owned();
    let output = command.output().map_err(|error| format!("{}: {error}", program.display()))?;
    let Output { status, stdout, stderr } = output;
    if !status.success() {
        return Err(String::from_utf8_lossy(&stderr).into_owned());
    }
    String::from_utf8(stdout).map_err(|error| error.to_string())
}

fn wait_until(mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() && Instant::now() < deadline {
        sleep(Duration::from_millis(10));
    }
}

fn children(pid: Pid) -> Vec<Pid> {
    let pid = pid.as_raw_pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|child| Pid::from_raw(child.parse().ok()?)).collect()
}

/// Whether there is more of a process than an entry that nobody has taken notice of.
fn runs(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

fn encoded(text: impl AsRef<OsStr>) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let bytes = text.as_ref().as_encoded_bytes().iter();
    bytes.map(|&byte| if plain(byte) { char::from(byte).into() } else { format!("%{byte:02X}") }).collect()
}
