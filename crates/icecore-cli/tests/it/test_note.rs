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
    let elsewhere = format!("file://{}", env.path("elsewhere").display());
    env.ok(&["push", &elsewhere, "--all"]);
    env.ok(&["init", "--store", "empty", "--from", &elsewhere]);
    let list = env.json(&["list"]);
    // The first was taken at 10:01, the second at 10:02.
    let [newest, id] = [0, 1].map(|n| list["snapshots"][n]["id"].clone());
    let json = |arguments: &[&str]| env.at("2026-11-20T12:01:30Z", &[&["--json"], arguments].concat()).json();
    for selector in
        ["f@2026-11-20T10:01", "latest@2026-11-20T10:01", "f@2h", "latest@2h", "f@2 hours ago", "#2", "f~1"]
    {
        assert_eq!(json(&["show", selector])["id"], id, "{selector}");
        env.at("2026-11-20T12:01:30Z", &["restore", selector, "--to", "back", "--yes"]).ok();
        assert_eq!(env.read("back"), b"one", "{selector}");
        assert_eq!(json(&["tag", "add", selector, "t"])["id"], id, "{selector}");
        assert_eq!(json(&["tag", "remove", selector, "t"])["id"], id, "{selector}");
        assert_eq!(json(&["note", selector, "n"])["id"], id, "{selector}");
        assert_eq!(json(&["verify", selector])["snapshots"], 1, "{selector}");
        assert_eq!(json(&["verify", "--restore", selector])["proofs"][0]["id"], id, "{selector}");
        let pushed = json(&["push", &format!("{elsewhere}-too"), selector, "--dry-run"]);
        assert_eq!(pushed["snapshots"][0]["id"], id, "{selector}");
        let pulled = json(&["--store", "empty", "pull", &elsewhere, selector, "--dry-run"]);
        assert_eq!(pulled["snapshots"][0]["id"], id, "{selector}");
        let output = format!("{selector}.tar");
        assert_eq!(json(&["export", selector, "--output", &output])["id"], id, "{selector}");
        let output = format!("{selector} as a store.tar");
        let exported = json(&["export", "--format", "store", selector, "--output", &output]);
        assert_eq!(exported["snapshots"], serde_json::json!([id]), "{selector}");
        let output = format!("since {selector}.tar");
        let later = json(&["export", "--all", "--format", "store", "--since", selector, "--output", &output]);
        assert_eq!(
            (&later["snapshots"], &later["earlier"]),
            (&serde_json::json!([newest]), &serde_json::json!([id]))
        );
    }
    env.at("2026-11-20T12:01:30Z", &["delete", "f@2h", "--yes"]).ok();
    assert_eq!(env.back("f"), b"two");
    env.fails(10, &["show", "f@2026-11-20T10:01"]);
}
