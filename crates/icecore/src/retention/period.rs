//! Periods of the calendar.

use jiff::Zoned;

/// What one snapshot is kept of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// An hour on the clock. One that comes twice, when the clock is set back, is two.
    Hour,
    /// A day of the calendar, however many hours it has.
    Day,
    /// A week as ISO 8601 counts them, which begins with Monday; the first of a year may begin in the year before.
    Week,
    /// A month of the calendar.
    Month,
    /// A year of the calendar.
    Year,
}

/// Which of its kind a period is. Two times are in the same one if, and only if, these are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PeriodNumber {
    year: i16,
    /// Which of the year; 0 for a year.
    within: i16,
    /// Of an hour: which of the day, and the offset from UTC in seconds.
    hour: Option<(i8, i32)>,
}

impl Period {
    /// All periods, from the shortest on.
    pub const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// What a policy calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hourly",
            Self::Day => "daily",
            Self::Week => "weekly",
            Self::Month => "monthly",
            Self::Year => "yearly",
        }
    }

    /// The one that is called so.
    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.as_str() == word)
    }

    /// The one of its kind in which a time lies.
    pub(super) fn number(self, time: &Zoned) -> PeriodNumber {
        let (year, within) = match self {
            Self::Hour | Self::Day => (time.year(), time.day_of_year()),
            Self::Week => {
                let week = time.date().iso_week_date();
                (week.year(), i16::from(week.week()))
            }
            Self::Month => (time.year(), i16::from(time.month())),
            Self::Year => (time.year(), 0),
        };
        let hour = (self == Self::Hour).then(|| (time.hour(), time.offset().seconds()));
        PeriodNumber { year, within, hour }
    }
}
