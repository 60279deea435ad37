use crate::support::{TestEnv, check_keys};

/// A world with an encrypted store whose password is in `pw`.
fn encrypted() -> TestEnv {
    let env = TestEnv::bare();
    env.write("pw", "correct horse\n");
    env.write("wrong", "battery staple\n");
    env.ok(&["init", "--encrypt", "--password-file", "pw"]);
    env
}

#[test]
fn a_wrong_password_or_none_is_12() {
    let env = encrypted();
    let said = env.fails(12, &["list", "--password-file", "wrong"]);
    assert!(said.starts_with("error: the password opens none of the store's keys"), "{said}");
    let said = env.fails(12, &["list"]);
    assert!(said.contains("needs a password\nhint: give it with --password-file"), "{said}");
    env.write("empty", "");
    env.fails(12, &["list", "--password-file", "empty"]);
    env.fails(12, &["list", "--password-file", "no such file"]);
    let bare = TestEnv::bare();
    bare.fails(12, &["init", "--encrypt"]);
    assert!(!bare.path(".icecore").exists());
}

#[test]
fn passwords_come_from_the_environment_too() {
    let env = encrypted();
    assert!(env.command(&["list"]).env("ICECORE_PASSWORD_FILE", "pw").output().unwrap().status.success());
    assert!(
        env.command(&["list"]).env("ICECORE_PASSWORD", "correct horse").output().unwrap().status.success()
    );
}

#[test]
fn nothing_readable_lies_in_an_encrypted_store() {
    let env = encrypted();
    env.write("customers.txt", "a very secret sentence\n".repeat(1000));
    let flags = ["--password-file", "pw"];
    env.ok(&[&["create", "customers.txt", "--tag", "hidden-tag"], &flags[..]].concat());
    let back = env.ok(&[&["restore", "customers.txt", "--to", "-"], &flags[..]].concat());
    assert!(back.as_bytes() == env.read("customers.txt"));
    for file in env.files(".icecore") {
        let bytes = std::fs::read(&file).unwrap();
        for secret in ["secret sentence", "customers.txt", "hidden-tag"] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds {secret:?}", file.display());
        }
    }
}

#[test]
fn several_passwords_open_one_store() {
    let env = encrypted();
    env.write("second", "another\n");
    let added =
        env.json(&["key", "add", "--label", "ops", "--new-password-file", "second", "--password-file", "pw"]);
    check_keys(&added, &["id", "label", "created_at"]);
    let keys = env.json(&["key", "list", "--password-file", "second"]);
    check_keys(&keys, &["keys"]);
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
    env.fails(10, &["key", "remove", "nothing", "--password-file", "pw"]);
    let said = env.fails(1, &["key", "add", "--new-password-file", "second", "--password-file", "pw"]);
    assert!(said.contains("opens the store already") && said.contains("(ops)"), "{said}");
    let remove = ["key", "remove", added["id"].as_str().unwrap(), "--password-file", "pw"];
    let said = env.fails(15, &remove);
    assert!(said.contains("(ops)"), "{said}");
    env.ok(&["list", "--password-file", "second"]);
    env.ok(&[&remove[..], &["--yes"]].concat());
    env.fails(12, &["list", "--password-file", "second"]);
}

#[test]
fn a_password_can_be_changed_and_the_last_one_cannot_go() {
    let env = encrypted();
    env.write("new", "a new one");
    env.ok(&["key", "passwd", "--password-file", "pw", "--new-password-file", "new"]);
    env.fails(12, &["list", "--password-file", "pw"]);
    let keys = env.json(&["key", "list", "--password-file", "new"]);
    let id = keys["keys"][0]["id"].as_str().unwrap();
    let said = env.fails(15, &["key", "remove", id, "--password-file", "new"]);
    assert!(said.contains("hint: add another first"), "{said}");
    env.ok(&["list", "--password-file", "new"]);
}

#[test]
fn a_password_without_encryption_is_refused() {
    let env = TestEnv::bare();
    env.write("pw", "correct horse\n");
    let said = env.fails(2, &["init", "--password-file", "pw"]);
    assert!(said.contains("but not --encrypt"), "{said}");
    let said = env.command(&["init"]).env("ICECORE_PASSWORD", "correct horse").output().unwrap();
    assert_eq!(said.status.code(), Some(2));
    assert!(!env.path(".icecore").exists());
}

#[test]
fn a_plain_store_has_no_keys() {
    let env = TestEnv::new();
    let said = env.fails(1, &["key", "list"]);
    assert!(said.contains("the store is not encrypted"), "{said}");
}
