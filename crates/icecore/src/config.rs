//! `icecore.toml`: settings of a project.

mod check;
pub(crate) mod fault;
mod nightly;
mod retention;
mod web;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use self::fault::ConfigFault;
pub use self::nightly::{NightlySettings, WebhookWhen};
pub use self::retention::Retention;
pub use self::web::WebUrl;
use crate::create::PHYSICAL_SUFFIX;
use crate::nearest::nearest;
use crate::origin::place_of;
use crate::service::Service;
use crate::small_file::read_text;
use crate::{Database, Environment, Error, Remote, Result, Source};

/// The file's name.
pub const CONFIG_FILE: &str = "icecore.toml";

/// What the file says. A key that is not known is an error: it may be a misspelt one, and lead to another store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the store is; relative to the file.
    pub store: Option<PathBuf>,
    /// How long snapshots are kept.
    #[serde(default)]
    pub retention: Retention,
    /// What is done every night.
    #[serde(default)]
    pub nightly: NightlySettings,
    /// Stores elsewhere, to push to and to pull from.
    #[serde(default)]
    pub remotes: BTreeMap<String, Remote>,
    /// Sources with a name.
    #[serde(default)]
    pub services: BTreeMap<String, Service>,
}

/// A configuration, and where it lies: paths in it start there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// What it says.
    pub config: Config,
    /// The file.
    pub file: PathBuf,
    /// Its directory.
    pub dir: PathBuf,
}

impl Project {
    /// Reads the nearest file from `from` upwards.
    pub fn find(from: &Path) -> Result<Option<Self>> {
        for dir in from.ancestors() {
            let file = dir.join(CONFIG_FILE);
            if let Some(config) = Config::read(&file)? {
                return Ok(Some(Self { config, file, dir: dir.to_owned() }));
            }
        }
        Ok(None)
    }

    /// Reads this file.
    pub fn read(path: &Path) -> Result<Self> {
        let config = Config::read(path)?.ok_or_else(|| Error::NoConfig { path: path.to_owned() })?;
        let dir = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Self { config, file: path.to_owned(), dir })
    }

    /// The source that a service means; `None` if there is no service of that name.
    pub fn source(&self, name: &str, environment: &Environment<'_>) -> Result<Option<Source>> {
        let service = self.config.services.get(name);
        service.map(|service| service.source(name, &self.dir, environment)).transpose()
    }
}

impl Project {
    /// The source, with the password of a service that is on the same server, at the same port and as the same user, if there is one; and with
    /// what that asks of TLS where the source says nothing: a password goes no way that is less private than its own.
    pub fn with_password(&self, mut source: Source, environment: &Environment<'_>) -> Result<Source> {
        if source.password_mut().is_none() {
            return Ok(source);
        }
        for (name, service) in &self.config.services {
            let login = service.login_for(&source, (name, &self.dir), environment)?;
            if let (Some(place), Some((password, own))) = (source.password_mut(), login) {
                *place = Some(password);
                source.ask_of_tls(&own);
                break;
            }
        }
        Ok(source)
    }

    /// The service whose SQLite database is this file, if there is one.
    pub fn service_of_file(&self, file: &Path) -> Option<&str> {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let file = real(file);
        let is_it = |service: &Service| {
            let of_url = service.url.as_deref().and_then(|url| url.strip_prefix("sqlite:")).map(Path::new);
            let of_path = service.path.as_deref().filter(|_| service.engine.as_deref() == Some("sqlite"));
            of_url.or(of_path).is_some_and(|path| real(&self.dir.join(path)) == file)
        };
        self.config.services.iter().find(|(_, service)| is_it(service)).map(|(name, _)| name.as_str())
    }

    /// Refuses names that no service has.
    pub fn check_services(&self, names: &[String]) -> Result<()> {
        match names.iter().find(|name| !self.config.services.contains_key(*name)) {
            Some(name) => {
                let near = self.service_near(name).map(str::to_owned);
                Err(Error::NoService { name: name.clone(), near })
            }
            None => Ok(()),
        }
    }

    /// The service whose name is nearest to one that is none, if one is near.
    pub fn service_near(&self, name: &str) -> Option<&str> {
        nearest(name, self.config.services.keys().map(String::as_str))
    }

    /// The service that is at this place, by whatever user it is reached; `first` is asked first. None of them tells its password.
    pub fn service_at(&self, place: &str, first: &str, environment: &Environment<'_>) -> Option<&str> {
        let is_it = |(name, service): &(&String, &Service)| {
            let source = service.without_password().source(name, &self.dir, environment);
            source.is_ok_and(|source| {
                Database::of(&source).is_some_and(|it| place_of(&it.url()) == place_of(place))
            })
        };
        let services = || self.config.services.iter();
        let found =
            services().filter(|(name, _)| *name == first).find(is_it).or_else(|| services().find(is_it));
        found.map(|(name, _)| name.as_str())
    }

    /// Where the base backups of a series go back to, if its service says so.
    pub fn data_directory(&self, series: &str) -> Option<PathBuf> {
        let service = self.config.services.get(series.strip_suffix(PHYSICAL_SUFFIX)?)?;
        Some(self.dir.join(service.data_directory.as_ref()?))
    }
}

impl Config {
    fn read(path: &Path) -> Result<Option<Self>> {
        let unusable = |source| Error::Config { path: path.to_owned(), source };
        match read_text(path) {
            Ok(text) => {
                let read = toml::from_str(&text);
                Ok(Some(read.map_err(|error| unusable(Box::new(ConfigFault::of(&text, &error))))?))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unusable(Box::new(error))),
        }
    }
}
