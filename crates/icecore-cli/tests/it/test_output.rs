use crate::support::TestEnv;

#[test]
fn colours_come_only_when_asked_for_and_never_into_pipes() {
    let env = TestEnv::bare();
    assert!(!env.fails(10, &["list"]).contains('\x1b'));
    assert!(env.fails(10, &["list", "--color", "always"]).contains("\x1b[1;31merror:\x1b[0m"));
    assert!(!env.fails(10, &["list", "--color", "never"]).contains('\x1b'));
}

#[test]
fn a_full_disk_under_the_output_is_an_error() {
    let env = TestEnv::new();
    env.write("f", "x");
    env.ok(&["create", "f"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = env.command(&["list"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot write the output: no space left on device"), "{said}");
}
