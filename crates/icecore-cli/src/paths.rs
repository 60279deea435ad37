//! Paths as they are told and written down.

use std::path::{Component, Path, PathBuf};

use icecore::Place;

/// The same path without `..`, where it leads to the same place: there may be a link in between.
pub(crate) fn tidy(path: &Path) -> PathBuf {
    if !path.components().any(|component| component == Component::ParentDir) {
        return path.components().collect();
    }
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    match (plain.canonicalize(), path.canonicalize()) {
        (Ok(a), Ok(b)) if a == b => plain,
        (_, Ok(real)) => real,
        // What is yet to be made has a place all the same.
        (_, Err(_)) => match (path.parent(), path.file_name()) {
            (Some(above), Some(name)) => tidy(above).join(name),
            _ => path.to_owned(),
        },
    }
}

/// The same of where a store is.
pub(crate) fn tidy_place(place: Place) -> Place {
    match place {
        Place::Directory(dir) => Place::Directory(tidy(&dir)),
        elsewhere => elsewhere,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn paths_lead_where_they_led_before() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().canonicalize().unwrap();
        fs::create_dir_all(here.join("a/b")).unwrap();
        fs::create_dir(here.join("c")).unwrap();
        symlink("a/b", here.join("link")).unwrap();
        let tidied = |path: &str| tidy(&here.join(path));
        assert_eq!(tidied("a/../c"), here.join("c"));
        assert_eq!(tidied("a/./b/../../c/"), here.join("c"));
        // A link stays one, for it may lead elsewhere tomorrow.
        assert_eq!(tidied("c/../link"), here.join("link"));
        // What is above it is not where it stands.
        assert_eq!(tidied("link/../b"), here.join("a/b"));
        assert_eq!(tidied("nowhere/../c"), here.join("nowhere/../c"));
        // What is yet to be made.
        assert_eq!(tidied("a/../new"), here.join("new"));
        assert_eq!(tidied("link/../new"), here.join("a/new"));
    }
}
