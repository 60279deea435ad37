//! URLs of servers, as the programs of databases understand them: a user without a host is fine, which it is for nobody else.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What a URL does not have as it is in a name.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why something names no server or database, in words that repeat nothing of it that may be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EndpointError(pub(crate) String);

/// `SCHEME://USER:PASSWORD@HOST:PORT/PATH?KEY=VALUE`, decoded. What is not said, or empty, is `None`.
pub(crate) struct ServerUrl {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) path: Option<String>,
    pub(crate) query: Vec<(String, String)>,
}

impl ServerUrl {
    /// Understands what follows the scheme and its slashes.
    pub(crate) fn parse(rest: &str) -> Result<Self, EndpointError> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (who, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) =
            who.split_once(':').map_or((who, None), |(user, password)| (user, Some(password)));
        let (host, port) = match place.strip_prefix('[').and_then(|place| place.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        if host.contains([',', ' ']) {
            return Err(EndpointError("the URL must name one host".to_owned()));
        }
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let pairs = pairs.map(|(key, value)| Ok((key.to_owned(), decoded(value)?)));
        let said = |text: &str| Ok(Some(decoded(text)?).filter(|text| !text.is_empty()));
        Ok(Self {
            user: said(user)?,
            password: password.map(decoded).transpose()?,
            host: said(host)?,
            port: port.map(parse_port).transpose()?,
            path: said(path)?,
            query: pairs.collect::<Result<_, EndpointError>>()?,
        })
    }
}

/// The number of a port.
pub(crate) fn parse_port(text: &str) -> Result<u16, EndpointError> {
    text.parse().map_err(|_| EndpointError("the port in the URL is no number up to 65535".to_owned()))
}

/// A name as a URL writes it.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

fn decoded(text: &str) -> Result<String, EndpointError> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(std::borrow::Cow::into_owned)
        .map_err(|_| EndpointError("a name or password in the URL is not UTF-8".to_owned()))
}
