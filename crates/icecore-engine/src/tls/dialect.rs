//! The words that each database has for the same settings.

use super::Mode;
use crate::server_url::EndpointError;

/// What settings are called, and the modes; the first word of a mode is the one that is written.
pub(crate) struct Dialect {
    pub(crate) mode: &'static str,
    pub(crate) roots: &'static str,
    pub(crate) cert: &'static str,
    pub(crate) key: &'static str,
    modes: &'static [(&'static str, Mode)],
}

/// As libpq has them. Its `allow` would send a password before it tries TLS.
pub(crate) const POSTGRES: Dialect = Dialect {
    mode: "sslmode",
    roots: "sslrootcert",
    cert: "sslcert",
    key: "sslkey",
    modes: &[
        ("disable", Mode::Disable),
        ("prefer", Mode::Prefer),
        ("allow", Mode::Prefer),
        ("require", Mode::Require),
        ("verify-ca", Mode::VerifyCa),
        ("verify-full", Mode::VerifyFull),
    ],
};

/// As the programs of MySQL have them.
pub(crate) const MYSQL: Dialect = Dialect {
    mode: "ssl-mode",
    roots: "ssl-ca",
    cert: "ssl-cert",
    key: "ssl-key",
    modes: &[
        ("DISABLED", Mode::Disable),
        ("PREFERRED", Mode::Prefer),
        ("REQUIRED", Mode::Require),
        ("VERIFY_CA", Mode::VerifyCa),
        ("VERIFY_IDENTITY", Mode::VerifyFull),
    ],
};

/// As redis-cli has them; for how much is checked, it has no word, and this is a client's for Java. Whether there is TLS is said by the URL's scheme.
pub(crate) const REDIS: Dialect = Dialect {
    mode: "verifyPeer",
    roots: "cacert",
    cert: "cert",
    key: "key",
    modes: &[("FULL", Mode::VerifyFull), ("CA", Mode::VerifyCa), ("NONE", Mode::Require)],
};

/// Of a web server, where nothing can be said but whom this machine trusts.
pub(crate) const WEB: Dialect = Dialect { mode: "", roots: "SSL_CERT_FILE", cert: "", key: "", modes: &[] };

impl Dialect {
    /// The word for a mode; empty if there is none.
    pub(crate) fn word(&self, mode: Mode) -> &'static str {
        self.modes.iter().find(|(_, known)| *known == mode).map_or("", |(word, _)| word)
    }

    pub(crate) fn parse_mode(&self, key: &str, word: &str) -> Result<Mode, EndpointError> {
        let mode = self.modes.iter().find(|(known, _)| known.eq_ignore_ascii_case(word));
        mode.map(|(_, mode)| *mode).ok_or_else(|| {
            let known: Vec<&str> = self.modes.iter().map(|(known, _)| *known).collect();
            EndpointError(format!("{key} cannot be {word:?}; it is one of {}", known.join(", ")))
        })
    }
}
