//! Entries that reach out of the directory they are restored to.
//!
//! A restore itself never follows a link. But whoever uses the directory afterwards does: a link to `/etc` in a stranger's snapshot makes
//! the next program that writes through it write there.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use icecore_format::{Part, PartKind};

/// Permission bits that lend a program its owner's or group's rights.
const SETUID_SETGID: u32 = 0o6000;

/// Links with `..` that are remembered. Behind so many, no hard link is trusted: nobody has so many but who wants to be forgotten.
const CLIMBING_MAX: usize = 1 << 16;

/// Looks at the entries of a directory, in the order of a capture, for those that would reach out of it once they are restored: links that
/// lead out, devices, and programs that run with the rights of others.
#[derive(Debug, Default)]
pub struct Escapes {
    hasher: RandomState,
    /// Hashes of the names of links that begin with `..`: under another name they may lead out.
    climbing: HashSet<u64>,
}

impl Escapes {
    /// In which way an entry would reach out, in words; `None` if all stays within.
    pub fn look(&mut self, part: &Part) -> Option<String> {
        let file = part.file.as_deref()?;
        match part.kind {
            PartKind::Symlink if leads_out(&part.name, &file.target) => {
                Some(format!("a link to {}", String::from_utf8_lossy(&file.target)))
            }
            PartKind::Symlink if file.target.starts_with(b"..") || file.target.starts_with(b"./") => {
                if self.climbing.len() < CLIMBING_MAX {
                    self.climbing.insert(self.hasher.hash_one(&part.name));
                }
                None
            }
            PartKind::Hardlink
                if self.climbing.len() == CLIMBING_MAX
                    || self.climbing.contains(&self.hasher.hash_one(&file.target)) =>
            {
                Some("another name of a link that leads upwards".to_owned())
            }
            PartKind::CharDevice | PartKind::BlockDevice => Some(format!("a {}", part.kind.as_str())),
            PartKind::File | PartKind::Data if file.mode & SETUID_SETGID != 0 => {
                Some("runs with the rights of its owner or group".to_owned())
            }
            PartKind::File | PartKind::Data
                if file.xattrs.iter().any(|(name, _)| name == b"security.capability") =>
            {
                Some("runs with rights of the system's".to_owned())
            }
            _ => None,
        }
    }
}

/// Whether a link may lead out of the tree in which it is called `name`. Only a first run of `..` is counted, for the link lies in real
/// directories; behind a name, which may be a link itself, `..` may lead anywhere.
fn leads_out(name: &[u8], target: &[u8]) -> bool {
    let mut depth = Path::new(OsStr::from_bytes(name)).components().count().saturating_sub(1);
    let mut named = false;
    for component in Path::new(OsStr::from_bytes(target)).components() {
        match component {
            Component::CurDir => (),
            Component::Normal(_) => named = true,
            Component::ParentDir if named || depth == 0 => return true,
            Component::ParentDir => depth -= 1,
            Component::RootDir | Component::Prefix(_) => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use icecore_format::{Digest, FileAttributes, Part, PartKind};

    use super::{Escapes, leads_out};

    #[test]
    fn what_has_powers_of_its_own_reaches_out_and_what_has_none_does_not() {
        let reaches = |kind: PartKind, file: FileAttributes| {
            let (name, hash) = (b"a".to_vec(), Digest::of(b""));
            let part = Part { name, kind, offset: 0, len: 0, hash, rows: None, file: Some(Box::new(file)) };
            Escapes::default().look(&part).is_some()
        };
        let of_mode = |mode| FileAttributes { mode, ..FileAttributes::default() };
        let with = |name: &[u8]| FileAttributes {
            xattrs: vec![(name.to_vec(), b"value".to_vec())],
            ..FileAttributes::default()
        };
        assert!(reaches(PartKind::CharDevice, of_mode(0o600)));
        assert!(reaches(PartKind::BlockDevice, of_mode(0o600)));
        assert!(reaches(PartKind::File, of_mode(0o4755)));
        assert!(reaches(PartKind::File, of_mode(0o2755)));
        assert!(reaches(PartKind::File, with(b"security.capability")));
        assert!(!reaches(PartKind::File, of_mode(0o1777)));
        assert!(!reaches(PartKind::File, with(b"user.comment")));
        // New files in it get its group: no program gains anything.
        assert!(!reaches(PartKind::Directory, of_mode(0o2775)));
        assert!(!reaches(PartKind::Fifo, of_mode(0o600)));
        assert!(!reaches(PartKind::Socket, of_mode(0o600)));
    }

    /// A link that climbs and stays within where it lies leads out from higher up.
    #[test]
    fn another_name_of_a_link_that_climbs_reaches_out() {
        let part = |name: &str, kind: PartKind, target: &str| {
            let file = FileAttributes { target: target.as_bytes().to_vec(), ..FileAttributes::default() };
            let (name, hash) = (name.as_bytes().to_vec(), Digest::of(b""));
            Part { name, kind, offset: 0, len: 0, hash, rows: None, file: Some(Box::new(file)) }
        };
        for climbs in ["../../c", "./../../c"] {
            let mut escapes = Escapes::default();
            assert_eq!(escapes.look(&part("a/b/level", PartKind::Symlink, "c")), None);
            assert_eq!(escapes.look(&part("a/b/up", PartKind::Symlink, climbs)), None);
            assert_eq!(escapes.look(&part("fine", PartKind::Hardlink, "a/b/level")), None);
            assert!(escapes.look(&part("out", PartKind::Hardlink, "a/b/up")).is_some());
        }
    }

    #[test]
    fn links_within_the_tree_are_told_from_those_that_lead_out() {
        let within: [(&str, &str); 6] =
            [("a", "b"), ("a", "./b/c"), ("a/b", "../c"), ("a/b/c", "../../d"), ("a/b/c", ".."), ("a", "")];
        let out: [(&str, &str); 8] = [
            ("a", "/"),
            ("a", "/etc/passwd"),
            ("a", "//etc"),
            ("a", ".."),
            ("a/b", "../.."),
            ("a/b", "../../c"),
            ("a", "b/../../c"),
            // `b` may be a link to the tree's own root.
            ("a/x", "b/.."),
        ];
        for (name, target) in within {
            assert!(!leads_out(name.as_bytes(), target.as_bytes()), "{name} -> {target}");
        }
        for (name, target) in out {
            assert!(leads_out(name.as_bytes(), target.as_bytes()), "{name} -> {target}");
        }
    }
}
