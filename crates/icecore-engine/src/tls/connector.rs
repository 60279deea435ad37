//! Making connections private.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::verifier::{Trusted, Verifier};
use super::{Dialect, Mode, Roots, Settings};

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
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unread(dialect.key, key, &error))?;
    Ok(Some((chain, key)))
}

fn certificates(file: &Path, setting: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => {
            Err(format!("{setting} is {}, which holds no certificate (PEM)", file.display()))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(unread(setting, file, &error)),
    }
}

fn unread(setting: &str, file: &Path, error: &rustls::pki_types::pem::Error) -> String {
    use rustls::pki_types::pem::Error;

    let why = match error {
        Error::Io(error) => error.to_string(),
        Error::NoItemsFound => "it holds none that is not locked by a password".to_owned(),
        // What is in it is nobody's business.
        _ => "it is no file of the kind PEM".to_owned(),
    };
    format!("{setting} cannot be read from {}: {why}", file.display())
}
