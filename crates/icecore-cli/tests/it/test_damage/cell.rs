//! One cell of the matrix.

use std::fs;
use std::path::{Path, PathBuf};

use icecore_format::{Claim, Condemned, Epoch, names};

use super::kinds::{Damage, Object};
use super::template::{ENCRYPTED, ENCRYPTED_STRANGER, PLAIN, STRANGER, Template, bystander, victim};
use crate::support::{PG_DUMP, Said, TestEnv};

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
pub(super) struct Cell {
    pub(super) env: TestEnv,
    template: &'static Template,
    stranger: &'static Template,
    pub(super) object: Object,
    pub(super) damage: Damage,
}

impl Cell {
    pub(super) fn new(object: Object, damage: Damage, encrypted: bool) -> Self {
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

    pub(super) fn run(&self, arguments: &[&str]) -> Said {
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

    pub(super) fn is_encrypted(&self) -> bool {
        self.template.encrypted
    }

    pub(super) fn what(&self) -> String {
        let store = if self.template.encrypted { " in an encrypted store" } else { "" };
        format!("{:?} of {:?}{store}", self.damage, self.object)
    }

    /// Restores a source: its bytes, or status 13, or 10 for what may as well have been deleted.
    pub(super) fn restore(&self, source: &str, bytes: &[u8]) -> bool {
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
    pub(super) fn check_bystanders(&self, when: &str) {
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
    pub(super) fn is_fine(&self, said: &Said, also: &[i32]) -> bool {
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
