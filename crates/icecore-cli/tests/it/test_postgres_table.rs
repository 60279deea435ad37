//! One table of a PostgreSQL database, restored into it.

use std::sync::atomic::{AtomicBool, Ordering};

use icecore_testkit::postgres::{EVERYTHING, PostgresServer};

use crate::running::Done;
use crate::support::{TestEnv, assert_same};

/// All but what was put aside, and which publication has which table: one that takes the place of another is in none.
fn dump(server: &PostgresServer) -> String {
    server.dump("shop", &["--no-publications", "--exclude-schema=*__ice_old"])
}

const ORDERS: &str = "
    CREATE ROLE clerk; CREATE ROLE boss;
    CREATE TABLE customers (id int PRIMARY KEY, name text);
    INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, 100) n;
    CREATE TABLE orders (id serial PRIMARY KEY, customer int NOT NULL REFERENCES customers, price numeric CHECK (price > 0));
    INSERT INTO orders (customer, price) SELECT 1 + n % 100, n FROM generate_series(1, 1000) n;
    CREATE INDEX orders_of_customer ON orders (customer) WHERE price > 10;
    CREATE STATISTICS orders_both (ndistinct) ON customer, price FROM orders;
    CREATE TABLE lines (order_id int CONSTRAINT lines_order REFERENCES orders ON DELETE CASCADE DEFERRABLE, what text);
    COMMENT ON CONSTRAINT lines_order ON lines IS 'of an order';
    INSERT INTO lines SELECT n, 'line' FROM generate_series(1, 1000) n;
    CREATE VIEW dear WITH (security_barrier = true) AS SELECT id, price FROM orders WHERE price > 900;
    CREATE VIEW dearest AS SELECT max(price) FROM dear;
    COMMENT ON TABLE orders IS 'what is ordered'; GRANT SELECT ON orders TO clerk; GRANT SELECT ON dear TO clerk; ALTER TABLE orders OWNER TO boss;
    ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY cheap ON orders USING (price < 5000);
    CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER stamp BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION stamp();
    ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO clerk;";

#[test]
fn a_table_comes_back_with_all_that_is_its_own_and_all_that_points_at_it() {
    let server = PostgresServer::with_database("shop", ORDERS);
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    let captured = dump(&server);
    server.sql(
        "shop",
        "INSERT INTO customers VALUES (101, 'later'); INSERT INTO orders (customer, price) VALUES (101, 1001);
        UPDATE orders SET price = price + 1; DROP INDEX orders_of_customer; ALTER TABLE orders ADD COLUMN wrong int; ALTER TABLE orders DROP CONSTRAINT orders_price_check",
    );
    let later = dump(&server);
    let said = env.fails(15, &["restore", "shop", "--table", "orders"]);
    assert!(said.contains("public.orders is there, and was not touched") && said.contains("--yes"), "{said}");
    let restored = env.json(&["restore", "shop", "--table", "orders", "--yes"]);
    assert_eq!((&restored["rows"], &restored["kept"]), (&1000.into(), &"public__ice_old.orders".into()));
    // What was put aside binds nobody.
    server.sql("shop", "DELETE FROM customers WHERE id = 101");
    assert_same(&captured, &dump(&server));
    assert_eq!(server.sql("shop", "SELECT * FROM dearest"), "1000");
    assert_eq!(server.sql("shop", "SELECT nextval('orders_id_seq')"), "1001");

    // What was put aside is in no snapshot.
    env.ok(&["create", &server.url("shop")]);
    assert!(!env.json(&["show", "shop"]).to_string().contains("ice_old"));
    server.sql("shop", "SELECT setval('orders_id_seq', 1000); INSERT INTO customers VALUES (101, 'later')");
    env.ok(&["rollback", &server.url("shop"), "--table", "public.orders", "--yes"]);
    assert_same(&later, &dump(&server));
    env.ok(&["rollback", &server.url("shop"), "--table", "public.orders", "--yes"]);
    server.sql("shop", "DELETE FROM customers WHERE id = 101");
    assert_same(&captured, &dump(&server));
}

