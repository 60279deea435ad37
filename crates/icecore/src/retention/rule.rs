//! What one piece of a policy keeps.

use std::fmt;

use super::{Period, PolicyFault, Window};
use crate::nearest::did_you_mean;

/// One piece of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// `all`: everything.
    All,
    /// `last 3`: the newest.
    Last(u32),
    /// `7 daily`: one of each of the newest days, weeks ... of which there are any.
    Newest(u32, Period),
    /// `7d all`: everything that is not older.
    Within(Window),
    /// `30d daily`: one of each day, week ... of what is not older.
    WithinEach(Window, Period),
    /// `then monthly`: one of each, however old.
    Each(Period),
    /// `tag release`: what has the tag.
    Tag(String),
}

/// What may follow a number or a length of time.
const WHAT: [&str; 6] = ["all", "hourly", "daily", "weekly", "monthly", "yearly"];
const EXAMPLES: &str = "one looks like 7d all, 30d daily, 7 weekly, then monthly, last 3 or tag release";

impl Rule {
    /// Understands one piece.
    pub(super) fn parse(text: &str) -> Result<Self, PolicyFault> {
        let text = text.trim();
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            [] => Err(PolicyFault::new(format!("a rule is missing: {EXAMPLES}"))),
            ["all"] | ["then", "all"] => Ok(Self::All),
            ["tag", _, ..] => tag(text.strip_prefix("tag").unwrap_or_default().trim()),
            ["then", what] => Ok(Self::Each(period(what)?)),
            ["last", count] => Ok(Self::Last(parse_count(count)?)),
            [what @ ("then" | "last" | "tag"), ..] => {
                let example = match *what {
                    "then" => "then monthly",
                    "last" => "last 3",
                    _ => "tag release",
                };
                Err(PolicyFault::new(format!("{text:?} is no rule: {what:?} is used as in {example:?}")))
            }
            [what] if Period::parse(what).is_some() => Err(PolicyFault::new(format!(
                "{what:?} does not say for how long: write 30d {what}, 7 {what} or then {what}"
            ))),
            [count, "all"] if is_number(count) => Err(PolicyFault::new(format!(
                "{text:?} does not say of what: write {count}d all for days, or last {count}"
            ))),
            [count, what] if is_number(count) => Ok(Self::Newest(parse_count(count)?, period(what)?)),
            [length @ .., what] if !length.is_empty() => {
                let window = Window::parse(&length.join(" "));
                match *what {
                    "all" => Ok(Self::Within(window?)),
                    what if WHAT.contains(&what) => Ok(Self::WithinEach(window?, period(what)?)),
                    what if window.is_ok() => Err(no_period(what)),
                    what => Err(unknown(text, what)),
                }
            }
            [what, ..] => match Window::parse(text) {
                Ok(window) => Err(PolicyFault::new(format!(
                    "{text:?} does not say what is kept: write {window} all, or {window} daily"
                ))),
                Err(_) => Err(unknown(text, what)),
            },
        }
    }
}

/// How many of something are kept.
fn parse_count(text: &str) -> Result<u32, PolicyFault> {
    let count = text.parse().ok().filter(|count| *count > 0 && is_number(text));
    count.ok_or_else(|| PolicyFault::new(format!("{text:?} is no number of snapshots to keep: 1 or more is")))
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn period(word: &str) -> Result<Period, PolicyFault> {
    Period::parse(word).ok_or_else(|| no_period(word))
}

fn no_period(word: &str) -> PolicyFault {
    let near = did_you_mean(word, WHAT);
    PolicyFault::new(format!("{word:?} is no period: hourly, daily, weekly, monthly and yearly are{near}"))
}

fn unknown(text: &str, word: &str) -> PolicyFault {
    let near = did_you_mean(word, WHAT.into_iter().chain(["then", "last", "tag"]));
    PolicyFault::new(format!("{text:?} is no rule: {EXAMPLES}{near}"))
}

/// A tag, in quotes if it has a comma or a quote. A quote alone within is refused: what follows the next comma may have been meant for another rule.
fn tag(text: &str) -> Result<Rule, PolicyFault> {
    let lone = || {
        PolicyFault::new(format!(
            "a quote stands alone in the tag {text}: a tag with quotes is written in quotes, and its own twice, as in tag \"5\"\" disk\""
        ))
    };
    let Some(rest) = text.strip_prefix('"') else {
        return if text.contains('"') { Err(lone()) } else { Ok(Rule::Tag(text.to_owned())) };
    };
    let inner = rest
        .strip_suffix('"')
        .ok_or_else(|| PolicyFault::new(format!("the tag {text} lacks its closing quote")))?;
    match inner.replace("\"\"", "").contains('"') {
        true => Err(lone()),
        false => Ok(Rule::Tag(inner.replace("\"\"", "\""))),
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Last(count) => write!(f, "last {count}"),
            Self::Newest(count, period) => write!(f, "{count} {}", period.as_str()),
            Self::Within(window) => write!(f, "{window} all"),
            Self::WithinEach(window, period) => write!(f, "{window} {}", period.as_str()),
            Self::Each(period) => write!(f, "then {}", period.as_str()),
            Self::Tag(tag) => {
                let words = tag.split_whitespace().collect::<Vec<_>>().join(" ");
                match tag.contains([',', '"']) || words != *tag || tag.is_empty() {
                    true => write!(f, "tag \"{}\"", tag.replace('"', "\"\"")),
                    false => write!(f, "tag {tag}"),
                }
            }
        }
    }
}
