//! Dumps that are better written another way.

/// Says what a person should know before such a stream is stored night after night, if there is something.
///
/// A custom-format archive of `pg_dump` begins with `PGDMP`, its version in three bytes, the sizes of an integer and
/// of an offset, the format, and then the compression: a byte since version 1.15, before that an integer (its sign in
/// a byte, then its bytes, least first).
pub fn warn_about(head: &[u8]) -> Option<&'static str> {
    let (version, rest) = head.strip_prefix(b"PGDMP")?.split_first_chunk::<3>()?;
    let [major, minor, _] = *version;
    let ([integer_len, _, _], rest) = rest.split_first_chunk::<3>()?;
    let compressed = if (major, minor) >= (1, 15) {
        *rest.first()? != 0
    } else {
        let level = rest.get(1..)?.get(..usize::from(*integer_len))?;
        level.iter().any(|byte| *byte != 0)
    };
    compressed.then_some(
        "this pg_dump archive is compressed, so nights will share little; use pg_dump -Fp, or -Fc -Z0",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_compressed_archives_are_warned_about() {
        let check = |head: &[u8], warned: bool| assert_eq!(warn_about(head).is_some(), warned, "{head:?}");
        check(b"PGDMP\x01\x0e\x00\x04\x08\x01\x01\x01\x00\x00\x00", true); // 14, the default level -1
        check(b"PGDMP\x01\x0e\x00\x04\x08\x01\x00\x06\x00\x00\x00", true);
        check(b"PGDMP\x01\x0e\x00\x04\x08\x01\x00\x00\x00\x00\x00", false);
        check(b"PGDMP\x01\x0f\x00\x04\x08\x01\x01", true);
        check(b"PGDMP\x01\x0f\x00\x04\x08\x01\x00", false);
        check(b"PGDMP\x01\x0f", false);
        check(b"-- PostgreSQL database dump", false);
    }
}
