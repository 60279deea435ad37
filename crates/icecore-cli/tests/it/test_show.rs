use crate::support::{PG_DUMP, TestEnv, check_keys, noise};

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
            "delta_bytes",
            "depth_mean",
            "depth_max",
            "duration_ms",
            "findings",
            "tags",
            "note",
            "restore",
            "parts",
            "verified",
            "restored",
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
fn show_tells_how_deep_a_snapshot_lies() {
    let env = TestEnv::new();
    let mut bytes = noise(3, 300_000);
    for night in 0..3 {
        bytes.iter_mut().skip(night).step_by(20_000).for_each(|byte| *byte ^= 1);
        env.write("f", &bytes);
        env.ok(&["create", "f", "--tag", &format!("night-{night}")]);
    }
    assert!(!env.ok(&["show", "f@night-0"]).contains("Deltas"));
    let said = env.ok(&["show", "f"]);
    assert!(said.contains("\nDeltas    100.0 % of the content; 2.0 deep on average, 2 at most\n"), "{said}");
    let shown = env.json(&["show", "f~1"]);
    assert_eq!((&shown["delta_bytes"], &shown["depth_max"]), (&300_000.into(), &1.into()));
    // A lost index says the same once it is made anew.
    std::fs::remove_file(env.path(".icecore/index.redb")).unwrap();
    assert_eq!(env.ok(&["show", "f"]), said);
}

#[test]
fn gc_flattens_what_lies_deep() {
    let env = TestEnv::new();
    let mut bytes = noise(5, 300_000);
    for night in 0..5 {
        bytes.iter_mut().skip(night).step_by(20_000).for_each(|byte| *byte ^= 1);
        env.write("f", &bytes);
        env.ok(&["create", "f"]);
    }
    assert_eq!(env.json(&["show", "f"])["depth_max"], 4);
    env.ok(&["gc", "--flatten"]);
    assert_eq!(env.json(&["show", "f"])["depth_max"], 4, "eight is not too deep");
    env.ok(&["gc", "--flatten", "2"]);
    for back in 0..5 {
        let depth = env.json(&["show", &format!("f~{back}")])["depth_max"].as_u64().unwrap();
        assert!(depth <= 2, "{depth}");
    }
    env.ok(&["verify"]);
    env.fails(2, &["gc", "--flatten", "0"]);
}

#[test]
fn a_create_without_deltas_is_coded_on_nothing() {
    for (init, create) in [(&[][..], &["--no-delta"][..]), (&["--no-delta"], &[])] {
        let env = TestEnv::bare();
        env.ok(&[&["init"], init].concat());
        let mut bytes = noise(4, 300_000);
        env.write("f", &bytes);
        env.ok(&["create", "f"]);
        bytes.iter_mut().step_by(20_000).for_each(|byte| *byte ^= 1);
        env.write("f", &bytes);
        let created = env.json(&[&["create", "f"], create].concat());
        assert_eq!(created["delta_chunks"], 0);
        assert!(created["stored_bytes"].as_u64().unwrap() > 300_000, "{created}");
        assert_eq!(env.json(&["show", "f"])["depth_max"], 0);
        assert_eq!(env.json(&["stats"])["delta_bytes"], 0);
    }
}

#[test]
fn names_cannot_steer_the_terminal() {
    let env = TestEnv::new();
    env.write("tree/\x1b[31mred", "x");
    env.ok(&["create", "tree"]);
    assert!(!env.ok(&["show", "tree"]).contains('\x1b'));
}

#[test]
fn show_says_how_the_snapshot_is_restored() {
    let env = TestEnv::new();
    env.write("f", "one");
    env.ok(&["create", "f"]);
    env.run_with_input(&["create", "-", "--name", "piped"], b"two").ok();
    let id = env.json(&["show", "f"])["id"].as_str().unwrap()[..8].to_owned();
    let shown = env.ok(&["show", "f"]);
    assert!(shown.contains(&format!("\nRestore   icecore restore {id}\n")), "{shown}");
    env.write("f", "changed");
    env.ok(&["restore", &id, "--yes"]);
    assert_eq!(env.read("f"), b"one");
    // What came from nowhere goes to standard output; and the store that was named is named again.
    let store = env.path(".icecore").display().to_string();
    let restore = env.json(&["show", "piped", "--store", &store])["restore"].as_str().unwrap().to_owned();
    assert!(restore.ends_with(&format!(" --to - --store {store}")), "{restore}");
    let words: Vec<&str> = restore.split(' ').skip(1).collect();
    assert_eq!(env.ok(&words), "two");
}

#[test]
fn the_command_that_show_prints_opens_an_encrypted_store_as_show_did() {
    let env = TestEnv::bare();
    env.write("the password", "correct horse");
    let given = ["--password-file", "the password"];
    env.ok(&[&["init", "--encrypt"], &given[..]].concat());
    env.write("f", "one");
    env.ok(&[&["create", "f"], &given[..]].concat());
    env.write("f", "two");
    let shown = env.json(&[&["show", "f"], &given[..]].concat());
    let restore = shown["restore"].as_str().unwrap();
    assert!(restore.ends_with(" --password-file 'the password'"), "{restore}");
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_icecore")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut shell = env.command_of("sh".as_ref(), &["-c", &format!("{restore} --yes")]);
    crate::support::Said::of(shell.env("PATH", path)).ok();
    assert_eq!(env.read("f"), b"one");
}
