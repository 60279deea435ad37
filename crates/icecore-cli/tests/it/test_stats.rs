use crate::support::{TestEnv, check_keys, noise};

#[test]
fn stats_in_json_has_exactly_the_promised_fields() {
    let env = TestEnv::new();
    env.write("f", noise(1, 500_000));
    env.ok(&["create", "f"]);
    env.ok(&["create", "f"]);
    let stats = env.json(&["stats"]);
    check_keys(&stats, &["snapshots", "logical_bytes", "stored_bytes", "packs", "chunks"]);
    assert_eq!(stats["snapshots"], 2);
    assert_eq!(stats["logical_bytes"], 1_000_000);
    assert!(env.ok(&["stats"]).contains("\nContent    1.0 MB in all snapshots\n"));
}
