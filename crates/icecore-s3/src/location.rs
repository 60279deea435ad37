//! Where in S3 a store's objects are.

use std::fmt;
use std::str::FromStr;

use icecore_storage::without_secret;

/// How long a prefix may be: a key has at most 1024 bytes, and names take some of them.
const PREFIX_LEN_MAX: usize = 768;

/// A bucket and a prefix in it, as in `s3://bucket/backups/app`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct S3Location {
    bucket: String,
    prefix: String,
}

/// A text that is no [`S3Location`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no place in S3: {why}")]
pub struct LocationError {
    text: String,
    why: &'static str,
}

impl S3Location {
    /// The bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// What the key of each object begins with, without the `/` at its end; may be empty.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The key of the object of this name. A prefix of names becomes one of keys.
    pub(crate) fn key(&self, name: &str) -> String {
        match self.prefix.is_empty() {
            true => name.to_owned(),
            false => format!("{}/{name}", self.prefix),
        }
    }

    /// The name of the object with this key, if it lies here.
    pub(crate) fn name<'a>(&self, key: &'a str) -> Option<&'a str> {
        match self.prefix.is_empty() {
            true => Some(key),
            false => key.strip_prefix(&self.prefix)?.strip_prefix('/'),
        }
    }

    /// The object as a person can look at it.
    pub(crate) fn place(&self, name: &str) -> String {
        format!("s3://{}/{}", self.bucket, self.key(name))
    }
}

impl fmt::Display for S3Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if !self.prefix.is_empty() {
            write!(f, "/{}", self.prefix)?;
        }
        Ok(())
    }
}

impl FromStr for S3Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        // Who has learnt it from other URLs writes keys before an `@`.
        let fail = |why| LocationError { text: without_secret(text), why };
        let rest = text.strip_prefix("s3://").ok_or_else(|| fail("it begins with `s3://`"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        check_bucket(bucket).map_err(fail)?;
        // As shells complete paths.
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        check_prefix(prefix).map_err(fail)?;
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

fn check_bucket(bucket: &str) -> Result<(), &'static str> {
    let is_end = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = bucket.as_bytes();
    if bucket.is_empty() {
        return Err("the bucket is missing");
    }
    if bucket.contains(['@', ':']) {
        return Err(
            "it names a bucket, not a server or a key: those come as an endpoint and from the environment",
        );
    }
    if !bytes.iter().all(|byte| is_end(*byte) || matches!(byte, b'-' | b'.')) {
        return Err("the name of a bucket is made of lower-case letters, digits, `-` and `.`");
    }
    if !(3..=63).contains(&bytes.len()) {
        return Err("the name of a bucket has 3 to 63 characters");
    }
    if !bytes.first().is_some_and(|byte| is_end(*byte)) || !bytes.last().is_some_and(|byte| is_end(*byte)) {
        return Err("the name of a bucket begins and ends with a letter or a digit");
    }
    if bucket.contains("..") {
        return Err("the name of a bucket has no two dots in a row");
    }
    Ok(())
}

fn check_prefix(prefix: &str) -> Result<(), &'static str> {
    if prefix.is_empty() {
        return Ok(());
    }
    if prefix.len() > PREFIX_LEN_MAX {
        return Err("the prefix has more than 768 bytes");
    }
    // `?`, `#` and `%` mean something in URLs, and a key could be meant: neither is guessed.
    if !prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.+=@,~!".contains(&byte)) {
        return Err("a prefix is made of letters, digits and any of `/-_.+=@,~!`");
    }
    if prefix.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return Err("no part of the prefix is empty, `.` or `..`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_bucket_and_a_prefix() {
        for (text, bucket, prefix) in [
            ("s3://backups", "backups", ""),
            ("s3://backups/", "backups", ""),
            ("s3://my.backups-2/db", "my.backups-2", "db"),
            ("s3://backups/team/App_1/", "backups", "team/App_1"),
        ] {
            let location: S3Location = text.parse().unwrap();
            assert_eq!((location.bucket(), location.prefix()), (bucket, prefix), "{text}");
            assert_eq!(location.to_string(), text.trim_end_matches('/'));
            assert_eq!(location.name(&location.key("packs/00/1")), Some("packs/00/1"));
        }
        let location: S3Location = "s3://backups/db".parse().unwrap();
        assert_eq!(location.name("db2/epoch"), None, "a longer prefix is another one");
    }

    #[test]
    fn what_is_no_location_is_refused_and_told_why() {
        let long = format!("s3://backups/{}", "a".repeat(769));
        for (text, why) in [
            ("backups/db", "it begins with `s3://`"),
            ("S3://backups", "it begins with `s3://`"),
            ("s3://", "the bucket is missing"),
            ("s3:///db", "the bucket is missing"),
            ("s3://Backups", "lower-case"),
            ("s3://back_ups", "lower-case"),
            ("s3://ab", "3 to 63"),
            ("s3://-backups", "begins and ends"),
            ("s3://back..ups", "two dots"),
            ("s3://key:secret@backups/db", "an endpoint and from the environment"),
            ("s3://localhost:9000/backups", "an endpoint and from the environment"),
            ("s3://backups//db", "is empty"),
            ("s3://backups/db//", "is empty"),
            ("s3://backups/../db", "`..`"),
            ("s3://backups/d%20b", "letters, digits"),
            ("s3://backups/db?region=x", "letters, digits"),
            ("s3://backups/d b", "letters, digits"),
            ("s3://backups/d\u{1b}b", "letters, digits"),
            (long.as_str(), "more than 768"),
        ] {
            let error = text.parse::<S3Location>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_refused_location_does_not_repeat_a_secret() {
        for text in ["s3://key:hunter2@backups/db", "s3://key:hun/hunter2@backups/db"] {
            let error = text.parse::<S3Location>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}
