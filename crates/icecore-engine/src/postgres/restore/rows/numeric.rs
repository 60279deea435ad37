//! Numbers of any length.

/// Each digit of the binary form is one of 10,000.
const DIGIT_LEN: usize = 4;
/// What has more decimal digits is left to the server; its own limits are beyond.
const DIGITS_MAX: usize = 4096;
const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;

/// Appends a number, written without an exponent, as `numeric_send` would: how many digits, the weight of the first one as a power of 10,000, the
/// sign, how many decimals are shown, and the digits, without zeros at either end.
pub(super) fn numeric(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (sign, text) = match text {
        b"NaN" => return head(out, 0, 0, NAN, 0),
        _ => text.strip_prefix(b"-").map_or((POSITIVE, text), |text| (NEGATIVE, text)),
    };
    let point = memchr::memchr(b'.', text).unwrap_or(text.len());
    let (whole, decimals) = text.split_at(point);
    let decimals = decimals.get(1..).unwrap_or_default();
    let len = whole.len() + decimals.len();
    let is_number = whole.iter().chain(decimals).all(u8::is_ascii_digit);
    if whole.is_empty() || len > DIGITS_MAX || !is_number || (decimals.is_empty() && point < text.len()) {
        return None;
    }
    // Groups of four, counted from the point.
    let first = whole.len().div_ceil(DIGIT_LEN);
    let padding = first * DIGIT_LEN - whole.len();
    let padded = || {
        std::iter::repeat_n(&b'0', padding).chain(whole).chain(decimals).map(|digit| u16::from(digit - b'0'))
    };
    let count = (padding + len).div_ceil(DIGIT_LEN);
    let mut groups = vec![0_u16; count];
    for (place, digit) in padded().chain(std::iter::repeat(0)).take(count * DIGIT_LEN).enumerate() {
        let group = groups.get_mut(place / DIGIT_LEN)?;
        *group = *group * 10 + digit;
    }
    let start = groups.iter().position(|group| *group != 0);
    let end = groups.iter().rposition(|group| *group != 0).map_or(0, |last| last + 1);
    let digits = groups.get(start.unwrap_or(0)..end).unwrap_or_default();
    let shown = u16::try_from(decimals.len()).ok()?;
    match start {
        None => head(out, 0, 0, POSITIVE, shown)?,
        Some(start) => {
            let weight = i16::try_from(first).ok()? - 1 - i16::try_from(start).ok()?;
            head(out, digits.len(), weight, sign, shown)?;
        }
    }
    out.extend(digits.iter().flat_map(|digit| digit.to_be_bytes()));
    Some(())
}

fn head(out: &mut Vec<u8>, len: usize, weight: i16, sign: u16, shown: u16) -> Option<()> {
    out.extend(u16::try_from(len).ok()?.to_be_bytes());
    out.extend(weight.to_be_bytes());
    out.extend(sign.to_be_bytes());
    out.extend(shown.to_be_bytes());
    Some(())
}
