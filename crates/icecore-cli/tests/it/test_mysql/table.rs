//! One table of a MariaDB database, restored into it.

use icecore_testkit::mariadb::MariaDbServer;

use super::{Holder, has_table, processes};
use crate::running::wait_until;
use crate::support::{TestEnv, assert_same};

const SHOP: &str = "
CREATE TABLE customers (id INT PRIMARY KEY, name TEXT) ENGINE = InnoDB;
INSERT INTO customers SELECT seq, CONCAT('customer ', seq) FROM seq_1_to_100;
CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, customer INT NOT NULL, before_it INT, price DECIMAL(10,2) CHECK (price > 0),
    twice DECIMAL(10,2) AS (price * 2) STORED, KEY dear (price), KEY of_customer (customer), KEY follows (before_it),
    CONSTRAINT of_customer FOREIGN KEY (customer) REFERENCES customers (id) ON UPDATE CASCADE,
    CONSTRAINT follows FOREIGN KEY (before_it) REFERENCES orders (id)) COMMENT = 'what is ordered';
INSERT INTO orders (customer, before_it, price) SELECT 1 + seq % 100, NULL, seq FROM seq_1_to_1000;
UPDATE orders SET before_it = 1 WHERE id > 1;
CREATE TABLE lines_ (number INT, what TEXT, KEY of_order (number), CONSTRAINT of_order FOREIGN KEY (number) REFERENCES orders (id) ON DELETE CASCADE);
INSERT INTO lines_ SELECT seq, 'line' FROM seq_1_to_1000;
CREATE TABLE log (said TEXT);
CREATE TRIGGER stamp BEFORE INSERT ON orders FOR EACH ROW SET NEW.price = NEW.price + 1;
CREATE TRIGGER told BEFORE INSERT ON orders FOR EACH ROW FOLLOWS stamp INSERT INTO log VALUES (NEW.price);
CREATE TRIGGER other BEFORE INSERT ON log FOR EACH ROW SET NEW.said = CONCAT('said ', NEW.said);
CREATE VIEW dearest AS SELECT MAX(price) AS price FROM orders;
CREATE USER clerk; GRANT SELECT ON orders TO clerk;
";

fn shop() -> (TestEnv, MariaDbServer) {
    let (env, server) = (TestEnv::new(), MariaDbServer::start());
    server.sql("", "CREATE DATABASE shop");
    server.sql("shop", SHOP);
    env.ok(&["create", &server.url("shop")]);
    (env, server)
}

const LATER: &str = "
INSERT INTO customers VALUES (101, 'later'); INSERT INTO orders (customer, price) VALUES (101, 1001);
UPDATE orders SET price = price + 1; ALTER TABLE orders DROP KEY dear, ADD COLUMN wrong INT; DROP TRIGGER told;
CREATE TRIGGER wrong BEFORE UPDATE ON orders FOR EACH ROW SET NEW.wrong = 1;
";

#[test]
fn a_table_comes_back_with_all_that_is_its_own_and_all_that_leads_to_it() {
    let (env, server) = shop();
    let captured = server.dump("shop");
    server.sql("shop", LATER);
    server.sql("shop", "DELETE FROM log");
    let later = server.dump("shop");
    let said = env.fails(15, &["restore", "shop", "--table", "orders"]);
    assert!(said.contains("orders is there, and was not touched") && said.contains("--yes"), "{said}");
    assert_same(&later, &server.dump("shop"));

    let restored = env.json(&["restore", "shop", "--table", "orders", "--yes"]);
    let kept = "shop__ice_old_orders.orders";
    assert_eq!((&restored["rows"], &restored["kept"]), (&1000.into(), &kept.into()), "{restored}");
    assert_eq!(restored["warnings"], serde_json::json!([]));
    // What was put aside binds nobody.
    server.sql("shop", "DELETE FROM customers WHERE id = 101");
    assert_same(&captured, &server.dump("shop"));
    assert_eq!(server.sql("shop", "SELECT * FROM dearest"), "1000.00\n");
    assert!(server.sql("", "SHOW GRANTS FOR clerk").contains("`shop`.`orders`"));
    // Others' rows go where they did.
    server.sql("shop", "DELETE FROM orders WHERE id = 1000");
    assert_eq!(server.sql("shop", "SELECT COUNT(*) FROM lines_"), "999\n");
    assert!(server.try_sql("shop", "INSERT INTO lines_ VALUES (1001, '')").is_err());
    server.sql("shop", "INSERT INTO customers VALUES (101, 'later')");

    let rollback = ["rollback", &server.url("shop"), "--table", "orders", "--yes"];
    let said = env.ok(&rollback);
    assert!(said.contains("Rolled back orders") && said.contains(kept), "{said}");
    server.sql("shop", "INSERT INTO lines_ VALUES (1000, 'line')");
    assert_same(&later, &server.dump("shop"));
    let said = env.run(&rollback).fails(3);
    assert!(said.contains("1 rows of lines_ lead to rows that orders does not have"), "{said}");
    assert_eq!(server.sql("shop", "SELECT COUNT(*) FROM orders"), "999\n");
    let databases = server.databases();
    assert_eq!(
        databases.lines().filter(|name| name.contains("__ice_")).collect::<Vec<_>>(),
        ["shop__ice_old_orders"]
    );

    // A restore of all of it is not in its way, and neither is that in the way of a table.
    env.ok(&["restore", "shop", "--yes"]);
    assert_same(&captured, &server.dump("shop"));
    env.ok(&["restore", "shop", "--table", "orders", "--yes"]);
    env.ok(&["rollback", &server.url("shop"), "--yes"]);
    assert_eq!(server.sql("shop", "SELECT COUNT(*) FROM orders"), "999\n");
}

