//! Numbers as people write and read them.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Instant;

use icecore::parse_size;

/// A number of bytes, shown as `1.4 MB`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
        if self.0 < 1000 {
            return f.pad(&format!("{} B", self.0));
        }
        let mut value = self.0 as f64 / 1000.0;
        let mut unit = 0;
        // What would be shown as 1000 is 1.0 of the next unit.
        while value >= 999.5 && unit + 1 < UNITS.len() {
            value /= 1000.0;
            unit += 1;
        }
        let unit = UNITS.get(unit).copied().unwrap_or_default();
        let text = if value < 99.95 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") };
        f.pad(&text)
    }
}

/// A length of time in milliseconds, shown as `1.2 s`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Millis(pub(crate) u64);

impl Millis {
    /// From then until now.
    pub(crate) fn since(then: Instant) -> Self {
        Self(u64::try_from(then.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ms @ ..1000 => write!(f, "{ms} ms"),
            ms @ ..60_000 => write!(f, "{}.{} s", ms / 1000, ms % 1000 / 100),
            ms @ ..3_600_000 => write!(f, "{} min {} s", ms / 60_000, ms / 1000 % 60),
            ms => write!(f, "{} h {} min", ms / 3_600_000, ms / 60_000 % 60),
        }
    }
}

/// How much of `whole` was spared by storing `stored`, as `99.6 %`; nothing if it was not. Never rounded up to 100.
pub(crate) fn saved_percent(whole: u64, stored: u64) -> Option<String> {
    let saved = whole.checked_sub(stored).filter(|saved| *saved > 0)?;
    percent(saved, whole)
}

/// A part of a whole, rounded down, as `99.6 %`; nothing if there is no whole.
pub(crate) fn percent(part: u64, whole: u64) -> Option<String> {
    let tenths = (u128::from(part) * 1000).checked_div(u128::from(whole))?;
    Some(format!("{}.{} %", tenths / 10, tenths % 10))
}

/// A count with its noun: `1 part`, `2 parts`.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// Like [`parse_size`], but more than nothing.
pub(crate) fn parse_budget(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        0 => Err("a budget of nothing would check nothing".to_owned()),
        bytes => Ok(bytes),
    }
}

/// Like [`parse_size`], as so many bytes a second.
pub(crate) fn parse_rate(text: &str) -> Result<NonZeroU64, String> {
    NonZeroU64::new(parse_size(text)?)
        .ok_or_else(|| "at no bytes a second nothing would ever arrive".to_owned())
}

/// Understands `10%` and `0.1`.
pub(crate) fn parse_share(text: &str) -> Result<f64, String> {
    let (number, divisor) = match text.strip_suffix('%') {
        Some(percent) => (percent, 100.0),
        None => (text, 1.0),
    };
    let share =
        number.trim().parse::<f64>().map_err(|_| "a share looks like 10% or 0.1".to_owned())? / divisor;
    if share > 0.0 && share <= 1.0 {
        Ok(share)
    } else {
        Err("a share is more than 0% and at most 100% (1)".to_owned())
    }
}

/// Understands `5%`, `5`: whole percents, up to 100.
pub(crate) fn parse_percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    match number.parse() {
        Ok(percent @ 0..=100) if !number.starts_with('+') => Ok(percent),
        _ => Err("a percentage is a whole number between 0% and 100%, like 5%".to_owned()),
    }
}

/// A text for the terminal: what could steer it is replaced.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_with_two_or_three_digits() {
        let shown = |n| Bytes(n).to_string();
        assert_eq!(shown(0), "0 B");
        assert_eq!(shown(999), "999 B");
        assert_eq!(shown(1_000), "1.0 kB");
        assert_eq!(shown(1_449_000), "1.4 MB");
        assert_eq!(shown(99_949_999), "99.9 MB");
        assert_eq!(shown(334_000_000), "334 MB");
        assert_eq!(shown(999_600_000), "1.0 GB");
        assert_eq!(shown(u64::MAX), "18.4 EB");
    }

    #[test]
    fn savings_are_never_rounded_up_to_everything() {
        assert_eq!(saved_percent(334_000_000, 1_400_000).unwrap(), "99.5 %");
        assert_eq!(saved_percent(1_000_000_000, 1).unwrap(), "99.9 %");
        assert_eq!(saved_percent(10, 20), None);
        assert_eq!(saved_percent(0, 0), None);
    }

    #[test]
    fn shares_are_read_as_people_write_them() {
        assert_eq!(parse_share("10%"), Ok(0.1));
        assert_eq!(parse_share("0.25"), Ok(0.25));
        assert!(parse_share("10").is_err());
        assert!(parse_share("NaN").is_err());
        assert!(parse_share("0").is_err());
        assert_eq!(parse_percent("5%"), Ok(5));
        assert_eq!(parse_percent("100 %"), Ok(100));
        assert_eq!(parse_percent("0"), Ok(0));
        for wrong in ["101%", "-1", "5.5%", "%", "+5", ""] {
            assert!(parse_percent(wrong).is_err(), "{wrong}");
        }
    }
}
