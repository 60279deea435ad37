//! Bad input gets a clear answer, and nothing is lost.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{PG_DUMP, Said, TestEnv, noise};

#[test]
fn no_store_here_is_10_with_the_next_command() {
    let env = TestEnv::bare();
    let said = env.fails(10, &["list"]);
    assert!(said.starts_with("error: no store was named, and there is no .icecore directory in /"), "{said}");
    assert!(said.contains("\nhint: make one here with `icecore init`"), "{said}");
}

#[test]
fn a_path_that_is_no_store_is_10() {
    let env = TestEnv::bare();
    env.write("folder/file", "x");
    env.write("file", "x");
    for place in ["folder", "file", "nothing"] {
        let said = env.fails(10, &["list", "--store", place]);
        assert!(said.starts_with("error: there is no icecore store at /"), "{said}");
    }
    let said = env.fails(2, &["list", "--store", "ftp://host/store"]);
    assert!(said.contains("is not a place for a store"), "{said}");
}

#[test]
fn a_store_of_a_newer_format_asks_for_an_update() {
    let env = TestEnv::new();
    let mut config = env.read(".icecore/config");
    // After the magic and the kind.
    config[8] = 99;
    // A newer program makes its checksum right.
    let covered = config.len() - 32;
    let named = [&6u64.to_le_bytes()[..], b"config", &config[..covered]].concat();
    config[covered..].copy_from_slice(&icecore_format::Digest::of(&named).0);
    let path = env.path(".icecore/config");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&path, config).unwrap();
    let said = env.fails(1, &["list"]);
    assert!(said.contains("has format 99, newer than"), "{said}");
    assert!(said.contains("hint: update icecore"), "{said}");
}

#[test]
fn an_unreadable_file_in_a_directory_is_reported_and_the_rest_is_stored() {
    let env = TestEnv::bare();
    env.write("tree/good", "good");
    let secret = env.write("tree/secret", "secret");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o000)).unwrap();
    std::fs::set_permissions(env.path(""), std::fs::Permissions::from_mode(0o777)).unwrap();
    // Root may read everything.
    let binary = env.path("icecore-copy");
    std::fs::copy(env!("CARGO_BIN_EXE_icecore"), &binary).unwrap();
    let run = |arguments: &[&str]| {
        let binary = binary.to_str().unwrap();
        let mut command = if rustix::process::geteuid().is_root() {
            let mut all = vec!["--reuid=65534", "--regid=65534", "--clear-groups", binary];
            all.extend(arguments);
            env.command_of(Path::new("setpriv"), &all)
        } else {
            env.command_of(Path::new(binary), arguments)
        };
        Said::of(&mut command)
    };
    run(&["init"]).ok();
    let said = run(&["create", "tree"]);
    assert!(said.text().starts_with("Saved tree as"), "{}", said.text());
    let stderr = said.fails(3);
    assert!(
        stderr.contains("warning: ") && stderr.contains("secret") && stderr.contains("denied"),
        "{stderr}"
    );
    // Where it would be lost, it stays.
    let refused = run(&["restore", "tree", "--yes"]).fails(15);
    assert!(refused.contains("was not taken whole (cannot read ") && secret.exists(), "{refused}");
    assert!(run(&["restore", "tree", "--to", "back"]).fails(3).contains("was not taken whole"));
    assert_eq!(env.read("back/good"), b"good");
    assert!(!env.path("back/secret").exists());
}

#[test]
fn empty_input_is_14_unless_it_is_allowed() {
    let env = TestEnv::new();
    env.write("empty", "");
    let said = env.fails(14, &["create", "empty"]);
    assert!(said.contains("is empty\nhint: nothing was stored; --allow-empty"), "{said}");
    let said = env.fails(14, &["create", "-"]);
    assert!(said.contains("standard input is empty"), "{said}");
    assert_eq!(env.count(), 0);
    env.ok(&["create", "empty", "--allow-empty"]);
    env.ok(&["create", "-", "--allow-empty"]);
    assert_eq!(env.back("empty"), b"");
    assert_eq!(env.back("stdin"), b"");
}

