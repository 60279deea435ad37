use std::fs;

use crate::support::{TestEnv, check_keys, noise};

#[test]
fn verify_in_json_has_exactly_the_promised_fields() {
    let env = TestEnv::new();
    env.write("f", noise(1, 500_000));
    env.ok(&["create", "f"]);
    let report = env.json(&["verify"]);
    check_keys(&report, &["ok", "snapshots", "chunks", "bytes_read", "findings"]);
    assert_eq!(report["ok"], true);
    assert_eq!(report["snapshots"], 1);
    assert!(report["bytes_read"].as_u64().unwrap() >= 500_000, "{report}");
    assert_eq!(report["findings"], serde_json::json!([]));
}

#[test]
fn a_second_copy_that_is_gone_or_damaged_is_told_and_a_repair_puts_it_back() {
    for encrypted in [false, true] {
        let env = TestEnv::bare();
        env.write("password", "correct horse");
        let password = env.path("password").display().to_string();
        let given: &[&str] = if encrypted { &["--password-file", &password] } else { &[] };
        let with = |arguments: &[&str]| env.run(&[arguments, given].concat());
        with(if encrypted { &["init", "--encrypt"] } else { &["init"] }).ok();
        env.write("f", "x");
        with(&["create", "f"]).ok();
        let copies = env.files(".icecore/copies");
        assert_eq!(copies.len(), 1 + usize::from(encrypted));
        for copy in copies {
            let good = fs::read(&copy).unwrap();
            let name = copy.strip_prefix(env.path(".icecore")).unwrap().display().to_string();
            let original = name.strip_prefix("copies/").unwrap();
            for (what, damaged) in [("missing", None), ("damaged", Some(&good[..20]))] {
                match damaged {
                    None => fs::remove_file(&copy).unwrap(),
                    Some(bytes) => fs::write(&copy, bytes).unwrap(),
                }
                let said = with(&["verify"]);
                let line =
                    format!("{name}: this second copy of {original} is {what}; {original} itself is right\n");
                assert!(
                    said.status == 13 && said.text().starts_with(&line),
                    "{}{}",
                    said.text(),
                    said.stderr
                );
                let hint =
                    "hint: nothing is lost, only what would take its place; `icecore repair` puts it back\n";
                assert!(said.stderr.ends_with(hint), "{}", said.stderr);
                // It is no snapshot's matter.
                with(&["verify", "f"]).ok();
                let plan = with(&["repair", "--dry-run"]);
                assert_eq!(plan.text(), format!("make {name} anew: {}", &line[name.len() + 2..]));
                assert_eq!(plan.status, 3);
                assert_eq!(with(&["repair"]).ok(), "Made 1 second copy anew\n");
                assert_eq!(fs::read(&copy).unwrap(), good);
                with(&["verify"]).ok();
                assert_eq!(with(&["repair"]).ok(), "Nothing was damaged; the index was made anew\n");
            }
        }
    }
}

#[test]
fn verify_reads_no_more_than_it_is_asked_to() {
    let env = TestEnv::bare();
    env.ok(&["init", "--pack-size", "200kB"]);
    env.write("f", noise(1, 2_000_000));
    env.ok(&["create", "f"]);
    let read = |arguments: &[&str]| {
        let mut all = vec!["verify"];
        all.extend(arguments);
        env.json(&all)["bytes_read"].as_u64().unwrap()
    };
    let everything = read(&[]);
    assert!(everything >= 2_000_000);
    assert!(read(&["--structure"]) < 100_000);
    for some in [&["--sample", "25%"], &["--sample", "0.25"], &["--budget", "500kB"]] {
        let bytes = read(some);
        assert!(0 < bytes && bytes < everything * 2 / 3, "{some:?}: {bytes}");
    }
    env.fails(2, &["verify", "--sample", "10%", "--budget", "1MB"]);
    env.fails(2, &["verify", "--sample", "lots"]);
}

#[test]
fn one_snapshot_can_be_verified() {
    let env = TestEnv::new();
    env.write("f", "x");
    env.ok(&["create", "f"]);
    env.ok(&["create", "f"]);
    assert_eq!(env.json(&["verify", "f~1"])["snapshots"], 1);
    assert!(env.ok(&["verify"]).starts_with("All is well: 2 snapshots and "));
    env.fails(10, &["verify", "nothing"]);
}

#[test]
fn one_snapshot_that_is_verified_tells_of_all_that_share_its_damage() {
    let env = TestEnv::new();
    env.write("f", noise(1, 200_000));
    for _ in 0..3 {
        env.ok(&["create", "f"]);
    }
    let pack = env.files(".icecore/packs").into_iter().max_by_key(|pack| pack.metadata().unwrap().len());
    let pack = pack.unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&pack, bytes).unwrap();
    let said = env.run(&["verify", "f~2"]);
    assert_eq!(said.status, 13, "{}", said.stderr);
    let text = said.text();
    assert_eq!(text.matches(" f is damaged").count(), 3, "{text}");
    assert!(text.contains("Damage: 1 finding that harms 3 snapshots; 1 snapshot and "), "{text}");
    // What is only looked for is not read.
    fs::remove_file(&pack).unwrap();
    let said = env.run(&["verify", "f", "--structure"]).text();
    assert!(said.contains("Damage: 1 finding that harms 3 snapshots; 1 snapshot and "), "{said}");
    assert!(said.contains(" looked for, no data was read"), "{said}");
}
