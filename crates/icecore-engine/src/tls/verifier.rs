//! What is asked of a server's certificate.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// What is said of a certificate that is an authority's, where it should be a server's own: all else that is asked of it was seen before.
const OF_AUTHORITY: &str = "CaUsedAsEndEntity";

/// How a version of TLS checks that a message was signed by who has the key to a certificate.
type Check = fn(
    &[u8],
    &CertificateDer<'_>,
    &DigitallySignedStruct,
    &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error>;

/// Checks the chain, and the name: as much as is wanted.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) provider: Arc<CryptoProvider>,
    /// Who is trusted; `None` is whoever comes.
    pub(super) trusted: Option<Trusted>,
    pub(super) checks_name: bool,
}

/// Certificates that are trusted.
#[derive(Debug)]
pub(super) struct Trusted {
    /// As those of authorities.
    pub(super) roots: RootCertStore,
    /// As they are.
    pub(super) certificates: Vec<CertificateDer<'static>>,
}

impl Trusted {
    /// Whether a server shows the very certificate that is trusted, which it has signed itself, as an authority would.
    fn is_itself(&self, own: &CertificateDer<'_>, error: &Error) -> bool {
        let Error::InvalidCertificate(CertificateError::Other(why)) = error else { return false };
        why.0.to_string() == OF_AUTHORITY && self.certificates.iter().any(|known| known == own)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(trusted) = &self.trusted else { return Ok(ServerCertVerified::assertion()) };
        let certificate = ParsedCertificate::try_from(own)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        let roots = &trusted.roots;
        verify_server_cert_signed_by_trust_anchor(&certificate, roots, others, now, algorithms)
            .or_else(|error| if trusted.is_itself(own, &error) { Ok(()) } else { Err(error) })?;
        if self.checks_name {
            verify_server_name(&certificate, name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.unless_trusting(verify_tls12_signature, message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.unless_trusting(verify_tls13_signature, message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl Verifier {
    /// That somebody has the key to a certificate of anybody's says nothing, and old certificates, which were never meant to be looked at, cannot
    /// even be read.
    fn unless_trusting(
        &self,
        check: Check,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        match &self.trusted {
            Some(_) => check(message, certificate, signature, algorithms),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }
}
