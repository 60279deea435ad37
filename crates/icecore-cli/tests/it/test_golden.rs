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

struct Golden {
    env: TestEnv,
    expected: PathBuf,
}

impl Golden {
    fn open(version: &Path, kind: &str) -> Self {
        let env = TestEnv::bare();
        copy_tree(&version.join(kind), &env.path(".icecore"));
        Self { env, expected: version.join("expected") }
    }

    fn run(&self, arguments: &[&str]) -> Said {
        // A plain store asks for none.
        Said::of(self.env.command(arguments).env("ICECORE_PASSWORD", PASSWORD))
    }

    fn stream(&self, selector: &str) -> Vec<u8> {
        let said = self.run(&["restore", selector, "--to", "-"]);
        assert_eq!(said.status, 0, "{}", said.stderr);
        said.stdout
    }

    fn check(&self) {
        let listed: serde_json::Value = self.run(&["list", "--json"]).json();
        let sources: Vec<_> =
            listed["snapshots"].as_array().unwrap().iter().map(|s| s["source"].as_str().unwrap()).collect();
        assert_eq!(sources, ["rows", "many", "tree", "noise", "shop", "shop"]);
        assert_eq!(listed["snapshots"][5]["tags"], serde_json::json!(["first"]));
        assert_eq!(listed["snapshots"][5]["note"], "the first night");
        assert_eq!(listed["snapshots"][5]["created_at"], "2026-11-21T01:00:00.000000Z");
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
        self.run(&["gc"]).ok();
        self.run(&["verify"]).ok();
        assert!(self.stream("shop~1") == bytes);
        assert!(self.stream("noise") == fs::read(self.expected.join("noise")).unwrap());
    }
}

#[test]
fn stores_of_every_version_are_read_and_used() {
    for version in 1..=FORMAT_VERSION {
        for kind in ["plain", "encrypted"] {
            let golden = Golden::open(&golden().join(format!("v{version}")), kind);
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
