//! What the SDK's errors mean, which hide what they know below several layers.

use std::error::Error as StdError;

use aws_credential_types::provider::error::{CredentialsError, TokenError};
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::cause::Cause;

/// What most servers for S3 say in each answer, and nothing else does. Where it is missing, only words that nobody but S3 has say that an object
/// is not there: to believe anybody else could cost data.
const REQUEST_ID: &str = "x-amz-request-id";

/// What the SDK's error means.
pub(crate) fn of_sdk<E>(error: &SdkError<E, HttpResponse>) -> Cause
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    if let Some(cause) = of_credentials(error) {
        return cause;
    }
    match error {
        SdkError::ServiceError(answer) => {
            let (raw, meta) = (answer.raw(), answer.err().meta());
            let region = raw.headers().get("x-amz-bucket-region");
            let (code, message) = (meta.code().unwrap_or_default(), meta.message().unwrap_or_default());
            let status = raw.status().as_u16();
            match Cause::of_answer(status, code, message, region) {
                // For an answer without a body, the SDK makes a code up.
                Cause::NotFound if code != "NoSuchKey" && raw.headers().get(REQUEST_ID).is_none() => {
                    Cause::foreign(status, message)
                }
                cause => cause,
            }
        }
        SdkError::TimeoutError(_) => Cause::Broken(chain(error)),
        SdkError::DispatchFailure(_) => {
            let text = chain(error);
            if text.contains("certificate") {
                return Cause::Untrusted(text);
            }
            match is_connecting(error) {
                true => Cause::Unreachable(text),
                false => Cause::Broken(text),
            }
        }
        SdkError::ResponseError(answer) => match answer.raw().status().as_u16() {
            // An answer that ended too early, or one that is none of S3's.
            200..300 => Cause::Broken(chain(error)),
            status => Cause::of_answer(status, "Unintelligible", &chain(error), None),
        },
        _ => Cause::Unusable(chain(error)),
    }
}

/// As far as the text tells: there was no connection yet. Nothing may depend on it.
fn is_connecting(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if ["client error (Connect)", "connect timeout"].iter().any(|words| text.contains(words)) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Credentials that could not be had come as any kind of error; what lies at its bottom tells.
fn of_credentials(error: &(dyn StdError + 'static)) -> Option<Cause> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<CredentialsError>() || error.is::<TokenError>() {
            return Some(Cause::NoCredentials(chain(error)));
        }
        cause = error.source();
    }
    None
}

/// An error with all its causes, without those that say nothing.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        let says_something = !["dispatch failure", "io error", "other", "service error"].contains(&text)
            && !text.starts_with("client error");
        if says_something && texts.last().is_none_or(|last| !last.ends_with(text)) {
            texts.push(text.to_owned());
        }
        cause = error.source();
    }
    // Some of the SDK's are lists over several lines.
    texts.join(": ").split_whitespace().collect::<Vec<_>>().join(" ")
}
