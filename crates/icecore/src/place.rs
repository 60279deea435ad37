//! Where a store is, and which one is meant.

use std::fmt;
use std::path::{Path, PathBuf};

use icecore_s3::{S3Location, S3Options};
use icecore_storage::without_secret;

use crate::{Error, Project, Remote, Result, is_url};

/// The directory that is found by itself.
pub const STORE_DIR: &str = ".icecore";

/// Where a store is.
#[derive(Debug, Clone)]
pub enum Place {
    /// In a directory.
    Directory(PathBuf),
    /// In S3, and how that is reached.
    S3(S3Location, Box<S3Options>),
}

impl Place {
    /// The directory that a path or a `file://` URL means; a path starts at `from`.
    pub(crate) fn directory(text: &str, from: &Path) -> Result<Self> {
        match text.strip_prefix("file://") {
            Some(path) if path.starts_with('/') => Ok(Self::Directory(PathBuf::from(path))),
            // With a slash too few it is hardly a directory, either.
            _ if is_url(text) || text.starts_with("s3:") => {
                Err(Error::UnknownPlace { place: without_secret(text) })
            }
            _ => Ok(Self::Directory(from.join(text))),
        }
    }

    /// The directory, if it is one.
    pub fn as_directory(&self) -> Option<&Path> {
        match self {
            Self::Directory(dir) => Some(dir),
            Self::S3(..) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(dir) => dir.display().fmt(f),
            Self::S3(location, _) => location.fmt(f),
        }
    }
}

/// The store that was named, or that `icecore.toml` names, or the nearest `.icecore` directory from `from` upwards.
pub fn find_store(named: Option<&str>, project: Option<&Project>, from: &Path) -> Result<Place> {
    let place = |text: &str, dir: &Path| {
        let settings = project.and_then(|project| project.config.remotes.values().find(|it| it.is_at(text)));
        settings.map_or_else(|| Remote::at(text).place(dir), |remote| remote.place(dir))
    };
    if let Some(named) = named {
        return place(named, from);
    }
    let nearest = from.ancestors().map(|dir| dir.join(STORE_DIR)).find(|path| path.is_dir());
    if let Some((store, project)) =
        project.and_then(|project| Some((project.config.store.as_ref()?, project)))
    {
        return place(&store.to_string_lossy(), &project.dir);
    }
    nearest.map(Place::Directory).ok_or_else(|| Error::NoStoreFound { from: from.to_owned() })
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
        let dir_of = |named, from: &Path| {
            let found = find_store(named, Project::find(from).unwrap().as_ref(), from)?;
            Ok::<_, Error>(found.as_directory().unwrap().to_owned())
        };
        assert!(matches!(dir_of(None, &deep), Err(Error::NoStoreFound { .. })));
        fs::create_dir(dir.path().join(STORE_DIR)).unwrap();
        assert_eq!(dir_of(None, &deep).unwrap(), dir.path().join(STORE_DIR));
        fs::write(dir.path().join("a/icecore.toml"), "store = \"snapshots\"\n").unwrap();
        assert_eq!(dir_of(None, &deep).unwrap(), dir.path().join("a/snapshots"));
        assert_eq!(dir_of(Some("/elsewhere"), &deep).unwrap(), Path::new("/elsewhere"));
        assert_eq!(dir_of(Some("file:///elsewhere"), &deep).unwrap(), Path::new("/elsewhere"));
        assert!(matches!(dir_of(Some("ftp://x/y"), &deep), Err(Error::UnknownPlace { .. })));
        // A path stays one.
        assert_eq!(dir_of(Some("/mnt/a://b"), &deep).unwrap(), Path::new("/mnt/a://b"));
    }

    #[test]
    fn a_place_that_is_none_is_told_without_its_secret() {
        for text in [
            "https://KEY:hush@host/backups",
            "S3://KEY:hush@backups",
            "s3://KEY:hush@backups",
            "s3://KEY:hu/hush@backups",
            "s3:/KEY:hush@backups",
            "https://host/backups?X-Amz-Signature=hush",
        ] {
            let error = find_store(Some(text), None, Path::new("/")).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_store_in_s3_has_the_settings_of_the_remote_with_its_url() {
        let dir = tempfile::tempdir().unwrap();
        let text = "store = \"s3://backups/db\"\n[remotes.team]\nurl = \"s3://backups/db\"\nendpoint = \"http://127.0.0.1:9000\"\n";
        fs::write(dir.path().join("icecore.toml"), text).unwrap();
        let project = Project::find(dir.path()).unwrap();
        let found = find_store(None, project.as_ref(), dir.path()).unwrap();
        let Place::S3(location, options) = &found else { panic!("{found}") };
        assert_eq!(location.to_string(), "s3://backups/db");
        assert_eq!(options.endpoint.as_ref().unwrap().as_str(), "http://127.0.0.1:9000");
        // Another prefix is another place.
        let other = find_store(Some("s3://backups/other"), project.as_ref(), dir.path()).unwrap();
        let Place::S3(_, options) = &other else { panic!("{other}") };
        assert!(options.endpoint.is_none());
    }
}
