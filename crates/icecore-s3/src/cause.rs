//! Why a request failed: the answers of S3, and what comes in their place, as a person understands them.

use std::io;

use icecore_storage::{Error, ErrorKind};

/// How much of what a server says is told.
const SAID_LEN_MAX: usize = 300;

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// There is no object with this key.
    #[error("there is no such object")]
    NotFound,
    /// The object is not as the request wants it: it is there, or is another one.
    #[error("somebody else was there first")]
    Precondition,
    /// Another request changed the same object at the same moment.
    #[error("somebody else writes it at this moment ({0})")]
    Conflict(Said),
    /// The range lies behind the object's end.
    #[error("it is shorter")]
    OutOfRange,
    /// There is no bucket of this name.
    #[error("there is no such bucket")]
    NoBucket,
    /// What was uploaded in parts is not known any more.
    #[error("the upload was given up by somebody else")]
    NoUpload,
    /// The bucket is elsewhere.
    #[error("the bucket is in {}", region.as_deref().unwrap_or("another region"))]
    OtherRegion {
        /// Where, if the server says it.
        region: Option<String>,
    },
    /// The credentials are good, but not for this.
    #[error("access is denied ({0})")]
    Denied(Said),
    /// The server does not know the access key.
    #[error("the server does not know the access key ({0})")]
    UnknownKey(Said),
    /// The secret key is not the one that belongs to the access key.
    #[error("the secret key does not fit the access key ({0})")]
    WrongSecret(Said),
    /// The credentials were good for some time only.
    #[error("the credentials have expired ({0})")]
    Expired(Said),
    /// No credentials were found, or they could not be had.
    #[error("there are no credentials: {0}")]
    NoCredentials(String),
    /// This host's clock and the server's differ by too much.
    #[error("the clock of this host differs too much from the server's ({0})")]
    ClockSkew(Said),
    /// The object lies in an archive, from which it must be fetched first.
    #[error("the object is archived and cannot be read at once ({0})")]
    Archived(Said),
    /// The server does not do what was asked.
    #[error("the server does not know how ({0})")]
    Unsupported(Said),
    /// The server has no class of storage of this name.
    #[error("the server does not know the class of storage ({0})")]
    UnknownClass(Said),
    /// The bytes that arrived are not the bytes that were sent.
    #[error("the bytes were damaged on their way ({0})")]
    DamagedOnTheWay(Said),
    /// There is no room.
    #[error("there is no room ({0})")]
    Full(Said),
    /// The server has too much to do, or something failed there.
    #[error("the server is busy or failed ({0})")]
    Busy(Said),
    /// An answer that S3 did not give, but something on the way to it.
    #[error("something else than S3 answers ({0})")]
    Foreign(Said),
    /// No connection came about to this server, for this reason.
    #[error("cannot connect to {0}")]
    Unreachable(String),
    /// This server was asked with TLS, and speaks none.
    #[error("cannot connect to {0}: it speaks no TLS there")]
    NoTls(String),
    /// The server was asked without TLS, and wants it.
    #[error("the server speaks only TLS there")]
    OnlyTls,
    /// The server's certificate is not trusted.
    #[error("the server's certificate is not trusted: {0}")]
    Untrusted(String),
    /// The connection ended in the middle of a request or an answer.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// Nothing moved for so many seconds.
    #[error("nothing was heard for {0} s")]
    Silent(u64),
    /// The user wants it to stop.
    #[error("interrupted")]
    Interrupted,
    /// What should be used is not as it should be.
    #[error("{0}")]
    Unusable(String),
    /// Anything else.
    #[error("the server answers {0}")]
    Other(Said),
}

/// What a server says in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The status of the answer.
    pub status: u16,
    /// The code of the error, if there is one.
    pub code: String,
    /// The sentence to it, if there is one.
    pub message: String,
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.status)?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

impl Said {
    fn new(status: u16, code: &str, message: &str) -> Self {
        Self { status, code: printable(code), message: printable(message) }
    }
}

/// Without what a terminal would obey, and not too long.
pub(crate) fn printable(text: &str) -> String {
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    one_line.chars().filter(|char| !char.is_control()).take(SAID_LEN_MAX).collect()
}

