//! A schedule as units of systemd, and as lines for cron.
//!
//! Both run `icecore nightly SERVICE`. What is made for one `icecore.toml` has its [`Mark`], so that it is found again, and nothing else is touched.

use std::path::Path;
use std::time::Duration;

use icecore_format::Digest;

use super::{Calendar, Schedule, ScheduleFault};

/// How a service is run, by whatever keeps its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// The service.
    pub service: String,
    /// When.
    pub schedule: Schedule,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Where it looks for the programs of databases, as in `PATH`, if that is known: systemd and cron look in few places.
    pub path: Option<String>,
}

/// What the units and lines of one `icecore.toml` have in their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark(String);

/// A file that systemd reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// What stands in it.
    pub text: String,
}

impl Mark {
    /// That of this file.
    pub fn of(config: &Path) -> Self {
        let digest = Digest::of(config.as_os_str().as_encoded_bytes()).to_hex();
        Self(digest.get(..8).unwrap_or(&digest).to_owned())
    }

    /// Whether a unit of this name was made for the file.
    pub fn is_of(&self, unit: &str) -> bool {
        let stem = unit.strip_suffix(".timer").or_else(|| unit.strip_suffix(".service"));
        stem.is_some_and(|stem| stem.starts_with("icecore-") && stem.ends_with(&format!("-{}", self.0)))
    }

    fn unit(&self, service: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        let name: String = service.chars().map(plain).take(100).collect();
        // What only differs in what was replaced must not have one name.
        let digest = if name == service { String::new() } else { Digest::of(service.as_bytes()).to_hex() };
        let dash = if digest.is_empty() { "" } else { "-" };
        format!("icecore-{name}{dash}{}-{}", digest.get(..6).unwrap_or_default(), self.0)
    }

    fn begin(&self) -> String {
        format!("# icecore {}: what `icecore schedule install` wrote begins here", self.0)
    }

    fn end(&self) -> String {
        format!("# icecore {}: and ends here", self.0)
    }
}

impl Timer {
    /// What systemd needs: what is run, and when. What was missed while the machine was off is caught up with; `jitter` is the most by which it comes later. As `user`, if one is said: a unit of
    /// the system has no home else.
    ///
    /// # Errors
    /// If the schedule says what systemd cannot.
    pub fn units(
        &self,
        mark: &Mark,
        dir: &Path,
        jitter: Duration,
        user: Option<&str>,
    ) -> Result<[Unit; 2], ScheduleFault> {
        let name = mark.unit(&self.service);
        let what = format!("Snapshots of {} by {}", in_unit(&self.service), in_unit(&dir.to_string_lossy()));
        let user = user.map(|user| format!("User={user}\n")).unwrap_or_default();
        let path = self.path.as_ref().map(|path| format!("PATH={path}"));
        let path = path.map(|path| format!("Environment={}\n", quoted_for_systemd(&path)));
        // In a command, and nowhere else, $ begins a variable.
        let word = |word: &String| quoted_for_systemd(word).replace('$', "$$");
        let command: Vec<String> = self.command.iter().map(word).collect();
        let service = format!(
            "[Unit]\nDescription={what}\nWants=network-online.target\nAfter=network-online.target\n\n[Service]\nType=oneshot\n{user}{}WorkingDirectory={}\nExecStart={}\nNice=10\n",
            path.unwrap_or_default(),
            in_unit(&dir.to_string_lossy()),
            command.join(" "),
        );
        let mut times = String::new();
        for time in Calendar::of(&self.schedule)?.for_systemd() {
            times.push_str(&format!("OnCalendar={time}\n"));
        }
        let delay = match jitter.as_secs() {
            0 => String::new(),
            seconds => format!("RandomizedDelaySec={seconds}\nFixedRandomDelay=true\n"),
        };
        let timer = format!(
            "[Unit]\nDescription={what}\n\n[Timer]\n{times}Persistent=true\n{delay}\n[Install]\nWantedBy=timers.target\n"
        );
        let unit = |suffix: &str, text| Unit { name: format!("{name}.{suffix}"), text };
        Ok([unit("service", service), unit("timer", timer)])
    }

    /// A line for cron.
    ///
    /// # Errors
    /// If the schedule says what cron cannot.
    pub fn line(&self, dir: &Path, delay: Duration) -> Result<String, ScheduleFault> {
        let time = Calendar::of(&self.schedule)?.for_cron(&self.schedule);
        let words: Vec<String> = self.command.iter().map(|word| quoted_for_sh(word)).collect();
        let delay = match delay.as_secs() {
            0 => String::new(),
            seconds => format!("sleep {seconds} && "),
        };
        let path = self.path.as_ref().map(|path| format!("PATH={} ", quoted_for_sh(path)));
        let command = format!(
            "{delay}cd {} && {}{}",
            quoted_for_sh(&dir.to_string_lossy()),
            path.unwrap_or_default(),
            words.join(" ")
        );
        // For cron, what follows % is input.
        Ok(format!("{time} {}", command.replace('%', "\\%")))
    }
}

/// A crontab in which these lines stand in place of those that were written for the same file before; `None` if it cannot be told where those end.
pub fn with_lines(crontab: &str, mark: &Mark, lines: &[String]) -> Option<String> {
    let (begin, end) = (mark.begin(), mark.end());
    let mut kept: Vec<&str> = Vec::new();
    let mut is_ours = false;
    for line in crontab.lines() {
        is_ours |= line == begin;
        if !is_ours {
            kept.push(line);
        }
        is_ours &= line != end;
    }
    if is_ours {
        return None;
    }
    if !lines.is_empty() {
        kept.push(&begin);
        kept.extend(lines.iter().map(String::as_str));
        kept.push(&end);
    }
    Some(kept.into_iter().fold(String::new(), |text, line| text + line + "\n"))
}

/// A text in a unit, where `%` begins a specifier.
fn in_unit(text: &str) -> String {
    text.replace('%', "%%").replace(['\n', '\r'], " ")
}

fn quoted_for_systemd(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", in_unit(&escaped))
}

fn quoted_for_sh(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
