//! Names of tables as SQL writes them, and as a person would.

/// No server has longer names; what is longer is not a name.
const NAME_LEN_MAX: usize = 1024;

/// Reads `name` or `schema.name`, each plain or in `quote`s, and returns it without quotes, and what follows.
pub(crate) fn qualified(text: &[u8], quote: u8) -> Option<(Vec<u8>, &[u8])> {
    let (mut name, mut rest) = simple(text, quote)?;
    while let Some(after) = rest.strip_prefix(b".") {
        let (next, after) = simple(after, quote)?;
        name.push(b'.');
        name.extend_from_slice(&next);
        rest = after;
    }
    (name.len() <= NAME_LEN_MAX).then_some((name, rest))
}

fn simple(text: &[u8], quote: u8) -> Option<(Vec<u8>, &[u8])> {
    if text.first() == Some(&quote) {
        return quoted(text, quote);
    }
    let len = text.iter().position(|byte| !is_word(*byte)).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(len)?;
    (!name.is_empty()).then(|| (name.to_vec(), rest))
}

/// Reads a name in quotes, where a doubled quote stands for one.
pub(crate) fn quoted(text: &[u8], quote: u8) -> Option<(Vec<u8>, &[u8])> {
    let (first, mut rest) = text.split_first()?;
    if *first != quote {
        return None;
    }
    let mut name = Vec::new();
    loop {
        let (piece, after) = rest.split_at_checked(memchr::memchr(quote, rest)?)?;
        name.extend_from_slice(piece);
        rest = after.get(1..)?;
        let Some(after) = rest.strip_prefix(&[quote]) else { break };
        name.push(quote);
        rest = after;
    }
    (!name.is_empty() && name.len() <= NAME_LEN_MAX).then_some((name, rest))
}

/// What follows `word` and the blanks after it, whatever its case.
pub(crate) fn after_word<'a>(text: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(word.len())?;
    let ends = rest.first().is_none_or(|byte| !is_word(*byte));
    (start.eq_ignore_ascii_case(word) && ends).then(|| rest.trim_ascii_start())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_quotes_and_nothing_else() {
        let check = |text: &str, name: &str, rest: &str| {
            let (found, after) = qualified(text.as_bytes(), b'"').unwrap();
            assert_eq!((&*found, after), (name.as_bytes(), rest.as_bytes()));
        };
        check("public.\"Weird \"\"Name\"\"\" (a)", "public.Weird \"Name\"", " (a)");
        check("t;", "t", ";");
        check("\"a.b\".\"c\"(", "a.b.c", "(");
        assert_eq!(qualified(b"\"open", b'"'), None);
        assert_eq!(qualified(b"", b'"'), None);
    }
}
