//! Databases in other encodings than UTF-8.

use icecore_testkit::postgres::PostgresServer;

use crate::support::{Said, TestEnv, assert_same};

/// Makes a database in an encoding, with a table of texts, each given by an expression.
fn database(server: &PostgresServer, name: &str, encoding: &str, texts: &[&str]) {
    server.sql(
        "postgres",
        &format!(
            "CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
        ),
    );
    let rows: Vec<_> = texts.iter().enumerate().map(|(id, text)| format!("({id}, {text})")).collect();
    server.sql(
        name,
        &format!(
            "CREATE TABLE t (id int PRIMARY KEY, a text CHECK (a <> '')); INSERT INTO t VALUES {}",
            rows.join(", ")
        ),
    );
}

/// The encoding, and the bytes that the server stores.
fn stored(server: &PostgresServer, name: &str) -> String {
    server.sql(
        name,
        "SELECT getdatabaseencoding() UNION ALL (SELECT encode(convert_to(a, getdatabaseencoding()), 'hex') FROM t ORDER BY id)",
    )
}

const LATIN1: [&str; 3] = ["'plain'", "chr(233) || chr(255)", "E'back\\\\slash\\ttab\\nline' || chr(160)"];
const EUC_JP: [&str; 2] = ["convert_from('\\xa4a2a5c6', 'EUC_JP')", "'\\xc6fccbdc'::bytea::text"];
/// What is no UTF-8, what is, and bytes that mean something in COPY.
const BYTES: [&str; 4] =
    ["E'caf\\xe9'", "E'\\xc3\\xa9'", "E'\\xff\\xfe\\\\\\n\\t\\x80'", "E'\\\\.\\n\\xe2\\x28'"];

#[test]
fn a_database_in_another_encoding_comes_back_in_it() {
    let server = PostgresServer::start();
    let other = PostgresServer::start();
    let env = TestEnv::new();
    let all: [(&str, &str, &[&str]); 4] = [
        ("latin", "LATIN1", &LATIN1),
        ("nine", "LATIN9", &["chr(164)", "chr(8364)"]),
        ("japanese", "EUC_JP", &EUC_JP),
        ("bytes", "SQL_ASCII", &BYTES),
    ];
    for (name, encoding, texts) in all {
        let texts = if encoding == "LATIN9" { &texts[..1] } else { texts };
        database(&server, name, encoding, texts);
        server.sql(name, "COMMENT ON TABLE t IS 'a comment'; CREATE VIEW v AS SELECT a || 'x' AS b FROM t");
        let before = stored(&server, name);
        // What the user's programs would speak is not what is stored.
        let mut command = env.command(&["create", &server.url(name)]);
        Said::of(command.env("PGCLIENTENCODING", "WIN1252")).ok();
        let created = env.json(&["create", &server.url(name)]);
        assert_eq!(created["new_chunks"], 0, "{name}: {created}");
        server.sql(name, "DELETE FROM t");
        env.ok(&["restore", name, "--yes"]);
        assert_eq!(stored(&server, name), before, "{name}");
        // Templates of that server are in UTF-8.
        env.ok(&["restore", name, "--to", &other.url(name)]);
        assert_eq!(stored(&other, name), before, "{name}");
    }
}

#[test]
fn names_in_another_encoding_come_back() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    database(&server, "latin", "LATIN1", &LATIN1);
    server.sql(
        "latin",
        "CREATE TABLE \"Café\" (\"Größe\" int DEFAULT 7); INSERT INTO \"Café\" DEFAULT VALUES; COMMENT ON TABLE \"Café\" IS 'für später'",
    );
    env.ok(&["create", &server.url("latin")]);
    assert!(env.ok(&["show", "latin"]).contains("public.Café"));
    env.ok(&["restore", "latin", "--to", &server.url("copy")]);
    assert_same(&server.dump("latin", &[]), &server.dump("copy", &[]));
}

#[test]
fn names_that_are_no_text_are_refused_by_name() {
    let server = PostgresServer::start();
    let env = TestEnv::new();
    database(&server, "bytes", "SQL_ASCII", &BYTES);
    server.sql("bytes", "DO $$ BEGIN EXECUTE E'CREATE TABLE \"caf\\xe9\" (a int)'; END $$");
    let said = env.fails(14, &["create", &server.url("bytes")]);
    assert!(said.contains("UTF-8") && said.contains("bytes"), "{said}");
    assert_eq!(env.count(), 0);
}
