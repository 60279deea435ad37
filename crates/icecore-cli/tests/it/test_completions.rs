use crate::support::{Said, TestEnv};

#[test]
fn every_shell_gets_completions() {
    let env = TestEnv::bare();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(env.ok(&["completions", shell]).contains("ICECORE_COMPLETE"), "{shell}");
    }
    env.fails(2, &["completions", "tcsh"]);
}

#[test]
fn manual_pages_are_made_from_the_help() {
    let env = TestEnv::bare();
    assert!(env.ok(&["man"]).contains(".TH icecore 1"));
    assert!(env.ok(&["man", "create"]).contains("icecore-create"));
    env.fails(2, &["man", "nothing"]);
}

/// What bash offers for the last of these words, by the script that `completions bash` prints.
fn offered(env: &TestEnv, words: &[&str]) -> Vec<String> {
    let script = format!(
        "{}\nCOMP_WORDS=(icecore {})\nCOMP_CWORD={}\nCOMP_TYPE=9\n_clap_complete_icecore icecore {:?} ''\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        env.ok(&["completions", "bash"]),
        words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" "),
        words.len(),
        words.last().unwrap(),
    );
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_icecore")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let said = Said::of(env.command_of("bash".as_ref(), &["-c", &script]).env("PATH", path));
    assert_eq!((said.status, said.stderr.as_str()), (0, ""), "{words:?}");
    // Options are offered with everything.
    let is_meant =
        |line: &&str| !line.is_empty() && (!line.starts_with('-') || words.last().unwrap().starts_with('-'));
    said.text().lines().filter(is_meant).map(str::to_owned).collect()
}

#[test]
fn shells_offer_services_snapshots_tags_and_remotes() {
    let env = TestEnv::new();
    env.write(
        "icecore.toml",
        "[services.shop]\nurl = 'sqlite:shop.db'\n[services.cache]\nurl = 'redis://localhost'\n[remotes.team]\nurl = 'team'\n",
    );
    env.write("notes.txt", "notes");
    let id = env.json(&["create", "notes.txt", "--tag", "release"])["id"].as_str().unwrap()[..8].to_owned();
    assert_eq!(offered(&env, &["nightly", ""]), ["cache", "shop"]);
    assert_eq!(offered(&env, &["status", "s"]), ["shop"]);
    assert_eq!(offered(&env, &["create", "n"]), ["notes.txt"]);
    assert_eq!(offered(&env, &["create", "sh"]), ["shop"]);
    assert_eq!(
        offered(&env, &["restore", ""])[..3],
        ["latest".to_owned(), "notes.txt".to_owned(), id.clone()]
    );
    assert_eq!(offered(&env, &["show", &id[..4]]), std::slice::from_ref(&id));
    assert_eq!(offered(&env, &["restore", "--tag", ""]), ["release"]);
    assert_eq!(offered(&env, &["prune", "no"]), ["notes.txt"]);
    assert_eq!(offered(&env, &["push", ""]), ["team"]);
    assert_eq!(offered(&env, &["push", "team", "la"]), ["latest"]);
    assert_eq!(offered(&env, &["list", "--remote", ""]), ["team"]);
    assert!(offered(&env, &["restore", "--al"]).contains(&"--allow-damaged".to_owned()));
    // Of another store, of one that cannot be read, and of none.
    env.ok(&["init", "--store", "other"]);
    assert_eq!(offered(&env, &["--store", "other", "show", "n"]), Vec::<String>::new());
    env.write("icecore.toml", "[services\n");
    assert_eq!(offered(&env, &["nightly", ""]), Vec::<String>::new());
    assert_eq!(offered(&TestEnv::bare(), &["restore", "--tag", ""]), Vec::<String>::new());
}

#[test]
fn nothing_is_asked_while_somebody_types() {
    let env = TestEnv::bare();
    env.write("password", "correct horse");
    env.ok(&["init", "--encrypt", "--password-file", "password"]);
    env.write("notes.txt", "notes");
    env.ok(&["create", "notes.txt", "--password-file", "password"]);
    assert_eq!(offered(&env, &["prune", "no"]), Vec::<String>::new());
    assert_eq!(offered(&env, &["--password-file", "password", "prune", "no"]), ["notes.txt"]);
}
