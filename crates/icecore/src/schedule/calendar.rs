//! A schedule as sets of minutes, hours and days: what other programs' own forms are made of.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::{Schedule, ScheduleFault};

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// When something is to be done: at every minute of every hour that stand here, on each day that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    /// From Sunday, which is 0.
    weekdays: Field,
}

/// Some numbers of a range, or all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    All,
    Some(BTreeSet<u8>),
}

impl Calendar {
    /// The sets that a schedule means.
    ///
    /// # Errors
    /// If it says more than sets can, such as the last day of a month.
    pub fn of(schedule: &Schedule) -> Result<Self, ScheduleFault> {
        let text = schedule.to_string();
        let unknown = || {
            let why = "it says what only `icecore daemon` understands, and not what cron and systemd do";
            ScheduleFault::new(&text, why)
        };
        let spelt = match text.to_ascii_lowercase().as_str() {
            "@hourly" => "0 * * * *".to_owned(),
            "@daily" | "@midnight" => "0 0 * * *".to_owned(),
            "@weekly" => "0 0 * * 0".to_owned(),
            "@monthly" => "0 0 1 * *".to_owned(),
            "@yearly" | "@annually" => "0 0 1 1 *".to_owned(),
            other => other.to_owned(),
        };
        let fields: Vec<&str> = spelt.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else { return Err(unknown()) };
        let field = |text: &str, range, names: &[&str]| Field::parse(text, range, names).ok_or_else(unknown);
        let mut weekdays = field(weekdays, 0..=7, &WEEKDAYS)?;
        if let Field::Some(numbers) = &mut weekdays
            && numbers.remove(&7)
        {
            numbers.insert(0);
        }
        Ok(Self {
            minutes: field(minutes, 0..=59, &[])?,
            hours: field(hours, 0..=23, &[])?,
            days: field(days, 1..=31, &[])?,
            months: field(months, 1..=12, &MONTHS)?,
            weekdays,
        })
    }

    /// The five fields for cron, or one of its words. As soon as one of the fields of days begins with `*`, cron wants both to fit, and not one of them, as it
    /// is meant here: so `*/2` is written as the days that it means.
    pub fn for_cron(&self, schedule: &Schedule) -> String {
        let text = schedule.to_string();
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else { return text };
        let plain = |said: &str, field: &Field| match said.starts_with(['*', '?']) {
            true => field.joined(|number| number.to_string()),
            false => said.to_owned(),
        };
        let (days, weekdays) = (plain(days, &self.days), plain(weekdays, &self.weekdays));
        [minutes, hours, days.as_str(), months, weekdays.as_str()].join(" ")
    }

    /// The same in the form of systemd (`man systemd.time`). There are two where a day fits by its number or by its name.
    pub fn for_systemd(&self) -> Vec<String> {
        let (months, days) = (self.months.listed(), self.days.listed());
        let time = format!("{}:{}:00", self.hours.listed(), self.minutes.listed());
        match (&self.days, &self.weekdays) {
            (_, Field::All) => vec![format!("*-{months}-{days} {time}")],
            (Field::All, weekdays) => vec![format!("{} *-{months}-* {time}", weekdays.named())],
            (_, weekdays) => {
                vec![format!("*-{months}-{days} {time}"), format!("{} *-{months}-* {time}", weekdays.named())]
            }
        }
    }
}

impl Field {
    fn parse(text: &str, range: RangeInclusive<u8>, names: &[&str]) -> Option<Self> {
        if text == "*" || text == "?" {
            return Some(Self::All);
        }
        let (first, last) = (*range.start(), *range.end());
        let number = |text: &str| {
            let named = names.iter().position(|name| *name == text).and_then(|at| u8::try_from(at).ok());
            // Months are counted from one.
            named.map(|at| at + u8::from(names.len() == MONTHS.len())).or_else(|| text.parse().ok())
        };
        let mut numbers = BTreeSet::new();
        for piece in text.split(',') {
            let (span, step) = match piece.split_once('/') {
                Some((span, step)) => (span, step.parse::<u8>().ok().filter(|step| *step > 0)?),
                None => (piece, 1),
            };
            let (from, to) = match span.split_once('-') {
                _ if span == "*" => (first, last),
                Some((from, to)) => (number(from)?, number(to)?),
                None => (number(span)?, number(span)?),
            };
            if from > to || !range.contains(&from) || !range.contains(&to) {
                return None;
            }
            numbers.extend((from..=to).step_by(step.into()));
        }
        Some(Self::Some(numbers))
    }

    fn listed(&self) -> String {
        self.joined(|number| format!("{number:02}"))
    }

    fn named(&self) -> String {
        self.joined(|number| {
            let name = WEEKDAYS.get(usize::from(number)).copied().unwrap_or_default();
            let mut letters = name.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
        })
    }

    fn joined(&self, show: impl Fn(u8) -> String) -> String {
        match self {
            Self::All => "*".to_owned(),
            Self::Some(numbers) => numbers.iter().map(|number| show(*number)).collect::<Vec<_>>().join(","),
        }
    }
}
