//! What came later in a store, carried to where the rest of it is.

use std::fs;

use super::BLOCK;
use crate::support::{Said, TestEnv, noise};

/// A machine whose data changes here and there from night to night, and another one that no network reaches.
struct Nights {
    here: TestEnv,
    there: TestEnv,
    is_encrypted: bool,
}

impl Nights {
    /// Before the first.
    fn new(is_encrypted: bool) -> Self {
        let nights = Self { here: TestEnv::bare(), there: TestEnv::bare(), is_encrypted };
        for env in [&nights.here, &nights.there] {
            env.write("password", "secret");
        }
        let init: &[&str] = if is_encrypted { &["init", "--encrypt"] } else { &["init"] };
        nights.here(init).ok();
        nights
    }

    fn run(&self, env: &TestEnv, arguments: &[&str]) -> Said {
        let password: &[&str] = if self.is_encrypted { &["--password-file", "password"] } else { &[] };
        env.run(&[password, arguments].concat())
    }

    fn here(&self, arguments: &[&str]) -> Said {
        self.run(&self.here, arguments)
    }

    fn there(&self, arguments: &[&str]) -> Said {
        self.run(&self.there, arguments)
    }

    /// A dump of which lines change everywhere, and a directory of so many files that their list is no part of the record.
    fn capture(&self, night: usize) {
        let line = |n: usize| {
            let changed =
                (0..=night).rev().find(|night| (n * 7919 + night * 31).is_multiple_of(97)).unwrap_or(0);
            format!("{n} {} some text that each line has\n", n * 104_729 + changed * 1_000_003)
        };
        self.here.write("dump", (0..60_000).map(line).collect::<String>());
        for n in (0..2500).filter(|n| night == 0 || (n + night).is_multiple_of(100)) {
            self.here.write(&format!("many/{}/{n}", n % 7), noise((n * 100 + night) as u64, 400));
        }
        self.here(&["create", "dump"]).ok();
        self.here(&["create", "many"]).ok();
    }

    /// Writes a file for the other machine; returns its length.
    fn export(&self, name: &str, more: &[&str]) -> u64 {
        let file = self.there.path(name).display().to_string();
        self.here(&[&["export", "--all", "--format", "store", "-o", &file], more].concat()).ok();
        fs::metadata(file).unwrap().len()
    }

    fn id(&self, selector: &str) -> String {
        let shown = self.here(&["--json", "show", selector]).json();
        shown["id"].as_str().unwrap().to_owned()
    }

    fn count_there(&self) -> usize {
        self.there(&["--json", "list"]).json()["snapshots"].as_array().unwrap().len()
    }

    #[track_caller]
    fn check_same(&self) {
        assert_eq!(self.there(&["--json", "list"]).json(), self.here(&["--json", "list"]).json());
        self.there(&["verify"]).ok();
        self.there(&["restore", "many", "--to", "back"]).ok();
        assert_eq!(super::looks(&self.there.path("back")), super::looks(&self.here.path("many")));
        fs::remove_dir_all(self.there.path("back")).unwrap();
        assert!(self.there(&["restore", "dump", "--to", "-"]).ok().as_bytes() == self.here.read("dump"));
    }
}

