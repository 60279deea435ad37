use std::path::Path;

use crate::support::{PG_DUMP, Said, TestEnv, check_keys, noise, redact};

/// Three snapshots of `f`, at 10:02, 10:04 and 10:06 or so, with contents `one`, `two`, `three`; the second is tagged.
fn three() -> TestEnv {
    let env = TestEnv::new();
    env.write("f", "one");
    env.ok(&["create", "f"]);
    env.write("f", "two");
    env.ok(&["create", "f", "--tag", "release"]);
    env.write("f", "three");
    env.ok(&["create", "f"]);
    env
}

#[test]
fn every_selector_selects() {
    let env = three();
    env.run_with_input(&["create", "-", "--name", "other"], b"other").ok();
    let listed = env.json(&["list", "f"]);
    let oldest = listed["snapshots"][2]["id"].as_str().unwrap().to_owned();
    for (selector, content) in [
        ("latest", "other"),
        ("latest~1", "three"),
        ("f", "three"),
        ("f~1", "two"),
        ("f~2", "one"),
        ("f@release", "two"),
        ("f@2026-11-20", "three"),
        ("f@2026-11-20T10:01", "one"),
        ("f@2026-11-20T10:02:30", "two"),
        ("#1", "other"),
        ("#4", "one"),
        (&oldest[..8], "one"),
        (&oldest, "one"),
    ] {
        assert_eq!(String::from_utf8(env.back(selector)).unwrap(), content, "{selector}");
    }
}

#[test]
fn restore_takes_its_own_options_of_selection() {
    let env = three();
    let take = |arguments: &[&str]| {
        let mut all = vec!["restore", "--to", "-"];
        all.extend(arguments);
        env.run(&all).ok()
    };
    assert_eq!(take(&["--latest"]), "three");
    assert_eq!(take(&["--tag", "release"]), "two");
    assert_eq!(take(&["f", "--tag", "release"]), "two");
    assert_eq!(take(&["--index", "3"]), "one");
    assert_eq!(take(&["f", "--at", "2026-11-20T10:01"]), "one");
    assert_eq!(take(&["--at", "1 minute ago"]), "three");
    env.fails(10, &["restore", "g", "--tag", "release", "--to", "-"]);
    env.fails(2, &["restore", "--to", "-"]);
    env.fails(2, &["restore", "f", "--latest", "--to", "-"]);
    env.fails(2, &["restore", "f", "--index", "1", "--to", "-"]);
}

#[test]
fn an_existing_target_is_refused_and_untouched_without_a_confirmation() {
    let env = three();
    env.write("g", "precious");
    let said = env.fails(15, &["restore", "f", "--to", "g"]);
    assert!(
        said.starts_with("error: g exists already, and was not touched\nhint: --yes replaces g (8 B)"),
        "{said}"
    );
    assert_eq!(env.read("g"), b"precious");
    env.fails(15, &["restore", "f", "--to", "g", "--in-place"]);
    assert_eq!(env.read("g"), b"precious");
    env.ok(&["restore", "f", "--to", "g", "--yes"]);
    assert_eq!(env.read("g"), b"three");
    env.ok(&["restore", "f~1", "--to", "g", "--force"]);
    assert_eq!(env.read("g"), b"two");
}

#[test]
fn without_a_target_it_goes_back_to_where_it_came_from() {
    let env = three();
    env.fails(15, &["restore", "f~2"]);
    env.ok(&["restore", "f~2", "--yes"]);
    assert_eq!(env.read("f"), b"one");
    env.run_with_input(&["create", "-", "--name", "piped"], b"x").ok();
    let said = env.fails(2, &["restore", "piped"]);
    assert!(said.contains("has no place of its own to go back to\nhint: say where with --to"), "{said}");
}

#[test]
fn restore_in_json_has_exactly_its_fields() {
    let env = three();
    let restored = env.json(&["restore", "f", "--to", "g"]);
    check_keys(
        &restored,
        &[
            "id",
            "source",
            "target",
            "parts",
            "bytes",
            "written_bytes",
            "kept",
            "notes",
            "duration_ms",
            "warnings",
        ],
    );
    assert_eq!(restored["target"], env.path("g").to_str().unwrap());
    assert_eq!(restored["bytes"], 5);
}

#[test]
fn the_summary_says_what_went_where() {
    let env = three();
    let said = env.ok(&["restore", "f", "--to", "g"]);
    assert_eq!(redact(&said), "Restored f ID to g: 5 B in 1 part, TIME");
}

#[test]
fn in_place_writes_only_what_differs() {
    let env = TestEnv::new();
    let mut content = noise(1, 2_000_000);
    env.write("big", &content);
    env.ok(&["create", "big"]);
    content[1_000_000] ^= 1;
    env.write("big", &content);
    let restored = env.json(&["restore", "big", "--in-place", "--yes"]);
    assert_eq!(restored["bytes"], 2_000_000);
    let written = restored["written_bytes"].as_u64().unwrap();
    assert!(0 < written && written < 300_000, "{written}");
    assert!(env.read("big") == noise(1, 2_000_000));
}

