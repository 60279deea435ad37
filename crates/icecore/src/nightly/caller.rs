//! Telling others over HTTP.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use icecore_engine::tls::explain_web;
use icecore_store::Monitor;
use rustls::CertificateError;
use rustls::crypto::aws_lc_rs;
use rustls_native_certs::CertificateResult;
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Error as HttpError, Proxy, ProxyProtocol};

use crate::config::WebUrl;
use crate::{Environment, Error, Result, io_message};

/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same with one that was silent before.
const SHORT_PATIENCE: Duration = Duration::from_secs(3);
/// How long is waited between two attempts.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it is asked meanwhile whether all is to stop.
const TICK: Duration = Duration::from_millis(50);
/// Variables that name what is trusted.
const ROOTS: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

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
pub(super) struct Caller {
    agent: Agent,
    /// What is wrong with what this machine trusts.
    roots_fault: Option<String>,
    /// Who gave no answer at all. Where there are many services, to wait as long for each would take most of the night.
    silent: RefCell<BTreeSet<String>>,
}

/// Why nobody answered as they should.
struct Unanswered {
    why: String,
    /// Whether it may be otherwise in a moment.
    passes: bool,
    /// Whether nothing was heard at all.
    is_silence: bool,
}

impl Unanswered {
    fn for_good(why: String) -> Self {
        Self { why, passes: false, is_silence: false }
    }

    fn silence(why: String) -> Self {
        Self { why, passes: true, is_silence: true }
    }

    fn refusal(why: String, status: u16) -> Self {
        Self { why, passes: status == 429 || status >= 500, is_silence: false }
    }
}

impl Caller {
    /// One that trusts the authorities that this machine trusts.
    pub(super) fn new(environment: &Environment<'_>) -> Self {
        let found = rustls_native_certs::load_native_certs();
        let roots_fault = roots_fault(&found, environment);
        let roots = found.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned());
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
            .root_certs(RootCerts::Specific(Arc::new(roots.collect())))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            // What is posted is not posted again elsewhere.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .user_agent(concat!("icecore/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.new_agent(), roots_fault, silent: RefCell::default() }
    }

    /// Whether this server gave no answer when it was called last.
    pub(super) fn is_silent(&self, url: &WebUrl) -> bool {
        self.silent.borrow().contains(url.server())
    }

    /// Posts `body`, which is of the media type `kind`. One who was silent before is tried once.
    ///
    /// # Errors
    /// If it does not arrive, of which the error tells the host alone: what follows that in the URL is a secret.
    pub(super) fn post(
        &self,
        callee: Callee<'_>,
        kind: &str,
        body: &str,
        monitor: &dyn Monitor,
    ) -> Result<()> {
        let Callee { what, url, attempts } = callee;
        let (attempts, patience) = match self.is_silent(url) {
            true => (1, SHORT_PATIENCE),
            false => (attempts, PATIENCE),
        };
        let mut attempt = 1;
        let Unanswered { why, is_silence, .. } = loop {
            if monitor.is_cancelled() {
                break Unanswered::for_good("all was to stop".to_owned());
            }
            match self.post_once(url, kind, body, patience) {
                Ok(()) => {
                    self.silent.borrow_mut().remove(url.server());
                    return Ok(());
                }
                Err(unanswered) if unanswered.passes && attempt < attempts => {
                    attempt += 1;
                    pause(monitor);
                }
                Err(unanswered) => break unanswered,
            }
        };
        if is_silence {
            self.silent.borrow_mut().insert(url.server().to_owned());
        }
        Err(Error::Call { what, host: url.host().to_owned(), why })
    }

    fn post_once(
        &self,
        url: &WebUrl,
        kind: &str,
        body: &str,
        patience: Duration,
    ) -> std::result::Result<(), Unanswered> {
        let proxy = self.proxy(url);
        if let Some(proxy) =
            proxy.filter(|it| !matches!(it.protocol(), ProxyProtocol::Http | ProxyProtocol::Https))
        {
            let why = format!(
                "the proxy at {} that the environment names speaks SOCKS, which is not spoken here; name one that speaks HTTP",
                proxy.host()
            );
            return Err(Unanswered::for_good(why));
        }
        let request = self.agent.post(url.reveal()).content_type(kind);
        let response = request.config().timeout_global(Some(patience)).build().send(body);
        let status = response.map_err(|error| self.unanswered(&error, proxy, patience))?.status().as_u16();
        match status {
            200..=299 => Ok(()),
            _ => Err(Unanswered::refusal(format!("it answered with status {status}"), status)),
        }
    }

    /// What stands between it and us, if something does.
    fn proxy(&self, url: &WebUrl) -> Option<&Proxy> {
        let uri: Uri = url.reveal().parse().ok()?;
        self.agent.config().proxy().filter(|proxy| !proxy.is_no_proxy(&uri))
    }

    fn unanswered(&self, error: &HttpError, proxy: Option<&Proxy>, patience: Duration) -> Unanswered {
        // With a proxy, it alone is connected to.
        let unconnected = |why: String| match proxy {
            Some(proxy) => Unanswered::silence(format!(
                "the proxy at {} that the environment names cannot be used: {why}",
                proxy.host()
            )),
            None => Unanswered::silence(why),
        };
        match error {
            HttpError::Timeout(_) => {
                let by = proxy.map(|proxy| format!(" through the proxy at {}", proxy.host()));
                let (seconds, by) = (patience.as_secs(), by.unwrap_or_default());
                Unanswered::silence(format!("it did not answer within {seconds} s{by}"))
            }
            HttpError::HostNotFound => unconnected("there is no such host".to_owned()),
            HttpError::ConnectionFailed => unconnected("it cannot be connected to".to_owned()),
            HttpError::Io(error) => match self.tls_fault(error) {
                Some(why) => Unanswered::for_good(why),
                None => unconnected(io_message(error)),
            },
            HttpError::Rustls(error) => {
                Unanswered::for_good(explain_web(error).unwrap_or_else(|| error.to_string()))
            }
            HttpError::Tls(why) => Unanswered::for_good(format!("TLS does not come about: {why}")),
            HttpError::ConnectProxyFailed(why) => refused_by(proxy, why),
            // Some repeat the URL.
            _ => Unanswered::for_good("what it answers cannot be understood".to_owned()),
        }
    }

    /// What is wrong with TLS, if that is what is wrong.
    fn tls_fault(&self, error: &io::Error) -> Option<String> {
        let why = explain_web(error)?;
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        let is_stranger =
            matches!(inner, Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)));
        match &self.roots_fault {
            Some(fault) if is_stranger => Some(format!("{why} ({fault})")),
            _ => Some(why),
        }
    }
}

