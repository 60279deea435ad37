use crate::support::{PG_DUMP, TestEnv, check_keys};

#[test]
fn show_in_json_has_exactly_its_fields() {
    let env = TestEnv::new();
    env.write("shop.sql", PG_DUMP);
    env.ok(&["create", "shop.sql", "--tag", "t"]);
    let shown = env.json(&["show", "latest"]);
    check_keys(
        &shown,
        &[
            "id",
            "source",
            "engine",
            "engine_version",
            "form",
            "origin",
            "unpacked",
            "created_at",
            "host",
            "tool_version",
            "parent",
            "logical_bytes",
            "changed_bytes",
            "stored_bytes",
            "chunks",
            "new_chunks",
            "delta_chunks",
            "duration_ms",
            "findings",
            "tags",
            "note",
            "parts",
        ],
    );
    assert_eq!(shown["origin"], env.path("shop.sql").to_str().unwrap());
    for part in shown["parts"].as_array().unwrap() {
        check_keys(part, &["name", "kind", "rows", "bytes", "hash"]);
    }
}

#[test]
fn show_prints_facts_and_a_table_of_parts() {
    let env = TestEnv::new();
    env.write("shop.sql", PG_DUMP);
    env.ok(&["create", "shop.sql"]);
    let said = env.ok(&["show", "shop.sql"]);
    assert!(said.contains("\nSource    shop.sql\nEngine    postgres 17.2\n"), "{said}");
    let row = said.lines().find(|line| line.ends_with("public.orders")).unwrap();
    assert!(row.starts_with("table                 3 "), "{row}");
}

#[test]
fn names_cannot_steer_the_terminal() {
    let env = TestEnv::new();
    env.write("tree/\x1b[31mred", "x");
    env.ok(&["create", "tree"]);
    assert!(!env.ok(&["show", "tree"]).contains('\x1b'));
}
