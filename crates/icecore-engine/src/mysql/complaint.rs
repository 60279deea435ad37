//! What a server says is wrong, or a program that talks to one, in one sentence with what to do about it.

use std::io;

use super::Endpoint;

/// What programs call it that a server cannot be reached, and that its host has no address.
const NOT_REACHED: u16 = 2002;
const NO_SUCH_HOST: u16 = 2005;

/// What is said, and the number that it is known by: the server's, or from 2000 on that of a program that did not come so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) code: Option<u16>,
    pub(super) text: String,
}

impl Complaint {
    /// What a program printed before it failed: `ERROR 1045 (28000): Access denied`, or `... (1045)` at the end of what it could not do.
    pub(super) fn of_program(printed: &str) -> Self {
        let lines = || printed.lines().map(str::trim).filter(|line| !line.is_empty());
        let numbered = |line: &str| {
            let (number, text) = line.strip_prefix("ERROR ")?.split_once(' ')?;
            let text = text.split_once(": ").map_or(text, |(_, text)| text);
            Some(Self { code: Some(number.parse().ok()?), text: text.to_owned() })
        };
        let of_dump = |line: &str| {
            let said = line.split_once(": Got error: ").or_else(|| line.split_once(": Couldn't execute "))?.1;
            let (text, rest) = said.rsplit_once(" (").unwrap_or((said, ""));
            if let Some(code) = rest.strip_suffix(')').and_then(|code| code.parse().ok()) {
                return Some(Self { code: Some(code), text: text.to_owned() });
            }
            let (number, text) = said.split_once(": ")?;
            Some(Self { code: Some(number.parse().ok()?), text: text.to_owned() })
        };
        let found = lines().find_map(|line| numbered(line).or_else(|| of_dump(line)));
        found.unwrap_or_else(|| Self { code: None, text: lines().next_back().unwrap_or_default().to_owned() })
    }

    /// What the system says of a connection that does not come about.
    pub(super) fn of_connection(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or_default().to_owned();
        let code = match error.kind() {
            Kind::ConnectionRefused | Kind::NotFound | Kind::TimedOut | Kind::PermissionDenied => {
                Some(NOT_REACHED)
            }
            Kind::HostUnreachable | Kind::NetworkUnreachable => Some(NOT_REACHED),
            _ if text.contains("lookup address") => Some(NO_SUCH_HOST),
            _ => None,
        };
        Self { code, text }
    }

    /// The sentence.
    pub(super) fn about(&self, endpoint: &Endpoint, has_password: bool) -> String {
        let number = self.code.map(|code| format!(" (error {code})")).unwrap_or_default();
        let hint = self.hint(has_password).map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("the database {endpoint}: {}{number}{hint}", self.text.replace('\n', " "))
    }

    fn hint(&self, has_password: bool) -> Option<&'static str> {
        let wants_tls = ["insecure transport", "SSL", "TLS"].iter().any(|it| self.text.contains(it));
        Some(match self.code {
            Some(1045) if has_password => "is it the right user, and the right password?",
            Some(1045) => "a password comes from a service of icecore.toml, MYSQL_PWD or ~/.my.cnf",
            Some(1698) => {
                "this user is let in by another way than a password, such as a user of the system of that name"
            }
            Some(1044) => "there is no such database, or this user has no rights on it: GRANT gives them",
            Some(1049) => "SHOW DATABASES lists those there are",
            Some(1130) => "the server lets nobody in from this machine",
            Some(1142 | 1143 | 1227 | 1370 | 1419) => {
                "this user lacks a right: docs/mysql.md says which ones are needed"
            }
            Some(1040 | 1203 | 1226) => "try again when others have gone",
            Some(NO_SUCH_HOST) => "is that the right name of the host?",
            _ if wants_tls => {
                "the server wants TLS, or another kind of it: docs/mysql.md says what is spoken"
            }
            Some(NOT_REACHED | 2003) => "does the server run, and listen there?",
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_say_it_in_two_ways() {
        let check = |printed: &str, code: Option<u16>, text: &str| {
            let expected = Complaint { code, text: text.to_owned() };
            assert_eq!(Complaint::of_program(printed), expected, "{printed}");
        };
        check("WARNING: x\nERROR 1045 (28000): Access denied\n", Some(1045), "Access denied");
        check("ERROR 1049 (42000) at line 3: Unknown database", Some(1049), "Unknown database");
        check(
            "mysqldump: Got error: 1044: \"Access denied\" when selecting",
            Some(1044),
            "\"Access denied\" when selecting",
        );
        check("mariadb-dump: Couldn't execute 'SHOW X': denied (1142)", Some(1142), "'SHOW X': denied");
        check("one\n two \n\n", None, "two");
        check("ERROR and more", None, "ERROR and more");
        check("", None, "");
    }
}