fn check_three_steps(is_encrypted: bool) {
    let nights = Nights::new(is_encrypted);
    nights.capture(0);
    let whole = nights.export("0.tar", &[]);
    nights.there(&["init", "--from", "0.tar"]).ok();
    nights.check_same();
    for night in 1..3 {
        let newest = nights.id("latest");
        nights.capture(night);
        let file = format!("{night}.tar");
        let later = nights.export(&file, &["--since", &newest]);
        assert!(later < whole / 5, "{later} of {whole}");
        let said = nights.there(&["import", &file]).ok();
        assert!(said.starts_with("Imported 2 snapshots"), "{said}");
        nights.check_same();
        let said = nights.there(&["import", &file]).ok();
        assert!(said.starts_with("Nothing to do"), "{said}");
        let bytes = nights.there.read(&file);
        for hidden in ["dump", "many"].iter().filter(|_| is_encrypted) {
            assert!(!bytes.windows(hidden.len()).any(|window| window == hidden.as_bytes()), "{hidden}");
        }
    }
    // What it has lies otherwise by now, and some of it is gone.
    nights.there(&["delete", "dump~2", "dump~1", "many~2", "--yes"]).ok();
    nights.there(&["gc"]).ok();
    nights.there(&["gc"]).ok();
    let newest = nights.id("latest");
    nights.capture(3);
    nights.export("3.tar", &["--since", &newest]);
    nights.there(&["import", "3.tar"]).ok();
    nights.there(&["verify"]).ok();
    assert!(nights.there(&["restore", "dump", "--to", "-"]).ok().as_bytes() == nights.here.read("dump"));
}

#[test]
fn what_came_later_follows_night_by_night() {
    check_three_steps(false);
}

#[test]
fn what_came_later_in_an_encrypted_store_stays_encrypted() {
    check_three_steps(true);
}

#[test]
fn what_came_later_is_refused_where_what_came_before_is_not() {
    let nights = Nights::new(false);
    nights.capture(0);
    nights.export("0.tar", &[]);
    nights.there(&["init", "--from", "0.tar"]).ok();
    let before = nights.id("latest");
    nights.capture(1);
    let newest = nights.id("latest");
    nights.export("1.tar", &["--since", &before]);
    nights.capture(2);
    nights.export("2.tar", &["--since", &newest]);
    let files = nights.there.files(".icecore");
    let said = nights.there(&["import", "2.tar"]).fails(10);
    let lacking = &newest[..8];
    let expected = format!("2.tar has what came after snapshot {lacking}, which this store does not have");
    assert!(said.contains(&expected) && said.contains("nothing was imported"), "{said}");
    let without_index = |files: Vec<std::path::PathBuf>| {
        files.into_iter().filter(|it| !it.to_str().unwrap().contains("index")).collect::<Vec<_>>()
    };
    assert_eq!(without_index(nights.there.files(".icecore")), without_index(files));
    assert_eq!(nights.count_there(), 2);
    nights.there(&["verify"]).ok();
    // Nor is it a store.
    let said = nights.there(&["--store", "elsewhere", "init", "--from", "2.tar"]).fails(15);
    assert!(
        said.contains(&format!("2.tar is not a whole store: it has what came after snapshot {lacking}")),
        "{said}"
    );
    assert!(!nights.there.path("elsewhere").exists());
    let another = TestEnv::new();
    let file = nights.there.path("2.tar").display().to_string();
    assert!(another.fails(15, &["import", &file]).contains("is another one"));
    // In their order they go in.
    nights.there(&["import", "1.tar"]).ok();
    nights.there(&["import", "2.tar"]).ok();
    nights.check_same();
}

#[test]
fn what_was_coded_anew_where_the_file_was_made_is_told_and_a_whole_file_helps() {
    let nights = Nights::new(false);
    (0..6).for_each(|night| nights.capture(night));
    nights.export("all.tar", &[]);
    nights.there(&["init", "--from", "all.tar"]).ok();
    nights.here(&["gc", "--flatten", "1"]).ok();
    nights.capture(6);
    let newest = nights.id("many~1");
    nights.export("later.tar", &["--since", &newest]);
    let said = nights.there(&["import", "later.tar"]).fails(1);
    assert!(
        said.contains("later.tar builds on what came before, and this store does not hold that"),
        "{said}"
    );
    assert_eq!(nights.count_there(), 12);
    let file = nights.there.path("whole.tar").display().to_string();
    nights.here(&["export", "dump", "many", "--format", "store", "-o", &file]).ok();
    nights.there(&["import", "whole.tar"]).ok();
    nights.check_same();
}