/// A proxy that does not let anybody through says so by a status, at the end of `why`.
fn refused_by(proxy: Option<&Proxy>, why: &str) -> Unanswered {
    let host = proxy.map(Proxy::host).unwrap_or_default();
    let status = why.rsplit(['/', ' ']).next().and_then(|status| status.parse().ok());
    match status {
        Some(status) => Unanswered::refusal(
            format!(
                "the proxy at {host} that the environment names does not let it through: it answered with status {status}"
            ),
            status,
        ),
        None => Unanswered::silence(format!("the proxy at {host} that the environment names gave no answer")),
    }
}

/// What is wrong with the authorities that were found. A file that is named and not there is passed over without a word.
fn roots_fault(found: &CertificateResult, environment: &Environment<'_>) -> Option<String> {
    let missing = ROOTS.iter().find_map(|name| {
        let path = (environment.variable)(name).map(PathBuf::from)?;
        (!path.as_os_str().is_empty() && !path.exists())
            .then(|| format!("{name} names {}, which is not there", path.display()))
    });
    let unread = || {
        let error = found.errors.first()?;
        Some(match &error.kind {
            rustls_native_certs::ErrorKind::Io { inner, path } => {
                format!("{} cannot be read: {}", path.display(), io_message(inner))
            }
            _ => format!("not all authorities of this machine can be read: {error}"),
        })
    };
    let none = || {
        let none = "this machine trusts no authority at all; install ca-certificates";
        found.certs.is_empty().then(|| none.to_owned())
    };
    missing.or_else(unread).or_else(none)
}

fn pause(monitor: &dyn Monitor) {
    let began = Instant::now();
    while began.elapsed() < PAUSE && !monitor.is_cancelled() {
        thread::sleep(TICK);
    }
}
