use crate::support::TestEnv;

#[test]
fn commands_are_found_under_snapshot_with_a_service() {
    let env = TestEnv::new();
    env.write("shop", "one");
    env.ok(&["snapshot", "create", "shop"]);
    env.ok(&["snapshot", "create", "--service", "shop"]);
    let listed = env.json(&["snapshot", "list", "--service", "shop"]);
    assert_eq!(listed["snapshots"].as_array().unwrap().len(), 2);
    assert_eq!(env.ok(&["snapshot", "restore", "--service", "shop", "--to", "-"]), "one");
    env.ok(&["snapshot", "show", "shop"]);
    env.ok(&["snapshot", "verify", "shop"]);
    env.ok(&["snapshot", "delete", "shop", "--yes"]);
    assert_eq!(env.count(), 1);
    env.fails(2, &["snapshot", "create", "shop", "--service", "shop"]);
    let said = env.fails(2, &["snapshot", "create", "--container", "db"]);
    assert!(said.contains("--container is not supported by this version"), "{said}");
}
