//! Cron expressions.

use std::fmt;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::fault::{ScheduleFault, has_gap, has_long_step, why};

/// When something is to be done, as cron understands it: `30 2 * * *`, `@daily`. Times are those of the clock on the wall. What falls into an hour
/// that is left out is done at the end of it, and what falls into one that comes twice is done the first time, unless it is done every so often.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Schedule {
    text: String,
    cron: Cron,
}

impl Schedule {
    /// Understands five fields (minute, hour, day of the month, month, day of the week), and words such as `@daily`.
    pub fn parse(text: &str) -> Result<Self, ScheduleFault> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        // It has another name for that.
        let known = if text.trim().eq_ignore_ascii_case("@midnight") { "@daily" } else { text };
        let is_odd = |field| has_gap(field) || has_long_step(field);
        let cron = parser.parse(known).ok().filter(|_| !text.split_whitespace().any(is_odd));
        let cron =
            cron.ok_or_else(|| ScheduleFault::new(text, why(text, |text| parser.parse(text).is_ok())))?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let schedule = Self { text: words.join(" "), cron };
        // The thirtieth of February.
        if schedule.next(Timestamp::UNIX_EPOCH, &TimeZone::UTC).is_none() {
            return Err(ScheduleFault::new(text, "there is no such day"));
        }
        Ok(schedule)
    }

    /// The first time after `time`; `None` if there is none.
    pub fn next(&self, time: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let next = self.cron.find_next_occurrence(&time.to_zoned(zone.clone()), false).ok()?;
        Some(next.timestamp()).filter(|next| *next > time)
    }

    /// The last time at or before `time`; `None` if there was none.
    pub fn last(&self, time: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let last = self.cron.find_previous_occurrence(&time.to_zoned(zone.clone()), true).ok()?;
        Some(last.timestamp()).filter(|last| *last <= time)
    }

    /// The same in words: "At 2:30 AM".
    pub fn description(&self) -> String {
        self.cron.describe()
    }
}

impl TryFrom<String> for Schedule {
    type Error = ScheduleFault;

    fn try_from(text: String) -> Result<Self, ScheduleFault> {
        Self::parse(&text)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
