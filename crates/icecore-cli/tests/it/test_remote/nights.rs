//! Nights of machines that share a bucket.

use std::path::Path;

use icecore_testkit::s3::Manners;

use super::site::{Site, URL};
use crate::support::{Said, TestEnv};

/// The program on a machine that is called so.
fn on_host(site: &Site, env: &TestEnv, host: &str, arguments: &[&str]) -> Said {
    let script = r#"echo "$0" > /proc/sys/kernel/hostname && exec "$@""#;
    let mut all = vec!["--map-root-user", "--uts", "sh", "-c", script, host, env!("CARGO_BIN_EXE_icecore")];
    all.extend(arguments);
    let mut command = env.command_of(Path::new("unshare"), &all);
    command.envs(site.server.environment()).env("AWS_ENDPOINT_URL", site.server.endpoint());
    Said::of(&mut command)
}

#[test]
fn a_night_deletes_nothing_of_another_machine_that_has_its_store_in_the_same_bucket() {
    let site = Site::new();
    let env = TestEnv::bare();
    let settings = "[retention]\ndefault = 'last 1'\n[services.notes]\npath = 'notes'\n";
    env.write("icecore.toml", format!("store = '{URL}'\n{settings}"));
    site.ok(&env, &["init"]);
    let night = |host: &str, text: &str| {
        env.write("notes/today", text);
        on_host(&site, &env, host, &["nightly"])
    };
    for text in ["one", "two", "three"] {
        let said = night("mill", text);
        assert_eq!(said.status, 0, "{}{}", said.text(), said.stderr);
    }
    let count = || site.json(&env, &["list"])["snapshots"].as_array().unwrap().len();
    assert_eq!(count(), 1);
    for (host, other) in [("barn", "mill"), ("mill", "barn")] {
        let said = night(host, host);
        assert_eq!(said.status, 3, "{}{}", said.text(), said.stderr);
        let told = format!("snapshots of notes that {other} took lie there, too");
        assert!(said.text().contains(&told), "{}", said.text());
    }
    assert_eq!(count(), 3);
}

#[test]
fn where_a_server_keeps_no_conditions_the_file_says_that_nobody_else_writes() {
    let site = Site::new();
    site.server.behave(Manners::Ignore);
    let env = TestEnv::bare();
    let config = |exclusive: &str| {
        let settings = format!(
            "{exclusive}\npush = ['team']\nprune_remotes = ['team']\n[remotes.team]\nurl = 's3://backups/other'"
        );
        env.write(
            "icecore.toml",
            format!("store = '{URL}'\n[retention]\ndefault = 'last 1'\n[services.notes]\npath = 'notes'\n[nightly]\n{settings}\n"),
        );
    };
    let night = |text: &str| {
        env.write("notes/today", text);
        site.run(&env, &["nightly"])
    };
    config("");
    assert_eq!(site.run(&env, &["init"]).status, 0);
    night("one");
    let said = night("two");
    assert_eq!(said.status, 3, "{}{}", said.text(), said.stderr);
    assert_eq!(said.text().matches("does not keep conditions").count(), 4, "{}", said.text());
    assert!(said.text().contains("exclusive = true in [nightly]"), "{}", said.text());
    config("exclusive = true");
    let said = night("three");
    assert_eq!(said.status, 0, "{}{}", said.text(), said.stderr);
    for remote in [&[][..], &["--remote", "team"]] {
        let listed = site.json(&env, &[&["list"], remote].concat());
        assert_eq!(listed["snapshots"].as_array().unwrap().len(), 1, "{listed}");
    }
}
