use crate::support::{TestEnv, check_keys, noise};

#[test]
fn stats_in_json_has_exactly_the_promised_fields() {
    let env = TestEnv::new();
    env.write("f", noise(1, 500_000));
    env.ok(&["create", "f"]);
    env.ok(&["create", "f"]);
    let stats = env.json(&["stats"]);
    check_keys(
        &stats,
        &[
            "snapshots",
            "logical_bytes",
            "stored_bytes",
            "packs",
            "chunks",
            "delta_bytes",
            "delta_stored_bytes",
            "delta_saved_bytes",
        ],
    );
    assert_eq!(stats["snapshots"], 2);
    assert_eq!(stats["logical_bytes"], 1_000_000);
    assert!(env.ok(&["stats"]).contains("\nContent    1.0 MB in all snapshots\n"));
}

#[test]
fn stats_tell_what_deltas_save() {
    let env = TestEnv::new();
    let mut bytes = noise(2, 400_000);
    env.write("f", &bytes);
    env.ok(&["create", "f"]);
    assert_eq!(env.json(&["stats"])["delta_bytes"], 0);
    assert!(!env.ok(&["stats"]).contains("Deltas"));
    bytes.iter_mut().step_by(10_000).for_each(|byte| *byte ^= 1);
    env.write("f", &bytes);
    env.ok(&["create", "f"]);
    let stats = env.json(&["stats"]);
    // Noise cannot be compressed.
    assert_eq!(stats["delta_bytes"], 400_000);
    let (stored, saved) =
        (stats["delta_stored_bytes"].as_u64().unwrap(), stats["delta_saved_bytes"].as_u64().unwrap());
    assert!(stored < 5_000 && (390_000..420_000).contains(&(stored + saved)), "{stats}");
    assert!(env.ok(&["stats"]).contains("\nDeltas     400 kB of content in "));
}
