//! What `--preserve` kept takes its place again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use icecore_engine::RestoreError;
use icecore_engine::database::Undone;
use icecore_engine::mysql::Endpoint;
use icecore_engine::mysql::restore::{bring_back, rollback};
use icecore_testkit::mariadb::MariaDbServer;

use super::relay::Relay;
use super::{Holder, captured_and_changed, is_waiting};
use crate::running::wait_until;
use crate::support::{TestEnv, assert_same};

/// To die after each statement takes long: some of them do.
const SOME: usize = 3;

fn endpoint(server: &MariaDbServer, database: &str) -> Endpoint {
    Endpoint::parse(&server.url(database)).unwrap().unwrap()
}

/// Restores, keeps what is replaced as an ordinary database, and changes what was restored. Returns what was there, what is, and that name.
fn preserved(env: &TestEnv, server: &MariaDbServer) -> (String, String, String) {
    let (_, before) = captured_and_changed(env, server);
    let restored = env.json(&["restore", "shop", "--yes", "--preserve"]);
    server.sql("shop", "DELETE FROM child");
    (before, server.dump("shop"), restored["kept"].as_str().unwrap().to_owned())
}

#[test]
fn what_preserve_kept_takes_its_place_again_and_so_does_what_was_there() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    let (before, restored, kept) = preserved(&env, &server);
    let undone = bring_back(&endpoint(&server, "shop"), &kept).unwrap();
    assert_eq!((undone.kept.as_deref(), undone.was_unfinished), (Some("shop__ice_old"), false));
    assert_eq!(server.databases(), "copy\nshop\nshop__ice_old\n");
    let still = |dump: &str| dump.replace("PRESERVE ENABLE", "PRESERVE DISABLE");
    assert_same(&still(&before), &server.dump("shop"));
    // The clock is told by who may.
    let [hourly, off] = undone.warnings.as_slice() else { panic!("{:?}", undone.warnings) };
    assert!(off.contains("the event off of shop is still disabled"), "{off}");
    let statement = "ALTER EVENT `shop`.`hourly` ENABLE";
    assert!(hourly.contains("the event hourly of shop is still disabled") && hourly.contains(statement));
    server.sql("", statement);
    let enabled = server.dump("shop");
    assert!(enabled.contains("PRESERVE ENABLE"));

    let rollback = ["rollback", &server.url("shop"), "--yes"];
    env.ok(&rollback);
    assert_same(&restored, &server.dump("shop"));
    env.ok(&rollback);
    assert_same(&enabled, &server.dump("shop"));
    assert_eq!(server.databases(), "copy\nshop\nshop__ice_old\n");
}

#[test]
fn what_preserve_kept_takes_the_place_of_a_database_that_was_dropped() {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    let (before, _, kept) = preserved(&env, &server);
    server.sql("", "DROP DATABASE shop");
    let undone = bring_back(&endpoint(&server, "shop"), &kept).unwrap();
    assert_eq!(undone.kept, None);
    assert_eq!(server.databases(), "copy\nshop\n");
    assert_same(&before.replace("PRESERVE ENABLE", "PRESERVE DISABLE"), &server.dump("shop"));
    assert_eq!(rollback(&endpoint(&server, "shop"), None).unwrap(), None);
}

