//! One table of a SQLite database, restored into it while others have it open.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use rusqlite::Connection;
use rustix::process::Signal;

use crate::running::{Done, Running, wait_until};
use crate::small_disk::SmallDisk;
use crate::support::TestEnv;
use crate::test_sqlite::user::User;

const SHOP: &str = "
    CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, price REAL, note BLOB);
    CREATE INDEX orders_by ON orders (price); CREATE TABLE log (what TEXT);
    CREATE TRIGGER ordered AFTER INSERT ON orders BEGIN INSERT INTO log VALUES (new.id); END;
    CREATE VIEW dear AS SELECT id FROM orders WHERE price > 50;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100) INSERT INTO orders (price, note) SELECT i, zeroblob(100) FROM n;
    DELETE FROM log";
const SUM: &str = "SELECT sum(price) || ' ' || count(*) FROM orders";
const CAPTURED: &str = "5050.0 100";
const LIVE: &str = "15150.0 100";

/// A service, captured, and changed since.
fn shop(journal_mode: &str) -> TestEnv {
    let env = TestEnv::new();
    env.write("icecore.toml", "[services.shop]\nurl = 'sqlite:data/shop.db'\n");
    fs::create_dir(env.path("data")).unwrap();
    let connection = Connection::open(live(&env)).unwrap();
    connection.query_row(&format!("PRAGMA journal_mode = {journal_mode}"), [], |_| Ok(())).unwrap();
    connection.execute_batch(SHOP).unwrap();
    drop(connection);
    env.ok(&["create", "shop"]);
    run(&live(&env), "UPDATE orders SET price = price * 3");
    env
}

fn live(env: &TestEnv) -> PathBuf {
    env.path("data/shop.db")
}

