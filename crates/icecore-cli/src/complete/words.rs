//! The words of a line that is being typed, as its shell will understand them, and the way back.

/// What a word ends in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quote {
    None,
    Single,
    Double,
}

/// In which words are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// bash and zsh.
    Posix,
    /// There a backslash has a meaning between single quotes.
    Fish,
}

/// A word of which the end may not be typed yet.
#[derive(Debug)]
pub(super) struct Word {
    /// What a program is given.
    pub(super) value: Vec<u8>,
    pub(super) quote: Quote,
    /// Where it begins in its line.
    pub(super) start: usize,
}

/// The words of a line. The last is the one that is being typed, and may have no letter yet.
pub(super) fn split(line: &[u8]) -> Vec<Word> {
    let mut words = Vec::new();
    let mut start = 0;
    loop {
        start += line.get(start..).unwrap_or_default().iter().take_while(|byte| is_blank(**byte)).count();
        let rest = line.get(start..).unwrap_or_default();
        let (word, len) = read(rest, Dialect::Posix, is_blank);
        words.push(Word { start, ..word });
        start += len;
        if start == line.len() {
            return words;
        }
    }
}

/// One word, whatever is in it.
pub(super) fn whole(text: &[u8], dialect: Dialect) -> Word {
    read(text, dialect, |_| false).0
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n')
}

/// The word that a text begins with, and how long it is there.
fn read(text: &[u8], dialect: Dialect, ends: impl Fn(u8) -> bool) -> (Word, usize) {
    let mut word = Word { value: Vec::new(), quote: Quote::None, start: 0 };
    let mut at = 0;
    while let Some(byte) = text.get(at).copied() {
        let escaped = text.get(at + 1).copied().filter(|_| byte == b'\\');
        let escaped = escaped.filter(|next| match word.quote {
            Quote::None => true,
            Quote::Double => b"\"\\$`".contains(next),
            Quote::Single => dialect == Dialect::Fish && b"'\\".contains(next),
        });
        match (word.quote, byte) {
            (_, _) if escaped.is_some() => {
                word.value.extend(escaped);
                at += 1;
            }
            (Quote::None, _) if ends(byte) => break,
            (Quote::None, b'\'') => word.quote = Quote::Single,
            (Quote::None, b'"') => word.quote = Quote::Double,
            (Quote::Single, b'\'') | (Quote::Double, b'"') => word.quote = Quote::None,
            // What it is for comes with the next letter.
            (Quote::None, b'\\') => (),
            _ => word.value.push(byte),
        }
        at += 1;
    }
    (word, at)
}

/// How bash wants what follows in a word that ends in the middle of `quote`.
pub(super) fn quoted(rest: &[u8], quote: Quote) -> Vec<u8> {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"_./,:=@%+~-".contains(&byte);
    let letter = |byte: u8| match quote {
        Quote::None if !is_plain(byte) => vec![b'\\', byte],
        Quote::Double if b"\"\\$`".contains(&byte) => vec![b'\\', byte],
        Quote::Single if byte == b'\'' => b"'\\''".to_vec(),
        _ => vec![byte],
    };
    rest.iter().copied().flat_map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<(String, usize, Quote)> {
        let told = |word: Word| (String::from_utf8(word.value).unwrap(), word.start, word.quote);
        split(line.as_bytes()).into_iter().map(told).collect()
    }

    #[test]
    fn a_line_is_split_as_bash_splits_it() {
        let word = |value: &str, start, quote| (value.to_owned(), start, quote);
        assert_eq!(words(""), [word("", 0, Quote::None)]);
        assert_eq!(words("a "), [word("a", 0, Quote::None), word("", 2, Quote::None)]);
        assert_eq!(words("a  b\\ c"), [word("a", 0, Quote::None), word("b c", 3, Quote::None)]);
        assert_eq!(words("a@\"b c"), [word("a@b c", 0, Quote::Double)]);
        assert_eq!(
            words("'a \\'\"\\$b\\c\" "),
            [word("a \\$b\\c", 0, Quote::None), word("", 13, Quote::None)]
        );
        assert_eq!(words("it\\'s \\"), [word("it's", 0, Quote::None), word("", 6, Quote::None)]);
        assert_eq!(words("'it"), [word("it", 0, Quote::Single)]);
    }

    #[test]
    fn what_is_quoted_is_read_back() {
        let value = "it's a \"quoted\" $word, `with` *stars* \\ #1 & (more) äö";
        for (quote, open) in [(Quote::None, ""), (Quote::Single, "'"), (Quote::Double, "\"")] {
            let line = [open.as_bytes(), &quoted(value.as_bytes(), quote)].concat();
            let words = split(&line);
            assert_eq!(words.len(), 1, "{quote:?}");
            assert_eq!(String::from_utf8_lossy(&words[0].value), value, "{quote:?}");
        }
    }

    #[test]
    fn a_word_of_fish_has_escapes_between_single_quotes() {
        let value = |text: &str, dialect| String::from_utf8(whole(text.as_bytes(), dialect).value).unwrap();
        assert_eq!(value("'it\\'s a", Dialect::Fish), "it's a");
        assert_eq!(value("before\\ m", Dialect::Fish), "before m");
        assert_eq!(value("'a\\b", Dialect::Posix), "a\\b");
    }
}
