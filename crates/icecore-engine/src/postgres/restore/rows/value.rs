//! Values as PostgreSQL sends them in binary, made from how it writes them as text.
//!
//! What each type looks like in binary is what its `..._send` function writes; `src/backend/utils/adt` of PostgreSQL has them. Only what the
//! server itself would write is understood. Everything else, such as a year before Christ, is left to the server, which reads text.

use super::moment;
use super::numeric::numeric;

/// Bytes of a UUID.
const UUID_LEN: usize = 16;
/// The first byte of a `jsonb`: the version of its form.
const JSONB_VERSION: u8 = 1;
const SECONDS_MICROS: i64 = 1_000_000;

/// A type whose values can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric,
    /// Text is its own binary form: of enumerations too, and of JSON.
    Text,
    Jsonb,
    Bytea,
    Uuid,
    Date,
    Time,
    Timestamp,
    TimestampTz,
}

impl Kind {
    /// The type of this name in `pg_catalog`; `enum` stands for any enumeration.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "bool" => Self::Bool,
            "int2" => Self::Int2,
            "int4" => Self::Int4,
            "int8" => Self::Int8,
            "oid" => Self::Oid,
            "float4" => Self::Float4,
            "float8" => Self::Float8,
            "numeric" => Self::Numeric,
            // XML is not here: in binary, it is in the encoding that it says itself.
            "text" | "varchar" | "bpchar" | "name" | "json" | "enum" => Self::Text,
            "jsonb" => Self::Jsonb,
            "bytea" => Self::Bytea,
            "uuid" => Self::Uuid,
            "date" => Self::Date,
            "time" => Self::Time,
            "timestamp" => Self::Timestamp,
            "timestamptz" => Self::TimestampTz,
            _ => return None,
        })
    }

    /// Appends the binary form of a value. `None` if the server would not have written it like that; what was appended by then counts for nothing.
    pub(super) fn append(self, text: &[u8], out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Bool => out.push(match text {
                b"t" => 1,
                b"f" => 0,
                _ => return None,
            }),
            Self::Int2 => out.extend(i16::try_from(integer(text)?).ok()?.to_be_bytes()),
            Self::Int4 => out.extend(i32::try_from(integer(text)?).ok()?.to_be_bytes()),
            Self::Int8 => out.extend(integer(text)?.to_be_bytes()),
            Self::Oid => out.extend(u32::try_from(integer(text)?).ok()?.to_be_bytes()),
            Self::Float4 => {
                let value: f32 = float(text)?;
                // Rounded to nothing, or so small that servers differ.
                (value.is_normal() || !has_digits(text)).then_some(())?;
                out.extend(value.to_be_bytes());
            }
            Self::Float8 => {
                let value: f64 = float(text)?;
                (value.is_normal() || !has_digits(text)).then_some(())?;
                out.extend(value.to_be_bytes());
            }
            Self::Numeric => numeric(text, out)?,
            Self::Text => out.extend_from_slice(text),
            Self::Jsonb => {
                out.push(JSONB_VERSION);
                out.extend_from_slice(text);
            }
            Self::Bytea => hex(text.strip_prefix(b"\\x")?, out)?,
            Self::Uuid => uuid(text, out)?,
            Self::Date => out.extend(moment::date(text)?.to_be_bytes()),
            Self::Time => out.extend(moment::time(text)?.to_be_bytes()),
            Self::Timestamp => out.extend(moment::timestamp(text)?.to_be_bytes()),
            Self::TimestampTz => {
                let (local, offset) = moment::with_offset(text)?;
                let utc = match offset {
                    Some(seconds) => local.checked_sub(i64::from(seconds) * SECONDS_MICROS)?,
                    None => local,
                };
                out.extend(utc.to_be_bytes());
            }
        }
        Some(())
    }
}

/// A whole number in decimal, with at most a `-` before it.
fn integer(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_i64, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        // On its own side, for the least number has no counterpart.
        value.checked_mul(10)?.checked_add(sign * i64::from(digit))
    })
}

/// A number as the server writes it: shortest, so that it is read back the same.
fn float<F: std::str::FromStr>(text: &[u8]) -> Option<F> {
    let is_named = matches!(text, b"NaN" | b"Infinity" | b"-Infinity");
    let is_number = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e'));
    (is_named || is_number).then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

/// Whether a number says that it is not zero, nor one that has a name.
fn has_digits(text: &[u8]) -> bool {
    text.iter().take_while(|byte| **byte != b'e').any(|byte| matches!(byte, b'1'..=b'9'))
}

fn hex(digits: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (pairs, rest) = digits.as_chunks::<2>();
    for [high, low] in pairs {
        out.push(nibble(*high)? << 4 | nibble(*low)?);
    }
    rest.is_empty().then_some(())
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn uuid(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let before = out.len();
    for (number, group) in text.split(|byte| *byte == b'-').enumerate() {
        (group.len() == *[8, 4, 4, 4, 12].get(number)?).then_some(())?;
        hex(group, out)?;
    }
    (out.len() - before == UUID_LEN).then_some(())
}
