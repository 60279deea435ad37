use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use icecore_format::Digest;
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

use super::super::SqliteTarget;
use super::*;
use crate::files::Placement;
use crate::{Check, RestoreError, Target as _};

mod interrupted;
mod strangers;

const SHOP: &str = "
    CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT);
    INSERT INTO customers VALUES (1, 'one'), (2, 'two');
    CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, customer INT REFERENCES customers, price REAL CHECK (price > 0),
        double REAL AS (price * 2) STORED, shown TEXT AS ('no. ' || id), note BLOB);
    INSERT INTO orders (id, customer, price, note) VALUES (1, 1, 10, NULL), (5, 2, 2.5, x'00ff'), (9, 1, 3, 'text'), (900, 2, 1, 5);
    DELETE FROM orders WHERE id = 900;
    CREATE INDEX orders_of ON orders (customer) WHERE price > 1; CREATE UNIQUE INDEX orders_by ON orders (abs(price) DESC, shown);
    CREATE TABLE lines (order_id INT REFERENCES orders ON DELETE CASCADE, what TEXT);
    INSERT INTO lines VALUES (1, 'a'), (5, 'b'), (9, 'c');
    CREATE TABLE log (what TEXT);
    CREATE TRIGGER ordered AFTER INSERT ON orders BEGIN INSERT INTO log VALUES ('order ' || new.id); END;
    CREATE TRIGGER lined AFTER INSERT ON lines BEGIN UPDATE orders SET price = price + 1 WHERE id = new.order_id; END;
    CREATE VIEW dear AS SELECT id, price FROM orders WHERE price > 2;
    CREATE TABLE \"odd \"\" 'name/\" (\"rowid\" TEXT, \"select\" INT, \"a]b\" UNIQUE ON CONFLICT IGNORE);
    INSERT INTO \"odd \"\" 'name/\" (oid, \"rowid\", \"select\", \"a]b\") VALUES (7, 'x', 1, 2), (-3, 'y', NULL, NULL), (40, NULL, 'text', 9.5);
    CREATE TABLE pairs (a, b, c INT DEFAULT 7, PRIMARY KEY (b DESC, a)) WITHOUT ROWID;
    INSERT INTO pairs VALUES (1, 'x', 2), (2, 'x', NULL), (x'01', 1.5, 'c');
    CREATE TABLE strict (i INT, t TEXT NOT NULL, a ANY, b BLOB) STRICT;
    INSERT INTO strict (rowid, i, t, a, b) VALUES (100, 1, '', '007', x''), (3, NULL, 'ä', 1, NULL);
    ANALYZE;";

/// What somebody did to it since it was captured.
const LATER: &str = "
    DROP TRIGGER ordered; UPDATE orders SET price = price + 100; INSERT INTO orders (customer, price) VALUES (1, 77);
    DROP INDEX orders_of; ALTER TABLE orders ADD COLUMN wrong INT DEFAULT 3; INSERT INTO lines VALUES (1, 'd');
    DELETE FROM pairs; UPDATE strict SET a = x'ff', rowid = rowid + 1; DELETE FROM \"odd \"\" 'name/\"; ANALYZE;";
const TABLES: [&str; 4] = ["orders", "odd \" 'name/", "pairs", "strict"];

struct Shop {
    folder: TempDir,
    /// The live database.
    path: PathBuf,
    /// What was captured.
    snapshot: Vec<u8>,
}

impl Shop {
    fn captured(journal_mode: &str, sql: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.db");
        let connection = Connection::open(&path).unwrap();
        connection.query_row(&format!("PRAGMA journal_mode = {journal_mode}"), [], |_| Ok(())).unwrap();
        connection.execute_batch(sql).unwrap();
        drop(connection);
        let snapshot = fs::read(&path).unwrap();
        Self { folder, path, snapshot }
    }

    fn run(&self, sql: &str) {
        Connection::open(&self.path).unwrap().execute_batch(sql).unwrap();
    }

