//! Making connections private.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::verifier::{Trusted, Verifier};
use super::{Dialect, Mode, Roots, Settings};

/// No file of certificates is longer: those of all authorities that are known take a quarter of a megabyte.
const FILE_LEN_MAX: u64 = 16 << 20;

/// What the settings come to. Copies are cheap.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    config: Option<Arc<ClientConfig>>,
    pub(crate) mode: Mode,
}

impl Connector {
    /// One that makes nothing private.
    pub(crate) fn none() -> Self {
        Self { config: None, mode: Mode::Disable }
    }

    /// Reads the files that are named.
    ///
    /// # Errors
    /// In one sentence: which file cannot be used, or is not said.
    pub(crate) fn new(settings: &Settings, mode: Mode, dialect: &Dialect) -> Result<Self, String> {
        if mode == Mode::Disable {
            return Ok(Self::none());
        }
        let is_verified = mode >= Mode::VerifyCa;
        let trusted = match &settings.roots {
            Some(roots) => Some(trusted(roots, dialect)?),
            None if is_verified => Some(trusted(&Roots::System, dialect)?),
            None => None,
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let checks_name = mode == Mode::VerifyFull;
        let verifier = Arc::new(Verifier { provider: Arc::clone(&provider), trusted, checks_name });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has ciphers for all versions")
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match own(settings, dialect)? {
            Some((chain, key)) => config.with_client_auth_cert(chain, key).map_err(|error| {
                format!(
                    "{} and {} do not belong together, or cannot be used: {error}",
                    dialect.cert, dialect.key
                )
            })?,
            None => config.with_no_client_auth(),
        };
        // Each connection has a connector of its own.
        config.resumption = Resumption::disabled();
        Ok(Self { config: Some(Arc::new(config)), mode })
    }

    /// How it is done, if it is, with a server of this name.
    pub(super) fn with(&self, host: &str) -> io::Result<(Arc<ClientConfig>, ServerName<'static>)> {
        let config = self.config.clone().ok_or_else(|| io::Error::other("TLS is switched off"))?;
        let unfit = |_| io::Error::other(format!("{host} is no name of a server that speaks TLS"));
        Ok((config, ServerName::try_from(host.to_owned()).map_err(unfit)?))
    }
}

fn trusted(roots: &Roots, dialect: &Dialect) -> Result<Trusted, String> {
    let file = roots.file().ok_or_else(|| {
        format!("no authorities that this machine trusts are found; install ca-certificates, or name a file by {}", dialect.roots)
    })?;
    let certificates = certificates(&file, dialect.roots)?;
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates.iter().cloned());
    match added {
        0 => Err(format!("{} is {}, and no certificate in it can be used", dialect.roots, file.display())),
        _ => Ok(Trusted { roots, certificates }),
    }
}

type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn own(settings: &Settings, dialect: &Dialect) -> Result<Option<Own>, String> {
    let (cert, key) = match (&settings.cert, &settings.key) {
        (None, None) => return Ok(None),
        // One file may hold both.
        (Some(cert), key) => (cert, key.as_ref().unwrap_or(cert)),
        (None, Some(_)) => return Err(format!("{} needs {} too", dialect.key, dialect.cert)),
    };
    let chain = certificates(cert, dialect.cert)?;
    // What is in it is nobody's business.
    let unusable = |_| unread(dialect.key, key, "it holds none that is not locked by a password");
    let key = PrivateKeyDer::from_pem_slice(&read(key, dialect.key)?).map_err(unusable)?;
    Ok(Some((chain, key)))
}

fn certificates(file: &Path, setting: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(file, setting)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    found.ok_or_else(|| unread(setting, file, "it holds no certificate (PEM)"))
}

/// A file that a URL names, which may be anybody's.
fn read(file: &Path, setting: &str) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let read = File::open(file).and_then(|file| file.take(FILE_LEN_MAX).read_to_end(&mut text));
    match read {
        Ok(_) if text.len() as u64 == FILE_LEN_MAX => Err(unread(setting, file, "it is too long")),
        Ok(_) => Ok(text),
        Err(error) => Err(unread(setting, file, &error.to_string())),
    }
}

fn unread(setting: &str, file: &Path, why: &str) -> String {
    format!("{setting} cannot be read from {}: {why}", file.display())
}

#[cfg(test)]
mod tests {
    use super::super::POSTGRES;
    use super::*;

    #[test]
    fn files_that_are_none_of_certificates_are_refused_without_a_word_of_what_they_hold() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nhush\n-----END CERTIFICATE-----\n").unwrap();
        for (path, why) in [
            (Path::new("/dev/zero"), "too long"),
            (Path::new("/dev/null"), "no certificate"),
            (Path::new("/nowhere"), "No such file"),
            (Path::new("/"), "directory"),
            (file.path(), "no certificate"),
        ] {
            let roots = Some(Roots::File(path.to_owned()));
            let settings = Settings { roots, ..Settings::default() };
            let error = Connector::new(&settings, Mode::VerifyCa, &POSTGRES).unwrap_err();
            assert!(error.contains(&path.display().to_string()) && !error.contains("hush"), "{error}");
            assert!(error.contains(why) || error.contains("can be used"), "{error}");
        }
    }
}
