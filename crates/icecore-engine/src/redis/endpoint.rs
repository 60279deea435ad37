//! Where a server is, and as whom to talk to it.

use std::fmt;
use std::path::PathBuf;

use crate::server_url::{EndpointError, ServerUrl, encoded};
use crate::tls::{Mode, REDIS, Roots, Settings};

/// Where a server listens that nobody told otherwise.
pub const PORT: u16 = 6379;
/// What `rediss` means if no more is said.
const STRICTEST: &str = "FULL";

/// A server of Redis or Valkey, as a URL names it: `redis://[USER[:PASSWORD]@]HOST[:PORT]`, `rediss://` by TLS, or `redis+unix:///SOCKET[?user=USER]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it listens.
    pub address: Address,
    /// Who we are; the default user if it is not said.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// What is said of TLS, which there is if a mode is said.
    pub tls: Settings,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A host by name or number, and a port.
    Tcp(String, u16),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl Default for Endpoint {
    fn default() -> Self {
        Self {
            address: Address::Tcp("localhost".to_owned(), PORT),
            user: None,
            password: None,
            tls: Settings::default(),
        }
    }
}

impl Endpoint {
    /// Understands a URL; `None` if it is one of something else.
    pub fn parse(text: &str) -> Option<Result<Self, EndpointError>> {
        let (scheme, rest) = text.split_once("://")?;
        match scheme {
            "redis" | "valkey" => Some(Self::of_host(rest, None)),
            "rediss" | "valkeys" => Some(Self::of_host(rest, Some(Mode::VerifyFull))),
            "redis+unix" | "valkey+unix" => Some(Self::of_socket(rest)),
            _ => None,
        }
    }

    /// A URL of it, without its password.
    pub fn url(&self) -> String {
        let path = |text: &str| encoded(text).replace("%2F", "/");
        let user = self.user.as_deref().map(encoded);
        match &self.address {
            Address::Tcp(..) => {
                let user = user.map(|user| user + "@").unwrap_or_default();
                if self.mode() == Mode::Disable {
                    return format!("redis://{user}{}", self.address);
                }
                // The strictest goes without saying.
                let query = self.tls.query(&REDIS).into_iter();
                let query = query.filter(|(key, value)| (*key, value.as_str()) != (REDIS.mode, STRICTEST));
                let query: Vec<_> = query.map(|(key, value)| format!("{key}={}", path(&value))).collect();
                let mark = if query.is_empty() { "" } else { "?" };
                format!("rediss://{user}{}{mark}{}", self.address, query.join("&"))
            }
            Address::Unix(socket) => {
                let path = path(&socket.to_string_lossy());
                format!("redis+unix://{path}{}", user.map(|user| format!("?user={user}")).unwrap_or_default())
            }
        }
    }

    /// How much TLS there is: none on a socket, and none that nobody speaks of.
    pub(super) fn mode(&self) -> Mode {
        match self.address {
            Address::Unix(_) => Mode::Disable,
            Address::Tcp(..) => self.tls.mode.unwrap_or(Mode::Disable),
        }
    }

    /// What redis-cli is told of TLS by its arguments.
    pub fn tls_arguments(&self) -> Vec<String> {
        let Settings { roots, cert, key, .. } = &self.tls;
        let mode = self.mode();
        if mode == Mode::Disable {
            return Vec::new();
        }
        let mut arguments = vec!["--tls".to_owned()];
        if mode == Mode::Require && roots.is_none() {
            arguments.push("--insecure".to_owned());
        }
        let roots = roots.as_ref().and_then(Roots::file);
        let files = [("--cacert", &roots), ("--cert", cert), ("--key", key)];
        for (name, path) in files {
            arguments.extend(path.iter().flat_map(|path| [name.to_owned(), path.display().to_string()]));
        }
        if let Address::Tcp(host, _) = &self.address
            && host.parse::<std::net::IpAddr>().is_err()
        {
            arguments.extend(["--sni".to_owned(), host.clone()]);
        }
        arguments
    }

    fn of_host(rest: &str, mode: Option<Mode>) -> Result<Self, EndpointError> {
        let url = ServerUrl::parse(rest)?;
        let host = url.host.ok_or_else(|| EndpointError("the URL names no host".to_owned()))?;
        let mut tls = Settings { mode, ..Settings::default() };
        for (key, value) in &url.query {
            if mode.is_none() || !tls.take(&REDIS, key, value)? {
                return Err(EndpointError(format!("{key:?} means nothing in such a URL")));
            }
        }
        if url.path.is_some() {
            return Err(EndpointError(
                "the databases of a server are captured together: leave out what follows the host".to_owned(),
            ));
        }
        let address = Address::Tcp(host, url.port.unwrap_or(PORT));
        Ok(Self { address, user: url.user, password: url.password, tls })
    }

