use std::io::Write as _;

use crate::support::{MYSQL_DUMP, PG_DUMP, TestEnv, check_keys, noise, redact};

#[test]
fn a_file_comes_back_to_the_byte() {
    let env = TestEnv::new();
    let content = noise(1, 1_500_000);
    env.write("data.bin", &content);
    let said = env.ok(&["create", "data.bin"]);
    assert_eq!(redact(&said), "Saved data.bin as ID: 1.5 MB, 1.5 MB added, TIME");
    env.ok(&["restore", "data.bin", "--to", "copy.bin"]);
    assert!(env.read("copy.bin") == content);
}

#[test]
fn an_unchanged_file_adds_next_to_nothing() {
    let env = TestEnv::new();
    env.write("data.bin", noise(1, 3_000_000));
    env.ok(&["create", "data.bin"]);
    let second = env.json(&["create", "data.bin"]);
    assert_eq!(second["new_chunks"], 0);
    assert!(second["stored_bytes"].as_u64().unwrap() < 64 << 10, "{second}");
}

#[test]
fn create_in_json_has_exactly_the_promised_fields() {
    let env = TestEnv::new();
    env.write("data.bin", noise(1, 300_000));
    let first = env.json(&["create", "data.bin"]);
    check_keys(
        &first,
        &[
            "id",
            "source",
            "engine",
            "created_at",
            "parent",
            "parts",
            "logical_bytes",
            "changed_bytes",
            "stored_bytes",
            "chunks",
            "new_chunks",
            "delta_chunks",
            "duration_ms",
        ],
    );
    assert_eq!(first["parent"], serde_json::Value::Null);
    assert_eq!(first["engine"], "files");
    assert_eq!(first["logical_bytes"], 300_000);
    assert_eq!(first["created_at"], "2026-11-20T10:01:00.000000Z");
    assert_eq!(first["id"].as_str().unwrap().len(), 64);
    assert_eq!(env.json(&["create", "data.bin"])["parent"], first["id"]);
}

#[test]
fn quiet_create_prints_the_id_and_nothing_else() {
    let env = TestEnv::new();
    env.write("data.bin", "content");
    let said = env.run(&["create", "-q", "data.bin"]);
    assert_eq!(said.stderr, "");
    let id = said.ok();
    assert_eq!(env.ok(&["show", "latest"]).lines().next().unwrap(), format!("Snapshot  {}", id.trim()));
}

#[test]
fn a_directory_comes_back_with_names_links_and_modes() {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let env = TestEnv::new();
    env.write("tree/sub/a.txt", "a");
    let script = env.write("tree/run.sh", "#!/bin/sh\n");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o750)).unwrap();
    symlink("sub/a.txt", env.path("tree/link")).unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"not utf-8 \xff.txt");
    std::fs::write(env.path("tree").join(odd), "odd").unwrap();
    env.ok(&["create", "tree"]);
    env.ok(&["restore", "tree", "--to", "back"]);
    assert_eq!(env.read("back/sub/a.txt"), b"a");
    assert_eq!(std::fs::read(env.path("back").join(odd)).unwrap(), b"odd");
    assert_eq!(std::fs::read_link(env.path("back/link")).unwrap().to_str(), Some("sub/a.txt"));
    let mode = std::fs::metadata(env.path("back/run.sh")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o750);
}

#[test]
fn a_tarball_comes_back_identical_and_its_members_are_parts() {
    let env = TestEnv::new();
    env.write("tree/a.bin", noise(3, 200_000));
    env.write("tree/b.txt", "text\n");
    let tar = std::process::Command::new("tar")
        .args(["-cf", "tree.tar", "tree"])
        .current_dir(env.path(""))
        .status();
    assert!(tar.unwrap().success());
    env.ok(&["create", "tree.tar"]);
    assert!(env.back("tree.tar") == env.read("tree.tar"));
    let shown = env.json(&["show", "tree.tar"]);
    let parts = shown["parts"].as_array().unwrap();
    assert!(parts.iter().any(|part| part["name"] == "tree/a.bin" && part["bytes"] == 200_000), "{shown}");
}

#[test]
fn a_dump_of_postgres_has_its_tables_as_parts() {
    let env = TestEnv::new();
    env.write("shop.sql", PG_DUMP);
    let created = env.json(&["create", "shop.sql"]);
    assert_eq!(created["engine"], "postgres");
    let shown = env.json(&["show", "shop.sql"]);
    assert_eq!(table_rows(&shown), [("public.orders".to_owned(), 3), ("public.customers".to_owned(), 2)]);
    assert!(env.back("shop.sql") == PG_DUMP.as_bytes());
}

#[test]
fn a_dump_of_mysql_has_its_tables_as_parts() {
    let env = TestEnv::new();
    env.write("shop.sql", MYSQL_DUMP);
    let created = env.json(&["create", "shop.sql"]);
    assert_eq!(created["engine"], "mysql");
    assert_eq!(table_rows(&env.json(&["show", "shop.sql"])), [("orders".to_owned(), 3)]);
    assert!(env.back("shop.sql") == MYSQL_DUMP.as_bytes());
}

