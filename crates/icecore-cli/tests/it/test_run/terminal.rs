//! With somebody to ask.

use super::{add, shop, sum};
use crate::test_terminal::on_a_terminal_as;

#[test]
fn on_a_terminal_somebody_is_asked() {
    let env = shop();
    let script = add(2, "exit 3");
    let line = format!("run shop -- sh -c \"{script}\"");
    for (typed, expected) in [("n\n", 3), ("\n", 5), ("y\n", 5)] {
        let before = sum(&env);
        let (status, said) = on_a_terminal_as(&env, &env.command(&[]), &line, typed);
        assert!(
            said.contains("the command failed with status 3")
                && said.contains("as it was before the command? [y/N]"),
            "{said}"
        );
        let asked_twice = said.matches("[y/N]").count() > 1;
        assert_eq!((status, sum(&env), asked_twice), (3, expected, false), "{said}");
        assert_eq!(typed == "y\n", said.contains("Restored shop "), "{said}");
        assert_eq!(typed != "y\n", said.contains("--yes` brings back what was there"), "{said}");
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
    let (status, said) = on_a_terminal_as(&env, &env.command(&[]), "run shop -- sh script", "y\n");
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
        let (status, said) = on_a_terminal_as(&env, &env.command(&[]), "run --plan steps.toml shop", typed);
        assert!(
            said.contains("  1  before first: shop ")
                && said.contains("  2  before second, the step that failed: "),
            "{said}"
        );
        assert_eq!((status, sum(&env)), (6, expected), "{typed:?}: {said}");
        assert_eq!(typed.starts_with('9'), said.contains("nonsense is none of them"), "{said}");
    }
}
