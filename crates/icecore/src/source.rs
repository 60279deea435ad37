//! What is to be captured.

use std::ffi::OsString;
use std::mem::take;
use std::path::{Path, PathBuf};

use icecore_engine::redis::{Address, Endpoint};
use icecore_engine::{EndpointError, mysql, postgres};
use icecore_storage::without_secret;

use crate::environment::{Environment, MYSQL_PASSWORD, REDIS_PASSWORD};
use crate::nearest::nearest;
use crate::{Error, Result, is_url};

/// How URLs begin.
const SCHEMES: [&str; 10] = [
    "postgres://",
    "postgresql://",
    "mysql://",
    "mariadb://",
    "redis://",
    "rediss://",
    "valkey://",
    "valkeys://",
    "redis+unix://",
    "sqlite:",
];

/// A source as a person names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file or a directory; a SQLite database is recognised when it is looked at.
    Path(PathBuf),
    /// A SQLite database, said to be one.
    Sqlite(PathBuf),
    /// A database of a PostgreSQL server.
    Postgres(postgres::Endpoint),
    /// A database of a MySQL or MariaDB server.
    Mysql(mysql::Endpoint),
    /// A server of Redis or Valkey, with all its databases.
    Redis(Endpoint),
    /// What comes in by standard input.
    Stdin,
    /// What a command prints, if it succeeds.
    Command(Vec<OsString>),
}

impl Source {
    /// Understands a SOURCE argument that is no service.
    pub fn parse(text: &Path, environment: &Environment<'_>) -> Result<Self> {
        let cwd = environment.cwd;
        if text.as_os_str() == "-" {
            return Ok(Self::Stdin);
        }
        if let Some(url) = text.to_str() {
            if let Some(path) = url.strip_prefix("sqlite:") {
                let path = path.strip_prefix("//").unwrap_or(path);
                if path.is_empty() {
                    return Err(Error::NoSource { name: url.to_owned(), near: None });
                }
                return Ok(Self::Sqlite(cwd.join(path)));
            }
            if let Some(endpoint) = Endpoint::parse(url) {
                let mut endpoint = endpoint.map_err(|error| Error::Unfitting(error.to_string()))?;
                endpoint.tls = endpoint.tls.below(cwd);
                return Self::Redis(endpoint).with_password(environment);
            }
            if let Some(spelled) = postgres::Spelled::parse(url) {
                let fault = |error: EndpointError| Error::Unfitting(error.to_string());
                let mut spelled = spelled.map_err(fault)?;
                spelled.tls = spelled.tls.below(cwd);
                return Ok(Self::Postgres(spelled.or(&environment.postgres()?).map_err(fault)?));
            }
            if let Some(endpoint) = mysql::Endpoint::parse(url) {
                let mut endpoint = endpoint.map_err(|error| Error::Unfitting(error.to_string()))?;
                endpoint.tls = endpoint.tls.below(cwd);
                return Self::Mysql(endpoint).with_password(environment);
            }
            if is_url(url) {
                return Err(Error::UnknownUrl { url: without_secret(url), near: scheme_near(url) });
            }
        }
        let path = cwd.join(text);
        match path.symlink_metadata() {
            Ok(_) => Ok(Self::Path(path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let name = text.display().to_string();
                match scheme_near(&name) {
                    Some(near) => Err(Error::UnknownUrl { url: without_secret(&name), near: Some(near) }),
                    None => Err(Error::NoSource { name, near: None }),
                }
            }
            // The capture says what is wrong with it.
            Err(_) => Ok(Self::Path(path)),
        }
    }

    /// The engine, as lists show it.
    pub fn engine(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgres",
            Self::Mysql(_) => "mysql",
            Self::Redis(_) => "redis",
            Self::Sqlite(_) => "sqlite",
            Self::Path(_) | Self::Stdin | Self::Command(_) => "files",
        }
    }

    /// Where it is, without anything secret.
    pub fn place(&self) -> String {
        match self {
            Self::Postgres(endpoint) => format!("{endpoint} as {}", endpoint.user),
            Self::Mysql(endpoint) => endpoint.to_string(),
            Self::Redis(endpoint) => endpoint.address.to_string(),
            Self::Path(path) | Self::Sqlite(path) => path.display().to_string(),
            Self::Stdin => "standard input".to_owned(),
            Self::Command(argv) => {
                argv.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
            }
        }
    }

    /// Whether the text has a password in it, which others on this machine may see.
    pub fn shows_password(text: &Path) -> bool {
        text.to_str().is_some_and(|url| Self::password_of_url(url).is_some())
    }

    /// The password in a URL.
    pub(crate) fn password_of_url(url: &str) -> Option<String> {
        if let Some(Ok(mysql)) = mysql::Endpoint::parse(url) {
            return mysql.password;
        }
        match (Endpoint::parse(url), postgres::Spelled::parse(url)) {
            (Some(Ok(redis)), _) => redis.password,
            (_, Some(Ok(postgres))) => postgres.password,
            _ => None,
        }
    }

