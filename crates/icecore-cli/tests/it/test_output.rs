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

/// As `icecore nightly | head -1` does it.
#[test]
fn whoever_stops_reading_changes_nothing_of_what_is_done_and_how_it_ends() {
    let env = TestEnv::new();
    env.write("icecore.toml", "[services.gone]\npath = 'gone'\n[services.there]\npath = 'there'\n");
    env.write("there", "x");
    let (reader, unheard) = std::io::pipe().unwrap();
    drop(reader);
    let unread = |arguments: &[&str]| {
        let mut command = env.command(arguments);
        command.stdout(unheard.try_clone().unwrap()).status().unwrap().code()
    };
    for (arguments, expected) in [
        (&["nightly"][..], 3),
        (&["nightly", "--json"], 3),
        (&["status"], 3),
        (&["status", "--json"], 3),
        (&["list"], 0),
    ] {
        assert_eq!(unread(arguments), Some(expected), "{arguments:?}");
    }
    assert_eq!(env.count(), 2);
    std::fs::remove_file(&env.files(".icecore/packs")[0]).unwrap();
    assert_eq!(unread(&["verify"]), Some(13));
}
