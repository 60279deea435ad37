//! Others hear of a night over HTTP.

use std::fs;
use std::net::TcpListener;
use std::thread;

use icecore_testkit::certificates::Authority;
use serde_json::Value;

use super::ledger;
use super::web::{Posts, drain, listen, paths};
use crate::support::{Said, TestEnv, check_keys};

fn config(port: u16, more: &str) -> String {
    format!(
        "[nightly]\nwebhook = 'http://127.0.0.1:{port}/hook/hush'\nping = 'http://127.0.0.1:{port}/store'\n{more}
[services.ledger]\nurl = 'sqlite:ledger.db'\nping = 'http://127.0.0.1:{port}/ledger/?create=1'\n"
    )
}

/// A ledger, of whose nights a web server hears that answers as `status` says.
fn told(status: fn(&str, usize) -> u16, more: &str) -> (TestEnv, u16, Posts) {
    let env = TestEnv::new();
    let (port, posts) = listen(None, status);
    env.write("icecore.toml", config(port, more));
    ledger(&env, "one");
    (env, port, posts)
}

#[test]
fn a_webhook_and_whoever_waits_for_a_ping_hear_of_each_night() {
    let (env, _, posts) = told(|_, _| 200, "");
    env.ok(&["nightly"]);
    let heard = drain(&posts);
    let paths: Vec<_> = heard.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(
        paths,
        ["/ledger/start?create=1", "/hook/hush", "/ledger/?create=1", "/store/start", "/hook/hush", "/store"]
    );
    assert_eq!(heard[2].1.lines().count(), 1, "{}", heard[2].1);
    assert!(heard[2].1.contains("ledger") && heard[2].1.ends_with("all went well"), "{}", heard[2].1);
    let told: Value = serde_json::from_str(&heard[1].1).unwrap();
    check_keys(&told, &["host", "service", "ok", "text", "steps"]);
    assert_eq!((&told["service"], &told["ok"]), (&"ledger".into(), &true.into()));
    let steps: Vec<_> = told["steps"].as_array().unwrap().iter().map(|step| &step["step"]).collect();
    assert_eq!(steps, ["create", "verify", "prune"]);
    let told: Value = serde_json::from_str(&heard[4].1).unwrap();
    assert_eq!((&told["service"], &told["ok"]), (&Value::Null, &true.into()));

    fs::remove_file(env.path("ledger.db")).unwrap();
    let said = env.run(&["nightly", "ledger"]);
    assert_eq!(said.status, 3, "{}", said.text());
    let heard = drain(&posts);
    let paths: Vec<_> = heard.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["/ledger/start?create=1", "/hook/hush", "/ledger/fail?create=1"]);
    let (title, why) = heard[2].1.split_once('\n').unwrap();
    assert!(title.ends_with("not all went well"), "{title}");
    assert!(why.starts_with("create: ") && why.contains("ledger.db"), "{why}");
    let told: Value = serde_json::from_str(&heard[1].1).unwrap();
    assert_eq!(told["ok"], false);
    assert_eq!(told["text"], heard[2].1.as_str());
}

#[test]
fn a_webhook_for_failures_hears_of_nothing_else() {
    let env = TestEnv::new();
    let (port, posts) = listen(None, |_, _| 200);
    env.write("hook", format!("http://127.0.0.1:{port}/from-a-file\nnot this\n"));
    let settings = "[nightly]\nwebhook_file = 'hook'\nwebhook_when = 'failed'\n";
    env.write("icecore.toml", format!("{settings}[services.ledger]\nurl = 'sqlite:ledger.db'\n"));
    ledger(&env, "one");
    env.ok(&["nightly"]);
    assert_eq!(paths(&posts), [""; 0]);
    fs::remove_file(env.path("ledger.db")).unwrap();
    assert_eq!(env.run(&["nightly", "ledger"]).status, 3);
    assert_eq!(paths(&posts), ["/from-a-file"]);
}

