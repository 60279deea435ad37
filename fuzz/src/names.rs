//! Names: of objects in a store, and of parts that become files.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use icecore_engine::files::check_name;
use icecore_format::{Condemned, Digest, PackId, SnapshotId, names};

use crate::input::text;

/// Whatever name is understood is the very name that would be given: nothing lies in the store under two names.
pub(crate) fn object_names(input: &[u8]) {
    let name = text(input);
    if let Some(pack) = names::parse_pack(&name) {
        assert_eq!(names::pack(&pack), name);
    }
    if let Some(pack) = names::parse_parity(&name) {
        assert_eq!(names::parity(&pack), name);
    }
    if let Some((snapshot, label)) = names::parse_label(&name) {
        assert_eq!(names::label(&snapshot, label), name);
    }
    if let Some(epoch) = Condemned::parse_name(&name) {
        assert_eq!(names::condemned(epoch), name);
    }
    if let Ok(digest) = name.parse::<Digest>() {
        assert!(digest.to_hex().eq_ignore_ascii_case(&name));
        let (pack, snapshot) = (PackId(digest), SnapshotId(digest));
        assert_eq!(names::parse_pack(&names::pack(&pack)), Some(pack));
        assert_eq!(names::parse_label(&names::label(&snapshot, "note")), Some((snapshot, "note")));
    }
}

/// A part's name that is accepted is a path that stays beneath the target, whatever the standard library makes of it.
pub(crate) fn part_name(input: &[u8]) {
    if check_name(input).is_err() {
        return;
    }
    let path = Path::new(OsStr::from_bytes(input));
    assert!(path.components().all(|component| matches!(component, Component::Normal(_))), "{path:?}");
    let root = Path::new("/target");
    assert!(root.join(path).starts_with(root));
    assert_eq!(
        path.components().count(),
        input.split(|byte| *byte == b'/').filter(|c| !c.is_empty()).count()
    );
}
