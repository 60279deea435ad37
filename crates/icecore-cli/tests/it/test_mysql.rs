//! Databases of a MariaDB server of our own.

mod bring_back;
mod capture;
mod deaths;
mod dumps;
mod names;
mod others;
mod relay;
mod restore;
mod rights;
mod strangers;
mod table;

use std::process::{Child, Stdio};

use icecore_testkit::mariadb::{EVERYTHING, MariaDbServer};

use crate::running::wait_until;
use crate::support::TestEnv;

/// A database that has everything, and an empty one.
pub(crate) fn filled(server: &MariaDbServer) {
    server.sql("", "CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci; CREATE DATABASE copy CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci");
    server.sql("shop", EVERYTHING);
}

/// What happens to a database after it was captured.
const LATER: &str = "
CREATE TABLE later (a INT PRIMARY KEY); INSERT INTO later VALUES (7);
DROP VIEW a_view_on_views; DROP VIEW seen; CREATE TABLE seen (b INT);
CREATE VIEW a_view AS SELECT * FROM later; CREATE VIEW the_view AS SELECT * FROM a_view;
DROP TRIGGER z_first; CREATE TRIGGER other BEFORE DELETE ON child FOR EACH ROW DELETE FROM log;
DROP PROCEDURE proc; CREATE PROCEDURE proc() SELECT 'another';
DROP EVENT nightly; CREATE EVENT hourly ON SCHEDULE EVERY 1 HOUR STARTS '2031-01-01 00:00:00' DO SELECT 1;
ALTER DATABASE shop CHARACTER SET latin1 COLLATE latin1_german2_ci;
UPDATE child SET amount = 99;
";

/// Fills a database, captures it, and changes it. Returns what was captured, and what is there now.
fn captured_and_changed(env: &TestEnv, server: &MariaDbServer) -> (String, String) {
    filled(server);
    env.ok(&["create", &server.url("shop")]);
    let captured = server.dump("shop");
    server.sql("shop", LATER);
    (captured, server.dump("shop"))
}

/// Whether the server runs anything that is so.
fn processes(server: &MariaDbServer, filter: &str) -> bool {
    let query = format!(
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ({filter}) AND ID <> CONNECTION_ID()"
    );
    server.sql("", query) != "0\n"
}

/// Whether tables cannot move because somebody holds them.
fn is_waiting(server: &MariaDbServer) -> bool {
    processes(server, "INFO LIKE 'RENAME TABLE%' AND STATE LIKE 'Waiting for%'")
}

/// Whether a database has such a table.
fn has_table(server: &MariaDbServer, schema: &str, table: &str) -> bool {
    let query = format!(
        "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA LIKE '{schema}' AND TABLE_NAME = '{table}'"
    );
    server.sql("", query) != "0\n"
}

/// A transaction that does not end by itself.
struct Holder(Child);

impl Holder {
    fn of(server: &MariaDbServer, query: &str) -> Self {
        let script = format!("START TRANSACTION; {query}; DO SLEEP(600);");
        let mut client = server.client(&["shop", "-e", &script]);
        let client = client.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until(|| processes(server, "INFO LIKE 'DO SLEEP(600)%'"));
        Self(client)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
