//! How S3 is spoken to.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use aws_sdk_s3::types;
use icecore_storage::{Limits, Traffic, without_secret};

/// The least that S3 takes as a part which is not the last.
pub(crate) const PART_LEN_MIN: usize = 5 << 20;

/// Everything that can be chosen; the default suits AWS. What is not given here is found as other programs find it: in the environment, in
/// the files of profiles, from the service that a container or a machine in a cloud asks.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// Another server than that of AWS.
    pub endpoint: Option<Endpoint>,
    /// Where the bucket is.
    pub region: Option<String>,
    /// How the bucket's name becomes part of the URL.
    pub addressing: Addressing,
    /// The profile that says who we are.
    pub profile: Option<String>,
    /// Who we are, instead of what is found.
    pub credentials: Option<Credentials>,
    /// What packs are stored as.
    pub storage_class: Option<StorageClass>,
    /// How the server encrypts what it stores.
    pub encryption: Option<Encryption>,
    /// A file with certificates of authorities to trust besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long nothing may move before a request is given up. How long it takes in all does not matter.
    pub silence_max: Duration,
    /// How often a request is tried that may succeed a little later.
    pub attempts: NonZeroU32,
    /// The wait before the second try; it doubles each time, up to [`S3Options::backoff_max`].
    pub backoff: Duration,
    /// The longest wait between two tries.
    pub backoff_max: Duration,
    /// Objects longer than this are sent in parts of this length.
    pub part_len: usize,
    /// How many requests at once callers should make.
    pub concurrency: NonZeroUsize,
    /// Whether the server can be asked for conditional writes.
    pub conditions: Conditions,
    /// How many bytes of objects may go and come a second.
    pub limits: Limits,
    /// Set when the user wants it to stop.
    pub interrupt: Arc<AtomicBool>,
    /// Where somebody may see what requests do that take their time.
    pub traffic: Arc<Traffic>,
}

impl Default for S3Options {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            addressing: Addressing::default(),
            profile: None,
            credentials: None,
            storage_class: None,
            encryption: None,
            ca_file: None,
            connect_timeout: Duration::from_secs(10),
            silence_max: Duration::from_secs(60),
            attempts: NonZeroU32::MIN.saturating_add(9),
            backoff: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
            // Packs have 32 MiB: each is one request.
            part_len: 64 << 20,
            concurrency: NonZeroUsize::MIN.saturating_add(15),
            conditions: Conditions::default(),
            limits: Limits::default(),
            interrupt: Arc::default(),
            traffic: Arc::default(),
        }
    }
}

/// How the bucket's name becomes part of the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Addressing {
    /// In the path if an endpoint is given, else in the host.
    #[default]
    Auto,
    /// `https://endpoint/bucket/key`.
    Path,
    /// `https://bucket.endpoint/key`.
    Host,
}

/// Whether a put may come with a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Conditions {
    /// `If-None-Match` and `If-Match` are sent, unless the server has refused them once.
    #[default]
    Send,
    /// They are not: what is there is looked at before the put. Between the two somebody else may put as well.
    Avoid,
}

/// The URL of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(String);

/// An option that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OptionError(String);