#[test]
fn who_does_not_answer_is_told_of_without_what_is_secret_in_the_url() {
    // The webhook is never well; the ping is at the second attempt.
    let status = |path: &str, times| match (path, times) {
        ("/hook/hush", _) => 404,
        ("/store" | "/ledger/?create=1", 0) => 503,
        _ => 200,
    };
    let (env, _, posts) = told(status, "");
    let said = env.run(&["nightly", "ledger"]);
    assert_eq!(said.status, 3, "{}", said.text());
    assert!(
        said.stderr.contains("the webhook at 127.0.0.1 was not told: it answered with status 404"),
        "{}",
        said.stderr
    );
    assert!(!said.stderr.contains("hush") && !said.stderr.contains("the ping"), "{}", said.stderr);
    let heard = paths(&posts);
    // The ping hears that the webhook was not told, which somebody should look at.
    assert_eq!(heard.iter().filter(|path| *path == "/hook/hush").count(), 2, "{heard:?}");
    assert!(heard.contains(&"/ledger/fail?create=1".to_owned()), "{heard:?}");

    drop(env);
    let env = TestEnv::new();
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    env.write("icecore.toml", config(unused, "webhook_when = 'failed'"));
    ledger(&env, "one");
    let said = env.run(&["nightly", "ledger"]);
    assert_eq!(said.status, 3, "{}", said.text());
    assert!(
        said.stderr.contains("the ping at 127.0.0.1 was not told: connection refused"),
        "{}",
        said.stderr
    );
    assert_eq!(env.count(), 1);
}

#[test]
fn a_webhook_is_told_over_tls_if_its_authority_is_trusted() {
    let env = TestEnv::new();
    let authority = Authority::new();
    let (port, posts) = listen(Some(&authority.server("DNS:localhost")), |_, _| 204);
    let settings = format!("[nightly]\nwebhook = 'https://localhost:{port}/hook/hush'\n");
    env.write("icecore.toml", format!("{settings}[services.ledger]\nurl = 'sqlite:ledger.db'\n"));
    ledger(&env, "one");
    let said = env.run(&["nightly", "ledger"]);
    assert_eq!(said.status, 3, "{}", said.text());
    assert!(said.stderr.contains("the webhook at localhost was not told: "), "{}", said.stderr);
    assert!(said.stderr.contains("certificate") && !said.stderr.contains("hush"), "{}", said.stderr);
    assert_eq!(paths(&posts), [""; 0]);
    let said = Said::of(env.command(&["nightly", "ledger"]).env("SSL_CERT_FILE", authority.cert()));
    assert_eq!(said.status, 0, "{}{}", said.text(), said.stderr);
    assert_eq!(paths(&posts), ["/hook/hush"]);
}

#[test]
fn a_store_that_is_away_and_a_run_that_hangs_are_told() {
    let (env, port, posts) = told(|_, _| 200, "webhook_when = 'failed'");
    fs::rename(env.path(".icecore"), env.path("away")).unwrap();
    assert_eq!(env.run(&["nightly", "ledger"]).status, 10);
    let heard = drain(&posts);
    let places: Vec<_> = heard.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(places, ["/hook/hush", "/ledger/fail?create=1"]);
    assert!(heard[1].1.contains("no store"), "{}", heard[1].1);
    fs::rename(env.path("away"), env.path(".icecore")).unwrap();

    env.write("icecore.toml", config(port, "webhook_when = 'failed'\nbefore = ['sh', '-c', 'test $ICECORE_STEP != create || exec sleep 300']"));
    let mut hanging =
        env.command(&["nightly", "ledger"]).env("ICECORE_NOW", "2026-11-01T02:30:00Z").spawn().unwrap();
    let nightly = env.path(".icecore/nightly");
    while !fs::read_dir(&nightly)
        .is_ok_and(|mut files| files.any(|file| file.unwrap().path().extension() == Some("json".as_ref())))
    {
        thread::sleep(std::time::Duration::from_millis(20));
    }
    let of_ledger =
        || paths(&posts).into_iter().filter(|path| !path.starts_with("/store")).collect::<Vec<_>>();
    of_ledger();
    let soon = env.at("2026-11-02T02:30:00Z", &["nightly", "ledger"]);
    assert!(soon.text().contains("skipped: another run of it is still at work"), "{}", soon.text());
    assert_eq!(of_ledger(), [""; 0]);
    let late = env.at("2026-11-02T03:30:00Z", &["nightly", "ledger"]);
    hanging.kill().unwrap();
    hanging.wait().unwrap();
    assert_eq!(late.status, 3, "{}", late.text());
    assert!(late.text().contains("it hangs"), "{}", late.text());
    assert_eq!(of_ledger(), ["/hook/hush", "/ledger/fail?create=1"]);
}
