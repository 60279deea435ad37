//! The damage matrix: every kind of object x every kind of damage x every command.
//!
//! Whatever is damaged, a command gives the right result, or says with status 13 what is damaged, or heals it. It never stays silent,
//! panics, hangs, or gives a wrong byte; snapshots that the damage does not touch go on restoring; and `repair` and a new snapshot
//! make everything whole again that can be.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use icecore_format::{Claim, Condemned, Epoch, names};

use crate::support::{PG_DUMP, Said, TestEnv, noise};

/// What is done to an object's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    /// One bit is another.
    Flip,
    /// Its second half is gone.
    Truncate,
    /// It is gone.
    Delete,
    /// It and another of its kind have changed places.
    Swap,
    /// It is as it was earlier, or as it is in another store of the same history.
    Stale,
    /// Something was added to its end.
    Append,
}

const DAMAGES: [Damage; 6] =
    [Damage::Flip, Damage::Truncate, Damage::Delete, Damage::Swap, Damage::Stale, Damage::Append];

/// What is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Object {
    PackHeader,
    PackBody,
    PackTable,
    PackTrailer,
    DeltaBody,
    DeltaTable,
    Index,
    Manifest,
    Config,
    Key,
    Label,
    Claim,
    Epoch,
    Condemned,
}

const OBJECTS: [Object; 14] = [
    Object::PackHeader,
    Object::PackBody,
    Object::PackTable,
    Object::PackTrailer,
    Object::DeltaBody,
    Object::DeltaTable,
    Object::Index,
    Object::Manifest,
    Object::Config,
    Object::Key,
    Object::Label,
    Object::Claim,
    Object::Epoch,
    Object::Condemned,
];

impl Object {
    fn is_pack(self) -> bool {
        matches!(self, Self::PackHeader | Self::PackBody | Self::PackTable | Self::PackTrailer)
            || self.is_delta()
    }

    /// Whether it is a pack that holds only how the night differs from the victim.
    fn is_delta(self) -> bool {
        matches!(self, Self::DeltaBody | Self::DeltaTable)
    }
}

/// A store with four snapshots, which every cell of the matrix gets a copy of.
struct Template {
    encrypted: bool,
    env: TestEnv,
    /// A pack that only the victim needs, and one that only another snapshot needs.
    packs: [PathBuf; 2],
    /// The pack with how the night differs from the victim.
    delta: PathBuf,
    manifests: [PathBuf; 2],
    labels: [PathBuf; 2],
}

fn victim() -> Vec<u8> {
    noise(1, 2_000_000)
}

/// What the victim is a night later: a little everywhere is new.
fn night() -> Vec<u8> {
    let mut night = victim();
    night
        .chunks_mut(4_000)
        .zip(noise(3, 15_000).chunks(30))
        .for_each(|(row, new)| row[..30].copy_from_slice(new));
    night
}

