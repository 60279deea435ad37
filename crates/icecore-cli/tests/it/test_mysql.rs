//! Databases of a MariaDB server of our own.

use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Said, TestEnv};

const NOBODY: u32 = 65_534;

/// A server behind a socket in its own folder, which lives as long as this does.
struct MariaDb {
    folder: tempfile::TempDir,
    server: Option<Child>,
}

impl MariaDb {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        if rustix::process::geteuid().is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let data = format!("--datadir={}", folder.path().join("data").display());
        let install = ["--no-defaults", &data, "--auth-root-authentication-method=normal", "--skip-test-db"];
        let made = Self::unprivileged("mariadb-install-db").args(install).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let socket = format!("--socket={}", folder.path().join("socket").display());
        let pid = format!("--pid-file={}", folder.path().join("pid").display());
        let mut command = Self::unprivileged("mariadbd");
        command.args(["--no-defaults", &data, &socket, &pid, "--skip-networking", "--event-scheduler=OFF"]);
        command.args(["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M"]);
        let server =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { folder, server: Some(server) };
        let started = Instant::now();
        while server.client(&["-e", "SELECT 1"]).output().is_ok_and(|output| !output.status.success()) {
            assert!(started.elapsed() < Duration::from_secs(60), "mariadbd does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn unprivileged(program: &str) -> Command {
        if !rustix::process::geteuid().is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        let nobody = NOBODY.to_string();
        command.args([
            "--reuid",
            &nobody,
            "--regid",
            &nobody,
            "--clear-groups",
            "--pdeathsig",
            "KILL",
            "--",
            program,
        ]);
        command
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn client(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("mariadb");
        command.arg("--no-defaults").arg("-S").arg(self.socket()).args(["-u", "root"]).args(arguments);
        command.stdin(Stdio::null());
        command
    }

    /// Runs a script.
    fn sql(&self, database: &str, script: &[u8]) -> String {
        use std::io::Write as _;

        let mut command = self.client(&["-N", "-B", "--default-character-set=utf8mb4", database]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let script = script.to_owned();
        let feeder = std::thread::spawn(move || drop(stdin.write_all(&script)));
        let said = Said::new(child.wait_with_output().unwrap());
        feeder.join().unwrap();
        said.ok()
    }

    /// All of a database, to compare with another.
    fn dump(&self, database: &str) -> String {
        let mut command = Command::new("mariadb-dump");
        command.arg("--no-defaults").arg("-S").arg(self.socket()).args(["-u", "root", "--skip-comments"]);
        command.args(["--routines", "--events", "--triggers", "--hex-blob", "--skip-dump-date", database]);
        Said::of(&mut command).ok()
    }

    fn url(&self, database: &str) -> String {
        format!("mariadb://root@/{database}?socket={}", self.socket().display())
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// Something of everything.
const EVERYTHING: &str = "
CREATE TABLE `odd ``name``` (id INT PRIMARY KEY AUTO_INCREMENT, `a b` TEXT, n INT DEFAULT 3, total INT GENERATED ALWAYS AS (n * 2) STORED, twice INT AS (n + 1) VIRTUAL);
INSERT INTO `odd ``name``` (`a b`) VALUES ('tabs\\tand\\nlines'), ('quote '' and \\\\ backslash'), (NULL), (''), ('Grüße 🎉');
CREATE TABLE bytes (id INT PRIMARY KEY, raw BLOB, bits BIT(5), fixed BINARY(4), place POINT);
INSERT INTO bytes VALUES (1, 0x00FF27225C0A, b'10101', 0x00010203, ST_GeomFromText('POINT(1 2)'));
CREATE TABLE latin (a VARCHAR(50) CHARACTER SET latin1 COLLATE latin1_swedish_ci, b VARCHAR(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin);
INSERT INTO latin VALUES ('Grüße', 'Grüße 🎉');
CREATE TABLE child (id INT PRIMARY KEY, parent INT, at TIMESTAMP DEFAULT '2024-01-01 00:00:00', amount DECIMAL(20,6), state ENUM('on','off'), flags SET('a','b'),
    CHECK (amount > 0), FOREIGN KEY (parent) REFERENCES `odd ``name``` (id) ON DELETE CASCADE, UNIQUE KEY (parent, at));
";

fn filled(server: &MariaDb) {
    server.sql("", b"CREATE DATABASE shop CHARACTER SET utf8mb4; CREATE DATABASE copy CHARACTER SET utf8mb4");
    server.sql("shop", EVERYTHING.as_bytes());
    let code = "
CREATE VIEW seen AS SELECT id, total FROM `odd ``name``` WHERE id > 1;
CREATE TABLE log (a INT) ENGINE=MyISAM; INSERT INTO log VALUES (1);
INSERT INTO child VALUES (1, 1, '2024-02-02 03:04:05', 1.5, 'on', 'a,b');
DELIMITER ;;
CREATE TRIGGER audit AFTER INSERT ON child FOR EACH ROW BEGIN INSERT INTO log VALUES (NEW.id); END;;
CREATE PROCEDURE proc(IN x INT) BEGIN SELECT x; END;;
CREATE FUNCTION twice(x INT) RETURNS INT DETERMINISTIC RETURN x * 2;;
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DO DELETE FROM log;;
DELIMITER ;
";
    server.sql("shop", code.as_bytes());
}

#[test]
fn a_captured_database_is_a_script_that_restores_all_of_it() {
    let (env, server) = (TestEnv::new(), MariaDb::start());
    filled(&server);
    let created = env.run(&["create", &server.url("shop")]);
    assert!(created.stderr.contains("log (MyISAM)"), "{}", created.stderr);
    created.ok();
    let shown = env.json(&["show", "shop"]);
    assert_eq!(shown["engine"], "mariadb", "{shown}");
    assert!(shown["engine_version"].as_str().unwrap().contains("MariaDB"), "{shown}");
    server.sql("copy", &env.back("shop"));
    assert_eq!(server.dump("shop"), server.dump("copy"));
    // Nothing changes by itself.
    assert_eq!(env.json(&["create", &server.url("shop")])["new_chunks"], 0);
    let said = env.fails(2, &["restore", "shop", "--yes"]);
    assert!(said.contains("--to - | mariadb"), "{said}");
}

#[test]
fn a_server_that_is_not_there_or_refuses_makes_no_snapshot() {
    let (env, server) = (TestEnv::new(), MariaDb::start());
    filled(&server);
    server.sql("", b"CREATE USER clerk IDENTIFIED BY 'a secret'; GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON shop.* TO clerk; GRANT SELECT ON mysql.proc TO clerk");
    env.fails(14, &["create", "mysql:///shop?socket=/nonexistent"]);
    env.fails(14, &["create", &server.url("nothing")]);
    let url = server.url("shop").replace("root@", "clerk@");
    let said = env.fails(14, &["create", &url]);
    assert!(said.contains("MYSQL_PWD"), "{said}");
    assert_eq!(env.count(), 0);
    let mut command = env.command(&["create", &url]);
    Said::of(command.env("MYSQL_PWD", "a secret")).ok();
    env.write("secret", "a secret");
    env.write("icecore.toml", format!("[services.shop]\nurl = '{url}'\npassword_file = 'secret'\n"));
    env.ok(&["create", "shop"]);
    assert_eq!(env.ok(&["mysql", "shop", "--", "-N", "-e", "SELECT DATABASE()"]), "shop\n");
    assert!(env.ok(&["config", "check"]).contains("answers, version 1"));
    // A table that is altered in the middle fails the dump, and a dump that failed is no snapshot.
    server.sql("shop", b"CREATE VIEW broken AS SELECT * FROM log; DROP TABLE log");
    let before = env.count();
    env.fails(14, &["create", "shop"]);
    assert_eq!(env.count(), before);
}
