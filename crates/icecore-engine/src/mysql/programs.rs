//! The programs of MySQL on this machine, and what the user has told them by option files.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::geteuid;

use super::Endpoint;
use super::wire::Place;
use crate::CaptureError;
use crate::command::PASSWORD_VARIABLE;
use crate::tls::{MYSQL, Mode, Roots, Settings};

/// Where servers have their sockets if nobody says where.
const SOCKETS: [&str; 4] = [
    "/run/mysqld/mysqld.sock",
    "/var/run/mysqld/mysqld.sock",
    "/tmp/mysql.sock",
    "/var/lib/mysql/mysql.sock",
];
const PORT: u16 = 3306;
/// The groups of options that all programs take.
const GROUPS: [&str; 4] = ["client", "client-server", "client-mariadb", "mysql"];

/// The first program that is on this machine.
pub(super) fn first_of(names: [&'static str; 2]) -> Result<&'static str, CaptureError> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let is_there = |name: &&str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    names.into_iter().find(is_there).ok_or_else(|| {
        CaptureError::Source(format!(
            "there is neither {} nor {} on this machine; install mariadb-client",
            names[0], names[1]
        ))
    })
}

/// Where to connect, and as whom: what the endpoint says, and for the rest what the programs would take from option files.
pub(super) struct Login {
    pub(super) place: Place,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) tls: Settings,
}

impl Login {
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        let options = Options::read();
        let host = endpoint.host.clone().or_else(|| options.last("host"));
        let port = endpoint.port.or_else(|| options.last("port")?.parse().ok().filter(|port| *port != 0));
        let socket = endpoint.socket.clone();
        let by_tcp = match &host {
            _ if socket.is_some() => false,
            _ if endpoint.port.is_some() => true,
            Some(host) => host != "localhost",
            None => false,
        };
        let place = match by_tcp {
            true => Place::Tcp(host.unwrap_or_else(|| "127.0.0.1".to_owned()), port.unwrap_or(PORT)),
            false => {
                let of_options = || options.last("socket").map(PathBuf::from);
                let usual = || SOCKETS.map(PathBuf::from).into_iter().find(|path| path.exists());
                let path = socket.or_else(of_options).or_else(usual);
                Place::Socket(path.unwrap_or_else(|| SOCKETS[0].into()))
            }
        };
        let user = endpoint.user.clone().or_else(|| options.last("user")).unwrap_or_else(user_name);
        let password = endpoint.password.clone().or_else(|| options.last("password")).unwrap_or_default();
        Self { place, user, password, tls: endpoint.tls.clone().or(&options.tls()) }
    }

    pub(super) fn has_password(&self) -> bool {
        !self.password.is_empty()
    }
}

impl Endpoint {
    /// With the host, its port and the password that option files have for it, where it says none: another machine is never taken for this one.
    #[must_use]
    pub fn with_options(mut self) -> Self {
        let options = Options::read();
        if self.host.is_none() && self.socket.is_none() {
            self.host = options.last("host").filter(|host| host != "localhost");
            let port = || options.last("port")?.parse().ok().filter(|port| *port != 0);
            self.port = self.port.or_else(|| self.host.as_ref().and_then(|_| port()));
        }
        self.password = self.password.or_else(|| options.last("password"));
        self
    }
}

/// Options, in the order of the files.
struct Options(Vec<(String, String)>);

impl Options {
    /// Asks the program that reads the files for all others; without it, there are none.
    fn read() -> Self {
        let ask = |arguments: &[&str]| said("my_print_defaults", &[arguments, &GROUPS].concat());
        let plain = Self::parse(&ask(&[]));
        // That of MySQL shows a password only if it is told to.
        match plain.last("password") {
            Some(hidden) if hidden.bytes().all(|byte| byte == b'*') => Self::parse(&ask(&["--show"])),
            _ => plain,
        }
    }

    fn parse(text: &str) -> Self {
        let option = |line: &str| {
            let option = line.strip_prefix("--")?;
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            Some((name.replace('_', "-"), value.to_owned()))
        };
        Self(text.lines().filter_map(option).collect())
    }

    fn last(&self, name: &str) -> Option<String> {
        let of_name = self.0.iter().rev().find(|(known, _)| known == name);
        of_name.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    }
}

impl Options {
    /// Whether something that is switched on or off is on.
    fn is_on(&self, name: &str) -> Option<bool> {
        self.0.iter().rev().find_map(|(known, value)| match known.strip_suffix(name)? {
            "skip-" | "disable-" => Some(false),
            "" => Some(!["0", "off", "false"].contains(&value.to_ascii_lowercase().as_str())),
            _ => None,
        })
    }

    /// What they say of TLS, those of MySQL and those of MariaDB. A mode that nobody knows is the strictest.
    fn tls(&self) -> Settings {
        let said = self.last("ssl-mode").map(|mode| MYSQL.parse_mode("ssl-mode", &mode));
        let verified =
            || self.is_on("ssl-verify-server-cert").filter(|is_on| *is_on).map(|_| Mode::VerifyFull);
        let off = || self.is_on("ssl").filter(|is_on| !is_on).map(|_| Mode::Disable);
        Settings {
            mode: said.map(|mode| mode.unwrap_or(Mode::VerifyFull)).or_else(verified).or_else(off),
            roots: self.last("ssl-ca").map(|path| Roots::File(path.into())),
            cert: self.last("ssl-cert").map(PathBuf::from),
            key: self.last("ssl-key").map(PathBuf::from),
        }
    }
}

/// Who the programs are if nobody says so.
fn user_name() -> String {
    if geteuid().is_root() {
        return "root".to_owned();
    }
    said("id", &["-un"]).trim().to_owned()
}

/// What a program says; nothing if it fails.
pub(super) fn said(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    // The store's password is none of its business.
    command.env_remove(PASSWORD_VARIABLE).args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success());
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_file_that_says_something_is_right() {
        let options = Options::parse("--user=bob\n--password=a #b=c\n--socket=/tmp/x\n--quick\n--user=eve\n");
        assert_eq!(options.last("user").as_deref(), Some("eve"));
        assert_eq!(options.last("password").as_deref(), Some("a #b=c"));
        assert_eq!(options.last("host"), None);
        assert_eq!((options.is_on("quick"), options.is_on("ssl")), (Some(true), None));
    }

    #[test]
    fn what_option_files_say_of_tls_is_heeded_whoever_they_are_for() {
        let mode = |text: &str| Options::parse(text).tls().mode;
        assert_eq!(mode("--ssl-mode=REQUIRED\n"), Some(Mode::Require));
        assert_eq!(mode("--ssl_mode=STRANGE\n"), Some(Mode::VerifyFull));
        assert_eq!(mode("--ssl\n--ssl-verify-server-cert\n"), Some(Mode::VerifyFull));
        assert_eq!(mode("--ssl-verify-server-cert\n--skip-ssl-verify-server-cert\n--ssl=1\n"), None);
        assert_eq!(mode("--skip-ssl\n"), Some(Mode::Disable));
        assert_eq!(mode("--ssl=off\n"), Some(Mode::Disable));
        let tls = Options::parse("--ssl-ca=/a\n--ssl-key=/k\n--ssl-cert=/c\n").tls();
        assert_eq!((tls.roots, tls.key), (Some(Roots::File("/a".into())), Some("/k".into())));
    }
}
