//! Where a database is, and as whom to talk to it.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::server_url::{EndpointError, ServerUrl, encoded, parse_port};
use crate::tls::{self, Connector, Mode, Roots, Settings};

/// Where a server's socket lies if nobody says where it listens.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];
const PORT: u16 = 5432;

/// A database of a server, as a URL names it: `postgres://[USER[:PASSWORD]@][HOST[:PORT]][/DATABASE]`, where `?host=/FOLDER` is the folder of a
/// socket, and `sslmode`, `sslrootcert`, `sslcert` and `sslkey` are libpq's.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where the server listens.
    pub host: Host,
    /// At which port; for a socket, part of its name.
    pub port: u16,
    /// Who we are.
    pub user: String,
    /// That role's password.
    pub password: Option<String>,
    /// Which database.
    pub database: String,
    /// What is said of TLS, which no socket has.
    pub tls: Settings,
    /// Whether a password must be proved for the very certificate that is shown (`channel_binding=require`).
    pub needs_binding: bool,
    /// See [`Defaults::tls_folder`].
    pub tls_folder: Option<PathBuf>,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A host by name or number.
    Tcp(String),
    /// The folder its socket lies in.
    Folder(PathBuf),
}

/// What holds where a URL is silent: what the variables say that `psql` heeds, and who runs this program.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// `PGHOST`: a name, or the folder of a socket.
    pub host: Option<String>,
    /// `PGPORT`.
    pub port: Option<u16>,
    /// `PGUSER`, or the user's name.
    pub user: Option<String>,
    /// `PGPASSWORD`.
    pub password: Option<String>,
    /// `PGDATABASE`.
    pub database: Option<String>,
    /// `PGPASSFILE`, or `~/.pgpass`.
    pub passfile: Option<PathBuf>,
    /// `PGSSLMODE`, `PGSSLROOTCERT`, `PGSSLCERT` and `PGSSLKEY`.
    pub tls: Settings,
    /// `PGCHANNELBINDING`: see [`Endpoint::needs_binding`].
    pub needs_binding: Option<bool>,
    /// `~/.postgresql`, where certificates lie that nobody names.
    pub tls_folder: Option<PathBuf>,
}

/// What is said of a database; the rest is up to the [`Defaults`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Spelled {
    /// A name, or the folder of a socket.
    pub host: Option<String>,
    /// See [`Endpoint::port`].
    pub port: Option<u16>,
    /// See [`Endpoint::user`].
    pub user: Option<String>,
    /// See [`Endpoint::password`].
    pub password: Option<String>,
    /// See [`Endpoint::database`].
    pub database: Option<String>,
    /// See [`Endpoint::tls`].
    pub tls: Settings,
    /// See [`Endpoint::needs_binding`].
    pub needs_binding: Option<bool>,
}

/// Whether this is what libpq's `channel_binding` must be for it to be needed; without a need it is done where it can be.
///
/// # Errors
/// If it cannot be that.
pub fn needs_binding(setting: &str, word: &str) -> Result<bool, EndpointError> {
    match word {
        "require" => Ok(true),
        "prefer" | "disable" => Ok(false),
        _ => {
            Err(EndpointError(format!("{setting} cannot be {word:?}; it is one of disable, prefer, require")))
        }
    }
}

impl Spelled {
    /// Understands a URL; `None` if it is one of something else.
    pub fn parse(text: &str) -> Option<Result<Self, EndpointError>> {
        let (scheme, rest) = text.split_once("://")?;
        matches!(scheme, "postgres" | "postgresql").then(|| Self::of_url(rest))
    }

    fn of_url(rest: &str) -> Result<Self, EndpointError> {
        let url = ServerUrl::parse(rest)?;
        let (host, port, user, password, database) = (url.host, url.port, url.user, url.password, url.path);
        let mut spelled = Self { host, port, user, password, database, ..Self::default() };
        for (key, value) in url.query {
            match key.as_str() {
                "host" => spelled.host = Some(value),
                "port" => spelled.port = Some(parse_port(&value)?),
                "user" => spelled.user = Some(value),
                "password" => spelled.password = Some(value),
                "dbname" => spelled.database = Some(value),
                "channel_binding" => spelled.needs_binding = Some(needs_binding(&key, &value)?),
                "application_name" | "connect_timeout" => (),
                _ if spelled.tls.take(&tls::POSTGRES, &key, &value)? => (),
                _ => return Err(EndpointError(format!("{key:?} means nothing in such a URL"))),
            }
        }
        Ok(spelled)
    }

