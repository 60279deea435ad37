//! What the SDK's errors mean, which hide what they know below several layers.

use std::error::Error as StdError;

use aws_credential_types::provider::error::{CredentialsError, TokenError};
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::cause::{Cause, printable};

/// What the SDK says of a place where nobody has put anything.
const NOT_ENABLED: &str = "the credential provider was not enabled";
/// What it means if it says so of all.
const NOWHERE: &str =
    "neither the environment nor a profile has any, nor does the machine or the container give some";

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
            if status == 400 && raw.body().bytes().is_some_and(wants_tls) {
                return Cause::OnlyTls;
            }
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
            match is_connecting(error) {
                // Whatever came was nothing that TLS begins with.
                _ if text.contains("InvalidContentType") => Cause::NoTls(String::new()),
                _ if text.contains("certificate") => Cause::Untrusted(text),
                true => Cause::Unreachable(brief(&text)),
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
            return Some(Cause::NoCredentials(why_none(&chain(error))));
        }
        cause = error.source();
    }
    None
}

/// The SDK has a sentence for each place where it has looked. All of them together help nobody.
fn why_none(said: &str) -> String {
    if said.contains("no credentials found in chain") {
        // Of all that was not there, a profile is the one thing that somebody may have named.
        let of_profile = said
            .split_once(" Profile: ")
            .and_then(|(_, rest)| rest.split_once(" WebIdentityToken: ")?.0.strip_prefix(NOT_ENABLED));
        let why = of_profile.and_then(|rest| rest.strip_prefix(": "));
        return why.map_or_else(|| NOWHERE.to_owned(), printable);
    }
    let starts = [
        NOT_ENABLED,
        "an error occurred while loading credentials",
        "the credentials provider was not properly configured",
    ];
    let bare = starts
        .iter()
        .find_map(|start| said.strip_prefix(start)?.strip_prefix(": "))
        .unwrap_or(said)
        .trim_end_matches('.');
    // The last that is asked is the service of a machine in the cloud, which others do not have.
    if bare.contains("IMDS") { printable(&format!("{NOWHERE} ({bare})")) } else { printable(bare) }
}

/// Why no connection came about, without the layers that say so.
fn brief(text: &str) -> String {
    match (text.strip_prefix("dns error: "), text.strip_prefix("tcp connect error: ")) {
        (Some(why), _) => {
            let why = why.strip_prefix("failed to lookup address information: ").unwrap_or(why);
            format!("its name has no address ({why})")
        }
        (None, Some(why)) => why.to_owned(),
        (None, None) => text.to_owned(),
    }
}

/// What servers with TLS say to those who come without.
fn wants_tls(page: &[u8]) -> bool {
    let text = String::from_utf8_lossy(page);
    ["HTTPS server", "HTTPS port"].iter().any(|words| text.contains(words))
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
