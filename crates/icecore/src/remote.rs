//! Stores elsewhere that have a name here.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use icecore_s3::{Addressing, S3Location, S3Options};
use serde::{Deserialize, Serialize};

use crate::config::fault::ConfigFault;
use crate::nearest::nearest;
use crate::place::Place;
use crate::{Error, Project, Result};

/// The file in a store's directory that says which remotes it has. Nothing secret stands in it.
pub const REMOTES_FILE: &str = "remotes.toml";
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
        let endpoint = self.endpoint.as_deref().map(str::parse).transpose().map_err(unfitting)?;
        let storage_class = self.storage_class.as_deref().map(str::parse).transpose().map_err(unfitting)?;
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

fn unfitting(error: impl std::fmt::Display) -> Error {
    Error::Unfitting(error.to_string())
}

/// All remotes that are known: those in `icecore.toml`, which everybody shares, and those in the store's own file.
#[derive(Debug, Default)]
pub struct Remotes {
    /// By name, with the directory where paths in it start.
    known: BTreeMap<String, (Remote, PathBuf)>,
}

impl Remotes {
    /// Reads both.
    ///
    /// # Errors
    /// If the store's file cannot be read.
    pub fn read(project: Option<&Project>, store_dir: Option<&Path>) -> Result<Self> {
        let mut known = BTreeMap::new();
        if let Some(dir) = store_dir {
            known.extend(of_store(dir)?.into_iter().map(|(name, remote)| (name, (remote, dir.to_owned()))));
        }
        if let Some(project) = project {
            let shared = project.config.remotes.iter();
            known.extend(shared.map(|(name, remote)| (name.clone(), (remote.clone(), project.dir.clone()))));
        }
        Ok(Self { known })
    }

    /// By name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Remote)> {
        self.known.iter().map(|(name, (remote, _))| (name.as_str(), remote))
    }

    /// The name of the remote that is called so, or that has this URL.
    pub fn name_of(&self, text: &str) -> Option<&str> {
        let is_it = |(name, remote): &(&str, &Remote)| *name == text || remote.is_at(text);
        self.iter().find(is_it).map(|(name, _)| name)
    }

    /// The place that a name, a URL or a path with a `/`, `./` or `../` at its beginning means.
    ///
    /// # Errors
    /// [`Error::NoRemote`] if there is none of this name.
    pub fn place(&self, text: &str, from: &Path) -> Result<Place> {
        if let Some((remote, dir)) = self.known.get(text) {
            return remote.place(dir);
        }
        if text.contains("://") {
            // One of this URL says more than a URL can.
            let by_url = self.known.values().find(|(remote, _)| remote.is_at(text));
            return by_url.map_or_else(|| Remote::at(text).place(from), |(remote, dir)| remote.place(dir));
        }
        // What is a path beyond doubt: a mistyped name must not become a directory.
        if is_plain_path(text) {
            return Remote::at(text).place(from);
        }
        let near = nearest(text, self.known.keys().map(String::as_str)).map(str::to_owned);
        Err(Error::NoRemote { name: text.to_owned(), near })
    }
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
            "{name:?} is no name for a remote: it has letters, digits, `-`, `_` and `.`, and begins with one of the former"
        )));
    }
    let mut remotes = of_store(store_dir)?;
    if remotes.contains_key(name) {
        return Err(Error::Unfitting(format!("there is a remote {name} already: remove it first")));
    }
    remotes.insert(name.to_owned(), remote.clone());
    write(store_dir, &remotes)
}

/// Forgets a remote of the store in `store_dir`; what lies there stays.
///
/// # Errors
/// [`Error::NoRemote`] if the store's file does not have it.
pub fn remove_remote(store_dir: &Path, name: &str) -> Result<()> {
    let mut remotes = of_store(store_dir)?;
    if remotes.remove(name).is_none() {
        let near = nearest(name, remotes.keys().map(String::as_str)).map(str::to_owned);
        return Err(Error::NoRemote { name: name.to_owned(), near });
    }
    write(store_dir, &remotes)
}

fn of_store(dir: &Path) -> Result<BTreeMap<String, Remote>> {
    let path = dir.join(REMOTES_FILE);
    let unusable = |source| Error::Config { path: path.clone(), source };
    match fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text).map_err(|error| unusable(Box::new(ConfigFault::of(&text, &error)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(unusable(Box::new(error))),
    }
}

/// All at once: whoever reads it sees the old ones or the new ones.
fn write(dir: &Path, remotes: &BTreeMap<String, Remote>) -> Result<()> {
    let path = dir.join(REMOTES_FILE);
    let put = || -> io::Result<()> {
        let text = toml::to_string(remotes).map_err(io::Error::other)?;
        let mut file = tempfile::NamedTempFile::with_prefix_in(REMOTES_FILE, dir)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        File::open(dir)?.sync_all()
    };
    put().map_err(|source| Error::Config { path: path.clone(), source: Box::new(source) })
}
