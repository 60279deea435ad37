//! Services: sources with a name, in `icecore.toml`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use icecore_engine::{EndpointError, mysql, postgres, redis, tls};
use serde::Deserialize;

use crate::config::WebUrl;
use crate::environment::Environment;
use crate::nearest::did_you_mean;
use crate::retention::Policy;
use crate::schedule::Schedule;
use crate::secret::read_secret;
use crate::source::scheme_near;
use crate::{Error, Result, Source};

const ENGINES: [&str; 6] = ["postgres", "mysql", "mariadb", "redis", "sqlite", "files"];

/// What the file says of a service.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// `postgres`, `mysql`, `mariadb`, `redis`, `sqlite` or `files`; a URL says it too.
    pub engine: Option<String>,
    /// Where it is, in one: `postgres://shop@db.example/shop`.
    pub url: Option<String>,
    /// Where it is, piece by piece. For PostgreSQL also the folder of a socket.
    pub host: Option<String>,
    /// At which port.
    pub port: Option<u16>,
    /// Who connects.
    pub user: Option<String>,
    /// Which database.
    pub database: Option<String>,
    /// For `sqlite` and `files`: which file or directory; relative to the file.
    pub path: Option<PathBuf>,
    /// For PostgreSQL: where base backups go back to; relative to the file.
    pub data_directory: Option<PathBuf>,
    /// How much TLS is asked for, in PostgreSQL's words: `verify-full`.
    pub tls: Option<String>,
    /// The file with the certificates of the authorities that are trusted, or `system`; relative to the file, as the next two.
    pub tls_ca: Option<String>,
    /// The file with our own certificate.
    pub tls_cert: Option<PathBuf>,
    /// The file with the key to it.
    pub tls_key: Option<PathBuf>,
    /// The variable that holds the password.
    pub password_env: Option<String>,
    /// The file whose first line is the password; relative to `icecore.toml`.
    pub password_file: Option<PathBuf>,
    /// The program, with its arguments, whose first line of output is the password.
    pub password_command: Option<Vec<String>>,
    /// When it is captured by itself: `30 2 * * *`.
    pub schedule: Option<Schedule>,
    /// Where it is told that the steps of a night begin, and how they ended, as healthchecks.io understands it.
    pub ping: Option<WebUrl>,
    /// How long its snapshots are kept that nobody named: `7d all, 30d daily`.
    pub retention: Option<Policy>,
    /// How long those are kept that somebody named.
    pub retention_named: Option<Policy>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A URL may hold a password.
        f.debug_struct("Service").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl Service {
    /// The engine, where the file tells those apart that are reached in the same way.
    pub fn engine_said(&self) -> Option<&'static str> {
        let scheme = self.url.as_deref().and_then(|url| url.split_once(':')).map(|(scheme, _)| scheme);
        let is_mariadb = self.engine.as_deref() == Some("mariadb") || scheme == Some("mariadb");
        is_mariadb.then_some("mariadb")
    }

    /// The source it means. `dir` is that of `icecore.toml`.
    pub fn source(&self, name: &str, dir: &Path, environment: &Environment<'_>) -> Result<Source> {
        let fault = |what: &str| Error::Service { name: name.to_owned(), what: what.to_owned() };
        if let Some(key) = self.empty() {
            return Err(fault(&format!("its {key} is empty: say what it is, or leave it out")));
        }
        let scheme = self.url.as_ref().and_then(|url| url.split_once(':')).map(|(scheme, _)| scheme);
        let by_scheme = match scheme {
            Some("postgres" | "postgresql") => Some("postgres"),
            Some(scheme) if scheme.starts_with("redis") || scheme.starts_with("valkey") => Some("redis"),
            Some("sqlite") => Some("sqlite"),
            Some("mysql" | "mariadb") => Some("mysql"),
            Some(_) => {
                let near = self.url.as_deref().and_then(scheme_near);
                let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                return Err(fault(&format!("its url is of no kind that is known here{near}")));
            }
            None => None,
        };
        let engine = match (self.engine.as_deref(), by_scheme) {
            (Some("mariadb"), Some("mysql")) => "mysql",
            (Some(engine), Some(other)) if engine != other => {
                return Err(fault(&format!("its engine is {engine}, and its url one of {other}")));
            }
            (Some(engine), _) | (None, Some(engine)) => engine,
            (None, None) if self.path.is_some() => "files",
            (None, None) if self.url.is_some() => {
                return Err(fault(
                    "its url names no kind of place, as sqlite:PATH and postgres://HOST/DB do; a directory or a file is its path",
                ));
            }
            (None, None) => return Err(fault("give it a url, an engine or a path")),
        };
        match engine {
            "mysql" | "mariadb" => self.mysql(name, dir, environment),
            "postgres" => self.postgres(name, dir, environment),
            "redis" => self.redis(name, dir, environment),
            "sqlite" | "files" => {
                let of_url = self.url.as_deref().and_then(|url| url.strip_prefix("sqlite:"));
                let of_url = of_url.filter(|path| !path.is_empty());
                let path =
                    self.path.clone().or(of_url.map(|path| path.strip_prefix("//").unwrap_or(path).into()));
                let path = dir.join(path.ok_or_else(|| fault("give it a path"))?);
                Ok(if engine == "sqlite" { Source::Sqlite(path) } else { Source::Path(path) })
            }
            engine => Err(fault(&format!(
                "there is no engine {engine:?}; known are {}{}",
                ENGINES.join(", "),
                did_you_mean(engine, ENGINES)
            ))),
        }
    }

    /// A key that says nothing. It would mean a default, or the folder of `icecore.toml`, and hardly does.
    fn empty(&self) -> Option<&'static str> {
        let path = self.path.as_deref().and_then(Path::to_str);
        let said = [
            ("url", self.url.as_deref()),
            ("engine", self.engine.as_deref()),
            ("host", self.host.as_deref()),
            ("user", self.user.as_deref()),
            ("database", self.database.as_deref()),
            ("path", path),
            ("tls", self.tls.as_deref()),
            ("tls_ca", self.tls_ca.as_deref()),
            ("tls_cert", self.tls_cert.as_deref().and_then(Path::to_str)),
            ("tls_key", self.tls_key.as_deref().and_then(Path::to_str)),
        ];
        said.into_iter().find(|(_, value)| *value == Some("")).map(|(key, _)| key)
    }

    /// What it says of TLS itself. `dir` is that of `icecore.toml`.
    fn tls(&self, dir: &Path) -> std::result::Result<tls::Settings, EndpointError> {
        let mode = self.tls.as_deref().map(|mode| tls::Mode::parse("tls", mode)).transpose()?;
        let roots = self.tls_ca.as_deref().map(tls::Roots::parse);
        let (cert, key) = (self.tls_cert.clone(), self.tls_key.clone());
        Ok(tls::Settings { mode, roots, cert, key }.below(dir))
    }

    fn postgres(&self, name: &str, dir: &Path, environment: &Environment<'_>) -> Result<Source> {
        let fault = |error: EndpointError| Error::Service { name: name.to_owned(), what: error.to_string() };
        let spelled = self.url.as_deref().and_then(postgres::Spelled::parse).transpose().map_err(fault)?;
        let mut spelled = spelled.unwrap_or_default();
        spelled.host = self.host.clone().or(spelled.host);
        spelled.port = self.port.or(spelled.port);
        spelled.user = self.user.clone().or(spelled.user);
        spelled.database = self.database.clone().or(spelled.database);
        spelled.tls = self.tls(dir).map_err(fault)?.or(&spelled.tls.below(environment.cwd));
        spelled.password = self.password(name, dir, environment)?.or(spelled.password);
        Ok(Source::Postgres(spelled.or(&environment.postgres()?).map_err(fault)?))
    }

    fn mysql(&self, name: &str, dir: &Path, environment: &Environment<'_>) -> Result<Source> {
        let fault = |what: String| Error::Service { name: name.to_owned(), what };
        let endpoint = self.url.as_deref().and_then(mysql::Endpoint::parse).transpose();
        let mut endpoint = endpoint.map_err(|error| fault(error.to_string()))?.unwrap_or_default();
        match self.host.clone() {
            Some(host) if host.starts_with('/') => endpoint.socket = Some(host.into()),
            host => endpoint.host = host.or(endpoint.host),
        }
        endpoint.port = self.port.or(endpoint.port);
        let tls = self.tls(dir).map_err(|error| fault(error.to_string()))?;
        endpoint.tls = tls.or(&endpoint.tls.below(environment.cwd));
        endpoint.user = self.user.clone().or(endpoint.user);
        endpoint.database = self.database.clone().unwrap_or(endpoint.database);
        if endpoint.database.is_empty() {
            return Err(fault("give it a database".to_owned()));
        }
        endpoint.password = self.password(name, dir, environment)?.or(endpoint.password);
        Source::Mysql(endpoint).with_password(environment)
    }

    fn redis(&self, name: &str, dir: &Path, environment: &Environment<'_>) -> Result<Source> {
        let fault = |what: String| Error::Service { name: name.to_owned(), what };
        let mut endpoint = match self.url.as_deref().map(redis::Endpoint::parse) {
            Some(parsed) => parsed
                .ok_or_else(|| fault("its url is none of Redis".to_owned()))?
                .map_err(|error| fault(error.to_string()))?,
            None => redis::Endpoint::default(),
        };
        match &self.host {
            Some(socket) if socket.starts_with('/') => endpoint.address = redis::Address::Unix(socket.into()),
            Some(host) => endpoint.address = redis::Address::Tcp(host.clone(), redis::PORT),
            None => (),
        }
        if let (redis::Address::Tcp(_, port), Some(wanted)) = (&mut endpoint.address, self.port) {
            *port = wanted;
        }
        let tls = self.tls(dir).map_err(|error| fault(error.to_string()))?;
        endpoint.tls = tls.or(&endpoint.tls.below(environment.cwd));
        // Who names a certificate wants TLS.
        if endpoint.tls.mode.is_none() && endpoint.tls != tls::Settings::default() {
            endpoint.tls.mode = Some(tls::Mode::VerifyFull);
        }
        if endpoint.tls.mode == Some(tls::Mode::Prefer) {
            return Err(fault(
                "Redis has TLS at a port of its own, so that none can be preferred".to_owned(),
            ));
        }
        endpoint.user = self.user.clone().or(endpoint.user);
        endpoint.password = self.password(name, dir, environment)?.or(endpoint.password);
        Source::Redis(endpoint).with_password(environment)
    }

    /// The password that it says itself, if it is on the same server as `source`, at the same port and as the same user; and what it means.
    pub(crate) fn login_for(
        &self,
        source: &Source,
        (name, dir): (&str, &Path),
        environment: &Environment<'_>,
    ) -> Result<Option<(String, Source)>> {
        match self.without_password().source(name, dir, environment) {
            Ok(own) if own.shares_login(source) => {
                let of_url = || self.url.as_deref().and_then(Source::password_of_url);
                let password = self.password(name, dir, environment)?.or_else(of_url);
                Ok(password.map(|password| (password, own)))
            }
            // What is wrong with it is the business of those who use it.
            _ => Ok(None),
        }
    }

    /// Whether it means something else, or nothing at all, where `variable` is not set. `dir` is that of `icecore.toml`.
    pub fn heeds(&self, variable: &str, name: &str, dir: &Path, environment: &Environment<'_>) -> bool {
        let own = self.without_password();
        let has_password =
            self.password_env.is_some() || self.password_file.is_some() || self.password_command.is_some();
        let meant = |environment: &Environment<'_>| {
            let mut source = own.source(name, dir, environment).ok()?;
            // Its own password comes before any other.
            if has_password && let Some(password) = source.password_mut() {
                *password = None;
            }
            Some(source)
        };
        let others = |name: &str| (environment.variable)(name).filter(|_| name != variable);
        meant(environment) != meant(&Environment { variable: &others, ..*environment })
    }

    /// The same, that does not say where its password is: a command that tells it may want to be answered.
    pub(crate) fn without_password(&self) -> Self {
        let (password_env, password_file, password_command) = (None, None, None);
        Self { password_env, password_file, password_command, ..self.clone() }
    }

    /// The password, from where it is said to be.
    fn password(&self, name: &str, dir: &Path, environment: &Environment<'_>) -> Result<Option<String>> {
        let fault = |what: String| Error::Service { name: name.to_owned(), what };
        if let Some(variable) = &self.password_env {
            let value = environment.text(variable)?;
            return Ok(Some(
                value.ok_or_else(|| fault(format!("the variable {variable} for its password is not set")))?,
            ));
        }
        if let Some(file) = &self.password_file {
            let file = dir.join(file);
            let unread = |why: &dyn fmt::Display| {
                fault(format!("its password cannot be read from {}: {why}", file.display()))
            };
            let text = read_secret(&file).map_err(|error| unread(&error))?;
            let text = String::from_utf8(text).map_err(|_| unread(&"it is not UTF-8"))?;
            return Ok(Some(first_line(&text)));
        }
        let Some(command) = &self.password_command else { return Ok(None) };
        let (program, arguments) =
            command.split_first().ok_or_else(|| fault("the command for its password is empty".to_owned()))?;
        let failed = |why: String| fault(format!("its password does not come from {program}: {why}"));
        let mut command = Command::new(program);
        command.args(arguments).current_dir(dir).stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = command.output().map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            return Err(failed(output.status.to_string()));
        }
        let text = String::from_utf8(output.stdout).map_err(|_| failed("that is not UTF-8".to_owned()))?;
        Ok(Some(first_line(&text)))
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
