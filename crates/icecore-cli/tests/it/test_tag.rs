use crate::support::TestEnv;

#[test]
fn tags_are_added_selected_by_and_removed() {
    let env = TestEnv::new();
    env.write("f", "one");
    env.ok(&["create", "f"]);
    env.write("f", "two");
    env.ok(&["create", "f"]);
    assert!(env.ok(&["tag", "add", "f~1", "release", "kept"]).ends_with("f: it has kept, release\n"));
    assert_eq!(env.back("f@release"), b"one");
    let tags = env.json(&["tag", "remove", "f@release", "release"]);
    assert_eq!(tags["tags"], serde_json::json!(["kept"]));
    env.fails(10, &["restore", "f@release", "--to", "-"]);
    let said = env.fails(10, &["tag", "remove", "f~1", "release"]);
    assert!(said.contains("has no tag \"release\"\nhint: it has kept"), "{said}");
    env.fails(2, &["tag", "add", "f", " "]);
}
