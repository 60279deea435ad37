//! What each command says when the bucket cannot be had: what it is about, why, and what to do.

use std::fs;
use std::process::Command;

use icecore_testkit::certificates::Authority;
use icecore_testkit::s3::{S3Call, S3Fault, S3Server, Trouble};

use super::content;
use super::site::{Site, URL};
use crate::support::{Said, TestEnv};

/// Every command that goes there, `URL` being its place.
const COMMANDS: [&[&str]; 8] = [
    &["push", "URL"],
    &["pull", "URL"],
    &["init", "--store", "URL"],
    &["init", "--from", "URL", "--store", "joined"],
    &["list", "--remote", "URL"],
    &["restore", "data", "--remote", "URL", "--to", "back"],
    &["remote", "add", "team", "URL"],
    &["remote", "check", "URL"],
];

/// Runs them all; each has one line that says what is wrong, with all of `words` in it, and one with what to do.
#[track_caller]
fn check(site: &Site, url: &str, change: impl Fn(&mut Command), words: &[&str], hint: &str) {
    let env = TestEnv::new();
    env.write("data", content(1));
    env.ok(&["create", "data"]);
    for command in COMMANDS {
        let arguments: Vec<&str> =
            command.iter().map(|word| if *word == "URL" { url } else { word }).collect();
        let mut command = site.command(&env, &arguments);
        change(&mut command);
        let said = Said::of(&mut command);
        site.check_secret(&said);
        let told = said.fails(1);
        let lines: Vec<&str> = told.lines().collect();
        let [error, next] = lines.as_slice() else { panic!("{arguments:?}: {told}") };
        assert!(error.starts_with("error: ") && error.contains(url), "{arguments:?}: {told}");
        assert!(words.iter().all(|word| error.contains(word)), "{arguments:?}: {told}");
        assert!(next.starts_with("hint: ") && next.contains(hint), "{arguments:?}: {told}");
        assert!(!told.contains("hunter2"), "{arguments:?}: {told}");
    }
    assert!(
        !env.path("joined").exists()
            && !env.path("back").exists()
            && !env.path(".icecore/remotes.toml").exists()
    );
    env.ok(&["verify"]);
}

fn at(endpoint: &str) -> impl Fn(&mut Command) {
    move |command| {
        command.env("AWS_ENDPOINT_URL", endpoint);
    }
}

#[test]
fn a_bucket_that_is_not_there() {
    check(
        &Site::new(),
        "s3://nowhere/team/db",
        |_| (),
        &["there is no such bucket"],
        "icecore makes no buckets",
    );
}

#[test]
fn a_bucket_in_another_region() {
    let site = Site::new();
    site.server.inject(S3Fault::new(S3Call::Any, Trouble::OtherRegion("eu-west-1")).for_good());
    check(&site, URL, |_| (), &["the bucket is in eu-west-1"], "--region eu-west-1");
}

#[test]
fn an_access_key_that_nobody_knows() {
    let change = |command: &mut Command| {
        command.env("AWS_ACCESS_KEY_ID", "AKIDNOBODY");
    };
    check(&Site::new(), URL, change, &["does not know the access key"], "AWS_ACCESS_KEY_ID");
}

#[test]
fn a_secret_that_does_not_fit() {
    let change = |command: &mut Command| {
        command.env("AWS_SECRET_ACCESS_KEY", "hunter2");
    };
    check(&Site::new(), URL, change, &["the secret key does not fit"], "AWS_SECRET_ACCESS_KEY");
}

#[test]
fn nobody_says_who_we_are() {
    let change = |command: &mut Command| {
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    };
    check(
        &Site::new(),
        URL,
        change,
        &["there are no credentials: neither the environment nor a profile has any"],
        "AWS_PROFILE",
    );
}

#[test]
fn a_clock_that_is_wrong() {
    let site = Site::new();
    site.server.inject(S3Fault::new(S3Call::Any, Trouble::Answer(403, "RequestTimeTooSkewed")).for_good());
    check(&site, URL, |_| (), &["the clock of this host differs"], "set this host's clock");
}

#[test]
fn a_user_who_may_nothing() {
    let site = Site::new();
    site.server.inject(S3Fault::new(S3Call::Any, Trouble::Answer(403, "AccessDenied")).for_good());
    let env = TestEnv::new();
    for command in [&["push", URL][..], &["pull", URL], &["list", "--remote", URL]] {
        let said = site.fails(&env, 1, command);
        assert!(
            said.contains(URL) && said.contains("access is denied") && said.contains("docs/s3.md"),
            "{said}"
        );
    }
    assert!(site.fails(&env, 1, &["remote", "add", "team", URL]).contains("not added"));
}

#[test]
fn a_certificate_of_a_stranger() {
    let authority = Authority::new();
    let server = S3Server::start_with_tls(&authority.server("IP:127.0.0.1"));
    server.create_bucket("backups");
    let site = Site { server };
    let endpoint = site.server.endpoint();
    check(&site, URL, at(&endpoint), &["certificate is not trusted", &endpoint], "--ca-file");
    // With its authority named it is.
    let env = TestEnv::new();
    env.run_with_input(&["create", "-", "--name", "x"], b"x").ok();
    let ca_file = authority.cert();
    fs::copy(ca_file, env.path("ca.pem")).unwrap();
    site.ok(&env, &["remote", "add", "team", URL, "--endpoint", &endpoint, "--ca-file", "ca.pem"]);
    site.ok(&env, &["push", "team"]);
}

