//! What must not be repeated of a place that somebody has named.

/// A URL as an error may repeat it: without what may be a user and a password, or a key and its secret, and without what follows a `?`. What is no URL but
/// was perhaps meant to be one loses the same; a path stays as it is.
pub fn without_secret(text: &str) -> String {
    let is_scheme = |scheme: &str| !scheme.is_empty() && !scheme.contains(['/', '@']);
    let Some((scheme, rest)) = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
        return text.to_owned();
    };
    let rest = rest.split_once('?').map_or_else(|| rest.to_owned(), |(rest, _)| format!("{rest}?..."));
    let bare = rest.trim_start_matches('/');
    let slashes = &rest[..rest.len() - bare.len()];
    match bare.rsplit_once('@') {
        // A secret may have slashes in it; and a path without a colon may have an `@` in it.
        Some((before, after)) if before.contains(':') || !before.contains('/') => {
            format!("{scheme}:{slashes}...@{after}")
        }
        _ => format!("{scheme}:{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_left_however_it_was_written() {
        for (text, expected) in [
            ("https://KEY:hush@host/bucket", "https://...@host/bucket"),
            ("s3://KEY:hu/sh@bucket/app", "s3://...@bucket/app"),
            ("s3://KEY:hu@sh@bucket", "s3://...@bucket"),
            ("s3:/KEY:hush@bucket", "s3:/...@bucket"),
            ("s3:KEY:hush@bucket", "s3:...@bucket"),
            ("https://hush@host", "https://...@host"),
            ("KEY:hush@host", "KEY:...@host"),
            ("https://host/bucket?X-Amz-Signature=hush", "https://host/bucket?..."),
            ("https://KEY:hush@host/bucket?a=hush@b", "https://...@host/bucket?..."),
        ] {
            assert_eq!(without_secret(text), expected);
        }
    }

    #[test]
    fn what_has_no_secret_stays_as_it_is() {
        for text in [
            "s3://backups/team@home/app",
            "file:///mnt/a:b",
            "ftp://host/a",
            "/mnt/a:b@c",
            "./a:b@c",
            "team",
            "team@home",
            "",
        ] {
            assert_eq!(without_secret(text), text);
        }
    }
}
