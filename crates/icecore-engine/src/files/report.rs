//! Wording what the operating system says.

use std::io;

/// The cause of an error for the end of a sentence: "permission denied", not "Permission denied (os error 13)".
pub(super) fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    match letters.next() {
        // An abbreviation stays as it is.
        Some(first) if letters.as_str().starts_with(|second: char| !second.is_uppercase()) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_ends_a_sentence() {
        assert_eq!(cause(&io::Error::from_raw_os_error(13)), "permission denied");
    }
}
