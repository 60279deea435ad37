//! What is wrong with a plan, in words of the file instead of those of the program that reads it.

use std::ops::Range;

/// One sentence, with the line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub(super) struct PlanFault {
    line: usize,
    what: String,
}

impl PlanFault {
    pub(super) fn new(line: usize, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }

    /// What the error means in the text that was read.
    pub(super) fn of(text: &str, error: &toml::de::Error) -> Self {
        let Range { start, .. } = error.span().unwrap_or_default();
        let line = line_of(text, start);
        Self { line, what: what(error.message(), text.lines().nth(line - 1).unwrap_or_default()) }
    }
}

/// The line in which a byte lies, counted from one.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or_default().matches('\n').count() + 1
}

fn what(message: &str, line: &str) -> String {
    let word = message.split('`').nth(1).unwrap_or_default();
    let key = line.split('=').next().unwrap_or_default().trim();
    match message {
        _ if message.starts_with("unknown field") && message.contains("`command`") => {
            format!("a step has no key {word:?}; known are name, command")
        }
        _ if message.starts_with("unknown field") => {
            format!(
                "{word:?} means nothing here; a plan is a list of [[step]], each with a name and a command"
            )
        }
        _ if message.starts_with("missing field") => format!("{word} is missing here"),
        _ if message.starts_with("duplicate key") => "what this line says was said above already".to_owned(),
        _ if message.starts_with("invalid type") && (key == "step" || key.starts_with('[')) => {
            "a step is written [[step]], in double brackets".to_owned()
        }
        _ if message.starts_with("invalid type") && key == "command" => {
            "command must be a text in quotes, or a list of texts".to_owned()
        }
        _ if message.starts_with("invalid type") && !key.is_empty() => {
            format!("{key} must be a text in quotes")
        }
        _ if message.starts_with("invalid") && message.contains("string") => {
            "a text lacks its closing quote".to_owned()
        }
        _ => message.replace('\n', " ").replace(", expected", "; there should be"),
    }
}
