//! Restores and rollbacks of a table that are killed.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use super::super::aside::{Aside, Place, table_in};
use super::super::exchange::Exchange;
use super::super::session::Session;
use super::*;

const STEP: &str = "ICECORE_TEST_TABLE_STEP";
const SWAP: &str = "ICECORE_TEST_TABLE_SWAP";
const PLACE: &str = "ICECORE_TEST_TABLE_PATH";

/// Where it is killed.
const BEGUN: &str = "begun";
const WRITING: &str = "writing";
const WORKED: &str = "worked";
const PLACED: &str = "placed";
const COMMITTED: &str = "committed";
const BEFORE: [&str; 4] = [BEGUN, WRITING, WORKED, PLACED];

const SIGABRT: i32 = 6;
const ROWS: u64 = 3000;
/// More than SQLite keeps in memory: some of it is written when the process dies.
const LARGE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a, b); CREATE INDEX i ON t (a); CREATE TABLE u (a);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000) INSERT INTO t (a, b) SELECT i, zeroblob(5000) FROM n;
    INSERT INTO u SELECT a FROM t LIMIT 10";

fn killed_at(step: &str, swap: &str, shop: &Shop) {
    fs::write(shop.folder.path().join("snapshot"), &shop.snapshot).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "sqlite::table::tests::interrupted::role_of_a_process_that_is_killed"])
        .env(STEP, step)
        .env(SWAP, swap)
        .env(PLACE, &shop.path);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.signal(), Some(SIGABRT));
    fs::remove_file(shop.folder.path().join("snapshot")).unwrap();
}

/// Not a test by itself: what [`killed_at`] starts.
#[test]
fn role_of_a_process_that_is_killed() {
    let (Ok(step), Ok(swap)) = (std::env::var(STEP), std::env::var(SWAP)) else { return };
    let path = PathBuf::from(std::env::var_os(PLACE).unwrap());
    let place = Place::of(&path, "t");
    if swap == "restore" {
        let mut target = SqliteTarget::new(&path, Placement::Replace).unwrap();
        target.write(&fs::read(path.with_file_name("snapshot")).unwrap()).unwrap();
        let plan = plan(target, "t", &|| false).unwrap();
        let (table, source) = (&plan.definition, plan.beside.path());
        die(
            &step,
            &Exchange { swap: Swap::Restore, path: &path, place, table, source, expected: None, checks: &[] },
        );
    }
    let kept = Session::of_stranger(&place.old).unwrap();
    let table = Table::find(&kept, &table_in(&kept).unwrap().unwrap()).unwrap().unwrap();
    let source = place.old.clone();
    die(
        &step,
        &Exchange {
            swap: Swap::Rollback,
            path: &path,
            place,
            table: &table,
            source: &source,
            expected: None,
            checks: &[],
        },
    );
}

fn die(step: &str, exchange: &Exchange<'_>) -> ! {
    let mut live = exchange.begin(&|| false).unwrap();
    let mut aside = Aside::begin(exchange.path).unwrap();
    let mut source = Session::of_stranger(exchange.source).unwrap();
    let dies_at = |at: &str| {
        if step == at {
            std::process::abort();
        }
    };
    dies_at(BEGUN);
    let copied = AtomicU64::new(0);
    let count = |_| {
        // All of what is put aside, and half of what comes.
        if copied.fetch_add(1, Ordering::Relaxed) == ROWS * 3 / 2 {
            dies_at(WRITING);
        }
    };
    exchange.work(&mut source, &mut live, &mut aside, &count).unwrap();
    dies_at(WORKED);
    let placed = aside.place(&exchange.place).unwrap();
    dies_at(PLACED);
    live.run("COMMIT").unwrap();
    dies_at(COMMITTED);
    drop(placed);
    unreachable!("{step} is no step");
}