/// Runs a script that may mount something where only it sees it; `$1` is the program.
fn script(env: &TestEnv, script: &str) -> Said {
    let user = if rustix::process::geteuid().is_root() { "-m" } else { "-rm" };
    let arguments = [user, "sh", "-e", "-c", script, "sh", env!("CARGO_BIN_EXE_icecore")];
    Said::of(&mut env.command_of(Path::new("unshare"), &arguments))
}

#[test]
fn what_has_no_room_in_place_is_refused_before_anything_is_changed() {
    let env = TestEnv::new();
    env.write("tree/a", "captured");
    env.write("tree/b", noise(1, 3_000_000));
    env.ok(&["create", "tree"]);
    env.write("there/a", "live");
    let said = script(
        &env,
        "mount -t tmpfs -o size=1m none there; echo live > there/a
        \"$1\" restore tree --to there --in-place --yes || echo \"status $?, $(cat there/*)\"",
    );
    assert!(
        said.text().contains("status 1, live\n") && said.stderr.contains("nothing was touched"),
        "{said:?}"
    );
    assert!(said.stderr.contains("bytes are needed"), "{said:?}");
}

#[test]
fn what_cannot_be_written_in_place_is_found_before_anything_is_changed() {
    let env = TestEnv::new();
    env.write("tree/a", "captured");
    env.write("tree/sub/b", "captured");
    env.ok(&["create", "tree"]);
    env.write("tree/a", "live");
    env.write("tree/sub/b", "live");
    let said = script(
        &env,
        "mount --bind tree/sub tree/sub; mount -o remount,ro,bind tree/sub
        \"$1\" restore tree --in-place --yes || echo \"status $?, $(cat tree/a tree/sub/b)\"",
    );
    assert!(said.text().contains("status 1, livelive\n"), "{said:?}");
    assert!(said.stderr.contains("cannot change what is in") && said.stderr.contains("tree/sub"), "{said:?}");
}

#[test]
fn one_file_of_a_directory_can_be_restored() {
    let env = TestEnv::new();
    env.write("tree/sub/a.txt", "a");
    env.write("tree/b.txt", "b");
    env.ok(&["create", "tree"]);
    env.ok(&["restore", "tree", "--part", "sub/a.txt", "--to", "a.txt"]);
    assert_eq!(env.read("a.txt"), b"a");
    let said = env.fails(10, &["restore", "tree", "--part", "a.txt", "--to", "c.txt"]);
    assert!(said.contains("has no part \"a.txt\"; it has sub/a.txt"), "{said}");
    assert!(said.contains("hint: `icecore show"), "{said}");
    env.fails(2, &["restore", "tree", "--part", "b.txt"]);
    env.fails(2, &["restore", "tree", "--to", "-"]);
}

#[test]
fn one_table_of_a_dump_can_be_restored() {
    let env = TestEnv::new();
    env.write("shop.sql", PG_DUMP);
    env.ok(&["create", "shop.sql"]);
    let table = env.run(&["restore", "shop.sql", "--part", "public.customers", "--to", "-"]).ok();
    assert!(table.contains("7\n8\n") && !table.contains("Turku"), "{table}");
}

#[test]
fn standard_output_carries_nothing_but_data() {
    let env = three();
    let said = env.run(&["restore", "f", "--to", "-"]);
    assert_eq!(said.stdout, b"three");
    assert!(said.stderr.starts_with("Restored f"), "{}", said.stderr);
    let said = env.run(&["restore", "f", "--to", "-", "--json"]);
    assert_eq!(said.stdout, b"three");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&said.stderr).unwrap()["target"], "-");
}