    /// With what holds where nothing is said.
    pub fn or(self, defaults: &Defaults) -> Result<Endpoint, EndpointError> {
        let host = match self.host.or_else(|| defaults.host.clone()) {
            Some(host) if host.starts_with('/') => Host::Folder(host.into()),
            Some(host) => Host::Tcp(host),
            None => match SOCKET_FOLDERS.map(Path::new).into_iter().find(|folder| folder.is_dir()) {
                Some(folder) if has_socket(folder) => Host::Folder(folder.to_owned()),
                _ => Host::Tcp("localhost".to_owned()),
            },
        };
        let user = self.user.or_else(|| defaults.user.clone());
        let user = user.ok_or_else(|| EndpointError("it is not said who connects: name the user in the URL, postgres://USER@HOST/DATABASE, or set PGUSER".to_owned()))?;
        let database = self.database.or_else(|| defaults.database.clone()).unwrap_or_else(|| user.clone());
        let port = self.port.or(defaults.port).unwrap_or(PORT);
        let tls = self.tls.or(&defaults.tls);
        let tls = if matches!(host, Host::Tcp(_)) { checked(tls)? } else { tls };
        let needs_binding = self.needs_binding.or(defaults.needs_binding).unwrap_or(false);
        let mut endpoint = Endpoint {
            host,
            port,
            user,
            password: self.password,
            database,
            tls,
            needs_binding,
            tls_folder: defaults.tls_folder.clone(),
        };
        if endpoint.password.is_none() {
            endpoint.password = defaults.password.clone();
        }
        if let (None, Some(file)) = (&endpoint.password, &defaults.passfile) {
            endpoint.password = super::passfile::password(file, &endpoint);
        }
        Ok(endpoint)
    }
}

/// Anybody can have a certificate of some authority that the system trusts: of those, the name is asked too.
fn checked(tls: Settings) -> Result<Settings, EndpointError> {
    match (&tls.roots, tls.mode) {
        (Some(Roots::System), None) => Ok(Settings { mode: Some(Mode::VerifyFull), ..tls }),
        (Some(Roots::System), Some(mode)) if mode < Mode::VerifyFull => {
            Err(EndpointError("sslrootcert=system needs sslmode=verify-full".to_owned()))
        }
        _ => Ok(tls),
    }
}

fn has_socket(folder: &Path) -> bool {
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.any(|entry| entry.file_name().as_encoded_bytes().starts_with(b".s.PGSQL."))
}

impl Endpoint {
    /// Another database of the same server.
    pub fn with_database(&self, database: &str) -> Self {
        Self { database: database.to_owned(), ..self.clone() }
    }

    /// A URL of it, without its password.
    pub fn url(&self) -> String {
        let (user, database) = (encoded(&self.user), encoded(&self.database));
        let path = |text: &str| encoded(text).replace("%2F", "/");
        match &self.host {
            Host::Tcp(name) => {
                let name = if name.contains(':') { format!("[{name}]") } else { name.clone() };
                let binding = self.needs_binding.then(|| ("channel_binding", "require".to_owned()));
                let tls = self.tls.query(&tls::POSTGRES).into_iter().chain(binding);
                let tls: Vec<_> = tls.map(|(key, value)| format!("{key}={}", path(&value))).collect();
                let mark = if tls.is_empty() { "" } else { "?" };
                format!("postgres://{user}@{name}:{}/{database}{mark}{}", self.port, tls.join("&"))
            }
            Host::Folder(folder) => {
                let folder = path(&folder.to_string_lossy());
                format!("postgres://{user}@/{database}?host={folder}&port={}", self.port)
            }
        }
    }

    /// What connections of ours are made private by, if they are.
    ///
    /// # Errors
    /// If what is said cannot be used, in words without the server's name.
    pub(super) fn connector(&self) -> Result<Connector, String> {
        let mode = self.tls.mode.unwrap_or(Mode::Prefer);
        if matches!(self.host, Host::Folder(_)) || mode == Mode::Disable {
            return Ok(Connector::none());
        }
        let mut tls = self.tls.clone();
        let usual = |name: &str| self.tls_folder.as_ref().map(|folder| folder.join(name));
        let usual = |name: &str| usual(name).filter(|path| path.exists());
        tls.roots = tls.roots.or_else(|| usual("root.crt").map(Roots::File));
        tls.cert = tls.cert.or_else(|| usual("postgresql.crt"));
        tls.key = tls.key.or_else(|| usual("postgresql.key"));
        match &tls.roots {
            None if mode >= Mode::VerifyCa => {
                return Err(format!(
                    "sslmode={} needs to know whom to trust; name the certificate of an authority by sslrootcert, or all that this machine trusts by sslrootcert=system",
                    tls::POSTGRES.word(mode)
                ));
            }
            Some(Roots::File(path)) if mode < Mode::VerifyCa && !path.exists() => tls.roots = None,
            _ => (),
        }
        Connector::new(&tls, mode, &tls::POSTGRES)
    }

