//! Every kind of object in the bucket, damaged and gone: what comes back is right, or it is said with status 13 what is damaged.

use std::fs;
use std::path::{Path, PathBuf};

use icecore_format::{Claim, Condemned, Epoch, names};
use icecore_testkit::s3::{S3Call, S3Fault, Trouble};

use super::content;
use super::site::{Site, URL, packs_here};
use crate::support::{Said, TestEnv, noise};

/// What is damaged, by the folder it lies in.
const KINDS: [&str; 8] = ["config", "epoch", "snapshots", "packs", "parity", "labels", "claims", "condemned"];

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Flip,
    Truncate,
    Delete,
}

const DAMAGES: [Damage; 3] = [Damage::Flip, Damage::Truncate, Damage::Delete];

/// What lies in two packs and a list of chunks.
fn data() -> Vec<u8> {
    noise(1, 1_500_000)
}

/// A bucket with the store of a machine in it, and one that has joined it.
struct Cell {
    site: Site,
    one: TestEnv,
    other: TestEnv,
    what: String,
}

impl Cell {
    fn run(&self, env: &TestEnv, arguments: &[&str]) -> Said {
        let said = self.site.run(env, arguments);
        assert!(
            [0, 3, 13].contains(&said.status),
            "{}: {arguments:?} ends with {}: {}{}",
            self.what,
            said.status,
            said.text(),
            said.stderr
        );
        assert!(said.status == 0 || !said.stderr.is_empty() || !said.stdout.is_empty(), "{}", self.what);
        said
    }

    /// What comes back is right, if anything does.
    fn check(&self, env: &TestEnv, remote: &[&str]) {
        for (source, bytes) in [("data", data()), ("more", content(2))] {
            let said = self.site.run(env, &[&["restore", source, "--to", "-"], remote].concat());
            match said.status {
                0 => assert!(said.stdout == bytes, "{}: wrong bytes of {source}", self.what),
                10 | 13 => assert!(bytes.starts_with(&said.stdout), "{}: {}", self.what, said.stderr),
                status => panic!("{}: {source}: {status}: {}", self.what, said.stderr),
            }
        }
    }
}

/// What is copied for each cell: a bucket, a machine that has pushed and one that has joined.
struct Template {
    bucket: PathBuf,
    one: TestEnv,
    other: TestEnv,
    _site: Site,
}

fn template() -> Template {
    let site = Site::new();
    let one = TestEnv::bare();
    one.ok(&["init", "--pack-size", "100kB", "--parity", "5%"]);
    for (name, bytes) in [("data", data()), ("more", content(2))] {
        one.write(name, bytes);
        one.ok(&["create", name, "--tag", "kept"]);
    }
    site.ok(&one, &["push", URL]);
    let other = site.joined();
    let bucket = site.server.folder("backups");
    Template { bucket, one, other, _site: site }
}

