//! Telling others over HTTP.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Error as HttpError};

use crate::config::WebUrl;
use crate::{Error, Result, io_message};

/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long is waited between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// Who is called, and what for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Callee<'a> {
    /// `webhook` or `ping`.
    pub(super) what: &'static str,
    /// Where.
    pub(super) url: &'a WebUrl,
    /// How often it is tried, at most.
    pub(super) attempts: u32,
}

/// One who calls.
#[derive(Debug)]
pub(super) struct Caller(Agent);

/// Why nobody answered as they should.
struct Unanswered {
    why: String,
    /// Whether it may be otherwise in a moment.
    passes: bool,
}

impl Caller {
    /// One that trusts the authorities that this machine trusts.
    pub(super) fn new() -> Self {
        let found = rustls_native_certs::load_native_certs().certs;
        let roots = found.iter().map(|certificate| Certificate::from_der(certificate).to_owned());
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
            .root_certs(RootCerts::Specific(Arc::new(roots.collect())))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            // What is posted is not posted again elsewhere.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .user_agent(concat!("icecore/", env!("CARGO_PKG_VERSION")))
            .build();
        Self(config.new_agent())
    }

    /// Posts `body`, which is of the media type `kind`.
    ///
    /// # Errors
    /// If it does not arrive, of which the error tells the host alone: what follows that in the URL is a secret.
    pub(super) fn post(&self, callee: Callee<'_>, kind: &str, body: &str) -> Result<()> {
        let mut attempt = 1;
        loop {
            match self.post_once(callee.url, kind, body) {
                Ok(()) => return Ok(()),
                Err(Unanswered { passes: true, .. }) if attempt < callee.attempts => {
                    attempt += 1;
                    thread::sleep(PAUSE);
                }
                Err(Unanswered { why, .. }) => {
                    let host = callee.url.host().to_owned();
                    return Err(Error::Call { what: callee.what, host, why });
                }
            }
        }
    }

    fn post_once(&self, url: &WebUrl, kind: &str, body: &str) -> std::result::Result<(), Unanswered> {
        let response = self.0.post(url.reveal()).content_type(kind).send(body);
        let status = response.map_err(|error| unanswered(&error))?.status().as_u16();
        match status {
            200..=299 => Ok(()),
            _ => Err(Unanswered {
                why: format!("it answered with status {status}"),
                passes: status == 429 || status >= 500,
            }),
        }
    }
}

fn unanswered(error: &HttpError) -> Unanswered {
    let (why, passes) = match error {
        HttpError::Timeout(_) => (format!("it did not answer within {} s", PATIENCE.as_secs()), true),
        HttpError::HostNotFound => ("there is no such host".to_owned(), true),
        HttpError::Io(error) => (io_message(error), true),
        HttpError::ConnectionFailed => ("it cannot be connected to".to_owned(), true),
        HttpError::Rustls(error) => (error.to_string(), false),
        // Some repeat the URL.
        _ => ("what it answers cannot be understood".to_owned(), false),
    };
    Unanswered { why, passes }
}