#[test]
fn what_cannot_be_brought_back_is_said_and_everything_stays() {
    let server = MariaDbServer::start();
    pair(&server, "shop", "shop_2026");
    let both = || [server.dump("shop"), server.dump("shop_2026")];
    let (before, databases) = (both(), server.databases());
    let fails = |kept: &str, why: &str| {
        let error = bring_back(&endpoint(&server, "shop"), kept).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert_eq!(before, both());
    };
    fails("shop_2027", "there is no database shop_2027");
    fails("shop", "shop is not what a restore of shop has kept");
    fails("mysql", "mysql is not what a restore of shop has kept");
    for ours in ["shop__ice_old", "other__ice_new_00000000", "shop__ICE_gone", "shop__ice_left_1"] {
        fails(ours, "a name that icecore uses for its own");
    }
    assert_eq!(server.databases(), databases);
    for place in ["shop", "shop_2026"] {
        server.sql("", format!("CREATE DATABASE other; CREATE TABLE other.leads (id INT, FOREIGN KEY (id) REFERENCES {place}.orders (id))"));
        fails("shop_2026", "other.leads");
        server.sql("", "DROP DATABASE other");
    }
    server.sql("", "CREATE TABLE shop_2026.__icecore_new (a INT)");
    let error = bring_back(&endpoint(&server, "shop"), "shop_2026").unwrap_err().to_string();
    assert!(error.contains("has a table __icecore_new"), "{error}");
    server.sql("", "DROP TABLE shop_2026.__icecore_new; CREATE DATABASE shop__ice_old; CREATE TABLE shop__ice_old.t (a INT)");
    fails("shop_2026", "shop__ice_old holds what was put aside last");
    server.sql("", "DROP TABLE shop__ice_old.t");
    bring_back(&endpoint(&server, "shop"), "shop_2026").unwrap();
}

#[test]
fn whoever_holds_what_is_kept_is_waited_for_and_triggers_come_back_meanwhile() {
    let server = MariaDbServer::start();
    // Holders hold what is in a database of that name.
    let [live, kept] = pair(&server, "live", "shop");
    let holder = Holder::of(&server, "SELECT * FROM free");
    let given_back = Arc::new(AtomicBool::new(false));
    let is_given_back = Arc::clone(&given_back);
    let relay = Relay::to(&server, move |statement| {
        let is_it = statement.starts_with("CREATE") && statement.contains("TRIGGER second");
        given_back.fetch_or(is_it, Ordering::SeqCst);
        false
    });
    let through = relay.endpoint("live");
    let bringing = thread::spawn(move || bring_back(&through, "shop"));
    wait_until(|| is_waiting(&server));
    wait_until(|| is_given_back.load(Ordering::SeqCst));
    drop(holder);
    check_warnings(&bringing.join().unwrap().unwrap());
    assert_same(&kept, &dump_as(&server, "live", "live"));
    check_warnings(&rollback(&endpoint(&server, "live"), None).unwrap().unwrap());
    assert_same(&live, &dump_as(&server, "live", "live"));
}

#[test]
fn what_others_put_where_something_was_kept_stays() {
    let server = MariaDbServer::start();
    let [_, kept] = pair(&server, "shop", "shop_2026");
    let relay = Relay::to(&server, is_move);
    start(&relay, "shop", "shop_2026");
    wait_until(|| relay.is_reached());
    server.sql("shop_2026", "CREATE TABLE others (a INT)");
    relay.hang_up();
    let undone = bring_back(&endpoint(&server, "shop"), "shop_2026").unwrap();
    let told = undone.warnings.iter().find(|it| it.contains("shop_2026 is still there")).unwrap();
    assert!(told.contains("the table others"), "{told}");
    assert_same(&kept, &dump_as(&server, "shop", "shop"));
    assert_eq!(server.databases(), "shop\nshop_2026\nshop__ice_old\n");
}

#[test]
fn a_rollback_of_what_was_kept_loses_nothing_wherever_it_dies() {
    let server = MariaDbServer::start();
    let mut number = 1;
    while dies_at(&server, number) {
        number += SOME;
    }
    assert!(number > 30, "there are {number} steps");
}

#[test]
fn a_rollback_of_what_was_kept_loses_nothing_wherever_the_server_dies() {
    let mut server = MariaDbServer::start();
    for number in (1..).step_by(SOME + 2) {
        let (live, kept) = names(number);
        let expected = pair(&server, &live, &kept);
        let Some(relay) = start_until(&server, &live, &kept, number) else { break };
        server.kill();
        relay.hang_up();
        server.launch();
        recover(&server, (&live, &kept), number, &expected);
    }
}

