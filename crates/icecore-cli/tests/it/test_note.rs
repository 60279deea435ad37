use crate::support::TestEnv;

#[test]
fn a_note_is_written_replaced_and_taken_away() {
    let env = TestEnv::new();
    env.write("f", "one");
    env.ok(&["create", "f", "--note", "first"]);
    env.write("f", "two");
    env.ok(&["create", "f"]);
    assert!(env.ok(&["note", "f~1", "before the move"]).ends_with(" f: before the move\n"));
    assert_eq!(env.json(&["list", "--search", "the MOVE"])["snapshots"][0]["index"], 2);
    assert!(env.ok(&["note", "#2", ""]).ends_with(" f: it has no note\n"));
    assert_eq!(env.json(&["show", "f~1"])["note"], serde_json::Value::Null);
    // Once more it is no error.
    env.ok(&["note", "#2", " "]);
    env.fails(10, &["note", "nosuch", "x"]);
    env.fails(2, &["note", "f"]);
    env.fails(2, &["note", "f", "two\nlines"]);
}

/// Every command that takes a snapshot takes all ways to name one.
#[test]
fn a_snapshot_is_named_by_its_time_and_number_everywhere() {
    let env = TestEnv::new();
    env.write("f", "one");
    env.ok(&["create", "f"]);
    env.write("f", "two");
    env.ok(&["create", "f"]);
    // The first was taken at 10:01, the second at 10:02.
    for selector in ["f@2026-11-20T10:01", "latest@2026-11-20T10:01", "#2", "f~1"] {
        let id = env.json(&["show", selector])["id"].clone();
        assert_eq!(env.back(selector), b"one", "{selector}");
        assert_eq!(env.json(&["tag", "add", selector, "t"])["id"], id, "{selector}");
        assert_eq!(env.json(&["tag", "remove", selector, "t"])["id"], id, "{selector}");
        assert_eq!(env.json(&["note", selector, "n"])["id"], id, "{selector}");
        assert_eq!(env.json(&["verify", selector])["snapshots"], 1, "{selector}");
        let to = format!("file://{}", env.path("elsewhere").display());
        let pushed = env.json(&["push", &to, selector, "--dry-run"]);
        assert_eq!(pushed["snapshots"][0]["id"], id, "{selector}");
    }
    env.ok(&["delete", "f@2026-11-20T10:01", "--yes"]);
    assert_eq!(env.back("f"), b"two");
}
