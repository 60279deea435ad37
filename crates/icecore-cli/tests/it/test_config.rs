//! What is said of `icecore.toml`.

use icecore_testkit::mariadb::MariaDbServer;

use crate::support::{Said, TestEnv};

#[test]
fn faults_are_told_with_file_and_line_and_without_what_may_be_secret() {
    let env = TestEnv::bare();
    let said = |text: &str| {
        let path = env.write("icecore.toml", text);
        let said = env.fails(1, &["config", "check"]);
        assert!(said.starts_with(&format!("error: cannot use {}: line ", path.display())), "{said}");
        assert!(!said.contains("hush") && said.contains("hint: docs/services.md"), "{said}");
        said
    };
    let fault = said("[services.shop]\nurl = 'postgres://db/shop'\npassword = 'hush'\n");
    assert!(fault.contains("line 3: a password does not stand in this file by itself"), "{fault}");
    assert!(fault.contains("password_file, password_env or password_command say where it is"), "{fault}");
    let fault = said("[services.shop]\nport = 'hush'\n");
    assert!(fault.contains("line 2: port must be a number from 0 to 65535\n"), "{fault}");
    let fault = said("[services]\nshop = 'postgres://me:hush@db/shop'\n");
    assert!(fault.contains("line 2: shop must be a table of its own, [services.NAME]"), "{fault}");
    let fault = said("[shop]\nurl = 'x'\n");
    assert!(fault.contains("line 1: \"shop\" means nothing here"), "{fault}");
}

#[test]
fn what_nights_lack_is_told_with_its_key() {
    let env = TestEnv::new();
    env.write("shop", "shop");
    env.write("silent", "");
    env.path_with(&[("hook", "exit 0")]);
    let config = |nightly: &str| {
        let services = "[services.shop]\npath = 'shop'\n[remotes.team]\nurl = 'team'\n";
        env.write("icecore.toml", format!("[nightly]\n{nightly}\n{services}"));
    };
    let faults = |nightly: &str| {
        config(nightly);
        let said = env.run(&["config", "check"]);
        let document: serde_json::Value =
            serde_json::from_slice(&env.run(&["--json", "config", "check"]).stdout).unwrap();
        let faults = document["nightly_faults"].as_array().unwrap().clone();
        let faults: Vec<String> = faults.iter().map(|it| it.as_str().unwrap().to_owned()).collect();
        for fault in &faults {
            assert!(said.stderr.contains(&format!("warning: [nightly] {fault}\n")), "{}", said.stderr);
        }
        assert_eq!(said.status, if faults.is_empty() { 0 } else { 3 }, "{}", said.stderr);
        assert_eq!(said.stderr.contains("hint: docs/nightly.md"), !faults.is_empty(), "{}", said.stderr);
        faults
    };
    let none: [&str; 0] = [];
    assert_eq!(faults("push = ['team']\nprune_remotes = ['team']\nbefore = ['bin/hook', 'before']"), none);
    assert_eq!(
        faults("push = ['team', 'taem']"),
        ["push: there is no remote \"taem\"; did you mean \"team\"?"]
    );
    // Those of the store's own list are known, too; so is what is no name.
    env.ok(&["remote", "add", "mine", "file:///nowhere/store", "--no-check"]);
    assert_eq!(faults("push = ['mine', 'file:///nowhere/else', './other']"), none);
    assert_eq!(faults("push = ['file:///nowhere/store']\nprune_remotes = ['mine']"), none);
    assert_eq!(
        faults("push = ['mine']\nprune_remotes = ['team']"),
        ["prune_remotes: \"team\" is not in push: snapshots would be deleted where none arrive"]
    );
    let silent = env.path("silent");
    assert_eq!(
        faults("before = ['/nowhere/hook']\nafter = ['./silent', 'after']"),
        [
            "before: there is no program \"/nowhere/hook\"".to_owned(),
            format!("after: {:?} may not be executed", silent.parent().unwrap().join("./silent"))
        ]
    );
    assert_eq!(faults("before = ['no-such-program']"), ["before: there is no program \"no-such-program\""]);
    assert_eq!(faults("after = ['sh', '-c', 'exit 1']"), none);
    assert_eq!(faults("after = ['']"), ["after: the program has no name"]);
    // Whoever asks for a service hears of that alone.
    assert_eq!(env.run(&["config", "check", "shop"]).status, 0);
}

