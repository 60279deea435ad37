//! Stores elsewhere that have a name here.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use icecore_s3::{Addressing, Endpoint, S3Location, S3Options, StorageClass};
use icecore_storage::without_secret;
use serde::{Deserialize, Serialize};

use crate::config::fault::ConfigFault;
use crate::nearest::nearest;
use crate::place::Place;
use crate::small_file::read_text;
use crate::{CONFIG_FILE, Error, Project, Result};

/// The file in a store's directory that says which remotes it has. Nothing secret stands in it.
pub const REMOTES_FILE: &str = "remotes.toml";
/// Who changes it holds a lock on this one. It is never removed: a lock on a file without a name keeps nobody out.
const LOCK_FILE: &str = "remotes.lock";
/// What takes its place.
const NEW_FILE: &str = "remotes.toml.new";
/// Longer names help nobody.
const NAME_LEN_MAX: usize = 64;

/// Where a remote is, and how it is reached. What is not said is found as other programs find it: by the variables and profiles of AWS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    /// `s3://bucket/prefix`, `file:///path` or a path.
    pub url: String,
    /// The URL of a server that is not AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Where the bucket is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Whether the bucket stands in the path of a URL, or in the name of the host; with an endpoint, the former is usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
    /// Which profile says who we are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// What packs are stored as, such as `STANDARD_IA`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// How the server encrypts: `AES256`, `aws:kms` or `aws:kms=KEY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// A file with certificates of authorities that are trusted besides those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

impl Remote {
    /// A remote of which only the URL is known.
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// The settings that are said, by their names in a file.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let text = |value: &Option<String>| value.as_deref().map(without_secret);
        let settings = [
            ("endpoint", text(&self.endpoint)),
            ("region", text(&self.region)),
            ("path_style", self.path_style.map(|it| it.to_string())),
            ("profile", text(&self.profile)),
            ("storage_class", text(&self.storage_class)),
            ("encryption", text(&self.encryption)),
            ("ca_file", self.ca_file.as_ref().map(|file| file.display().to_string())),
        ];
        settings.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// Whether this URL means the same, with or without a `/` at its end.
    pub(crate) fn is_at(&self, url: &str) -> bool {
        self.url.trim_end_matches('/') == url.trim_end_matches('/')
    }

    /// The place that is meant; paths start at `from`.
    ///
    /// # Errors
    /// If the URL or a setting makes no sense.
    pub fn place(&self, from: &Path) -> Result<Place> {
        if !self.url.starts_with("s3://") {
            return Place::directory(&self.url, from);
        }
        let location: S3Location = self.url.parse().map_err(unfitting)?;
        let endpoint: Option<Endpoint> =
            self.endpoint.as_deref().map(str::parse).transpose().map_err(unfitting)?;
        let storage_class: Option<StorageClass> =
            self.storage_class.as_deref().map(str::parse).transpose().map_err(unfitting)?;
        if let (Some(class), None) = (&storage_class, &endpoint) {
            must_be_of_aws(class)?;
        }
        let encryption = self.encryption.as_deref().map(str::parse).transpose().map_err(unfitting)?;
        let addressing = match self.path_style {
            None => Addressing::Auto,
            Some(true) => Addressing::Path,
            Some(false) => Addressing::Host,
        };
        let options = S3Options {
            endpoint,
            region: self.region.clone(),
            addressing,
            profile: self.profile.clone(),
            storage_class,
            encryption,
            ca_file: self.ca_file.as_ref().map(|file| from.join(file)),
            ..S3Options::default()
        };
        Ok(Place::S3(location, Box::new(options)))
    }
}

/// What AWS does not know would be refused with the first pack. Of other servers only they know.
fn must_be_of_aws(class: &StorageClass) -> Result<()> {
    let (class, known) = (class.as_str(), StorageClass::of_aws());
    if known.contains(&class) {
        return Ok(());
    }
    let near = nearest(class, known.iter().copied()).map(str::to_owned);
    Err(Error::UnknownClass { class: class.to_owned(), near })
}

fn unfitting(error: impl std::fmt::Display) -> Error {
    Error::Unfitting(error.to_string())
}