fn run(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

fn ask(path: &Path, sql: &str) -> String {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_secs(20)).unwrap();
    let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn names(env: &TestEnv) -> Vec<String> {
    let entries = fs::read_dir(env.path("data")).unwrap();
    let mut names: Vec<_> = entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_table_comes_back_and_is_rolled_back() {
    for journal_mode in ["delete", "wal"] {
        let env = shop(journal_mode);
        let live = live(&env);
        run(&live, "INSERT INTO log VALUES ('later')");
        let before = (fs::read(&live).unwrap(), names(&env));
        let said = env.fails(15, &["restore", "shop", "--table", "orders"]);
        for part in ["the table orders is there, and was not touched", "(100 rows, ", "--yes replaces"] {
            assert!(said.contains(part), "{said}");
        }
        assert!((fs::read(&live).unwrap(), names(&env)) == before);
        let restored = env.json(&["restore", "shop", "--table", "Orders", "--yes"]);
        assert_eq!(restored["table"], "orders");
        assert_eq!(restored["rows"], 100);
        assert_eq!(restored["kept"], env.path("data/shop.db__ice_old_orders").to_str().unwrap());
        assert_eq!(ask(&live, SUM), CAPTURED);
        assert_eq!(ask(&live, "SELECT what FROM log"), "later");
        assert_eq!(ask(&live, "SELECT count(*) || '' FROM dear"), "50");
        env.fails(15, &["rollback", "shop", "--table", "orders"]);
        env.ok(&["rollback", "shop", "--table", "orders", "--yes"]);
        assert_eq!(ask(&live, SUM), LIVE);
        let undone = env.json(&["rollback", "--table", "orders", "--yes"]);
        assert_eq!(undone["kept"], restored["kept"]);
        assert_eq!(ask(&live, SUM), CAPTURED);
        assert_eq!(names(&env), ["shop.db", "shop.db__ice_old_orders"]);
        // What its user does goes on where it was.
        run(&live, "INSERT INTO orders (price) VALUES (1)");
        assert_eq!(
            ask(&live, "SELECT max(id) || ' ' || (SELECT what FROM log WHERE what <> 'later') FROM orders"),
            "101 101"
        );
    }
}

#[test]
fn a_table_goes_to_another_database_too() {
    let env = shop("wal");
    let other = env.path("data/other.db");
    run(&other, "CREATE TABLE log (what); CREATE TABLE mine (a); INSERT INTO mine VALUES ('mine')");
    let restored = env.json(&["restore", "shop", "--table", "orders", "--to", "data/other.db"]);
    assert_eq!(
        (&restored["kept"], &restored["warnings"][0]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
    assert_eq!((ask(&other, SUM).as_str(), ask(&other, "SELECT a FROM mine").as_str()), (CAPTURED, "mine"));
    let said = env.fails(10, &["rollback", "sqlite:data/other.db", "--table", "orders", "--yes"]);
    assert!(said.contains("there is nothing to bring back of orders"), "{said}");
    let said = env.run(&["restore", "shop", "--table", "orders", "--to", "sqlite:data/other.db", "--yes"]);
    let undo = format!("`icecore rollback sqlite:{} --table orders` brings it back", other.display());
    assert!(
        said.stderr.contains("other.db__ice_old_orders") && said.stderr.contains(&undo),
        "{}",
        said.stderr
    );
    let third = env.path("data/third.db");
    run(&third, "CREATE TABLE mine (a)");
    let said = env.run(&["restore", "shop", "--table", "orders", "--to", "data/third.db"]);
    assert_eq!(said.status, 3, "{}", said.stderr);
    assert!(
        said.stderr.contains("a trigger of orders fails now: no such table: main.log"),
        "{}",
        said.stderr
    );
    assert_eq!(ask(&third, SUM), CAPTURED);
}

#[test]
fn what_cannot_be_restored_alone_is_said_before_anything_changes() {
    let env = shop("delete");
    let before = (fs::read(live(&env)).unwrap(), names(&env));
    for (status, arguments, why) in [
        (10, &["--table", "order"][..], "it has dear, log, orders"),
        (15, &["--table", "dear"], "dear is a view in the snapshot"),
        (15, &["--table", "orders", "--to", "data/missing.db"], "there is no database"),
        (
            15,
            &["--table", "orders", "--yes", "--check", "SELECT sum(price) > 10000 FROM orders"],
            "it is false",
        ),
        (15, &["--table", "orders", "--yes", "--check", "DELETE FROM log"], "it writes"),
        (2, &["--table", "orders", "--in-place"], "without --part and --in-place"),
        (2, &["--table", "orders", "--part", "x"], "cannot be used with"),
        (2, &["--table", "orders", "--to", "-"], "--table is for databases"),
        (2, &["--table", "orders", "--preserve"], "are for whole databases"),
        (2, &["--table", "orders", "--create-roles"], "databases on servers"),
        (2, &["--table", "orders", "--allow-damaged"], "not for one table"),
    ] {
        let said = env.fails(status, &[&["restore", "shop"], arguments].concat());
        assert!(said.contains(why), "{arguments:?}: {said}");
        assert!((fs::read(live(&env)).unwrap(), names(&env)) == before, "{arguments:?}");
    }
    fs::write(live(&env), b"no database, or an encrypted one".repeat(100)).unwrap();
    let said = env.fails(1, &["restore", "shop", "--table", "orders", "--yes"]);
    assert!(said.contains("file is not a database") && said.contains("shop.db"), "{said}");
}

#[test]
fn whoever_reads_meanwhile_sees_one_state_or_the_other() {
    let env = shop("wal");
    let live = live(&env);
    let mut reader = User::open(&live);
    assert_eq!(reader.run(&format!("BEGIN; {SUM}")), LIVE);
    env.ok(&["restore", "shop", "--table", "orders", "--yes"]);
    assert_eq!(reader.run(SUM), LIVE);
    assert_eq!(reader.run(&format!("COMMIT; {SUM}")), CAPTURED);
    assert_eq!(reader.run("INSERT INTO orders (price) VALUES (1) RETURNING id"), "101");
    // Without a log, whoever is between two transactions notices nothing either.
    let env = shop("delete");
    let mut user = User::open(&env.path("data/shop.db"));
    assert_eq!(user.run(SUM), LIVE);
    env.ok(&["restore", "shop", "--table", "orders", "--yes"]);
    assert_eq!(user.run(SUM), CAPTURED);
}

#[test]
fn whoever_does_not_let_go_is_waited_for_and_then_refused() {
    for (journal_mode, sql) in
        [("wal", "BEGIN IMMEDIATE"), ("delete", "BEGIN IMMEDIATE"), ("delete", "BEGIN")]
    {
        let env = shop(journal_mode);
        let live = live(&env);
        let mut user = User::open(&live);
        assert_eq!(user.run(&format!("{sql}; {SUM}")), LIVE);
        let said = env.fails(11, &["restore", "shop", "--table", "orders", "--yes"]);
        assert!(said.contains("shop.db is in use by another process"), "{said}");
        assert_eq!(user.run(&format!("{SUM}; COMMIT")), LIVE);
        drop(user);
        assert_eq!(ask(&live, SUM), LIVE);
        assert_eq!(names(&env), ["shop.db"]);
    }
}

#[test]
fn what_others_write_meanwhile_stays() {
    for journal_mode in ["wal", "delete"] {
        let env = shop(journal_mode);
        let live = live(&env);
        let is_done = AtomicBool::new(false);
        let written = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let connection = Connection::open(&live).unwrap();
                connection.busy_timeout(Duration::from_secs(30)).unwrap();
                let mut written = 0;
                while !is_done.load(Ordering::Relaxed) {
                    connection.execute("INSERT INTO log VALUES ('meanwhile')", []).unwrap();
                    let sum: String = connection.query_row(SUM, [], |row| row.get(0)).unwrap();
                    assert!(sum == CAPTURED || sum == LIVE, "{sum}");
                    written += 1;
                    sleep(Duration::from_millis(2));
                }
                written
            });
            let done = Done(&is_done);
            for _ in 0..3 {
                env.ok(&["restore", "shop", "--table", "orders", "--yes"]);
                env.ok(&["rollback", "shop", "--table", "orders", "--yes"]);
            }
            drop(done);
            writer.join().unwrap()
        });
        assert!(written > 0);
        assert_eq!(ask(&live, "SELECT count(*) || '' FROM log"), written.to_string());
        assert_eq!(ask(&live, SUM), LIVE);
    }
}

