//! The stores that are damaged.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use crate::support::{PG_DUMP, TestEnv, noise};

/// A store with four snapshots, which every cell of the matrix gets a copy of.
pub(super) struct Template {
    pub(super) encrypted: bool,
    pub(super) env: TestEnv,
    /// A pack that only the victim needs, and one that only another snapshot needs.
    pub(super) packs: [PathBuf; 2],
    /// The pack with how the night differs from the victim.
    pub(super) delta: PathBuf,
    pub(super) manifests: [PathBuf; 2],
    pub(super) labels: [PathBuf; 2],
}

pub(super) fn victim() -> Vec<u8> {
    noise(1, 2_000_000)
}

/// What the victim is a night later: a little everywhere is new.
pub(super) fn night() -> Vec<u8> {
    let mut night = victim();
    night
        .chunks_mut(4_000)
        .zip(noise(3, 15_000).chunks(30))
        .for_each(|(row, new)| row[..30].copy_from_slice(new));
    night
}

pub(super) fn bystander() -> Vec<u8> {
    noise(2, 150_000)
}

fn build(encrypted: bool) -> Template {
    let env = TestEnv::bare();
    env.write("pw", "correct horse\n");
    env.write("pw2", "battery staple\n");
    let password: &[&str] = if encrypted { &["--password-file", "pw"] } else { &[] };
    let mut init = vec!["init", "--pack-size", "100kB"];
    if encrypted {
        init.push("--encrypt");
    }
    env.ok(&[&init, password].concat());
    if encrypted {
        env.ok(&[&["key", "add", "--new-password-file", "pw2"], password].concat());
    }
    let mut new = Vec::new();
    let mut seen = env.files(".icecore");
    let mut create = |name: &str, bytes: &[u8]| {
        env.write(name, bytes);
        env.ok(&[&["create", name, "--tag", &format!("tag-of-{name}")], password].concat());
        let now = env.files(".icecore");
        new.push(now.iter().filter(|file| !seen.contains(file)).cloned().collect::<Vec<_>>());
        seen = now;
    };
    create("victim", &victim());
    create("bystander", &bystander());
    create("dump", PG_DUMP.as_bytes());
    create("night", &night());
    let stats = env.ok(&[&["stats", "--json"], password].concat());
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    // Where it is cut in an encrypted store is up to its key, and so is whether each piece finds what it resembles.
    assert!(stats["delta_bytes"].as_u64().unwrap() > 1_000_000, "{stats}");
    let root = env.path(".icecore");
    let find = |snapshot: usize, folder: &str| {
        let path = new[snapshot].iter().find(|file| file.starts_with(root.join(folder))).unwrap();
        path.strip_prefix(&root).unwrap().to_owned()
    };
    let both = |folder| [find(0, folder), find(1, folder)];
    // The largest one of each: it holds content, not the lists of chunks.
    let largest = |snapshot: usize| {
        let packs = new[snapshot].iter().filter(|file| file.starts_with(root.join("packs")));
        let pack = packs.max_by_key(|file| fs::metadata(file).unwrap().len()).unwrap();
        pack.strip_prefix(&root).unwrap().to_owned()
    };
    Template {
        packs: [largest(0), largest(1)],
        delta: largest(3),
        manifests: both("snapshots"),
        labels: both("labels"),
        encrypted,
        env,
    }
}

pub(super) static PLAIN: LazyLock<Template> = LazyLock::new(|| build(false));

pub(super) static ENCRYPTED: LazyLock<Template> = LazyLock::new(|| build(true));

/// Other stores with the same history.
pub(super) static STRANGER: LazyLock<Template> = LazyLock::new(|| build(false));

pub(super) static ENCRYPTED_STRANGER: LazyLock<Template> = LazyLock::new(|| build(true));