/// A store may be a stranger's: what would reach out of the restored directory is refused before anything is written.
#[test]
fn what_reaches_out_of_the_target_is_restored_only_when_it_is_trusted() {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    let env = TestEnv::new();
    for (name, target) in [("within", "sub/file"), ("sub/up", "../within")] {
        env.write("tree/sub/file", "bytes");
        symlink(target, env.path("tree").join(name)).unwrap();
    }
    env.ok(&["create", "tree"]);
    env.ok(&["restore", "tree", "--to", "harmless"]);

    type Make = fn(&TestEnv);
    let entries: [(&str, Make); 4] = [
        ("up (another name of a link that leads upwards)", |env| {
            fs::create_dir_all(env.path("tree/deep/er")).unwrap();
            symlink("../../sub", env.path("tree/deep/er/up")).unwrap();
            fs::hard_link(env.path("tree/deep/er/up"), env.path("tree/up")).unwrap();
        }),
        ("out (a link to /etc/passwd)", |env| symlink("/etc/passwd", env.path("tree/out")).unwrap()),
        ("sub/far (a link to ../../elsewhere)", |env| {
            symlink("../../elsewhere", env.path("tree/sub/far")).unwrap();
        }),
        ("su (runs with the rights of its owner or group)", |env| {
            env.write("tree/su", "#!/bin/sh");
            fs::set_permissions(env.path("tree/su"), fs::Permissions::from_mode(0o4755)).unwrap();
        }),
    ];
    for (said, make) in entries {
        make(&env);
        env.ok(&["create", "tree"]);
        let refused = env.fails(15, &["restore", "tree", "--to", "copy"]);
        assert!(
            refused.contains("holds what reaches out of the target") && refused.contains(said),
            "{refused}"
        );
        assert!(refused.contains("--trusted"), "{refused}");
        assert!(!env.path("copy").exists());
        // The question whether to replace it is not asked in vain.
        let refused = env.fails(15, &["restore", "tree", "--in-place", "--yes"]);
        assert!(refused.contains(said), "{refused}");
        env.ok(&["restore", "tree", "--to", "copy", "--trusted"]);
        let entry = said.split(' ').next().unwrap();
        let (there, back) = (env.path("tree").join(entry), env.path("copy").join(entry));
        let look = |path: &Path| path.symlink_metadata().unwrap().permissions().mode();
        assert_eq!((look(&there), fs::read_link(&there).ok()), (look(&back), fs::read_link(&back).ok()));
        // What stays within is restored alone all the same.
        assert_eq!(env.ok(&["restore", "tree", "--part", "sub/file", "--to", "-"]), "bytes");
        fs::remove_dir_all(env.path("copy")).unwrap();
        fs::remove_file(there).unwrap();
    }
    env.write("tree/alone", "#!/bin/sh");
    fs::set_permissions(env.path("tree/alone"), fs::Permissions::from_mode(0o2755)).unwrap();
    env.ok(&["create", "tree/alone"]);
    env.fails(15, &["restore", "alone", "--to", "copy"]);
    env.ok(&["restore", "alone", "--to", "copy", "--trusted"]);
}

/// What could not be read when the snapshot was taken is not taken away by restoring it.
#[test]
fn a_snapshot_that_was_not_taken_whole_replaces_nothing_unasked() {
    let env = TestEnv::new();
    env.write("file", "as it was");
    let said = env.run(&["create", "file"]);
    assert_eq!(said.status, 0);
    env.run_with_input(
        &["create", "-", "--name", "cut", "--allow-incomplete"],
        &PG_DUMP.as_bytes()[..PG_DUMP.len() / 2],
    )
    .fails(3);
    let listed = env.ok(&["list"]);
    let whole: Vec<_> = listed.lines().filter(|line| !line.contains("(not taken whole)")).collect();
    assert!(whole.len() == 2 && whole[1].contains("file"), "{listed}");

    let restored = env.run(&["restore", "cut", "--to", "new"]);
    assert_eq!(restored.status, 3, "{}", restored.stderr);
    assert!(restored.stderr.contains("the snapshot was not taken whole"), "{}", restored.stderr);
    let refused = env.fails(15, &["restore", "cut", "--to", "file", "--yes"]);
    assert!(refused.contains("was not taken whole") && refused.contains("--allow-incomplete"), "{refused}");
    assert_eq!(env.read("file"), b"as it was");
    env.run(&["restore", "cut", "--to", "file", "--yes", "--allow-incomplete"]).fails(3);
    assert_eq!(env.read("file"), env.read("new"));
}

#[test]
fn a_link_that_leads_nowhere_is_no_target() {
    let env = three();
    std::os::unix::fs::symlink("nowhere", env.path("link")).unwrap();
    let refused = env.fails(15, &["restore", "f", "--to", "link", "--yes"]);
    assert!(refused.contains("a link that leads nowhere"), "{refused}");
}

#[test]
fn rewriting_a_directory_in_place_says_what_it_removes() {
    let env = TestEnv::new();
    env.write("tree/kept", "kept");
    env.ok(&["create", "tree"]);
    env.write("tree/new", "new");
    let refused = env.fails(15, &["restore", "tree", "--in-place"]);
    assert!(refused.contains("removes everything else in it"), "{refused}");
    env.ok(&["restore", "tree", "--in-place", "--yes"]);
    assert!(!env.path("tree/new").exists());
}

/// From a clock that was ahead, it is the newest for long.
#[test]
fn a_snapshot_of_a_time_that_is_yet_to_come_is_told() {
    let env = TestEnv::new();
    env.write("f", "old");
    env.at("2027-12-25T00:00:00Z", &["create", "f"]).ok();
    env.write("f", "new");
    env.ok(&["create", "f"]);
    let said = env.run(&["restore", "f", "--yes"]);
    assert!(said.stderr.contains("of 2027-12-25 00:00 is of a time that is yet to come"), "{}", said.stderr);
    said.ok();
    let said = env.run(&["restore", "f~1", "--yes"]);
    assert!(!said.stderr.contains("yet to come"), "{}", said.stderr);
    said.ok();
}