#[test]
fn a_restore_that_is_killed_anywhere_leaves_one_state_or_the_other() {
    let env = shop("wal");
    let live = live(&env);
    let more = "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n LIMIT 20000) INSERT INTO orders SELECT i, 0, randomblob(300) FROM n";
    run(&live, more);
    run(&live, "DELETE FROM log; INSERT INTO log VALUES ('mine')");
    env.ok(&["create", "shop"]);
    run(&live, "UPDATE orders SET price = price + 1");
    let states = [ask(&live, SUM), "15150.0 20100".to_owned()];
    assert_ne!(states[0], states[1]);
    for delay in (0..20).map(|turn| turn * 35) {
        let command = if delay % 2 == 0 { "restore" } else { "rollback" };
        let running = Running::start(&mut env.command(&[command, "shop", "--table", "orders", "--yes"]));
        sleep(Duration::from_millis(delay));
        running.kill();
        let sum = ask(&live, SUM);
        assert!(states.contains(&sum), "{delay}: {sum}");
        assert_eq!(ask(&live, "SELECT what FROM log"), "mine");
        assert_eq!(ask(&live, "SELECT count(*) || '' FROM sqlite_schema"), "6");
    }
    // The first may find that another one had happened.
    let _ = env.run(&["restore", "shop", "--table", "orders", "--yes"]);
    env.ok(&["restore", "shop", "--table", "orders", "--yes"]);
    assert_eq!(ask(&live, SUM), states[1]);
    assert_eq!(names(&env), ["shop.db", "shop.db__ice_old_orders"]);
}

#[test]
fn who_interrupts_leaves_nothing() {
    let env = shop("delete");
    let before = fs::read(live(&env)).unwrap();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT count(*) FROM n";
    let mut command = env.command(&["restore", "shop", "--table", "orders", "--yes", "--check", endless]);
    let restoring = Running::start(&mut command);
    wait_until(|| names(&env).len() >= 3);
    sleep(Duration::from_millis(500));
    restoring.send(Signal::INT);
    restoring.said().fails(130);
    assert_eq!(names(&env), ["shop.db"]);
    assert!(fs::read(live(&env)).unwrap() == before);
}

#[test]
fn a_disk_that_is_full_leaves_the_table_as_it_is() {
    for journal_mode in ["delete", "wal"] {
        let disk = SmallDisk::new("12m");
        let live = disk.store.join("shop.db");
        let connection = Connection::open(disk.env.path("shop.db")).unwrap();
        connection.query_row(&format!("PRAGMA journal_mode = {journal_mode}"), [], |_| Ok(())).unwrap();
        connection.execute_batch(SHOP).unwrap();
        connection.execute_batch("UPDATE orders SET note = randomblob(10000)").unwrap();
        drop(connection);
        fs::copy(disk.env.path("shop.db"), &live).unwrap();
        let store = ["--store", "store"];
        disk.icecore(&[&store[..], &["init"]].concat()).ok();
        disk.icecore(&[&store[..], &["create", "sqlite:.icecore/shop.db"]].concat()).ok();
        let restore = [
            &store[..],
            &["restore", "shop.db", "--to", "sqlite:.icecore/shop.db", "--table", "orders", "--yes"],
        ]
        .concat();
        let len = live.metadata().unwrap().len();
        let kept = |name: &str| disk.store.join(name).exists();
        for free in [len / 2, len * 5 / 4, len * 3 / 2, len * 7 / 4, len * 9 / 4] {
            disk.fill(free);
            let said = disk.icecore(&restore);
            assert!(said.status == 1, "{free} of {len}: {} {}", said.status, said.stderr);
            assert!(said.stderr.contains("make room"), "{}", said.stderr);
            // Where SQLite sees it: it follows links to where that disk is not.
            for suffix in ["", "-wal", "-journal"] {
                let (from, to) = (format!("shop.db{suffix}"), disk.env.path(&format!("seen.db{suffix}")));
                let _ = fs::remove_file(&to);
                let _ = fs::copy(disk.store.join(from), to);
            }
            assert_eq!(ask(&disk.env.path("seen.db"), SUM), CAPTURED);
            assert!(!kept("shop.db__ice_old_orders") && !kept("shop.db__ice_gone_orders"));
            disk.clear();
        }
        disk.icecore(&restore).ok();
        assert!(kept("shop.db__ice_old_orders"));
    }
}