#[test]
fn what_came_later_and_was_cut_off_or_changed_adds_nothing_wrong() {
    let nights = Nights::new(false);
    nights.capture(0);
    nights.export("0.tar", &[]);
    let before = nights.id("latest");
    nights.capture(1);
    nights.export("1.tar", &["--since", &before]);
    let whole = nights.there.read("1.tar");
    nights.there(&["init", "--from", "0.tar"]).ok();
    let step = whole.len() / 12;
    let cuts = (0..12).map(|n| n * step + n % 7).chain([
        1,
        BLOCK,
        2 * BLOCK + 9,
        whole.len() - 1,
        whole.len() - BLOCK,
    ]);
    for len in cuts {
        nights.there.write("cut.tar", &whole[..len]);
        let said = nights.there(&["import", "cut.tar"]);
        assert!(matches!(said.status, 1 | 13), "{len}: {}", said.stderr);
        assert_eq!(nights.count_there(), 2, "{len}");
    }
    // Without the list of what must be there, and with one of nothing.
    let (list, content) = super::entry(&whole, "EARLIER");
    let after = content.end.next_multiple_of(BLOCK);
    for list in
        [vec![], super::with_entry(&whole, "EARLIER", b"")[list..list + BLOCK].to_vec(), b"x".repeat(BLOCK)]
    {
        let at = super::entry(&whole, "EARLIER").0;
        nights.there.write("cut.tar", [&whole[..at], &list, &whole[after..]].concat());
        let said = nights.there(&["import", "cut.tar"]).fails(13);
        assert!(said.contains("EARLIER") || said.contains("the header"), "{said}");
    }
    for at in (0..whole.len()).step_by(whole.len() / 30) {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        nights.there.write("changed.tar", changed);
        let said = nights.there(&["import", "changed.tar"]);
        assert!(matches!(said.status, 0 | 1 | 13), "{at}: {} {}", said.status, said.stderr);
        nights.there(&["verify"]).ok();
    }
    nights.there(&["import", "1.tar"]).ok();
    nights.check_same();
}

#[test]
fn since_takes_a_snapshot_or_a_time_and_nothing_else() {
    let nights = Nights::new(false);
    nights.capture(0);
    nights.here.write("other", "other");
    nights.here(&["create", "other"]).ok();
    nights.capture(1);
    let export =
        |more: &[&str]| nights.here(&[&["export", "--format", "store", "-o", "x.tar"], more].concat());
    let said = nights.here(&["export", "dump", "-o", "x.tar", "--since", "dump~1"]).fails(2);
    assert!(said.contains("--since is for --format store"), "{said}");
    export(&["--since", "dump~1"]).fails(2);
    export(&["--all", "--since", "nothing"]).fails(10);
    let said = export(&["--all", "--since", "latest"]).fails(10);
    assert!(said.contains("no snapshot came after latest"), "{said}");
    export(&["--all", "--since", "2999-01-01"]).fails(10);
    let said = export(&["dump~1", "--since", "other"]).fails(2);
    assert!(said.contains("did not come after other"), "{said}");
    assert!(!nights.here.path("x.tar").exists());
    // Of the sources that go, what came before is taken for granted; of the others nothing is.
    let exported = export(&["dump", "--since", "other", "--json"]).json();
    assert_eq!(exported["earlier"], serde_json::json!([nights.id("dump~1")]));
    assert_eq!(exported["snapshots"], serde_json::json!([nights.id("dump")]));
    // Before the first there is nothing: it is a whole store.
    let exported = export(&["--all", "--since", "2020-01-01", "--yes", "--json"]).json();
    assert_eq!(
        (exported["snapshots"].as_array().unwrap().len(), exported["earlier"].as_array().unwrap().len()),
        (5, 0)
    );
    nights.here(&["--store", "elsewhere", "init", "--from", "x.tar"]).ok();
}