#[test]
fn faults_in_what_nights_do_lead_to_their_page() {
    let env = TestEnv::bare();
    for text in [
        "[nightly]\nprove = 'sometimes'\n",
        "[nightly]\npsuh = ['team']\n",
        "nightly = 'x'\n",
        "nightly.jitter = 'x'\n",
        "[services.shop]\npath = 'shop'\nschedule = 'at night'\n",
    ] {
        env.write("icecore.toml", text);
        let said = env.fails(1, &["config", "check"]);
        assert!(said.contains("hint: docs/nightly.md"), "{text}: {said}");
    }
    env.write("icecore.toml", "[nightly]\npush = ['team']\n[services.shop]\nport = 'x'\n");
    assert!(env.fails(1, &["config", "check"]).contains("hint: docs/services.md"));
}

#[test]
fn a_file_without_services_says_how_to_add_one() {
    let env = TestEnv::bare();
    let path = env.write("icecore.toml", "");
    let said = env.run(&["config", "check"]);
    assert_eq!(said.text(), format!("There is no service in {}\n", path.display()));
    assert!(said.stderr.contains("hint: two lines make one: [services.shop]"), "{}", said.stderr);
    assert_eq!(said.status, 0);
    assert_eq!(env.json(&["config", "check"])["services"].as_array().map(Vec::len), Some(0));
}

#[test]
fn engines_and_files_are_what_they_are() {
    let server = MariaDbServer::start();
    server.sql("", "CREATE DATABASE shop");
    let env = TestEnv::bare();
    rusqlite::Connection::open(env.path("sound.db")).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    env.write("text.db", "no database");
    let config = format!(
        "[services.there]\nurl = '{}'\n[services.gone]\nurl = 'mariadb://me@127.0.0.1:1/shop'\n
        [services.sound]\nurl = 'sqlite:sound.db'\n[services.text]\nengine = 'sqlite'\npath = 'text.db'\n",
        server.url("shop").replace("mariadb://", "mysql://"),
    );
    env.write("icecore.toml", config);
    let mut command = env.command(&["--json", "config", "check"]);
    let checked = Said::of(&mut command);
    assert_eq!(checked.status, 3);
    let checked: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
    let service = |name: &str| {
        let services = checked["services"].as_array().unwrap();
        services.iter().find(|service| service["name"] == name).unwrap().clone()
    };
    assert_eq!(service("there")["engine"], "mariadb");
    assert_eq!(service("gone")["engine"], "mariadb");
    assert_eq!(service("sound")["error"], serde_json::Value::Null);
    let error = service("text")["error"].as_str().unwrap().to_owned();
    assert!(error.ends_with("text.db is no SQLite database"), "{error}");
    let said = env.run(&["config", "check"]);
    assert!(said.text().contains("fails: see below"), "{}", said.text());
}

#[test]
fn a_webhook_that_is_nowhere_is_told_before_the_first_bad_night() {
    let env = TestEnv::new();
    let check = |settings: &str| {
        env.write("icecore.toml", format!("[nightly]\n{settings}\n[services.f]\npath = 'f'\n"));
        env.write("f", "1");
        env.run(&["config", "check"])
    };
    let said = check("webhook_file = 'hook'");
    assert!(said.status == 3 && said.stderr.contains("webhook_file: "), "{}", said.stderr);
    env.write("hook", "hush\n");
    let said = check("webhook_file = 'hook'");
    assert!(said.status == 3 && !said.stderr.contains("hush"), "{}", said.stderr);
    env.write("hook", "https://hooks.example/hush\n");
    assert_eq!(check("webhook_file = 'hook'").status, 0);
    let said = check("webhook_file = 'hook'\nwebhook = 'https://hooks.example/hush'");
    assert!(said.status == 3 && said.stderr.contains("that alone counts"), "{}", said.stderr);
}