impl Cause {
    /// What an answer means that is not the wished one. `region` is where the server says that the bucket is.
    pub(crate) fn of_answer(status: u16, code: &str, message: &str, region: Option<&str>) -> Self {
        let said = Said::new(status, code, message);
        match (status, code) {
            (_, "NoSuchKey" | "NotFound") => Self::NotFound,
            (_, "NoSuchBucket") => Self::NoBucket,
            (_, "NoSuchUpload") => Self::NoUpload,
            (_, "InvalidRange") => Self::OutOfRange,
            (_, "PreconditionFailed") => Self::Precondition,
            (_, "InvalidAccessKeyId") => Self::UnknownKey(said),
            (_, "SignatureDoesNotMatch") => Self::WrongSecret(said),
            (_, "ExpiredToken" | "TokenRefreshRequired" | "InvalidToken") => Self::Expired(said),
            (_, "RequestTimeTooSkewed") => Self::ClockSkew(said),
            (_, "InvalidStorageClass") => Self::UnknownClass(said),
            (_, "InvalidObjectState") => Self::Archived(said),
            (_, "BadDigest" | "XAmzContentSHA256Mismatch" | "XAmzContentChecksumMismatch") => {
                Self::DamagedOnTheWay(said)
            }
            (
                _,
                "QuotaExceeded"
                | "StorageFull"
                | "XMinioStorageFull"
                | "XMinioAdminBucketQuotaExceeded"
                | "InsufficientStorage",
            ) => Self::Full(said),
            (
                _,
                "AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException",
            ) => Self::OtherRegion { region: region.map(printable).or_else(|| expected_region(message)) },
            // The server gave up waiting for us; or it began to say yes and then could not, which comes with status 200.
            (_, "RequestTimeout" | "InternalError" | "SlowDown" | "ServiceUnavailable") => Self::Busy(said),
            (301 | 307, _) => Self::OtherRegion { region: region.map(printable) },
            (401 | 403, _) => Self::Denied(said),
            (404, "") => Self::NotFound,
            (409, _) => Self::Conflict(said),
            (412, _) => Self::Precondition,
            (416, _) => Self::OutOfRange,
            (405 | 501, _) => Self::Unsupported(said),
            (507, _) => Self::Full(said),
            (429 | 500.., _) => Self::Busy(said),
            _ => Self::Other(said),
        }
    }

    /// An answer that something on the way gave: while a server starts anew, what stands before it may say that nothing is there.
    pub(crate) fn foreign(status: u16, message: &str) -> Self {
        Self::Foreign(Said::new(status, "", message))
    }

    /// Whether the same request may well succeed a little later.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Conflict(_)
                | Self::DamagedOnTheWay(_)
                | Self::Busy(_)
                | Self::Foreign(_)
                | Self::Unreachable(_)
                | Self::Broken(_)
                | Self::Silent(_)
        )
    }

    /// Whether nobody knows what has become of the request: it may have taken effect all the same.
    pub(crate) fn leaves_doubt(&self) -> bool {
        matches!(
            self,
            Self::Busy(_) | Self::Foreign(_) | Self::Unreachable(_) | Self::Broken(_) | Self::Silent(_)
        )
    }

    /// Whether the answer had no body that would say more, as those to `HEAD` have none.
    pub(crate) fn is_mute(&self) -> bool {
        match self {
            Self::NotFound => true,
            Self::Denied(said) | Self::Other(said) => said.code.is_empty() || said.code == "BadRequest",
            Self::OtherRegion { region } => region.is_none(),
            _ => false,
        }
    }

    /// What a person can do next.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoBucket => {
                "look at the bucket's name and at the endpoint: icecore makes no buckets".to_owned()
            }
            Self::OtherRegion { region: Some(region) } => format!("name that region: --region {region}"),
            Self::OtherRegion { region: None } => "name the bucket's region with --region".to_owned(),
            Self::Denied(_) => {
                "docs/s3.md has the permissions it takes; without the one to list, S3 says this of objects that are not there, too"
                    .to_owned()
            }
            Self::UnknownKey(_) | Self::WrongSecret(_) => {
                "look at AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or at the profile; and whether the endpoint is the one they are for"
                    .to_owned()
            }
            Self::Expired(_) => {
                "get new ones (`aws sso login`, or whatever made them) and run it again: what was sent is not sent again"
                    .to_owned()
            }
            Self::NoCredentials(why) if why.contains("/sso/") || why.contains("SSO") => {
                "log in with `aws sso login`, and run it again".to_owned()
            }
            Self::NoCredentials(_) => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile of ~/.aws with AWS_PROFILE, or with --profile of `icecore remote add`"
                    .to_owned()
            }
            Self::NoTls(_) => "look at the endpoint: where there is no TLS it begins with http://".to_owned(),
            Self::OnlyTls => "look at the endpoint: where there is TLS it begins with https://".to_owned(),
            Self::ClockSkew(_) => "set this host's clock: requests are signed with the time".to_owned(),
            Self::Archived(_) => {
                "fetch it from the archive with the tools of the provider, and keep stores in classes that are read at once"
                    .to_owned()
            }
            Self::UnknownClass(_) => {
                "name one that this server has with --storage-class, or none: then it is the bucket's usual one"
                    .to_owned()
            }
            Self::Untrusted(_) => "name the authority that signed it with --ca-file".to_owned(),
            Self::Unreachable(_) => {
                "look at the endpoint and at the network; hosts of AWS have the region in their names".to_owned()
            }
            Self::Foreign(_) => "look at the endpoint and at the network".to_owned(),
            Self::Busy(_) | Self::Broken(_) | Self::Silent(_) => {
                "run it again later: what was sent is not sent again".to_owned()
            }
            _ => return None,
        };
        Some(hint)
    }

    /// The [`Cause`] of a failed request, if S3 gave one.
    pub fn of(error: &Error) -> Option<&Self> {
        Self::of_source(&error.source)
    }

    /// The same, of what lies below an [`Error`].
    pub fn of_source(source: &io::Error) -> Option<&Self> {
        source.get_ref()?.downcast_ref()
    }

    /// The error for a request that was about `place`.
    pub(crate) fn error(self, action: &'static str, place: String) -> Error {
        let (kind, io_kind) = match &self {
            Self::NotFound => (ErrorKind::NotFound, io::ErrorKind::NotFound),
            Self::Precondition => (ErrorKind::AlreadyExists, io::ErrorKind::AlreadyExists),
            Self::OutOfRange => (ErrorKind::OutOfRange, io::ErrorKind::UnexpectedEof),
            Self::Denied(_) => (ErrorKind::Denied, io::ErrorKind::PermissionDenied),
            // Of whichever object it is asked, the place answers the same.
            Self::UnknownKey(_)
            | Self::WrongSecret(_)
            | Self::Expired(_)
            | Self::NoCredentials(_)
            | Self::ClockSkew(_) => (ErrorKind::Unreachable, io::ErrorKind::PermissionDenied),
            Self::NoBucket
            | Self::OtherRegion { .. }
            | Self::Conflict(_)
            | Self::Busy(_)
            | Self::Foreign(_)
            | Self::Unreachable(_)
            | Self::NoTls(_)
            | Self::OnlyTls
            | Self::Untrusted(_)
            | Self::Broken(_) => (ErrorKind::Unreachable, io::ErrorKind::Other),
            Self::Silent(_) => (ErrorKind::Unreachable, io::ErrorKind::TimedOut),
            Self::Full(_) => (ErrorKind::Full, io::ErrorKind::StorageFull),
            Self::Interrupted => (ErrorKind::Interrupted, io::ErrorKind::Other),
            Self::Unsupported(_) => (ErrorKind::Other, io::ErrorKind::Unsupported),
            _ => (ErrorKind::Other, io::ErrorKind::Other),
        };
        Error { kind, action, place, source: io::Error::new(io_kind, self) }
    }
}