fn table_rows(shown: &serde_json::Value) -> Vec<(String, u64)> {
    let parts = shown["parts"].as_array().unwrap().iter();
    let tables = parts.filter(|part| part["kind"] == "table");
    tables.map(|part| (part["name"].as_str().unwrap().to_owned(), part["rows"].as_u64().unwrap())).collect()
}

#[test]
fn a_sqlite_database_is_recognised_and_captured_while_it_is_open() {
    let env = TestEnv::new();
    let live = rusqlite::Connection::open(env.path("shop.db")).unwrap();
    live.execute_batch("PRAGMA journal_mode=wal; CREATE TABLE t (x); INSERT INTO t VALUES (1), (2);")
        .unwrap();
    assert_eq!(env.json(&["create", "shop.db"])["engine"], "sqlite");
    live.execute("DELETE FROM t", ()).unwrap();
    env.ok(&["restore", "shop.db", "--to", "copy.db"]);
    let copy = rusqlite::Connection::open(env.path("copy.db")).unwrap();
    let rows: i64 = copy.query_row("SELECT count(*) FROM t", (), |row| row.get(0)).unwrap();
    assert_eq!(rows, 2);
}

#[test]
fn standard_input_is_a_source() {
    let env = TestEnv::new();
    let content = noise(5, 400_000);
    env.run_with_input(&["create", "-", "--name", "piped"], &content).ok();
    assert!(env.back("piped") == content);
}

#[test]
fn the_output_of_a_command_is_a_source_named_by_its_program() {
    let env = TestEnv::new();
    env.ok(&["create", "--", "sh", "-c", "echo one; echo two"]);
    assert_eq!(env.back("sh"), b"one\ntwo\n");
}

#[test]
fn compressed_input_is_stored_unpacked_unless_raw() {
    let env = TestEnv::new();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(PG_DUMP.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    env.write("shop.sql.gz", &packed);
    let said = env.run(&["create", "shop.sql.gz"]);
    assert!(
        said.stderr.contains("note: gzip input is stored unpacked; --raw keeps it as it is"),
        "{}",
        said.stderr
    );
    said.ok();
    assert!(env.back("shop.sql.gz") == PG_DUMP.as_bytes());
    assert_eq!(env.json(&["show", "latest"])["unpacked"], "gzip");
    env.ok(&["create", "shop.sql.gz", "--raw"]);
    assert!(env.back("shop.sql.gz") == packed);
}

#[test]
fn tags_and_a_note_can_be_given_at_once() {
    let env = TestEnv::new();
    env.write("f", "x");
    env.ok(&["create", "f", "--tag", "b", "--tag", "a", "--note", "before the move"]);
    let listed = &env.json(&["list"])["snapshots"][0];
    assert_eq!(listed["tags"], serde_json::json!(["a", "b"]));
    assert_eq!(listed["note"], "before the move");
}

#[test]
fn names_that_mean_something_else_are_wrong_usage() {
    let env = TestEnv::new();
    env.write("f", "x");
    for name in ["latest", "#1", "", "two\nlines"] {
        env.fails(2, &["create", "f", "--name", name]);
    }
    env.fails(2, &["create", "f", "--tag", ""]);
    env.fails(2, &["create"]);
    env.fails(2, &["create", "f", "--", "true"]);
    assert_eq!(env.count(), 0);
}

#[test]
fn a_link_is_a_series_of_its_own_name_wherever_it_leads() {
    let env = TestEnv::new();
    for version in ["v1", "v2"] {
        env.write(version, version);
        let _ = std::fs::remove_file(env.path("current"));
        std::os::unix::fs::symlink(version, env.path("current")).unwrap();
        env.ok(&["create", "current"]);
    }
    assert_eq!(env.back("current"), b"v2");
    assert_eq!(env.back("current~1"), b"v1");
}

#[test]
fn what_lies_in_the_store_is_no_source() {
    let env = TestEnv::new();
    for inside in [".icecore", ".icecore/config"] {
        let said = env.fails(2, &["create", inside]);
        assert!(said.contains("lies in the store itself"), "{said}");
    }
}

#[test]
fn a_misspelt_key_of_the_configuration_is_an_error() {
    let env = TestEnv::new();
    env.write("icecore.toml", "stroe = \"elsewhere\"");
    let said = env.fails(1, &["list"]);
    assert!(said.contains("stroe"), "{said}");
}

#[test]
fn what_a_command_complains_of_is_not_in_its_snapshot() {
    let env = TestEnv::new();
    let script = "echo one; echo complaint >&2; echo two";
    let said = env.run(&["create", "--name", "out", "--", "sh", "-c", script]);
    assert!(said.stderr.contains("complaint"), "{}", said.stderr);
    said.ok();
    assert_eq!(env.back("out"), b"one\ntwo\n");
}