#[test]
fn a_rollback_of_what_was_kept_finds_out_what_became_of_it_where_it_loses_an_answer() {
    let server = MariaDbServer::start();
    for number in (1..).step_by(SOME + 2) {
        let (live, kept) = names(number);
        let [was_live, was_kept] = pair(&server, &live, &kept);
        let relay = Relay::to(&server, only(number));
        let bringing = start(&relay, &live, &kept);
        wait_until(|| relay.is_reached() || bringing.is_finished());
        relay.break_off();
        let beside = |name: &str| {
            let found = server.databases();
            found.lines().filter(|it| it.starts_with(&format!("{live}_"))).collect::<Vec<_>>() == [name]
        };
        match bringing.join().unwrap() {
            Ok(undone) => {
                assert_same(&was_kept, &dump_as(&server, &live, &live));
                // At the very end it says what it could not drop.
                if !undone.warnings.iter().any(|warning| warning.contains("is still there")) {
                    check_warnings(&undone);
                    assert!(beside(&format!("{live}__ice_old")), "{number}");
                }
            }
            Err(error) => {
                assert!(!error.to_string().contains("left behind"), "{number}: {error}");
                // But for an empty database, if it was that whose making was not answered.
                assert_eq!(rollback(&endpoint(&server, &live), None).unwrap(), None);
                assert_same(&was_live, &dump_as(&server, &live, &live));
                assert_same(&was_kept, &dump_as(&server, &kept, &live));
                assert!(beside(&kept), "{number}: {error}");
            }
        }
        if !relay.is_reached() {
            break;
        }
    }
}

#[test]
fn a_rollback_of_what_was_kept_loses_nothing_wherever_it_dies_where_nothing_is_replaced() {
    let server = MariaDbServer::start();
    for number in (1..).step_by(SOME + 2) {
        let (live, kept) = names(number);
        let [_, was_kept] = pair(&server, &live, &kept);
        server.sql("", format!("DROP DATABASE {live}"));
        let Some(relay) = start_until(&server, &live, &kept, number) else { break };
        relay.hang_up();
        if server.databases().contains(&kept) {
            check_warnings(&bring_back(&endpoint(&server, &live), &kept).unwrap());
        } else {
            rollback(&endpoint(&server, &live), None).unwrap().iter().for_each(check_warnings);
        }
        assert_same(&was_kept, &dump_as(&server, &live, &live));
        assert!(!server.databases().contains(&format!("{live}_")), "{number}");
    }
}

/// Lets one die after so many statements that change something; `false` if it has no more.
fn dies_at(server: &MariaDbServer, number: usize) -> bool {
    let (live, kept) = names(number);
    let expected = pair(server, &live, &kept);
    let Some(relay) = start_until(server, &live, &kept, number) else { return false };
    relay.hang_up();
    recover(server, (&live, &kept), number, &expected);
    true
}

fn names(number: usize) -> (String, String) {
    (format!("shop{number}"), format!("shop{number}_20261122_103000"))
}

/// Two databases that differ in everything, the second one as `--preserve` keeps them. Returns what they are in the place of the first.
fn pair(server: &MariaDbServer, live: &str, kept: &str) -> [String; 2] {
    for (name, number, state, more) in [
        (
            live,
            1,
            "ENABLE",
            "CREATE TABLE log (a INT); CREATE VIEW place AS SELECT * FROM log; CREATE PROCEDURE mine() SELECT 1;",
        ),
        (
            kept,
            2,
            "DISABLE",
            "CREATE TABLE place (a INT); CREATE VIEW log AS SELECT * FROM place; CREATE PROCEDURE other() SELECT 2;",
        ),
    ] {
        server.sql("", format!("CREATE DATABASE {name} COLLATE latin1_german{number}_ci"));
        server.sql(
            name,
            format!(
                "CREATE TABLE orders (id INT PRIMARY KEY, n INT); CREATE TABLE free (a INT); INSERT INTO orders VALUES ({number}, 0);
                CREATE TABLE lines_ (id INT, FOREIGN KEY (id) REFERENCES orders (id)); INSERT INTO lines_ VALUES ({number});
                CREATE TRIGGER second BEFORE INSERT ON orders FOR EACH ROW SET NEW.n = {number};
                CREATE TRIGGER first BEFORE INSERT ON orders FOR EACH ROW SET NEW.n = NEW.n * {number};
                CREATE TRIGGER {name}.typed AFTER INSERT ON {name}.lines_ FOR EACH ROW SET @a = {number};
                CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN {number};
                CREATE VIEW far AS SELECT o.id, COUNT(*) FROM orders o JOIN mysql.global_priv GROUP BY 1;
                CREATE VIEW near AS SELECT f(), id FROM orders; {more}
                CREATE EVENT e ON SCHEDULE EVERY {number} DAY STARTS '2031-01-01 00:00:00' {state} DO SELECT {number};"
            ),
        );
    }
    [dump_as(server, live, live), dump_as(server, kept, live)]
}

