//! Numbers, names and values, as packets hold them.

use std::io;

use super::fault::strange;

/// A value; `None` for null.
pub(in crate::mysql) type Value = Option<Vec<u8>>;

pub(super) fn until_zero(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
    (bytes.get(..end).unwrap_or_default(), bytes.get(end + 1..).unwrap_or_default())
}

/// A number of variable length.
pub(super) fn number(rest: &mut &[u8]) -> io::Result<u64> {
    let cut = || strange("that is cut off");
    let (first, after) = rest.split_first().ok_or_else(cut)?;
    let len = match first {
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        _ => {
            *rest = after;
            return Ok(u64::from(*first));
        }
    };
    let (bytes, after) = after.split_at_checked(len).ok_or_else(cut)?;
    *rest = after;
    Ok(bytes.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
}

/// The next value of a row.
pub(super) fn value(rest: &mut &[u8]) -> io::Result<Value> {
    if let Some(after) = rest.strip_prefix(&[0xfb]) {
        *rest = after;
        return Ok(None);
    }
    let len = usize::try_from(number(rest)?).unwrap_or(usize::MAX);
    let (bytes, after) = rest.split_at_checked(len).ok_or_else(|| strange("that is cut off"))?;
    *rest = after;
    Ok(Some(bytes.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_end_with_their_packet() {
        let mut rest = &b"\x03abc\xfb\xfc\x02\x00de\x05ab"[..];
        assert_eq!(value(&mut rest).unwrap(), Some(b"abc".to_vec()));
        assert_eq!(value(&mut rest).unwrap(), None);
        assert_eq!(value(&mut rest).unwrap(), Some(b"de".to_vec()));
        assert!(value(&mut rest).is_err());
        assert!(value(&mut &b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff"[..]).is_err());
    }
}
