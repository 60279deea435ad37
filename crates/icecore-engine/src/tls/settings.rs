//! What is said of TLS.

use std::path::{Path, PathBuf};

use super::Dialect;
use crate::server_url::EndpointError;

/// How much is asked of a connection, from little to much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// No TLS.
    Disable,
    /// TLS where the server speaks it, whoever that is.
    Prefer,
    /// TLS, whoever the server is, unless it is said which authorities are trusted.
    Require,
    /// And the server's certificate must come from one of those.
    VerifyCa,
    /// And be for the name by which it is reached.
    VerifyFull,
}

impl Mode {
    /// Understands PostgreSQL's words, which `setting` says.
    ///
    /// # Errors
    /// If it is none of them.
    pub fn parse(setting: &str, text: &str) -> Result<Self, EndpointError> {
        super::POSTGRES.parse_mode(setting, text)
    }
}

/// Which authorities are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// Those that the system trusts.
    System,
    /// Those whose certificates are in a file (PEM).
    File(PathBuf),
}

/// What stands for the authorities that the system trusts.
const SYSTEM: &str = "system";

impl Roots {
    /// A file, or the word `system`.
    pub fn parse(text: &str) -> Self {
        if text == SYSTEM { Self::System } else { Self::File(text.into()) }
    }

    /// With a relative path below `folder`.
    #[must_use]
    pub fn below(self, folder: &Path) -> Self {
        match self {
            Self::File(path) => Self::File(folder.join(path)),
            Self::System => Self::System,
        }
    }

    /// The file they are in; that of the system is where OpenSSL would look for it.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.clone()),
            Self::System => openssl_probe::probe().cert_file,
        }
    }
}

/// What is said of TLS; what is not is up to the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// What is asked for.
    pub mode: Option<Mode>,
    /// Who is trusted.
    pub roots: Option<Roots>,
    /// The file with our own certificate.
    pub cert: Option<PathBuf>,
    /// The file with the key to it.
    pub key: Option<PathBuf>,
}

impl Settings {
    /// Takes what a URL says, if it is of this; whether it was.
    pub(crate) fn take(&mut self, dialect: &Dialect, key: &str, value: &str) -> Result<bool, EndpointError> {
        let is = |name: &str| key == name;
        if is(dialect.mode) {
            self.mode = Some(dialect.parse_mode(key, value)?);
        } else if is(dialect.roots) {
            self.roots = Some(Roots::parse(value));
        } else if is(dialect.cert) {
            self.cert = Some(value.into());
        } else if is(dialect.key) {
            self.key = Some(value.into());
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// What a URL says of it. Where our own key lies is nobody else's business, so it is left out, with the certificate.
    pub(crate) fn query(&self, dialect: &Dialect) -> Vec<(&'static str, String)> {
        let mode = self.mode.map(|mode| (dialect.mode, dialect.word(mode).to_owned()));
        let roots = self.roots.as_ref().map(|roots| match roots {
            Roots::System => (dialect.roots, SYSTEM.to_owned()),
            Roots::File(path) => (dialect.roots, path.to_string_lossy().into_owned()),
        });
        mode.into_iter().chain(roots).collect()
    }

    /// With what others say where these say nothing.
    #[must_use]
    pub fn or(self, others: &Self) -> Self {
        // A certificate is of no use with somebody else's key.
        let own = if self.cert.is_some() || self.key.is_some() { &self } else { others };
        let (cert, key) = (own.cert.clone(), own.key.clone());
        Self {
            mode: self.mode.or(others.mode),
            roots: self.roots.or_else(|| others.roots.clone()),
            cert,
            key,
        }
    }

    /// With relative paths below `folder`.
    #[must_use]
    pub fn below(self, folder: &Path) -> Self {
        let below = |path: PathBuf| folder.join(path);
        let roots = self.roots.map(|roots| roots.below(folder));
        Self { roots, cert: self.cert.map(below), key: self.key.map(below), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MYSQL, POSTGRES, REDIS};
    use super::*;

    #[test]
    fn every_engine_has_words_of_its_own() {
        let check = |dialect: &Dialect, key: &str, value: &str| -> Result<Settings, EndpointError> {
            let mut settings = Settings::default();
            assert!(settings.take(dialect, key, value)?);
            Ok(settings)
        };
        let mode = |settings: Settings| settings.mode.unwrap();
        assert_eq!(mode(check(&POSTGRES, "sslmode", "allow").unwrap()), Mode::Prefer);
        assert_eq!(mode(check(&POSTGRES, "sslmode", "verify-full").unwrap()), Mode::VerifyFull);
        assert_eq!(mode(check(&MYSQL, "ssl-mode", "VERIFY_IDENTITY").unwrap()), Mode::VerifyFull);
        assert_eq!(mode(check(&MYSQL, "ssl-mode", "required").unwrap()), Mode::Require);
        assert_eq!(mode(check(&REDIS, "verifyPeer", "ca").unwrap()), Mode::VerifyCa);
        let error = check(&POSTGRES, "sslmode", "always").unwrap_err().to_string();
        assert!(error.contains("verify-full") && error.contains("always"), "{error}");
        assert_eq!(check(&POSTGRES, "sslrootcert", "system").unwrap().roots, Some(Roots::System));
        let file = check(&POSTGRES, "sslrootcert", "./system").unwrap().below(Path::new("/etc")).roots;
        assert_eq!(file, Some(Roots::File("/etc/./system".into())));
        assert!(!Settings::default().take(&POSTGRES, "ssl-mode", "require").unwrap());
    }

    #[test]
    fn where_a_key_lies_is_in_no_url() {
        let (roots, cert, key) = (Some(Roots::File("/ca".into())), Some("/c".into()), Some("/k".into()));
        let settings = Settings { mode: Some(Mode::VerifyFull), roots, cert, key };
        let said = settings.query(&POSTGRES);
        assert_eq!(said, [("sslmode", "verify-full".to_owned()), ("sslrootcert", "/ca".to_owned())]);
    }

    #[test]
    fn a_certificate_and_its_key_come_from_one_place() {
        let of = |cert: &str, key: &str| Settings {
            cert: Some(cert.into()),
            key: Some(key.into()).filter(|key: &PathBuf| key != Path::new("")),
            ..Settings::default()
        };
        assert_eq!(of("/a", "").or(&of("/b", "/k")), of("/a", ""));
        assert_eq!(Settings::default().or(&of("b", "k")).below(Path::new("/d")), of("/d/b", "/d/k"));
    }
}