#[test]
fn a_table_that_was_dropped_comes_back() {
    let (env, server) = shop();
    let captured = server.dump("shop");
    server.sql("shop", "SET foreign_key_checks = 0; DROP TABLE orders");
    let restored = env.json(&["restore", "shop", "--table", "orders"]);
    assert_eq!(restored["kept"], serde_json::Value::Null);
    assert_same(&captured, &server.dump("shop"));
    let said = env.fails(10, &["rollback", &server.url("shop"), "--table", "orders", "--yes"]);
    assert!(said.contains("nothing to bring back of orders"), "{said}");
}

#[test]
fn rows_that_would_lead_nowhere_are_said_and_nothing_is_replaced() {
    let (env, server) = shop();
    server.sql("shop", "INSERT INTO orders (id, customer, price) VALUES (1001, 1, 5); INSERT INTO lines_ VALUES (1001, 'new'), (1001, 'too')");
    let before = server.dump("shop");
    let said = env.fails(15, &["restore", "shop", "--table", "orders", "--yes"]);
    assert!(
        said.contains("2 rows of lines_ lead to rows that orders would not have")
            && said.contains("of_order"),
        "{said}"
    );
    assert_same(&before, &server.dump("shop"));
    server.sql("shop", "SET foreign_key_checks = 0; DELETE FROM lines_; DELETE FROM orders; DELETE FROM customers WHERE id = 7");
    let before = server.dump("shop");
    let said = env.fails(15, &["restore", "shop", "--table", "orders", "--yes"]);
    assert!(said.contains("10 rows of orders lead to rows that customers would not have"), "{said}");
    assert_same(&before, &server.dump("shop"));
    assert!(!server.databases().contains("__ice_"));
}

#[test]
fn what_stands_in_a_tables_way_is_said_before_anything_is_written() {
    let (env, server) = shop();
    let before = server.dump("shop");
    let fails = |arguments: &[&str]| {
        let said = env.fails(15, &[&["restore", "shop", "--yes", "--table"], arguments].concat());
        assert_same(&before, &server.dump("shop"));
        assert!(!server.databases().contains("__ice_"));
        said
    };
    let said = env.fails(10, &["restore", "shop", "--table", "nothing"]);
    assert!(said.contains("nothing") && said.contains("customers"), "{said}");
    env.fails(2, &["restore", "shop", "--table", "orders", "--preserve", "--yes"]);
    let said = fails(&["orders", "--check", "SELECT COUNT(*) = 7 FROM orders"]);
    assert!(said.contains("SELECT COUNT(*) = 7"), "{said}");
    let none = server.url("none");
    assert!(fails(&["orders", "--to", &none]).contains("there is no database none"));
    server.sql(
        "",
        "CREATE DATABASE elsewhere; CREATE TABLE elsewhere.leads (a INT REFERENCES shop.orders (id))",
    );
    let said = fails(&["orders"]);
    assert!(said.contains("elsewhere.leads"), "{said}");
    // Another table has a trigger of that name.
    server.sql("", "DROP DATABASE elsewhere; CREATE DATABASE other");
    server.sql("other", "CREATE TABLE customers (id INT PRIMARY KEY); INSERT INTO customers SELECT seq FROM seq_1_to_100; CREATE TABLE t (a INT); CREATE TRIGGER told BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1");
    let other = server.url("other");
    let said = fails(&["orders", "--to", &other]);
    assert!(said.contains("trigger told"), "{said}");
    assert_eq!(server.sql("other", "SHOW TABLES"), "customers\nt\n");
}

