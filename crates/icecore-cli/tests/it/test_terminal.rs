//! On a terminal: questions, colours, bars. `script` from Debian's base system gives us one.

use std::io::Write as _;
use std::process::{Command, Stdio};

use icecore_testkit::postgres::PostgresServer;

use crate::support::{Said, TestEnv};

/// Runs the program on a terminal on which somebody types `typed`. What it says on both outputs comes back together.
fn on_a_terminal(env: &TestEnv, arguments: &str, typed: &str) -> (i32, String) {
    on_a_terminal_as(env, &env.command(&[]), arguments, typed)
}

/// The same with the variables of a command.
pub(crate) fn on_a_terminal_as(env: &TestEnv, like: &Command, arguments: &str, typed: &str) -> (i32, String) {
    let line = format!("{} {arguments}", env!("CARGO_BIN_EXE_icecore"));
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).current_dir(env.path(""));
    script
        .env_clear()
        .envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("TERM", "xterm");
    script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = script.spawn().unwrap();
    let mut keyboard = child.stdin.take().unwrap();
    keyboard.write_all(typed.as_bytes()).unwrap();
    let said = Said::new(child.wait_with_output().unwrap());
    drop(keyboard);
    (said.status, String::from_utf8_lossy(&said.stdout).replace('\r', ""))
}

#[test]
fn a_restore_asks_before_it_replaces_and_takes_no_for_an_answer() {
    let env = TestEnv::new();
    env.write("f", "first");
    env.ok(&["create", "f"]);
    env.write("f", "second");
    let (status, said) = on_a_terminal(&env, "restore f", "n\n");
    assert!(said.contains("/f (6 B) by f ") && said.contains("? [y/N]"), "{said}");
    assert_eq!((status, env.read("f")), (15, b"second".to_vec()), "{said}");
    let (status, said) = on_a_terminal(&env, "restore f", "\n");
    assert_eq!((status, env.read("f")), (15, b"second".to_vec()), "{said}");
    let (status, said) = on_a_terminal(&env, "restore f", "y\n");
    assert_eq!((status, env.read("f")), (0, b"first".to_vec()), "{said}");
}

#[test]
fn what_cannot_be_replaced_is_refused_without_a_question() {
    let env = TestEnv::new();
    env.write("f", "first");
    env.write("tree/g", "in the way");
    env.ok(&["create", "f"]);
    let (status, said) = on_a_terminal(&env, "restore f --to tree", "y\n");
    assert!(!said.contains("[y/N]") && said.contains("is no regular file"), "{said}");
    assert_eq!(status, 15);
    let (status, said) = on_a_terminal(&env, "restore f --to /dev/null", "y\n");
    assert!(!said.contains("[y/N]"), "{said}");
    assert_eq!(status, 15);
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let env = TestEnv::new();
    let (status, said) = on_a_terminal(&env, "show nothing", "");
    assert_eq!(status, 10);
    assert!(said.contains("\x1b[1;31merror:\x1b[0m") && said.contains("\x1b[36mhint:"), "{said:?}");
    let (_, said) = on_a_terminal(&env, "show nothing --color never", "");
    assert!(!said.contains('\x1b'), "{said:?}");
}

#[test]
fn a_password_is_asked_for_twice_and_never_shown() {
    let env = TestEnv::bare();
    let (status, said) = on_a_terminal(&env, "init --encrypt", "correct horse\nbattery staple\n");
    assert_eq!(status, 12, "{said}");
    let (status, said) = on_a_terminal(&env, "init --encrypt", "correct horse\ncorrect horse\n");
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("New password: ") && said.contains("Once more: "), "{said}");
    env.fails(12, &["list"]);
    let (status, said) = on_a_terminal(&env, "list", "correct horse\n");
    assert!(status == 0 && said.contains("There are no snapshots yet"), "{said}");
}

#[test]
fn a_long_capture_shows_how_far_it_is() {
    let env = TestEnv::new();
    let (status, said) = on_a_terminal(&env, "create --name slow -- sh -c 'sleep 1.6; echo row'", "");
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("Reading"), "{said:?}");
    // The bar is gone when the summary stands there.
    let summary = said.lines().last().unwrap_or_default();
    assert!(summary.contains("Saved slow as"), "{said:?}");
    let (_, said) = on_a_terminal(&env, "create --quiet --name slow -- sh -c 'sleep 1.6; echo row'", "");
    assert!(!said.contains("Reading"), "{said:?}");
}

#[test]
fn a_restore_says_what_it_builds_when_all_rows_are_there() {
    let server = PostgresServer::start();
    server.sql("postgres", "CREATE DATABASE shop");
    server.sql(
        "shop",
        "CREATE FUNCTION slow(a int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT a FROM (SELECT pg_sleep(0.5)) AS nap';
        CREATE TABLE t (a int);
        CREATE TABLE u (a int);
        CREATE INDEX ON t (public.slow(a));
        CREATE INDEX ON u (public.slow(a));
        INSERT INTO t SELECT generate_series(1, 2);
        INSERT INTO u SELECT generate_series(1, 4)",
    );
    let env = TestEnv::new();
    env.ok(&["create", &server.url("shop")]);
    let (status, said) = on_a_terminal(&env, "restore shop --yes", "");
    assert_eq!(status, 0, "{said}");
    // Whether one is built after the other or both at once, one of the two is done for a second.
    assert!(said.contains("building indexes 1/2") && !said.contains("0 ms left"), "{said:?}");
}

#[test]
fn one_end_of_input_is_enough() {
    let env = TestEnv::new();
    let (status, said) = on_a_terminal(&env, "create - --name typed", "some text\n\x04");
    assert_eq!(status, 0, "{said}");
    assert_eq!(env.back("typed"), b"some text\n");
}