#[test]
fn a_host_without_an_address() {
    let words = ["cannot connect to http://nowhere.invalid:9000: its name has no address ("];
    check(&Site::new(), URL, at("http://nowhere.invalid:9000"), &words, "look at the endpoint");
}

#[test]
fn a_port_where_nobody_listens() {
    let words = ["cannot connect to http://127.0.0.1:1: Connection refused"];
    check(&Site::new(), URL, at("http://127.0.0.1:1"), &words, "look at the endpoint");
}

#[test]
fn a_server_that_speaks_no_tls() {
    let site = Site::new();
    let endpoint = site.server.endpoint().replace("http://", "https://");
    check(&site, URL, at(&endpoint), &["cannot connect to ", "it speaks no TLS there"], "with http://");
}

#[test]
fn a_server_that_speaks_only_tls() {
    let authority = Authority::new();
    let server = S3Server::start_with_tls(&authority.server("IP:127.0.0.1"));
    server.create_bucket("backups");
    let site = Site { server };
    let endpoint = site.server.endpoint().replace("https://", "http://");
    check(&site, URL, at(&endpoint), &["the connection broke: ", "as by a server that wants https://"], "");
    // Others say it.
    let site = Site::new();
    let page = Trouble::Page(400, "Client sent an HTTP request to an HTTPS server.");
    site.server.inject(S3Fault::new(S3Call::Any, page).for_good());
    check(&site, URL, |_| (), &["the server speaks only TLS there"], "begins with https://");
}

#[test]
fn an_endpoint_that_is_none() {
    let site = Site::new();
    let env = TestEnv::new();
    let mut command = site.command(&env, &["push", URL]);
    let told = Said::of(command.env("AWS_ENDPOINT_URL", "localhost:9000")).fails(1);
    assert!(told.contains(URL) && told.contains("AWS_ENDPOINT_URL"), "{told}");
    assert!(told.contains("`localhost:9000` is no endpoint, which looks like"), "{told}");
}

/// Who has learnt it from other URLs writes keys before an `@`.
#[test]
fn a_key_in_a_url_is_not_repeated() {
    let env = TestEnv::new();
    for url in [
        "https://KEY:hunter2@host/b",
        "s3://KEY:hunter2@backups",
        "s3://KEY:hun/hunter2@backups",
        "s3:/K:hunter2@b",
    ] {
        for command in
            COMMANDS.into_iter().chain([&["remote", "add", "URL", "team"][..], &["remote", "remove", "URL"]])
        {
            let arguments: Vec<&str> =
                command.iter().map(|word| if *word == "URL" { url } else { word }).collect();
            let said = env.run(&arguments);
            let told = format!("{}{}", said.text(), said.stderr);
            assert!(said.status != 0 && !told.contains("hunter2"), "{arguments:?}: {told}");
        }
    }
    // Nor one that stands in a file.
    env.write("icecore.toml", "[remotes.team]\nurl = \"https://KEY:hunter2@host/b\"\n[remotes.other]\nurl = \"s3://backups\"\nendpoint = \"https://KEY:hun/hunter2@host\"\n");
    for arguments in
        [&["push", "team"][..], &["push", "other"], &["remote", "list"], &["remote", "list", "--json"]]
    {
        let said = env.run(arguments);
        let told = format!("{}{}", said.text(), said.stderr);
        assert!(!told.contains("hunter2"), "{arguments:?}: {told}");
    }
}

#[test]
fn an_endpoint_for_s3_alone_serves_as_one_for_all() {
    let site = Site::new();
    let env = TestEnv::new();
    env.run_with_input(&["create", "-", "--name", "x"], b"x").ok();
    let mut command = site.command(&env, &["push", URL]);
    command.env_remove("AWS_ENDPOINT_URL").env("AWS_ENDPOINT_URL_S3", site.server.endpoint());
    Said::of(&mut command).ok();
    // The one for S3 goes before the other one, and a profile does as well.
    env.write(
        "config",
        format!(
            "[default]\nservices = mine\n[services mine]\ns3 =\n  endpoint_url = {}\n",
            site.server.endpoint()
        ),
    );
    let mut command = site.command(&env, &["push", URL]);
    command.env_remove("AWS_ENDPOINT_URL").env("AWS_CONFIG_FILE", env.path("config"));
    assert!(Said::of(&mut command).ok().contains("Nothing to do"));
}

#[test]
fn the_same_bucket_on_another_server_is_another_one() {
    let (one, other) = (Site::new(), Site::new());
    let env = TestEnv::new();
    env.write("data", content(1));
    env.ok(&["create", "data"]);
    one.ok(&env, &["push", URL]);
    other.ok(&env, &["push", URL]);
    for site in [&one, &other] {
        site.ok(&env, &["verify", "--remote", URL]);
        let said = site.run(&env, &["restore", "data", "--to", "-", "--remote", URL]);
        assert!(said.status == 0 && said.stdout == content(1), "{}", said.stderr);
    }
}
