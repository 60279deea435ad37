//! Rows on their way back: in binary where types are known, as text where they are not, and frozen.

use icecore_testkit::postgres::PostgresServer;

use crate::support::{TestEnv, assert_same};

/// How many rows are more than what is restored as it was captured.
const ROWS: u32 = 30_000;

/// A server whose log says how rows come in, with an empty database `shop`.
fn server() -> PostgresServer {
    let mut server = PostgresServer::start();
    server.sql("postgres", "ALTER SYSTEM SET log_statement = 'all'; CREATE DATABASE shop");
    server.restart();
    server
}

/// How often rows came into a table in this form.
fn came(server: &PostgresServer, table: &str, form: &str) -> usize {
    let is = |line: &&str| line.contains(&format!(": COPY public.{table} (")) && line.contains(form);
    server.logged().lines().filter(is).count()
}

/// Captures `shop`, restores it as `copy`, and compares the two to the last byte, in the order in which rows lie.
fn there_and_back(server: &PostgresServer) {
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    env.ok(&["restore", "shop", "--to", &server.url("copy")]);
    assert_same(&server.dump("shop", &[]), &server.dump("copy", &[]));
}

#[test]
fn values_of_every_type_come_back_as_they_were() {
    let server = server();
    let odd_text = r#"E'tab\there', E'line\nline\r', E'back\\slash', E'\\N', E'\\.', '', ' ', E'\b\f\v', 'žluťoučký 🧊', repeat('x', 3000)"#;
    let columns = [
        ("bool", "true, false".to_owned()),
        ("int2", "-32768, 32767, 0".to_owned()),
        ("int4", "-2147483648, 2147483647, 0, 7".to_owned()),
        ("int8", "-9223372036854775808, 9223372036854775807, 0".to_owned()),
        ("oid", "0, 4294967295".to_owned()),
        ("float4", "'NaN', 'Infinity', '-Infinity', '-0', 0.1, 1e-37, 3.4028235e+38, 16777217, 1e-45".to_owned()),
        ("float8", "'NaN', 'Infinity', '-Infinity', '-0', 0.1, 1e-307, 1.7976931348623157e+308, 0.30000000000000004".to_owned()),
        (
            "numeric",
            "'NaN', 0, 0.00, -0.5, 0.0001, 0.00001, 10000, 9999, 99999999.99999999, -12345678901234567890.0987654321, 1e-300, 1e300, 100000000, 1.0000"
                .to_owned(),
        ),
        ("numeric(12,3)", "0, 1, -1.5, 123456789.123, 0.001, 100000.1".to_owned()),
        ("text", odd_text.to_owned()),
        ("varchar(3000)", odd_text.to_owned()),
        ("char(7)", "'', 'ab', '1234567', ' x'".to_owned()),
        ("name", "'', 'ab', '\"'".to_owned()),
        ("json", r#"'{"a": [1, null, "\u00e9\n"]}', 'null', ' 1 '"#.to_owned()),
        ("jsonb", r#"'{"b": {"c": "\"\\"}, "a": 1.50}', '[]', '"x"'"#.to_owned()),
        ("bytea", r"'\x', '\x00', '\x5c4e0a', '\xdeadbeef'".to_owned()),
        ("uuid", "'00000000-0000-0000-0000-000000000000', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'".to_owned()),
        ("date", "'infinity', '-infinity', '0001-01-01', '1582-10-15', '2000-02-29', '1900-03-01', '9999-12-31'".to_owned()),
        ("time", "'00:00', '23:59:59.999999', '12:30:00.5'".to_owned()),
        ("timestamp", "'infinity', '-infinity', '0001-01-01', '1999-12-31 23:59:59.999999', '2000-01-01', '9999-12-31 00:00:00.1'".to_owned()),
        (
            "timestamptz",
            "'infinity', '-infinity', '1850-06-01 12:00:00', '1999-12-31 23:59:59.999999+05:30', '2024-07-01 00:00+02', '9999-12-31 00:00+00'".to_owned(),
        ),
        ("mood", "'sad', 'it''s \"ok\"', 'happy'".to_owned()),
    ];
    server.sql("shop", "CREATE TYPE mood AS ENUM ('sad', 'it''s \"ok\"', 'happy'); ALTER DATABASE shop SET timezone = 'Europe/Prague'");
    // Each value and a null in turn; the number of a row tells them apart.
    for (number, (kind, values)) in columns.iter().enumerate() {
        let made = format!(
            "CREATE TABLE v{number} (a int, v {kind}, w {kind}); INSERT INTO v{number}
            SELECT i, all_of[1 + i % (cardinality(all_of) + 1)], all_of[1 + i * 7 % (cardinality(all_of) + 1)]
            FROM generate_series(1, {ROWS}) i, (SELECT ARRAY[{values}]::{kind}[]) AS made(all_of)"
        );
        server.sql("shop", &made);
    }
    // Values that nobody thought of, and all types in one row.
    server.sql(
        "shop",
        &format!(
            "SELECT setseed(0.5); CREATE TABLE random AS SELECT i, (random() * 1e4 - 5e3)::int2 AS a, (random() * 4e9 - 2e9)::int4 AS b, (random() * 1e19 - 5e18)::int8 AS c,
                (random() * 10 ^ (i % 60 - 30))::float4 AS d, random() * 10 ^ (i % 600 - 300) AS e,
                round((random() * 10 ^ (i % 40))::numeric, i % 17) * (1 - i % 3) AS f, md5(random()::text) AS g, random() < 0.5 AS h,
                decode(md5(i::text), 'hex') AS j, md5(random()::text)::uuid AS k, date '0300-01-01' + (random() * 3000000)::int AS l,
                timestamp '0300-01-01' + random() * interval '9000 years' AS m, timestamptz '1000-01-01' + random() * interval '3000 years' AS n,
                time '00:00' + random() * interval '24 hours' AS o, jsonb_build_object('k', random()) AS p
            FROM generate_series(1, {ROWS}) i"
        ),
    );
    there_and_back(&server);
    for table in (0..columns.len()).map(|number| format!("v{number}")).chain(["random".to_owned()]) {
        assert_eq!(came(&server, &table, "FORMAT binary, FREEZE true"), 1, "{table}");
    }
    // Of these, the smallest number is not normal: the server reads it.
    assert_eq!(came(&server, "v5", "FORMAT text, FREEZE true"), 1);
    assert_eq!(came(&server, "random", "FORMAT text"), 0);
}

#[test]
fn rows_after_one_that_is_not_understood_go_in_as_text_and_in_order() {
    let server = server();
    server.sql(
        "shop",
        &format!(
            "CREATE TABLE days (i int, d date); INSERT INTO days SELECT i, CASE WHEN i = {} THEN '0044-03-15 BC' ELSE date '2000-01-01' + i END
            FROM generate_series(1, {}) i",
            ROWS * 2,
            ROWS * 4
        ),
    );
    there_and_back(&server);
    assert_eq!(came(&server, "days", "FORMAT binary, FREEZE true"), 1);
    assert_eq!(came(&server, "days", "FORMAT text, FREEZE true"), 1);
}

#[test]
fn a_row_that_is_too_long_goes_in_as_text_with_all_that_follow() {
    let server = server();
    server.sql(
        "shop",
        &format!("CREATE TABLE t (a int, b text); INSERT INTO t SELECT i, repeat('x', CASE i WHEN 9000 THEN 9000000 ELSE 30 END) FROM generate_series(1, {ROWS}) i"),
    );
    there_and_back(&server);
    assert_eq!(came(&server, "t", "FORMAT binary, FREEZE true"), 1);
    assert_eq!(came(&server, "t", "FORMAT text, FREEZE true"), 1);
}

#[test]
fn texts_of_other_encodings_come_back_as_they_were() {
    let server = server();
    server.sql("postgres", "DROP DATABASE shop");
    server.sql("postgres", "CREATE DATABASE shop ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    server.sql(
        "shop",
        &format!("CREATE TABLE t (a int, b text, c jsonb); INSERT INTO t SELECT i, 'é' || i, to_jsonb('ü'::text) FROM generate_series(1, {ROWS}) i"),
    );
    there_and_back(&server);
    assert_eq!(came(&server, "t", "FORMAT binary, FREEZE true"), 1);
    assert_eq!(came(&server, "t", "FORMAT text"), 0);
}

#[test]
fn types_that_are_not_known_go_in_as_text() {
    let server = server();
    server.sql(
        "shop",
        &format!(
            "CREATE DOMAIN short AS text CHECK (length(value) < 50); CREATE TABLE mixed (a int, b inet, c int[], d interval, e short, f xml);
            INSERT INTO mixed SELECT i, '10.0.0.1', ARRAY[i, NULL], i * interval '1 hour', md5(i::text), '<a/>' FROM generate_series(1, {ROWS}) i"
        ),
    );
    there_and_back(&server);
    assert_eq!(came(&server, "mixed", "FORMAT text, FREEZE true"), 1);
    assert_eq!(came(&server, "mixed", "binary"), 0);
}

#[test]
fn restored_rows_need_no_vacuum() {
    let server = server();
    server.sql(
        "shop",
        &format!("CREATE TABLE t (a int PRIMARY KEY, b text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, {ROWS}) i"),
    );
    there_and_back(&server);
    let visible =
        "SELECT relallvisible >= relpages AND relpages > 100 FROM pg_class WHERE oid = 'public.t'::regclass";
    assert_eq!(server.sql("copy", visible), "t");
    assert_eq!(server.sql("shop", visible), "f");
    // One table alone too: it is made in the transaction that fills it.
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    env.ok(&["restore", "shop", "--table", "public.t", "--to", &server.url("shop"), "--yes"]);
    assert_eq!(came(&server, "t", "FORMAT binary, FREEZE true"), 2);
    server.sql("shop", "ANALYZE t");
    assert_eq!(server.sql("shop", visible), "t");
}

#[test]
fn rows_of_a_table_that_comes_twice_in_a_dump_are_all_there() {
    let server = server();
    server.sql(
        "shop",
        &format!("CREATE TABLE t (a int, b text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, {ROWS}) i"),
    );
    let dump = server.dump("shop", &[]);
    let start = dump.find("COPY public.t").unwrap();
    let end = start + dump[start..].find("\\.\n").unwrap() + 3;
    let twice = format!("{}{}{}", &dump[..end], &dump[start..end], &dump[end..]);
    let env = TestEnv::new();
    env.run_with_input(&["create", "-", "--name", "shop"], twice.as_bytes()).ok();
    env.ok(&["restore", "shop", "--to", &server.url("copy")]);
    assert_eq!(
        server.sql("copy", "SELECT count(*), count(DISTINCT a) FROM t"),
        format!("{}|{ROWS}", 2 * ROWS)
    );
}

#[test]
fn a_table_whose_keys_are_there_before_its_rows_is_not_emptied() {
    let server = server();
    server.sql("shop", "CREATE TABLE parent (a int PRIMARY KEY, b text)");
    let rows: String = (1..=ROWS).map(|row| format!("{row}\tsome text of some length\n")).collect();
    let dump = server.dump("shop", &["--section=pre-data"]);
    let dump = format!(
        "{dump}\nALTER TABLE public.parent ADD PRIMARY KEY (a);\nCREATE TABLE public.child (a int REFERENCES public.parent);\n
--\n-- Data for Name: parent; Type: TABLE DATA; Schema: public; Owner: -\n--\n\nCOPY public.parent (a, b) FROM stdin;\n{rows}\\.\n\n--\n-- PostgreSQL database dump complete\n--\n"
    );
    let env = TestEnv::new();
    env.run_with_input(&["create", "-", "--name", "shop"], dump.as_bytes()).ok();
    env.ok(&["restore", "shop", "--to", &server.url("copy")]);
    assert_eq!(server.sql("copy", "SELECT count(*) FROM parent"), ROWS.to_string());
    assert_eq!(came(&server, "parent", "FORMAT binary, FREEZE false"), 1);
}
