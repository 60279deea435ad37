//! Which store is meant.

use std::path::{Path, PathBuf};

use crate::{Error, Project, Result};

/// The directory that is found by itself.
pub const STORE_DIR: &str = ".icecore";

/// The store that was named, or that `icecore.toml` names, or the nearest `.icecore` directory from `from` upwards.
pub fn find_store(named: Option<&str>, project: Option<&Project>, from: &Path) -> Result<PathBuf> {
    if let Some(place) = named {
        return local_path(place, from);
    }
    let nearest = from.ancestors().map(|dir| dir.join(STORE_DIR)).find(|path| path.is_dir());
    if let Some((store, project)) =
        project.and_then(|project| Some((project.config.store.as_ref()?, project)))
    {
        return local_path(&store.to_string_lossy(), &project.dir);
    }
    nearest.ok_or_else(|| Error::NoStoreFound { from: from.to_owned() })
}

fn local_path(place: &str, from: &Path) -> Result<PathBuf> {
    match place.split_once("://") {
        Some(("file", path)) => Ok(PathBuf::from(path)),
        Some(_) => Err(Error::UnknownPlace { place: place.to_owned() }),
        None => Ok(from.join(place)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_named_store_wins_over_the_file_and_the_file_over_the_nearest_directory() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        let find_store = |named, from: &Path| find_store(named, Project::find(from).unwrap().as_ref(), from);
        assert!(matches!(find_store(None, &deep), Err(Error::NoStoreFound { .. })));
        fs::create_dir(dir.path().join(STORE_DIR)).unwrap();
        assert_eq!(find_store(None, &deep).unwrap(), dir.path().join(STORE_DIR));
        fs::write(dir.path().join("a/icecore.toml"), "store = \"snapshots\"\n").unwrap();
        assert_eq!(find_store(None, &deep).unwrap(), dir.path().join("a/snapshots"));
        assert_eq!(find_store(Some("/elsewhere"), &deep).unwrap(), Path::new("/elsewhere"));
        assert!(matches!(find_store(Some("ftp://x/y"), &deep), Err(Error::UnknownPlace { .. })));
    }
}
