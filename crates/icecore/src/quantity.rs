//! Amounts as people write them.

use std::time::Duration;

use serde::Deserialize;

/// So many bytes, in a file: `500MB`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Size(pub u64);

impl Size {
    /// What a file must say.
    pub(crate) const WANTED: &str = "a size, such as 500MB or 10GiB";
}

impl TryFrom<String> for Size {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        parse_size(&text).map(Self).map_err(|_| Self::WANTED)
    }
}

/// A length of time, in a file: `10min`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Length(pub Duration);

impl Length {
    /// What a file must say.
    pub(crate) const WANTED: &str = "a length of time, such as 7d, 24h or 30min";
}

impl TryFrom<String> for Length {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        parse_duration(&text).map(Self).map_err(|_| Self::WANTED)
    }
}

/// Understands `10GiB`, `500 MB`, `1.5G`, `4096`.
pub fn parse_size(text: &str) -> Result<u64, String> {
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

/// Understands `24h`, `30 min`, `90s`, `7d`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_are_read_as_people_write_them() {
        assert_eq!(parse_size("10GiB"), Ok(10 << 30));
        assert_eq!(parse_size("500 MB"), Ok(500_000_000));
        assert_eq!(parse_size("1.5k"), Ok(1500));
        assert_eq!(parse_size("4096"), Ok(4096));
        assert!(parse_size("-1").is_err());
        assert!(parse_size("many").is_err());
        assert_eq!(parse_duration("24h"), Ok(Duration::from_secs(86400)));
        assert_eq!(parse_duration("1.5 min"), Ok(Duration::from_secs(90)));
        assert!(parse_duration("-1h").is_err());
    }
}