    /// What programs of PostgreSQL are told by their environment.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("PGHOST", self.host.to_string()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", self.user.clone()),
            ("PGDATABASE", self.database.clone()),
            ("PGCONNECT_TIMEOUT", "10".to_owned()),
        ];
        variables.extend(self.password.clone().map(|password| ("PGPASSWORD", password)));
        let Settings { mode, roots, cert, key } = &self.tls;
        variables.extend(mode.map(|mode| ("PGSSLMODE", tls::POSTGRES.word(mode).to_owned())));
        variables.extend(self.needs_binding.then(|| ("PGCHANNELBINDING", "require".to_owned())));
        // Before PostgreSQL 16 they know no word for what the system trusts.
        let roots = roots.as_ref().map(|roots| roots.file().unwrap_or_else(|| "system".into()));
        let paths = [("PGSSLROOTCERT", &roots), ("PGSSLCERT", cert), ("PGSSLKEY", key)];
        let paths = paths.into_iter().filter_map(|(name, path)| Some((name, path.as_ref()?)));
        variables.extend(paths.map(|(name, path)| (name, path.display().to_string())));
        variables
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = self.password.as_ref().map(|_| "...");
        let Self { host, port, user, database, .. } = self;
        let mut f = f.debug_struct("Endpoint");
        f.field("host", host).field("port", port).field("user", user).field("password", &password);
        f.field("database", database).finish()
    }
}

impl fmt::Debug for Spelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spelled")
            .field("host", &self.host)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Defaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Defaults").field("host", &self.host).field("user", &self.user).finish_non_exhaustive()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(name) => write!(f, "{name}"),
            Self::Folder(folder) => write!(f, "{}", folder.display()),
        }
    }
}

/// The server and its database, for people: `shop on db.example:5432`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, database, .. } = self;
        match host {
            Host::Tcp(name) if name.contains(':') => write!(f, "{database} on [{name}]:{port}"),
            host => write!(f, "{database} on {host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Defaults {
        Defaults { host: Some("standard".to_owned()), user: Some("me".to_owned()), ..Defaults::default() }
    }

    #[test]
    fn urls_name_databases() {
        let check = |url: &str, said: &str| {
            let endpoint = Spelled::parse(url).unwrap().unwrap().or(&defaults()).unwrap();
            assert_eq!(format!("{} {endpoint}", endpoint.user), said, "{url}");
            let again = Spelled::parse(&endpoint.url()).unwrap().unwrap().or(&Defaults::default()).unwrap();
            assert_eq!(again, Endpoint { password: None, ..endpoint });
        };
        check("postgres://localhost/shop", "me shop on localhost:5432");
        check("postgresql://you:p%40ss@db.example:5433/the%20shop", "you the shop on db.example:5433");
        check("postgres://[::1]/shop?sslmode=prefer", "me shop on [::1]:5432");
        check(
            "postgres://h/shop?sslmode=verify-ca&sslrootcert=/my%20ca&channel_binding=require",
            "me shop on h:5432",
        );
        check("postgres:///shop?host=/run/pg&port=5444", "me shop on /run/pg:5444");
        check("postgres://", "me me on standard:5432");
        check("postgres://you@/shop?host=/run/pg", "you shop on /run/pg:5432");
        check("postgres:///?dbname=a&user=b", "b a on standard:5432");
        assert!(Spelled::parse("redis://localhost").is_none());
        assert!(Spelled::parse("shop.sql").is_none());
    }

    #[test]
    fn passwords_come_from_where_psql_finds_them_and_show_nowhere() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "# mine\nother:*:*:*:wrong\n*:5432:sh\\:op:me:fil\\:ed\\\\\n*:*:*:*:last\n")
            .unwrap();
        let file = Some(file.path().to_owned());
        let check = |url: &str, defaults: &Defaults, password: &str| {
            let endpoint = Spelled::parse(url).unwrap().unwrap().or(defaults).unwrap();
            assert_eq!(endpoint.password.as_deref(), Some(password), "{url}");
            assert!(!format!("{endpoint:?} {endpoint}").contains(password));
        };
        let filed = Defaults { passfile: file.clone(), ..defaults() };
        check("postgres://a:hush@h/b", &filed, "hush");
        check("postgres://h/sh%3Aop", &filed, "fil:ed\\");
        check("postgres://h/shop", &filed, "last");
        let both = Defaults { password: Some("variable".to_owned()), ..filed };
        check("postgres://h/shop", &both, "variable");
    }

    #[test]
    fn what_is_refused_says_why_and_repeats_no_password() {
        for (url, why) in [
            ("postgres://a:hush@h/b?sslmode=verify", "verify-full"),
            ("postgres://a:hush@h/b?sslrootcert=system&sslmode=require", "verify-full"),
            ("postgres://a:hush@h/b?port=hush", "port"),
            ("postgres://a:hush@h/b?colour=red", "colour"),
            ("postgres://a:hush@h h/b", "one host"),
            ("postgres://a:hush@h:hush/b", "port"),
        ] {
            let endpoint = Spelled::parse(url).unwrap().and_then(|spelled| spelled.or(&defaults()));
            let error = endpoint.unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("hush"), "{url}: {error}");
        }
    }
}
