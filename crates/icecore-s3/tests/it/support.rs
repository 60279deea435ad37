//! A server with a bucket, and storages in it.

use std::error::Error;
use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::time::Duration;

use icecore_s3::{Credentials, S3Options, S3Storage};
use icecore_testkit::s3::S3Server;

pub(crate) struct Place {
    pub(crate) server: S3Server,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::on(S3Server::start())
    }

    pub(crate) fn on(server: S3Server) -> Self {
        server.create_bucket("bucket");
        Self { server }
    }

    pub(crate) fn storage(&self) -> S3Storage {
        self.storage_at("s3://bucket")
    }

    pub(crate) fn storage_at(&self, location: &str) -> S3Storage {
        self.try_open(location, options()).unwrap()
    }

    pub(crate) fn storage_with(&self, options: S3Options) -> S3Storage {
        self.try_open("s3://bucket", options).unwrap()
    }

    pub(crate) fn try_open(&self, location: &str, options: S3Options) -> icecore_storage::Result<S3Storage> {
        let credentials = options.credentials.clone().unwrap_or_else(|| Credentials {
            access_key: self.server.access_key().to_owned(),
            secret_key: self.server.secret_key().to_owned(),
            session_token: None,
        });
        let endpoint = options.endpoint.clone().unwrap_or_else(|| self.server.endpoint().parse().unwrap());
        let options = S3Options { endpoint: Some(endpoint), credentials: Some(credentials), ..options };
        S3Storage::open(location.parse().unwrap(), options)
    }
}

/// Such that what fails fails soon.
pub(crate) fn options() -> S3Options {
    S3Options {
        region: Some("us-east-1".to_owned()),
        attempts: NonZeroU32::new(5).unwrap(),
        backoff: Duration::from_millis(1),
        backoff_max: Duration::from_millis(20),
        silence_max: Duration::from_secs(20),
        ..S3Options::default()
    }
}

/// An error as a person reads it.
pub(crate) fn sentence(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, ": {error}").unwrap();
        cause = error.source();
    }
    text
}

/// Bytes of which no two pieces are alike.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let numbers = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    numbers.flatten().take(len).collect()
}
