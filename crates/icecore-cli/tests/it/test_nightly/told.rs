//! Others hear of a night over HTTP.

use std::fs;
use std::net::TcpListener;
use std::sync::atomic::Ordering;

use icecore_testkit::certificates::Authority;
use serde_json::Value;

use super::ledger;
use super::web::{Posts, drain, listen, paths, refuse};
use crate::running::{Running, wait_until};
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
    check_keys(&told, &["at", "host", "service", "ok", "text", "steps"]);
    assert_eq!(told["at"], "2026-11-20T10:01:00.000000Z");
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
    let why = "its certificate is signed by nobody who is trusted here; name the certificate of who signed it by SSL_CERT_FILE";
    assert!(said.stderr.contains(why) && !said.stderr.contains("hush"), "{}", said.stderr);
    let said = Said::of(env.command(&["nightly", "ledger"]).env("SSL_CERT_FILE", "/no/such"));
    assert!(said.stderr.contains("(SSL_CERT_FILE names /no/such, which is not there)"), "{}", said.stderr);
    assert_eq!(paths(&posts), [""; 0]);
    env.write("broken.pem", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
    let said = Said::of(env.command(&["nightly", "ledger"]).env("SSL_CERT_FILE", env.path("broken.pem")));
    assert!(said.stderr.contains("(not all authorities of this machine can be read: "), "{}", said.stderr);
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

    // It ends with the test, however that ends: then there is no gate.
    env.write("gate", "");
    let hook = "while test $ICECORE_STEP = create && test -e gate; do sleep 0.05; done";
    let settings = format!("webhook_when = 'failed'\nbefore = ['sh', '-c', '{hook}']");
    env.write("icecore.toml", config(port, &settings));
    let hanging =
        Running::start(env.command(&["nightly", "ledger"]).env("ICECORE_NOW", "2026-11-01T02:30:00Z"));
    // By then the journal says that it has begun.
    wait_until(|| paths(&posts).contains(&"/ledger/start?create=1".to_owned()));
    let of_ledger =
        || paths(&posts).into_iter().filter(|path| !path.starts_with("/store")).collect::<Vec<_>>();
    let soon = env.at("2026-11-02T02:30:00Z", &["nightly", "ledger"]);
    assert!(soon.text().contains("skipped: another run of it is still at work"), "{}", soon.text());
    assert_eq!(of_ledger(), [""; 0]);
    let late = env.at("2026-11-02T03:30:00Z", &["nightly", "ledger"]);
    hanging.kill();
    fs::remove_file(env.path("gate")).unwrap();
    assert_eq!(late.status, 3, "{}", late.text());
    assert!(late.text().contains("it hangs"), "{}", late.text());
    assert_eq!(of_ledger(), ["/hook/hush", "/ledger/fail?create=1"]);
}

#[test]
fn what_is_wrong_with_tls_is_not_tried_again_and_is_said_in_words() {
    let env = TestEnv::new();
    let authority = Authority::new();
    let (port, _) = listen(Some(&authority.server("DNS:elsewhere.example")), |_, _| 204);
    let settings = format!("[nightly]\nwebhook = 'https://localhost:{port}/hush'\n");
    env.write("icecore.toml", format!("{settings}[services.ledger]\nurl = 'sqlite:ledger.db'\n"));
    ledger(&env, "one");
    let said = Said::of(env.command(&["nightly", "ledger"]).env("SSL_CERT_FILE", authority.cert()));
    let why = "its certificate is for elsewhere.example, not for localhost; reach it by a name that it has\n";
    assert!(said.stderr.contains(why), "{}", said.stderr);
    let (port, calls) = refuse("this is not TLS");
    let settings = format!("[nightly]\nwebhook = 'https://localhost:{port}/hush'\n");
    env.write("icecore.toml", format!("{settings}[services.ledger]\nurl = 'sqlite:ledger.db'\n"));
    let said = env.run(&["nightly", "ledger"]);
    assert!(said.stderr.contains("was not told: TLS does not come about: "), "{}", said.stderr);
    assert_eq!(calls.load(Ordering::SeqCst), 1, "{}", said.stderr);
}

#[test]
fn a_proxy_that_cannot_be_used_is_told_of_by_its_own_name() {
    let env = TestEnv::new();
    let settings = "[nightly]\nwebhook = 'https://hooks.example/hush'\n";
    env.write("icecore.toml", format!("{settings}[services.ledger]\nurl = 'sqlite:ledger.db'\n"));
    ledger(&env, "one");
    let by = |proxy: String| {
        let said = Said::of(env.command(&["nightly", "ledger"]).env("HTTPS_PROXY", proxy));
        assert_eq!(said.status, 3, "{}", said.text());
        assert!(!said.stderr.contains("hush"), "{}", said.stderr);
        said.stderr
    };
    let said =
        "the webhook at hooks.example was not told: the proxy at 127.0.0.1 that the environment names ";
    let (port, calls) = refuse("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
    let told = by(format!("http://me:hush@127.0.0.1:{port}"));
    let why = format!("{said}does not let it through: it answered with status 403\n");
    assert!(told.contains(&why), "{told}");
    // Of the service and of the store: what is refused is refused.
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let told = by(format!("http://me:hush@127.0.0.1:{unused}"));
    assert!(told.contains(&format!("{said}cannot be used: connection refused\n")), "{told}");
    let told = by("socks5://127.0.0.1:1".to_owned());
    assert!(told.contains(&format!("{said}speaks SOCKS, which is not spoken here")), "{told}");
}

#[test]
fn who_was_silent_is_called_once_from_then_on() {
    let env = TestEnv::new();
    let (port, calls) = refuse("");
    let ping =
        |name: &str| format!("[services.{name}]\npath = 'f'\nping = 'http://127.0.0.1:{port}/{name}'\n");
    env.write("icecore.toml", ["a", "b", "c"].map(ping).concat());
    env.write("f", "content");
    let said = env.run(&["nightly"]);
    assert_eq!(said.status, 3, "{}", said.stderr);
    // When a begins, and when each ends.
    assert_eq!(calls.load(Ordering::SeqCst), 4, "{}", said.stderr);
}

#[test]
fn a_run_that_is_to_stop_calls_nobody_again() {
    let (env, _, posts) = told(|_, _| 503, "");
    let running = env.start(&["nightly", "ledger"]);
    wait_until(|| posts.lock().unwrap().iter().any(|(path, _)| path == "/hook/hush"));
    running.send(rustix::process::Signal::INT);
    let said = running.said();
    assert_ne!(said.status, 0);
    assert!(said.stderr.contains("was not told: all was to stop"), "{}", said.stderr);
    assert_eq!(paths(&posts), ["/ledger/start?create=1", "/hook/hush"]);
}

#[test]
fn a_file_without_end_is_no_url() {
    let env = TestEnv::new();
    env.write(
        "icecore.toml",
        "[nightly]\nwebhook_file = '/dev/zero'\n[services.ledger]\nurl = 'sqlite:ledger.db'\n",
    );
    ledger(&env, "one");
    let said = env.run(&["nightly", "ledger"]);
    assert_eq!(said.status, 3, "{}", said.text());
    let why = "/dev/zero: it is too long to be a secret";
    assert!(said.stderr.contains(why), "{}", said.stderr);
    let said = env.run(&["config", "check"]);
    assert!(format!("{}{}", said.text(), said.stderr).contains(why), "{}{}", said.text(), said.stderr);
}
