//! Hints about a store that is elsewhere.

/// Commands that are about two stores, or none.
const NOT_OF_A_STORE: [&str; 6] = ["init", "remote", "push", "pull", "config", "completions"];

/// The hint with its commands as they are for the store at `remote`, which one alone would do to the store at hand.
pub(crate) fn at_remote(hint: &str, remote: &str) -> String {
    // Every other piece stands between backquotes.
    let pieces = hint.split('`').enumerate().map(|(at, piece)| {
        let command = piece.strip_prefix("icecore ").filter(|_| at % 2 == 1);
        let name = command.and_then(|command| command.split_whitespace().next());
        match name {
            Some(name) if !NOT_OF_A_STORE.contains(&name) && !piece.contains("--remote") => {
                format!("{piece} --remote {remote}")
            }
            _ => piece.to_owned(),
        }
    });
    pieces.collect::<Vec<_>>().join("`")
}

/// What brings back what is damaged here, if there are remotes.
pub(crate) fn elsewhere(remotes: &[&str]) -> Option<String> {
    match remotes {
        [] => None,
        [remote] => Some(format!("`icecore repair --from {remote}` fetches good copies from there")),
        [first, ..] => Some(format!(
            "`icecore repair --from {first}`, or another one of `icecore remote list`, fetches good copies from there"
        )),
    }
}

/// Whether a hint is about what is damaged in the store, of which there may be good copies elsewhere.
pub(crate) fn is_of_damage(hint: &str) -> bool {
    ["`icecore verify`", "`icecore repair"].iter().any(|command| hint.contains(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_done_to_the_store_gets_its_place() {
        for (hint, expected) in [
            ("`icecore gc` gives it back", "`icecore gc --remote team` gives it back"),
            (
                "`icecore list`, or `icecore show X`",
                "`icecore list --remote team`, or `icecore show X --remote team`",
            ),
            ("`icecore pull team` fetches it", "`icecore pull team` fetches it"),
            ("run icecore gc", "run icecore gc"),
            ("`icecore list --remote team`", "`icecore list --remote team`"),
            ("give a `name", "give a `name"),
        ] {
            assert_eq!(at_remote(hint, "team"), expected);
        }
    }
}