fn changed(mode: &str) -> (Shop, Dump, Dump) {
    let shop = Shop::captured(mode, LARGE);
    let captured = shop.dump();
    shop.run("UPDATE t SET a = -a; DROP INDEX i; INSERT INTO t (a) VALUES (7)");
    let live = shop.dump();
    (shop, captured, live)
}

#[test]
fn a_restore_that_is_killed_leaves_the_table_as_it_was_and_can_be_run_again() {
    for mode in ["delete", "wal"] {
        let (shop, captured, live) = changed(mode);
        for step in BEFORE {
            killed_at(step, "restore", &shop);
            assert_same(&live, &shop.dump());
        }
        assert_eq!(shop.rollback("t"), None);
        assert_same(&live, &shop.dump());
        shop.restore("t").unwrap();
        assert_same(&captured, &shop.dump());
        // What the restore before put aside is still there if the next one is killed.
        for step in BEFORE {
            killed_at(step, "restore", &shop);
            assert_same(&captured, &shop.dump());
        }
        shop.rollback("t").unwrap();
        assert_same(&live, &shop.dump());
        assert_eq!(shop.names(), ["shop.db", "shop.db__ice_old_t"]);
    }
}

#[test]
fn a_restore_that_was_killed_after_it_happened_is_completed_once_and_rolled_back() {
    for mode in ["delete", "wal"] {
        let (shop, captured, live) = changed(mode);
        killed_at(COMMITTED, "restore", &shop);
        assert_same(&captured, &shop.dump());
        // What somebody changes meanwhile makes no difference.
        shop.run("CREATE TABLE later (a); DROP TABLE later");
        let plan = shop.plan("t");
        assert!(plan.notices.iter().any(|notice| notice.contains("was interrupted")), "{plan:?}");
        let error = restore(&plan, &[], &|_| (), &|| false).unwrap_err().to_string();
        assert!(
            error.contains("is complete now: what was there is") && error.contains("__ice_old_t"),
            "{error}"
        );
        drop(plan);
        assert_eq!(shop.names(), ["shop.db", "shop.db__ice_old_t"]);
        shop.rollback("t").unwrap();
        assert_same(&live, &shop.dump());
        killed_at(COMMITTED, "restore", &shop);
        shop.rollback("t").unwrap();
        assert_same(&live, &shop.dump());
    }
}

#[test]
fn a_rollback_that_was_killed_and_is_run_again_is_not_undone() {
    let (shop, captured, live) = changed("wal");
    shop.restore("t").unwrap();
    for step in BEFORE {
        killed_at(step, "rollback", &shop);
        assert_same(&captured, &shop.dump());
    }
    killed_at(COMMITTED, "rollback", &shop);
    assert_same(&live, &shop.dump());
    let undone = shop.rollback("t").unwrap();
    assert_eq!(undone.kept.as_deref(), shop.old("t").to_str());
    assert_same(&live, &shop.dump());
    shop.rollback("t").unwrap();
    assert_same(&captured, &shop.dump());
}

#[test]
fn what_a_killed_restore_left_beside_another_database_is_not_taken_for_its_own() {
    let (shop, _, live) = changed("delete");
    killed_at(PLACED, "restore", &shop);
    let going = Place::of(&shop.path, "t").going;
    for moved_on in [1 << 22, -5, i32::MIN] {
        shop.run(&format!("PRAGMA schema_version = {moved_on}"));
        let planned = shop.plan("t");
        assert!(planned.blockers.iter().any(|why| why.contains("__ice_gone_t is there")), "{planned:?}");
        assert!(matches!(rollback(&shop.path, "t", &|_| (), &|| false), Err(RestoreError::Refused(_))));
        assert!(going.exists());
    }
    fs::write(&going, "no database").unwrap();
    assert!(matches!(rollback(&shop.path, "t", &|_| (), &|| false), Err(RestoreError::Refused(_))));
    fs::remove_file(&going).unwrap();
    shop.restore("t").unwrap();
    shop.rollback("t").unwrap();
    assert_same(&live, &shop.dump());
}
