//! What somebody meant who mistyped a name.

use strsim::osa_distance;

/// Longer names are not compared: it takes the product of their lengths.
const LEN_MAX: usize = 64;
/// More names than these are not looked at.
const CANDIDATES_MAX: usize = 10_000;

/// The one of `names` that is nearest to `word`, if one is near: a letter in three may be wrong, and letters that changed places are one.
/// Upper and lower case are the same.
pub fn nearest<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let len = word.chars().count();
    if len > LEN_MAX {
        return None;
    }
    let word = word.to_lowercase();
    let distance_max = len.max(3) / 3;
    let near = |name: &'n str| {
        // A name that is shorter or longer by more is further away.
        let is_alike = name.chars().take(LEN_MAX + 1).count().abs_diff(len) <= distance_max;
        let distance = is_alike.then(|| osa_distance(&word, &name.to_lowercase()))?;
        // All of a short name would be another one.
        (distance <= distance_max && distance < len).then_some((distance, name))
    };
    names.into_iter().take(CANDIDATES_MAX).filter_map(near).min().map(|(_, name)| name)
}

/// The same as the end of a sentence, with its separator; empty if nothing is near.
pub fn did_you_mean<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    nearest(word, names).map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_mistyped_is_found_and_what_is_another_word_is_not() {
        let check = |word: &str, expected: Option<&str>| {
            let names = ["shop", "cache", "ledger", "before-migration", "x", "Ärger"];
            assert_eq!(nearest(word, names), expected, "{word}");
        };
        check("shpo", Some("shop"));
        check("shopp", Some("shop"));
        check("SHOP", Some("shop"));
        check("hop", Some("shop"));
        check("ladgre", Some("ledger"));
        check("before-migratoin", Some("before-migration"));
        check("ärgre", Some("Ärger"));
        check("ship", Some("shop"));
        check("stop it", None);
        check("cash", None);
        check("y", None);
        check("", None);
        check(&"x".repeat(100_000), None);
        assert_eq!(nearest("shop", []), None);
    }
}
