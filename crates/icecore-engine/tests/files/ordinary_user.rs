//! Without the privileges of root.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use icecore_engine::CaptureError;
use icecore_engine::files::{DirectoryTarget, Placement, capture_directory};

use crate::recording::{Recording, fill, restore};
use crate::tree::{list, plant};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs another test of this file, one that is ignored otherwise, as an ordinary user who may write to `top`.
fn run(test: &str, top: &Path) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // The test binary may lie where an ordinary user cannot reach it.
    let program = top.join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    set_mode(&program, 0o755);
    set_mode(top, 0o777);
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(["--exact", &format!("ordinary_user::{test}"), "--ignored", "--nocapture"])
        .env("ICECORE_TEST_TREE", top)
        .output();
    let Ok(output) = output else { return };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{said}");
}

fn top() -> Option<PathBuf> {
    std::env::var_os("ICECORE_TEST_TREE").map(PathBuf::from)
}

fn capture(path: &Path) -> Recording {
    let mut sink = Recording::default();
    capture_directory(path, &[], None, &mut sink, (0, 0)).unwrap();
    sink
}

#[test]
fn what_may_not_be_read_is_reported_and_the_rest_is_stored() {
    let top = tempfile::tempdir().unwrap();
    plant(top.path(), &[("t/a", "1"), ("t/dir/f", "2"), ("t/z", "3"), ("t/secret", "4")]);
    set_mode(&top.path().join("t/dir"), 0o700);
    set_mode(&top.path().join("t/secret"), 0o600);
    run("capturing_secrets", top.path());
}

#[test]
#[ignore = "runs as the child of the test above"]
fn capturing_secrets() {
    let Some(root) = top().map(|top| top.join("t")) else { return };
    let sink = capture(&root);
    assert_eq!(sink.names(), ["", "a", "dir", "z"]);
    assert_eq!(sink.bytes("a"), b"1");
    let expected =
        ["dir", "secret"].map(|name| format!("cannot read {}/{name}: permission denied", root.display()));
    assert_eq!(sink.findings, expected);
    let error =
        capture_directory(&root.join("dir"), &[], None, &mut Recording::default(), (0, 0)).unwrap_err();
    assert!(matches!(error, CaptureError::Read { .. }), "{error:?}");
}

#[test]
fn files_of_others_become_ours_and_read_only_ones_are_no_obstacle() {
    let top = tempfile::tempdir().unwrap();
    plant(top.path(), &[("s/dir/sub/file", "new"), ("s/dir/sub/program", "new")]);
    set_mode(&top.path().join("s/dir/sub/file"), 0o444);
    set_mode(&top.path().join("s/dir/sub/program"), 0o4755);
    set_mode(&top.path().join("s/dir/sub"), 0o555);
    run("restoring_read_only_trees", top.path());
}

#[test]
#[ignore = "runs as the child of the test above"]
fn restoring_read_only_trees() {
    let Some(top) = top() else { return };
    let mut sink = capture(&top.join("s"));
    let dir = sink.parts.iter_mut().find(|(part, _)| part.name == b"dir").unwrap();
    dir.0.file.as_mut().unwrap().mode = 0;
    // In place: over a file that may not be written to, and with something to remove below what will be closed.
    plant(&top, &[("in-place/dir/sub/file", "old"), ("in-place/dir/sub/extra", "old")]);
    set_mode(&top.join("in-place/dir/sub/file"), 0o400);
    set_mode(&top.join("in-place/dir/sub"), 0o500);
    plant(&top, &[("replaced/dir/old", "old")]);
    set_mode(&top.join("replaced/dir"), 0o555);
    for (name, placement) in [
        ("new", Placement::CreateNew),
        ("in-place", Placement::InPlace),
        ("replaced", Placement::Replace),
        ("replaced", Placement::Replace),
    ] {
        let to = DirectoryTarget::new(&top.join(name), placement).unwrap();
        let warnings = to.warnings();
        restore(to, &sink.parts).unwrap();
        assert_eq!(warnings.take(), Vec::<String>::new());
        let dir = top.join(name).join("dir");
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o7777, 0);
        set_mode(&dir, 0o700);
        assert_eq!(list(&dir), ["sub"]);
        assert_eq!(list(&dir.join("sub")), ["file", "program"]);
        assert_eq!(fs::read(dir.join("sub/file")).unwrap(), b"new");
        // Ours now, so it must not run as us for others.
        let program = fs::metadata(dir.join("sub/program")).unwrap();
        assert_eq!((program.uid(), program.mode() & 0o7777), (65534, 0o755));
        set_mode(&dir, 0);
    }
    let mut unfinished = DirectoryTarget::new(&top.join("unfinished"), Placement::CreateNew).unwrap();
    fill(&mut unfinished, &sink.parts).unwrap();
    drop(unfinished);
    assert_eq!(list(&top), ["in-place", "new", "program", "replaced", "s"]);
}