/// AWS says in a sentence which region it would have liked: `the region 'us-east-1' is wrong; expecting 'eu-west-1'`.
fn expected_region(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("expecting '")?;
    let (region, _) = rest.split_once('\'')?;
    Some(printable(region))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, code: &str) -> Cause {
        Cause::of_answer(status, code, "", None)
    }

    #[test]
    fn codes_say_more_than_statuses() {
        assert_eq!(answer(404, "NoSuchKey"), Cause::NotFound);
        assert_eq!(answer(404, "NoSuchBucket"), Cause::NoBucket);
        assert_eq!(answer(404, ""), Cause::NotFound);
        assert!(matches!(answer(403, ""), Cause::Denied(_)));
        assert!(matches!(answer(403, "RequestTimeTooSkewed"), Cause::ClockSkew(_)));
        assert!(matches!(answer(400, "ExpiredToken"), Cause::Expired(_)));
        assert!(matches!(answer(400, "RequestTimeout"), Cause::Busy(_)));
        assert!(matches!(answer(503, "SlowDown"), Cause::Busy(_)));
        assert!(matches!(answer(200, "InternalError"), Cause::Busy(_)), "it may come after the first yes");
        assert!(matches!(answer(418, "Teapot"), Cause::Other(_)));
    }

    #[test]
    fn a_404_that_names_something_else_is_no_missing_object() {
        // A page of some proxy, or of a server that is none for S3: to take it for an object that is gone could cost data.
        assert!(matches!(answer(404, "NoSuchWebsite"), Cause::Other(_)));
    }

    #[test]
    fn the_region_is_read_from_the_header_or_the_sentence() {
        let region = |cause| match cause {
            Cause::OtherRegion { region } => region,
            other => panic!("{other:?}"),
        };
        let message =
            "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'";
        let code = "AuthorizationHeaderMalformed";
        assert_eq!(region(Cause::of_answer(400, code, message, None)).as_deref(), Some("eu-west-1"));
        assert_eq!(region(Cause::of_answer(301, "", "", Some("eu-north-1"))).as_deref(), Some("eu-north-1"));
        assert_eq!(region(Cause::of_answer(301, "PermanentRedirect", "", None)), None);
    }

    #[test]
    fn what_a_server_says_is_printable_and_short() {
        let cause =
            Cause::of_answer(403, "AccessDenied", &format!("\u{1b}[31m\n{}", "no ".repeat(500)), None);
        let text = cause.to_string();
        assert!(text.len() < 400 && !text.chars().any(char::is_control), "{text}");
    }

    #[test]
    fn the_cause_is_found_again_in_the_error() {
        let error = Cause::NoBucket.error("cannot read", "s3://none/config".to_owned());
        assert_eq!(error.kind, ErrorKind::Unreachable, "a missing bucket is no missing object");
        assert_eq!(Cause::of(&error), Some(&Cause::NoBucket));
        let full: &dyn std::error::Error = &error;
        assert_eq!(full.to_string(), "cannot read s3://none/config");
        assert_eq!(full.source().unwrap().to_string(), "there is no such bucket");
    }
}
