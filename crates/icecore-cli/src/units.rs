//! Numbers as people write and read them.

use std::fmt;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

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

/// Understands `10GiB`, `500 MB`, `1.5G`, `4096`.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split_unit(text);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err("a size looks like 500MB or 10GiB".to_owned()),
    };
    let value: f64 = number.parse().map_err(|_| "a size looks like 500MB or 10GiB".to_owned())?;
    let bytes = value * factor as f64;
    if !bytes.is_finite() || !(0.0..=9e18).contains(&bytes) {
        return Err("that is no possible size".to_owned());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    Ok(bytes as u64)
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

/// Understands `24h`, `30 min`, `90s`, `7d`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(text);
    let seconds = match unit {
        "s" | "sec" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return Err("a duration looks like 24h, 30min or 90s".to_owned()),
    };
    let value: f64 = number.parse().map_err(|_| "a duration looks like 24h, 30min or 90s".to_owned())?;
    Duration::try_from_secs_f64(value * seconds).map_err(|_| "that is no possible duration".to_owned())
}

fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    (number.trim(), unit)
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
    fn sizes_shares_and_durations_are_read_as_people_write_them() {
        assert_eq!(parse_size("10GiB"), Ok(10 << 30));
        assert_eq!(parse_size("500 MB"), Ok(500_000_000));
        assert_eq!(parse_size("1.5k"), Ok(1500));
        assert_eq!(parse_size("4096"), Ok(4096));
        assert!(parse_size("-1").is_err());
        assert!(parse_size("many").is_err());
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
        assert_eq!(parse_duration("24h"), Ok(Duration::from_secs(86400)));
        assert_eq!(parse_duration("1.5 min"), Ok(Duration::from_secs(90)));
        assert!(parse_duration("-1h").is_err());
    }
}
