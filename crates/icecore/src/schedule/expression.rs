//! Cron expressions.

use std::fmt;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

/// When something is to be done, as cron understands it: `30 2 * * *`, `@daily`. Times are those of the clock on the wall. What falls into an hour
/// that is left out is done at the end of it, and what falls into one that comes twice is done the first time, unless it is done every so often.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Schedule {
    text: String,
    cron: Cron,
}

/// What is wrong with a schedule as somebody wrote it: one sentence, with the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no schedule: {why}; `30 2 * * *` is every night at 2:30")]
pub struct ScheduleFault {
    text: String,
    why: String,
}

impl ScheduleFault {
    pub(super) fn new(text: &str, why: &str) -> Self {
        Self { text: text.to_owned(), why: why.to_owned() }
    }
}

impl Schedule {
    /// Understands five fields (minute, hour, day of the month, month, day of the week), and words such as `@daily`.
    pub fn parse(text: &str) -> Result<Self, ScheduleFault> {
        let fault = |why: String| ScheduleFault { text: text.to_owned(), why };
        let fields = text.split_whitespace().count();
        if fields != 5 && !text.trim_start().starts_with('@') {
            return Err(fault(format!("it has {fields} fields, and not five")));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron =
            parser.parse(text).map_err(|error| fault(error.to_string().trim_end_matches('.').to_owned()))?;
        let schedule = Self { text: text.trim().to_owned(), cron };
        // The thirtieth of February.
        if schedule.next(Timestamp::UNIX_EPOCH, &TimeZone::UTC).is_none() {
            return Err(fault("there is no such day".to_owned()));
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
