//! Stores with parity: the damage matrix of their packs, and what the commands say of it.

use std::fs;
use std::path::PathBuf;

use crate::support::{TestEnv, noise};

const PASSWORD: [&str; 2] = ["--password-file", "pw"];

struct Shop {
    env: TestEnv,
    encrypted: bool,
}

fn content() -> Vec<u8> {
    noise(1, 400_000)
}

impl Shop {
    fn new(encrypted: bool, parity: &str) -> Self {
        let shop = Self { env: TestEnv::bare(), encrypted };
        shop.env.write("pw", "correct horse\n");
        shop.env.write("f", content());
        let encrypt: &[&str] = if encrypted { &["--encrypt"] } else { &[] };
        let said = shop.ok(&[&["init", "--pack-size", "100kB", "--parity", parity], encrypt].concat());
        assert!(said.contains(&format!(", with {} % parity\n", parity.trim_end_matches('%'))), "{said}");
        shop.ok(&["create", "f"]);
        shop
    }

    fn all<'a>(&self, arguments: &[&'a str]) -> Vec<&'a str> {
        let password: &[&str] = if self.encrypted { &PASSWORD } else { &[] };
        [arguments, password].concat()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        self.env.ok(&self.all(arguments))
    }

    /// The largest pack.
    fn pack(&self) -> PathBuf {
        let packs = self.env.files(".icecore/packs");
        packs.into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
    }

    fn parity(&self) -> PathBuf {
        self.pack().to_str().unwrap().replace("/packs/", "/parity/").into()
    }

    fn check_whole(&self, what: &str) {
        assert!(self.ok(&["verify"]).starts_with("All is well"), "{what}");
        let restored = self.env.run(&self.all(&["restore", "f", "--to", "-"]));
        assert!(restored.status == 0 && restored.stdout == content(), "{what}: {}", restored.stderr);
        assert_eq!(self.ok(&["repair", "--dry-run"]), "Nothing is damaged\n", "{what}");
    }
}

fn tamper(path: &PathBuf, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn every_small_damage_of_a_pack_is_healed() {
    type Change = fn(&mut Vec<u8>);
    let changes: [(&str, Change); 7] = [
        ("a flip in the header", |bytes| bytes[20] ^= 4),
        ("a flip in a body", |bytes| bytes[500] ^= 4),
        ("a flip in the table", |bytes| *bytes.iter_mut().rev().nth(100).unwrap() ^= 4),
        ("a flip in the trailer", |bytes| *bytes.iter_mut().rev().nth(20).unwrap() ^= 4),
        ("an end that is gone", |bytes| bytes.truncate(bytes.len() - 2000)),
        ("something added", |bytes| bytes.extend_from_slice(b"something that does not belong here")),
        ("a block of zeros", |bytes| bytes[8192..12288].fill(0)),
    ];
    for encrypted in [false, true] {
        let shop = Shop::new(encrypted, "5%");
        let (pack, parity) = (shop.pack(), shop.parity());
        let whole = [fs::read(&pack).unwrap(), fs::read(&parity).unwrap()];
        for (what, change) in changes {
            tamper(&pack, change);
            let verified = shop.env.run(&shop.all(&["verify"]));
            assert_eq!(verified.status, 13, "{what}");
            assert!(
                verified.text().contains("; `icecore repair` can heal it\n"),
                "{what}: {}",
                verified.text()
            );
            let plan = shop.env.run(&shop.all(&["repair", "--dry-run"]));
            assert_eq!(plan.status, 3, "{what}");
            assert!(plan.text().starts_with("heal pack "), "{what}: {}", plan.text());
            assert_eq!(shop.ok(&["repair"]), "Healed 1 pack by parity\n", "{what}");
            assert!([fs::read(&pack).unwrap(), fs::read(&parity).unwrap()] == whole, "{what}");
            shop.check_whole(what);
        }
        assert!(!shop.env.path(".icecore/damaged").exists());
    }
}

#[test]
fn damaged_parity_is_told_of_and_made_anew() {
    let shop = Shop::new(false, "5%");
    for what in ["flip", "cut", "gone"] {
        match what {
            "flip" => tamper(&shop.parity(), |bytes| bytes[3000] ^= 4),
            "cut" => tamper(&shop.parity(), |bytes| bytes.truncate(100)),
            _ => fs::remove_file(shop.parity()).unwrap(),
        }
        let verified = shop.env.run(&["verify", "--json"]);
        assert_eq!(verified.status, 13, "{what}");
        assert!(verified.text().contains(r#""kind":"parity""#), "{what}: {}", verified.text());
        assert_eq!(shop.ok(&["repair"]), "Made the parity of 1 pack anew\n", "{what}");
        shop.check_whole(what);
    }
}

#[test]
fn what_is_too_much_for_parity_is_salvaged() {
    for (what, both) in [("half of the pack is gone", false), ("pack and parity are damaged", true)] {
        let shop = Shop::new(false, "5%");
        let (pack, parity) = (shop.pack(), shop.parity());
        match both {
            false => tamper(&pack, |bytes| bytes.truncate(bytes.len() / 2)),
            true => {
                tamper(&pack, |bytes| bytes[500] ^= 4);
                tamper(&parity, |bytes| bytes.truncate(500));
            }
        }
        let verified = shop.env.run(&["verify"]);
        assert!(!verified.text().contains("can heal it"), "{what}: {}", verified.text());
        let report = shop.env.run(&["repair", "--json"]);
        assert_eq!(report.status, 3, "{what}");
        let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
        assert_eq!((&report["healed"], &report["set_aside"]), (&0.into(), &1.into()), "{what}");
        shop.ok(&["create", "f", "--name", "again"]);
        shop.check_whole(what);
        shop.ok(&["gc"]);
        let names = |folder: &str| {
            let files = shop.env.files(&format!(".icecore/{folder}"));
            files.iter().map(|file| file.file_name().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names("packs"), names("parity"), "{what}");
    }
}

#[test]
fn a_pack_that_is_gone_is_healed_where_parity_is_as_large() {
    let shop = Shop::new(false, "100%");
    fs::remove_file(shop.pack()).unwrap();
    let report = shop.env.json(&["repair"]);
    assert_eq!((&report["healed"], &report["broken"]), (&1.into(), &serde_json::json!([])), "{report}");
    shop.check_whole("gone");
}

#[test]
fn parity_is_counted_as_stored() {
    let shop = Shop::new(false, "50%");
    let stored = shop.env.json(&["stats"])["stored_bytes"].as_u64().unwrap();
    let files = [shop.env.files(".icecore/packs"), shop.env.files(".icecore/parity")].concat();
    let files: u64 = files.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    let manifests = shop.env.files(".icecore/snapshots");
    assert_eq!(stored, files + fs::metadata(&manifests[0]).unwrap().len());
    shop.env.fails(2, &["init", "--store", "other", "--parity", "101%"]);
    shop.env.fails(2, &["init", "--store", "other", "--parity", "some"]);
}
