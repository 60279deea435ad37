use crate::support::{TestEnv, check_keys};

#[test]
fn delete_needs_a_confirmation_and_finds_all_before_it_deletes_one() {
    let env = TestEnv::new();
    env.write("f", "one");
    env.ok(&["create", "f"]);
    env.write("f", "two");
    env.ok(&["create", "f"]);
    let said = env.fails(15, &["delete", "f"]);
    assert!(said.contains("needs a confirmation; nothing was deleted\nhint: --yes"), "{said}");
    env.fails(10, &["delete", "f", "nothing", "--yes"]);
    env.fails(2, &["delete", "--yes"]);
    assert_eq!(env.count(), 2);
    let newest = env.json(&["list"])["snapshots"][0]["id"].clone();
    let deleted = env.json(&["delete", "f", "#1", "--yes"]);
    check_keys(&deleted, &["deleted"]);
    assert_eq!(deleted["deleted"], serde_json::json!([newest]));
    assert_eq!(env.back("f"), b"one");
}