#[test]
fn a_table_that_was_dropped_comes_back() {
    let server = PostgresServer::with_database("shop", ORDERS);
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    server.sql("shop", "DROP TABLE orders CASCADE");
    let restored = env.json(&["restore", "shop", "--table", "orders"]);
    assert_eq!(restored["kept"], serde_json::Value::Null);
    assert_eq!(server.sql("shop", "SELECT count(*), sum(price) FROM orders"), "1000|500500");
    let said = env.fails(10, &["rollback", &server.url("shop"), "--table", "orders", "--yes"]);
    assert!(said.contains("nothing to bring back"), "{said}");
}

#[test]
fn what_does_not_fit_any_more_leaves_the_table_as_it_is() {
    let server = PostgresServer::with_database("shop", ORDERS);
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    server.sql("shop", "INSERT INTO orders (customer, price) VALUES (1, 1); INSERT INTO lines VALUES (1001, 'of a later order')");
    let live = dump(&server);
    let said = env.fails(1, &["restore", "shop", "--table", "orders", "--yes"]);
    assert!(said.contains("lines_order") && said.contains("1001"), "{said}");
    assert_same(&live, &dump(&server));
    let check = "SELECT count(*) > 1000 FROM public.orders";
    server.sql("shop", "DELETE FROM lines WHERE order_id > 1000");
    let said = env.fails(15, &["restore", "shop", "--table", "orders", "--yes", "--check", check]);
    assert!(said.contains("it is false"), "{said}");
    assert_eq!(server.sql("shop", "SELECT count(*) FROM orders"), "1001");
    server.sql("shop", "CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM orders");
    let said = env.fails(15, &["restore", "shop", "--table", "orders", "--yes"]);
    assert!(said.contains("materialized view public.counted is built on public.orders"), "{said}");
    let said = env.fails(10, &["restore", "shop", "--table", "order", "--yes"]);
    assert!(said.contains("it has public.customers"), "{said}");
    for others in [["--part", "public.orders"], ["--to", "orders.sql"]] {
        env.fails(2, &["restore", "shop", "--table", "orders", others[0], others[1]]);
    }
    assert_eq!(server.sql("postgres", "SELECT count(*) FROM pg_database WHERE datname LIKE '%ice%'"), "0");
    assert_eq!(server.sql("shop", "SELECT count(*) FROM pg_namespace WHERE nspname LIKE '%ice%'"), "0");
}

#[test]
fn tables_of_every_kind_come_back_one_by_one() {
    let server = PostgresServer::with_database("shop", EVERYTHING);
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    let captured = dump(&server);
    for table in
        ["Odd \"schema's\" name.$$ $_$", "data.clustered", "data.settings", "rights.accounts", "types.others"]
    {
        env.ok(&["restore", "shop", "--table", table, "--yes"]);
        assert_same(&captured, &dump(&server));
    }
}

#[test]
fn who_reads_the_table_meanwhile_waits_and_sees_one_state_or_the_other() {
    let server = PostgresServer::with_database("shop", ORDERS);
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    server.sql("shop", "UPDATE orders SET price = 2 * price");
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    while !is_done.load(Ordering::Relaxed) {
                        let sum = server.sql("shop", "SELECT sum(price) FROM orders");
                        assert!(sum == "1001000" || sum == "500500", "{sum}");
                    }
                })
            })
            .collect();
        let done = Done(&is_done);
        for _ in 0..3 {
            env.ok(&["restore", "shop", "--table", "orders", "--yes"]);
        }
        drop(done);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn a_table_alone_is_captured_and_restored() {
    let server = PostgresServer::with_database("shop", ORDERS);
    server.sql("shop", "CREATE SCHEMA other; CREATE TABLE other.orders (a int); CREATE TABLE other.single (a serial, b text); INSERT INTO other.single (b) VALUES ('one')");
    let env = TestEnv::new();
    let url = server.url("shop");
    let said = env.fails(14, &["create", &url, "--table", "orders"]);
    assert!(said.contains("other.orders or public.orders"), "{said}");
    let said = env.fails(14, &["create", &url, "--table", "nothing"]);
    assert!(said.contains("there is no table nothing"), "{said}");
    env.ok(&["create", &url, "--table", "public.orders", "--name", "orders"]);
    env.ok(&["create", &url, "--table", "single", "--name", "single"]);
    let captured = dump(&server);
    server.sql("shop", "UPDATE orders SET price = 1; DROP TABLE other.single");
    let said = env.fails(15, &["restore", "orders", "--to", &url, "--yes"]);
    assert!(said.contains("one table alone, which --table NAME restores"), "{said}");
    env.ok(&["restore", "orders", "--to", &url, "--table", "orders", "--yes"]);
    // `pg_dump` tells of extended statistics with whole schemas only.
    server.sql("shop", "CREATE STATISTICS orders_both (ndistinct) ON customer, price FROM orders");
    env.ok(&["restore", "single", "--to", &url, "--table", "single"]);
    assert_same(&captured, &dump(&server));
    env.ok(&["restore", "single", "--to", &server.url("elsewhere")]);
    assert_eq!(server.sql("elsewhere", "INSERT INTO other.single (b) VALUES ('two') RETURNING a"), "2");
    env.fails(10, &["rollback", &server.url("single"), "--emergency"]);
}