/// What crashed writers and collections leave: without them there is nothing to damage.
fn leave_records(kind: &str, root: &Path) {
    for number in [1, 2] {
        let (name, bytes) = match kind {
            "claims" => {
                let name = names::claim(&format!("01hzzzzzzzzzzzzzzzzzzzzzz{number}"));
                let holder = "create on a machine".to_owned();
                let claim = Claim { epoch: Epoch(0), heartbeat: number, holder };
                (name.clone(), claim.encode(&name))
            }
            "condemned" => {
                let name = names::condemned(number);
                (name.clone(), Condemned::default().encode(&name))
            }
            _ => return,
        };
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_tree(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

fn for_each_cell(check: impl Fn(&Cell)) {
    let template = template();
    for kind in KINDS {
        for damage in DAMAGES {
            // What is short is like what is changed, but where others can tell by its length.
            if damage == Damage::Truncate && kind != "packs" {
                continue;
            }
            let site = Site::new();
            let (one, other) = (TestEnv::bare(), TestEnv::bare());
            copy_tree(&template.bucket, &site.server.folder("backups"));
            copy_tree(&template.one.path(""), &one.path(""));
            copy_tree(&template.other.path(""), &other.path(""));
            // What the template's machines remember of the bucket was about another server.
            let root = site.server.folder("backups").join("team/db");
            leave_records(kind, &root);
            let mut objects: Vec<_> = site.objects(kind).into_iter().collect();
            if kind == "config" || kind == "epoch" {
                objects = vec![kind.to_owned()];
            }
            // In the middle of a pack lies what it holds.
            let path = root.join(&objects[objects.len() / 2]);
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            match damage {
                Damage::Flip => bytes[middle] ^= 4,
                Damage::Truncate => bytes.truncate(middle),
                Damage::Delete => fs::remove_file(&path).unwrap(),
            }
            if damage != Damage::Delete {
                fs::write(&path, bytes).unwrap();
            }
            check(&Cell { site, one, other, what: format!("{damage:?} of {kind}") });
        }
    }
}

#[test]
fn a_pull_from_a_damaged_bucket_publishes_only_what_is_whole() {
    for_each_cell(|cell| {
        let pulled = cell.run(&cell.other, &["pull", URL]);
        // Whatever was pulled is whole.
        cell.other.ok(&["verify"]);
        let count = cell.other.count();
        cell.check(&cell.other, &[]);
        let matters = ["snapshots", "packs", "labels"].iter().any(|kind| cell.what.ends_with(kind));
        assert!(matters || (count == 2 && pulled.status != 13), "{}: {count}, {}", cell.what, pulled.stderr);
        assert!(!cell.what.ends_with("labels") || count == 2, "{}: {}", cell.what, pulled.stderr);
        if cell.what.ends_with("packs") {
            assert!(
                pulled.status == 13
                    && ["in pack", "missing"].iter().any(|words| pulled.stderr.contains(words)),
                "{}: {}",
                cell.what,
                pulled.stderr
            );
            assert_eq!(count, 1, "{}", cell.what);
        }
    });
}

#[test]
fn a_list_and_a_restore_of_a_damaged_bucket_say_what_is_damaged() {
    for_each_cell(|cell| {
        let listed = cell.run(&cell.other, &["list", "--remote", URL]);
        let is_gone = cell.what.ends_with("snapshots");
        assert!(
            is_gone || (listed.text().contains("data") && listed.text().contains("more")),
            "{}",
            cell.what
        );
        cell.check(&cell.other, &["--remote", URL]);
        cell.run(&cell.other, &["stats", "--remote", URL]);
    });
}

#[test]
fn verifying_a_damaged_bucket_finds_it() {
    for_each_cell(|cell| {
        let said = cell.run(&cell.other, &["verify", "--remote", URL, "--json"]);
        let report: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        assert_eq!(report["ok"] == true, said.status == 0, "{}: {report}", cell.what);
        // What is gone as if it had been deleted, and what has a copy, is not missed.
        let (damage, kind) = cell.what.split_once(" of ").unwrap();
        let unnoticed = kind == "config"
            || (damage == "Delete" && ["snapshots", "labels", "claims", "condemned"].contains(&kind));
        assert_eq!(said.status == 0, unnoticed, "{}: {report} {}", cell.what, said.stderr);
    });
}

#[test]
fn a_push_to_a_damaged_bucket_makes_whole_what_it_sends() {
    for_each_cell(|cell| {
        cell.one.write("third", content(3));
        cell.one.ok(&["create", "third"]);
        let pushed = cell.run(&cell.one, &["push", URL, "--all"]);
        if pushed.status == 13 && cell.what.ends_with("condemned") {
            // Nobody knows what a collection is about to take: the next one removes the list.
            assert!(pushed.stderr.contains("icecore gc"), "{}: {}", cell.what, pushed.stderr);
            cell.run(&cell.one, &["gc", "--remote", URL]);
            cell.site.ok(&cell.one, &["push", URL, "--all"]);
        }
        let said = cell.site.run(&cell.other, &["restore", "third", "--to", "-", "--remote", URL]);
        assert!(said.status == 0 && said.stdout == content(3), "{}: {}", cell.what, said.stderr);
        cell.check(&cell.one, &[]);
        cell.check(&cell.other, &["--remote", URL]);
    });
}

#[test]
fn what_is_damaged_on_its_way_is_fetched_again() {
    let site = Site::new();
    let one = site.machine(1);
    site.ok(&one, &["push", URL]);
    for trouble in [Trouble::Flip(5000), Trouble::Truncate(5000)] {
        let other = site.joined();
        site.ok(&other, &["pull", "origin", "--dry-run"]);
        site.server.inject(S3Fault::new(S3Call::Get, trouble).key("packs/").whole());
        site.ok(&other, &["pull", "origin"]);
        assert_eq!(site.server.heal(), 0);
        assert_eq!(
            packs_here(&other),
            site.objects("packs"),
            "packs that arrive have the names that they have there"
        );
        site.check_both(&other, 1);
    }
}

#[test]
fn what_never_arrives_whole_is_not_published() {
    let site = Site::new();
    let one = site.machine(1);
    site.ok(&one, &["push", URL]);
    let other = site.joined();
    site.server.inject(S3Fault::new(S3Call::Get, Trouble::Flip(5000)).key("packs/").for_good());
    let said = site.fails(&other, 13, &["pull", "origin"]);
    assert!(said.contains("in pack ") || said.contains("is missing"), "{said}");
    assert!(said.contains("was not pulled") && said.contains("icecore verify --remote origin"), "{said}");
    assert_eq!(other.count(), 0);
    site.server.heal();
    site.ok(&other, &["pull", "origin"]);
    site.check_both(&other, 1);
}

#[test]
fn a_hint_about_the_configuration_says_of_which_store() {
    let site = Site::new();
    let env = TestEnv::new();
    env.write("data", content(1));
    env.ok(&["create", "data"]);
    site.ok(&env, &["push", URL]);
    let folder = site.server.folder("backups").join("team/db");
    for name in ["config", "copies/config"] {
        fs::write(folder.join(name), "ICECORE rotten").unwrap();
    }
    let hint = format!("put `{URL}/config` back");
    for command in [&["verify", URL][..], &["list", "--remote", URL], &["pull", URL]] {
        let said = site.fails(&env, 13, command);
        assert!(said.contains(&hint), "{said}");
    }
    for name in ["config", "copies/config"] {
        fs::remove_file(folder.join(name)).unwrap();
    }
    let said = site.fails(&env, 13, &["list", "--remote", URL]);
    assert!(said.contains(&hint), "{said}");
}