#[test]
fn a_restore_of_a_table_that_is_killed_leaves_what_one_command_makes_whole() {
    let (env, server) = shop();
    // What takes a while to make.
    let many: String = (0..200)
        .map(|n| format!("CREATE TRIGGER many{n} AFTER DELETE ON orders FOR EACH ROW SET @many = {n};"))
        .collect();
    server.sql("shop", many);
    env.ok(&["create", &server.url("shop")]);
    let captured = server.dump("shop");
    server.sql("shop", "DELETE FROM log; UPDATE orders SET price = 7");
    let later = server.dump("shop");
    // Before the tables have moved: somebody holds the one that is there.
    let holder = Holder::of(&server, "SELECT * FROM orders LIMIT 1");
    let restore = ["restore", "shop", "--table", "orders", "--yes"];
    let child = env.start(&restore);
    wait_until(|| processes(&server, "INFO LIKE 'DROP TRIGGER%'"));
    child.kill();
    drop(holder);
    wait_until(|| !processes(&server, "INFO LIKE 'DROP TRIGGER%' OR INFO LIKE 'RENAME TABLE%'"));
    let rollback = ["rollback", &server.url("shop"), "--table", "orders", "--yes"];
    assert!(env.ok(&rollback).contains("before it replaced anything"));
    assert!(!server.databases().contains("__ice_"));
    assert_same(&later, &server.dump("shop"));

    // After they have moved, in the middle of the triggers.
    let child = env.start(&restore);
    wait_until(|| has_table(&server, "shop\\_\\_ice\\_old\\_orders", "orders"));
    child.kill();
    assert!(server.databases().contains("shop__ice_new_"), "it was over before it was killed");
    let said = env.fails(1, &restore);
    assert!(
        said.contains("a restore of the table orders of shop that was interrupted is complete now"),
        "{said}"
    );
    assert_same(&captured, &server.dump("shop"));
    env.ok(&rollback);
    assert_same(&later, &server.dump("shop"));
}

#[test]
fn whoever_holds_a_table_that_leads_there_stops_it_before_anything_has_moved() {
    let (env, server) = shop();
    server.sql("shop", "DELETE FROM log; UPDATE orders SET price = 7");
    let before = server.dump("shop");
    let _holder = Holder::of(&server, "SELECT * FROM lines_ LIMIT 1");
    let said = env.fails(1, &["restore", "shop", "--table", "orders", "--yes"]);
    assert!(said.contains("a transaction that does not end holds on to a table of shop"), "{said}");
    assert_same(&before, &server.dump("shop"));
    assert!(!server.databases().contains("__ice_"), "{}", server.databases());
}

#[test]
fn keys_that_others_add_meanwhile_lead_to_the_restored_table() {
    let (env, server) = shop();
    let holder = Holder::of(&server, "SELECT * FROM orders LIMIT 1");
    let child = env.start(&["restore", "shop", "--table", "orders", "--yes"]);
    wait_until(|| processes(&server, "STATE LIKE 'Waiting for table metadata lock%'"));
    server.sql("shop", "SET foreign_key_checks = 0; CREATE TABLE late (a INT, KEY of_late (a), CONSTRAINT of_late FOREIGN KEY (a) REFERENCES orders (id)); INSERT INTO late VALUES (7), (7000)");
    drop(holder);
    let said = child.said().fails(3);
    assert!(
        said.contains("1 rows of late lead to rows that orders does not have, by the foreign key of_late"),
        "{said}"
    );
    server.sql("shop", "INSERT INTO late VALUES (8)");
    let said = server.try_sql("shop", "INSERT INTO late VALUES (9000)").unwrap_err();
    assert!(said.contains("REFERENCES `orders`"), "{said}");
}

#[test]
fn a_rollback_says_which_rows_it_leaves_without_what_they_lead_to() {
    let (env, server) = shop();
    env.ok(&["restore", "shop", "--table", "orders", "--yes"]);
    server.sql("shop", "INSERT INTO orders (id, customer, price) VALUES (5000, 1, 1); INSERT INTO lines_ VALUES (5000, 'new')");
    let rollback = ["rollback", &server.url("shop"), "--table", "orders", "--yes"];
    let said = env.run(&rollback).fails(3);
    assert!(
        said.contains("1 rows of lines_ lead to rows that orders does not have, by the foreign key of_order"),
        "{said}"
    );
    server.sql("shop", "SET foreign_key_checks = 0; DROP TABLE customers");
    let said = env.run(&rollback).fails(3);
    assert!(said.contains("of_customer") && said.contains("there is no table customers"), "{said}");
    server.sql("shop", "INSERT INTO orders (id, customer, price) VALUES (5001, 1000, 1)");
}

#[test]
fn a_dump_that_comes_to_a_table_twice_is_none_to_take_it_from() {
    let (env, server) = shop();
    let dump = |how: &str| {
        let output = std::process::Command::new("mariadb-dump")
            .arg("--no-defaults")
            .arg(format!("--socket={}", server.socket().display()))
            .args(["-uroot", how, "shop"])
            .output()
            .unwrap();
        assert!(output.status.success());
        output.stdout
    };
    env.write("two.sql", [dump("--no-data"), dump("--no-create-info")].concat());
    env.ok(&["create", "two.sql", "--name", "two"]);
    let before = server.dump("shop");
    let said = env.fails(15, &["restore", "two", "--table", "orders", "--to", &server.url("shop"), "--yes"]);
    assert!(said.contains("more than once"), "{said}");
    assert_same(&before, &server.dump("shop"));
}
