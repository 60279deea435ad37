//! Dates and times, in the server's `ISO` style.

/// Days from 0000-03-01 to 2000-01-01, from which the server counts.
const EPOCH_DAYS: i32 = 730_425;
const DAY_MICROS: i64 = 86_400 * SECOND_MICROS;
const SECOND_MICROS: i64 = 1_000_000;
/// Digits of a fraction of a second.
const FRACTION_LEN: usize = 6;
const EVER: &[u8] = b"infinity";
const NEVER: &[u8] = b"-infinity";

/// Days since 2000-01-01.
pub(super) fn date(text: &[u8]) -> Option<i32> {
    match text {
        EVER => Some(i32::MAX),
        NEVER => Some(i32::MIN),
        _ => day(text),
    }
}

/// Microseconds since midnight.
pub(super) fn time(text: &[u8]) -> Option<i64> {
    let (time, rest) = clock(text)?;
    rest.is_empty().then_some(time)
}

/// Microseconds since 2000-01-01 00:00.
pub(super) fn timestamp(text: &[u8]) -> Option<i64> {
    let (moment, rest) = moment(text)?;
    rest.is_empty().then_some(moment)
}

/// The same, at a place whose clock is so many seconds ahead of UTC; `None` stands for beyond all time.
pub(super) fn with_offset(text: &[u8]) -> Option<(i64, Option<i32>)> {
    let (moment, rest) = moment(text)?;
    match rest {
        b"" if matches!(moment, i64::MAX | i64::MIN) => Some((moment, None)),
        rest => Some((moment, Some(offset(rest)?))),
    }
}

fn moment(text: &[u8]) -> Option<(i64, &[u8])> {
    match text {
        EVER => return Some((i64::MAX, b"")),
        NEVER => return Some((i64::MIN, b"")),
        _ => (),
    }
    let (date, rest) = text.split_at_checked(10)?;
    let (time, rest) = clock(rest.strip_prefix(b" ")?)?;
    Some((i64::from(day(date)?) * DAY_MICROS + time, rest))
}

/// `2026-11-20`, of years with four digits; as days since 2000-01-01.
fn day(text: &[u8]) -> Option<i32> {
    let [a, b, c, d, b'-', e, f, b'-', g, h] = text else { return None };
    let year = two(*a, *b)? * 100 + two(*c, *d)?;
    let (month, day) = (two(*e, *f)?, two(*g, *h)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i32::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if year < 1 || !(1..=12).contains(&month) || !(1..=days).contains(&day) {
        return None;
    }
    // The year begins with March, so that a leap day is its last.
    let year = if month > 2 { year } else { year - 1 };
    let month = (month + 9) % 12;
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(365 * year + year / 4 - year / 100 + year / 400 + of_year - EPOCH_DAYS)
}

/// `09:05:03.25`, as microseconds, and what follows.
fn clock(text: &[u8]) -> Option<(i64, &[u8])> {
    let (clock, mut rest) = text.split_at_checked(8)?;
    let [a, b, b':', c, d, b':', e, f] = clock else { return None };
    let (hour, minute, second) = (two(*a, *b)?, two(*c, *d)?, two(*e, *f)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut fraction = 0;
    if let Some(digits) = rest.strip_prefix(b".") {
        let len = digits.iter().take_while(|digit| digit.is_ascii_digit()).count();
        if len == 0 || len > FRACTION_LEN {
            return None;
        }
        let shown = digits.iter().take(len).chain(std::iter::repeat(&b'0')).take(FRACTION_LEN);
        fraction = shown.fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
        rest = digits.get(len..)?;
    }
    Some((i64::from(hour * 3600 + minute * 60 + second) * SECOND_MICROS + fraction, rest))
}

/// `+02`, `-03:30` or `+00:19:32`, as seconds ahead of UTC.
fn offset(text: &[u8]) -> Option<i32> {
    let (sign, text) = match text.split_first()? {
        (b'+', text) => (1, text),
        (b'-', text) => (-1, text),
        _ => return None,
    };
    let (hours, minutes, seconds) = match text {
        [a, b] => (two(*a, *b)?, 0, 0),
        [a, b, b':', c, d] => (two(*a, *b)?, two(*c, *d)?, 0),
        [a, b, b':', c, d, b':', e, f] => (two(*a, *b)?, two(*c, *d)?, two(*e, *f)?),
        _ => return None,
    };
    (hours < 16 && minutes < 60 && seconds < 60).then_some(sign * (hours * 3600 + minutes * 60 + seconds))
}

fn two(tens: u8, ones: u8) -> Option<i32> {
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| i32::from(tens - b'0') * 10 + i32::from(ones - b'0'))
}
