//! What has not changed is not even opened.

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use crate::support::{TestEnv, noise};

/// The names of the files that are opened in `dirs` while `work` runs, as the kernel sees it.
fn opened(dirs: &[std::path::PathBuf], work: impl FnOnce()) -> Vec<String> {
    let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).unwrap();
    for dir in dirs {
        inotify::add_watch(&watch, dir, WatchFlags::OPEN).unwrap();
    }
    work();
    let mut buffer = [std::mem::MaybeUninit::uninit(); 64 << 10];
    let mut events = inotify::Reader::new(&watch, &mut buffer);
    let mut names = Vec::new();
    loop {
        match events.next() {
            Ok(event) if event.events().contains(ReadFlags::ISDIR) => (),
            Ok(event) => names.extend(event.file_name().map(|name| name.to_string_lossy().into_owned())),
            Err(Errno::AGAIN) => break,
            Err(error) => panic!("{error}"),
        }
    }
    names.sort();
    names
}

#[test]
fn unchanged_files_of_a_directory_are_not_opened() {
    let env = TestEnv::new();
    for (seed, name) in [(1, "tree/a"), (2, "tree/b"), (3, "tree/deep/c")] {
        env.write(name, noise(seed, 50_000));
    }
    let dirs = [env.path("tree"), env.path("tree/deep")];
    // The test's clock must be later than the files' times, or nobody could trust these.
    let create = || {
        let later = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)).to_string();
        let said = env.command(&["create", "tree"]).env("ICECORE_NOW", later).output().unwrap();
        assert!(said.status.success(), "{said:?}");
    };
    assert_eq!(opened(&dirs, create), ["a", "b", "c"], "the first time all are read");
    assert_eq!(opened(&dirs, create), Vec::<String>::new());
    env.write("tree/b", noise(4, 50_000));
    assert_eq!(opened(&dirs, create), ["b"]);
    assert_eq!(env.count(), 3);
    for (seed, name) in [(1, "a"), (4, "b"), (3, "deep/c")] {
        assert!(env.run(&["restore", "tree", "--part", name, "--to", "-"]).stdout == noise(seed, 50_000));
    }
}

#[test]
fn an_unchanged_file_is_not_opened_again() {
    let env = TestEnv::new();
    env.write("here/dump", noise(1, 200_000));
    let create = || {
        let later = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)).to_string();
        let said = env.command(&["create", "here/dump"]).env("ICECORE_NOW", later).output().unwrap();
        assert!(said.status.success(), "{said:?}");
    };
    assert!(!opened(&[env.path("here")], create).is_empty());
    let again = opened(&[env.path("here")], create);
    // One look at its first bytes, to tell whether it is a SQLite database, whose log may have changed alone.
    assert!(again.len() <= 2, "{again:?}");
    assert!(env.back("dump") == noise(1, 200_000));
}