fn is_move(statement: &str) -> bool {
    statement.starts_with("RENAME TABLE") && statement.contains("orders")
}

fn changes(statement: &str) -> bool {
    ["CREATE", "DROP", "RENAME", "ALTER", "COMMIT"].iter().any(|verb| statement.starts_with(verb))
}

/// The last one of so many statements that change something.
fn only(number: usize) -> impl FnMut(&str) -> bool {
    let mut left = number;
    move |statement| {
        let counts = left > 0 && changes(statement);
        left -= usize::from(counts);
        counts && left == 0
    }
}

fn start(relay: &Relay, live: &str, kept: &str) -> thread::JoinHandle<Result<Undone, RestoreError>> {
    let (endpoint, kept) = (relay.endpoint(live), kept.to_owned());
    thread::spawn(move || bring_back(&endpoint, &kept))
}

/// Begins, up to some statement that changes something; `None` if there are not so many.
fn start_until(server: &MariaDbServer, live: &str, kept: &str, number: usize) -> Option<Relay> {
    let relay = Relay::to(server, only(number));
    let bringing = start(&relay, live, kept);
    wait_until(|| relay.is_reached() || bringing.is_finished());
    relay.is_reached().then_some(relay)
}

/// What is said is of the event alone.
fn check_warnings(undone: &Undone) {
    let is_known = |warning: &String| warning.contains("the event e of ");
    assert!(undone.warnings.iter().all(is_known), "{:?}", undone.warnings);
}

/// What comes next finds that nothing has happened, or all of it, and makes the rest so. Then it is brought back, and swapped back.
fn recover(
    server: &MariaDbServer,
    (live, kept): (&str, &str),
    number: usize,
    [was_live, was_kept]: &[String; 2],
) {
    let endpoint = endpoint(server, live);
    let is_there = server.databases().contains(kept);
    let undone = match is_there && number.is_multiple_of(2) {
        true => Some(bring_back(&endpoint, kept).unwrap()),
        false => rollback(&endpoint, None).unwrap(),
    };
    undone.iter().for_each(check_warnings);
    let is_swapped_back = dump_as(server, live, live) == *was_live;
    if undone.is_none() {
        assert_same(was_live, &dump_as(server, live, live));
        assert_same(was_kept, &dump_as(server, kept, live));
        check_warnings(&bring_back(&endpoint, kept).unwrap());
    } else if is_swapped_back {
        // Nothing but what was not needed any more was left to do.
        assert!(!is_there, "{number}");
        check_warnings(&rollback(&endpoint, None).unwrap().unwrap());
    }
    assert_same(was_kept, &dump_as(server, live, live));
    let databases = server.databases();
    let beside: Vec<&str> = databases.lines().filter(|name| name.starts_with(&format!("{live}_"))).collect();
    assert_eq!(beside, [format!("{live}__ice_old")]);
    check_warnings(&rollback(&endpoint, None).unwrap().unwrap());
    assert_same(was_live, &dump_as(server, live, live));
}

/// What is dumped of a database, as if it were another one, and its triggers had been typed without it.
fn dump_as(server: &MariaDbServer, database: &str, place: &str) -> String {
    let dump = server.dump(database).replace(&format!("`{database}`"), &format!("`{place}`"));
    let typed = |table: &str| format!("{database}.{table}");
    dump.replace(&typed("typed"), "typed").replace(&typed("lines_"), "lines_")
}
