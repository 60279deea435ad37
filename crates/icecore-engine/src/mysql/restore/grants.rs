//! What `SHOW GRANTS` says.

/// Whether somebody has rights that `SHOW GRANTS` does not list one by one.
pub(super) fn has_roles(grants: &[String]) -> bool {
    grants.iter().any(|grant| !grant.contains(" ON "))
}

/// A line of `SHOW GRANTS`: where it gives something, if this right is among it.
fn place_of<'a>(grant: &'a str, right: &str) -> Option<&'a str> {
    let (rights, rest) = grant.strip_prefix("GRANT ")?.split_once(" ON ")?;
    let gives_it = rights
        .split(',')
        .any(|given| matches!(given.trim(), "ALL PRIVILEGES" | "ALL") || given.trim() == right);
    gives_it.then(|| rest.split(" TO ").next().unwrap_or_default())
}

/// Whether a line of `SHOW GRANTS` gives a right on all of the server.
pub(super) fn gives_everywhere(grant: &str, right: &str) -> bool {
    place_of(grant, right) == Some("*.*")
}

/// Whether a line of `SHOW GRANTS` gives a right on a database.
pub(in crate::mysql) fn gives(grant: &str, right: &str, database: &str) -> bool {
    let Some(place) = place_of(grant, right) else { return false };
    let pattern = place.strip_suffix(".*").unwrap_or_default();
    let pattern =
        pattern.strip_prefix('`').and_then(|it| it.strip_suffix('`')).map(|it| it.replace("``", "`"));
    place == "*.*" || pattern.is_some_and(|pattern| is_like(database.as_bytes(), pattern.as_bytes()))
}

/// Whether a text is like a pattern, where `%` is anything and `_` any one byte, unless a backslash comes before.
fn is_like(text: &[u8], pattern: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'%', rest)) => {
            (0..=text.len()).any(|skip| is_like(text.get(skip..).unwrap_or_default(), rest))
        }
        Some((b'_', rest)) => text.split_first().is_some_and(|(_, text)| is_like(text, rest)),
        Some((byte, rest)) => {
            let (byte, rest) = match (byte, rest.split_first()) {
                (b'\\', Some((next, after))) => (next, after),
                _ => (byte, rest),
            };
            text.split_first().is_some_and(|(first, text)| first == byte && is_like(text, rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_understood_as_the_server_does() {
        let check = |grant: &str, right: &str, database: &str, gives_it: bool| {
            assert_eq!(gives(grant, right, database), gives_it, "{grant} {right} {database}");
        };
        check("GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION", "DROP", "shop", true);
        check("GRANT SELECT, DROP ON `shop`.* TO `a`@`%`", "DROP", "shop", true);
        check("GRANT SELECT ON `shop`.* TO `a`@`%`", "DROP", "shop", false);
        check("GRANT ALL PRIVILEGES ON `shop\\_\\_ice%`.* TO `a`@`%`", "DROP", "shop__ice_old", true);
        check("GRANT ALL PRIVILEGES ON `shop\\_x`.* TO `a`@`%`", "DROP", "shopyx", false);
        check("GRANT ALL PRIVILEGES ON `sh_p`.* TO `a`@`%`", "DROP", "shop", true);
        check("GRANT ALL PRIVILEGES ON `shop`.* TO `a`@`%`", "CREATE ROUTINE", "shop", true);
        check("GRANT `role` TO `a`@`%`", "DROP", "shop", false);
    }

    #[test]
    fn rights_on_all_of_the_server_are_not_those_on_one_database() {
        assert!(gives_everywhere("GRANT SET USER, SELECT ON *.* TO `a`@`%`", "SET USER"));
        assert!(gives_everywhere("GRANT ALL PRIVILEGES ON *.* TO `a`@`%`", "SET USER"));
        assert!(!gives_everywhere("GRANT ALL PRIVILEGES ON `shop`.* TO `a`@`%`", "SET USER"));
        assert!(has_roles(&["GRANT `role` TO `a`@`%`".to_owned()]));
    }
}