#[test]
fn what_others_share_with_a_table_stands_in_the_way() {
    let server = PostgresServer::with_database(
        "shop",
        "CREATE TABLE t (id serial PRIMARY KEY, a int); CREATE TABLE b (id int DEFAULT nextval('t_id_seq'));
        CREATE TABLE parts (day int) PARTITION BY RANGE (day); CREATE TABLE early PARTITION OF parts FOR VALUES FROM (0) TO (9);
        INSERT INTO early VALUES (1); CREATE PUBLICATION everything FOR ALL TABLES; CREATE PUBLICATION one FOR TABLE t",
    );
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    let said = env.fails(15, &["restore", "shop", "--table", "t", "--yes"]);
    assert!(said.contains("default value for column id of table public.b is built on public.t"), "{said}");
    assert!(
        said.contains("everything publishes public.t with others") && said.contains("ALTER PUBLICATION one"),
        "{said}"
    );
    let said = env.fails(15, &["restore", "shop", "--table", "early", "--yes"]);
    assert!(said.contains("detach it first"), "{said}");
    server.sql("shop", "DROP TABLE early");
    let said = env.fails(15, &["restore", "shop", "--table", "early", "--yes"]);
    assert!(said.contains("is a partition, or inherits, in the snapshot"), "{said}");
    assert_eq!(server.sql("shop", "SELECT to_regclass('early')"), "");
}

#[test]
fn only_what_icecore_put_aside_is_in_no_snapshot() {
    let server = PostgresServer::with_database(
        "shop",
        "CREATE SCHEMA books; COMMENT ON SCHEMA books IS 'icecore: tables put aside of public'; CREATE TABLE books.t AS SELECT 1 AS a;
        CREATE SCHEMA other__ice_old; CREATE TABLE other__ice_old.t AS SELECT 1 AS a; CREATE TABLE public.t (id serial)",
    );
    let env = TestEnv::new();
    let url = server.url("shop");
    env.ok(&["create", &url]);
    let shown = env.json(&["show", "shop"]).to_string();
    assert!(shown.contains("books.t") && shown.contains("other__ice_old.t"), "{shown}");
    env.ok(&["restore", "shop", "--table", "public.t", "--yes"]);
    let said = env.run(&["create", &url]);
    assert!(said.stderr.contains("are not taken: public__ice_old"), "{}", said.stderr);
    said.ok();
    // A snapshot that could not be restored says so.
    server.sql("shop", "CREATE VIEW before AS SELECT * FROM public__ice_old.t");
    let said = env.run(&["create", &url]).fails(3);
    assert!(said.contains("view public.before uses a table or sequence that a restore put aside"), "{said}");
}