impl Endpoint {
    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nobody can be who the server is not, nor read what is said.
    pub fn is_private(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Endpoint {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        let url = text.strip_suffix('/').unwrap_or(text);
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let server = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
        if server.contains('@') {
            // Not repeated: what stands before it is a secret.
            return Err(OptionError("an endpoint has no credentials in it".to_owned()));
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/[]".contains(&byte);
        if server.is_empty() || server.starts_with(':') || !url.bytes().all(is_plain) {
            return Err(OptionError(format!(
                "`{}` is no endpoint, which looks like https://s3.example.org or http://127.0.0.1:9000",
                without_secret(text)
            )));
        }
        Ok(Self(url.to_owned()))
    }
}

/// The class of storage that longer objects are put in. Small ones are not: the cheap classes charge at least for [`StorageClass::LEN_MIN`] each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageClass(String);

impl StorageClass {
    /// Objects shorter than this are put in the bucket's usual class.
    pub const LEN_MIN: usize = 128 << 10;

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Those of AWS. Other servers have others.
    pub fn of_aws() -> &'static [&'static str] {
        types::StorageClass::values()
    }
}

impl FromStr for StorageClass {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        if matches!(text, "GLACIER" | "DEEP_ARCHIVE") {
            return Err(OptionError(format!(
                "what is stored as {text} cannot be read at once, as a restore must; GLACIER_IR can"
            )));
        }
        let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if text.is_empty() || !text.bytes().all(is_name) {
            return Err(OptionError(format!(
                "`{text}` is no class of storage, which looks like STANDARD_IA or INTELLIGENT_TIERING"
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

/// How the server encrypts what it stores. It can read it all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// With keys of the storage service.
    Aes256,
    /// With a key of the key service: this one, or the account's own.
    Kms {
        /// Its id, its alias or its ARN.
        key: Option<String>,
    },
}

impl FromStr for Encryption {
    type Err = OptionError;

    /// `AES256`, `aws:kms` or `aws:kms=KEY`.
    fn from_str(text: &str) -> Result<Self, OptionError> {
        match text.split_once('=') {
            None if text == "AES256" => Ok(Self::Aes256),
            None if text == "aws:kms" => Ok(Self::Kms { key: None }),
            Some(("aws:kms", key)) if !key.is_empty() => Ok(Self::Kms { key: Some(key.to_owned()) }),
            _ => {
                Err(OptionError(format!("`{text}` is no encryption: AES256, aws:kms and aws:kms=KEY-ID are")))
            }
        }
    }
}

/// An access key and what belongs to it.
#[derive(Clone)]
pub struct Credentials {
    /// Its name, which is no secret.
    pub access_key: String,
    /// What proves that it is ours.
    pub secret_key: String,
    /// What comes with credentials that expire.
    pub session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_the_url_of_a_server_and_nothing_more() {
        for url in
            ["https://s3.example.org", "http://127.0.0.1:9000", "http://[::1]:9000", "https://a.example/s3"]
        {
            assert_eq!(url.parse::<Endpoint>().unwrap().as_str(), url);
            assert_eq!(format!("{url}/").parse::<Endpoint>().unwrap().as_str(), url);
        }
        for text in
            ["s3.example.org", "ftp://a", "https://", "https://:9000", "https://a?b", "https://a b", ""]
        {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
        for text in
            ["https://key:hunter2@a.example", "https://key:hun/hunter2@a.example", "key:hunter2@a.example"]
        {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn archives_are_no_class_for_a_store() {
        assert_eq!("STANDARD_IA".parse::<StorageClass>().unwrap().as_str(), "STANDARD_IA");
        for text in ["GLACIER", "DEEP_ARCHIVE", "", "standard", "A B"] {
            assert!(text.parse::<StorageClass>().is_err(), "{text}");
        }
    }

    #[test]
    fn encryption_is_said_as_the_header_says_it() {
        assert_eq!("AES256".parse(), Ok(Encryption::Aes256));
        assert_eq!("aws:kms".parse(), Ok(Encryption::Kms { key: None }));
        assert_eq!("aws:kms=alias/db".parse(), Ok(Encryption::Kms { key: Some("alias/db".to_owned()) }));
        for text in ["aes256", "aws:kms=", "AES256=key", ""] {
            assert!(text.parse::<Encryption>().is_err(), "{text}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let credentials = Credentials {
            access_key: "AKIA".to_owned(),
            secret_key: "hunter2".to_owned(),
            session_token: Some("hunter3".to_owned()),
        };
        let options = S3Options { credentials: Some(credentials), ..S3Options::default() };
        let text = format!("{options:?}");
        assert!(text.contains("AKIA") && !text.contains("hunter"), "{text}");
    }
}
