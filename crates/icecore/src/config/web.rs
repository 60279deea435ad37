//! Where somebody is told over HTTP.

use std::fmt;

use serde::Deserialize;
use ureq::http::Uri;

use crate::secret::read_secret;
use crate::{Error, Project, Result};

/// No line with a URL is longer.
const LINE_LEN_MAX: usize = 4 << 10;

/// An `http://` or `https://` URL. As a rule whoever knows what follows its host may write there: nothing prints that.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct WebUrl {
    url: String,
    host: String,
}

impl WebUrl {
    /// Understands a URL. What is wrong with it is said without repeating it.
    pub(crate) fn parse(text: &str) -> std::result::Result<Self, String> {
        let fault = || "a URL looks like https://HOST/PATH".to_owned();
        let uri: Uri = text.trim().parse().map_err(|_| fault())?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        let host = uri.host().filter(|host| is_web && !host.is_empty()).ok_or_else(fault)?;
        Ok(Self { url: text.trim().to_owned(), host: host.to_owned() })
    }

    /// All of it.
    pub(crate) fn reveal(&self) -> &str {
        &self.url
    }

    /// The machine it is at.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The machine and the port, with what secret may stand before them: to know it again.
    pub(crate) fn server(&self) -> &str {
        self.url.split('/').nth(2).unwrap_or_default()
    }

    /// The same with one more name at the end of its path.
    pub(crate) fn below(&self, name: &str) -> Self {
        let end = self.url.find(['?', '#']).unwrap_or(self.url.len());
        let (path, query) = self.url.split_at(end);
        Self { url: format!("{}/{name}{query}", path.trim_end_matches('/')), host: self.host.clone() }
    }
}

impl TryFrom<String> for WebUrl {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        Self::parse(&text)
    }
}

impl fmt::Debug for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebUrl").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Project {
    /// Where a program of the user's is told of nights.
    ///
    /// # Errors
    /// If the file cannot be read that says it, or does not.
    pub(crate) fn webhook(&self) -> Result<Option<WebUrl>> {
        let settings = &self.config.nightly;
        let Some(file) = &settings.webhook_file else { return Ok(settings.webhook.clone()) };
        let path = self.dir.join(file);
        let text = read_secret(&path).map_err(|source| Error::WebhookFile { path: path.clone(), source })?;
        let unfit = |why: String| {
            Error::Unfitting(format!("{} holds no URL in its first line: {why}", path.display()))
        };
        in_first_line(&text).map(Some).map_err(unfit)
    }
}

fn in_first_line(text: &[u8]) -> std::result::Result<WebUrl, String> {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.len() >= LINE_LEN_MAX {
        return Err("it is too long".to_owned());
    }
    WebUrl::parse(str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_the_first_line_of_a_file_and_has_a_bound() {
        let url = "https://hc.example/hush";
        assert_eq!(in_first_line(format!("{url}\nmore").as_bytes()).unwrap().host(), "hc.example");
        assert_eq!(in_first_line(b"https://a/\xff").unwrap_err(), "it is not UTF-8");
        let long = |len: usize| format!("https://a/{}", "x".repeat(len - 10));
        assert!(in_first_line(long(4095).as_bytes()).is_ok());
        assert_eq!(in_first_line(long(4096).as_bytes()).unwrap_err(), "it is too long");
    }

    #[test]
    fn what_follows_the_host_is_not_printed() {
        for bad in ["hush", "ftp://a/hush", "https:///hush", "https://", "/hush", "http://a b/hush"] {
            let fault = WebUrl::parse(bad).unwrap_err();
            assert!(!fault.contains("hush"), "{bad}: {fault}");
        }
        let url = WebUrl::parse("https://me:hush@hc.example:8443/hush").unwrap();
        assert_eq!(url.host(), "hc.example");
        assert!(!format!("{url:?}").contains("hush"), "{url:?}");
        assert_eq!(url.server(), "me:hush@hc.example:8443");
    }

    #[test]
    fn a_name_goes_to_the_end_of_the_path() {
        let below = |url: &str| WebUrl::parse(url).unwrap().below("fail").reveal().to_owned();
        assert_eq!(below("https://hc.example/ping/1"), "https://hc.example/ping/1/fail");
        assert_eq!(below("https://hc.example/ping/1/"), "https://hc.example/ping/1/fail");
        assert_eq!(
            below("https://hc.example/key/shop?create=1"),
            "https://hc.example/key/shop/fail?create=1"
        );
    }
}