#[test]
fn a_dump_that_was_cut_off_is_14_unless_it_is_allowed() {
    let env = TestEnv::new();
    let cut = &PG_DUMP[..PG_DUMP.len() - 60];
    env.write("shop.sql", cut);
    let said = env.fails(14, &["create", "shop.sql"]);
    assert!(said.contains("it was cut off\nhint: nothing was stored; --allow-incomplete"), "{said}");
    assert_eq!(env.count(), 0);
    let said = env.fails(3, &["create", "shop.sql", "--allow-incomplete"]);
    assert!(
        said.contains("warning: the dump shop.sql ends before its end marker")
            || said.contains("it was cut off"),
        "{said}"
    );
    // And it is remembered.
    let said = env.run(&["restore", "shop.sql", "--to", "-"]);
    assert!(said.stdout == cut.as_bytes());
    assert!(said.fails(3).contains("was not taken whole"));
}

#[test]
fn a_command_that_fails_is_14_and_nothing_is_stored() {
    let env = TestEnv::new();
    let said = env.fails(14, &["create", "--", "sh", "-c", "echo half; exit 7"]);
    assert!(said.contains("sh") && said.contains('7'), "{said}");
    let said = env.fails(14, &["create", "--", "no-such-program-anywhere"]);
    assert!(said.contains("cannot run no-such-program-anywhere"), "{said}");
    let said = env.fails(14, &["create", "--", "sh", "-c", "echo half; kill -9 $$"]);
    assert!(said.contains("sh"), "{said}");
    assert_eq!(env.count(), 0);
    assert_eq!(env.files(".icecore/claims"), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_source_that_is_not_there_is_10() {
    let env = TestEnv::new();
    let said = env.fails(10, &["create", "nothing.sql"]);
    assert!(
        said.starts_with("error: there is no file, directory or service \"nothing.sql\"\nhint: "),
        "{said}"
    );
}

#[test]
fn a_server_of_an_unknown_kind_is_10_and_its_password_is_not_told() {
    let env = TestEnv::new();
    let said = env.fails(10, &["create", "oracle://me:secret@host/shop"]);
    assert!(said.contains("oracle://...@host/shop") && !said.contains("secret"), "{said}");
}

#[test]
fn an_unknown_or_ambiguous_snapshot_is_10() {
    let env = TestEnv::new();
    env.write("shop.sql", PG_DUMP);
    let id = env.json(&["create", "shop.sql"])["id"].as_str().unwrap()[..4].to_owned();
    for selector in ["nothing", "shop.sql~7", "shop.sql@no-tag", "#9", "0000000000", "shop.sql@2020-01-01"] {
        let said = env.fails(10, &["show", selector]);
        assert!(said.contains("there is no snapshot") && said.contains("icecore list"), "{said}");
    }
    // A source may be called as an id begins.
    env.run_with_input(&["create", "-", "--name", &id], b"x").ok();
    let said = env.fails(10, &["show", &id]);
    assert!(said.contains("is ambiguous") && said.contains(&format!("the source {id}")), "{said}");
    let said = env.fails(2, &["list", "--since", "next week"]);
    assert!(said.contains("\"next week\" is not a time"), "{said}");
}

#[test]
fn damage_is_13_and_names_the_snapshots_and_parts() {
    let env = TestEnv::new();
    env.write("tree/good", noise(1, 200_000));
    env.write("tree/other", noise(2, 200_000));
    let id = env.json(&["create", "tree"])["id"].clone();
    let pack = env.files(".icecore/packs").remove(0);
    std::fs::set_permissions(&pack, std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut bytes = std::fs::read(&pack).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&pack, bytes).unwrap();
    let said = env.run(&["verify", "--json"]);
    assert_eq!(said.status, 13, "{}", said.stderr);
    let report: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(report["ok"], false);
    assert_eq!(report["findings"][0]["snapshots"][0]["id"], id);
    assert_eq!(report["findings"][0]["snapshots"][0]["source"], "tree");
    let said = env.run(&["verify"]);
    assert!(said.text().contains("tree is damaged"), "{}", said.text());
    said.fails(13);
    let said = env.fails(13, &["restore", "tree", "--to", "back"]);
    assert!(said.contains("hint: `icecore verify` tells"), "{said}");
    assert!(!env.path("back").exists());
}

#[test]
fn a_damaged_manifest_does_not_hide_the_others() {
    let env = TestEnv::new();
    env.write("f", "x");
    env.ok(&["create", "f"]);
    env.ok(&["create", "f"]);
    let manifest = env.files(".icecore/snapshots").remove(0);
    std::fs::set_permissions(&manifest, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&manifest, "nonsense").unwrap();
    let said = env.run(&["list"]);
    assert_eq!(said.text().lines().count(), 2, "{}", said.text());
    let said = said.fails(13);
    assert!(said.contains("warning: snapshots/") && said.contains("is damaged"), "{said}");
}

#[test]
fn errors_in_json_are_one_line_on_standard_error() {
    let env = TestEnv::bare();
    for (status, arguments) in [(10, ["list", "--json"]), (2, ["--json", "--no-such-option"])] {
        let said = env.run(&arguments);
        assert_eq!(said.stdout, b"");
        let error: serde_json::Value = serde_json::from_str(said.stderr.trim()).unwrap();
        crate::support::check_keys(&error, &["error", "status", "hint"]);
        assert_eq!(error["status"], status);
        said.fails(status);
    }
}

#[test]
fn without_arguments_the_help_is_shown_and_the_usage_is_wrong() {
    let env = TestEnv::bare();
    let said = env.run(&[]);
    assert!(said.stderr.contains("Usage: icecore"), "{}", said.stderr);
    said.fails(2);
    assert!(env.ok(&["--help"]).contains("create"));
    assert!(env.ok(&["--version"]).starts_with("icecore "));
}

#[test]
fn a_folder_with_somebodys_own_keys_is_no_interrupted_init() {
    let env = TestEnv::bare();
    env.write("secrets/keys/id_ed25519", "mine");
    let said = env.fails(2, &["init", "--store", "secrets"]);
    assert!(said.contains("is not empty"), "{said}");
    assert_eq!(env.read("secrets/keys/id_ed25519"), b"mine");
    // What a crash in the middle of an init leaves is.
    env.write("pw", "correct horse\n");
    env.ok(&["init", "--store", "cut", "--encrypt", "--password-file", "pw"]);
    std::fs::remove_file(env.path("cut/config")).unwrap();
    std::fs::remove_file(env.path("cut/copies/config")).unwrap();
    env.ok(&["init", "--store", "cut", "--encrypt", "--password-file", "pw"]);
}

/// A stranger's store may have anything where a file belongs.
#[test]
fn pipes_and_devices_in_a_store_are_neither_waited_for_nor_read() {
    let env = TestEnv::new();
    let config = env.path(".icecore/config");
    let copy = env.path(".icecore/copies/config");
    std::fs::remove_file(&copy).unwrap();
    std::fs::remove_file(&config).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &config).unwrap();
    assert!(env.fails(1, &["list"]).contains("no regular file"));
    std::fs::remove_file(&config).unwrap();
    assert!(Command::new("mkfifo").arg(&config).status().unwrap().success());
    assert!(env.fails(1, &["list"]).contains("no regular file"));
}

#[test]
fn a_version_that_is_one_flipped_bit_is_damage_and_not_the_future() {
    let env = TestEnv::new();
    env.write("f", noise(1, 50_000));
    env.ok(&["create", "f"]);
    for name in ["config", "epoch"] {
        let mut bytes = env.read(&format!(".icecore/{name}"));
        bytes[9] ^= 1;
        env.write(&format!(".icecore/{name}"), bytes);
        env.ok(&["create", "f"]);
    }
    for pack in env.files(".icecore/packs") {
        let mut bytes = std::fs::read(&pack).unwrap();
        bytes[9] ^= 1;
        std::fs::write(&pack, bytes).unwrap();
    }
    env.fails(13, &["restore", "f", "--to", "-"]);
    assert_eq!(env.run(&["repair"]).status, 3);
    env.ok(&["create", "f", "--raw"]);
    assert!(env.back("f") == noise(1, 50_000));
}

#[test]
fn a_target_by_its_bare_name_is_guarded_like_any_other() {
    let env = TestEnv::new();
    env.write("f", "x");
    env.ok(&["create", "f"]);
    let mut restore = env.command(&["restore", "f", "--to", "config", "--yes"]);
    let said = Said::of(restore.current_dir(env.path(".icecore")));
    assert!(said.stderr.contains("lies in the store itself"), "{}", said.stderr);
    said.fails(2);
    env.ok(&["list"]);
}

#[test]
fn a_closed_reader_ends_the_program_without_noise() {
    let env = TestEnv::new();
    env.write("big", noise(1, 3_000_000));
    env.ok(&["create", "big"]);
    let binary = env!("CARGO_BIN_EXE_icecore");
    for command in ["restore big --to -", "completions bash"] {
        let script = format!("(\"{binary}\" {command}; echo $? > status) | true");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).current_dir(env.path("")).env("ICECORE_STORE", env.path(".icecore"));
        let said = Said::of(&mut shell);
        assert_eq!(said.stderr, "", "{command}");
        let status = String::from_utf8(env.read("status")).unwrap();
        // What was not restored is no success; a list of which the head was enough is one.
        assert_eq!(status, if command.starts_with("restore") { "1\n" } else { "0\n" }, "{command}");
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_stored_with_a_finding() {
    let env = TestEnv::new();
    let path = env.write("log", noise(1, 30_000_000));
    let is_done = AtomicBool::new(false);
    let said = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
            while !is_done.load(Ordering::SeqCst) {
                file.write_all(b"line\n").unwrap();
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        let said = env.run(&["create", "log"]);
        is_done.store(true, Ordering::SeqCst);
        said
    });
    assert!(said.text().starts_with("Saved log as"), "{}", said.text());
    let stderr = said.fails(3);
    assert!(stderr.contains("log changed while it was read"), "{stderr}");
    let said = env.run(&["restore", "log", "--to", "-"]);
    assert!(said.stdout.starts_with(&noise(1, 30_000_000)));
    assert!(said.fails(3).contains("changed while it was read"));
    let findings = &env.json(&["show", "log"])["findings"];
    assert_eq!(findings.as_array().unwrap().len(), 1, "{findings}");
}

#[test]
fn files_of_file_managers_in_a_store_are_no_damage() {
    let env = TestEnv::new();
    env.write("a.txt", "a");
    env.ok(&["create", "a.txt"]);
    let pack = env.files(".icecore/packs").remove(0);
    for folder in
        [".icecore", ".icecore/packs", ".icecore/snapshots", pack.parent().unwrap().to_str().unwrap()]
    {
        env.write(&format!("{folder}/.DS_Store"), "no object");
    }
    for arguments in [&["list"][..], &["verify"], &["gc", "--yes"], &["restore", "a.txt", "--to", "b.txt"]] {
        let said = env.run(arguments);
        assert!(!said.stderr.contains("DS_Store"), "{said:?}");
        said.ok();
    }
    assert_eq!(env.read("b.txt"), b"a");
}

#[test]
fn a_service_that_says_nothing_is_no_service() {
    let env = TestEnv::new();
    for lines in [
        "path = ''",
        "engine = 'sqlite'\npath = ''",
        "url = 'sqlite:'",
        "url = ''",
        "engine = 'mysql'\ndatabase = ''",
        "engine = 'postgres'\nhost = ''",
        "url = 'postgres://me@localhost/shop'\ndatabase = ''",
        "engine = 'redis'\nhost = ''",
    ] {
        env.write("icecore.toml", format!("[services.shop]\n{lines}\n"));
        for command in ["create", "rollback"] {
            let said = env.fails(2, &[command, "shop"]);
            assert!(said.contains("shop"), "{lines}: {said}");
        }
    }
    assert_eq!(env.count(), 0);
}

#[test]
fn a_file_without_end_is_neither_a_plan_nor_a_configuration() {
    let env = TestEnv::new();
    env.write("f", "x");
    let said = env.fails(2, &["run", "--plan", "/dev/zero", "f"]);
    assert!(said.contains("/dev/zero") && said.contains("longer than 1 MiB"), "{said}");
    std::os::unix::fs::symlink("/dev/zero", env.path("icecore.toml")).unwrap();
    let said = env.fails(1, &["status"]);
    assert!(said.contains("icecore.toml") && said.contains("longer than 1 MiB"), "{said}");
}
