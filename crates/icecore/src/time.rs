//! Times as people write them.

use jiff::civil;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::{Error, Result};

/// The time now.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// A time as it is stored and printed in JSON: UTC, with microseconds, so that texts sort like times.
pub fn format_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// The instant that `text` means: `2026-11-20` (a whole day: its start, or its end with `end_of_day`), `2026-11-20T10:00`, a full RFC 3339
/// time, or how long ago: `2 hours ago`, `2h`. Nobody looks for what is yet to come, so that a length of time is never added to `now`; one that
/// says so itself, `+2h`, is refused. Without an offset, times are in `zone`.
pub fn parse_time_point(text: &str, now: Timestamp, zone: &TimeZone, end_of_day: bool) -> Result<Timestamp> {
    let bad = || Error::BadTime { text: text.to_owned() };
    let text = text.trim();
    if text == "now" {
        return Ok(now);
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    // A date alone is tried first: a civil time would read it as midnight.
    if !text.contains([':', 'T'])
        && let Ok(date) = text.parse::<civil::Date>()
    {
        let day = if end_of_day { date.tomorrow().map_err(|_| bad())? } else { date };
        let instant = day.to_zoned(zone.clone()).map_err(|_| bad())?.timestamp();
        let step = Span::new().microseconds(i64::from(end_of_day));
        return instant.checked_sub(step).map_err(|_| bad());
    }
    if let Ok(time) = text.replace(' ', "T").parse::<civil::DateTime>() {
        return Ok(time.to_zoned(zone.clone()).map_err(|_| bad())?.timestamp());
    }
    if text.starts_with('+') {
        return Err(bad());
    }
    let span: Span = text.parse().map_err(|_| bad())?;
    let zoned = now.to_zoned(zone.clone()).checked_sub(span.abs()).map_err(|_| bad())?;
    Ok(zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, end_of_day: bool) -> String {
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        parse_time_point(text, now, &TimeZone::UTC, end_of_day)
            .map_or_else(|error| error.to_string(), format_time)
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(at("2026-11-20", false), "2026-11-20T00:00:00.000000Z");
        assert_eq!(at("2026-11-20", true), "2026-11-20T23:59:59.999999Z");
        assert_eq!(at("2026-11-20T10:00", false), "2026-11-20T10:00:00.000000Z");
        assert_eq!(at("2026-11-20 10:00:30", false), "2026-11-20T10:00:30.000000Z");
        assert_eq!(at("2026-11-20T10:00:00+02:00", false), "2026-11-20T08:00:00.000000Z");
        assert_eq!(at("2 hours ago", false), "2026-11-21T10:00:00.000000Z");
        assert_eq!(at("3 days ago", false), "2026-11-18T12:00:00.000000Z");
        assert_eq!(at("2h", false), "2026-11-21T10:00:00.000000Z");
        assert_eq!(at("1d 2h", false), "2026-11-20T10:00:00.000000Z");
        assert_eq!(at("1 week", true), "2026-11-14T12:00:00.000000Z");
        assert_eq!(at("-2h", false), "2026-11-21T10:00:00.000000Z");
        assert_eq!(at("P1D", false), "2026-11-20T12:00:00.000000Z");
        assert_eq!(at("+2h", false), "\"+2h\" is not a time");
        assert_eq!(at("now", false), "2026-11-21T12:00:00.000000Z");
        assert_eq!(at("next week", false), "\"next week\" is not a time");
    }
}
