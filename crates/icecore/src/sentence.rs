//! Errors as a person reads them.

use std::error::Error as StdError;
use std::io;

/// An error and its causes, as one sentence.
pub fn sentence(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.downcast_ref::<io::Error>().map_or_else(|| error.to_string(), io_message);
        // Transparent layers repeat what is below them.
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(said.trim_end());
        }
        cause = error.source();
    }
    text
}

/// Without `(os error 2)`, which helps nobody.
pub fn io_message(error: &io::Error) -> String {
    let text = error.to_string();
    let bare = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = bare.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
