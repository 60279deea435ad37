//! Stores of every format version that there ever was, frozen, are read by today's program (`tests/golden/README.md`).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use icecore_format::FORMAT_VERSION;

use crate::support::{Said, TestEnv};

const PASSWORD: &str = "correct horse battery staple";

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy_tree(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

/// The nights that stores have since there are deltas: every night one row of fifty has a new text.
fn night(n: u64) -> String {
    let text = |row: u64, version: u64| {
        let mut state = (row * 2_654_435_761 + version * 40_503 + 12_345) & 0xffff_ffff;
        let mut next = || {
            state = (state * 1_664_525 + 1_013_904_223) & 0xffff_ffff;
            format!("{state:08x}")
        };
        (0..16).map(|_| next()).collect::<String>()
    };
    let version = |row: u64| (1..=n).filter(|night| (row + 31 * night).is_multiple_of(50)).count() as u64;
    (0..2500).map(|row| format!("{row:06} {}\n", text(row, version(row)))).collect()
}

struct Golden {
    env: TestEnv,
    version: u16,
    expected: PathBuf,
}

impl Golden {
    fn open(version: u16, kind: &str) -> Self {
        let env = TestEnv::bare();
        copy_tree(&golden().join(format!("v{version}")).join(kind), &env.path(".icecore"));
        Self { env, version, expected: golden().join("v1/expected") }
    }

    fn run(&self, arguments: &[&str]) -> Said {
        let mut command = self.env.command(arguments);
        // A plain store asks for none. Whatever is done, is done after all that.
        Said::of(command.env("ICECORE_PASSWORD", PASSWORD).env("ICECORE_NOW", "2026-12-01T00:00:00Z"))
    }

    fn stream(&self, selector: &str) -> Vec<u8> {
        let said = self.run(&["restore", selector, "--to", "-"]);
        assert_eq!(said.status, 0, "{}", said.stderr);
        said.stdout
    }

    fn check(&self) {
        let listed: serde_json::Value = self.run(&["list", "--json"]).json();
        let snapshots = listed["snapshots"].as_array().unwrap();
        let sources: Vec<_> = snapshots.iter().map(|snapshot| snapshot["source"].as_str().unwrap()).collect();
        let nights = if self.version == 1 { 0 } else { 13 };
        assert_eq!(sources[..nights], vec!["nights"; nights]);
        assert_eq!(sources[nights..], ["rows", "many", "tree", "noise", "shop", "shop"]);
        let first = snapshots.last().unwrap();
        assert_eq!(first["tags"], serde_json::json!(["first"]));
        assert_eq!(first["note"], "the first night");
        assert_eq!(first["created_at"], "2026-11-21T01:00:00.000000Z");
        for back in 0..nights as u64 {
            assert!(self.stream(&format!("nights~{back}")) == night(12 - back).as_bytes(), "{back}");
        }
        if nights > 0 {
            let shown: serde_json::Value = self.run(&["show", "nights", "--json"]).json();
            assert_eq!(shown["depth_max"], 12, "each night is coded on the one before");
        }
        let shown: serde_json::Value = self.run(&["show", "shop", "--json"]).json();
        let tables: Vec<_> =
            shown["parts"].as_array().unwrap().iter().filter(|part| part["kind"] == "table").collect();
        assert_eq!(
            (tables[0]["name"].as_str(), tables[0]["rows"].as_u64()),
            (Some("public.orders"), Some(899))
        );
        self.run(&["verify"]).ok();

        for (selector, file) in [("shop@first", "shop-1"), ("shop", "shop-2"), ("noise", "noise")] {
            assert!(self.stream(selector) == fs::read(self.expected.join(file)).unwrap(), "{selector}");
        }
        let rows: String = (0..80_000).map(|i| format!("{i:08} {}\n", "x".repeat(100))).collect();
        assert!(self.stream("rows") == rows.as_bytes());
        self.run(&["restore", "many", "--to", "many"]).ok();
        for i in 0..1200 {
            assert_eq!(self.env.read(&format!("many/f{i:04}")), format!("{}\n", i * i).as_bytes());
        }
        self.run(&["restore", "tree", "--to", "tree"]).ok();
        for file in ["a.txt", "deep/b.bin", "deep/er/empty", "\u{fc}ml\u{e4}ut \u{2603}"] {
            let expected = fs::read(self.expected.join("tree").join(file)).unwrap();
            assert_eq!(self.env.read(&format!("tree/{file}")), expected, "{file}");
        }
        assert_eq!(fs::read_link(self.env.path("tree/link")).unwrap(), Path::new("deep/b.bin"));
        assert_eq!(fs::metadata(self.env.path("tree/a.txt")).unwrap().permissions().mode() & 0o777, 0o640);
    }

    /// Today's program goes on where that of old stopped.
    fn check_use(&self) {
        let bytes = fs::read(self.expected.join("shop-2")).unwrap();
        self.env.write("shop", &bytes);
        let created: serde_json::Value = self.run(&["create", "shop", "--json"]).json();
        assert_eq!(created["new_chunks"], 0, "the same bytes are cut and named as they were then");
        self.run(&["delete", "shop@first", "many", "--yes"]).ok();
        if self.version > 1 {
            self.env.write("night", night(13));
            let created: serde_json::Value =
                self.run(&["create", "night", "--name", "nights", "--json"]).json();
            // Without the index of who wrote them, on the first night: thirteen nights of changes, which is a quarter of it.
            assert!(created["stored_bytes"].as_u64().unwrap() < 60_000, "coded on what there was: {created}");
            let older: Vec<String> = (2..14).map(|back| format!("nights~{back}")).collect();
            let delete = [&["delete", "--yes"], &older.iter().map(String::as_str).collect::<Vec<_>>()[..]];
            self.run(&delete.concat()).ok();
        }
        self.run(&["gc"]).ok();
        self.run(&["verify"]).ok();
        if self.version > 1 {
            assert!(self.stream("nights") == night(13).as_bytes());
            assert!(self.stream("nights~1") == night(12).as_bytes());
        }
        assert!(self.stream("shop~1") == bytes);
        assert!(self.stream("noise") == fs::read(self.expected.join("noise")).unwrap());
    }
}

#[test]
fn stores_of_every_version_are_read_and_used() {
    for version in 1..=FORMAT_VERSION {
        for kind in ["plain", "encrypted"] {
            let golden = Golden::open(version, kind);
            golden.check();
            golden.check_use();
        }
    }
}

/// Whoever raises the version must freeze a store of it, and nothing else lies there.
#[test]
fn no_version_is_forgotten() {
    let mut expected: Vec<_> = (1..=FORMAT_VERSION).map(|version| format!("v{version}")).collect();
    expected.push("README.md".to_owned());
    expected.sort();
    let names =
        fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, expected);
}

/// A store that today's program writes is of the version of which it says that it is.
#[test]
fn what_is_written_today_is_of_the_newest_version() {
    let env = TestEnv::new();
    env.write("f", "some bytes");
    env.ok(&["create", "f", "--tag", "x"]);
    for file in env.files(".icecore") {
        let bytes = fs::read(&file).unwrap();
        if bytes.starts_with(b"ICECORE") {
            let version = u16::from_le_bytes([bytes[8], bytes[9]]);
            assert_eq!(version, FORMAT_VERSION, "{}", file.display());
        }
    }
}