/// A remote that has a name, and the file that says so.
#[derive(Debug)]
pub struct Named {
    /// Where it is.
    pub remote: Remote,
    /// [`REMOTES_FILE`], or [`CONFIG_FILE`].
    pub file: &'static str,
    /// The file's directory: paths in it start there.
    dir: PathBuf,
}

/// All remotes that are known: those in `icecore.toml`, which everybody shares, and those in the store's own file.
#[derive(Debug, Default)]
pub struct Remotes {
    /// By name.
    known: BTreeMap<String, Named>,
}

impl Remotes {
    /// Reads both.
    ///
    /// # Errors
    /// If the store's file cannot be read.
    pub fn read(project: Option<&Project>, store_dir: Option<&Path>) -> Result<Self> {
        let mut known = BTreeMap::new();
        if let Some(dir) = store_dir {
            let named = |remote| Named { remote, file: REMOTES_FILE, dir: dir.to_owned() };
            known.extend(of_store(dir)?.into_iter().map(|(name, remote)| (name, named(remote))));
        }
        if let Some(project) = project {
            let named = |remote: &Remote| Named {
                remote: remote.clone(),
                file: CONFIG_FILE,
                dir: project.dir.clone(),
            };
            let shared = project.config.remotes.iter();
            known.extend(shared.map(|(name, remote)| (name.clone(), named(remote))));
        }
        Ok(Self { known })
    }

    /// By name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Named)> {
        self.known.iter().map(|(name, named)| (name.as_str(), named))
    }

    /// The name of the remote that is called so, or that has this URL.
    pub fn name_of(&self, text: &str) -> Option<&str> {
        let is_it = |(name, named): &(&str, &Named)| *name == text || named.remote.is_at(text);
        self.iter().find(is_it).map(|(name, _)| name)
    }

    /// The place that a name, a URL or a path with a `/`, `./` or `../` at its beginning means.
    ///
    /// # Errors
    /// [`Error::NoRemote`] if there is none of this name.
    pub fn place(&self, text: &str, from: &Path) -> Result<Place> {
        if let Some(Named { remote, dir, .. }) = self.known.get(text) {
            return remote.place(dir);
        }
        if is_url(text) {
            // One of this URL says more than a URL can.
            let by_url = self.known.values().find(|named| named.remote.is_at(text));
            return by_url
                .map_or_else(|| Remote::at(text).place(from), |named| named.remote.place(&named.dir));
        }
        // What is a path beyond doubt: a mistyped name must not become a directory.
        if is_plain_path(text) {
            return Remote::at(text).place(from);
        }
        let near = nearest(text, self.known.keys().map(String::as_str)).map(str::to_owned);
        Err(Error::NoRemote { name: without_secret(text), near })
    }
}

/// Whether this is a URL, of whatever kind.
pub fn is_url(text: &str) -> bool {
    !is_plain_path(text) && text.contains("://")
}

/// Whether this is a path beyond doubt, and no name.
pub fn is_plain_path(text: &str) -> bool {
    ["/", "./", "../"].iter().any(|start| text.starts_with(start))
}

/// Writes down a remote of the store in `store_dir`, durably.
///
/// # Errors
/// If its name cannot be one, or is taken.
pub fn add_remote(store_dir: &Path, name: &str, remote: &Remote) -> Result<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !starts || name.len() > NAME_LEN_MAX || !name.chars().all(is_plain) {
        return Err(Error::Unfitting(format!(
            "{:?} is no name for a remote: it has letters, digits, `-`, `_` and `.`, and begins with one of the former",
            without_secret(name)
        )));
    }
    change(store_dir, |remotes| {
        if remotes.contains_key(name) {
            return Err(Error::Unfitting(format!("there is a remote {name} already: remove it first")));
        }
        remotes.insert(name.to_owned(), remote.clone());
        Ok(())
    })
}

/// Forgets a remote of the store in `store_dir`; what lies there stays.
///
/// # Errors
/// [`Error::NoRemote`] if the store's file does not have it.
pub fn remove_remote(store_dir: &Path, name: &str) -> Result<()> {
    change(store_dir, |remotes| {
        if remotes.remove(name).is_none() {
            let near = nearest(name, remotes.keys().map(String::as_str)).map(str::to_owned);
            return Err(Error::NoRemote { name: without_secret(name), near });
        }
        Ok(())
    })
}

