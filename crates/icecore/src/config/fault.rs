//! What is wrong with `icecore.toml`, in words of the file instead of those of the program that reads it. It repeats no value: one may be a
//! password.

use std::ops::Range;

use crate::{Length, Size};

/// The keys that are lengths of time.
const LENGTHS: [&str; 3] = ["prove", "hook_timeout", "jitter"];

/// One sentence, with the line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ConfigFault {
    line: usize,
    what: String,
    is_of_nights: bool,
}

impl ConfigFault {
    /// What the error means in the text that was read.
    pub(crate) fn of(text: &str, error: &toml::de::Error) -> Self {
        let Range { start, .. } = error.span().unwrap_or_default();
        let before = text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let whole = text.lines().nth(line - 1).unwrap_or_default();
        let table = text.lines().take(line).filter_map(table_of).last().unwrap_or_default();
        let key = key_before(before);
        let is_of_nights =
            table == "nightly" || key == "schedule" || (table.is_empty() && key.starts_with("nightly"));
        Self { line, what: what(error.message(), before, whole), is_of_nights }
    }

    /// Whether it is about what is done every night, and when.
    pub fn is_of_nights(&self) -> bool {
        self.is_of_nights
    }
}

fn what(message: &str, before: &str, line: &str) -> String {
    let said = message.split_once(", expected ");
    if let Some((found, known)) = said.filter(|(found, _)| found.starts_with("unknown field ")) {
        return unknown_key(&quoted(found).join(""), &quoted(known));
    }
    if line.trim_start().starts_with("[[remotes") {
        return "a remote is written [remotes.NAME], in single brackets".to_owned();
    }
    if line.trim_start().starts_with("[[") {
        return "a service is written [services.NAME], in single brackets".to_owned();
    }
    let key = key_before(before);
    let known_to = |what: &str| match key.is_empty() {
        true => format!("here must be {what}"),
        false => format!("{key} must be {what}"),
    };
    match said {
        Some((found, known)) if found.starts_with("unknown variant ") => {
            known_to(&format!("one of {}", quoted(known).join(", ")))
        }
        Some((found, wanted)) if found.starts_with("invalid type") || found.starts_with("invalid value") => {
            known_to(kind(&key, wanted))
        }
        Some((_, "literal string")) => known_to("a text in quotes, a number or a list"),
        Some(("invalid basic string" | "invalid literal string", _)) => {
            "a text lacks its closing quote".to_owned()
        }
        _ if [Size::WANTED, Length::WANTED].contains(&message) => known_to(message),
        _ if message.starts_with("missing field") => format!("{} is missing here", quoted(message).join("")),
        _ if message.starts_with("duplicate key") => "what this line says was said above already".to_owned(),
        _ => message.replace('\n', " "),
    }
}

fn unknown_key(key: &str, known: &[String]) -> String {
    let known_here = known.join(", ");
    let is_service = known.iter().any(|key| key == "engine");
    let is_remote = known.iter().any(|key| key == "endpoint");
    let is_retention = known.iter().any(|key| key == "safety");
    let is_nightly = known.iter().any(|key| key == "jitter");
    match key {
        "password" | "pass" | "pwd" if is_service => {
            "a password does not stand in this file by itself, which others may read: password_file, password_env or password_command say where it is".to_owned()
        }
        _ if is_service => format!("a service has no key {key:?}; known are {known_here}"),
        _ if is_remote && ["secret", "access_key", "token", "password"].iter().any(|word| key.contains(word)) => {
            "who we are does not stand in this file, which others may read: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY say it, or a profile".to_owned()
        }
        _ if is_retention => format!("[retention] has no key {key:?}; known are {known_here}"),
        _ if is_nightly => format!("[nightly] has no key {key:?}; known are {known_here}"),
        _ if is_remote => format!("a remote has no key {key:?}; known are {known_here}"),
        _ => format!("{key:?} means nothing here; known are {known_here}, and a service is written [services.NAME]"),
    }
}

/// What a value must be, by its key and what the reader of the file calls it.
fn kind(key: &str, wanted: &str) -> &'static str {
    match wanted {
        "a string" if LENGTHS.contains(&key) => {
            "a length of time in quotes, such as \"7d\", \"24h\" or \"30min\""
        }
        "a string" if key == "verify" => "a size in quotes, such as \"500MB\" or \"10GiB\"",
        "a string" if key == "schedule" => "a text in quotes, such as \"30 2 * * *\"",
        "u16" => "a number from 0 to 65535",
        "a boolean" => "true or false",
        "a sequence" => "a list of texts, such as [\"pass\", \"show\", \"shop\"]",
        "struct Remote" => "a table of its own, [remotes.NAME], with its keys below",
        "a map" => "a table for each, such as [services.NAME] or [remotes.NAME]",
        "struct NightlySettings" => "a table of its own, [nightly], with its keys below",
        "struct Retention" => "a table of its own, [retention], with its keys below",
        "struct Service" => "a table of its own, [services.NAME], with its keys below",
        _ => "a text in quotes",
    }
}

