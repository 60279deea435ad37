//! Sizes, shares and durations in arguments, and how numbers are shown.

use icecore::{parse_duration, parse_size};

use crate::input::text;
use crate::units::{
    Bytes, Millis, counted, parse_budget, parse_percent, parse_share, printable, saved_percent,
};

pub(crate) fn size(input: &[u8]) {
    let text = text(input);
    assert!(printable(&text).chars().all(|c| !c.is_control()));
    assert_eq!(parse_budget(&text).is_ok(), parse_size(&text).is_ok_and(|size| size > 0));
    let Ok(size) = parse_size(&text) else { return };
    assert!(size <= 9_000_000_000_000_000_000);
    assert!(Bytes(size).to_string().len() <= 8, "{}", Bytes(size));
    assert!(saved_percent(size, size / 3).is_none_or(|percent| percent != "100.0 %" || size < 3));
    assert!(counted(size, "part").starts_with(|c: char| c.is_ascii_digit()));
    // Without a unit, a whole number is itself, as far as it goes into 53 bits.
    if let Ok(plain) = text.trim().parse::<u64>()
        && plain <= 1 << 53
    {
        assert_eq!(size, plain);
    }
}

pub(crate) fn share(input: &[u8]) {
    if let Ok(share) = parse_share(&text(input)) {
        assert!(share > 0.0 && share <= 1.0);
    }
    if let Ok(percent) = parse_percent(&text(input)) {
        assert!(percent <= 100);
    }
}

pub(crate) fn duration(input: &[u8]) {
    if let Ok(duration) = parse_duration(&text(input)) {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        assert!(Millis(millis).to_string().len() <= 32);
    }
}
