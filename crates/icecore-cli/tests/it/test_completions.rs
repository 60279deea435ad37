use crate::support::TestEnv;

#[test]
fn every_shell_gets_completions() {
    let env = TestEnv::bare();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(env.ok(&["completions", shell]).contains("restore"), "{shell}");
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
