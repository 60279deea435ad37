//! What goes wrong with TLS, in sentences.

use std::error::Error;
use std::io;

use rustls::CertificateError as Bad;

use super::{Dialect, Mode, WEB};

/// A server that was asked for TLS does not speak it.
#[derive(Debug, thiserror::Error)]
#[error("it speaks no TLS")]
pub(crate) struct NoTls;

/// What is wrong with TLS to a web server, and what may be done about it; `None` if it is something else.
pub fn explain_web(error: &(dyn Error + 'static)) -> Option<String> {
    explain(error, &WEB)
}

/// What is wrong with TLS, and what may be done about it; `None` if it is something else.
pub(crate) fn explain(error: &(dyn Error + 'static), dialect: &Dialect) -> Option<String> {
    let Dialect { mode, roots, cert, .. } = dialect;
    let or_less = match dialect.word(Mode::VerifyCa) {
        "" => String::new(),
        by_authority => format!(", or say {mode}={by_authority}"),
    };
    if find::<NoTls>(error).is_some() {
        let prefer = dialect.word(Mode::Prefer);
        let or = if prefer.is_empty() { String::new() } else { format!(", or say {mode}={prefer}") };
        return Some(format!("it speaks no TLS, which was asked for; switch it on there{or}"));
    }
    Some(match find::<rustls::Error>(error)? {
        rustls::Error::InvalidCertificate(bad) => match bad {
            // An authority that only has the same name, or none of a name that is known.
            Bad::UnknownIssuer | Bad::BadSignature => format!(
                "its certificate is signed by nobody who is trusted here; name the certificate of who signed it by {roots}"
            ),
            Bad::NotValidForNameContext { presented, .. } if presented.is_empty() => {
                format!("its certificate names no server (subjectAltName); give it one that does{or_less}")
            }
            Bad::NotValidForNameContext { expected, presented } => format!(
                "its certificate is for {}, not for {}; reach it by a name that it has{or_less}",
                presented.iter().map(|name| bare(name)).collect::<Vec<_>>().join(", "),
                expected.to_str()
            ),
            Bad::Expired | Bad::ExpiredContext { .. } => {
                "its certificate has expired; it needs a new one".to_owned()
            }
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                "its certificate is not valid yet; is the clock right?".to_owned()
            }
            Bad::Other(other) => format!(
                "its certificate cannot be checked ({}); it needs one of version 3 that is signed by an authority of {roots}, or is named there itself",
                other.0
            ),
            bad => format!("its certificate is not good: {bad}"),
        },
        rustls::Error::AlertReceived(alert) => {
            let by = if cert.is_empty() { String::new() } else { format!(", by {cert}") };
            format!("it refuses our side of TLS ({alert:?}); it may want a certificate{by}")
        }
        error => format!("TLS does not come about: {error}"),
    })
}

/// A certificate's name, which comes as `DnsName("db.example")`.
fn bare(name: &str) -> &str {
    name.split_once('(').map_or(name, |(_, name)| name.trim_matches(['(', ')', '"']))
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // What an error of a connection is about is not what it says to be its source.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