    /// Where the password of a server goes, if this is one.
    pub(crate) fn password_mut(&mut self) -> Option<&mut Option<String>> {
        match self {
            Self::Postgres(endpoint) => Some(&mut endpoint.password),
            Self::Mysql(endpoint) => Some(&mut endpoint.password),
            Self::Redis(endpoint) => Some(&mut endpoint.password),
            _ => None,
        }
    }

    /// Whether both are on the same server, at the same port, as the same user: one password is that of both.
    pub(crate) fn shares_login(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Postgres(a), Self::Postgres(b)) => {
                (&a.host, a.port, &a.user) == (&b.host, b.port, &b.user)
            }
            (Self::Mysql(a), Self::Mysql(b)) => {
                (&a.host, a.port, &a.socket, &a.user) == (&b.host, b.port, &b.socket, &b.user)
            }
            (Self::Redis(a), Self::Redis(b)) => (&a.address, &a.user) == (&b.address, &b.user),
            _ => false,
        }
    }

    /// Takes over what another one on the same server asks of TLS, where this one says nothing.
    pub(crate) fn ask_of_tls(&mut self, other: &Self) {
        match (self, other) {
            (Self::Postgres(this), Self::Postgres(other)) => this.tls = take(&mut this.tls).or(&other.tls),
            (Self::Mysql(this), Self::Mysql(other)) => this.tls = take(&mut this.tls).or(&other.tls),
            (Self::Redis(this), Self::Redis(other)) => this.tls = take(&mut this.tls).or(&other.tls),
            _ => (),
        }
    }

    /// With the password that the environment has for it, if it has none, and with what option files say.
    pub(crate) fn with_password(mut self, environment: &Environment<'_>) -> Result<Self> {
        if let Self::Mysql(endpoint) = self {
            self = Self::Mysql(endpoint.with_options());
        }
        let (password, variable) = match &mut self {
            Self::Redis(endpoint) => (&mut endpoint.password, REDIS_PASSWORD),
            Self::Mysql(endpoint) => (&mut endpoint.password, MYSQL_PASSWORD),
            _ => return Ok(self),
        };
        if password.is_none() {
            *password = environment.text(variable)?;
        }
        Ok(self)
    }

    /// The name under which its snapshots form a series, if none is given.
    pub fn default_name(&self) -> String {
        // As it was called: a link such as `current` stays one series, wherever it leads.
        let file_name = |path: &Path| {
            let path = match path.file_name() {
                Some(_) => path.to_owned(),
                None => path.canonicalize().unwrap_or_else(|_| path.to_owned()),
            };
            path.file_name().map_or_else(|| "root".to_owned(), |name| name.to_string_lossy().into_owned())
        };
        match self {
            Self::Path(path) | Self::Sqlite(path) => file_name(path),
            Self::Redis(endpoint) => match &endpoint.address {
                Address::Unix(path) => file_name(path),
                address => address.to_string(),
            },
            Self::Postgres(endpoint) => endpoint.database.clone(),
            Self::Mysql(endpoint) => endpoint.database.clone(),
            Self::Stdin => "stdin".to_owned(),
            Self::Command(argv) => {
                argv.first().map_or_else(|| "command".to_owned(), |name| file_name(Path::new(name)))
            }
        }
    }
}

/// How a URL should have begun that begins in no way that is known, if it is near to one.
pub(crate) fn scheme_near(url: &str) -> Option<&'static str> {
    let (scheme, _) = url.split_once(':')?;
    let bare = |known: &'static str| known.split(':').next().unwrap_or(known);
    let near = nearest(scheme, SCHEMES.map(bare))?;
    SCHEMES.into_iter().find(|known| bare(known) == near)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment<'static> {
        Environment { cwd: Path::new("/tmp"), variable: &|_| None, user: &|| None }
    }

    #[test]
    fn errors_never_repeat_the_password_of_a_url() {
        for url in ["oracle://me:secret@db/shop", "mysql://me:secret@db", "postgres://me:secret@db:x/shop"] {
            let error = Source::parse(Path::new(url), &environment()).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_mistyped_url_says_how_it_should_begin() {
        for (url, near) in [
            ("postgress://db/shop", Some("postgres://")),
            ("mysq://me:secret@db/shop", Some("mysql://")),
            ("Redis://db", Some("redis://")),
            ("postgres:/me:secret@db/shop", Some("postgres://")),
            ("sqllite:shop.db", Some("sqlite:")),
            ("oracle://db/shop", None),
        ] {
            let error = Source::parse(Path::new(url), &environment()).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
            assert!(matches!(error, Error::UnknownUrl { near: said, .. } if said == near), "{error}");
        }
    }

    #[test]
    fn sources_are_told_apart_by_their_form() {
        let cwd = &environment();
        assert_eq!(Source::parse(Path::new("-"), cwd).unwrap(), Source::Stdin);
        let sqlite = Source::parse(Path::new("sqlite:a/b.db"), cwd).unwrap();
        assert_eq!(sqlite, Source::Sqlite(PathBuf::from("/tmp/a/b.db")));
        assert_eq!(sqlite.default_name(), "b.db");
        assert!(matches!(Source::parse(Path::new("sqlite:"), cwd), Err(Error::NoSource { .. })));
        assert!(matches!(Source::parse(Path::new("no such file"), cwd), Err(Error::NoSource { .. })));
    }
}