    fn plan(&self, table: &str) -> TablePlan {
        let mut target = target(&self.path, &|| false).unwrap();
        target.write(&self.snapshot).unwrap();
        target.check(&|| false).unwrap();
        plan(target, table, &|| false).unwrap()
    }

    fn restore(&self, table: &str) -> Result<Restored, RestoreError> {
        self.restore_checked(table, &[])
    }

    fn restore_checked(&self, table: &str, checks: &[&str]) -> Result<Restored, RestoreError> {
        let plan = self.plan(table);
        assert!(plan.blockers.is_empty(), "{:?}", plan.blockers);
        let checks: Vec<_> = checks.iter().map(|check| Check::from(*check)).collect();
        restore(&plan, &checks, &|_| (), &|| false)
    }

    fn rollback(&self, table: &str) -> Option<Undone> {
        rollback(&self.path, table, &|_| (), &|| false).unwrap()
    }

    fn old(&self, table: &str) -> PathBuf {
        Place::of(&self.path, table).old
    }

    fn dump(&self) -> Dump {
        dump(&self.path)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Everything that a database holds, rows with their numbers, each with the table that it is of; in an order that does not depend on how it
/// came there.
type Dump = Vec<(String, String)>;

fn dump(path: &Path) -> Dump {
    let connection = Connection::open(path).unwrap();
    let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    let pairs = |sql: &str| -> Dump {
        let mut statement = connection.prepare(sql).unwrap();
        let pairs = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        pairs.map(Result::unwrap).collect()
    };
    let mut dump =
        pairs("SELECT tbl_name, type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema");
    for (table, _) in pairs("SELECT name, '' FROM sqlite_schema WHERE type = 'table'") {
        let (ident, of_sqlite) = (session::quoted(&table), table.starts_with("sqlite_"));
        let has_number = !of_sqlite && connection.prepare(&format!("SELECT oid FROM {ident}")).is_ok();
        let number = if has_number { "oid" } else { "NULL" };
        let mut statement = connection.prepare(&format!("SELECT {number}, * FROM {ident}")).unwrap();
        let width = statement.column_count();
        let rows = statement.query_map([], |row| {
            let values: rusqlite::Result<Vec<Value>> =
                (0..width).map(|index| row.get(index).map(shown)).collect();
            let of = if of_sqlite { row.get(1)? } else { table.clone() };
            Ok((of, format!("{table}: {:?}", values?)))
        });
        dump.extend(rows.unwrap().map(Result::unwrap));
    }
    dump.sort();
    dump
}

/// What is left of a dump without what is of some tables.
fn without(dump: &Dump, tables: &[&str]) -> Dump {
    dump.iter().filter(|(of, _)| !tables.contains(&of.as_str())).cloned().collect()
}

#[track_caller]
fn assert_same(left: &Dump, right: &Dump) {
    if left != right {
        let missing: Vec<_> = left.iter().filter(|line| !right.contains(line)).take(5).collect();
        let added: Vec<_> = right.iter().filter(|line| !left.contains(line)).take(5).collect();
        panic!("missing {missing:#?}\nadded {added:#?}");
    }
}

/// A value that is short enough to be read.
fn shown(value: Value) -> Value {
    match value {
        Value::Blob(bytes) if bytes.len() > 100 => {
            Value::Text(format!("{} bytes, {}", bytes.len(), Digest::of(&bytes).to_hex()))
        }
        value => value,
    }
}

#[test]
fn tables_come_back_with_all_that_is_their_own_and_nothing_else_changes() {
    for mode in ["delete", "wal"] {
        let shop = Shop::captured(mode, SHOP);
        let captured = shop.dump();
        shop.run(LATER);
        let later = shop.dump();
        for table in TABLES {
            let before = shop.dump();
            let restored = shop.restore(table).unwrap();
            assert_eq!(restored.kept.as_deref(), shop.old(table).to_str(), "{table}");
            let after = shop.dump();
            assert_same(&without(&before, &[table]), &without(&after, &[table]));
            assert_ne!(before, after);
        }
        let restored = shop.dump();
        // Lines are not among the tables that were restored.
        assert_same(&without(&captured, &["lines"]), &without(&restored, &["lines"]));
        for _ in 0..2 {
            for table in TABLES {
                let undone = shop.rollback(table).unwrap();
                assert_eq!(undone.kept.as_deref(), shop.old(table).to_str(), "{table}");
            }
            let now = shop.dump();
            assert!(now == later || now == restored);
        }
        assert_same(&restored, &shop.dump());
        // Nothing is left but what was put aside.
        assert_eq!(shop.names().len(), 1 + TABLES.len(), "{:?}", shop.names());
    }
}

#[test]
fn a_plan_says_what_would_go_and_what_stands_in_the_way() {
    let shop = Shop::captured("delete", SHOP);
    shop.run("DELETE FROM strict WHERE i IS NULL; DROP TRIGGER ordered");
    let before = (fs::read(&shop.path).unwrap(), shop.names());
    let plan = shop.plan("STRICT");
    assert_eq!((plan.table.as_str(), plan.comes.rows), ("strict", 2));
    assert_eq!(plan.existing.map(|there| (there.rows, there.bytes)), Some((1, 4096)));
    assert!(plan.blockers.is_empty() && plan.notices.is_empty(), "{plan:?}");
    drop(plan);
    let plan = shop.plan("orders");
    assert_eq!(plan.notices, ["the trigger ordered comes with orders, and is not there now"]);
    drop(plan);
    assert!((fs::read(&shop.path).unwrap(), shop.names()) == before);
    shop.run(
        "DROP INDEX orders_of; CREATE INDEX Orders_Of ON log (what); CREATE TRIGGER ordered AFTER DELETE ON log BEGIN SELECT 1; END;
        DROP INDEX orders_by; CREATE VIEW orders_by AS SELECT 1; DROP TABLE pairs; CREATE VIEW pairs AS SELECT 2",
    );
    let plan = shop.plan("orders");
    for why in [
        "the index orders_of comes with orders, and in the database that is there the index of that name of log is",
        "the trigger ordered comes with orders, and in the database that is there the trigger of that name of log is",
        "the index orders_by comes with orders, and in the database that is there the view of that name is in its way",
    ] {
        assert!(plan.blockers.iter().any(|blocker| blocker.contains(why)), "{why}: {plan:?}");
    }
    assert!(matches!(restore(&plan, &[], &|_| (), &|| false), Err(RestoreError::Refused(_))));
    let plan = shop.plan("pairs");
    assert_eq!(plan.blockers, ["pairs is a view in the database that is there"]);
}

#[test]
fn only_tables_are_restored_alone() {
    let shop = Shop::captured(
        "delete",
        "CREATE VIRTUAL TABLE docs USING fts5(text); INSERT INTO docs VALUES ('one'); CREATE VIEW v AS SELECT 1; CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT)",
    );
    for (name, what) in [
        ("docs", "a virtual table"),
        ("docs_content", "a part of a virtual table"),
        ("v", "a view"),
        ("sqlite_sequence", "a table of SQLite's own"),
    ] {
        let plan = shop.plan(name);
        assert!(plan.blockers.iter().any(|blocker| blocker.contains(what)), "{plan:?}");
        assert!(restore(&plan, &[], &|_| (), &|| false).is_err());
    }
    let target = |shop: &Shop| {
        let mut target = SqliteTarget::new(&shop.path, Placement::Replace).unwrap();
        target.write(&shop.snapshot).unwrap();
        target
    };
    let known = names(&target(&shop), &|| false).unwrap();
    assert!(known.contains(&"t".to_owned()) && !known.contains(&"sqlite_sequence".to_owned()), "{known:?}");
    // The others stay what they are.
    shop.run("INSERT INTO t VALUES (5); INSERT INTO docs VALUES ('two')");
    shop.restore("t").unwrap();
    let connection = Connection::open(&shop.path).unwrap();
    let found: i64 = connection
        .query_row("SELECT count(*) FROM docs WHERE docs MATCH 'one OR two'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(found, 2);
}

#[test]
fn a_table_that_was_dropped_comes_back_and_there_is_nothing_to_roll_back() {
    let shop = Shop::captured("wal", SHOP);
    let captured = shop.dump();
    shop.run("DELETE FROM strict");
    shop.restore("strict").unwrap();
    assert!(shop.old("strict").exists());
    shop.run("DROP TABLE strict");
    let restored = shop.restore("strict").unwrap();
    assert_eq!((restored.rows, restored.kept), (2, None));
    assert_same(&captured, &shop.dump());
    assert_eq!(shop.rollback("strict"), None);
    assert_eq!(shop.names(), ["shop.db"]);
    // What was put aside comes back though nothing is there.
    shop.restore("strict").unwrap();
    shop.run("DROP TABLE strict");
    assert_eq!(shop.rollback("strict").unwrap().kept, None);
    assert_same(&captured, &shop.dump());
    assert_eq!(shop.names(), ["shop.db"]);
}

#[test]
fn what_does_not_fit_any_more_is_told() {
    let shop = Shop::captured("delete", SHOP);
    shop.run(
        "INSERT INTO orders (id, customer, price) VALUES (1000, 1, 1); INSERT INTO lines VALUES (1000, 'new'), (1000, 'newer');
        ALTER TABLE orders ADD COLUMN colour TEXT; CREATE VIEW coloured AS SELECT colour FROM orders; CREATE VIEW lost AS SELECT * FROM missing;
        DROP TRIGGER ordered; DROP TABLE log",
    );
    let none_astray = "SELECT count(*) = 0 FROM pragma_foreign_key_check";
    let error = shop.restore_checked("orders", &[none_astray]).unwrap_err().to_string();
    assert!(error.contains("it is false"), "{error}");
    let warnings = shop.restore("orders").unwrap().warnings;
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert_eq!(warnings[0], "2 rows of lines now refer to nothing in orders");
    assert!(
        warnings[1].starts_with("a trigger of orders fails now: no such table: main.log"),
        "{warnings:?}"
    );
    assert!(warnings[2].starts_with("the view coloured fails now: no such column: colour"), "{warnings:?}");
    assert_eq!(shop.rollback("orders").unwrap().warnings, <Vec<String>>::new());
    shop.run("PRAGMA foreign_keys = OFF; DELETE FROM customers WHERE id = 2");
    let warnings = shop.restore("orders").unwrap().warnings;
    assert!(!warnings.iter().any(|warning| warning.contains("customers")), "as many as before: {warnings:?}");
}

#[test]
fn checks_see_what_was_restored_before_anybody_else_and_change_nothing() {
    let shop = Shop::captured("wal", SHOP);
    shop.run(LATER);
    let before = shop.dump();
    for (check, why) in [
        ("SELECT count(*) > 3 FROM orders", "it is false"),
        ("SELECT max(price) FROM orders WHERE price > 100", "it is null"),
        ("SELECT * FROM missing", "no such table"),
        ("DELETE FROM customers", "it writes"),
        ("INSERT INTO log VALUES ('x') RETURNING 1", "it writes"),
        ("COMMIT", "it asks nothing"),
        ("ROLLBACK", "it asks nothing"),
        ("PRAGMA query_only = OFF", "it asks nothing"),
        ("SELECT 1; COMMIT", "Multiple statements"),
        ("!true", "ask by a query"),
    ] {
        let error = shop.restore_checked("orders", &["SELECT 1", check]).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains(check.trim_start_matches('!')), "{error}");
        assert_same(&before, &shop.dump());
        assert_eq!(shop.names(), ["shop.db"]);
    }
    shop.restore_checked("orders", &["SELECT count(*) = 3 AND sum(price) = 15.5 FROM orders"]).unwrap();
}

#[test]
fn what_was_looked_at_is_what_is_replaced() {
    let shop = Shop::captured("delete", SHOP);
    for changed in ["ALTER TABLE strict ADD COLUMN more INT", "DROP TABLE strict", "CREATE TABLE strict (a)"]
    {
        let plan = shop.plan("strict");
        shop.run(changed);
        let before = shop.dump();
        let error = restore(&plan, &[], &|_| (), &|| false).unwrap_err().to_string();
        assert!(error.contains("is another one than when it was looked at"), "{error}");
        assert_same(&before, &shop.dump());
    }
    // The second of two would drop what the first put aside.
    let (first, second) = (shop.plan("pairs"), shop.plan("pairs"));
    shop.run("CREATE TABLE unrelated (a)");
    restore(&first, &[], &|_| (), &|| false).unwrap();
    let error = restore(&second, &[], &|_| (), &|| false).unwrap_err().to_string();
    assert!(error.contains("is another one than when it was looked at"), "{error}");
    // Its rows may change: what is put aside is what is there at the end.
    let plan = shop.plan("log");
    shop.run("INSERT INTO log VALUES ('meanwhile')");
    restore(&plan, &[], &|_| (), &|| false).unwrap();
    shop.rollback("log");
    assert!(shop.dump().iter().any(|(_, line)| line.contains("meanwhile")));
    let plan = shop.plan("log");
    let other = shop.folder.path().join("other");
    fs::copy(&shop.path, &other).unwrap();
    fs::rename(&other, &shop.path).unwrap();
    let error = restore(&plan, &[], &|_| (), &|| false).unwrap_err().to_string();
    assert!(error.ends_with("shop.db is another one than when it was looked at"), "{error}");
}

#[test]
fn who_interrupts_finds_everything_as_it_was() {
    let shop = Shop::captured("wal", SHOP);
    shop.run(
        "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n LIMIT 100000) INSERT INTO orders (id, customer, price) SELECT i, 1, i FROM n;
        DROP TRIGGER lined",
    );
    let before = shop.dump();
    let plan = shop.plan("orders");
    let copied = AtomicU64::new(0);
    let count = |bytes| {
        copied.fetch_add(bytes, Ordering::Relaxed);
    };
    for after in [0, 1, 1_000_000] {
        copied.store(0, Ordering::Relaxed);
        let stopped = restore(&plan, &[], &count, &|| copied.load(Ordering::Relaxed) >= after);
        assert!(matches!(stopped, Err(RestoreError::Cancelled)), "{stopped:?}");
    }
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let begun = std::time::Instant::now();
    let late = || begun.elapsed().as_secs() >= 1;
    let stopped = restore(&plan, &[Check::from(endless)], &|_| (), &late);
    assert!(matches!(stopped, Err(RestoreError::Cancelled)), "{stopped:?}");
    drop(plan);
    assert_same(&before, &shop.dump());
    assert_eq!(shop.names(), ["shop.db"]);
}

#[test]
fn text_is_what_it_was_however_either_database_writes_it() {
    let texts = "CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('äöü€𝄞'), (''), ('a' || char(0) || 'b')";
    for (of_snapshot, of_live) in [("UTF-8", "UTF-16le"), ("UTF-16be", "UTF-8"), ("UTF-16le", "UTF-16be")] {
        let mut shop = Shop::captured("delete", &format!("PRAGMA encoding = '{of_snapshot}'; {texts}"));
        let captured = shop.dump();
        fs::remove_file(&shop.path).unwrap();
        shop.run(&format!("PRAGMA encoding = '{of_live}'; {texts}; UPDATE t SET a = a || 'ß'"));
        let live = shop.dump();
        shop.restore("t").unwrap();
        assert_same(&captured, &shop.dump());
        shop.rollback("t");
        assert_same(&live, &shop.dump());
        shop.snapshot.clear();
    }
}

#[test]
fn what_is_kept_is_readable_by_whoever_may_read_the_database() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let shop = Shop::captured("delete", SHOP);
    for mode in [0o640, 0o600] {
        fs::set_permissions(&shop.path, fs::Permissions::from_mode(mode)).unwrap();
        shop.restore("log").unwrap();
        assert_eq!(shop.old("log").metadata().unwrap().mode() & 0o777, mode);
        assert_eq!(shop.path.metadata().unwrap().mode() & 0o777, mode);
    }
    // It is a database of its own.
    assert!(dump(&shop.old("log")).iter().any(|(of, _)| of == "log"));
}