/// The table that begins with a line.
fn table_of(line: &str) -> Option<&str> {
    Some(line.trim().strip_prefix('[')?.split(']').next().unwrap_or_default().trim())
}

/// What stands in backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The key whose value begins there.
fn key_before(before: &str) -> String {
    let line = before.rsplit('\n').next().unwrap_or_default();
    let start = line.rsplit_once('=').map_or("", |(start, _)| start);
    start.rsplit(['{', ',']).next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn every_fault_has_its_line_and_repeats_no_value() {
        let check = |text: &str, said: &str| {
            let error = toml::from_str::<Config>(text).unwrap_err();
            let fault = ConfigFault::of(text, &error).to_string();
            assert!(fault.contains(said), "{text}: {fault}");
            for jargon in ["struct", "field", "variant", "u16", "sequence", "hush", "expected", "TOML"] {
                assert!(!fault.contains(jargon), "{text}: {fault}");
            }
        };
        check("[services.a]\nport = 'hush'\n", "line 2: port must be a number from 0 to 65535");
        check("[services.a]\nport = 70000\n", "line 2: port must be a number");
        check(
            "\n[services.a]\nhosst = 'x'\n",
            "line 3: a service has no key \"hosst\"; known are engine, url",
        );
        check(
            "[services.a]\npassword = 'hush'\n",
            "line 2: a password does not stand in this file by itself",
        );
        check(
            "[services]\na = 'postgres://x:hush@h/b'\n",
            "line 2: a must be a table of its own, [services.NAME]",
        );
        check("services = 3\n", "line 1: services must be a table");
        check(
            "[shop]\nurl = 'x'\n",
            "line 1: \"shop\" means nothing here; known are store, retention, nightly, remotes, services, and a service is",
        );
        check(
            "[[services.a]]\nurl = 'x'\n",
            "line 1: a service is written [services.NAME], in single brackets",
        );
        check("[services.a]\nurl = x\n", "line 2: url must be a text in quotes");
        check("[services.a]\nurl = \"x\n", "line 2: a text lacks its closing quote");
        check(
            "[services.a]\npassword_command = 'hush'\n",
            "line 2: password_command must be a list of texts",
        );
        check("[services.a]\nurl = 'x'\nurl = 'y'\n", "line 3: what this line says was said above already");
        check("[services]\na = { path = 'hush', engine = 5 }\n", "line 2: engine must be a text in quotes");
        check("store = 5\n", "line 1: store must be a text in quotes");
        check(
            "[remotes.a]\nurl = 's3://a'\nregio = 'x'\n",
            "line 3: a remote has no key \"regio\"; known are url",
        );
        check(
            "[remotes.a]\nurl = 's3://a'\nsecret_key = 'hush'\n",
            "line 3: who we are does not stand in this file",
        );
        check("[remotes]\na = 's3://hush'\n", "line 2: a must be a table of its own, [remotes.NAME]");
        check("[[remotes.a]]\nurl = 'x'\n", "line 1: a remote is written [remotes.NAME]");
        check("[remotes.a]\nregion = 'x'\n", "url is missing here");
        check("retention = '7d all'\n", "line 1: retention must be a table of its own, [retention]");
        check(
            "[retention]\ndefualt = '7d all'\n",
            "line 2: [retention] has no key \"defualt\"; known are default, named, safety",
        );
        check(
            "[retention]\ndefault = '7d all, 30d dayly'\n",
            "line 2: \"dayly\" is no period: hourly, daily, weekly, monthly and yearly are; did you mean \"daily\"?",
        );
        check("[services.a]\nretention = 7\n", "line 2: retention must be a text in quotes");
        check("nightly = 'x'\n", "line 1: nightly must be a table of its own, [nightly]");
        check(
            "[nightly]\npsuh = ['a']\n",
            "line 2: [nightly] has no key \"psuh\"; known are push, prune_remotes, exclusive, verify, prove, before, after, webhook, webhook_file, webhook_when, ping, hook_timeout, jitter",
        );
        check("[nightly]\nverify = 'much'\n", "line 2: verify must be a size, such as 500MB or 10GiB");
        for value in ["sometimes", "-7d", "7", "7w"] {
            check(
                &format!("[nightly]\nprove = '{value}'\n"),
                "line 2: prove must be a length of time, such as 7d, 24h or 30min",
            );
        }
        check("[nightly]\nexclusive = 'hush'\n", "line 2: exclusive must be true or false");
        for key in LENGTHS {
            check(
                &format!("[nightly]\n{key} = 5\n"),
                &format!("line 2: {key} must be a length of time in quotes, such as \"7d\""),
            );
        }
        check("[nightly]\nverify = 5\n", "line 2: verify must be a size in quotes, such as \"500MB\"");
        check(
            "[services.a]\nschedule = 5\n",
            "line 2: schedule must be a text in quotes, such as \"30 2 * * *\"",
        );
        check(
            "[services.a]\nschedule = '61 * * * *'\n",
            "line 2: \"61 * * * *\" is no schedule: \"61\" is no minute: 0 to 59 are; ",
        );
        check("remotes = 3\n", "line 1: remotes must be a table for each");
    }
}