/// Reads the store's file, and writes what `change` has made of it. Nobody else does so meanwhile: one of two changes would be lost.
fn change(dir: &Path, change: impl FnOnce(&mut BTreeMap<String, Remote>) -> Result<()>) -> Result<()> {
    let unusable =
        |source: io::Error| Error::Config { path: dir.join(REMOTES_FILE), source: Box::new(source) };
    let _lock = lock(dir).map_err(unusable)?;
    let mut remotes = of_store(dir)?;
    change(&mut remotes)?;
    write(dir, &remotes).map_err(unusable)
}

/// The lock ends with the file that is returned, or with the process.
fn lock(dir: &Path) -> io::Result<File> {
    let path = dir.join(LOCK_FILE);
    let take = || {
        let file = File::options().create(true).truncate(false).write(true).open(&path)?;
        file.lock()?;
        Ok(file)
    };
    take().map_err(|error: io::Error| {
        io::Error::new(error.kind(), format!("cannot lock {}: {error}", path.display()))
    })
}

fn of_store(dir: &Path) -> Result<BTreeMap<String, Remote>> {
    let path = dir.join(REMOTES_FILE);
    let unusable = |source| Error::Config { path: path.clone(), source };
    match read_text(&path) {
        Ok(text) => toml::from_str(&text).map_err(|error| unusable(Box::new(ConfigFault::of(&text, &error)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(unusable(Box::new(error))),
    }
}

/// All at once: whoever reads it sees the old ones or the new ones.
fn write(dir: &Path, remotes: &BTreeMap<String, Remote>) -> io::Result<()> {
    let text = toml::to_string(remotes).map_err(io::Error::other)?;
    // One that a crash has left is written over.
    let new = dir.join(NEW_FILE);
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, dir.join(REMOTES_FILE))?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::thread;

    use super::*;

    #[test]
    fn of_changes_at_once_none_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let add = |name: String| add_remote(dir.path(), &name, &Remote::at("/mnt/store")).unwrap();
        let remove = |name: String| remove_remote(dir.path(), &name).unwrap();
        (0..8).for_each(|n| add(format!("old-{n}")));
        thread::scope(|scope| {
            for n in 0..8 {
                scope.spawn(move || add(format!("new-{n}")));
                scope.spawn(move || remove(format!("old-{n}")));
            }
        });
        let names: Vec<String> = of_store(dir.path()).unwrap().into_keys().collect();
        assert_eq!(names, (0..8).map(|n| format!("new-{n}")).collect::<Vec<_>>());
    }

    #[test]
    fn whoever_may_read_the_store_may_read_the_names() {
        let dir = tempfile::tempdir().unwrap();
        add_remote(dir.path(), "team", &Remote::at("/mnt/store")).unwrap();
        let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        fs::write(dir.path().join("other"), "x").unwrap();
        assert_eq!(mode(REMOTES_FILE), mode("other"));
    }

    #[test]
    fn a_class_of_storage_that_aws_does_not_know_is_one_of_another_server() {
        let mut remote = Remote::at("s3://backups");
        for class in ["STANDARD_IA", "GLACIER_IR", "INTELLIGENT_TIERING", "ONEZONE_IA", "STANDARD"] {
            remote.storage_class = Some(class.to_owned());
            remote.place(Path::new("/")).unwrap();
        }
        remote.storage_class = Some("STANDART_IA".to_owned());
        let error = remote.place(Path::new("/")).unwrap_err();
        assert!(error.to_string().contains("did you mean \"STANDARD_IA\"?"), "{error}");
        remote.endpoint = Some("https://s3.example.org".to_owned());
        remote.place(Path::new("/")).unwrap();
    }

    #[test]
    fn a_name_that_was_none_is_told_without_its_secret() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["s3:KEY:hush@backups", "KEY:hush@backups"] {
            let added = add_remote(dir.path(), text, &Remote::at("team")).unwrap_err();
            let removed = remove_remote(dir.path(), text).unwrap_err();
            let asked = Remotes::default().place(text, dir.path()).unwrap_err();
            for error in [added, removed, asked] {
                assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
            }
        }
    }
}