    fn of_socket(rest: &str) -> Result<Self, EndpointError> {
        let url = ServerUrl::parse(rest)?;
        let path = url.path.filter(|_| url.host.is_none());
        let path = path.ok_or_else(|| {
            EndpointError("the URL must have three slashes and the path of a socket".to_owned())
        })?;
        let mut user = None;
        for (key, value) in url.query {
            match key.as_str() {
                "user" => user = Some(value),
                _ => return Err(EndpointError(format!("{key:?} means nothing in such a URL"))),
            }
        }
        Ok(Self { address: Address::Unix(format!("/{path}").into()), user, ..Self::default() })
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = self.password.as_ref().map(|_| "...");
        let Self { address, user, .. } = self;
        f.debug_struct("Endpoint")
            .field("address", address)
            .field("user", user)
            .field("password", &password)
            .finish()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16, user: Option<&str>, password: Option<&str>) -> Endpoint {
        let [user, password] = [user, password].map(|text| text.map(str::to_owned));
        Endpoint { address: Address::Tcp(host.to_owned(), port), user, password, ..Endpoint::default() }
    }

    #[test]
    fn urls_name_servers() {
        let parse = |text: &str| Endpoint::parse(text).unwrap().unwrap();
        assert_eq!(parse("redis://localhost"), tcp("localhost", 6379, None, None));
        assert_eq!(parse("redis://cache.example:6380/"), tcp("cache.example", 6380, None, None));
        assert_eq!(parse("valkey://:p%40ss@[::1]:7000"), tcp("::1", 7000, None, Some("p@ss")));
        assert_eq!(parse("redis://me:secret@10.0.0.1"), tcp("10.0.0.1", 6379, Some("me"), Some("secret")));
        let socket = parse("redis+unix:///run/redis%20one/socket?user=me");
        assert_eq!(socket.address, Address::Unix("/run/redis one/socket".into()));
        assert_eq!(socket.user.as_deref(), Some("me"));
        for endpoint in [socket, tcp("::1", 7000, None, None), tcp("cache.example", 1, Some("a@b"), None)] {
            let url = endpoint.url();
            assert_eq!(Endpoint::parse(&url).unwrap().unwrap(), endpoint, "{url}");
        }
        let check = |url: &str, mode: Mode, arguments: &[&str]| {
            let endpoint = parse(url);
            assert_eq!(
                (endpoint.mode(), endpoint.tls_arguments()),
                (mode, arguments.iter().map(|it| (*it).to_owned()).collect())
            );
            assert_eq!(endpoint.url(), url);
        };
        check("rediss://[::1]:6379", Mode::VerifyFull, &["--tls"]);
        check("rediss://h:1?verifyPeer=NONE", Mode::Require, &["--tls", "--insecure", "--sni", "h"]);
        check(
            "rediss://h:1?verifyPeer=CA&cacert=/my%20ca",
            Mode::VerifyCa,
            &["--tls", "--cacert", "/my ca", "--sni", "h"],
        );
        check("redis://h:1", Mode::Disable, &[]);
        assert_eq!(Endpoint::parse("postgres://localhost/shop"), None);
        assert_eq!(Endpoint::parse("dump.rdb"), None);
    }

    #[test]
    fn what_is_refused_says_why_and_repeats_no_password() {
        for (text, why) in [
            ("redis://:hush@", "host"),
            ("redis://:hush@localhost/3", "captured together"),
            ("redis://:hush@local host", "one host"),
            ("redis+unix://hush/socket", "three slashes"),
            ("redis+unix:///socket?pass=hush", "means nothing"),
            ("rediss://:hush@localhost?verifyPeer=always", "FULL, CA, NONE"),
            ("redis://:hush@localhost?cacert=/ca", "means nothing"),
        ] {
            let error = Endpoint::parse(text).unwrap().unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("hush"), "{text}: {error}");
        }
        let endpoint = Endpoint::parse("redis://me:hush@localhost").unwrap().unwrap();
        assert!(!format!("{endpoint:?}").contains("hush"));
    }
}
