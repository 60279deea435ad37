//! Where a database is, and as whom to talk to it.

use std::fmt;
use std::path::PathBuf;

use crate::server_url::{EndpointError, ServerUrl, encoded, parse_port};
use crate::tls::{self, Settings};

/// A database of a server, as a URL names it: `mysql://[USER[:PASSWORD]@][HOST[:PORT]]/DATABASE`, where `?socket=/PATH` is a socket, and
/// `ssl-mode`, `ssl-ca`, `ssl-cert` and `ssl-key` are options of the programs of MySQL. What is not said is up to those: their variables, and `~/.my.cnf`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// A host by name or number.
    pub host: Option<String>,
    /// At which port.
    pub port: Option<u16>,
    /// Or behind which socket.
    pub socket: Option<PathBuf>,
    /// Who we are.
    pub user: Option<String>,
    /// That user's password.
    pub password: Option<String>,
    /// Which database.
    pub database: String,
    /// What is said of TLS, which no socket has.
    pub tls: Settings,
}

impl Endpoint {
    /// Understands a URL; `None` if it is one of something else.
    pub fn parse(text: &str) -> Option<Result<Self, EndpointError>> {
        let (scheme, rest) = text.split_once("://")?;
        matches!(scheme, "mysql" | "mariadb").then(|| Self::of_url(rest))
    }

    fn of_url(rest: &str) -> Result<Self, EndpointError> {
        let url = ServerUrl::parse(rest)?;
        let database = url.path.ok_or_else(|| EndpointError("the URL names no database".to_owned()))?;
        let (host, port, user, password) = (url.host, url.port, url.user, url.password);
        let mut endpoint = Self { host, port, user, password, database, ..Self::default() };
        for (key, value) in url.query {
            match key.as_str() {
                "socket" => endpoint.socket = Some(value.into()),
                "host" => endpoint.host = Some(value),
                "port" => endpoint.port = Some(parse_port(&value)?),
                "user" => endpoint.user = Some(value),
                "password" => endpoint.password = Some(value),
                _ if endpoint.tls.take(&tls::MYSQL, &key, &value)? => (),
                _ => return Err(EndpointError(format!("{key:?} means nothing in such a URL"))),
            }
        }
        Ok(endpoint)
    }

    /// A URL of it, without its password.
    pub fn url(&self) -> String {
        let user = self.user.as_deref().map(|user| encoded(user) + "@").unwrap_or_default();
        let host = self.host.as_deref().unwrap_or_default();
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let path = |text: &str| encoded(text).replace("%2F", "/");
        let socket = self.socket.as_ref().map(|path| ("socket", path.to_string_lossy().into_owned()));
        let query = socket.into_iter().chain(self.tls.query(&tls::MYSQL));
        let query: Vec<_> = query.map(|(key, value)| format!("{key}={}", path(&value))).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("mysql://{user}{host}{port}/{}{mark}{}", encoded(&self.database), query.join("&"))
    }

    /// The same server, another database.
    #[must_use]
    pub fn with_database(&self, database: &str) -> Self {
        Self { database: database.to_owned(), ..self.clone() }
    }

    /// What programs of MySQL are told by their arguments.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut say = |name: &str, value: Option<String>| {
            arguments.extend(value.map(|value| format!("--{name}={value}")));
        };
        say("host", self.host.clone());
        say("port", self.port.map(|port| port.to_string()));
        // A host that is this machine is its socket otherwise, whatever the port.
        say("protocol", self.port.map(|_| "TCP".to_owned()));
        say("socket", self.socket.as_ref().map(|path| path.display().to_string()));
        say("user", self.user.clone());
        arguments
    }

    /// And by their environment.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        self.password.iter().map(|password| ("MYSQL_PWD", password.clone())).collect()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url()).finish_non_exhaustive()
    }
}

/// The database and its server, for people: `shop on db.example:3306`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match (&self.socket, &self.host) {
            (Some(path), _) => path.display().to_string(),
            (None, Some(host)) => host.clone(),
            (None, None) => "this machine".to_owned(),
        };
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        write!(f, "{} on {place}{port}", self.database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_databases() {
        let check = |url: &str, said: &str| {
            let endpoint = Endpoint::parse(url).unwrap().unwrap();
            assert_eq!(endpoint.to_string(), said, "{url}");
            let again = Endpoint::parse(&endpoint.url()).unwrap().unwrap();
            assert_eq!(again, Endpoint { password: None, ..endpoint.clone() });
            assert!(!format!("{endpoint:?} {:?}", endpoint.arguments()).contains("hush"));
        };
        check("mysql://localhost/shop", "shop on localhost");
        check("mariadb://me:hush@db.example:3307/the%20shop", "the shop on db.example:3307");
        check("mysql:///shop?socket=/run/mysqld/mysqld.sock", "shop on /run/mysqld/mysqld.sock");
        check("mysql:///shop", "shop on this machine");
        let said = "mysql://my_user@/shop-1.2_x~y?socket=/run/my_sqld/mysqld.sock";
        assert_eq!(Endpoint::parse(said).unwrap().unwrap().url(), said);
        check("mysql://h/shop?ssl-mode=verify_ca&ssl-ca=/my%20ca", "shop on h");
        assert!(Endpoint::parse("postgres://a/b").is_none());
        for (url, why) in [
            ("mysql://a:hush@h", "no database"),
            ("mysql://a:hush@h/b?x=y", "means nothing"),
            ("mysql://a:hush@h/b?ssl-mode=on", "VERIFY_IDENTITY"),
        ] {
            let error = Endpoint::parse(url).unwrap().unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("hush"), "{error}");
        }
    }
}