#[test]
fn what_strangers_write_into_comments_is_never_run() {
    let server = PostgresServer::with_database(
        "shop",
        "CREATE TABLE t (a int); CREATE ROLE lowly LOGIN; GRANT CREATE ON DATABASE shop TO lowly",
    );
    let env = TestEnv::new();
    let url = server.url("shop");
    env.ok(&["create", &url]);
    server.sql(
        "shop",
        r#"SET ROLE lowly; CREATE SCHEMA public__ice_old; COMMENT ON SCHEMA public__ice_old IS 'icecore: tables put aside of public';
        CREATE TABLE public__ice_old.t (a int);
        COMMENT ON TABLE public__ice_old.t IS 'icecore: {"foreign_keys":[{"name":"k","definition":"CHECK (true); ALTER ROLE lowly SUPERUSER"}]}'"#,
    );
    let said = env.fails(10, &["rollback", &url, "--table", "t", "--yes"]);
    assert!(said.contains("nothing to bring back"), "{said}");
    let said = env.fails(15, &["restore", "shop", "--table", "t", "--yes"]);
    assert!(said.contains("public__ice_old belongs to somebody else"), "{said}");
    server.sql("shop", "ALTER SCHEMA public__ice_old OWNER TO postgres");
    let said = env.run(&["rollback", &url, "--table", "t", "--yes"]);
    assert_eq!(
        server.sql("shop", "SELECT rolsuper FROM pg_roles WHERE rolname = 'lowly'"),
        "f",
        "{}",
        said.stderr
    );
}

