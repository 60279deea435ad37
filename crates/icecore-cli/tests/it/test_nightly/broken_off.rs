//! Nights that end before their first step.

use std::net::TcpListener;

use rustix::process::Signal;

use super::web::{drain, listen};
use crate::running::Running;
use crate::support::TestEnv;

/// One service, of which a web server hears.
fn config(port: u16, more: &str) -> String {
    format!(
        "{more}\n[nightly]\npush = ['team']\nwebhook = 'http://127.0.0.1:{port}/hook'\n[services.notes]\npath = 'notes'\nping = 'http://127.0.0.1:{port}/notes'\n"
    )
}

#[test]
fn of_a_run_that_is_broken_off_while_the_store_is_opened_nobody_is_told() {
    let env = TestEnv::bare();
    let (port, posts) = listen(None, |_, _| 200);
    // A server that never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    env.write("icecore.toml", config(port, "store = 's3://bucket/store'"));
    let mut command = env.command(&["nightly"]);
    command
        .env("AWS_ACCESS_KEY_ID", "KEY")
        .env("AWS_SECRET_ACCESS_KEY", "hush")
        .env("AWS_REGION", "us-east-1");
    command.env("AWS_ENDPOINT_URL", format!("http://{}", silent.local_addr().unwrap()));
    let running = Running::start(&mut command);
    let connection = silent.accept().unwrap();
    running.send(Signal::INT);
    let said = running.said();
    drop(connection);
    assert_eq!(said.status, 130, "{}", said.stderr);
    assert_eq!(drain(&posts), []);
}

#[test]
fn a_list_of_remotes_that_cannot_be_read_is_told() {
    let env = TestEnv::new();
    let (port, posts) = listen(None, |_, _| 200);
    env.write("notes", "notes");
    env.write("icecore.toml", config(port, ""));
    env.write(".icecore/remotes.toml", "[team\n");
    let said = env.run(&["nightly"]);
    assert_eq!(said.status, 1, "{}", said.stderr);
    assert!(said.stderr.contains("remotes.toml"), "{}", said.stderr);
    let heard = drain(&posts);
    let paths: Vec<&str> = heard.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["/hook", "/notes/fail"]);
    assert!(heard[1].1.contains("remotes.toml"), "{}", heard[1].1);
    assert_eq!(env.count(), 0);
}
