use crate::support::TestEnv;

#[test]
fn the_demo_shows_the_main_job_and_leaves_nothing_behind() {
    let env = TestEnv::bare();
    let said =
        env.command(&["demo"]).env("TMPDIR", env.path("")).env("ICECORE_STORE", "/nowhere").output().unwrap();
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(said.status.success(), "{text}{}", String::from_utf8_lossy(&said.stderr));
    for command in [
        "init",
        "create shop.db",
        "list",
        "verify",
        "restore shop.db@before-migration",
        "delete",
        "gc",
        "stats",
    ] {
        assert!(text.contains(&format!("$ icecore {command}")), "{command}");
    }
    assert!(text.contains("before.db has the first state: 40000 orders"), "{text}");
    assert_eq!(env.files(""), Vec::<std::path::PathBuf>::new());
}
