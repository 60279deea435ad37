use crate::support::{TestEnv, check_keys, noise};

/// What deltas are found by lies in the index only.
#[test]
fn a_dry_run_of_a_repair_leaves_the_index_as_it_is_and_gc_removes_an_old_one() {
    let env = TestEnv::new();
    env.write("f", noise(1, 200_000));
    env.ok(&["create", "f"]);
    let before = env.read(".icecore/index.redb");
    assert_eq!(env.ok(&["repair", "--dry-run"]), "Nothing is damaged\n");
    assert!(env.read(".icecore/index.redb") == before);
    let aside = env.path(".icecore/index.redb.damaged");
    assert!(!aside.exists());
    env.ok(&["repair"]);
    assert!(aside.exists());
    env.ok(&["gc"]);
    assert!(!aside.exists());
}

#[test]
fn gc_gives_back_what_was_deleted_and_keeps_the_rest() {
    let env = TestEnv::new();
    env.write("old", noise(1, 2_000_000));
    env.write("new", noise(2, 1_000_000));
    env.ok(&["create", "old"]);
    env.ok(&["create", "new"]);
    assert!(env.ok(&["gc", "--dry-run"]).starts_with("Nothing to do: "));
    env.ok(&["delete", "old", "--yes"]);
    let before = env.json(&["stats"])["stored_bytes"].as_u64().unwrap();

    let fields = ["packs_deleted", "packs_rewritten", "bytes_freed", "bytes_kept"];
    let planned = env.json(&["gc", "--dry-run"]);
    check_keys(&planned, &fields);
    assert!(planned["bytes_freed"].as_u64().unwrap() >= 2_000_000, "{planned}");
    assert!(env.ok(&["gc", "--dry-run"]).contains("drop"));
    assert_eq!(env.json(&["stats"])["stored_bytes"], before);

    let done = env.json(&["gc"]);
    check_keys(&done, &fields);
    assert!(done["bytes_freed"].as_u64().unwrap() >= 2_000_000, "{done}");
    let after = env.json(&["stats"])["stored_bytes"].as_u64().unwrap();
    assert!(after + 2_000_000 <= before, "{before} {after}");
    assert!(env.back("new") == noise(2, 1_000_000));
    env.ok(&["verify"]);
    env.fails(2, &["gc", "--fence-after", "soon"]);
}