#[test]
fn keys_of_every_form_come_back_with_a_rollback() {
    let server = PostgresServer::with_database(
        "shop",
        "CREATE TABLE a (x int, y int, PRIMARY KEY (x, y)); INSERT INTO a VALUES (1, 2);
        CREATE TABLE t (id int PRIMARY KEY, x int DEFAULT 7, y int, up int REFERENCES t,
            CONSTRAINT \"a \"\"key\"\"\" FOREIGN KEY (x, y) REFERENCES a MATCH FULL ON UPDATE CASCADE ON DELETE SET NULL (y) DEFERRABLE INITIALLY DEFERRED);
        ALTER TABLE t ADD CONSTRAINT late FOREIGN KEY (y, x) REFERENCES a (x, y) ON DELETE SET DEFAULT NOT VALID;
        COMMENT ON CONSTRAINT late ON t IS 'it''s late'; INSERT INTO t VALUES (1, NULL, NULL, 1);
        CREATE TABLE child (t int REFERENCES t ON UPDATE RESTRICT); INSERT INTO child VALUES (1)",
    );
    let env = TestEnv::new();
    let url = server.url("shop");
    env.ok(&["create", &url]);
    let captured = dump(&server);
    env.ok(&["restore", "shop", "--table", "t", "--yes"]);
    assert_same(&captured, &dump(&server));
    env.ok(&["rollback", &url, "--table", "t", "--yes"]);
    assert_same(&captured, &dump(&server));
}

#[test]
fn the_owner_of_a_table_may_restore_it_without_other_rights_than_to_make_databases() {
    let server = PostgresServer::with_database(
        "shop",
        "CREATE ROLE me LOGIN CREATEDB; GRANT CREATE ON DATABASE shop TO me; GRANT CREATE ON SCHEMA public TO me;
        SET ROLE me; CREATE TABLE t (id serial PRIMARY KEY, a text); INSERT INTO t (a) VALUES ('x'), ('y')",
    );
    let env = TestEnv::new();
    server.sql("postgres", "ALTER DATABASE shop OWNER TO me");
    let url = server.url_as("me", "shop");
    env.ok(&["create", &url]);
    server.sql("shop", "DELETE FROM t");
    env.ok(&["restore", "shop", "--table", "t", "--yes"]);
    assert_eq!(server.sql("shop", "SELECT count(*) FROM t"), "2");
    env.ok(&["rollback", &url, "--table", "t", "--yes"]);
    assert_eq!(server.sql("shop", "SELECT count(*) FROM t"), "0");
    server.sql("shop", "REVOKE CREATE ON DATABASE shop FROM me; ALTER DATABASE shop OWNER TO postgres; DROP SCHEMA public__ice_old CASCADE");
    let said = env.fails(15, &["restore", "shop", "--table", "t", "--yes"]);
    assert!(said.contains("GRANT CREATE ON DATABASE"), "{said}");
}

#[test]
fn what_the_restore_before_put_aside_is_named_before_it_is_dropped() {
    let server = PostgresServer::with_database("shop", ORDERS);
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    let restore = ["restore", "shop", "--table", "orders", "--yes"];
    assert_eq!(env.json(&restore)["notes"].as_array().map(Vec::len), Some(0));
    let note =
        "public__ice_old.orders, which the restore before put aside, is dropped once this one has succeeded";
    let failed = env.fails(15, &[&restore[..], &["--check", "SELECT false"]].concat());
    assert!(failed.contains(note), "{failed}");
    assert_eq!(server.sql("shop", "SELECT count(*) FROM public__ice_old.orders"), "1000");
    assert_eq!(env.json(&restore)["notes"], serde_json::json!([note]));
    let said = env.fails(15, &["restore", "shop", "--table", "customers"]);
    assert!(!said.contains("which the restore before"), "{said}");
}

#[test]
fn what_has_no_rows_of_its_own_is_refused_by_what_it_is() {
    let server = PostgresServer::with_database(
        "shop",
        "CREATE TABLE orders (id serial, price int); CREATE VIEW dear AS SELECT * FROM orders WHERE price > 900;
        CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM orders;
        CREATE TABLE parts (day int) PARTITION BY RANGE (day); CREATE TABLE early PARTITION OF parts FOR VALUES FROM (0) TO (9)",
    );
    let env = TestEnv::new();
    let url = server.url("shop");
    env.ok(&["create", &url]);
    for (name, in_database, in_snapshot) in [
        ("dear", "public.dear is a view, whose rows", "public.dear is a view in the snapshot"),
        ("public.dear", "public.dear is a view, whose rows", "public.dear is a view in the snapshot"),
        ("counted", "public.counted is a materialised view", "public.counted is a materialised view in"),
        ("parts", "public.parts is a partitioned table", "public.parts has no rows of its own in"),
        ("orders_id_seq", "public.orders_id_seq is a sequence", "public.orders_id_seq is a sequence in"),
    ] {
        let said = env.fails(14, &["create", &url, "--table", name, "--name", "x"]);
        assert!(said.contains(in_database), "{said}");
        let said = env.fails(15, &["restore", "shop", "--table", name, "--yes"]);
        assert!(
            said.contains(in_snapshot) && said.contains("restore the whole database elsewhere"),
            "{said}"
        );
    }
    let said = env.fails(10, &["restore", "shop", "--table", "ordres", "--yes"]);
    assert!(said.contains("; did you mean \"orders\"?"), "{said}");
    // A table in the snapshot, and something else by now.
    server.sql(
        "shop",
        "DROP MATERIALIZED VIEW counted; DROP TABLE orders CASCADE; CREATE VIEW orders AS SELECT 1 AS id",
    );
    let said = env.fails(15, &["restore", "shop", "--table", "orders", "--yes"]);
    assert!(said.contains("public.orders is no plain table in the database that is there"), "{said}");
}

#[test]
fn how_to_undo_it_names_where_the_table_went() {
    let server = PostgresServer::with_database("shop", "CREATE TABLE t (a int)");
    server.sql("postgres", "CREATE DATABASE copy TEMPLATE shop; CREATE DATABASE third TEMPLATE shop");
    let env = TestEnv::new();
    let service = |name: &str| format!("[services.{name}]\nurl = '{}'\n", server.url(name));
    env.write("icecore.toml", service("shop") + &service("copy"));
    env.ok(&["create", "shop"]);
    let undo = |to: &[&str]| {
        let said = env.run(&[&["restore", "shop", "--table", "t", "--yes"], to].concat());
        assert_eq!(said.status, 0, "{}", said.stderr);
        said.stderr.split('`').nth(1).unwrap().to_owned()
    };
    assert_eq!(undo(&[]), "icecore rollback shop --table public.t");
    assert_eq!(undo(&["--to", "copy"]), "icecore rollback copy --table public.t");
    assert_eq!(undo(&["--to", &server.url("copy")]), "icecore rollback copy --table public.t");
    let third = server.url("third");
    assert_eq!(undo(&["--to", &third]), format!("icecore rollback '{third}' --table public.t"));
}
