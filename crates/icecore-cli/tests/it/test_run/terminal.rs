//! With somebody to ask.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use super::{add, shop, sum};
use crate::support::TestEnv;
use crate::test_terminal::on_a_terminal_as;

/// Runs the program on a terminal, on which somebody types `typed` once a question ends with `question`.
fn answered(env: &TestEnv, arguments: &str, answer: (&str, &str)) -> (i32, String) {
    answered_after(env, arguments, "", answer)
}

/// The same where something was typed at once.
fn answered_after(
    env: &TestEnv,
    arguments: &str,
    early: &str,
    (question, typed): (&str, &str),
) -> (i32, String) {
    let line = format!("{} {arguments}", env!("CARGO_BIN_EXE_icecore"));
    let mut script = Command::new("script");
    let like = env.command(&[]);
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).current_dir(env.path(""));
    script
        .env_clear()
        .envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("TERM", "xterm");
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    keyboard.write_all(early.as_bytes()).unwrap();
    let (mut said, mut buf, mut has_answered) = (Vec::new(), [0; 4096], false);
    while let Ok(len @ 1..) = screen.read(&mut buf) {
        said.extend_from_slice(&buf[..len]);
        if !has_answered && String::from_utf8_lossy(&said).trim_end().ends_with(question) {
            has_answered = true;
            keyboard.write_all(typed.as_bytes()).unwrap();
        }
    }
    drop(keyboard);
    let status = child.wait().unwrap().code().unwrap();
    (status, String::from_utf8_lossy(&said).replace('\r', ""))
}

#[test]
fn on_a_terminal_somebody_is_asked() {
    let env = shop();
    let script = add(2, "exit 3");
    let line = format!("run shop -- sh -c \"{script}\"");
    for (typed, expected) in [("n\n", 3), ("\n", 5), ("y\n", 5)] {
        let before = sum(&env);
        let (status, said) = answered(&env, &line, ("[y/N]", typed));
        assert!(
            said.contains("the command failed with status 3")
                && said.contains("as it was before the command? [y/N]"),
            "{said}"
        );
        let asked_twice = said.matches("[y/N]").count() > 1;
        assert_eq!((status, sum(&env), asked_twice), (3, expected, false), "{said}");
        assert_eq!(typed == "y\n", said.contains("Restored shop "), "{said}");
        // Also for who does not answer at all.
        assert!(said.contains("--yes` brings back what was there"), "{said}");
        assert!(before <= expected);
    }
}

#[test]
fn the_command_has_the_terminal() {
    let env = shop();
    let line = "run shop -- sh -c \"test -t 0 && test -t 1 && test -t 2 && read line && echo got \\$line\"";
    let (status, said) = on_a_terminal_as(&env, &env.command(&[]), line, "something\n");
    assert!(status == 0 && said.contains("got something\n"), "{said}");
}

#[test]
fn ctrl_c_ends_the_command_once_and_then_somebody_is_asked() {
    let env = shop();
    // It would be told twice if it were told by us, too.
    let script = "trap 'echo told >> told; sleep 1; exit 1' INT; kill -INT 0; sleep 0.2; while true; do sleep 0.1; done";
    env.write("script", script);
    let (status, said) = answered(&env, "run shop -- sh script", ("[y/N]", "y\n"));
    assert!(
        said.contains("as it was before the command? [y/N]") && said.contains("Restored shop "),
        "{said}"
    );
    // The shell between may have been ended by it, too.
    assert!([1, 130].contains(&status), "{status}: {said}");
    assert_eq!((env.read("told"), sum(&env)), (b"told\n".to_vec(), 1), "{said}");
}

#[test]
fn a_failed_plan_offers_all_its_checkpoints() {
    for (typed, expected) in [("1\n", 1), ("2\n", 3), ("9\nnonsense\nfirst\n", 1), ("\n", 7)] {
        let env = shop();
        let (one, two) = (add(2, "true"), add(4, "exit 6"));
        env.write(
            "steps.toml",
            format!("[[step]]\nname = 'first'\ncommand = \"\"\"{one}\"\"\"\n[[step]]\nname = 'second'\ncommand = \"\"\"{two}\"\"\"\n"),
        );
        let (status, said) = answered(&env, "run --plan steps.toml shop", ("as it is:", typed));
        assert!(
            said.contains("  1  before first: shop ")
                && said.contains("  2  before second, the step that failed: "),
            "{said}"
        );
        assert_eq!((status, sum(&env)), (6, expected), "{typed:?}: {said}");
        assert_eq!(typed.starts_with('9'), said.contains("nonsense is none of them"), "{said}");
    }
}

#[test]
fn what_was_typed_for_the_command_answers_no_question() {
    let env = shop();
    let line = format!("run shop -- sh -c \"touch begun; sleep 1; {}\"", add(2, "exit 3"));
    // Typed while the command runs, which does not read it.
    let (status, said) = answered_after(&env, &line, "y\n", ("[y/N]", "n\n"));
    assert_eq!((status, sum(&env)), (3, 3), "{said}");
}

#[test]
fn a_terminal_that_the_command_left_odd_can_be_answered_on() {
    let env = shop();
    let line = format!("run shop -- sh -c \"stty raw -echo; {}\"", add(2, "kill -9 \\$\\$"));
    let (status, said) = answered(&env, &line, ("[y/N]", "y\n"));
    assert_eq!((status, sum(&env)), (137, 1), "{said}");
}
