//! How far back a rule reaches.

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::PolicyFault;
use crate::nearest::did_you_mean;

/// A length of time on the calendar: `7d`, `6mo`, `1y 6mo`. A day of it may have 23 hours, a month 28 days.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    years: u32,
    months: u32,
    weeks: u32,
    days: u32,
    hours: u32,
}

/// Nobody means more of anything, and the calendar ends somewhere.
const COUNT_MAX: u32 = 9999;
/// The words for units, for who mistypes one.
const UNITS: [&str; 10] =
    ["hours", "hour", "days", "day", "weeks", "week", "months", "month", "years", "year"];

impl Window {
    /// So many days.
    pub(crate) fn of_days(days: u32) -> Self {
        Self { days, ..Self::default() }
    }

    /// Understands `7d`, `7 days`, `1y6mo`.
    pub fn parse(text: &str) -> Result<Self, PolicyFault> {
        let mut window = Self::default();
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(PolicyFault::new("a length of time is missing: one looks like 7d, 12h, 6mo or 1y"));
        }
        while !rest.is_empty() {
            let (number, after) = split(rest, |c| c.is_ascii_digit());
            let (unit, after) = split(after.trim_start(), char::is_alphabetic);
            let count = number.parse().ok().filter(|count| (1..=COUNT_MAX).contains(count));
            let count = count.ok_or_else(|| match number.is_empty() || unit.is_empty() {
                true => PolicyFault::new(format!(
                    "{text:?} is no length of time: one looks like 7d, 12h, 6mo or 1y"
                )),
                false => PolicyFault::new(format!(
                    "{number:?} is not from 1 to {COUNT_MAX}, as a length of time is"
                )),
            })?;
            let field = match unit {
                "h" | "hour" | "hours" => &mut window.hours,
                "d" | "day" | "days" => &mut window.days,
                "w" | "week" | "weeks" => &mut window.weeks,
                "mo" | "month" | "months" => &mut window.months,
                "y" | "year" | "years" => &mut window.years,
                "m" => {
                    return Err(PolicyFault::new(format!(
                        "{:?} may be minutes or months: write {number}mo for months",
                        format!("{number}m")
                    )));
                }
                _ => {
                    let near = did_you_mean(unit, UNITS);
                    let known = "h, d, w, mo and y are";
                    return Err(PolicyFault::new(format!("{unit:?} is no unit of time, {known}{near}")));
                }
            };
            if *field != 0 {
                return Err(PolicyFault::new(format!("{unit:?} is there twice in {text:?}")));
            }
            *field = count;
            rest = after.trim_start();
        }
        Ok(window)
    }

    /// When it begins, if it ends at a time.
    pub(super) fn start(self, end: Timestamp, zone: &TimeZone) -> Timestamp {
        let span = Span::new()
            .years(i64::from(self.years))
            .months(i64::from(self.months))
            .weeks(i64::from(self.weeks))
            .days(i64::from(self.days))
            .hours(i64::from(self.hours));
        let start = end.to_zoned(zone.clone()).checked_sub(span);
        // Before the calendar's beginning there is nothing.
        start.map_or(Timestamp::MIN, |start| start.timestamp())
    }
}

/// The longest beginning of which every character fits, and the rest.
fn split(text: &str, fits: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !fits(c)).unwrap_or(text.len()))
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units =
            [(self.years, "y"), (self.months, "mo"), (self.weeks, "w"), (self.days, "d"), (self.hours, "h")];
        units.iter().filter(|(count, _)| *count > 0).try_for_each(|(count, unit)| write!(f, "{count}{unit}"))
    }
}