fn bystander() -> Vec<u8> {
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

static PLAIN: LazyLock<Template> = LazyLock::new(|| build(false));
static ENCRYPTED: LazyLock<Template> = LazyLock::new(|| build(true));
/// Other stores with the same history.
static STRANGER: LazyLock<Template> = LazyLock::new(|| build(false));
static ENCRYPTED_STRANGER: LazyLock<Template> = LazyLock::new(|| build(true));

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// One cell: a copy of the template with one object damaged.
struct Cell {
    env: TestEnv,
    template: &'static Template,
    stranger: &'static Template,
    object: Object,
    damage: Damage,
}

impl Cell {
    fn new(object: Object, damage: Damage, encrypted: bool) -> Self {
        let env = TestEnv::bare();
        let (template, stranger) = match encrypted {
            true => (&*ENCRYPTED, &*ENCRYPTED_STRANGER),
            false => (&*PLAIN, &*STRANGER),
        };
        copy_tree(&template.env.path(""), &env.path(""));
        let cell = Self { env, template, stranger, object, damage };
        cell.leave_records();
        cell.inflict();
        cell
    }

    /// What crashed writers and collections leave: without them there is nothing to damage.
    fn leave_records(&self) {
        for number in [1, 2] {
            let (name, bytes) = match self.object {
                Object::Claim => {
                    let name = names::claim(&format!("01hzzzzzzzzzzzzzzzzzzzzzz{number}"));
                    let claim = Claim {
                        epoch: Epoch(0),
                        heartbeat: number,
                        holder: "create on a machine".to_owned(),
                    };
                    (name.clone(), claim.encode(&name))
                }
                Object::Condemned => {
                    let name = names::condemned(number);
                    (name.clone(), Condemned::default().encode(&name))
                }
                _ => return,
            };
            self.env.write(&format!(".icecore/{name}"), bytes);
        }
    }

    /// The object, another of its kind, and where in it a bit is flipped.
    fn place(&self) -> (PathBuf, PathBuf, usize) {
        let template = self.template;
        let record = |folder: &str| {
            let files = self.env.files(&format!(".icecore/{folder}"));
            let root = self.env.path(".icecore");
            let name = |at: usize| files[at].strip_prefix(&root).unwrap().to_owned();
            (name(0), name(1), 30)
        };
        let [mut pack, other] = template.packs.clone();
        if self.object.is_delta() {
            pack.clone_from(&template.delta);
        }
        let len =
            usize::try_from(fs::metadata(self.env.path(".icecore").join(&pack)).unwrap().len()).unwrap();
        match self.object {
            Object::PackHeader => (pack, other, 20),
            Object::PackBody | Object::DeltaBody => (pack, other, 500),
            Object::PackTable | Object::DeltaTable => (pack, other, len - 64 - 40),
            Object::PackTrailer => (pack, other, len - 20),
            Object::Index => ("index.redb".into(), "config".into(), 5000),
            Object::Manifest => (template.manifests[0].clone(), template.manifests[1].clone(), 80),
            Object::Config => ("config".into(), "epoch".into(), 60),
            Object::Key => record("keys"),
            Object::Label => (template.labels[0].clone(), template.labels[1].clone(), 60),
            Object::Claim => record("claims"),
            Object::Epoch => ("epoch".into(), "config".into(), 30),
            Object::Condemned => record("condemned"),
        }
    }

    fn inflict(&self) {
        let root = self.env.path(".icecore");
        let (name, other, at) = self.place();
        let (path, other) = (root.join(&name), root.join(other));
        let mut bytes = fs::read(&path).unwrap();
        match self.damage {
            Damage::Flip => bytes[at] ^= 4,
            Damage::Truncate => bytes.truncate(bytes.len() / 2),
            Damage::Append => bytes.extend_from_slice(b"something that does not belong here"),
            Damage::Delete => return fs::remove_file(&path).unwrap(),
            Damage::Swap => {
                let others = fs::read(&other).unwrap();
                // Where there is only one of a kind, it gets the bytes of another.
                if !matches!(self.object, Object::Index | Object::Config | Object::Epoch) {
                    fs::write(&other, &bytes).unwrap();
                }
                bytes = others;
            }
            Damage::Stale => {
                let stranger = self.stranger;
                let theirs = match self.object {
                    Object::PackHeader | Object::PackBody | Object::PackTable | Object::PackTrailer => {
                        stranger.packs[0].clone()
                    }
                    Object::DeltaBody | Object::DeltaTable => stranger.delta.clone(),
                    Object::Manifest => stranger.manifests[0].clone(),
                    Object::Label => stranger.labels[0].clone(),
                    Object::Key => {
                        let keys = stranger.env.files(".icecore/keys");
                        keys[0].strip_prefix(stranger.env.path(".icecore")).unwrap().to_owned()
                    }
                    Object::Claim | Object::Condemned => "epoch".into(),
                    Object::Index | Object::Config | Object::Epoch => name,
                };
                bytes = fs::read(stranger.env.path(".icecore").join(theirs)).unwrap();
            }
        }
        fs::write(&path, bytes).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Said {
        // One of the two passwords opens the store, whichever key is damaged.
        if !self.template.encrypted {
            return self.env.run(arguments);
        }
        let with = |password: &str| self.env.run(&[arguments, &["--password-file", password]].concat());
        match with("pw") {
            said if said.status == 12 && self.object == Object::Key => with("pw2"),
            said => said,
        }
    }

    fn what(&self) -> String {
        let store = if self.template.encrypted { " in an encrypted store" } else { "" };
        format!("{:?} of {:?}{store}", self.damage, self.object)
    }

    /// Restores a source: its bytes, or status 13, or 10 for what may as well have been deleted.
    fn restore(&self, source: &str, bytes: &[u8]) -> bool {
        let said = self.run(&["restore", source, "--to", "-"]);
        match said.status {
            0 => assert!(said.stdout == bytes, "{}: wrong bytes of {source}", self.what()),
            13 => assert!(
                said.stderr.contains("damaged")
                    || said.stderr.contains("missing")
                    || said.stderr.contains("cannot be read")
                    || said.stderr.contains("hash"),
                "{}: {}",
                self.what(),
                said.stderr
            ),
            // A record that is gone, or was set aside, looks as if it had been deleted.
            10 if self.object == Object::Manifest && source != "dump" => (),
            _ => panic!("{}: restore {source} ends with {}: {}", self.what(), said.status, said.stderr),
        }
        assert!(bytes.starts_with(&said.stdout), "{}: wrong bytes before the error", self.what());
        said.status == 0
    }

    /// Snapshots that this damage does not touch.
    fn check_bystanders(&self, when: &str) {
        let swapped =
            self.damage == Damage::Swap && (self.object.is_pack() || self.object == Object::Manifest);
        assert!(
            self.restore("dump", PG_DUMP.as_bytes()),
            "{}: the dump does not restore {when}",
            self.what()
        );
        assert!(
            self.restore("bystander", &bystander()) || swapped,
            "{}: the bystander does not restore {when}",
            self.what()
        );
        if self.object.is_delta() {
            assert!(self.restore("victim", &victim()), "{}: the victim does not restore {when}", self.what());
        }
    }

    /// Status 13 with a reason, where it is not 0.
    fn is_fine(&self, said: &Said, also: &[i32]) -> bool {
        assert!(
            said.status == 0 || said.status == 13 || also.contains(&said.status),
            "{}: {} {} {}",
            self.what(),
            said.status,
            said.text(),
            said.stderr
        );
        said.status == 0
    }
}

/// Every cell with one command. Some dozens of processes at a time would only wait for each other, so the cells come one by one.
/// Opening an encrypted store takes its time, so only what is read in another way there is tried again.
fn for_each_cell(check: impl Fn(&Cell)) {
    for object in OBJECTS {
        for damage in DAMAGES {
            if object != Object::Key {
                check(&Cell::new(object, damage, false));
            }
            let differs = matches!(
                object,
                Object::PackBody | Object::PackTable | Object::DeltaBody | Object::Manifest | Object::Label
            );
            if object == Object::Key || (differs && matches!(damage, Damage::Flip | Damage::Swap)) {
                check(&Cell::new(object, damage, true));
            }
        }
    }
}

#[test]
fn restoring_from_a_damaged_store_gives_the_right_bytes_or_says_what_is_damaged() {
    for_each_cell(|cell| {
        let whole = cell.restore("victim", &victim());
        // What is only a record, or a cache, harms no snapshot.
        let harmless = !cell.object.is_pack() && cell.object != Object::Manifest;
        assert!(whole || !harmless, "{} keeps the victim from being restored", cell.what());
        let whole = cell.restore("night", &night());
        assert!(whole || !harmless, "{} keeps the night from being restored", cell.what());
        cell.check_bystanders("at once");
        let said = cell.run(&["list"]);
        cell.is_fine(&said, &[]);
        assert!(said.text().contains("bystander") || cell.object == Object::Manifest, "{}", cell.what());
    });
}

#[test]
fn what_can_be_read_of_a_damaged_snapshot_is_given_back() {
    for_each_cell(|cell| {
        if !cell.object.is_pack() {
            return;
        }
        for (source, whole) in [("victim", victim()), ("night", night())] {
            let said = cell.run(&["restore", source, "--to", "-", "--allow-damaged"]);
            match said.status {
                0 => assert!(said.stdout == whole, "{}", cell.what()),
                3 => {
                    assert_eq!(said.stdout.len(), whole.len(), "{}", cell.what());
                    let right = said.stdout.iter().zip(&whole).filter(|(a, b)| a == b).count();
                    let wrong = said.stdout.iter().zip(&whole).filter(|(a, b)| a != b && **a != 0).count();
                    assert_eq!(wrong, 0, "{}: bytes that are neither right nor zero", cell.what());
                    // All deltas of a night may lie in one pack.
                    let enough = right > whole.len() / 4 || cell.object.is_delta();
                    assert!(enough, "{}: only {right} bytes of {source} were saved", cell.what());
                    assert!(said.stderr.contains("could not be read"), "{}: {}", cell.what(), said.stderr);
                }
                status => panic!("{}: {status} {}", cell.what(), said.stderr),
            }
        }
    });
}

#[test]
fn creating_in_a_damaged_store_stores_what_restores_or_says_what_is_damaged() {
    for_each_cell(|cell| {
        let fresh = noise(9, 200_000);
        cell.env.write("fresh", &fresh);
        let said = cell.run(&["create", "fresh"]);
        if cell.is_fine(&said, &[]) {
            assert!(cell.restore("fresh", &fresh), "{}: what was just stored does not restore", cell.what());
        } else {
            assert!(cell.object == Object::Condemned, "{}: {}", cell.what(), said.stderr);
        }
        // What cannot be read counts as absent, so the victim's own bytes make it whole, where it shows without reading all.
        let shows = cell.object.is_pack()
            && matches!(cell.damage, Damage::Truncate | Damage::Delete | Damage::Append);
        if shows {
            cell.run(&["create", "victim", "--name", "again"]).ok();
            assert!(cell.restore("again", &victim()), "{}", cell.what());
            assert!(cell.restore("victim", &victim()), "{}: not healed by what came again", cell.what());
            cell.run(&["create", "night", "--name", "again"]).ok();
            assert!(cell.restore("night", &night()), "{}: not healed by what came again", cell.what());
        }
        cell.check_bystanders("after a create");
    });
}

#[test]
fn verifying_a_damaged_store_names_what_is_damaged() {
    for_each_cell(|cell| {
        let said = cell.run(&["verify", "--json"]);
        let sound = cell.is_fine(&said, &[]);
        if !sound {
            let report: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
            let findings = report["findings"].as_array().unwrap();
            assert!(!findings.is_empty() && report["ok"] == false, "{}: {report}", cell.what());
            for finding in findings {
                assert!(!finding["object"].as_str().unwrap().is_empty(), "{}: {report}", cell.what());
            }
            let loses_data = cell.object.is_pack() && cell.damage != Damage::Append;
            for (source, bytes) in [("victim", victim()), ("night", night())] {
                let named = said.text().contains(&format!(r#""source":"{source}""#));
                assert!(
                    named || !loses_data || cell.restore(source, &bytes),
                    "{}: {source} is not named: {report}",
                    cell.what()
                );
            }
            let accused = cell.object.is_delta() && said.text().contains(r#""source":"victim""#);
            assert!(!accused, "{}: wrongly accused: {report}", cell.what());
            let bystander = said.text().contains(r#""source":"bystander""#);
            assert!(!bystander || cell.damage == Damage::Swap, "{}: wrongly accused: {report}", cell.what());
            assert!(
                !said.text().contains(r#""source":"dump""#),
                "{}: wrongly accused: {report}",
                cell.what()
            );
        }
        // An index is made anew, a configuration and a key come from their copies; an older epoch and a record that is gone look like
        // any other.
        let unnoticed = matches!(cell.object, Object::Index | Object::Config | Object::Key)
            || (cell.damage == Damage::Delete
                && matches!(
                    cell.object,
                    Object::Manifest | Object::Label | Object::Claim | Object::Condemned
                ))
            || (cell.damage == Damage::Stale && cell.object == Object::Epoch);
        assert_eq!(sound, unnoticed, "{}: {}", cell.what(), said.text());
        cell.check_bystanders("after a verify");
    });
}

#[test]
fn collecting_in_a_damaged_store_deletes_nothing_that_is_needed() {
    for_each_cell(|cell| {
        let gone = noise(8, 100_000);
        cell.env.write("gone", &gone);
        if cell.run(&["create", "gone"]).status == 0 {
            cell.run(&["delete", "gone", "--yes"]).ok();
        }
        let before = [cell.restore("victim", &victim()), cell.restore("night", &night())];
        let said = cell.run(&["gc"]);
        // With status 3 it did its work, and tells of what it saw.
        cell.is_fine(&said, &[3]);
        if cell.object.is_pack() && cell.damage == Damage::Delete {
            assert!(said.status != 0 && said.stderr.contains("no pack"), "{}: {}", cell.what(), said.stderr);
        }
        // What is a record of other collections, or has a copy, does not stop this one.
        let may_stop = cell.object.is_pack() || cell.object == Object::Manifest;
        assert!(said.status != 13 || may_stop, "{}: {}", cell.what(), said.stderr);
        let after = [cell.restore("victim", &victim()), cell.restore("night", &night())];
        assert_eq!(after, before, "{}: {}", cell.what(), said.stderr);
        cell.check_bystanders("after a collection");
    });
}

#[test]
fn a_repair_and_a_new_snapshot_make_everything_whole() {
    for_each_cell(|cell| {
        let plan = cell.run(&["repair", "--dry-run"]);
        cell.is_fine(&plan, &[3]);
        let said = cell.run(&["repair"]);
        cell.is_fine(&said, &[3]);
        if cell.object == Object::Manifest && cell.damage != Damage::Delete {
            assert!(
                said.status == 3 && said.stderr.contains("this snapshot is lost"),
                "{}: {}",
                cell.what(),
                said.stderr
            );
        }
        cell.check_bystanders("after a repair");
        for (source, bytes) in [
            ("victim", victim()),
            ("night", night()),
            ("bystander", bystander()),
            ("dump", PG_DUMP.as_bytes().to_vec()),
        ] {
            cell.run(&["create", source, "--name", "again"]).ok();
            assert!(cell.restore("again", &bytes), "{}", cell.what());
        }
        let verified = cell.run(&["verify"]);
        assert_eq!(verified.status, 0, "{}: {}", cell.what(), verified.text());
        if cell.object != Object::Manifest {
            assert!(
                cell.restore("victim", &victim()),
                "{}: the old snapshot is not whole again",
                cell.what()
            );
            assert!(cell.restore("night", &night()), "{}: the night is not whole again", cell.what());
            assert!(cell.restore("bystander", &bystander()), "{}", cell.what());
        }
        cell.run(&["gc"]).ok();
        cell.check_bystanders("at the end");
        let again = cell.run(&["repair", "--dry-run"]);
        assert_eq!((again.status, again.text().as_str()), (0, "Nothing is damaged\n"), "{}", cell.what());
    });
}
